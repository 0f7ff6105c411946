//! Changes of a definition or a profile that do not reach a cluster, because what the cluster or a higher
//! profile says wins.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{ComponentReference, Layer, PLATFORM_COMPONENTS, PROFILES, Reference};

use crate::difference::{FieldChange, difference, overlap};
use crate::fleet::Fleet;
use crate::input::{ClusterBlock, ComponentInput, DefinitionInput, Input};
use crate::layered::{Said, SaidPatches};
use crate::plan::Hidden;
use crate::plan::affected::is_polled;
use crate::plan::planner::owned;
use crate::plan::rows::Row;

/// What a changed document would do to an input of whom nothing else is said.
struct Change<'a> {
    /// The profile that changed; `None`: the definition did.
    profile: Option<&'a str>,
    fields: Vec<FieldChange>,
}

/// What each changed definition and profile would do to a cluster of which nothing else is said, and whom
/// it does not reach.
pub(crate) struct HiddenChanges<'a> {
    before: &'a Fleet,
    after: &'a Fleet,
    /// By type and input.
    changes: BTreeMap<(&'a str, &'a str), Vec<Change<'a>>>,
    /// By type, input, which of its changes, and which of their fields.
    found: BTreeMap<(&'a str, &'a str, usize, Vec<usize>), Vec<&'a str>>,
}

impl<'a> HiddenChanges<'a> {
    pub(crate) fn of(before: &'a Fleet, after: &'a Fleet, changed: &BTreeSet<&'a Key>) -> Self {
        let mut changes: BTreeMap<_, Vec<Change<'a>>> = BTreeMap::new();
        let mut add = |target: (&'a str, &'a str), profile, layers: [&Layer; 2]| {
            let fields = bare_difference([before, after], target, layers).unwrap_or_default();
            if !fields.is_empty() {
                changes.entry(target).or_default().push(Change { profile, fields });
            }
        };
        let nothing = Layer::default();
        for key in changed.iter().filter(|key| is_polled(after, key)) {
            add((&key.kind, &key.id), None, [&nothing, &nothing]);
        }
        for key in changed.iter().filter(|key| key.kind == PROFILES) {
            let (Some(was), Some(now)) = (before.profile(&key.id), after.profile(&key.id)) else { continue };
            let targets: BTreeSet<_> = was.layer.targets().chain(now.layer.targets()).collect();
            for target in targets {
                add(target, Some(&key.id), [&was.layer, &now.layer]);
            }
        }
        HiddenChanges { before, after, changes, found: BTreeMap::new() }
    }

    /// Whether a change of this input may be hidden.
    pub(crate) fn watches(&self, kind: &str, input: &str) -> bool {
        self.changes.contains_key(&(kind, input))
    }

    /// Takes an input of `cluster`, of which `changed` differs.
    pub(crate) fn add(&mut self, cluster: &'a str, row: &Row<'a>, changed: &[FieldChange]) {
        // What is new or gone hides nothing.
        if row.before.is_none() || row.after.is_none() {
            return;
        }
        let Some(changes) = self.changes.get(&(row.kind, row.id)) else { return };
        let reaches = |field: &FieldChange| changed.iter().any(|other| overlap(&field.path, &other.path));
        let has = |fleet: &Fleet, id: &str| fleet.profiles_of(cluster).any(|profile| profile.id == id);
        for (at, Change { profile, fields }) in changes.iter().enumerate() {
            if profile.is_some_and(|id| !has(self.before, id) || !has(self.after, id)) {
                continue;
            }
            let hidden: Vec<usize> =
                fields.iter().enumerate().filter(|(_, field)| !reaches(field)).map(|(at, _)| at).collect();
            if !hidden.is_empty() {
                let clusters = self.found.entry((row.kind, row.id, at, hidden)).or_default();
                if clusters.last() != Some(&cluster) {
                    clusters.push(cluster);
                }
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<Hidden> {
        let changes = self.changes;
        let found = self.found.into_iter().filter_map(|((kind, input, at, hidden), clusters)| {
            let Change { profile, fields } = changes.get(&(kind, input))?.get(at)?;
            let fields = fields.iter().enumerate().filter(|(at, _)| hidden.contains(at));
            Some(Hidden {
                profile: profile.map(String::from),
                kind: kind.into(),
                input: input.into(),
                fields: fields.map(|(_, field)| field.clone()).collect(),
                count: clusters.len(),
                clusters: owned(clusters),
            })
        });
        let mut found: Vec<Hidden> = found.collect();
        // Stable: of as many clusters, by type and input.
        found.sort_by_key(|hidden| std::cmp::Reverse(hidden.count));
        found
    }
}

/// The difference for a cluster of which nothing is said but in these layers, before and after.
fn bare_difference(
    fleets: [&Fleet; 2],
    target: (&str, &str),
    layers: [&Layer; 2],
) -> Option<Vec<FieldChange>> {
    let bare = Bare::to(target.1);
    let [was, now] = [0, 1].map(|at| bare.input(fleets[at], target, layers[at]));
    let (was, now) = was?.differing(&now?);
    Some(difference(&was, &now))
}

/// What refers to something without a word more.
struct Bare {
    component: ComponentReference,
    definition: Reference,
}

impl Bare {
    fn to(id: &str) -> Self {
        Bare { component: ComponentReference::to(id), definition: Reference::to(id) }
    }

    fn input<'a>(
        &'a self,
        fleet: &'a Fleet,
        (plural, id): (&str, &str),
        layer: &'a Layer,
    ) -> Option<Input<'a>> {
        // What is taken out hides nothing.
        if layer.excludes(plural, id) == Some(true) {
            return None;
        }
        let (cluster, at) = (ClusterBlock::NOBODY, layer.position(plural, id));
        if plural == PLATFORM_COMPONENTS {
            let top = at.and_then(|at| layer.platform_components.get(at)).unwrap_or(&self.component);
            let patches = SaidPatches { own: layer.patches.get(id), ..SaidPatches::default() };
            let input = ComponentInput::merge(cluster, Said::of(top), patches, fleet.component(id)?);
            return Some(Input::Component(Box::new(input)));
        }
        let kind = fleet.resource_type(plural)?;
        let top = at.and_then(|at| layer.references.get(plural)?.get(at)).unwrap_or(&self.definition);
        let found = fleet.definition(plural, id)?;
        Some(Input::Definition(DefinitionInput::merge(kind, cluster, Said::of(top), found)))
    }
}
