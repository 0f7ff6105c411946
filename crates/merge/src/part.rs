//! Parts of documents as values: put in, taken out, brought into the form that is stored.

use flux_resourceset_model::change::{Key, Part};
use flux_resourceset_model::{Body, PATCHES, PLATFORM_COMPONENTS, Parts, ResourceType, UNSET_PATCHES};
use serde_json::Value;

fn is_named(value: &Value, id: &str) -> bool {
    value.get("id").and_then(Value::as_str) == Some(id)
}

/// Puts `now` in the place of `part`, at the end where there was none, or takes it away.
pub(crate) fn put_part(body: &mut Body, part: &Part, parts: Parts, now: Option<Body>) {
    let empty: Value = if parts == Parts::List { Value::Array(Vec::new()) } else { Body::new().into() };
    match body.entry(&part.field).or_insert(empty) {
        Value::Array(list) => {
            let at = list.iter().position(|one| is_named(one, &part.id));
            match (at, now) {
                (Some(at), Some(now)) => list[at] = now.into(),
                (Some(at), None) => drop(list.remove(at)),
                (None, Some(now)) => list.push(now.into()),
                (None, None) => {}
            }
        }
        Value::Object(map) => match now {
            Some(now) => drop(map.insert(part.id.clone(), now.into())),
            None => drop(map.remove(&part.id)),
        },
        _ => {}
    }
}

/// Brings what somebody sent for a part into the form that is stored.
pub(crate) fn normalize_part(kind: &ResourceType, part: &Part, parts: Parts, body: &mut Body) {
    let mut whole = Body::new();
    put_part(&mut whole, part, parts, Some(std::mem::take(body)));
    // Only what a document's schema says of this field is done here: the field itself stays.
    kind.normalize(&mut whole);
    let now = match whole.remove(&part.field) {
        Some(Value::Array(mut list)) => list.pop(),
        Some(Value::Object(mut map)) => map.remove(&part.id),
        _ => None,
    };
    if let Some(Value::Object(now)) = now {
        *body = now;
    }
}

/// Takes what refers to `target` out of the cluster or profile whose document is `layer`.
pub(crate) fn take_out(layer: &mut Body, target: &Key) {
    if let Some(Value::Array(references)) = layer.get_mut(&target.kind) {
        references.retain(|reference| !is_named(reference, &target.id));
    }
    for field in [PATCHES, UNSET_PATCHES] {
        if target.kind == PLATFORM_COMPONENTS
            && let Some(Value::Object(patches)) = layer.get_mut(field)
        {
            patches.remove(&target.id);
        }
    }
}
