//! An input as whoever says nothing of it gets it, written once, when its document changes. A poll copies
//! it, and writes only what a cluster has of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use flux_resourceset_model::{
    Body, Component, ComponentReference, Definition, OnRemove, Patches, Reference, ResourceType,
};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::answer::write;
use crate::input::{ClusterBlock, ComponentInput, DefinitionInput, release};
use crate::layered::{Said, SaidPatches};

/// The text of an input, and where in it that stands which a cluster can have otherwise.
#[derive(Debug)]
pub(crate) struct Ready {
    text: Box<str>,
    /// In the order in which they stand.
    slots: Box<[(Field, Range<usize>)]>,
}

/// What of an input a cluster can have otherwise.
#[derive(Debug)]
enum Field {
    Cluster,
    OnRemove,
    Path,
    Enabled,
    Patches,
    Tag,
    Release,
    /// That of a definition which a reference may override.
    Property(Box<str>),
}

/// What stands in a slot instead.
#[derive(Serialize)]
#[serde(untagged)]
enum Own<'a> {
    Enabled(bool),
    OnRemove(OnRemove),
    Text(&'a str),
    Value(&'a Value),
    Release(Cow<'a, Body>),
    Patches(Cow<'a, Patches>),
}

impl Ready {
    /// Of a catalog entry.
    pub(crate) fn component(catalog: &Component) -> Option<Self> {
        let reference = ComponentReference::to(&catalog.id);
        let input = ComponentInput::merge(
            ClusterBlock::NOBODY,
            Said::of(&reference),
            SaidPatches::default(),
            catalog,
        );
        Ready::of(&input, |text| {
            let input = spans(text, 0)?;
            let source = input.get("source")?;
            let tag = spans(text.get(source.clone())?, source.start)?.get("oci_tag")?.clone();
            let at = |name: &str| input.get(name).cloned();
            Some(vec![
                (Field::Path, at("component_path")?),
                (Field::Enabled, at("enabled")?),
                (Field::Patches, at("patches")?),
                (Field::Cluster, at("cluster")?),
                (Field::Tag, tag),
                (Field::OnRemove, at("on_remove")?),
                (Field::Release, at("release")?),
            ])
        })
    }

    /// Of a definition of the type `kind`.
    pub(crate) fn definition(kind: &ResourceType, definition: &Definition) -> Option<Self> {
        let reference = Reference::to(&definition.id);
        let input = DefinitionInput::merge(kind, ClusterBlock::NOBODY, Said::of(&reference), definition);
        Ready::of(&input, |text| {
            let input = spans(text, 0)?;
            let mut slots = vec![
                (Field::Cluster, input.get("cluster")?.clone()),
                (Field::OnRemove, input.get("on_remove")?.clone()),
            ];
            let overridable = kind.overridable().iter();
            slots.extend(overridable.filter_map(|name| {
                Some((Field::Property(name.as_str().into()), input.get(name.as_str())?.clone()))
            }));
            Some(slots)
        })
    }

    fn of(
        input: &impl Serialize,
        slots: impl Fn(&str) -> Option<Vec<(Field, Range<usize>)>>,
    ) -> Option<Self> {
        let mut text = Vec::new();
        write(input, &mut text);
        let text = String::from_utf8(text).ok()?;
        let mut slots = slots(&text)?;
        slots.sort_by_key(|(_, range)| range.start);
        Some(Ready { text: text.into(), slots: slots.into() })
    }

    /// How many bytes it is, before anything of a cluster's is in it.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Appends the input of the cluster whose block is `cluster` to `out`.
    pub(crate) fn write_component(
        &self,
        cluster: &[u8],
        said: Said<'_, ComponentReference>,
        patches: SaidPatches<'_>,
        catalog: &Component,
        out: &mut Vec<u8>,
    ) {
        self.splice(cluster, out, |field| match field {
            Field::Path => said.highest(|one| one.component_path.as_deref()).map(Own::Text),
            Field::Enabled => said.highest(|one| one.enabled).map(Own::Enabled),
            Field::Tag => said.highest(|one| one.oci_tag.as_deref()).map(Own::Text),
            Field::OnRemove => said.highest(|one| one.on_remove).map(Own::OnRemove),
            Field::Patches => patches.is_said().then(|| Own::Patches(patches.merged())),
            Field::Release => says_release(said).then(|| Own::Release(release(said, catalog))),
            Field::Cluster | Field::Property(_) => None,
        });
    }

    /// Appends the input of the cluster whose block is `cluster` to `out`.
    pub(crate) fn write_definition(&self, cluster: &[u8], said: Said<'_, Reference>, out: &mut Vec<u8>) {
        self.splice(cluster, out, |field| match field {
            Field::OnRemove => said.highest(|one| one.on_remove).map(Own::OnRemove),
            Field::Property(name) => said.highest(|one| one.overrides.get(&**name)).map(Own::Value),
            _ => None,
        });
    }

    fn splice<'a>(&self, cluster: &[u8], out: &mut Vec<u8>, own: impl Fn(&Field) -> Option<Own<'a>>) {
        let text = self.text.as_bytes();
        let mut copied = 0;
        for (field, range) in &self.slots {
            let own = match field {
                Field::Cluster => None,
                field => match own(field) {
                    Some(own) => Some(own),
                    None => continue,
                },
            };
            out.extend_from_slice(&text[copied..range.start]);
            match own {
                Some(Own::Patches(patches)) => out.extend_from_slice(patches.as_json().as_bytes()),
                Some(own) => write(&own, out),
                None => out.extend_from_slice(cluster),
            }
            copied = range.end;
        }
        out.extend_from_slice(&text[copied..]);
    }
}

fn says_release(said: Said<'_, ComponentReference>) -> bool {
    said.highest(|one| (!one.release.is_empty()).then_some(())).is_some()
}

/// Where in `text`, which stands at `offset` of another, the values of an object stand.
fn spans(text: &str, offset: usize) -> Option<BTreeMap<String, Range<usize>>> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let span = |value: &RawValue| {
        let start = offset + (value.get().as_ptr() as usize) - (text.as_ptr() as usize);
        start..start + value.get().len()
    };
    Some(fields.into_iter().map(|(name, value)| (name, span(value))).collect())
}
