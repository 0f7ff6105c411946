//! `KEY=VALUE` as typed after `--label`, `--annotation`, `--set` and `--filter`; `KEY=FILE` after
//! `--set-file`.

use std::str::FromStr;

use serde_json::Value;

use crate::document::{self, Document, edit_object};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    /// Splits at the first `=`, so that a value may hold more of them.
    fn from_str(typed: &str) -> Result<Self, String> {
        match typed.split_once('=') {
            None => Err(format!("no '=' in it; write it as {typed}=VALUE")),
            Some(("", _)) => Err("nothing stands before the '='; write it as KEY=VALUE".into()),
            Some((key, value)) => Ok(KeyValue { key: key.into(), value: value.into() }),
        }
    }
}

/// Reads `KEY=FILE`, for clap: the value is the whole text of the file, as it stands there.
pub(crate) fn read_value(typed: &str) -> Result<KeyValue, String> {
    let KeyValue { key, value: path } = typed.parse()?;
    Ok(KeyValue { key, value: document::read_text(&path)? })
}

/// Puts the pairs into the object `field` of `document` and takes the keys in `removed` out of it,
/// leaving its other keys alone.
pub(crate) fn merge_into(document: &mut Document, field: &str, pairs: &[KeyValue], removed: &[String]) {
    if pairs.is_empty() && removed.is_empty() {
        return;
    }
    edit_object(document, field, |object| {
        object.retain(|key, _| !removed.contains(key));
        object.extend(pairs.iter().map(|pair| (pair.key.clone(), Value::String(pair.value.clone()))));
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(typed: &str, expected: Option<(&str, &str)>) {
        let pair = typed.parse::<KeyValue>().ok();
        assert_eq!(pair.as_ref().map(|p| (p.key.as_str(), p.value.as_str())), expected);
    }

    #[test]
    fn the_first_equals_sign_divides() {
        check("a=b", Some(("a", "b")));
        check("ui.message=Hello = you", Some(("ui.message", "Hello = you")));
        check("empty=", Some(("empty", "")));
        check("spaces = kept", Some(("spaces ", " kept")));
        check("none", None);
        check("=value", None);
        check("", None);
    }

    #[test]
    fn merging_leaves_other_keys_alone() {
        let mut document = json!({"labels": {"a": "1", "b": "2", "c": "3"}});
        let pairs = ["b=9".parse().unwrap(), "d=4".parse().unwrap()];
        merge_into(document.as_object_mut().unwrap(), "labels", &pairs, &["c".into(), "unknown".into()]);
        assert_eq!(document, json!({"labels": {"a": "1", "b": "9", "d": "4"}}));
    }

    #[test]
    fn a_missing_or_null_object_is_begun_and_an_empty_one_goes() {
        let mut document = json!({"labels": null, "gone": {"a": "1"}});
        merge_into(document.as_object_mut().unwrap(), "labels", &["a=1".parse().unwrap()], &[]);
        merge_into(document.as_object_mut().unwrap(), "annotations", &[], &["a".into()]);
        merge_into(document.as_object_mut().unwrap(), "gone", &[], &["a".into()]);
        assert_eq!(document, json!({"labels": {"a": "1"}}));
    }
}
