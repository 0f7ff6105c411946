//! One input of an answer, borrowed from the documents it is made of. It can be written as JSON
//! straight into a buffer, or turned into a value to be walked.

use std::borrow::Cow;

use flux_resourceset_model::{
    Body, Cluster, Component, ComponentReference, Definition, Delivery, OnRemove, Patches, Reference,
    ResourceType,
};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::layered::{Said, SaidPatches};
use crate::ready::Ready;
use crate::release::merge_release;

/// What an answer says of an unset version.
const LATEST: &str = "latest";

/// One input of an answer.
#[derive(Debug)]
pub enum Input<'a> {
    /// By the platform component's rule.
    Component(Box<ComponentInput<'a>>),
    /// By the definition rule.
    Definition(DefinitionInput<'a>),
}

/// The cluster, as every input carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ClusterBlock<'a> {
    /// Its `cluster_name`.
    pub name: &'a str,
    /// Its `cluster_dns`, as written.
    pub dns: &'a str,
    /// Its `environment`.
    pub environment: &'a str,
}

/// What a cluster and its profiles say of an input and what they refer to, not merged yet.
#[derive(Clone, Copy)]
pub(crate) enum InputSource<'a> {
    Component(Said<'a, ComponentReference>, SaidPatches<'a>, Target<'a, Component>),
    Definition(Said<'a, Reference>, Target<'a, Definition>),
}

/// What a reference refers to, and its input as whoever says nothing of it gets it.
pub(crate) struct Target<'a, T> {
    pub(crate) is: &'a T,
    pub(crate) ready: &'a Ready,
}

impl<T> Clone for Target<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Target<'_, T> {}

impl<'a> InputSource<'a> {
    pub(crate) fn id(self) -> &'a str {
        match self {
            InputSource::Component(said, ..) => &said.top.id,
            InputSource::Definition(said, _) => &said.top.id,
        }
    }

    /// The input that `cluster`, of which so is said, gets.
    pub(crate) fn input(self, cluster: &'a Cluster, kind: &'a ResourceType) -> Input<'a> {
        match self {
            InputSource::Component(said, patches, catalog) => {
                let cluster = ClusterBlock::of(cluster);
                Input::Component(Box::new(ComponentInput::merge(cluster, said, patches, catalog.is)))
            }
            InputSource::Definition(said, definition) => Input::Definition(DefinitionInput::merge(
                kind,
                ClusterBlock::of(cluster),
                said,
                definition.is,
            )),
        }
    }

    /// How many bytes that is, about.
    pub(crate) fn len(self) -> usize {
        match self {
            InputSource::Component(.., catalog) => catalog.ready.len(),
            InputSource::Definition(_, definition) => definition.ready.len(),
        }
    }

    /// Appends the same input to `out`; `cluster` is the cluster's block as JSON.
    pub(crate) fn write(self, cluster: &[u8], out: &mut Vec<u8>) {
        match self {
            InputSource::Component(said, patches, Target { is, ready }) => {
                ready.write_component(cluster, said, patches, is, out);
            }
            InputSource::Definition(said, Target { ready, .. }) => {
                ready.write_definition(cluster, said, out);
            }
        }
    }

    /// Whether the same is said; two revisions of a fleet share what did not change between them.
    pub(crate) fn equals(self, other: Self) -> bool {
        match (self, other) {
            (InputSource::Component(one, patches, catalog), InputSource::Component(other, others, its)) => {
                one.equals(other)
                    && patches.equals(others)
                    && (std::ptr::eq(catalog.is, its.is) || catalog.is == its.is)
            }
            (InputSource::Definition(one, definition), InputSource::Definition(other, its)) => {
                one.equals(other) && (std::ptr::eq(definition.is, its.is) || definition.is == its.is)
            }
            _ => false,
        }
    }
}

impl<'a> Input<'a> {
    /// Its id.
    pub fn id(&self) -> &'a str {
        match self {
            Input::Component(input) => input.id,
            Input::Definition(input) => &input.definition.id,
        }
    }

    /// What becomes of its objects when it goes.
    pub fn on_remove(&self) -> OnRemove {
        match self {
            Input::Component(input) => input.on_remove,
            Input::Definition(input) => input.on_remove,
        }
    }

    /// The two as values, without fields that are surely the same in both. Of large inputs that differ
    /// in one field, little is copied.
    pub(crate) fn differing(&self, other: &Self) -> (Value, Value) {
        match (self, other) {
            (Input::Component(one), Input::Component(other)) => one.differing(other),
            _ => (to_value(self), to_value(other)),
        }
    }
}

impl<'a> ClusterBlock<'a> {
    /// Where an input is made for no cluster yet.
    pub(crate) const NOBODY: ClusterBlock<'static> = ClusterBlock { name: "", dns: "", environment: "" };

    pub(crate) fn of(cluster: &'a Cluster) -> Self {
        let Cluster { cluster_name, cluster_dns, environment, .. } = cluster;
        ClusterBlock { name: cluster_name, dns: cluster_dns, environment }
    }
}

/// Where a component comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Source<'a> {
    /// The catalog's.
    pub oci_url: &'a str,
    /// The cluster's, else its profiles', else the catalog's, else `latest`.
    pub oci_tag: &'a str,
}

/// A platform component as one cluster gets it.
#[derive(Debug, serde::Serialize)]
pub struct ComponentInput<'a> {
    /// The component's id.
    pub id: &'a str,
    /// The cluster's, else its profiles', else the catalog's.
    pub component_path: &'a str,
    /// The catalog's, else `latest`.
    pub component_version: &'a str,
    /// The catalog's, else false.
    pub cluster_env_enabled: bool,
    /// The catalog's.
    pub depends_on: &'a [String],
    /// The cluster's, else its profiles', else the catalog's, else true.
    pub enabled: bool,
    /// The cluster's patches of this component over those of its profiles, else empty.
    pub patches: Cow<'a, Patches>,
    /// The cluster.
    pub cluster: ClusterBlock<'a>,
    /// Where it comes from.
    pub source: Source<'a>,
    /// The catalog's, else helm.
    pub delivery: Delivery,
    /// The cluster's, else its profiles', else the catalog's, else delete.
    pub on_remove: OnRemove,
    /// The catalog's with the profiles' and the cluster's merged into it.
    pub release: Cow<'a, Body>,
}

impl<'a> ComponentInput<'a> {
    pub(crate) fn merge(
        cluster: ClusterBlock<'a>,
        said: Said<'a, ComponentReference>,
        patches: SaidPatches<'a>,
        catalog: &'a Component,
    ) -> Self {
        let component_path = said.highest(|one| one.component_path.as_deref());
        let oci_tag = said.highest(|one| one.oci_tag.as_deref()).or(catalog.oci_tag.as_deref());
        ComponentInput {
            id: &said.top.id,
            component_path: component_path.unwrap_or(&catalog.component_path),
            component_version: catalog.component_version.as_deref().unwrap_or(LATEST),
            cluster_env_enabled: catalog.cluster_env_enabled.unwrap_or(false),
            depends_on: &catalog.depends_on,
            enabled: said.highest(|one| one.enabled).or(catalog.enabled).unwrap_or(true),
            patches: patches.merged(),
            cluster,
            source: Source { oci_url: &catalog.oci_url, oci_tag: oci_tag.unwrap_or(LATEST) },
            delivery: catalog.delivery,
            on_remove: said.highest(|one| one.on_remove).or(catalog.on_remove).unwrap_or_default(),
            release: release(said, catalog),
        }
    }
}

/// The catalog's with what is said over it, copied only where several layers say something.
pub(crate) fn release<'a>(said: Said<'a, ComponentReference>, catalog: &'a Component) -> Cow<'a, Body> {
    let layers = [Some(&catalog.release), said.below.map(|below| &below.release), Some(&said.top.release)];
    let mut saying = layers.into_iter().flatten().filter(|release| !release.is_empty());
    let lowest = saying.next().unwrap_or(&catalog.release);
    saying.fold(Cow::Borrowed(lowest), |merged, over| Cow::Owned(merge_release(&merged, over)))
}

impl ComponentInput<'_> {
    fn differing(&self, other: &Self) -> (Value, Value) {
        // Taken apart whole, so that a field which is added cannot be forgotten here.
        let ComponentInput {
            id,
            component_path,
            component_version,
            cluster_env_enabled,
            depends_on,
            enabled,
            patches,
            cluster,
            source,
            delivery,
            on_remove,
            release,
        } = self;
        let mut differing = Differing::default();
        differing.add("id", id, &other.id);
        differing.add("component_path", component_path, &other.component_path);
        differing.add("component_version", component_version, &other.component_version);
        differing.add("cluster_env_enabled", cluster_env_enabled, &other.cluster_env_enabled);
        differing.add("depends_on", depends_on, &other.depends_on);
        differing.add("enabled", enabled, &other.enabled);
        differing.add("patches", patches, &other.patches);
        differing.add("cluster", cluster, &other.cluster);
        differing.add("source", source, &other.source);
        differing.add("delivery", delivery, &other.delivery);
        differing.add("on_remove", on_remove, &other.on_remove);
        differing.add("release", release, &other.release);
        (differing.one.into(), differing.other.into())
    }
}

/// Two objects that are made of the fields in which they differ.
#[derive(Default)]
struct Differing {
    one: Body,
    other: Body,
}

impl Differing {
    fn add<T: PartialEq + Serialize>(&mut self, field: &str, one: &T, other: &T) {
        if one != other {
            self.one.insert(field.into(), to_value(one));
            self.other.insert(field.into(), to_value(other));
        }
    }
}

/// `value` as a value. Of what has string keys only, that cannot fail.
pub(crate) fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// A definition as one cluster gets it: every property of the type's schema, whether written or not.
#[derive(Debug)]
pub struct DefinitionInput<'a> {
    kind: &'a ResourceType,
    definition: &'a Definition,
    /// What the cluster and its profiles say instead.
    said: Said<'a, Reference>,
    on_remove: OnRemove,
    cluster: ClusterBlock<'a>,
}

impl<'a> DefinitionInput<'a> {
    pub(crate) fn merge(
        kind: &'a ResourceType,
        cluster: ClusterBlock<'a>,
        said: Said<'a, Reference>,
        definition: &'a Definition,
    ) -> Self {
        let on_remove = said.highest(|one| one.on_remove).or(definition.on_remove).unwrap_or_default();
        DefinitionInput { kind, definition, said, on_remove, cluster }
    }

    /// What was written of the property `name`, by the cluster, in its profiles or else in the definition.
    pub(crate) fn field(&self, name: &str) -> Option<&'a Value> {
        let overridable = self.kind.overridable().contains(name);
        let overriding = self.said.highest(|one| one.overrides.get(name)).filter(|_| overridable);
        overriding.or_else(|| self.definition.fields.get(name))
    }
}

impl Serialize for DefinitionInput<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.definition.id)?;
        for (property, default) in self.kind.input_fields() {
            map.serialize_entry(property, self.field(property).unwrap_or(default))?;
        }
        map.serialize_entry("on_remove", &self.on_remove)?;
        map.serialize_entry("cluster", &self.cluster)?;
        map.end()
    }
}

impl Serialize for Input<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Input::Component(input) => input.serialize(serializer),
            Input::Definition(input) => input.serialize(serializer),
        }
    }
}
