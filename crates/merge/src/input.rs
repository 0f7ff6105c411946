//! One input of an answer, borrowed from the documents it is made of. It can be written as JSON
//! straight into a buffer, or turned into a value to be walked.

use std::borrow::Cow;

use flux_resourceset_model::{
    Body, Cluster, Component, ComponentReference, Definition, Delivery, OnRemove, Patches, Reference,
    ResourceType,
};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::release::merge_release;

/// What an answer says of an unset version.
const LATEST: &str = "latest";

static NO_PATCHES: Patches = Patches::new();

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

/// A cluster's reference and what it refers to, not merged yet.
#[derive(Clone, Copy)]
pub(crate) enum InputSource<'a> {
    Component(&'a ComponentReference, &'a Component),
    Definition(&'a Reference, &'a Definition),
}

impl<'a> InputSource<'a> {
    pub(crate) fn id(self) -> &'a str {
        match self {
            InputSource::Component(reference, _) => &reference.id,
            InputSource::Definition(reference, _) => &reference.id,
        }
    }

    /// The input that `cluster`, which refers so, gets.
    pub(crate) fn input(self, cluster: &'a Cluster, kind: &'a ResourceType) -> Input<'a> {
        match self {
            InputSource::Component(reference, catalog) => {
                Input::Component(Box::new(ComponentInput::merge(cluster, reference, catalog)))
            }
            InputSource::Definition(reference, definition) => {
                Input::Definition(DefinitionInput::merge(kind, cluster, reference, definition))
            }
        }
    }

    /// Whether the same is said; two revisions of a fleet share what did not change between them.
    pub(crate) fn equals(self, other: Self) -> bool {
        match (self, other) {
            (InputSource::Component(one, catalog), InputSource::Component(other, its)) => {
                one == other && (std::ptr::eq(catalog, its) || catalog == its)
            }
            (InputSource::Definition(one, definition), InputSource::Definition(other, its)) => {
                one == other && (std::ptr::eq(definition, its) || definition == its)
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
    /// The cluster's, else the catalog's, else `latest`.
    pub oci_tag: &'a str,
}

/// A platform component as one cluster gets it.
#[derive(Debug, serde::Serialize)]
pub struct ComponentInput<'a> {
    /// The component's id.
    pub id: &'a str,
    /// The cluster's, else the catalog's.
    pub component_path: &'a str,
    /// The catalog's, else `latest`.
    pub component_version: &'a str,
    /// The catalog's, else false.
    pub cluster_env_enabled: bool,
    /// The catalog's.
    pub depends_on: &'a [String],
    /// The cluster's, else the catalog's, else true.
    pub enabled: bool,
    /// The cluster's patches of this component, else empty.
    pub patches: &'a Patches,
    /// The cluster.
    pub cluster: ClusterBlock<'a>,
    /// Where it comes from.
    pub source: Source<'a>,
    /// The catalog's, else helm.
    pub delivery: Delivery,
    /// The cluster's, else the catalog's, else delete.
    pub on_remove: OnRemove,
    /// The catalog's with the cluster's merged into it.
    pub release: Cow<'a, Body>,
}

impl<'a> ComponentInput<'a> {
    pub(crate) fn merge(
        cluster: &'a Cluster,
        reference: &'a ComponentReference,
        catalog: &'a Component,
    ) -> Self {
        ComponentInput {
            id: &reference.id,
            component_path: reference.component_path.as_deref().unwrap_or(&catalog.component_path),
            component_version: catalog.component_version.as_deref().unwrap_or(LATEST),
            cluster_env_enabled: catalog.cluster_env_enabled.unwrap_or(false),
            depends_on: &catalog.depends_on,
            enabled: reference.enabled.or(catalog.enabled).unwrap_or(true),
            patches: cluster.patches.get(&reference.id).unwrap_or(&NO_PATCHES),
            cluster: ClusterBlock::of(cluster),
            source: Source {
                oci_url: &catalog.oci_url,
                oci_tag: reference.oci_tag.as_deref().or(catalog.oci_tag.as_deref()).unwrap_or(LATEST),
            },
            delivery: catalog.delivery,
            on_remove: reference.on_remove.or(catalog.on_remove).unwrap_or_default(),
            release: match (catalog.release.is_empty(), reference.release.is_empty()) {
                (_, true) => Cow::Borrowed(&catalog.release),
                (true, _) => Cow::Borrowed(&reference.release),
                _ => Cow::Owned(merge_release(&catalog.release, &reference.release)),
            },
        }
    }
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
    /// What the cluster's reference says instead.
    overrides: &'a Body,
    on_remove: OnRemove,
    cluster: ClusterBlock<'a>,
}

impl<'a> DefinitionInput<'a> {
    pub(crate) fn merge(
        kind: &'a ResourceType,
        cluster: &'a Cluster,
        reference: &'a Reference,
        definition: &'a Definition,
    ) -> Self {
        let on_remove = reference.on_remove.or(definition.on_remove).unwrap_or_default();
        let overrides = &reference.overrides;
        DefinitionInput { kind, definition, overrides, on_remove, cluster: ClusterBlock::of(cluster) }
    }

    /// What was written of the property `name`, by the cluster or else in the definition.
    pub(crate) fn field(&self, name: &str) -> Option<&'a Value> {
        let overriding = self.overrides.get(name).filter(|_| self.kind.overridable().contains(name));
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
