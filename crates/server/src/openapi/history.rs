//! The schemas of what is told of the past: changes, what undoing one did, and where an answer comes from.

use serde_json::{Value, json};

pub(super) fn schemas() -> [(String, Value); 5] {
    [
        ("ChangeSummary".into(), whole(merged(of_a_change(), json!({"documents": documents()})), &[])),
        ("Change".into(), whole(merged(of_a_change(), json!({"documents": list(before_and_after())})), &[])),
        ("Reverted".into(), reverted()),
        ("Explanation".into(), explanation()),
        ("Exception".into(), exception()),
    ]
}

fn text() -> Value {
    json!({"type": "string"})
}

fn count() -> Value {
    json!({"type": "integer"})
}

fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

/// An object with all of `properties`, but perhaps for `optional`.
pub(super) fn whole(properties: Value, optional: &[&str]) -> Value {
    let names = properties.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let required: Vec<_> = names.filter(|name| !optional.contains(name)).map(str::to_owned).collect();
    let mut object = object(properties);
    object["required"] = required.into();
    object
}

fn merged(mut properties: Value, more: Value) -> Value {
    if let (Value::Object(properties), Value::Object(more)) = (&mut properties, more) {
        properties.extend(more);
    }
    properties
}

/// Who changed something, when and why.
fn authorship() -> Value {
    json!({
        "revision": count(), "at": {"type": "string", "format": "date-time"}, "principal": text(),
        "reason": {"type": "string", "nullable": true}
    })
}

fn of_a_change() -> Value {
    let operation = json!({
        "verb": {"type": "string", "enum": ["create", "update", "patch", "delete"]},
        "target": {"type": "string", "description": "`type/id`, `clusters/{id or *}/{field}/{part}`, `profiles/{id}/{field}/{part}`."},
        "select": text(), "allow_empty": {"type": "boolean"}, "force": {"type": "boolean"},
        "body": {"description": "As it was sent; not in lists.", "nullable": true}
    });
    let operation = whole(operation, &["select", "allow_empty", "force", "body"]);
    let of_it = json!({
        "request_id": text(), "operations": list(operation), "operation_count": count(),
        "document_count": count()
    });
    merged(authorship(), of_it)
}

fn documents() -> Value {
    let description = "`type/id` of the first of them.";
    json!({"type": "array", "items": text(), "description": description})
}

fn before_and_after() -> Value {
    let side = || json!({"type": "object", "nullable": true, "additionalProperties": true});
    whole(json!({"type": text(), "id": text(), "before": side(), "after": side()}), &[])
}

/// What undoing a change leaves as it is.
pub(super) fn skipped() -> Value {
    let by = whole(authorship(), &[]);
    let skipped = whole(json!({"document": text(), "field": text(), "changed_by": list(by)}), &[]);
    let description = "Fields that were changed again since, by whom, and are left as they are; of a revert.";
    json!({"type": "array", "items": skipped, "description": description})
}

fn reverted() -> Value {
    json!({"allOf": [
        {"$ref": "#/components/schemas/Changed"},
        whole(json!({"skipped": skipped()}), &[]),
    ]})
}

/// The last change of a field, as far as it is known.
fn last_change() -> Value {
    object(merged(
        authorship(),
        json!({
            "before_history": {"type": "boolean", "description": "It was so already where the history begins."},
            "not_after": {"type": "integer", "description": "At this revision it was so already; nothing further back was looked at."}
        }),
    ))
}

fn any() -> Value {
    json!({"nullable": true})
}

fn origin() -> Value {
    let origins = ["catalog", "override", "patch", "profile", "definition", "cluster", "default"];
    json!({"type": "string", "enum": origins})
}

/// What a lower layer says.
fn overrode() -> Value {
    whole(json!({"value": any(), "from": origin(), "document": text()}), &[])
}

fn exception() -> Value {
    let exception = json!({
        "cluster": text(), "type": text(), "input": text(),
        "path": {
            "type": "string",
            "description": "The field of the input; `exclude` where the cluster takes out what a profile gives it, `id` where it has what a profile takes out, or has for a time what no profile gives."
        },
        "value": {"nullable": true, "description": "What the cluster says; null where it unsets a patch."},
        "instead": overrode(), "note": text(),
        "expires": {"type": "string", "description": "A date, which lasts to its end in UTC, or a time (RFC 3339)."},
        "expired": {"type": "boolean"}, "changed": last_change()
    });
    whole(exception, &["instead", "note", "expires"])
}

fn explanation() -> Value {
    let field = json!({
        "path": text(), "value": any(), "from": origin(), "document": text(), "field": text(),
        "overrode": overrode(), "changed": last_change()
    });
    let input = json!({"type": text(), "id": text(), "fields": list(whole(field, &["overrode"]))});
    let inputs = list(whole(input, &[]));
    whole(json!({"cluster": text(), "revision": count(), "inputs": inputs}), &[])
}
