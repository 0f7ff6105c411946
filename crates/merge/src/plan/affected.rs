//! Which answers the changed documents can have a part in. Nothing else is looked at.

use std::collections::{BTreeSet, HashMap};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{CLUSTERS, RESOURCE_TYPES, TOMBSTONES};

use crate::fleet::Fleet;

/// What of a cluster may have changed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Scope<'a> {
    /// Everything, and its entry in the list of clusters.
    pub(crate) whole: bool,
    /// These inputs, by type and id, in order.
    inputs: Vec<(&'a str, &'a str)>,
}

impl Scope<'_> {
    /// Whether the input `id` of the type `kind` may have changed.
    pub(crate) fn holds(&self, kind: &str, id: &str) -> bool {
        self.whole || self.inputs.binary_search(&(kind, id)).is_ok()
    }

    /// Whether any input of the type `kind` may have.
    pub(crate) fn holds_some(&self, kind: &str) -> bool {
        self.whole || self.inputs.iter().any(|(plural, _)| *plural == kind)
    }
}

/// The clusters, held ones too, whose answers may have changed, by id. Who refers to something only
/// before is a changed document itself.
pub(crate) fn affected<'a>(after: &'a Fleet, changed: &BTreeSet<&'a Key>) -> Vec<(&'a str, Scope<'a>)> {
    let mut scopes: HashMap<&str, Scope<'_>> = HashMap::new();
    for key in changed {
        if key.kind == RESOURCE_TYPES {
            // What a schema says of its defaults is in every input of the type.
            for (id, referrer) in of_type(after, &key.id) {
                scopes.entry(&referrer.id).or_default().inputs.push((&key.id, id));
            }
        } else if is_clusters(key) {
            scopes.entry(&key.id).or_default().whole = true;
        } else if is_polled(after, key) {
            for referrer in after.referrers(key).filter(|referrer| is_clusters(referrer)) {
                // The changed documents come in order.
                scopes.entry(&referrer.id).or_default().inputs.push((&key.kind, &key.id));
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

/// Every document of the type `plural`, with each cluster, held or not, that refers to it.
fn of_type<'a>(fleet: &'a Fleet, plural: &str) -> Vec<(&'a str, &'a Key)> {
    let documents = fleet.list(plural).map(|(id, _)| id).collect::<Vec<_>>();
    let referrers = |id: &'a str| {
        let key = Key::new(plural, id);
        let clusters = fleet.referrers(&key).filter(|referrer| is_clusters(referrer));
        clusters.map(move |referrer| (id, referrer)).collect::<Vec<_>>()
    };
    documents.into_iter().flat_map(referrers).collect()
}

/// Whether `key` is a document that a cluster, held or not, stands in.
pub(crate) fn is_clusters(key: &Key) -> bool {
    key.kind == CLUSTERS || key.kind == TOMBSTONES
}

/// Whether `key` is what an input is made of.
pub(crate) fn is_polled(fleet: &Fleet, key: &Key) -> bool {
    fleet.resource_type(&key.kind).is_some_and(|kind| kind.flux_path().is_some())
}
