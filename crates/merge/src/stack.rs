//! What the profiles of a cluster come to. Made when a document changes and shared by all clusters that
//! have the same profiles, so that a poll does no matching.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use flux_resourceset_model::{Cluster, ComponentReference, PLATFORM_COMPONENTS, Patches, Profile, Reference};
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdMap};

use crate::clash::{Clash, clashes};
use crate::fleet::Document;
use crate::layered::{Given, over};

/// The ids of profiles, the lowest first.
type Names = Arc<[Arc<str>]>;

/// Where every poll looks a cluster up: an ordered map compares with a dozen ids that no cache holds. The hash
/// has no key, so that nothing here is random.
pub(crate) type Hashed<K, V> = GenericHashMap<K, V, BuildHasherDefault<DefaultHasher>, DefaultSharedPtr>;

/// Profiles, merged.
#[derive(Debug)]
pub(crate) struct Stack {
    names: Names,
    /// As it was made of them; the lowest first.
    documents: Vec<Arc<Document>>,
    pub(crate) components: Given<ComponentReference>,
    /// By the plural of their type.
    pub(crate) references: BTreeMap<Arc<str>, Given<Reference>>,
    pub(crate) patches: BTreeMap<Arc<str>, Patches>,
    /// What they leave undecided; a cluster may decide it.
    clashes: Vec<Clash>,
}

impl Stack {
    fn of(names: Names, documents: Vec<Arc<Document>>) -> Self {
        let profiles: Vec<&Profile> = documents.iter().filter_map(|document| document.profile()).collect();
        let layers = || profiles.iter().map(|profile| &profile.layer);
        let plurals: BTreeSet<&Arc<str>> = layers().flat_map(|layer| layer.references.keys()).collect();
        let of_type = |plural: &Arc<str>| {
            let lists = layers().filter_map(|layer| layer.references.get(plural).map(Vec::as_slice));
            (plural.clone(), Given::of(lists))
        };
        let mut patches: BTreeMap<Arc<str>, BTreeMap<String, String>> = BTreeMap::new();
        for layer in layers() {
            for id in layer.patches.keys().chain(layer.unset_patches.keys()) {
                let merged = patches.entry(id.clone()).or_default();
                over(merged, layer.unset_patches.get(id), layer.patches.get(id));
            }
        }
        patches.retain(|_, merged| !merged.is_empty());
        Stack {
            components: Given::of(layers().map(|layer| layer.platform_components.as_slice())),
            references: plurals.into_iter().map(of_type).collect(),
            patches: patches.into_iter().map(|(id, merged)| (id, Patches::from(&merged))).collect(),
            clashes: clashes(&profiles),
            names,
            documents,
        }
    }

    /// The profiles, the lowest first.
    pub(crate) fn profiles(&self) -> impl DoubleEndedIterator<Item = &Profile> {
        self.documents.iter().filter_map(|document| document.profile())
    }

    /// What nothing decides for the cluster, in whose answer the profiles disagree.
    pub(crate) fn clashes_of<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = &'a Clash> {
        self.clashes
            .iter()
            .filter(|clash| !clash.is_settled_by(&cluster.layer) && !self.excludes(cluster, clash))
    }

    /// Whether the cluster does not get what the clash is about, so that it makes no difference.
    fn excludes(&self, cluster: &Cluster, clash: &Clash) -> bool {
        let (plural, id) = clash.input();
        let own = cluster.layer.excludes(plural, id);
        let disputed =
            || self.clashes.iter().any(|one| one.is_about_exclusion() && one.input() == (plural, id));
        own.unwrap_or_else(|| self.excluded(plural, id) && !disputed())
    }

    /// Whether the input `id` of the type `plural` is in the answer of who says nothing of it.
    pub(crate) fn gives(&self, plural: &str, id: &str) -> bool {
        self.takes_out(plural, id) == Some(false)
    }

    /// Whether the highest of them that speaks of the input `id` of the type `plural` takes it out.
    pub(crate) fn excluded(&self, plural: &str, id: &str) -> bool {
        self.takes_out(plural, id) == Some(true)
    }

    fn takes_out(&self, plural: &str, id: &str) -> Option<bool> {
        if plural == PLATFORM_COMPONENTS {
            return self.components.get(id).map(|reference| reference.exclude);
        }
        self.references.get(plural)?.get(id).map(|reference| reference.exclude)
    }

    fn is_of(&self, documents: &[Arc<Document>]) -> bool {
        self.documents.len() == documents.len()
            && self.documents.iter().zip(documents).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

/// The stacks of a fleet's clusters. Who has no profiles has none.
#[derive(Clone, Default)]
pub(crate) struct Stacks {
    by_cluster: Hashed<Arc<str>, Arc<Stack>>,
    /// Each with how many clusters have it.
    shared: OrdMap<Names, (Arc<Stack>, usize)>,
}

impl Stacks {
    pub(crate) fn of(&self, cluster: &str) -> Option<&Stack> {
        self.by_cluster.get(cluster).map(Arc::as_ref)
    }

    /// Lets go what was noted of `cluster`.
    pub(crate) fn remove(&mut self, cluster: &str) {
        if let Some(left) = self.by_cluster.remove(cluster) {
            self.leave(&left.names);
        }
    }

    /// Notes that these are the profiles of `cluster`, of which nothing is noted: the lowest first, each with
    /// its id.
    pub(crate) fn set(&mut self, cluster: &Arc<str>, profiles: Vec<(Arc<str>, Arc<Document>)>) {
        if profiles.is_empty() {
            return;
        }
        let (names, documents): (Vec<_>, Vec<_>) = profiles.into_iter().unzip();
        let names: Names = names.into();
        let (known, users) = match self.shared.get(&names) {
            Some((known, users)) => (Some(known), *users),
            None => (None, 0),
        };
        let stack = match known.filter(|known| known.is_of(&documents)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Stack::of(Arc::clone(&names), documents)),
        };
        self.shared.insert(names, (Arc::clone(&stack), users + 1));
        self.by_cluster.insert(Arc::clone(cluster), stack);
    }

    fn leave(&mut self, names: &Names) {
        let Some((_, users)) = self.shared.get_mut(names) else { return };
        *users -= 1;
        if *users == 0 {
            self.shared.remove(names);
        }
    }
}
