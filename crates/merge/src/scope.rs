//! What of a cluster's answers a change may have a part in: nothing else is looked at, neither by plans nor by
//! what judges writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use flux_resourceset_model::{Cluster, ComponentReference, Layer, PLATFORM_COMPONENTS, Reference};

use crate::input::ClusterBlock;
use crate::layered::Layered;

/// What of a cluster may have changed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Scope<'a> {
    /// Whether the document that it stands in did, and so its entry in the list of clusters may have.
    pub(crate) document: bool,
    /// Every input, and how they are ordered.
    whole: bool,
    /// Every input of these types, and how they are ordered.
    kinds: BTreeSet<&'a str>,
    /// These inputs, by type and id, in order.
    inputs: Vec<(&'a str, &'a str)>,
    /// Whether what is said of those that are components may differ in more than their patches.
    beside_patches: bool,
}

impl<'a> Scope<'a> {
    /// Everything.
    pub(crate) fn whole() -> Self {
        Scope { document: true, whole: true, ..Scope::default() }
    }

    /// What a cluster gets otherwise since it says something else, whatever it refers to.
    pub(crate) fn of_document(was: Option<&'a Cluster>, now: Option<&'a Cluster>) -> Self {
        let mut scope = Scope::default();
        scope.add_document(was, now);
        scope.settled()
    }

    pub(crate) fn add_document(&mut self, was: Option<&'a Cluster>, now: Option<&'a Cluster>) {
        self.document = true;
        match (was, now) {
            (Some(was), Some(now)) if is_described_alike(was, now) => self.add_layer(&was.layer, &now.layer),
            _ => self.whole = true,
        }
    }

    /// Every input of the types `kinds`.
    pub(crate) fn add_kinds(&mut self, kinds: &BTreeSet<&'a str>) {
        self.kinds.extend(kinds);
    }

    /// The input `id` of the type `kind`.
    pub(crate) fn add_input(&mut self, kind: &'a str, id: &'a str) {
        self.inputs.push((kind, id));
        self.beside_patches = true;
    }

    /// The same, ready to be asked.
    pub(crate) fn settled(mut self) -> Self {
        self.inputs.sort_unstable();
        self.inputs.dedup();
        self
    }

    /// Whether the input `id` of the type `kind` may have changed.
    pub(crate) fn holds(&self, kind: &str, id: &str) -> bool {
        self.holds_all(kind) || self.inputs.binary_search(&(kind, id)).is_ok()
    }

    /// Whether any input of the type `kind` may have.
    pub(crate) fn holds_some(&self, kind: &str) -> bool {
        self.holds_all(kind) || self.inputs.iter().any(|(plural, _)| *plural == kind)
    }

    /// Whether no component gets anything otherwise but its patches.
    pub(crate) fn is_of_patches(&self) -> bool {
        !self.beside_patches && !self.holds_all(PLATFORM_COMPONENTS)
    }

    fn holds_all(&self, kind: &str) -> bool {
        self.whole || self.kinds.contains(kind)
    }

    fn add_layer(&mut self, was: &'a Layer, now: &'a Layer) {
        self.add_references::<ComponentReference>(
            PLATFORM_COMPONENTS,
            &was.platform_components,
            &now.platform_components,
        );
        self.beside_patches |= was.platform_components != now.platform_components;
        for plural in was.references.keys().chain(now.references.keys()) {
            let [was, now] =
                [was, now].map(|layer| layer.references.get(plural).map_or(&[][..], Vec::as_slice));
            self.add_references::<Reference>(plural, was, now);
        }
        let patched =
            [was, now].into_iter().flat_map(|one| one.patches.keys().chain(one.unset_patches.keys()));
        let differ = |id: &&'a Arc<str>| {
            was.patches.get(*id) != now.patches.get(*id)
                || was.unset_patches.get(*id) != now.unset_patches.get(*id)
        };
        self.inputs.extend(patched.filter(differ).map(|id| (PLATFORM_COMPONENTS, &**id)));
    }

    fn add_references<R: Layered>(&mut self, plural: &'a str, was: &'a [R], now: &'a [R]) {
        let placed = |one: &'a R| (one.id(), one.excludes());
        if was.iter().map(placed).eq(now.iter().map(placed)) {
            let differ = was.iter().zip(now).filter(|(was, now)| was != now);
            self.inputs.extend(differ.map(|(_, now)| (plural, now.id())));
        } else {
            self.kinds.insert(plural);
        }
    }
}

/// Whether the two are the same but for what they refer to, and how.
fn is_described_alike(was: &Cluster, now: &Cluster) -> bool {
    ClusterBlock::of(was) == ClusterBlock::of(now)
        && was.id == now.id
        && was.labels == now.labels
        && was.kubernetes_version == now.kubernetes_version
}
