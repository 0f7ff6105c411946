//! Which answers the changed documents can have a part in. Nothing else is looked at.

use std::collections::{BTreeSet, HashMap};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{CLUSTERS, PROFILES, RESOURCE_TYPES, TOMBSTONES};

use crate::fleet::Fleet;
use crate::scope::Scope;

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
                scopes.entry(cluster).or_default().add_input(&key.id, id);
            }
        } else if key.kind == PROFILES {
            // What it brings stands before and after other inputs of the type.
            let kinds = spoken_of(before, after, &key.id);
            for cluster in [before, after].into_iter().flat_map(|fleet| fleet.audience(&key.id)) {
                scopes.entry(cluster).or_default().add_kinds(&kinds);
            }
        } else if is_clusters(key) {
            let [was, now] = [before, after].map(|fleet| fleet.cluster(&key.id));
            scopes.entry(&key.id).or_default().add_document(was, now);
        } else if is_polled(after, key) {
            for cluster in getting(after, key) {
                scopes.entry(cluster).or_default().add_input(&key.kind, &key.id);
            }
        }
    }
    let mut scopes: Vec<_> = scopes.into_iter().map(|(id, scope)| (id, scope.settled())).collect();
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
