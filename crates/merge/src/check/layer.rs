//! What one layer says, a cluster's own or a profile's, judged beside what it refers to.

use std::collections::BTreeSet;
use std::sync::Arc;

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    Body, ComponentReference, Delivery, Layer, PATCHES, PLATFORM_COMPONENTS, Profile, Reference,
    UNSET_PATCHES, Violation, check_version,
};

use crate::fleet::Fleet;
use crate::layered::Said;

pub(super) fn profile_violations(fleet: &Fleet, profile: &Profile, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let layer = &profile.layer;
    let mut found = references(fleet, layer, broken);
    found.extend(deliveries(fleet, layer, |_| true));
    found.extend(versions(fleet, layer));
    for (plural, references) in &layer.references {
        for (at, reference) in references.iter().enumerate() {
            let said = Said { top: reference, below: None };
            let wrong = overrides(fleet, plural, said).into_iter();
            found.extend(wrong.map(|violation| violation.under(&Layer::pointer(plural, at))));
        }
    }
    found
}

pub(super) fn references(fleet: &Fleet, layer: &Layer, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let missing = layer.targets().filter(|(plural, id)| !fleet.has(plural, id));
    let missing = missing.filter(|target| seen.insert(*target)).map(|(plural, id)| Key::new(plural, id));
    let missing = missing.filter(|key| !broken.contains(key));
    let said = |key: Key| {
        let message = format!("{key} does not exist");
        places(layer, &key)
            .into_iter()
            .map(move |pointer| Violation::new(pointer, "reference", message.clone()))
    };
    missing.flat_map(said).collect()
}

/// Everywhere that `layer` speaks of `key`.
fn places(layer: &Layer, key: &Key) -> Vec<String> {
    let mut pointers = Vec::new();
    let mut referred = |at: usize, id: &str| {
        let here = (id == key.id).then(|| format!("{}/id", Layer::pointer(&key.kind, at)));
        pointers.extend(here);
    };
    if key.kind != PLATFORM_COMPONENTS {
        let references = layer.references.get(key.kind.as_str()).into_iter().flatten();
        references.enumerate().for_each(|(at, one)| referred(at, &one.id));
        return pointers;
    }
    layer.platform_components.iter().enumerate().for_each(|(at, one)| referred(at, &one.id));
    let of_keys = [
        (PATCHES, layer.patches.contains_key(key.id.as_str())),
        (UNSET_PATCHES, layer.unset_patches.contains_key(key.id.as_str())),
    ];
    let spoken_of = of_keys.into_iter().filter(|(_, spoken_of)| *spoken_of);
    pointers.extend(spoken_of.map(|(field, _)| format!("/{field}/{}", key.id)));
    pointers
}

/// What is wrong with what `layer` says of the components `wanted`, by how they are delivered.
pub(super) fn deliveries(fleet: &Fleet, layer: &Layer, wanted: impl Fn(&str) -> bool) -> Vec<Violation> {
    let referred = layer.platform_components.iter().filter(|reference| !reference.release.is_empty());
    let referred = referred.map(|reference| &reference.id);
    let ids: BTreeSet<&Arc<str>> = referred.chain(layer.patches.keys()).filter(|id| wanted(id)).collect();
    let known = ids.into_iter().filter_map(|id| Some((id, fleet.component(id)?)));
    known.flat_map(|(id, component)| layer.check_delivery(id, component.delivery)).collect()
}

/// What is said instead of a definition must leave it as its type wants it; by pointers into the reference.
pub(super) fn overrides(fleet: &Fleet, plural: &str, said: Said<'_, Reference>) -> Vec<Violation> {
    let Some(kind) = fleet.resource_type(plural) else { return Vec::new() };
    let reference = said.merged();
    let own = reference.overrides.iter().filter(|(field, _)| kind.overridable().contains(*field));
    let own: Body = own.map(|(field, value)| (field.clone(), value.clone())).collect();
    if own.is_empty() {
        return Vec::new();
    }
    let Some(document) = fleet.get(&Key::new(plural, &*reference.id)) else { return Vec::new() };
    let definition = document.to_body();
    let mut whole = definition.clone();
    whole.extend(own);
    let mut wrong = kind.validate(&whole, fleet.rules());
    if !wrong.is_empty() {
        // What is wrong with the definition itself is said of that.
        let known = kind.validate(&definition, fleet.rules());
        wrong.retain(|violation| !known.contains(violation));
    }
    wrong
}

/// A layer's own versions must be such for what installs them; the catalog's are judged with the catalog.
pub(super) fn versions(fleet: &Fleet, layer: &Layer) -> Vec<Violation> {
    let judge = |(at, reference): (usize, &ComponentReference)| {
        let catalog = fleet.component(&reference.id)?;
        let installed = match (reference.oci_tag.as_deref()?, catalog.delivery) {
            ("latest", Delivery::Helm) => catalog.component_version.as_deref()?,
            (tag, _) => tag,
        };
        let pointer = format!("{}/oci_tag", Layer::pointer(PLATFORM_COMPONENTS, at));
        check_version(installed, catalog.delivery, &pointer)
    };
    layer.platform_components.iter().enumerate().filter_map(judge).collect()
}
