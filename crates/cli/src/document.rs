//! Documents as this program meets them: read from a file, changed field by field, and compared
//! with what was asked for.

use std::fs;
use std::io::{self, Read};

use serde_json::{Map, Value};

pub(crate) type Document = Map<String, Value>;

/// A document read from the file named on the command line; `-` is stdin.
///
/// It is read while the command line is parsed, once: a write that is tried again must not find
/// stdin empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileDocument(pub(crate) Document);

/// Reads the document in the file `path`, for clap.
pub(crate) fn read_file(path: &str) -> Result<FileDocument, String> {
    parse(&read_text(path)?).map(FileDocument)
}

/// The text of the file `path`, for clap; `-` is stdin.
pub(crate) fn read_text(path: &str) -> Result<String, String> {
    let text = match path {
        "-" => io::read_to_string(io::stdin().lock().take(MAX_FILE)),
        path => fs::File::open(path).and_then(|file| io::read_to_string(file.take(MAX_FILE))),
    }
    .map_err(|error| error.to_string())?;
    // What is cut may still parse, and mean something else.
    match (text.len() as u64) < MAX_FILE {
        true => Ok(text),
        false => Err(format!("it is larger than {} MiB", MAX_FILE >> 20)),
    }
}

/// Far above any fleet; it bounds what `-f /dev/zero` can take.
const MAX_FILE: u64 = 256 << 20;

/// One JSON or YAML object. `_id` is read as `id`, as the API reads it.
fn parse(text: &str) -> Result<Document, String> {
    let value = parse_value(text)?;
    let Value::Object(mut document) = value else {
        return Err("it holds no single JSON or YAML object".into());
    };
    if let (Some(id), false) = (document.get("_id").cloned(), document.contains_key("id")) {
        document.remove("_id");
        document.insert("id".into(), id);
    }
    Ok(document)
}

/// One JSON or YAML value.
pub(crate) fn parse_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).or_else(|json_error| {
        // What begins as JSON is meant as JSON, and deserves JSON's own complaint.
        parse_yaml(text).map_err(|yaml_error| match text.trim_start().starts_with('{') {
            true => json_error.to_string(),
            false => yaml_error,
        })
    })
}

/// A JSON value, or as many YAML documents as the text has.
pub(crate) fn parse_values(text: &str) -> Result<Vec<Value>, String> {
    serde_json::from_str(text).map(|value| vec![value]).or_else(|json_error| {
        let values = serde_saphyr::from_multiple_with_options(text, yaml_options());
        values.map_err(|yaml_error| match text.trim_start().starts_with('{') {
            true => json_error.to_string(),
            false => yaml_error.without_snippet().to_string(),
        })
    })
}

fn parse_yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str_with_options(text, yaml_options())
        .map_err(|error| error.without_snippet().to_string())
}

/// YAML 1.2: only true and false are booleans, so that `yes` and `on` stay words.
fn yaml_options() -> serde_saphyr::Options {
    // A file is bounded by its size, and a whole fleet is larger than what is foreseen for one
    // document; what aliases blow up stays bounded by their own limits.
    let most = usize::try_from(MAX_FILE).unwrap_or(usize::MAX);
    let budget = serde_saphyr::budget! {
        max_events: most, max_nodes: most, max_documents: most, max_total_scalar_bytes: most,
    };
    serde_saphyr::options! { strict_booleans: true, budget: budget }
}

/// The document's `id` as text, if it has one.
pub(crate) fn id(document: &Value) -> Option<&str> {
    document.get("id").or_else(|| document.get("_id"))?.as_str()
}

/// Sets a field where its flag was given.
pub(crate) fn set<T: Clone + Into<Value>>(document: &mut Document, field: &str, value: Option<&T>) {
    if let Some(value) = value {
        document.insert(field.into(), value.clone().into());
    }
}

/// Takes out the field `path`, or one key of it: `oci_tag`, `release.suspend`.
pub(crate) fn unset(document: &mut Document, path: &str) {
    match path.split_once('.') {
        Some((field, key)) if document.get(field).is_some_and(Value::is_object) => {
            edit_object(document, field, |object| drop(object.remove(key)));
        }
        _ => drop(document.remove(path)),
    }
}

/// Says in a merge patch that the field `path`, or one key of it, goes.
pub(crate) fn clear(patch: &mut Document, path: &str) {
    match path.split_once('.') {
        Some((field, key)) => edit_object(patch, field, |object| {
            object.insert(key.into(), Value::Null);
        }),
        None => drop(patch.insert(path.into(), Value::Null)),
    }
}

/// Changes the object `field`. Where nothing is left in it, the field is absent.
pub(crate) fn edit_object(document: &mut Document, field: &str, change: impl FnOnce(&mut Document)) {
    let mut object = match document.remove(field) {
        Some(Value::Object(object)) => object,
        _ => Document::new(),
    };
    change(&mut object);
    if !object.is_empty() {
        document.insert(field.into(), Value::Object(object));
    }
}

/// The top-level fields in which `after` differs from `before`, as a PUT carries them: `null`
/// where the field is gone.
pub(crate) fn changed_fields(before: &Document, after: &Document) -> Document {
    let gone = before.keys().filter(|field| !after.contains_key(*field));
    let changed = after.iter().filter(|(field, value)| before.get(*field) != Some(value));
    changed
        .map(|(field, value)| (field.clone(), value.clone()))
        .chain(gone.map(|field| (field.clone(), Value::Null)))
        .collect()
}

/// The fields of `wanted` that `existing` holds differently, one line each. A field that `wanted`
/// does not mention is not asked about; null, `{}` and `[]` are the same as absent.
pub(crate) fn differences(wanted: &Document, existing: &Value) -> Vec<(String, String)> {
    let differs = |(field, value): (&String, &Value)| {
        let there = existing.get(field).unwrap_or(&Value::Null);
        let same = there == value || (is_empty(there) && is_empty(value));
        (!same).then(|| (field.clone(), format!("{field}: {there} there, {value} asked for")))
    };
    wanted.iter().filter_map(differs).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(object) => object.is_empty(),
        Value::Array(array) => array.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Document {
        let Value::Object(object) = value else { panic!("not an object: {value}") };
        object
    }

    #[track_caller]
    fn check_parse(text: &str, expected: Result<Value, &str>) {
        match (parse(text), expected) {
            (Ok(document), Ok(expected)) => assert_eq!(Value::Object(document), expected),
            (Err(said), Err(part)) => assert!(said.contains(part), "{said}"),
            (parsed, _) => panic!("{parsed:?}"),
        }
    }

    #[test]
    fn json_and_yaml_are_read() {
        check_parse(r#"{"id":"a","enabled":true}"#, Ok(json!({"id": "a", "enabled": true})));
        check_parse("{\n\t\"_id\": \"a\"\n}", Ok(json!({"id": "a"})));
        check_parse("id: a\nlabels:\n  team: x\n", Ok(json!({"id": "a", "labels": {"team": "x"}})));
        check_parse(
            "vm_image: on\nn: 3\nv: '3'\nz: null\nk0s_version: 1.30.0\n",
            Ok(json!({"vm_image": "on", "n": 3, "v": "3", "z": null, "k0s_version": "1.30.0"})),
        );
    }

    #[test]
    fn a_whole_fleet_is_not_too_large() {
        let text = "- {id: a, b: c}\n".repeat(60_000);
        assert_eq!(parse_values(&text).unwrap()[0].as_array().unwrap().len(), 60_000);
    }

    #[test]
    fn what_is_no_single_object_is_refused() {
        check_parse("- a\n", Err("no single JSON or YAML object"));
        check_parse("", Err(""));
        check_parse("id: a\nid: b\n", Err("duplicate"));
        check_parse("{\"id\": ", Err("EOF"));
        check_parse("id: a\n---\nid: b\n", Err(""));
    }

    #[test]
    fn a_put_carries_what_changed_and_null_for_what_went() {
        let before = object(json!({"id": "a", "role": "view", "on_remove": "keep"}));
        let after = object(json!({"id": "a", "role": "edit"}));
        assert_eq!(
            Value::Object(changed_fields(&before, &after)),
            json!({"role": "edit", "on_remove": null})
        );
        assert!(changed_fields(&before, &before).is_empty());
    }

    #[test]
    fn a_field_or_one_key_of_it_is_taken_out() {
        let mut document =
            object(json!({"a": 1, "labels": {"x.y/z": "1", "b": "2"}, "release": {"name": "n"}}));
        for path in ["a", "labels.x.y/z", "release.name", "absent", "absent.key"] {
            unset(&mut document, path);
        }
        assert_eq!(Value::Object(document), json!({"labels": {"b": "2"}}));
    }

    #[test]
    fn only_what_was_asked_for_can_differ() {
        let existing = json!({"id": "a", "labels": {"team": "x"}, "annotations": {"o": "p"}});
        let asked = |wanted| differences(&object(wanted), &existing);
        assert_eq!(asked(json!({"id": "a"})), []);
        assert_eq!(asked(json!({"id": "a", "labels": {"team": "x"}, "on_remove": null, "x": {}})), []);
        assert_eq!(
            asked(json!({"labels": {"team": "y"}})),
            [("labels".into(), r#"labels: {"team":"x"} there, {"team":"y"} asked for"#.into())]
        );
    }
}
