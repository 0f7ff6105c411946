//! JSON Schema (2020-12) said in the words of OpenAPI 3.0.3. What those words cannot say is left out:
//! the document may allow more than the server does, never less.

use flux_resourceset_model::{FREEZES, Parts, ResourceType, SOURCES, Types};
use serde_json::{Map, Value, json};

use super::history::{skipped, whole};
use crate::routes::is_described;

/// Keywords that mean the same in both, with plain values.
const KEPT: [&str; 15] = [
    "title",
    "description",
    "format",
    "pattern",
    "enum",
    "default",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// The names of the schemas of what is no document.
const OTHERS: [&str; 15] = [
    "Change",
    "ChangeSet",
    "ChangeSummary",
    "Changed",
    "Confirmation",
    "Error",
    "Exception",
    "Explanation",
    "Files",
    "FleetFile",
    "Health",
    "Inputs",
    "Plan",
    "Ready",
    "Reverted",
];

/// The schemas of all types and of what is no document.
pub(super) fn components(types: &Types) -> Map<String, Value> {
    let mut schemas = Map::new();
    for kind in types.iter() {
        let title = title(kind);
        let mut document = convert(kind.schema());
        document["description"] = kind.description().into();
        if kind.is_definition() {
            // What the words of this document cannot say.
            document["x-json-schema"] = kind.schema().clone();
        }
        if is_described(kind) || kind.plural() == FREEZES {
            schemas.insert(format!("New{title}"), new(kind, &document));
        }
        if is_described(kind) {
            schemas.insert(format!("{title}Fields"), fields(&document));
        }
        schemas.insert(title, document);
    }
    schemas.extend(others(types));
    schemas.extend(super::history::schemas());
    schemas
}

/// The type's name as schemas are named: `PlatformComponent`. One that would be another schema's, or could be
/// another type's too, stays as it is: no other schema's name starts in lower case.
pub(super) fn title(kind: &ResourceType) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().filter(char::is_ascii_lowercase)?;
        Some(first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    let title = kind.name().split('_').map(word).collect::<Option<String>>();
    let free = |title: &String| {
        !OTHERS.contains(&title.as_str()) && !title.starts_with("New") && !title.ends_with("Fields")
    };
    title.filter(free).unwrap_or_else(|| kind.name().to_owned())
}

/// A part of a document of `kind` that stands under `field`.
pub(super) fn part(kind: &ResourceType, field: &str) -> Option<Value> {
    let (_, parts) = kind.part_fields().find(|(known, _)| *known == field)?;
    let below = if parts == Parts::List { "items" } else { "additionalProperties" };
    kind.schema().pointer(&format!("/properties/{field}/{below}")).map(convert)
}

/// What a create may carry: the `id` may be called `_id` or follow from the name, and null means absent.
fn new(kind: &ResourceType, document: &Value) -> Value {
    let mut new = nullable_properties(document);
    let required = kind.schema().get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let required: Vec<_> = required.into_iter().filter(|field| field != "id").collect();
    if !required.is_empty() {
        new["required"] = required.into();
    }
    new
}

/// What an update or a merge patch may carry: any of the fields.
fn fields(document: &Value) -> Value {
    nullable_properties(document)
}

pub(super) fn nullable_properties(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(object) = &mut schema {
        object.remove("required");
        for keyword in ["properties", "additionalProperties", "items"] {
            let Some(below) = object.get_mut(keyword) else { continue };
            if keyword == "properties" {
                below.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(make_nullable);
            } else {
                make_nullable(below);
            }
        }
    }
    schema
}

fn make_nullable(schema: &mut Value) {
    let mut changed = nullable_properties(schema);
    if let Value::Object(object) = &mut changed
        && object.contains_key("type")
    {
        object.insert("nullable".into(), true.into());
        if let Some(Value::Array(options)) = object.get_mut("enum")
            && !options.contains(&Value::Null)
        {
            options.push(Value::Null);
        }
    }
    *schema = changed;
}

fn convert(schema: &Value) -> Value {
    let Value::Object(schema) = schema else { return json!({}) };
    let mut converted = Map::new();
    for (keyword, value) in schema {
        match keyword.as_str() {
            "type" => add_type(&mut converted, value),
            "const" => drop(converted.insert("enum".into(), json!([value]))),
            "properties" => drop(converted.insert(keyword.clone(), each(value))),
            // `false` would be stricter than the server, which keeps unknown fields of a newer release.
            // What other keywords except from these would fall under them here.
            "additionalProperties" if schema.contains_key("patternProperties") => {}
            "items" if schema.contains_key("prefixItems") => {}
            "items" => drop(converted.insert(keyword.clone(), convert(value))),
            "additionalProperties" if value.is_object() => {
                drop(converted.insert(keyword.clone(), convert(value)))
            }
            "allOf" | "anyOf" => drop(converted.insert(keyword.clone(), all(value))),
            // Of schemas that are only said in part, more than one may fit.
            "oneOf" if !schema.contains_key("anyOf") => drop(converted.insert("anyOf".into(), all(value))),
            "required" => drop(converted.insert(keyword.clone(), value.clone())),
            kept if KEPT.contains(&kept) => drop(converted.insert(keyword.clone(), value.clone())),
            "x-rule" => drop(converted.entry("description").or_insert_with(|| value.clone())),
            _ => {}
        }
    }
    // An array needs its items said.
    if converted.get("type").is_some_and(|kind| kind == "array") {
        converted.entry("items").or_insert_with(|| json!({}));
    }
    converted.into()
}

fn add_type(converted: &mut Map<String, Value>, declared: &Value) {
    if declared == "null" {
        return;
    }
    let Some(names) = declared.as_array() else {
        converted.insert("type".into(), declared.clone());
        return;
    };
    let others: Vec<_> = names.iter().filter(|name| *name != "null").collect();
    // More than one type besides null cannot be said, and no `type` at all allows them all.
    if let [one] = others[..] {
        converted.insert("type".into(), one.clone());
        if others.len() < names.len() {
            converted.insert("nullable".into(), true.into());
        }
    }
}

fn each(properties: &Value) -> Value {
    let properties = properties.as_object().into_iter().flatten();
    properties.map(|(name, schema)| (name.clone(), convert(schema))).collect::<Map<_, _>>().into()
}

fn all(schemas: &Value) -> Value {
    schemas.as_array().into_iter().flatten().map(convert).collect()
}

fn others(types: &Types) -> Vec<(String, Value)> {
    let text = || json!({"type": "string"});
    let violation = json!({
        "type": "object",
        "required": ["pointer", "code", "message"],
        "properties": {
            "change": {"type": "integer", "description": "Which of several changes it comes from, counted from 0."},
            "document": {"type": "string", "description": "The document it is in, where that is not the one being written."},
            "pointer": {"type": "string", "description": "JSON pointer (RFC 6901) to the place."},
            "code": text(), "message": text()
        }
    });
    let mut others = vec![
        (
            "Error".into(),
            json!({
                "type": "object",
                "required": ["error", "message", "request_id"],
                "properties": {
                    "error": {"type": "string", "description": "A stable code."},
                    "message": {"type": "string", "description": "One sentence for people."},
                    "violations": {"type": "array", "items": violation},
                    "plan": {"$ref": "#/components/schemas/Plan"},
                    "request_id": text()
                }
            }),
        ),
        (
            "Health".into(),
            json!({"type": "object", "required": ["status"], "properties": {"status": text()}}),
        ),
        (
            "Ready".into(),
            json!({
                "type": "object",
                "required": ["status", "revision"],
                "properties": {
                    "status": text(),
                    "revision": {"type": "integer", "description": "The fleet's revision."},
                    "confirmed_age_seconds": {"type": "integer", "description": "How long ago it was confirmed to be the store's head; absent where it never was."},
                    "stale": {"type": "boolean", "description": "Whether polls are answered only because SERVE_STALE is set."}
                }
            }),
        ),
        (
            "Inputs".into(),
            json!({
                "type": "object",
                "required": ["inputs"],
                "properties": {"inputs": {"type": "array", "items": {
                    "type": "object", "required": ["id"], "properties": {"id": text()}, "additionalProperties": true
                }}}
            }),
        ),
    ];
    others.push(("Confirmation".into(), confirmation()));
    others.extend(operating(types));
    others
}

/// How a process stands to its store.
fn confirmation() -> Value {
    let text = || json!({"type": "string"});
    let nullable = |mut schema: Value, description: &str| {
        schema["nullable"] = true.into();
        schema["description"] = description.into();
        schema
    };
    let place = || whole(json!({"store": text(), "revision": {"type": "integer"}, "entry": text()}), &[]);
    let mute = whole(json!({"code": text(), "message": text()}), &[]);
    let remarks = json!({"type": "array", "items": text(), "description": "What the plan does not show."});
    whole(
        json!({
            "mute": nullable(mute, "Why the store is followed no further."),
            "confirmable": {"type": "boolean", "description": "Whether a person may have it followed all the same."},
            "served": nullable(place(), "What clusters were answered from last; after a restart the last that was kept."),
            "store": nullable(place(), "Where the store's log ends, where that may be confirmed."),
            "remarks": remarks,
            "plan": {"$ref": "#/components/schemas/Plan"},
        }),
        &["plan"],
    )
}

/// What is said of changes, before and after they are made.
fn operating(types: &Types) -> Vec<(String, Value)> {
    let text = || json!({"type": "string"});
    let count = || json!({"type": "integer"});
    let flag = || json!({"type": "boolean"});
    let any = || json!({"nullable": true});
    let list = |of: Value| json!({"type": "array", "items": of});
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let target = || json!({"type": "string", "description": "`type/id`, `clusters/{id or *}/{field}/{part}`, `profiles/{id}/{field}/{part}`."});
    let fields = || list(whole(json!({"path": text(), "from": any(), "to": any()}), &["from", "to"]));
    let group = |mut properties: Value, optional: &[&str]| {
        properties["count"] = count();
        properties["clusters"] = list(text());
        list(whole(properties, optional))
    };
    let side = || json!({"type": "object", "nullable": true, "additionalProperties": true});
    let became = || json!({"type": "string", "enum": ["created", "updated", "deleted"]});
    let change = object(json!({
        "create": target(), "update": target(), "patch": target(), "delete": target(),
        "select": {"type": "string", "description": "A label selector, where the id is `*`."},
        "allow_empty": flag(), "force": flag(), "body": {"type": "object"}
    }));
    let mut change_set = object(json!({"reason": text(), "changes": list(change)}));
    change_set["required"] = json!(["changes"]);
    let kinds = types.iter().filter(|kind| kind.plural() != SOURCES);
    let fleet = kinds.map(|kind| {
        let schema = if is_described(kind) { format!("New{}", title(kind)) } else { title(kind) };
        let items = json!({"$ref": format!("#/components/schemas/{schema}")});
        (kind.plural().to_owned(), list(items))
    });
    let fleet: Map<String, Value> = fleet.collect();
    let mut files = object(json!({
        "source": {"type": "string", "description": "Who keeps these files, and owns what they hold."},
        "prune": {"type": "boolean", "description": "Whether what it owns and the files no longer have is deleted."},
        "take": {"type": "boolean", "description": "Whether what others changed or own is taken over."},
        "reason": text(),
        "documents": {"$ref": "#/components/schemas/FleetFile"}
    }));
    files["required"] = json!(["documents"]);
    vec![
        ("FleetFile".into(), object(fleet.into())),
        ("Files".into(), files),
        ("ChangeSet".into(), change_set),
        (
            "Changed".into(),
            whole(
                json!({
                    "revision": count(),
                    "at": {"type": "string", "format": "date-time", "nullable": true},
                    "principal": {"type": "string", "nullable": true},
                    "reason": {"type": "string", "nullable": true},
                    "documents": list(whole(json!({"type": text(), "id": text(), "change": became()}), &[]))
                }),
                &[],
            ),
        ),
        (
            "Plan".into(),
            whole(
                json!({
                    "revision": count(), "digest": text(), "clusters": count(),
                    "destructive": whole(json!({"clusters": count(), "protected": count(), "emptied": count()}), &[]),
                    "confirmation": list(text()),
                    "effects": group(
                        json!({
                            "effect": text(), "destructive": flag(), "type": text(), "input": text(),
                            "fields": fields(), "on_remove": text()
                        }),
                        &["on_remove", "fields"],
                    ),
                    "hidden": group(
                        json!({"profile": text(), "type": text(), "input": text(), "fields": fields()}),
                        &["profile"],
                    ),
                    "warnings": group(json!({"code": text(), "message": text()}), &[]),
                    "frozen": group(json!({"freeze": text(), "reason": text()}), &[]),
                    "disputed": {
                        "type": "array",
                        "description": "Documents in which others have a say; in the plan of an apply.",
                        "items": whole(json!({"document": text(), "message": text()}), &[])
                    },
                    "documents": {
                        "type": "array", "description": "What files would change; in the plan of an apply.",
                        "items": whole(
                            json!({"type": text(), "id": text(), "change": became(), "before": side(), "after": side()}),
                            &[],
                        )
                    },
                    "skipped": skipped()
                }),
                &["disputed", "documents", "skipped"],
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_takes_the_name_of_another_schema() {
        let built_in = Types::built_in();
        let mut names: Vec<_> = others(&built_in).into_iter().map(|(name, _)| name).collect();
        names.extend(super::super::history::schemas().into_iter().map(|(name, _)| name));
        names.sort();
        assert_eq!(names, OTHERS);
        let kind = built_in.of("resource_types").unwrap();
        let mut types = built_in.clone();
        let kinds = ["plan", "error", "new_namespace", "namespace_fields", "a_1", "a1", "a__b", "a_b"];
        for name in kinds {
            let body = json!({
                "id": format!("{name}s"), "kind": name, "apiVersion": "v1",
                "schema": {"type": "object", "properties": {name: {"type": "string"}}},
            });
            let Value::Object(body) = body else { unreachable!() };
            let flux_resourceset_model::Resource::Type(definition) = kind.parse(body).unwrap() else {
                unreachable!()
            };
            types = types.with(&definition).unwrap();
        }
        let components = components(&types);
        for name in kinds {
            let title = title(types.of(&format!("{name}s")).unwrap());
            for title in [title.clone(), format!("New{title}"), format!("{title}Fields")] {
                assert!(components[&title]["properties"][name].is_object(), "{title}");
            }
        }
        let known = super::components(&built_in);
        // Whatever clusters and profiles refer to is in their schemas.
        let refers = |name: &str| ["FleetFile", "Cluster", "Profile"].iter().any(|part| name.contains(part));
        assert!(known.iter().all(|(name, schema)| refers(name) || components[name] == *schema));
    }

    #[test]
    fn what_openapi_cannot_say_is_said_otherwise_or_left_out() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "propertyNames": {"pattern": "x"},
            "properties": {
                "a": {"type": ["string", "null"]},
                "b": {"const": 1},
                "c": {"type": ["string", "integer"]},
                "d": false,
                "e": {"type": "array"},
                "f": {"type": "array", "prefixItems": [{}], "items": {"type": "string"}},
                "g": {"type": "null"},
            },
            "oneOf": [{"minProperties": 1}, {"not": {}}],
            "patternProperties": {"^x": {"type": "integer"}},
            "additionalProperties": {"type": "string"},
            "if": {}, "then": {},
        });
        assert_eq!(
            convert(&schema),
            json!({"type": "object", "anyOf": [{"minProperties": 1}, {}], "properties": {
                "a": {"type": "string", "nullable": true},
                "b": {"enum": [1]},
                "c": {},
                "d": {},
                "e": {"type": "array", "items": {}},
                "f": {"type": "array", "items": {}},
                "g": {},
            }})
        );
    }

    #[test]
    fn a_change_may_carry_null_at_every_depth() {
        let document = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "object", "required": ["b"], "properties": {"b": {"type": "string", "enum": ["x"]}}},
        }});
        assert_eq!(
            fields(&document),
            json!({"type": "object", "properties": {
                "a": {"type": "object", "nullable": true, "properties": {"b": {"type": "string", "nullable": true, "enum": ["x", null]}}},
            }})
        );
    }
}
