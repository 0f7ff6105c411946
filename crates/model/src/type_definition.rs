//! A resource type as a document: what it is called, what its documents hold, where Flux polls it.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::built_in::{RESOURCE_TYPES, label, on_remove, text};
use crate::resource_type::{Declaration, Role};
use crate::violation::Violation;
use crate::{Body, Unreadable};

/// How deep a schema may nest, and how many bytes it may have.
const MAX_DEPTH: usize = 32;
const MAX_BYTES: usize = 256 * 1024;
/// What an input has of itself.
const RESERVED_PROPERTIES: [&str; 3] = ["provider", "cluster", "on_remove"];
/// Commands of the command line, which calls each type's by its name.
const COMMANDS: [&str; 22] = [
    "apply",
    "change",
    "cluster",
    "complete",
    "completions",
    "component",
    "demo",
    "diff",
    "explain",
    "export",
    "flux",
    "freeze",
    "help",
    "history",
    "namespace",
    "profile",
    "resource_type",
    "revert",
    "rolebinding",
    "tombstone",
    "validate",
    "whatif",
];
/// First segments of paths, and fields of a cluster.
const PLURALS: [&str; 16] = [
    "aliases",
    "api",
    "cluster_dns",
    "cluster_name",
    "environment",
    "health",
    "id",
    "k0s_version",
    "kubernetes_version",
    "labels",
    "metrics",
    "node_count",
    "openapi",
    "patches",
    "profiles",
    "ready",
];

/// A resource type that a fleet registered, by the definition rule.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeDefinition {
    /// Its name in keys, paths and cluster documents, and the document's id: `network_policies`.
    pub plural: String,
    /// In the singular: `network_policy`.
    pub name: String,
    /// The version of its schema, for people.
    pub api_version: String,
    /// The last segment of the path that Flux polls. Default: the plural with dashes.
    pub flux_path: String,
    /// The properties that a cluster's reference may override, each whole. Default: none.
    pub overridable: BTreeSet<String>,
    /// In one sentence. Default: one made of the name.
    pub description: String,
    /// JSON Schema (2020-12) of its documents, as it was written.
    pub schema: Value,
}

/// The type of these documents.
pub(crate) fn declaration() -> Declaration {
    Declaration {
        role: Role::Type,
        name: "resource_type".into(),
        plural: RESOURCE_TYPES.into(),
        flux_path: None,
        description: "A resource type: what its documents hold, and where Flux polls it.".into(),
        id: label_of(63),
        overridable: BTreeSet::new(),
        references: Vec::new(),
        schema: json!({
            "type": "object",
            "required": ["id", "kind", "apiVersion", "schema"],
            "additionalProperties": false,
            "x-min-reader": 3,
            "properties": {
                "id": label_of(63),
                "kind": label_of(63),
                "apiVersion": text(),
                "plural": label_of(63),
                "flux_path": label(63),
                "overridable": {"type": "array", "items": text(), "uniqueItems": true},
                "description": text(),
                "metadata": {"type": "object", "x-keeps-null": true},
                "schema": {"type": "object", "x-keeps-null": true}
            }
        }),
    }
}

/// What a type may be called.
fn label_of(max_length: u32) -> Value {
    json!({
        "type": "string",
        "maxLength": max_length,
        "pattern": "^[a-z]([_a-z0-9]*[a-z0-9])?$",
        "x-rule": "a name of lower case letters, digits and underscores, starting with a letter"
    })
}

impl TypeDefinition {
    /// The plural that a body says it has, or that follows from its kind.
    pub(crate) fn id_of(body: &Body) -> Option<String> {
        let written = |field: &str| body.get(field).and_then(Value::as_str).map(String::from);
        written("id")
            .or_else(|| written("_id"))
            .or_else(|| written("plural"))
            .or_else(|| written("kind").map(|kind| plural_of(&kind)))
    }

    pub(crate) fn parse(body: Body) -> Result<Self, Unreadable> {
        let text = |field: &str| body.get(field).and_then(Value::as_str).map(String::from);
        let required =
            |field: &str| text(field).ok_or_else(|| Unreadable(format!("`{field}` is not a string")));
        let (plural, name) = (required("id")?, required("kind")?);
        let listed = body.get("overridable").and_then(Value::as_array).into_iter().flatten();
        Ok(TypeDefinition {
            api_version: required("apiVersion")?,
            flux_path: text("flux_path").unwrap_or_else(|| plural.replace('_', "-")),
            overridable: listed.filter_map(Value::as_str).map(String::from).collect(),
            description: text("description").unwrap_or_else(|| format!("A {}.", name.replace('_', " "))),
            schema: body.get("schema").cloned().unwrap_or_default(),
            plural,
            name,
        })
    }

    /// What JSON Schema cannot say of it.
    pub(crate) fn check(&self, body: &Body) -> Vec<Violation> {
        let mut found = Vec::new();
        if body.get("plural").and_then(Value::as_str).is_some_and(|plural| plural != self.plural) {
            let message = format!("the plural is the document's id, `{}`", self.plural);
            found.push(Violation::new("/plural", "id", message));
        }
        check_shape(&self.schema, &mut found);
        check_keywords(&self.schema, "/schema", 0, &mut found);
        for field in &self.overridable {
            if field == "id" || self.properties().is_none_or(|properties| !properties.contains_key(field)) {
                let message = format!("`{field}` is not a property that a reference could override");
                found.push(Violation::new("/overridable", "unknown_field", message));
            }
        }
        if found.is_empty() {
            self.check_schema(&mut found);
        }
        found
    }

    fn properties(&self) -> Option<&Body> {
        self.schema.get("properties").and_then(Value::as_object)
    }

    /// Whether it is a schema, and each default is what its own property allows.
    fn check_schema(&self, found: &mut Vec<Violation>) {
        if let Err(error) = validator(&self.declaration().schema) {
            found.push(Violation::new("/schema", "schema", error));
            return;
        }
        for (name, property) in self.properties().into_iter().flatten() {
            let Some(default) = property.get("default") else { continue };
            let mut alone = property.clone();
            if let (Value::Object(alone), Some(definitions)) = (&mut alone, self.schema.get("$defs")) {
                alone.insert("$defs".into(), definitions.clone());
            }
            if validator(&alone).is_ok_and(|validator| !validator.is_valid(default)) {
                let message = format!("{default} is not what the property itself allows");
                found.push(Violation::new(format!("/schema/properties/{name}/default"), "default", message));
            }
        }
    }

    /// As all types are declared: with the id and `on_remove` that every definition has, and nothing
    /// beside what the schema names.
    pub(crate) fn declaration(&self) -> Declaration {
        let mut schema = self.schema.clone();
        let mut id = label(63);
        if let Some(own) = self.properties().and_then(|properties| properties.get("id")) {
            id = json!({"type": "string", "allOf": [id, own]});
        }
        schema["properties"]["id"] = id.clone();
        schema["properties"]["on_remove"] = on_remove();
        schema["additionalProperties"] = false.into();
        let required = self.schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        if !required.iter().any(|field| field == "id") {
            schema["required"] = std::iter::once("id".into()).chain(required).collect();
        }
        Declaration {
            role: Role::Definition,
            name: self.name.clone(),
            plural: self.plural.clone(),
            flux_path: Some(self.flux_path.clone()),
            description: self.description.clone(),
            id,
            schema,
            overridable: self.overridable.clone(),
            references: Vec::new(),
        }
    }
}

/// `schema`, made to judge: nothing is fetched, and patterns take linear time.
pub(crate) fn validator(schema: &Value) -> Result<Validator, String> {
    let patterns = jsonschema::PatternOptions::regex().size_limit(1 << 20);
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
    options.with_pattern_options(patterns).build(schema).map_err(|error| error.to_string())
}

/// What of its names this release needs for itself.
pub(crate) fn reserved(definition: &TypeDefinition) -> Vec<Violation> {
    let mut found = Vec::new();
    if COMMANDS.contains(&definition.name.as_str()) {
        let message = format!("`{}` is a command of the command line", definition.name);
        found.push(Violation::new("/kind", "taken", message));
    }
    if PLURALS.contains(&definition.plural.as_str()) {
        let message = format!("`{}` is a path of the API, or a field of a cluster", definition.plural);
        found.push(Violation::new("/plural", "taken", message));
    }
    if definition.flux_path == "clusters" {
        found.push(Violation::new("/flux_path", "taken", "`clusters` is the list of the fleet"));
    }
    found
}

fn check_shape(schema: &Value, found: &mut Vec<Violation>) {
    let mut wrong = |pointer: &str, code, message: &str| {
        found.push(Violation::new(format!("/schema{pointer}"), code, message));
    };
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        wrong("/type", "schema", "the documents of a type are objects: write `type: object`");
    }
    if schema.get("additionalProperties").is_some_and(|more| *more != false) {
        wrong(
            "/additionalProperties",
            "schema",
            "what the schema does not name is in no input: leave it out, or write false",
        );
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return wrong(
            "/properties",
            "schema",
            "the properties of the documents, which the inputs will have, are named here",
        );
    };
    for (name, property) in properties {
        let pointer = format!("/properties/{}", name.replace('~', "~0").replace('/', "~1"));
        if RESERVED_PROPERTIES.contains(&name.as_str()) {
            wrong(&pointer, "reserved", "every input has this of itself");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !name.bytes().all(plain)
            || !name.starts_with(|first: char| first.is_ascii_alphabetic())
            || name.len() > 63
        {
            wrong(
                &pointer,
                "format",
                "a template could not name it: letters, digits and underscores, starting with a letter",
            );
        }
        if !property.is_object() {
            wrong(&pointer, "schema", "is no schema: an object with its type");
        }
        if name == "id" && property.get("type").is_some_and(|kind| kind != "string") {
            wrong(&pointer, "schema", "an id is a string");
        }
    }
}

/// Refuses what leads outside, or to itself, or too deep.
fn check_keywords(schema: &Value, pointer: &str, depth: usize, found: &mut Vec<Violation>) {
    if depth == 0 && schema.to_string().len() > MAX_BYTES {
        found.push(Violation::new(pointer, "too_large", format!("has more than {MAX_BYTES} bytes")));
        return;
    }
    if depth > MAX_DEPTH {
        found.push(Violation::new(pointer, "too_deep", format!("is nested deeper than {MAX_DEPTH}")));
        return;
    }
    match schema {
        Value::Object(fields) => {
            for (keyword, value) in fields {
                let below = format!("{pointer}/{}", keyword.replace('~', "~0").replace('/', "~1"));
                let message = match keyword.as_str() {
                    "$ref" if !value.as_str().is_some_and(|text| text.starts_with("#/$defs/")) => {
                        Some("refers outside: only what stands under #/$defs/ can be referred to")
                    }
                    "$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$vocabulary" => {
                        Some("is not taken here: only `$ref` into #/$defs/ is")
                    }
                    _ => None,
                };
                if let Some(message) = message {
                    found.push(Violation::new(below, "reference", message));
                } else {
                    check_keywords(value, &below, depth + 1, found);
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                check_keywords(item, &format!("{pointer}/{at}"), depth + 1, found);
            }
        }
        _ => {}
    }
}

/// The plural of an English word, as the field makes them.
fn plural_of(name: &str) -> String {
    let before_y = name.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match before_y {
        Some(stem) => format!("{stem}ies"),
        None if ["s", "x", "z", "ch", "sh"].iter().any(|end| name.ends_with(end)) => format!("{name}es"),
        None => format!("{name}s"),
    }
}
