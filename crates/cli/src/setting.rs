//! `--set FIELD=VALUE` of a registered type, read as the type's schema says: of a definition, or of what a
//! cluster's reference overrides of it.

use clap::Args;
use flux_resourceset_model::TypeDefinition;
use serde_json::Value;

use crate::document::{self, Document};
use crate::error::printable;
use crate::key_value::KeyValue;
use crate::reference::OnRemove;
use crate::remarks::{Reference, Remarks};
use crate::resource::Fields;
use crate::schema_text;

/// The flags that set fields.
#[derive(Args, Default, PartialEq)]
pub(crate) struct Settings {
    /// Set a property; what is no text is written as JSON (repeatable)
    #[arg(long, value_name = "FIELD=VALUE", value_parser = untyped)]
    set: Vec<Setting>,

    #[command(flatten)]
    on_remove: OnRemove,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    field: String,
    value: Value,
}

impl Fields for Settings {
    fn apply(&self, document: &mut Document) {
        for Setting { field, value } in &self.set {
            document.insert(field.clone(), value.clone());
        }
        self.on_remove.apply(document);
    }
}

/// The flags of what a reference overrides.
#[derive(Args, Default, PartialEq)]
pub(crate) struct Overrides {
    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    remarks: Remarks,

    /// Go back to the definition's value of this property (repeatable)
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
}

impl Fields for Overrides {
    fn apply(&self, reference: &mut Document) {
        self.unset.iter().for_each(|field| drop(reference.remove(field)));
        self.settings.apply(reference);
        self.remarks.apply(reference);
    }

    /// An override is the whole of its property, so that nothing is merged into one that is there.
    fn merge_patch(&self) -> Document {
        Document::new()
    }

    fn replacement(&self) -> Document {
        let mut fields: Document = self.unset.iter().map(|field| (field.clone(), Value::Null)).collect();
        self.settings.apply(&mut fields);
        self.remarks.say(&mut fields);
        fields
    }
}

impl Reference for Overrides {
    fn remarks(&self) -> &Remarks {
        &self.remarks
    }
}

/// Stands in the declaration of the flag, until the type is known.
fn untyped(typed: &str) -> Result<Setting, String> {
    let KeyValue { key: field, value } = typed.parse()?;
    Ok(Setting { field, value: value.into() })
}

/// Of the type that `definition` declares, with only the properties in `allowed`.
pub(crate) fn parse(definition: &TypeDefinition, allowed: &[&str], typed: &str) -> Result<Setting, String> {
    let KeyValue { key: field, value } = typed.parse()?;
    let known = definition.schema.get("properties").and_then(|properties| properties.get(&field));
    let Some(schema) = known.filter(|_| allowed.contains(&field.as_str())) else {
        return Err(refused(&field, allowed));
    };
    Ok(Setting { value: self::value(schema, &value)?, field })
}

fn refused(field: &str, allowed: &[&str]) -> String {
    let flag = match field {
        "on_remove" => "; it has a flag of its own, --on-remove",
        _ => "",
    };
    match allowed {
        [] => format!("{} cannot be set here, nor can any other{flag}", printable(field)),
        allowed => {
            format!("{} cannot be set here, only {}{flag}", printable(field), printable(&allowed.join(", ")))
        }
    }
}

/// Text stands for itself where the schema wants text, and for JSON (or YAML) where it wants something else.
fn value(schema: &Value, typed: &str) -> Result<Value, String> {
    match schema_text::kind(schema) {
        Some("string") => Ok(typed.into()),
        Some(kind) => {
            let read = document::parse_value(typed).ok().filter(|value| is(value, kind));
            read.ok_or_else(|| format!("not of type {kind}; write it as JSON"))
        }
        None => Ok(serde_json::from_str(typed).unwrap_or_else(|_| typed.into())),
    }
}

/// Whether the value is of this type of JSON Schema.
fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "array" => value.is_array(),
        "object" => value.is_object(),
        "boolean" => value.is_boolean(),
        "integer" | "number" => value.is_number(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: Value, typed: &str, expected: Result<Value, &str>) {
        match (value(&schema, typed), expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected),
            (Err(said), Err(part)) => assert!(said.contains(part), "{said}"),
            (other, _) => panic!("{typed}: {other:?}"),
        }
    }

    #[test]
    fn a_value_is_what_the_schema_wants() {
        check(json!({"type": "string"}), "3", Ok(json!("3")));
        check(json!({"type": "string"}), "", Ok(json!("")));
        check(json!({"type": "integer"}), "3", Ok(json!(3)));
        check(json!({"type": "integer"}), "three", Err("integer"));
        check(json!({"type": "boolean"}), "true", Ok(json!(true)));
        check(json!({"type": "array"}), r#"[{"port":1}]"#, Ok(json!([{"port": 1}])));
        check(json!({"type": "array"}), "[a, b]", Ok(json!(["a", "b"])));
        check(json!({"type": "object"}), "a", Err("object"));
        check(json!({"type": ["string", "integer"]}), "3", Ok(json!(3)));
        check(json!({}), "plain words", Ok(json!("plain words")));
    }
}
