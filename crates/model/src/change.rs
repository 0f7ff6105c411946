//! Change sets: what one write asked for and which documents it left behind. They are what the
//! log holds, what a plan is made of, and what moves a Fleet from one revision to the next.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the documents' rules that this library reads.
///
/// A change set whose documents an older reader would answer wrongly carries a higher
/// [`ChangeSet::min_reader`]; a process below a store's minimum stops following it.
pub const READER_VERSION: u32 = 4;

/// Names one document of the fleet: the plural of its type (`clusters`) and its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Plural of the resource type, as in the API's paths: `clusters`, `platform_components`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The document's id, unique within its type.
    pub id: String,
}

impl Key {
    /// The key of the document `id` of the type whose plural is `kind`.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Key { kind: kind.into(), id: id.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// What was asked of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// POST: a document that does not exist yet.
    Create,
    /// PUT: replaces the top-level fields that the body carries.
    Update,
    /// PATCH: JSON Merge Patch (RFC 7396).
    Patch,
    /// DELETE.
    Delete,
}

/// A part of a document that has an address of its own: one reference of a cluster, or its patches
/// for one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The document's field that holds it: `platform_components`, `patches`, …
    pub field: String,
    /// Which one: the id of what is referred to.
    pub id: String,
}

/// One operation as it was asked, kept in the log beside the documents that came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// What was asked.
    pub verb: Verb,
    /// Of which document. The id `*` stands for every cluster that `select` chooses.
    #[serde(flatten)]
    pub key: Key,
    /// Of which part of it; `None`: of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// A label selector, where the id is `*`; an empty one chooses every cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Whether `select` may choose none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_empty: bool,
    /// The body as sent; absent for a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Whether a delete was to remove the references to the document too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl Operation {
    /// The id that stands for every cluster that a selector chooses.
    pub const EVERY: &str = "*";

    /// `verb` on the whole document `key`, which is not to be forced.
    pub fn new(verb: Verb, key: Key, body: Option<Value>) -> Self {
        Operation { verb, key, part: None, select: None, allow_empty: false, body, force: false }
    }

    /// The same operation on a part of the document.
    pub fn on(mut self, field: impl Into<String>, id: impl Into<String>) -> Self {
        self.part = Some(Part { field: field.into(), id: id.into() });
        self
    }

    /// What it is about, as change sets write it: `clusters/*/platform_components/grafana`.
    pub fn target(&self) -> String {
        match &self.part {
            Some(part) => format!("{}/{}/{}", self.key, part.field, part.id),
            None => self.key.to_string(),
        }
    }

    /// Reads what [`target`](Self::target) writes; `None` where `text` is no such thing.
    pub fn parse_target(text: &str) -> Option<(Key, Option<Part>)> {
        let steps: Vec<&str> = text.split('/').collect();
        match steps.as_slice() {
            [kind, id] => Some((Key::new(*kind, *id), None)),
            [kind, id, field, part] => {
                Some((Key::new(*kind, *id), Some(Part { field: (*field).into(), id: (*part).into() })))
            }
            _ => None,
        }
        .filter(|_| steps.iter().all(|step| !step.is_empty()))
    }
}

/// One document as a change set leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentChange {
    /// Which document.
    pub key: Key,
    /// Its whole new body as canonical JSON, or `None` where it is gone.
    pub body: Option<Vec<u8>>,
}

/// A log entry's own id: 128 random bits chosen by whoever commits, before the commit, so that a
/// commit whose outcome is unknown can be looked for instead of being done twice.
///
/// Displayed and parsed as 32 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId(pub u128);

impl EntryId {
    /// The id that stands at revision 0, before anything was written.
    pub const NIL: EntryId = EntryId(0);
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for EntryId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(EntryId)
    }
}

/// A write: committed whole or not at all, under one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeSet {
    /// The id that its log entry will have.
    pub entry: EntryId,
    /// Who asked: the name of the token, or of what acts by itself (`seed`).
    pub principal: String,
    /// Why, where the writer said so.
    pub reason: Option<String>,
    /// The request that brought it, as in the server's log lines and answers.
    pub request_id: String,
    /// What was asked, in order.
    pub operations: Vec<Operation>,
    /// What came of it: each document at most once.
    pub documents: Vec<DocumentChange>,
    /// Readers below this version must not follow the store any further;
    /// [`READER_VERSION`] of the first release that knows what these documents hold.
    pub min_reader: u32,
}

/// A change set as the log holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The fleet's revision from this change set on. The first is 1; each next one is higher.
    pub revision: u64,
    /// When the store took it, in milliseconds since 1970-01-01 UTC; never lower than the entry before.
    pub at: i64,
    /// What was committed.
    pub change_set: ChangeSet,
}
