//! Which version of a document gave its fields the values that they have, found by walking the versions
//! back until every field asked about had another value.

use flux_resourceset_model::Body;
use serde_json::Value;

use crate::field::Field;

/// Since when a field has the value that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastChange {
    /// Since this revision, which changed or removed the field or created the document.
    At(u64),
    /// Since before the history begins.
    BeforeHistory,
}

/// Walks the versions of one document back, as many as it takes to know the last change of each field.
#[derive(Debug, Clone)]
pub struct LastChanges {
    plural: String,
    fields: Vec<Wanted>,
    /// The oldest version seen so far.
    oldest: Option<u64>,
}

#[derive(Debug, Clone)]
struct Wanted {
    field: Field,
    /// In the newest version.
    value: State,
    since: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    NoDocument,
    NoField,
    Is(Value),
}

impl State {
    fn of(plural: &str, field: &Field, body: Option<&Body>) -> Self {
        match body.map(|body| field.value(plural, body)) {
            None => State::NoDocument,
            Some(None) => State::NoField,
            Some(Some(value)) => State::Is(value.clone()),
        }
    }
}

impl LastChanges {
    /// Asks about these fields of a document of the type with this plural.
    pub fn new(plural: impl Into<String>, fields: impl IntoIterator<Item = Field>) -> Self {
        let wanted = |field| Wanted { field, value: State::NoDocument, since: None };
        LastChanges { plural: plural.into(), fields: fields.into_iter().map(wanted).collect(), oldest: None }
    }

    /// Takes the next version, each older than the one before; `None` is one in which the document is
    /// gone. True as soon as no older ones are needed.
    pub fn feed(&mut self, revision: u64, body: Option<&Body>) -> bool {
        let newer = self.oldest.replace(revision);
        for wanted in self.fields.iter_mut().filter(|wanted| wanted.since.is_none()) {
            let then = State::of(&self.plural, &wanted.field, body);
            match newer {
                None => wanted.value = then,
                Some(newer) if then != wanted.value => wanted.since = Some(newer),
                Some(_) => {}
            }
        }
        self.fields.iter().all(|wanted| wanted.since.is_some())
    }

    /// The answers, for as many versions as there are, in the order in which the fields were asked about.
    /// The history begins with the state at `history_begins`, which is 0 where nothing was forgotten.
    pub fn finish(self, history_begins: u64) -> Vec<(Field, LastChange)> {
        // What is as it was in the document's first version has been so since that was written.
        let first = self.oldest.filter(|oldest| *oldest > history_begins);
        let answer = |wanted: Wanted| {
            let change = wanted.since.or(first).map_or(LastChange::BeforeHistory, LastChange::At);
            (wanted.field, change)
        };
        self.fields.into_iter().map(answer).collect()
    }
}
