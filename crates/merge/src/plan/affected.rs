//! Which answers the changed documents can have a part in. Nothing else is looked at.

use std::collections::{BTreeSet, HashMap};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{CLUSTERS, PROFILES, RESOURCE_TYPES, TOMBSTONES};

use crate::fleet::Fleet;

/// What of a cluster may have changed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Scope<'a> {
    /// Everything, and its entry in the list of clusters.
    pub(crate) whole: bool,
    /// Every input of these types, and how they are ordered.
    kinds: BTreeSet<&'a str>,
    /// These inputs, by type and id, in order.
    inputs: Vec<(&'a str, &'a str)>,
}

impl Scope<'_> {
    /// Whether the input `id` of the type `kind` may have changed.
    pub(crate) fn holds(&self, kind: &str, id: &str) -> bool {
        self.holds_all(kind) || self.inputs.binary_search(&(kind, id)).is_ok()
    }

    /// Whether any input of the type `kind` may have.
    pub(crate) fn holds_some(&self, kind: &str) -> bool {
        self.holds_all(kind) || self.inputs.iter().any(|(plural, _)| *plural == kind)
    }

    fn holds_all(&self, kind: &str) -> bool {
        self.whole || self.kinds.contains(kind)
    }
}

/// The clusters, held ones too, whose answers may have changed, by id. Who refers to something only
/// before is a changed document itself.
pub(crate) fn affected<'a>(
    before: &'a Fleet,
    after: &'a Fleet,
    changed: &BTreeSet<&'a Key>,
) -> Vec<(&'a str, Scope<'a>)> {
    let mut scopes: HashMap<&str, Scope<'_>> = HashMap::new();
    for key in changed {
        if key.kind == RESOURCE_TYPES {
            // What a schema says of its defaults is in every input of the type.
            for (id, cluster) in of_type(after, &key.id) {
                scopes.entry(cluster).or_default().inputs.push((&key.id, id));
            }
        } else if key.kind == PROFILES {
            // What it brings stands before and after other inputs of the type.
            let kinds = spoken_of(before, after, &key.id);
            for cluster in [before, after].into_iter().flat_map(|fleet| fleet.audience(&key.id)) {
                scopes.entry(cluster).or_default().kinds.extend(&kinds);
            }
        } else if is_clusters(key) {
            scopes.entry(&key.id).or_default().whole = true;
        } else if is_polled(after, key) {
            for cluster in getting(after, key) {
                // The changed documents come in order.
                scopes.entry(cluster).or_default().inputs.push((&key.kind, &key.id));
            }
        }
    }
    for scope in scopes.values_mut() {
        scope.inputs.sort_unstable();
        scope.inputs.dedup();
    }
    let mut scopes: Vec<_> = scopes.into_iter().collect();
    scopes.sort_unstable_by_key(|(id, _)| *id);
    scopes
}

/// The types that the profile `id` speaks of, before or after.
fn spoken_of<'a>(before: &'a Fleet, after: &'a Fleet, id: &str) -> BTreeSet<&'a str> {
    let profiles = [before, after].into_iter().filter_map(|fleet| fleet.profile(id));
    profiles.flat_map(|profile| profile.layer.targets()).map(|(plural, _)| plural).collect()
}

/// Every document of the type `plural`, with each cluster, held or not, that it may be answered to.
fn of_type<'a>(fleet: &'a Fleet, plural: &str) -> Vec<(&'a str, &'a str)> {
    let documents = fleet.list(plural).map(|(id, _)| id).collect::<Vec<_>>();
    let clusters = |id: &'a str| getting(fleet, &Key::new(plural, id)).into_iter().map(move |one| (id, one));
    documents.into_iter().flat_map(clusters).collect()
}

/// The clusters, held ones too, that refer to `key` by themselves or in a profile.
fn getting<'a>(fleet: &'a Fleet, key: &Key) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (plural, id) in fleet.referrer_names(key) {
        match plural {
            CLUSTERS | TOMBSTONES => found.push(id),
            PROFILES => found.extend(fleet.audience(id)),
            _ => {}
        }
    }
    found
}

/// Whether `key` is a document that a cluster, held or not, stands in.
pub(crate) fn is_clusters(key: &Key) -> bool {
    key.kind == CLUSTERS || key.kind == TOMBSTONES
}

/// Whether `key` is what an input is made of.
pub(crate) fn is_polled(fleet: &Fleet, key: &Key) -> bool {
    fleet.resource_type(&key.kind).is_some_and(|kind| kind.flux_path().is_some())
}
