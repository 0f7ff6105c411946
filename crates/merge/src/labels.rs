//! Who has which labels, so that finding the clusters of a selector costs what it selects, and finding the
//! profiles of a cluster what it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use flux_resourceset_model::{Anchor, Cluster, Selector};
use imbl::{OrdMap, OrdSet};
use litemap::LiteMap;

/// The label under which every cluster has its id, which selects one cluster and so needs no index.
const ID: &str = "id";
const ENVIRONMENT: &str = "environment";

type Ids = OrdSet<Arc<str>>;

/// Ids by the key and the value of a label.
#[derive(Clone, Default)]
struct Index(OrdMap<Arc<str>, OrdMap<Arc<str>, Ids>>);

impl Index {
    fn insert(&mut self, key: &str, value: &str, id: &Arc<str>) {
        if !self.0.contains_key(key) {
            self.0.insert(key.into(), OrdMap::new());
        }
        let Some(values) = self.0.get_mut(key) else { return };
        if !values.contains_key(value) {
            values.insert(value.into(), Ids::new());
        }
        values.get_mut(value).map(|ids| ids.insert(Arc::clone(id)));
    }

    fn remove(&mut self, key: &str, value: &str, id: &str) {
        let Some(values) = self.0.get_mut(key) else { return };
        let Some(ids) = values.get_mut(value) else { return };
        ids.remove(id);
        if ids.is_empty() {
            values.remove(value);
        }
        if values.is_empty() {
            self.0.remove(key);
        }
    }

    /// The texts of a label as they are here.
    fn known(&self, key: &str, value: &str) -> Option<(Arc<str>, Arc<str>)> {
        let (key, values) = self.0.get_key_value(key)?;
        Some((Arc::clone(key), Arc::clone(values.get_key_value(value)?.0)))
    }

    fn get(&self, key: &str, value: &str) -> Option<&Ids> {
        self.0.get(key)?.get(value)
    }

    fn of_key(&self, key: &str) -> impl Iterator<Item = &Ids> {
        self.0.get(key).into_iter().flat_map(OrdMap::values)
    }
}

/// Clusters by their labels.
#[derive(Clone, Default)]
pub(crate) struct Labels(Index);

impl Labels {
    pub(crate) fn insert(&mut self, id: &Arc<str>, cluster: &Cluster) {
        labels(cluster).for_each(|(key, value)| self.0.insert(key, value, id));
    }

    /// Makes a cluster's labels share the texts that others have.
    pub(crate) fn share(&self, environment: &mut Arc<str>, labels: &mut LiteMap<Arc<str>, Arc<str>>) {
        if let Some((_, known)) = self.0.known(ENVIRONMENT, environment) {
            *environment = known;
        }
        let known = |(key, value): (Arc<str>, Arc<str>)| self.0.known(&key, &value).unwrap_or((key, value));
        let shared: Vec<_> = std::mem::take(labels).into_iter().map(known).collect();
        *labels = LiteMap::from_sorted_store_unchecked(shared);
    }

    pub(crate) fn remove(&mut self, id: &str, cluster: &Cluster) {
        labels(cluster).for_each(|(key, value)| self.0.remove(key, value, id));
    }

    /// The ids among which are all that `selector` selects, by the one of its requirements that fewest
    /// fulfil; `None` where none of them narrows the fleet down.
    pub(crate) fn candidates<'a>(&'a self, selector: &'a Selector) -> Option<BTreeSet<&'a str>> {
        let anchors = selector.anchors().filter(|anchor| *anchor != Anchor::Key(ID));
        let narrowest = anchors.min_by_key(|anchor| self.count(*anchor))?;
        if let Anchor::Values(ID, ids) = narrowest {
            return Some(ids.iter().map(String::as_str).collect());
        }
        Some(self.ids(narrowest).flatten().map(|id| &**id).collect())
    }

    fn count(&self, anchor: Anchor<'_>) -> usize {
        match anchor {
            Anchor::Values(ID, ids) => ids.len(),
            anchor => self.ids(anchor).map(OrdSet::len).sum(),
        }
    }

    fn ids<'a>(&'a self, anchor: Anchor<'a>) -> Box<dyn Iterator<Item = &'a Ids> + 'a> {
        match anchor {
            Anchor::Values(key, values) => Box::new(values.iter().filter_map(|value| self.0.get(key, value))),
            Anchor::Key(key) => Box::new(self.0.of_key(key)),
        }
    }
}

/// What selectors can ask about beside the id.
fn labels(cluster: &Cluster) -> impl Iterator<Item = (&str, &str)> {
    let own = cluster.labels.iter().map(|(key, value)| (&**key, &**value));
    own.chain([(ENVIRONMENT, &*cluster.environment)])
}

/// Selectors, each by one label without which it does not hold.
#[derive(Clone, Default)]
pub(crate) struct Selectors {
    by_value: Index,
    by_key: Index,
    others: Ids,
}

impl Selectors {
    pub(crate) fn insert(&mut self, id: &Arc<str>, selector: &Selector) {
        match anchor(selector) {
            Some(Anchor::Values(key, values)) => {
                values.iter().for_each(|value| self.by_value.insert(key, value, id));
            }
            Some(Anchor::Key(key)) => self.by_key.insert(key, "", id),
            None => drop(self.others.insert(Arc::clone(id))),
        }
    }

    pub(crate) fn remove(&mut self, id: &str, selector: &Selector) {
        match anchor(selector) {
            Some(Anchor::Values(key, values)) => {
                values.iter().for_each(|value| self.by_value.remove(key, value, id));
            }
            Some(Anchor::Key(key)) => self.by_key.remove(key, "", id),
            None => drop(self.others.remove(id)),
        }
    }

    /// The ids among whose selectors are all that hold for `cluster`, each once.
    pub(crate) fn candidates<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = &'a Arc<str>> {
        let labels = labels(cluster).chain([(ID, &*cluster.id)]);
        let labelled = labels.flat_map(|(key, value)| {
            [self.by_value.get(key, value), self.by_key.get(key, "")].into_iter().flatten().flatten()
        });
        labelled.chain(&self.others)
    }
}

/// By which label a selector is found: by values where it has some, which tell clusters apart best.
fn anchor(selector: &Selector) -> Option<Anchor<'_>> {
    let by_values = selector.anchors().find(|anchor| matches!(anchor, Anchor::Values(..)));
    by_values.or_else(|| selector.anchors().find(|anchor| *anchor != Anchor::Key(ID)))
}
