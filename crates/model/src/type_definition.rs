//! A resource type as a document: what it is called, what its documents hold, where Flux polls it.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::built_in::{RESOURCE_TYPES, label, on_remove, text};
use crate::reference::is_said_of_references;
use crate::resource_type::{Declaration, Role};
use crate::violation::Violation;
use crate::{Body, Unreadable};

/// How deep a schema may nest, and how many bytes it may have.
const MAX_DEPTH: usize = 32;
const MAX_BYTES: usize = 256 * 1024;
/// How many schemas one may come to, and how deep they may nest, once each `$ref` stands for what it
/// refers to: that bounds what judging a document costs.
const MAX_UNFOLDED: usize = 50_000;
const MAX_UNFOLDED_DEPTH: usize = 4 * MAX_DEPTH;
/// What an input has of itself.
const RESERVED_PROPERTIES: [&str; 3] = ["provider", "cluster", "on_remove"];
/// Commands of the command line, which calls each type's by its name.
const COMMANDS: [&str; 24] = [
    "apply",
    "change",
    "cluster",
    "complete",
    "completions",
    "component",
    "confirm",
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
    "report",
    "resource_type",
    "revert",
    "rolebinding",
    "tombstone",
    "validate",
    "whatif",
];
/// First segments of paths, and fields of a cluster or of a profile.
const PLURALS: [&str; 21] = [
    "aliases",
    "api",
    "changes",
    "cluster_dns",
    "cluster_name",
    "description",
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
    "priority",
    "ready",
    "selector",
    "unset_patches",
    "vm_image",
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
        if found.is_empty() {
            Unfolding::of(&self.schema).walk(&self.schema, "/schema", 0, &mut found);
        }
        for field in &self.overridable {
            if is_said_of_references(field) {
                let message = format!("`{field}` is what every reference can say of itself");
                found.push(Violation::new("/overridable", "reserved", message));
            } else if field == "id"
                || self.properties().is_none_or(|properties| !properties.contains_key(field))
            {
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
        let declared =
            self.declaration().map_err(|error| Fault { pointer: String::new(), sentence: error.0 });
        if let Err(fault) = declared.and_then(|declared| validator(&declared.schema)) {
            found.push(Violation::new(format!("/schema{}", fault.pointer), "schema", fault.sentence));
            return;
        }
        let required = self.schema.get("required").and_then(Value::as_array);
        let required = |name: &String| required.is_some_and(|all| all.iter().any(|field| field == name));
        for (name, property) in self.properties().into_iter().flatten() {
            // What is required is never left out.
            if name != "id" && !required(name) && default_of(&self.schema, property).is_null() {
                let message = "would be null where it is not written, at which Flux fails: say its `type`, or a `default` that is not null";
                found.push(Violation::new(format!("/schema/properties/{name}"), "default", message));
                continue;
            }
            let Some(default) = written_default(&self.schema, property) else { continue };
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
    ///
    /// # Errors
    /// Where the schema has no properties to put these among.
    pub(crate) fn declaration(&self) -> Result<Declaration, Unreadable> {
        let mut schema = self.schema.clone();
        if self.properties().is_none() {
            return Err(Unreadable("`schema` has no `properties`".into()));
        }
        let mut id = label(63);
        if let Some(own) = self.properties().and_then(|properties| properties.get("id")) {
            id = json!({"type": "string", "allOf": [id, own]});
        }
        schema["properties"]["id"] = id.clone();
        schema["properties"]["on_remove"] = on_remove();
        schema["additionalProperties"] = false.into();
        match self.schema.get("required") {
            None => schema["required"] = json!(["id"]),
            Some(Value::Array(fields)) if !fields.iter().any(|field| field == "id") => {
                schema["required"] = std::iter::once("id".into()).chain(fields.iter().cloned()).collect();
            }
            // What is no list is refused as no schema.
            Some(_) => {}
        }
        Ok(Declaration {
            role: Role::Definition,
            name: self.name.clone(),
            plural: self.plural.clone(),
            flux_path: Some(self.flux_path.clone()),
            description: self.description.clone(),
            id,
            schema,
            overridable: self.overridable.clone(),
            references: Vec::new(),
        })
    }
}

/// `schema`, made to judge: nothing is fetched, and patterns take linear time.
pub(crate) fn validator(schema: &Value) -> Result<Validator, Fault> {
    let patterns = jsonschema::PatternOptions::regex().size_limit(1 << 20);
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
    options.with_pattern_options(patterns).build(schema).map_err(|error| Fault {
        pointer: error.instance_path().as_str().to_owned(),
        sentence: error.to_string(),
    })
}

/// Where a schema is none, and why.
pub(crate) struct Fault {
    /// JSON pointer into the schema.
    pub(crate) pointer: String,
    pub(crate) sentence: String,
}

/// What of its names this release needs for itself.
pub(crate) fn reserved(definition: &TypeDefinition) -> Vec<Violation> {
    let mut found = Vec::new();
    if COMMANDS.contains(&definition.name.as_str()) {
        let message = format!("`{}` is a command of the command line", definition.name);
        found.push(Violation::new("/kind", "taken", message));
    }
    if PLURALS.contains(&definition.plural.as_str()) {
        let message =
            format!("`{}` is a path of the API, or a field of a cluster or a profile", definition.plural);
        found.push(Violation::new("/plural", "taken", message));
    }
    if definition.flux_path == "clusters" {
        found.push(Violation::new("/flux_path", "taken", "`clusters` is the list of the fleet"));
    }
    found
}

/// What `schema`, of which `property` is a part, says that an input has where nothing was written: its own
/// default, or that of what it refers to.
fn written_default<'a>(schema: &'a Value, mut property: &'a Value) -> Option<&'a Value> {
    // As many steps as a schema may nest: what refers to itself is refused when it is written.
    for _ in 0..MAX_UNFOLDED_DEPTH {
        if let Some(default) = property.get("default") {
            return Some(default);
        }
        property = referred(schema, property)?;
    }
    None
}

/// What `property` refers to.
fn referred<'a>(schema: &'a Value, property: &Value) -> Option<&'a Value> {
    schema.pointer(property.get("$ref")?.as_str()?.strip_prefix('#')?)
}

/// What an input has of `property` where nothing was written: a template stalls on what is missing.
pub(crate) fn default_of<'a>(schema: &'a Value, mut property: &'a Value) -> Value {
    if let Some(default) = written_default(schema, property) {
        return default.clone();
    }
    for _ in 0..MAX_UNFOLDED_DEPTH {
        match referred(schema, property) {
            Some(below) if property.get("type").is_none() => property = below,
            _ => break,
        }
    }
    match property.get("type").and_then(Value::as_str) {
        Some("object") => Value::Object(Body::new()),
        Some("array") => Value::Array(Vec::new()),
        Some("string") => "".into(),
        Some("integer" | "number") => 0.into(),
        Some("boolean") => false.into(),
        _ => Value::Null,
    }
}

/// A schema with each `$ref` standing for what it refers to, to see that it ends and what it comes to.
struct Unfolding<'a> {
    root: &'a Value,
    /// The references that lead to where the walk is.
    within: Vec<&'a str>,
    schemas: usize,
}

impl<'a> Unfolding<'a> {
    fn of(root: &'a Value) -> Self {
        Unfolding { root, within: Vec::new(), schemas: 0 }
    }

    fn walk(&mut self, schema: &'a Value, pointer: &str, depth: usize, found: &mut Vec<Violation>) {
        // One that is too large is said to be so once.
        if self.schemas > MAX_UNFOLDED {
            return;
        }
        self.schemas += 1;
        if self.schemas > MAX_UNFOLDED || depth > MAX_UNFOLDED_DEPTH {
            self.schemas = MAX_UNFOLDED + 1;
            let message = "with each `$ref` standing for what it refers to, it is too large";
            found.push(Violation::new("/schema", "too_large", message));
            return;
        }
        match schema {
            Value::Object(fields) => {
                for (keyword, value) in fields {
                    let below = format!("{pointer}/{}", keyword.replace('~', "~0").replace('/', "~1"));
                    match (keyword.as_str(), value.as_str()) {
                        ("$ref", Some(target)) => self.follow(target, &below, depth, found),
                        // Only what is referred to costs anything.
                        ("$defs", _) if depth == 0 => {}
                        _ => self.walk(value, &below, depth + 1, found),
                    }
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.walk(item, &format!("{pointer}/{at}"), depth + 1, found);
                }
            }
            _ => {}
        }
    }

    fn follow(&mut self, target: &'a str, pointer: &str, depth: usize, found: &mut Vec<Violation>) {
        if self.within.contains(&target) {
            let message = format!("`{target}` refers to itself, so that judging a document might not end");
            found.push(Violation::new(pointer, "reference", message));
            self.schemas = MAX_UNFOLDED + 1;
            return;
        }
        let Some(schema) = target.strip_prefix('#').and_then(|target| self.root.pointer(target)) else {
            let message = format!("`{target}` is not in this schema");
            return found.push(Violation::new(pointer, "reference", message));
        };
        self.within.push(target);
        self.walk(schema, pointer, depth + 1, found);
        self.within.pop();
    }
}

/// What a schema of this release's own says beside JSON Schema, and nobody else's may.
const OWN_KEYWORDS: [&str; 3] = ["x-max-total-bytes", "x-min-reader", "x-selector"];

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
    for keyword in ["patternProperties", "unevaluatedProperties"] {
        if schema.get(keyword).is_some() {
            let message = "what no property is named for is in no input: name each under `properties`";
            wrong(&format!("/{keyword}"), "schema", message);
        }
    }
    // A minimum reader version from here would silence every process, and Flux fails at a null of an input's own.
    let own = OWN_KEYWORDS.into_iter().chain(["x-keeps-null"]);
    for keyword in own.filter(|keyword| schema.get(*keyword).is_some()) {
        wrong(&format!("/{keyword}"), "reserved", "only this release's own schemas say this");
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
        if name == "id" && refers(property) {
            // It is part of the schema of clusters too, where these definitions are not.
            wrong(&pointer, "reference", "the schema of an id refers to nothing else");
        }
        for keyword in OWN_KEYWORDS.into_iter().filter(|keyword| property.get(*keyword).is_some()) {
            let pointer = format!("{pointer}/{keyword}");
            wrong(&pointer, "reserved", "only this release's own schemas say this");
        }
    }
}

/// Whether there is a `$ref` anywhere in `schema`, which is not deeper than JSON is read.
fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(keyword, value)| keyword == "$ref" || refers(value)),
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}

/// Refuses what leads outside, or too deep.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Rules, Types};

    fn np() -> Value {
        json!({
            "kind": "network_policy",
            "apiVersion": "v1",
            "schema": {
                "type": "object",
                "required": ["id", "target_namespace", "ingress_rules"],
                "properties": {
                    "id": {"type": "string", "example": "allow-monitoring"},
                    "target_namespace": {"type": "string", "example": "monitoring"},
                    "ingress_rules": {"type": "array", "items": {"type": "object", "properties": {
                        "from_namespace": {"type": "string"}, "port": {"type": "integer"}
                    }}}
                }
            }
        })
    }

    fn of(body: Value) -> (Body, Vec<Violation>) {
        let types = Types::built_in();
        let kind = types.of(RESOURCE_TYPES).unwrap();
        let Value::Object(mut body) = body else { panic!("an object") };
        kind.normalize(&mut body);
        if let Some(id) = kind.id_of_new(&body) {
            body.entry("id").or_insert(id.into());
        }
        let mut found = kind.validate(&body, &Rules::default());
        if let Ok(crate::Resource::Type(definition)) = kind.parse(body.clone()) {
            // Whatever is wrong with it, nothing breaks that is made of it.
            let _ = types.with(&definition);
            found.extend(types.collisions(&definition));
        }
        (body, found)
    }

    /// Pointer and code of all that is wrong with the type whose schema is this, as `change` leaves it.
    #[track_caller]
    fn wrong(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut body = np();
        change(&mut body);
        of(body).1.iter().map(|one| format!("{} {}", one.pointer, one.code)).collect()
    }

    fn with(property: &str, schema: Value) -> Vec<String> {
        wrong(|body| body["schema"]["properties"][property] = schema)
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn the_specifications_own_type_is_taken_unchanged() {
        let (body, found) = of(np());
        assert_eq!(found, []);
        let definition = TypeDefinition::parse(body).unwrap();
        assert_eq!(
            (definition.plural.as_str(), definition.flux_path.as_str()),
            ("network_policies", "network-policies")
        );
        assert_eq!((definition.overridable, definition.schema), (BTreeSet::new(), np()["schema"].clone()));
    }

    #[test]
    fn plurals_are_made_as_the_field_makes_them() {
        for (name, plural) in [
            ("network_policy", "network_policies"),
            ("gateway", "gateways"),
            ("ingress", "ingresses"),
            ("box", "boxes"),
            ("quota", "quotas"),
            ("branch", "branches"),
        ] {
            assert_eq!(plural_of(name), plural);
        }
    }

    #[test]
    fn a_schema_is_one_and_stays_at_home() {
        let property = "/schema/properties/target_namespace";
        assert_eq!(
            wrong(|body| body["schema"] = 7.into()),
            ["/schema type", "/schema/properties schema", "/schema/type schema"]
        );
        assert_eq!(wrong(|body| body["schema"]["properties"] = 7.into()), ["/schema/properties schema"]);
        assert_eq!(wrong(|body| body["schema"]["type"] = "array".into()), ["/schema/type schema"]);
        assert_eq!(wrong(|body| body["schema"]["required"] = 7.into()), ["/schema/required schema"]);
        assert_eq!(with("target_namespace", json!({"type": 7})), [format!("{property}/type schema")]);
        assert_eq!(with("target_namespace", true.into()), [format!("{property} schema")]);
        for (keyword, value) in [
            ("$ref", json!("https://example.com/schema.json")),
            ("$ref", json!("#")),
            ("$ref", json!("#/properties/id")),
            ("$ref", json!("file:///etc/passwd")),
            ("$ref", json!("#/$defs/absent")),
            ("$id", json!("https://example.com")),
            ("$anchor", json!("x")),
            ("$dynamicRef", json!("#x")),
        ] {
            assert_eq!(
                with("target_namespace", json!({keyword: value})),
                [format!("{property}/{keyword} reference")]
            );
        }
        for more in [json!(true), json!({"type": "string"})] {
            assert_eq!(
                wrong(|body| body["schema"]["additionalProperties"] = more),
                ["/schema/additionalProperties schema"]
            );
        }
        assert_eq!(wrong(|body| body["schema"]["additionalProperties"] = false.into()), NONE);
        assert_eq!(
            wrong(|body| body["schema"]["patternProperties"] = json!({"": {}})),
            ["/schema/patternProperties schema"]
        );
        for keyword in ["x-min-reader", "x-selector", "x-max-total-bytes"] {
            assert_eq!(
                wrong(|body| body["schema"][keyword] = 99.into()),
                [format!("/schema/{keyword} reserved")]
            );
            assert_eq!(
                with("target_namespace", json!({keyword: 99})),
                [format!("{property}/{keyword} reserved")]
            );
        }
    }

    #[test]
    fn patterns_take_linear_time() {
        for pattern in ["(?=a)b", "(a)\\1", "(?<!x)y", "(", "((a{1000}){1000}){1000}"] {
            assert_eq!(
                with("target_namespace", json!({"type": "string", "pattern": pattern})),
                ["/schema/properties/target_namespace/pattern schema"],
                "{pattern}"
            );
        }
        assert_eq!(with("target_namespace", json!({"type": "string", "pattern": "^(a+)+$"})), NONE);
    }

    #[test]
    fn properties_are_named_as_a_template_can() {
        for name in ["provider", "cluster", "on_remove"] {
            assert_eq!(
                with(name, json!({"type": "string"})),
                [format!("/schema/properties/{name} reserved")]
            );
        }
        let long = "x".repeat(64);
        for name in ["a-b", "1a", "_a", "", "a b", "é", &long] {
            assert_eq!(with(name, json!({"type": "string"})), [format!("/schema/properties/{name} format")]);
        }
        assert_eq!(with("a/b~", json!({})), ["/schema/properties/a~1b~0 format"]);
        for kind in [json!("integer"), json!(["string", "null"])] {
            assert_eq!(with("id", json!({"type": kind})), ["/schema/properties/id schema"]);
        }
        let referring = |body: &mut Value| {
            body["schema"]["$defs"] = json!({"name": {"type": "string"}});
            body["schema"]["properties"]["id"] = json!({"allOf": [{"$ref": "#/$defs/name"}]});
        };
        assert_eq!(wrong(referring), ["/schema/properties/id reference"]);
    }

    #[test]
    fn a_default_is_what_its_property_allows() {
        let place = "/schema/properties/target_namespace/default default";
        assert_eq!(with("target_namespace", json!({"type": "string", "default": 7})), [place]);
        assert_eq!(with("target_namespace", json!({"type": "string", "default": "x"})), NONE);
        let null = "/schema/properties/more default";
        assert_eq!(with("more", json!({"type": ["string", "null"], "default": null})), [null]);
        assert_eq!(with("more", json!({"type": ["string", "null"]})), [null]);
        assert_eq!(with("more", json!({})), [null]);
        assert_eq!(with("more", json!({"default": {}})), NONE);
        assert_eq!(with("target_namespace", json!({})), NONE, "what is required is always written");
        assert_eq!(
            wrong(|body| body["schema"]["x-keeps-null"] = true.into()),
            ["/schema/x-keeps-null reserved"]
        );
        let referring = |default: Value| {
            wrong(|body| {
                body["schema"]["$defs"] =
                    json!({"short": {"type": "string", "maxLength": 2, "default": default}});
                body["schema"]["properties"]["target_namespace"] = json!({"$ref": "#/$defs/short"});
            })
        };
        assert_eq!(referring("xyz".into()), [place]);
        assert_eq!(referring("xy".into()), NONE);
    }

    #[test]
    fn what_judging_costs_is_bounded() {
        let nested = |depth| (0..depth).fold(json!({"type": "string"}), |below, _| json!({"items": below}));
        assert_eq!(with("target_namespace", nested(20)), NONE);
        assert!(with("target_namespace", nested(40))[0].ends_with(" too_deep"));
        let huge: Vec<String> = (0..30_000).map(|at| format!("value-{at}")).collect();
        assert_eq!(with("target_namespace", json!({"enum": huge})), ["/schema too_large"]);
        let defined = |definitions: Value| {
            wrong(|body| {
                body["schema"]["$defs"] = definitions;
                body["schema"]["properties"]["target_namespace"] = json!({"$ref": "#/$defs/d0"});
            })
        };
        let cycle = defined(json!({"d0": {"allOf": [{"$ref": "#/$defs/d0"}]}}));
        assert_eq!(
            cycle,
            ["/schema/properties/target_namespace/$ref/allOf/0/$ref reference"].map(|_| cycle[0].clone())
        );
        assert!(cycle[0].ends_with(" reference"), "{cycle:?}");
        let doubling: Body = (0..40)
            .map(|at| {
                let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
                (format!("d{at}"), json!({"allOf": [next, next]}))
            })
            .chain([("d40".to_owned(), json!({}))])
            .collect();
        assert_eq!(defined(doubling.into()), ["/schema too_large"]);
        let chain: Body = (0..1000)
            .map(|at| (format!("d{at}"), json!({"$ref": format!("#/$defs/d{}", at + 1)})))
            .chain([("d1000".to_owned(), json!({}))])
            .collect();
        assert_eq!(defined(chain.into()), ["/schema too_large"]);
        assert_eq!(defined(json!({"d0": {"$ref": "#/$defs/d1"}, "d1": {"type": "string"}})), NONE);
    }

    #[test]
    fn a_reference_overrides_what_is_there() {
        for field in ["id", "absent", "on_remove"] {
            assert_eq!(wrong(|body| body["overridable"] = json!([field])), ["/overridable unknown_field"]);
        }
        assert_eq!(wrong(|body| body["overridable"] = json!(["ingress_rules"])), NONE);
        assert_eq!(wrong(|body| body["overridable"] = json!("id")), ["/overridable type"]);
    }

    #[test]
    fn names_are_free() {
        let named = |field: &str, value: &str| wrong(|body| body[field] = value.into());
        assert_eq!(
            wrong(|body| {
                body["id"] = "a".into();
                body["plural"] = "b".into()
            }),
            ["/plural id"]
        );
        for plural in
            ["namespaces", "resource_types", "clusters", "profiles", "api", "labels", "patches", "health"]
        {
            assert!(named("plural", plural).contains(&"/plural taken".to_owned()), "{plural}");
        }
        for name in ["namespace", "apply", "rolebinding", "help"] {
            assert!(named("kind", name).contains(&"/kind taken".to_owned()), "{name}");
        }
        for path in ["namespaces", "platform-components", "clusters"] {
            assert_eq!(named("flux_path", path), ["/flux_path taken"]);
        }
        for plural in ["A", "a-b", "1a", "a_", ""] {
            assert!(!named("plural", plural).is_empty(), "{plural}");
        }
    }

    #[test]
    fn every_field_of_what_refers_is_taken() {
        let types = Types::built_in();
        for plural in [crate::CLUSTERS, crate::PROFILES] {
            let schema = types.of(plural).unwrap().schema();
            for field in schema["properties"].as_object().unwrap().keys() {
                assert!(PLURALS.contains(&field.as_str()) || types.of(field).is_some(), "{plural}: {field}");
            }
        }
    }

    #[test]
    fn the_order_of_types_tells_nothing_of_the_history() {
        let definition = |name: &str| {
            let mut body = np();
            body["kind"] = name.into();
            TypeDefinition::parse(of(body).0).unwrap()
        };
        let [a, b] = [definition("a_thing"), definition("b_thing")];
        let plurals = |types: &Types| types.iter().map(|kind| kind.plural().to_owned()).collect::<Vec<_>>();
        let one = Types::built_in().with(&a).unwrap().with(&b).unwrap();
        let other = Types::built_in().with(&b).unwrap().with(&a).unwrap().with(&b).unwrap();
        assert_eq!(plurals(&one), plurals(&other));
        assert_eq!(
            plurals(&one.without("a_things").unwrap().without("b_things").unwrap()),
            plurals(&Types::built_in())
        );
    }
}
