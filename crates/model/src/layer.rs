//! What a cluster and a profile can both carry: references with overrides, and patches. Layers are put
//! over each other by the merge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use litemap::LiteMap;
use serde_json::Value;

use crate::component::{Delivery, check_release};
use crate::expiry::Expiry;
use crate::fields::{Fields, Kept};
use crate::object::ObjectWriter;
use crate::patch_key::{check_helm_keys, check_substitute_keys};
use crate::patches::Patches;
use crate::reference::{ComponentReference, REMARKS, Reference, Written};
use crate::violation::Violation;
use crate::{Body, PATCHES, PLATFORM_COMPONENTS, UNSET_PATCHES, Unreadable};

/// What one cluster or profile carries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layer {
    /// In the order in which they are answered.
    pub platform_components: Vec<ComponentReference>,
    /// By the type's plural, in the order in which they are answered.
    pub references: LiteMap<Arc<str>, Vec<Reference>>,
    /// By component id.
    pub patches: LiteMap<Arc<str>, Patches>,
    /// Patch keys of lower layers that do not hold here, by component id.
    pub unset_patches: LiteMap<Arc<str>, BTreeSet<String>>,
}

impl Layer {
    /// Reads the layer that a document has among its `fields`; `types` are the plurals of the types that it
    /// may refer to. What stays as it is `kept` from the layer that it had.
    pub(crate) fn read(
        fields: &Fields<'_>,
        types: &[String],
        kept: Kept<'_, Layer>,
    ) -> Result<Self, Unreadable> {
        let mut references = BTreeMap::new();
        for plural in types {
            let list = match kept.field(plural) {
                Some(known) => known.references.get(plural.as_str()).cloned(),
                None => fields.optional::<Vec<_>>(plural)?,
            };
            if let Some(mut list) = list {
                list.shrink_to_fit();
                references.insert(plural.clone(), list);
            }
        }
        let mut platform_components = match kept.field(PLATFORM_COMPONENTS) {
            Some(known) => known.platform_components.clone(),
            None => fields.or_default(PLATFORM_COMPONENTS)?,
        };
        platform_components.shrink_to_fit();
        Ok(Layer {
            platform_components,
            references: by_id(references),
            patches: match kept.field(PATCHES) {
                Some(known) => known.patches.clone(),
                None => by_id(fields.or_default(PATCHES)?),
            },
            unset_patches: match kept.field(UNSET_PATCHES) {
                Some(known) => known.unset_patches.clone(),
                None => by_id(fields.or_default(UNSET_PATCHES)?),
            },
        })
    }

    /// The fields of a document that say this and are `wanted`, as JSON by their names. What is there and empty
    /// is not told apart from what is not there.
    pub(crate) fn to_fields(&self, wanted: &dyn Fn(&str) -> bool) -> BTreeMap<&str, String> {
        let mut fields = BTreeMap::new();
        if !self.platform_components.is_empty() && wanted(PLATFORM_COMPONENTS) {
            fields.insert(PLATFORM_COMPONENTS, list(&self.platform_components));
        }
        let references = self.references.iter().filter(|(plural, _)| wanted(plural));
        fields.extend(references.map(|(plural, references)| (&**plural, list(references))));
        if !self.patches.is_empty() && wanted(PATCHES) {
            let patches = |object: &mut ObjectWriter<'_>| {
                for (id, patches) in &self.patches {
                    object.field(id).extend_from_slice(patches.as_json().as_bytes());
                }
            };
            fields.insert(PATCHES, object(patches));
        }
        if !self.unset_patches.is_empty() && wanted(UNSET_PATCHES) {
            let unset = |object: &mut ObjectWriter<'_>| {
                self.unset_patches.iter().for_each(|(id, keys)| object.optional(id, Some(keys)));
            };
            fields.insert(UNSET_PATCHES, object(unset));
        }
        fields
    }

    /// What it speaks of, each by the plural of its type and its id; some more than once.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &str)> {
        let components = self.platform_components.iter().map(|reference| &reference.id);
        let components = components.chain(self.patches.keys()).chain(self.unset_patches.keys());
        let definitions = self.references.iter().flat_map(|(plural, references)| {
            references.iter().map(move |reference| (&**plural, &*reference.id))
        });
        components.map(|id| (PLATFORM_COMPONENTS, &**id)).chain(definitions)
    }

    /// Where in the document it stands that the `at`th reference of the type `plural` does.
    pub fn pointer(plural: &str, at: usize) -> String {
        format!("/{plural}/{at}")
    }

    /// Where in the list of its type the reference to `id` stands.
    pub fn position(&self, plural: &str, id: &str) -> Option<usize> {
        if plural == PLATFORM_COMPONENTS {
            return self.platform_components.iter().position(|reference| *reference.id == *id);
        }
        self.references.get(plural)?.iter().position(|reference| *reference.id == *id)
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
        let components = self.platform_components.iter().map(|reference| &*reference.id);
        found.extend(repeated(PLATFORM_COMPONENTS, components));
        for (plural, references) in &self.references {
            found.extend(repeated(plural, references.iter().map(|reference| &*reference.id)));
        }
        let plurals = self.references.keys().map(|plural| &**plural).chain([PLATFORM_COMPONENTS]);
        found.extend(plurals.flat_map(|plural| remarks(plural, body)));
        for (id, keys) in &self.unset_patches {
            let set = self.patches.get(id).map(Patches::to_map).unwrap_or_default();
            if let Some(key) = keys.iter().find(|key| set.contains_key(*key)) {
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
        for (at, reference) in references.filter(|(_, reference)| *reference.id == *id) {
            let pointer = format!("/{PLATFORM_COMPONENTS}/{at}/release");
            found.extend(check_release(&reference.release, delivery, &pointer));
        }
        if let Some(patches) = self.patches.get(id) {
            let (pointer, patches) = (format!("/{PATCHES}/{id}"), patches.to_map());
            found.extend(match delivery {
                Delivery::Helm => check_helm_keys(patches.keys().map(String::as_str), &pointer),
                Delivery::Kustomize => check_substitute_keys(patches.keys().map(String::as_str), &pointer),
            });
        }
        found
    }
}

fn list(references: &[impl Written]) -> String {
    // Most say no more than an id.
    let mut out = Vec::with_capacity(references.len() * 32);
    out.push(b'[');
    for (at, reference) in references.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        reference.write(&mut out);
    }
    out.push(b']');
    String::from_utf8(out).unwrap_or_default()
}

fn object(fill: impl FnOnce(&mut ObjectWriter<'_>)) -> String {
    let mut out = Vec::new();
    let mut object = ObjectWriter::begin(&mut out);
    fill(&mut object);
    object.end();
    String::from_utf8(out).unwrap_or_default()
}

fn by_id<T>(entries: BTreeMap<String, T>) -> LiteMap<Arc<str>, T> {
    let entries: Vec<_> = entries.into_iter().map(|(id, entry)| (id.into(), entry)).collect();
    // Sorted already, and no larger than need be.
    LiteMap::from_sorted_store_unchecked(entries)
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
