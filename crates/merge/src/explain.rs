//! Where each field of an answer comes from: which document says it, at which place, and whose word it
//! goes over.

use std::collections::BTreeSet;
use std::sync::Arc;

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    Body, Cluster, PATCHES, PLATFORM_COMPONENTS, PROFILES, ResourceType, TOMBSTONES, UNSET_PATCHES,
};
use serde::Serialize;
use serde_json::Value;

use crate::difference::push_key;
use crate::field::Field;
use crate::fleet::Fleet;
use crate::release::merge_release;

/// What gives a field its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The catalog entry.
    Catalog,
    /// The cluster's reference to it.
    Override,
    /// The cluster's patches.
    Patch,
    /// A profile of the cluster.
    Profile,
    /// The definition.
    Definition,
    /// The cluster's own document.
    Cluster,
    /// Nobody: it is what stands for what was not written.
    Default,
}

/// One input of a cluster, field by field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedInput {
    /// The plural of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Every field that has none below it, in the order of their keys.
    pub fields: Vec<ExplainedField>,
}

/// One field of an input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedField {
    /// The keys that lead to it, as plans write them: `source.oci_tag`.
    pub path: String,
    /// What is answered.
    pub value: Value,
    /// What says so.
    pub from: Origin,
    /// The document in which that stands; of a default, in which it would.
    #[serde(serialize_with = "as_text")]
    pub document: Key,
    /// Where it stands there, or would.
    pub field: Field,
    /// What would be answered were it not said there, where a lower layer says something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrode: Option<Overrode>,
}

/// The value that another goes over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overrode {
    /// What it is.
    pub value: Value,
    /// What says so.
    pub from: Origin,
    /// The document in which that stands.
    #[serde(serialize_with = "as_text")]
    pub document: Key,
}

/// Why there is nothing to explain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoExplanation {
    /// There is no cluster with this id, nor one that is held.
    #[error("clusters/{0} does not exist")]
    UnknownCluster(String),
    /// No type that Flux polls has this plural or path.
    #[error("`{0}` is no type that clusters poll")]
    UnknownType(String),
    /// The cluster gets no such input.
    #[error("the cluster gets no input `{0}`")]
    UnknownInput(String),
}

impl Fleet {
    /// Where each field of what a cluster gets comes from: of the inputs of one type, named by its plural or
    /// its Flux path, or of all; of one input, named by its id, or of all. What a held or frozen cluster
    /// would get is explained too.
    ///
    /// # Errors
    /// There is no such cluster, type or input.
    pub fn explain(
        &self,
        cluster: &str,
        kind: Option<&str>,
        input: Option<&str>,
    ) -> Result<Vec<ExplainedInput>, NoExplanation> {
        let subject = Subject::of(self, cluster);
        let subject = subject.ok_or_else(|| NoExplanation::UnknownCluster(cluster.to_owned()))?;
        let asked = |named: &&Arc<ResourceType>| {
            kind.is_none_or(|kind| named.plural() == kind || named.flux_path() == Some(kind))
        };
        let polled = self.types().iter().filter(|kind| kind.flux_path().is_some());
        let kinds: Vec<_> = polled.filter(asked).collect();
        if kinds.is_empty() {
            return Err(NoExplanation::UnknownType(kind.unwrap_or_default().to_owned()));
        }
        let inputs = kinds.into_iter().flat_map(|kind| subject.inputs(kind, input)).collect::<Vec<_>>();
        match input {
            Some(input) if inputs.is_empty() => Err(NoExplanation::UnknownInput(input.to_owned())),
            _ => Ok(inputs),
        }
    }
}

/// A cluster, and the document in which it stands.
pub(crate) struct Subject<'a> {
    fleet: &'a Fleet,
    pub(crate) cluster: &'a Cluster,
    pub(crate) key: Key,
    /// Where in that document.
    pub(crate) place: Field,
    pub(crate) body: Body,
    /// Its profiles, the highest first.
    profiles: Vec<(Key, Body)>,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(fleet: &'a Fleet, id: &str) -> Option<Self> {
        let cluster = fleet.subject(id)?;
        let key = fleet.subject_key(id);
        let held = key.kind == TOMBSTONES;
        let place = if held { Field::new(["cluster"]) } else { Field::document() };
        let body = fleet.get(&key)?.to_body();
        let profiles = fleet.profiles_of(id).rev().map(|profile| Key::new(PROFILES, &profile.id));
        let profiles = profiles.filter_map(|key| Some((fleet.get(&key)?.to_body(), key)));
        let profiles = profiles.map(|(body, key)| (key, body)).collect();
        Some(Subject { fleet, cluster, key, place, body, profiles })
    }

    pub(crate) fn inputs(&self, kind: &ResourceType, wanted: Option<&str>) -> Vec<ExplainedInput> {
        let is_wanted = |id: &str| wanted.is_none_or(|wanted| wanted == id);
        let sources = self.fleet.sources(self.cluster, kind, is_wanted);
        let explained = sources.filter_map(|source| {
            let Ok(Value::Object(input)) = serde_json::to_value(source.input(self.cluster, kind)) else {
                return None;
            };
            Some(self.input(kind, source.id().to_owned(), &input))
        });
        explained.collect()
    }

    fn input(&self, kind: &ResourceType, id: String, input: &Body) -> ExplainedInput {
        let key = Key::new(kind.plural(), &id);
        let sources = Sources {
            subject: self,
            definition: self.fleet.get(&key).map(|document| document.to_body()).unwrap_or_default(),
            origin: if key.kind == PLATFORM_COMPONENTS { Origin::Catalog } else { Origin::Definition },
            overrides: kind.overridable(),
            key,
        };
        let mut fields = Vec::new();
        for (name, value) in input {
            let below = value.as_object().filter(|_| matches!(name.as_str(), "cluster" | "source"));
            match below {
                Some(block) => block.iter().for_each(|(field, value)| {
                    let path = [name.as_str(), field.as_str()];
                    descend(&path, value, &sources.layers(&path), &mut fields);
                }),
                None => descend(&[name], value, &sources.layers(&[name]), &mut fields),
            }
        }
        ExplainedInput { kind: kind.plural().to_owned(), id, fields }
    }
}

/// The documents that one input is made of.
struct Sources<'a> {
    subject: &'a Subject<'a>,
    key: Key,
    definition: Body,
    /// What the definition is called.
    origin: Origin,
    /// The properties that references may override.
    overrides: &'a BTreeSet<String>,
}

/// What one document says of a field.
#[derive(Clone)]
struct Layer<'a> {
    origin: Origin,
    document: &'a Key,
    field: Field,
    value: Option<&'a Value>,
    /// The keys of lower layers that do not hold here.
    unset: Option<&'a Value>,
}

impl<'a> Layer<'a> {
    fn below(&self, key: &str) -> Self {
        let value = self.value.and_then(|value| value.get(key));
        Layer { field: self.field.below(key), value, unset: None, ..self.clone() }
    }

    /// Whether lower layers have no say in what stands under `key`.
    fn covers(&self, key: &str) -> bool {
        let unset = self.unset.and_then(Value::as_array).into_iter().flatten();
        self.value.is_some_and(|value| !value.is_object()) || unset.into_iter().any(|one| one == key)
    }
}

impl Sources<'_> {
    /// The layers that have a say in the input's field at `path`, the highest first.
    fn layers(&self, path: &[&str]) -> Vec<Layer<'_>> {
        let component = self.origin == Origin::Catalog;
        let Key { kind, id } = &self.key;
        match path {
            // Who speaks of it last, has it there; what lower layers say of that is the same.
            ["id"] => {
                let said = self.said(Origin::Cluster, &[kind, id, "id"]);
                said.into_iter().filter(|layer| layer.value.is_some()).take(1).collect()
            }
            ["cluster", "name"] => vec![self.of_cluster(Origin::Cluster, &["cluster_name"])],
            ["cluster", "dns"] => vec![self.of_cluster(Origin::Cluster, &["cluster_dns"])],
            ["cluster", field] => vec![self.of_cluster(Origin::Cluster, &[field])],
            ["patches"] if component => self.patches(),
            ["on_remove"] => self.overridable("on_remove"),
            ["enabled" | "component_path" | "release"] | ["source", "oci_tag"] if component => {
                self.overridable(path[path.len() - 1])
            }
            [field] if self.overrides.contains(*field) => self.overridable(field),
            [.., field] => vec![self.of_definition(field)],
            [] => Vec::new(),
        }
    }

    fn overridable(&self, field: &str) -> Vec<Layer<'_>> {
        let Key { kind, id } = &self.key;
        let mut layers = self.said(Origin::Override, &[kind, id, field]);
        layers.push(self.of_definition(field));
        layers
    }

    fn patches(&self) -> Vec<Layer<'_>> {
        let id = &self.key.id;
        let layers = self.said(Origin::Patch, &[PATCHES, id]).into_iter();
        let unset = self.said(Origin::Patch, &[UNSET_PATCHES, id]);
        layers.zip(unset).map(|(layer, unset)| Layer { unset: unset.value, ..layer }).collect()
    }

    /// What the cluster and its profiles say at `steps`, the highest first; `origin` is the cluster's.
    fn said(&self, origin: Origin, steps: &[&str]) -> Vec<Layer<'_>> {
        let profiles = self.subject.profiles.iter().map(|(key, body)| {
            let field = Field::new(steps.iter().copied());
            let value = field.value(&key.kind, body);
            Layer { origin: Origin::Profile, document: key, field, value, unset: None }
        });
        std::iter::once(self.of_cluster(origin, steps)).chain(profiles).collect()
    }

    fn of_cluster(&self, origin: Origin, steps: &[&str]) -> Layer<'_> {
        let Subject { key, place, body, .. } = self.subject;
        let field = steps.iter().fold(place.clone(), |field, step| field.below(*step));
        let value = field.value(&key.kind, body);
        Layer { origin, document: key, field, value, unset: None }
    }

    fn of_definition(&self, name: &str) -> Layer<'_> {
        let value = self.definition.get(name);
        Layer { origin: self.origin, document: &self.key, field: Field::new([name]), value, unset: None }
    }
}

/// Explains every field of `value`, which is the input's at `path`.
fn descend(path: &[&str], value: &Value, layers: &[Layer<'_>], found: &mut Vec<ExplainedField>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let end = layers.iter().position(|layer| layer.covers(key)).map_or(layers.len(), |at| at + 1);
                let layers: Vec<_> = layers.iter().take(end).map(|layer| layer.below(key)).collect();
                descend(&[path, &[key]].concat(), value, &layers, found);
            }
        }
        leaf => found.extend(explained(path, leaf, layers)),
    }
}

fn explained(path: &[&str], value: &Value, layers: &[Layer<'_>]) -> Option<ExplainedField> {
    // In a release null is a value, as in a definition; elsewhere it is what was not written.
    let release = path.first() == Some(&"release");
    // No patches are left: whoever set some had them unset above.
    let none_left = path == ["patches"];
    let says = |layer: &&Layer<'_>| {
        let nullable = release || layer.origin == Origin::Definition;
        layer.value.is_some_and(|said| (nullable || !said.is_null()) && (!none_left || said == value))
    };
    let mut saying = layers.iter().filter(says);
    let (layer, from) = match saying.next() {
        Some(layer) => (layer, layer.origin),
        // Patches have no lowest layer but those of clusters and profiles.
        None if none_left => (layers.first()?, Origin::Default),
        None => (layers.last()?, Origin::Default),
    };
    let overrode = saying.next().and_then(|lower| {
        let value = together(lower.value?, saying.filter_map(|layer| layer.value));
        Some(Overrode { value, from: lower.origin, document: lower.document.clone() })
    });
    let mut text = String::new();
    path.iter().for_each(|key| push_key(&mut text, key));
    let (document, field) = (layer.document.clone(), layer.field.clone());
    Some(ExplainedField { path: text, value: value.clone(), from, document, field, overrode })
}

/// What a layer's value comes to over those of lower ones, the next lower first: objects are merged.
fn together<'a>(top: &Value, lower: impl Iterator<Item = &'a Value>) -> Value {
    let Value::Object(top) = top else { return top.clone() };
    let mut layers: Vec<&Body> = lower.map_while(Value::as_object).collect();
    layers.reverse();
    layers.push(top);
    layers.into_iter().fold(Body::new(), |merged, over| merge_release(&merged, over)).into()
}

fn as_text<S: serde::Serializer>(key: &Key, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}
