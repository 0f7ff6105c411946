//! What a reference says of itself, whatever it refers to: that it takes out what profiles give, why, and
//! until when.

use clap::Args;
use flux_resourceset_model::Expiry;
use serde_json::Value;

use crate::document::{Document, set};
use crate::error::Error;
use crate::resource::Fields;

const EXCLUDE: &str = "exclude";
/// What may stand beside `exclude`.
const BESIDE: [&str; 3] = ["id", "note", "expires"];

#[derive(Args, Default, PartialEq)]
pub(crate) struct Remarks {
    /// Take it out of what profiles give (of a profile: what those of lower priority give); goes alone
    #[arg(long)]
    exclude: bool,

    /// Why the cluster says so, for `report exceptions`
    #[arg(long, value_name = "TEXT", conflicts_with = "profile")]
    note: Option<String>,

    /// Until when it is meant to stand: 2027-01-31, or a time. It is reported then; nothing changes by itself
    #[arg(long, value_name = "DATE", conflicts_with = "profile", value_parser = expiry)]
    expires: Option<String>,
}

/// Flags of a reference: what it overrides, and what it says of itself.
pub(crate) trait Reference: Fields {
    fn remarks(&self) -> &Remarks;
}

fn expiry(typed: &str) -> Result<String, String> {
    match Expiry::parse(typed) {
        Some(_) => Ok(typed.into()),
        None => Err("write a date such as 2027-01-31, or a time such as 2027-01-31T18:00:00Z".into()),
    }
}

impl Remarks {
    /// Whoever refers to something refers to it: that it was taken out before is over then.
    pub(crate) fn apply(&self, reference: &mut Document) {
        match self.exclude {
            true => reference.retain(|field, _| BESIDE.contains(&field.as_str())),
            false => drop(reference.remove(EXCLUDE)),
        }
        self.say(reference);
    }

    /// Sets what was given.
    pub(crate) fn say(&self, fields: &mut Document) {
        set(fields, EXCLUDE, Some(&true).filter(|_| self.exclude));
        set(fields, "note", self.note.as_ref());
        set(fields, "expires", self.expires.as_ref());
    }

    pub(crate) fn excludes(&self) -> bool {
        self.exclude
    }
}

/// What of a reference says that it does not take out.
pub(crate) fn included() -> Document {
    Document::from_iter([(EXCLUDE.to_owned(), Value::Null)])
}

/// Whether the reference takes out what it names.
pub(crate) fn excludes(reference: &Value) -> bool {
    reference.get(EXCLUDE) == Some(&Value::Bool(true))
}

/// An error where something is to be taken out and overridden at once.
pub(crate) fn check<R: Reference>(reference: &R) -> Result<(), Error> {
    let said = reference.replacement().into_iter().chain(reference.merge_patch());
    let beside = |field: &String| field != EXCLUDE && !BESIDE.contains(&field.as_str());
    match said.map(|(field, _)| field).find(beside) {
        Some(field) if reference.remarks().excludes() => Err(Error::Usage(format!(
            "--exclude goes alone, but for --note and --expires: what is taken out has no {field}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_apply(before: Value, remarks: &Remarks, expected: Value) {
        let mut reference = before;
        remarks.apply(reference.as_object_mut().unwrap());
        assert_eq!(reference, expected);
    }

    #[test]
    fn what_is_taken_out_is_not_overridden_and_what_is_referred_to_is_not_taken_out() {
        let out = Remarks { exclude: true, ..Remarks::default() };
        let before = json!({"id": "a", "oci_tag": "1", "release": {}, "note": "n", "expires": "2027-01-31"});
        let taken = json!({"id": "a", "note": "n", "expires": "2027-01-31", "exclude": true});
        check_apply(before, &out, taken.clone());
        let noted = Remarks { note: Some("back".into()), ..Remarks::default() };
        check_apply(taken, &noted, json!({"id": "a", "note": "back", "expires": "2027-01-31"}));
    }

    #[test]
    fn a_date_is_one() {
        assert!(expiry("2027-01-31").is_ok() && expiry("2027-01-31T18:00:00+01:00").is_ok());
        assert!(expiry("2027-02-30").is_err() && expiry("soon").is_err());
    }
}
