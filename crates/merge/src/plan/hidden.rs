//! Changes of a definition that do not reach a cluster, because what the cluster says itself wins.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{Body, Cluster, ComponentReference, PLATFORM_COMPONENTS, Reference};

use crate::difference::{FieldChange, difference, overlap};
use crate::fleet::Fleet;
use crate::input::{ComponentInput, DefinitionInput, Input};
use crate::plan::Hidden;
use crate::plan::affected::is_polled;
use crate::plan::planner::owned;
use crate::plan::rows::Row;

/// What each changed definition would do to a cluster that says nothing itself, and whom it does not reach.
pub(crate) struct HiddenChanges<'a> {
    fields: BTreeMap<(&'a str, &'a str), Vec<FieldChange>>,
    /// By type, input, and which of its fields.
    found: BTreeMap<(&'a str, &'a str, Vec<usize>), Vec<&'a str>>,
}

impl<'a> HiddenChanges<'a> {
    pub(crate) fn of(before: &'a Fleet, after: &'a Fleet, changed: &BTreeSet<&'a Key>) -> Self {
        let definitions = changed.iter().filter(|key| is_polled(after, key));
        let fields = definitions.filter_map(|key| {
            let fields = bare_difference(before, after, key)?;
            (!fields.is_empty()).then_some(((key.kind.as_str(), key.id.as_str()), fields))
        });
        HiddenChanges { fields: fields.collect(), found: BTreeMap::new() }
    }

    /// Takes an input of `cluster`, of which `changed` differs.
    pub(crate) fn add(&mut self, cluster: &'a str, row: &Row<'a>, changed: &[FieldChange]) {
        // What is new or gone hides nothing.
        if row.before.is_none() || row.after.is_none() {
            return;
        }
        let Some(fields) = self.fields.get(&(row.kind, row.id)) else { return };
        let reaches = |field: &FieldChange| changed.iter().any(|other| overlap(&field.path, &other.path));
        let hidden: Vec<usize> =
            fields.iter().enumerate().filter(|(_, field)| !reaches(field)).map(|(at, _)| at).collect();
        if !hidden.is_empty() {
            let clusters = self.found.entry((row.kind, row.id, hidden)).or_default();
            if clusters.last() != Some(&cluster) {
                clusters.push(cluster);
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<Hidden> {
        let fields = self.fields;
        let found = self.found.into_iter().map(|((kind, input, hidden), clusters)| {
            let all = fields.get(&(kind, input)).into_iter().flatten().enumerate();
            let fields = all.filter(|(at, _)| hidden.contains(at)).map(|(_, field)| field.clone());
            Hidden {
                kind: kind.into(),
                input: input.into(),
                fields: fields.collect(),
                count: clusters.len(),
                clusters: owned(clusters),
            }
        });
        let mut found: Vec<Hidden> = found.collect();
        // Stable: of as many clusters, by type and input.
        found.sort_by_key(|hidden| std::cmp::Reverse(hidden.count));
        found
    }
}

/// The difference for a cluster whose reference says nothing but the id.
fn bare_difference(before: &Fleet, after: &Fleet, key: &Key) -> Option<Vec<FieldChange>> {
    let cluster = nobody();
    let (was, now);
    let component = bare_component(&key.id);
    let definition = Reference { id: key.id.clone(), on_remove: None, overrides: Body::new() };
    let bare = |fleet| bare_input(fleet, key, &cluster, &component, &definition);
    (was, now) = (bare(before)?, bare(after)?);
    let (was, now) = was.differing(&now);
    Some(difference(&was, &now))
}

fn bare_input<'a>(
    fleet: &'a Fleet,
    key: &Key,
    cluster: &'a Cluster,
    component: &'a ComponentReference,
    definition: &'a Reference,
) -> Option<Input<'a>> {
    if key.kind == PLATFORM_COMPONENTS {
        let catalog = fleet.component(&key.id)?;
        return Some(Input::Component(Box::new(ComponentInput::merge(cluster, component, catalog))));
    }
    let kind = fleet.resource_type(&key.kind)?;
    let found = fleet.definition(&key.kind, &key.id)?;
    Some(Input::Definition(DefinitionInput::merge(kind, cluster, definition, found)))
}

fn bare_component(id: &str) -> ComponentReference {
    ComponentReference {
        id: id.into(),
        enabled: None,
        oci_tag: None,
        component_path: None,
        on_remove: None,
        release: Default::default(),
    }
}

fn nobody() -> Cluster {
    Cluster {
        id: String::new(),
        cluster_name: String::new(),
        cluster_dns: String::new(),
        aliases: Vec::new(),
        environment: String::new(),
        labels: BTreeMap::new(),
        platform_components: Vec::new(),
        references: BTreeMap::new(),
        patches: BTreeMap::new(),
    }
}
