//! What a JSON Schema says, in words for help, and a document that it could allow. Pure.

use flux_resourceset_model::TypeDefinition;
use serde_json::{Map, Value, json};

use crate::error::printable;

/// The type that a schema names, if it is one.
pub(crate) fn kind(schema: &Value) -> Option<&str> {
    schema.get("type").and_then(Value::as_str)
}

/// The properties of the schema beside the id.
pub(crate) fn properties(definition: &TypeDefinition) -> impl Iterator<Item = (&String, &Value)> {
    let properties = definition.schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().filter(|(name, _)| *name != "id")
}

/// The names of the properties that every document has.
pub(crate) fn required(definition: &TypeDefinition) -> Vec<&str> {
    let required = definition.schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A line for each of the properties `names`: its name, what it may be, whether it must be there, what it means.
pub(crate) fn described(definition: &TypeDefinition, names: &[&str], required: &[&str]) -> String {
    let rows = properties(definition).filter(|(name, _)| names.contains(&name.as_str()));
    let rows: Vec<_> = rows
        .map(|(name, schema)| {
            let required = if required.contains(&name.as_str()) { ", required" } else { "" };
            let meaning = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            (printable(name), printable(&format!("{}{required}", words(schema))), printable(meaning))
        })
        .collect();
    let width = |cell: fn(&(String, String, String)) -> &String| {
        rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0)
    };
    let (first, second) = (width(|row| &row.0), width(|row| &row.1));
    let line = |(name, words, meaning): &(String, String, String)| {
        format!("  {name:first$}  {words:second$}  {meaning}").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// What a value may be: `array of string`, `delete|keep`.
fn words(schema: &Value) -> String {
    let said = match (schema.get("enum").and_then(Value::as_array), kind(schema)) {
        (Some(values), _) => values.iter().map(text).collect::<Vec<_>>().join("|"),
        (None, Some("array")) => match schema.get("items").and_then(kind) {
            Some(items) => format!("array of {items}"),
            None => "array".into(),
        },
        (None, Some(kind)) => kind.into(),
        (None, None) => "any".into(),
    };
    match schema.get("default") {
        Some(default) => format!("{said}, default {default}"),
        None => said,
    }
}

/// A value as it is typed after `--set FIELD=`.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value that the schema names, or else one of its type.
pub(crate) fn sample(schema: &Value) -> Value {
    let first = |keyword: &str| schema.get(keyword)?.as_array()?.first();
    let named = [schema.get("example"), first("examples"), schema.get("default"), first("enum")];
    if let Some(value) = named.into_iter().flatten().next() {
        return value.clone();
    }
    match kind(schema) {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let sampled = properties.into_iter().flatten().map(|(name, below)| (name.clone(), sample(below)));
            Value::Object(sampled.collect::<Map<_, _>>())
        }
        Some("array") => schema.get("items").map_or_else(|| json!([]), |items| json!([sample(items)])),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        _ => json!("text"),
    }
}
