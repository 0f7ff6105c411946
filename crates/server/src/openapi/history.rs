//! The schemas of what is told of the past: changes, what undoing one did, and where an answer comes from.

use serde_json::{Value, json};

pub(super) fn schemas() -> [(String, Value); 4] {
    [
        ("ChangeSummary".into(), object(merged(of_a_change(), json!({"documents": documents()})))),
        ("Change".into(), object(merged(of_a_change(), json!({"documents": list(before_and_after())})))),
        ("Reverted".into(), reverted()),
        ("Explanation".into(), explanation()),
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
    let operation = object(json!({
        "verb": {"type": "string", "enum": ["create", "update", "patch", "delete"]},
        "target": {"type": "string", "description": "`type/id`, `clusters/{id or *}/{field}/{part}`."},
        "select": text(), "allow_empty": {"type": "boolean"}, "force": {"type": "boolean"},
        "body": {"description": "As it was sent; not in lists.", "nullable": true}
    }));
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
    object(json!({"type": text(), "id": text(), "before": side(), "after": side()}))
}

fn reverted() -> Value {
    let skipped = object(json!({
        "document": text(), "field": text(), "changed_by": list(object(authorship()))
    }));
    let skipped = object(json!({"skipped": list(skipped)}));
    json!({"allOf": [{"$ref": "#/components/schemas/Changed"}, skipped]})
}

fn explanation() -> Value {
    let any = || json!({"nullable": true});
    let changed = merged(
        authorship(),
        json!({
            "before_history": {"type": "boolean", "description": "It was so already where the history begins."},
            "not_after": {"type": "integer", "description": "At this revision it was so already; nothing further back was looked at."}
        }),
    );
    let field = object(json!({
        "path": text(), "value": any(),
        "from": {"type": "string", "enum": ["catalog", "override", "patch", "definition", "cluster", "default"]},
        "document": text(), "field": text(),
        "overrode": object(json!({"value": any(), "from": text()})),
        "changed": object(changed)
    }));
    let input = object(json!({"type": text(), "id": text(), "fields": list(field)}));
    object(json!({"cluster": text(), "revision": count(), "inputs": list(input)}))
}
