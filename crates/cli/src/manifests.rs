//! The manifests that a resource type begins with: the provider that a cluster polls, and a ResourceSet that renders
//! as it stands. Their text is in `manifests/`, as `deploy/` ships it for the built-in types. Pure.

use std::collections::BTreeMap;

use flux_resourceset_model::ResourceType;
use serde_json::{Value, json};

use crate::schema_text::kind;

/// What of the provider differs from fleet to fleet.
pub(crate) struct Polling<'a> {
    /// The base URL under which clusters reach the API.
    pub(crate) url: &'a str,
    pub(crate) cluster_dns: &'a str,
    /// The Secret with the token.
    pub(crate) secret: &'a str,
}

/// The provider as YAML.
pub(crate) fn provider(of: &ResourceType, polling: &Polling<'_>) -> String {
    let Polling { url, cluster_dns, secret } = polling;
    let flux_path = of.flux_path().unwrap_or_default();
    let path = format!("{}/api/v2/flux/clusters/{cluster_dns}/{flux_path}", url.trim_end_matches('/'));
    // Where the URL is Flux's to fill in, no other `${` may be; where it is not, nothing may be filled in.
    let substituted = path.contains("${");
    let default = |(name, value): (&str, String)| {
        let value = if substituted { value.replace("${", "$${") } else { value };
        format!("    {}: {value}", plain(name))
    };
    let defaults: Vec<_> = defaults(of).into_iter().map(default).collect();
    let substitute = "\n    kustomize.toolkit.fluxcd.io/substitute: disabled";
    // The token goes in the clear only where somebody wrote that it may.
    let insecure = if path.starts_with("http://") { "\n  insecure: true" } else { "" };
    include_str!("manifests/provider.yaml")
        .replace("@kind@", of.name())
        .replace("@name@", &plain(flux_path))
        .replace("@substitute@", if substituted { "" } else { substitute })
        .replace("@insecure@", insecure)
        .replace("@secret@", &plain(secret))
        .replace("@url@", &json!(path).to_string())
        .replace("@defaults@", &defaults.join("\n"))
}

/// The ResourceSet as YAML.
pub(crate) fn resource_set(of: &ResourceType) -> String {
    let fields = of
        .input_fields()
        .iter()
        .map(|(name, _)| field(name, of.schema().pointer(&format!("/properties/{name}"))));
    include_str!("manifests/resource_set.yaml")
        .replace("@kind@", of.name())
        .replace("@name@", &plain(of.flux_path().unwrap_or_default()))
        .replace("@object@", &of.name().replace('_', "-"))
        .replace("\n@fields@", &fields.collect::<String>())
}

/// What stands for each property that a document may leave out, as the server fills it in.
fn defaults(of: &ResourceType) -> BTreeMap<&str, String> {
    let required = of.schema().get("required").and_then(Value::as_array);
    let required: Vec<_> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    // The operator ends in a panic on a null here.
    let optional = of
        .input_fields()
        .iter()
        .filter(|(name, default)| !required.contains(&name.as_str()) && !default.is_null());
    let json = optional.map(|(name, default)| (name.as_str(), default.to_string()));
    json.chain([("on_remove", "delete".to_owned())]).collect()
}

/// A line of the template that names the property, in the form that suits its type.
fn field(name: &str, schema: Option<&Value>) -> String {
    let key = plain(name);
    let line = match schema.and_then(kind) {
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
