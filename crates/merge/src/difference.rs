//! The field-by-field difference of two JSON values, as plans show it to people.

use serde::Serialize;
use serde_json::Value;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct FieldChange {
    /// The keys that lead to it, joined by dots; a key that is not plain stands in brackets and JSON's
    /// quotes: `source.oci_tag`, `labels["example.com/team"]`.
    pub path: String,
    /// What it was; null where it was absent.
    pub from: Value,
    /// What it is to be; null where it is to be absent.
    pub to: Value,
}

/// Every field in which the two differ, in the order of their keys. Objects are gone through at every
/// depth, those of which the other side has nothing too; lists are compared as wholes.
pub fn difference(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    descend(Some(before), Some(after), &mut String::new(), &mut found);
    found
}

/// Every field of `value`, as coming from nothing.
pub(crate) fn fields_of(value: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    descend(None, Some(value), &mut String::new(), &mut found);
    found
}

/// Whether one of the two paths is, or leads to, the other.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    let rest = long.strip_prefix(short);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn descend(before: Option<&Value>, after: Option<&Value>, path: &mut String, found: &mut Vec<FieldChange>) {
    let (one, other) = match (before, after) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => (Some(one), Some(other)),
        (Some(Value::Object(one)), None) if !one.is_empty() => (Some(one), None),
        (None, Some(Value::Object(other))) if !other.is_empty() => (None, Some(other)),
        _ if before == after => return,
        _ => {
            let [from, to] = [before, after].map(|value| value.cloned().unwrap_or_default());
            return found.push(FieldChange { path: path.clone(), from, to });
        }
    };
    let mut one = one.into_iter().flatten().peekable();
    let mut other = other.into_iter().flatten().peekable();
    // Both are sorted by key.
    while let Some(key) = match (one.peek(), other.peek()) {
        (Some((one, _)), Some((other, _))) => Some(*one.min(other)),
        (one, other) => one.or(other).map(|(key, _)| *key),
    } {
        let before = one.next_if(|(one, _)| *one == key).map(|(_, value)| value);
        let after = other.next_if(|(other, _)| *other == key).map(|(_, value)| value);
        let length = path.len();
        push_key(path, key);
        descend(before, after, path, found);
        path.truncate(length);
    }
}

/// Appends `key` to `path`, so that different keys always make different paths.
pub(crate) fn push_key(path: &mut String, key: &str) {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '/');
    if key.is_empty() || !key.chars().all(plain) {
        path.push('[');
        path.push_str(&Value::from(key).to_string());
        path.push(']');
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(changes: &[FieldChange]) -> String {
        changes.iter().map(|FieldChange { path, from, to }| format!("{path}: {from} -> {to}\n")).collect()
    }

    #[test]
    fn objects_are_gone_through_and_lists_are_whole() {
        let before =
            json!({"a": {"b": 1, "c": [1, 2]}, "d": {}, "e": {"x": {"y": 1}}, "n": null, "same": {"z": [0]}});
        let after =
            json!({"a": {"b": 2, "c": [2, 1]}, "d": {"f": 1}, "e": 3, "g": {"h": {}}, "same": {"z": [0]}});
        insta::assert_snapshot!(shown(&difference(&before, &after)), @r#"
        a.b: 1 -> 2
        a.c: [1,2] -> [2,1]
        d.f: null -> 1
        e: {"x":{"y":1}} -> 3
        g.h: null -> {}
        n: null -> null
        "#);
        insta::assert_snapshot!(shown(&fields_of(&before)), @"
        a.b: null -> 1
        a.c: null -> [1,2]
        d: null -> {}
        e.x.y: null -> 1
        n: null -> null
        same.z: null -> [0]
        ");
    }

    #[test]
    fn no_two_ways_through_keys_make_one_path() {
        let value = json!({"a.b": 1, "a": {"b": 2, "": 3, "[\"b\"]": 4, "ü": 5}, "x/y": 6, "": {"": 7}, "a[\"b\"]": 8});
        insta::assert_snapshot!(shown(&fields_of(&value)), @r#"
        [""][""]: null -> 7
        a[""]: null -> 3
        a["[\"b\"]"]: null -> 4
        a.b: null -> 2
        a.ü: null -> 5
        ["a.b"]: null -> 1
        ["a[\"b\"]"]: null -> 8
        x/y: null -> 6
        "#);
    }

    #[test]
    fn paths_overlap_where_one_leads_to_the_other() {
        for (one, other) in [("a", "a"), ("a", "a.b"), ("a[\"x\"].b", "a"), ("", "[\"x\"]")] {
            assert!(overlap(one, other), "{one} {other}");
        }
        for (one, other) in [("a", "ab"), ("a.b", "a.c"), ("a.b", "b")] {
            assert!(!overlap(one, other), "{one} {other}");
        }
    }
}
