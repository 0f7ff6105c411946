//! A stored document taken apart into its fields, each of which is read on its own: those of clusters depend on
//! the types of the fleet.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Unreadable;

/// The fields of a JSON object, not read yet.
pub(crate) struct Fields<'a>(BTreeMap<Name<'a>, &'a RawValue>);

/// Copied only where it is escaped.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Borrow<str> for Name<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What was read of a document before some of its fields were written anew, so that the others need not be read
/// again.
pub(crate) struct Kept<'a, T>(Option<(&'a T, Stays<'a>)>);

/// Whether a field is as it was.
type Stays<'a> = &'a dyn Fn(&str) -> bool;

impl<T> Clone for Kept<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Kept<'_, T> {}

impl<'a, T> Kept<'a, T> {
    /// Where nothing is known of the document.
    pub(crate) const NOTHING: Self = Kept(None);

    /// `known`, of which the fields are the same that `stays` says.
    pub(crate) fn of(known: &'a T, stays: Stays<'a>) -> Self {
        Kept(Some((known, stays)))
    }

    /// Where the field `name` stays, of what it is a part.
    pub(crate) fn field(self, name: &str) -> Option<&'a T> {
        self.0.filter(|(_, stays)| stays(name)).map(|(known, _)| known)
    }

    /// A part of it.
    pub(crate) fn map<U>(self, part: impl FnOnce(&'a T) -> &'a U) -> Kept<'a, U> {
        Kept(self.0.map(|(known, stays)| (part(known), stays)))
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn of(body: &'a [u8]) -> Result<Self, Unreadable> {
        let fields = serde_json::from_slice(body);
        fields.map(Fields).map_err(|error| Unreadable(format!("is not a JSON object: {error}")))
    }

    /// Those that are not among `others`.
    pub(crate) fn without<T>(self, others: &BTreeMap<&str, T>) -> Self {
        Fields(self.0.into_iter().filter(|(name, _)| !others.contains_key(&*name.0)).collect())
    }

    /// Every field by its name, as it is written.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&*name.0, value.get()))
    }

    /// The field as it is written.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get())
    }

    pub(crate) fn optional<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, Unreadable> {
        let value = self.text(name).map(serde_json::from_str).transpose();
        value.map_err(|error| {
            let error = error.to_string();
            // The place is one within the field, which helps nobody.
            Unreadable(format!("`{name}`: {}", error.split(" at line ").next().unwrap_or(&error)))
        })
    }

    pub(crate) fn or_default<T: Deserialize<'a> + Default>(&self, name: &str) -> Result<T, Unreadable> {
        Ok(self.optional(name)?.unwrap_or_default())
    }

    pub(crate) fn required<T: Deserialize<'a>>(&self, name: &str) -> Result<T, Unreadable> {
        self.optional(name)?.ok_or_else(|| Unreadable(format!("missing field `{name}`")))
    }
}
