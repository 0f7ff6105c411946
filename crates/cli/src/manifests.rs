//! The manifests that a resource type begins with: the provider that a cluster polls, and a ResourceSet that renders
//! as it stands. Their text is in `manifests/`, as `deploy/` ships it for the built-in types. Pure.

use flux_resourceset_model::TypeDefinition;
use serde_json::{Map, Value, json};

use crate::document::Document;

/// What of the provider differs from fleet to fleet.
pub(crate) struct Polling<'a> {
    /// The base URL under which clusters reach the API.
    pub(crate) url: &'a str,
    pub(crate) cluster_dns: &'a str,
    /// The Secret with the token.
    pub(crate) secret: &'a str,
}

/// The provider as YAML.
pub(crate) fn provider(definition: &TypeDefinition, polling: &Polling<'_>) -> String {
    let Polling { url, cluster_dns, secret } = polling;
    let path =
        format!("{}/api/v2/flux/clusters/{cluster_dns}/{}", url.trim_end_matches('/'), definition.flux_path);
    // Where the URL is Flux's to fill in, no other `${` may be; where it is not, nothing may be filled in.
    let substituted = path.contains("${");
    let mut lines = Vec::new();
    for (name, value) in defaults(definition) {
        let value = if name == "on_remove" { "delete".into() } else { value.to_string() };
        let value = if substituted { value.replace("${", "$${") } else { value };
        lines.push(format!("    {}: {value}", plain(&name)));
    }
    let substitute = "\n    kustomize.toolkit.fluxcd.io/substitute: disabled";
    // The token goes in the clear only where somebody wrote that it may.
    let insecure = if path.starts_with("http://") { "\n  insecure: true" } else { "" };
    include_str!("manifests/provider.yaml")
        .replace("@kind@", &definition.name)
        .replace("@name@", &plain(&definition.flux_path))
        .replace("@substitute@", if substituted { "" } else { substitute })
        .replace("@insecure@", insecure)
        .replace("@secret@", &plain(secret))
        .replace("@url@", &json!(path).to_string())
        .replace("@defaults@", &lines.join("\n"))
}

/// The ResourceSet as YAML.
pub(crate) fn resource_set(definition: &TypeDefinition) -> String {
    let fields: Vec<_> = properties(definition).map(|(name, schema)| field(name, schema)).collect();
    include_str!("manifests/resource_set.yaml")
        .replace("@kind@", &definition.name)
        .replace("@name@", &plain(&definition.flux_path))
        .replace("@object@", &definition.name.replace('_', "-"))
        .replace("\n@fields@", &fields.concat())
}

/// The properties that the schema has beside the id.
fn properties(definition: &TypeDefinition) -> impl Iterator<Item = (&String, &Value)> {
    let properties = definition.schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().filter(|(name, _)| *name != "id")
}

/// What stands for each property that a document may leave out, as the server fills it in.
fn defaults(definition: &TypeDefinition) -> Document {
    let required = definition.schema.get("required").and_then(Value::as_array);
    let required: Vec<_> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    let optional = properties(definition).filter(|(name, _)| !required.contains(&name.as_str()));
    let mut defaults: Document = optional.map(|(name, schema)| (name.clone(), default_of(schema))).collect();
    defaults.insert("on_remove".into(), "delete".into());
    // The operator takes no null here.
    defaults.retain(|_, value| !value.is_null());
    defaults
}

fn default_of(schema: &Value) -> Value {
    schema.get("default").cloned().unwrap_or_else(|| match kind(schema) {
        Some("object") => Value::Object(Map::new()),
        Some("array") => json!([]),
        Some("string") => json!(""),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(false),
        _ => Value::Null,
    })
}

/// The type that a schema names, if it is one.
pub(crate) fn kind(schema: &Value) -> Option<&str> {
    schema.get("type").and_then(Value::as_str)
}

/// A line of the template that names the property, in the form that suits its type.
fn field(name: &str, schema: &Value) -> String {
    let key = plain(name);
    let line = match kind(schema) {
        Some("string") => format!("{key}: << inputs.{name} | quote >>"),
        Some("integer" | "number" | "boolean") => format!("{key}: << inputs.{name} >>"),
        Some("object" | "array") => {
            format!("{key}:\n          <<- inputs.{name} | toYaml | nindent 6 >>")
        }
        // Of any type; JSON is YAML in one line.
        _ => format!("{key}: << inputs.{name} | toJson >>"),
    };
    format!("\n        {line}")
}

/// Text as a scalar that every YAML reader takes for text: quoted where it could be something else.
fn plain(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || ['-', '_'].contains(&c);
    let reserved = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    match text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(word)
        && !reserved.contains(&text.to_ascii_lowercase().as_str())
    {
        true => text.into(),
        false => json!(text).to_string(),
    }
}
