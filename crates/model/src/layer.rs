//! What a cluster and a profile can both carry: references with overrides, and patches. Layers are put
//! over each other by the merge.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::component::{Delivery, OnRemove, check_release};
use crate::expiry::Expiry;
use crate::patch_key::{check_helm_keys, check_substitute_keys};
use crate::violation::Violation;
use crate::{Body, PATCHES, PLATFORM_COMPONENTS, UNSET_PATCHES, Unreadable};

/// The values of one component, by patch key.
pub type Patches = BTreeMap<String, String>;

/// What of a reference is about the reference itself and in no input.
pub(crate) const REMARKS: [&str; 2] = ["note", "expires"];

/// Whether every reference can say the field of itself, so that it is no property of a definition there.
pub(crate) fn is_said_of_references(field: &str) -> bool {
    field == "exclude" || REMARKS.contains(&field)
}

/// A reference to a catalog entry, with what it overrides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ComponentReference {
    /// The component's id.
    pub id: String,
    /// Whether the component is taken out of what lower layers refer to; then nothing else is said of it.
    #[serde(default)]
    pub exclude: bool,
    /// `None`: what a lower layer says, else the catalog, else true.
    pub enabled: Option<bool>,
    /// `None`: a lower layer's, else the catalog's.
    pub oci_tag: Option<String>,
    /// `None`: a lower layer's, else the catalog's.
    pub component_path: Option<String>,
    /// `None`: a lower layer's, else the catalog's.
    pub on_remove: Option<OnRemove>,
    /// Merged into what lower layers and the catalog say, key by key at every depth.
    #[serde(default)]
    pub release: Body,
}

/// A reference to a definition of any other type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reference {
    /// The definition's id.
    pub id: String,
    /// Whether the definition is taken out of what lower layers refer to; then nothing else is said of it.
    #[serde(default)]
    pub exclude: bool,
    /// `None`: a lower layer's, else the definition's.
    pub on_remove: Option<OnRemove>,
    /// What stands for the definition's properties here, each whole.
    #[serde(flatten)]
    pub overrides: Body,
}

impl ComponentReference {
    /// One that says nothing of the component `id`.
    pub fn to(id: &str) -> Self {
        ComponentReference {
            id: id.into(),
            exclude: false,
            enabled: None,
            oci_tag: None,
            component_path: None,
            on_remove: None,
            release: Body::new(),
        }
    }
}

impl Reference {
    /// One that says nothing of the definition `id`.
    pub fn to(id: &str) -> Self {
        Reference { id: id.into(), exclude: false, on_remove: None, overrides: Body::new() }
    }
}

/// What one cluster or profile carries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layer {
    /// In the order in which they are answered.
    pub platform_components: Vec<ComponentReference>,
    /// By the type's plural, in the order in which they are answered.
    pub references: BTreeMap<String, Vec<Reference>>,
    /// By component id.
    pub patches: BTreeMap<String, Patches>,
    /// Patch keys of lower layers that do not hold here, by component id.
    pub unset_patches: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    platform_components: Vec<ComponentReference>,
    #[serde(default)]
    patches: BTreeMap<String, Patches>,
    #[serde(default)]
    unset_patches: BTreeMap<String, BTreeSet<String>>,
}

impl Layer {
    /// Takes the layer out of `body`; `types` are the plurals of the types that it may refer to.
    pub(crate) fn take(body: &mut Body, types: &[String]) -> Result<Self, Unreadable> {
        let mut references = BTreeMap::new();
        for plural in types {
            if let Some(list) = body.remove(plural) {
                let mut list: Vec<Reference> = read(list)?;
                let remarks = list.iter_mut().map(|reference| &mut reference.overrides);
                remarks.for_each(|overrides| overrides.retain(|field, _| !REMARKS.contains(&field.as_str())));
                references.insert(plural.clone(), list);
            }
        }
        let own = [PLATFORM_COMPONENTS, PATCHES, UNSET_PATCHES];
        let own: Body = own.into_iter().filter_map(|field| body.remove_entry(field)).collect();
        let Written { platform_components, patches, unset_patches } = read(own.into())?;
        Ok(Layer { platform_components, references, patches, unset_patches })
    }

    /// What it speaks of, each by the plural of its type and its id; some more than once.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &str)> {
        let components = self.platform_components.iter().map(|reference| &reference.id);
        let components = components.chain(self.patches.keys()).chain(self.unset_patches.keys());
        let definitions = self.references.iter().flat_map(|(plural, references)| {
            references.iter().map(move |reference| (plural.as_str(), reference.id.as_str()))
        });
        components.map(|id| (PLATFORM_COMPONENTS, id.as_str())).chain(definitions)
    }

    /// Where in the document it stands that the `at`th reference of the type `plural` does.
    pub fn pointer(plural: &str, at: usize) -> String {
        format!("/{plural}/{at}")
    }

    /// Where in the list of its type the reference to `id` stands.
    pub fn position(&self, plural: &str, id: &str) -> Option<usize> {
        if plural == PLATFORM_COMPONENTS {
            return self.platform_components.iter().position(|reference| reference.id == id);
        }
        self.references.get(plural)?.iter().position(|reference| reference.id == id)
    }

    /// Whether it takes the input `id` of the type `plural` out of what lower layers refer to; `None`: it
    /// does not speak of that.
    pub fn excludes(&self, plural: &str, id: &str) -> Option<bool> {
        let at = self.position(plural, id)?;
        if plural == PLATFORM_COMPONENTS {
            return Some(self.platform_components.get(at)?.exclude);
        }
        Some(self.references.get(plural)?.get(at)?.exclude)
    }

    /// What JSON Schema cannot say of the layer that the document `body` carries.
    pub(crate) fn check(&self, body: &Body) -> Vec<Violation> {
        let mut found = Vec::new();
        let components = self.platform_components.iter().map(|reference| reference.id.as_str());
        found.extend(repeated(PLATFORM_COMPONENTS, components));
        for (plural, references) in &self.references {
            found.extend(repeated(plural, references.iter().map(|reference| reference.id.as_str())));
        }
        let plurals = self.references.keys().map(String::as_str).chain([PLATFORM_COMPONENTS]);
        found.extend(plurals.flat_map(|plural| remarks(plural, body)));
        for (id, keys) in &self.unset_patches {
            let both = |key: &&String| self.patches.get(id).is_some_and(|set| set.contains_key(*key));
            if let Some(key) = keys.iter().find(both) {
                let message = format!("`{key}` is set under {PATCHES}/{id} here: leave one of the two out");
                found.push(Violation::new(format!("/{UNSET_PATCHES}/{id}"), "repeated", message));
            }
        }
        found
    }

    /// What is wrong with this layer's release and patches for the component `id`, which is delivered by `delivery`.
    pub fn check_delivery(&self, id: &str, delivery: Delivery) -> Vec<Violation> {
        let mut found = Vec::new();
        let references = self.platform_components.iter().enumerate();
        for (at, reference) in references.filter(|(_, reference)| reference.id == id) {
            let pointer = format!("/{PLATFORM_COMPONENTS}/{at}/release");
            found.extend(check_release(&reference.release, delivery, &pointer));
        }
        if let Some(patches) = self.patches.get(id) {
            let pointer = format!("/{PATCHES}/{id}");
            found.extend(match delivery {
                Delivery::Helm => check_helm_keys(patches.keys().map(String::as_str), &pointer),
                Delivery::Kustomize => check_substitute_keys(patches.keys().map(String::as_str), &pointer),
            });
        }
        found
    }
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Unreadable> {
    serde_json::from_value(value).map_err(|error| Unreadable(error.to_string()))
}

/// What is wrong with what the references of `body` under `plural` say of themselves.
fn remarks(plural: &str, body: &Body) -> Vec<Violation> {
    let mut found = Vec::new();
    let references = body.get(plural).and_then(Value::as_array).into_iter().flatten();
    for (at, reference) in references.enumerate() {
        let pointer = format!("/{plural}/{at}");
        let beside = |field: &&String| {
            !["id", "exclude"].contains(&field.as_str()) && !REMARKS.contains(&field.as_str())
        };
        let fields = reference.as_object().into_iter().flat_map(Body::keys).filter(beside);
        let fields = fields.map(String::as_str).collect::<Vec<_>>();
        if reference.get("exclude") == Some(&true.into()) && !fields.is_empty() {
            let message =
                format!("what is taken out has no {}: leave out the one or the other", fields.join(", "));
            found.push(Violation::new(format!("{pointer}/exclude"), "exclude", message));
        }
        let expires = reference.get("expires").and_then(Value::as_str);
        if let Some(text) = expires.filter(|text| Expiry::parse(text).is_none()) {
            let message =
                format!("`{text}` is no date: write 2027-01-31, or a time such as 2027-01-31T18:00:00Z");
            found.push(Violation::new(format!("{pointer}/expires"), "format", message));
        }
    }
    found
}

fn repeated<'a>(plural: &str, ids: impl Iterator<Item = &'a str>) -> Vec<Violation> {
    let mut first = BTreeMap::new();
    let mut found = Vec::new();
    for (at, id) in ids.enumerate() {
        if let Some(earlier) = first.get(id) {
            let message = format!("`{id}` is already listed at /{plural}/{earlier}");
            found.push(Violation::new(format!("/{plural}/{at}/id"), "repeated", message));
        } else {
            first.insert(id, at);
        }
    }
    found
}
