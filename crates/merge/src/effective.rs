//! A cluster's document with its profiles worked into it: what it would have to say itself to get the same.

use std::collections::BTreeMap;

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    Body, CLUSTERS, PATCHES, PLATFORM_COMPONENTS, PROFILES, ResourceType, UNSET_PATCHES,
};
use serde_json::Value;

use crate::fleet::Fleet;
use crate::input::to_value;
use crate::layered::SaidPatches;
use crate::release::merge_release;

impl Fleet {
    /// The document of the cluster `id` with its profiles worked into it, so that in a fleet without
    /// profiles it would get the same answers. `None`: there is no such cluster.
    pub fn effective(&self, id: &str) -> Option<Body> {
        let cluster = self.cluster(id)?;
        let mut body = self.get(&Key::new(CLUSTERS, id))?.to_body();
        let profiles: Vec<Body> = self
            .profiles_of(id)
            .filter_map(|profile| Some(self.get(&Key::new(PROFILES, &profile.id))?.to_body()))
            .collect();
        for kind in self.types().iter().filter(|kind| is_referred_to(kind)) {
            let layers = profiles.iter().chain([&body]).map(|layer| references(layer, kind.plural()));
            let layers: Vec<_> = layers.collect();
            let merged: Vec<Value> = self
                .sources(cluster, kind, |_| true)
                .map(|source| {
                    merged(layers.iter().filter_map(|layer| layer.get(source.id()).copied())).into()
                })
                .collect();
            if !merged.is_empty() || body.contains_key(kind.plural()) {
                body.insert(kind.plural().into(), merged.into());
            }
        }
        let stack = self.stack(id).map(|stack| &stack.patches);
        let own = &cluster.layer.patches;
        let ids = stack.into_iter().flat_map(BTreeMap::keys).chain(own.keys());
        let patches: BTreeMap<&str, _> = ids
            .map(|id| {
                let profiles = stack.and_then(|stack| stack.get(id));
                let unset = cluster.layer.unset_patches.get(id);
                (&**id, SaidPatches { profiles, unset, own: own.get(id) }.merged())
            })
            .collect();
        if !patches.is_empty() {
            body.insert(PATCHES.into(), to_value(&patches));
        }
        body.remove(UNSET_PATCHES);
        Some(body)
    }
}

fn is_referred_to(kind: &ResourceType) -> bool {
    kind.is_definition() || kind.plural() == PLATFORM_COMPONENTS
}

/// The references under `plural`, by id.
fn references<'a>(layer: &'a Body, plural: &str) -> BTreeMap<&'a str, &'a Body> {
    let list = layer.get(plural).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    list.filter_map(|reference| Some((reference.get("id")?.as_str()?, reference))).collect()
}

/// One reference that says what `layers`, the lowest first, say of it.
fn merged<'a>(layers: impl Iterator<Item = &'a Body>) -> Body {
    let mut merged = Body::new();
    for layer in layers {
        for (field, value) in layer.iter().filter(|(field, value)| *field != "exclude" && !value.is_null()) {
            let value = match (field.as_str(), merged.get(field), value) {
                ("release", Some(Value::Object(below)), Value::Object(over)) => {
                    merge_release(below, over).into()
                }
                _ => value.clone(),
            };
            merged.insert(field.clone(), value);
        }
    }
    merged
}
