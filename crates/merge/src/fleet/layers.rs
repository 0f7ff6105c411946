//! Which profiles a cluster has, and which clusters a profile: found when a document changes, and kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{CLUSTERS, Cluster, Expiry, PROFILES, Profile, Selector, TOMBSTONES};

use crate::clash::Clash;
use crate::fleet::{Document, Fleet, LoadError};
use crate::stack::Stack;

impl Fleet {
    /// The clusters, held ones too, that `selector` selects, ordered by id. Costs about what it selects,
    /// where it asks for a label at all.
    pub fn selected_by<'a>(&'a self, selector: &'a Selector) -> impl Iterator<Item = &'a str> {
        let narrowed = self.labels.candidates(selector);
        let all = narrowed.is_none().then(|| self.subjects()).into_iter().flatten();
        let candidates = narrowed.into_iter().flatten().chain(all);
        candidates
            .filter_map(|id| self.subject(id))
            .filter(|cluster| selector.matches(|key| cluster.label(key)))
            .map(|cluster| &*cluster.id)
    }

    /// One profile.
    pub fn profile(&self, id: &str) -> Option<&Profile> {
        self.get(&Key::new(PROFILES, id))?.profile()
    }

    /// The clusters, held ones too, that the profile `id` is for, ordered by id.
    pub fn audience<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a str> {
        self.profile(id).into_iter().flat_map(|profile| self.selected_by(&profile.selector))
    }

    /// The profiles of the cluster `id`, held or not: the lowest first.
    pub fn profiles_of(&self, id: &str) -> impl DoubleEndedIterator<Item = &Profile> {
        self.stack(id).into_iter().flat_map(Stack::profiles)
    }

    /// How many references of clusters, held ones too, are meant to stand for a time only.
    pub fn expiring(&self) -> usize {
        self.expiring.len()
    }

    /// How many of them have expired by the moment `at`, in milliseconds since 1970-01-01 UTC.
    pub fn expired(&self, at: i64) -> usize {
        let end = (Expiry { at: at.saturating_add(1) }, Arc::from(""), 0);
        self.expiring.range(..end).count()
    }

    /// What the profiles of `cluster` come to, which stands in `document`.
    pub(crate) fn stack_in(&self, document: &Arc<Document>, cluster: &Cluster) -> Option<&Stack> {
        debug_assert!(
            self.subject_document(&cluster.id).is_some_and(|now| Arc::ptr_eq(now, document)),
            "names are held by what is there"
        );
        self.stack(&cluster.id)
    }

    /// What the profiles of the cluster `id` come to.
    pub(crate) fn stack(&self, id: &str) -> Option<&Stack> {
        debug_assert!(self.unsettled.is_empty(), "the stacks are made before they are looked at");
        self.stacks.of(id)
    }

    /// Finds the profiles of every cluster of which they may have changed; who these are.
    pub(crate) fn settle(&mut self) -> BTreeSet<Arc<str>> {
        let unsettled = std::mem::take(&mut self.unsettled);
        for id in &unsettled {
            self.stacks.remove(id);
            let cluster = self.subject_document(id).and_then(|document| document.cluster());
            let profiles = cluster.map(|cluster| self.matching(cluster)).unwrap_or_default();
            self.stacks.set(id, profiles);
        }
        unsettled
    }

    /// The document that the cluster `id` stands in, or the tombstone that holds it.
    fn subject_document(&self, id: &str) -> Option<&Arc<Document>> {
        let stands_in = |plural: &str| self.tables.get(plural)?.get(id).filter(|one| one.cluster().is_some());
        stands_in(CLUSTERS).or_else(|| stands_in(TOMBSTONES))
    }

    /// The profiles that match `cluster`, the lowest first.
    fn matching(&self, cluster: &Cluster) -> Vec<(Arc<str>, Arc<Document>)> {
        let Some(table) = self.tables.get(PROFILES) else { return Vec::new() };
        let candidates = self.selectors.candidates(cluster);
        let mut matching: Vec<_> = candidates
            .filter_map(|id| Some((id, table.get(id)?)))
            .filter(|(_, document)| document.profile().is_some_and(|profile| profile.matches(cluster)))
            .map(|(id, document)| (Arc::clone(id), Arc::clone(document)))
            .collect();
        matching.sort_by(|(one, document), (other, its)| {
            let priority = |document: &Document| document.profile().map(|profile| profile.priority);
            priority(document).cmp(&priority(its)).then_with(|| one.cmp(other))
        });
        matching.dedup_by(|(one, _), (other, _)| one == other);
        matching
    }

    pub(super) fn settle_undisputed(&mut self) -> Result<(), LoadError> {
        self.settle().iter().try_for_each(|id| self.refuse_clash(id))
    }

    /// Refuses profiles between which nothing decides for the cluster `id`.
    pub(super) fn refuse_clash(&self, id: &str) -> Result<(), LoadError> {
        let Some(clash) = self.clashes(id).next() else { return Ok(()) };
        let profile = Key::new(PROFILES, &clash.profiles[0]);
        Err(LoadError::new(&profile, format!("{} for {id}", clash.sentence())))
    }

    /// What nothing decides for the cluster `id`.
    pub(crate) fn clashes<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Clash> {
        let disputed = self.stack(id).zip(self.subject(id));
        disputed.into_iter().flat_map(|(stack, cluster)| stack.clashes_of(cluster))
    }

    /// The profiles of whom `selector` selects are looked for anew.
    pub(super) fn unsettle(&mut self, selector: &Selector) {
        let selected: Vec<Arc<str>> = self.selected_by(selector).map(Arc::from).collect();
        self.unsettled.extend(selected);
    }
}
