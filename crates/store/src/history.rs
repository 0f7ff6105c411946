//! What a store tells about the past: light records for lists, one entry with what it changed, and
//! the versions of one document.

use std::collections::BTreeMap;

use flux_resourceset_model::change::{EntryId, Key, Operation};

use crate::Position;

/// An answer about a revision, or why the store has none.
#[derive(Debug, Clone, PartialEq)]
pub enum Past<T> {
    /// The history holds that revision.
    Known(T),
    /// The history no longer reaches back to it: it begins at this revision.
    Forgotten(u64),
    /// The log has not come so far: this revision is its head.
    Ahead(u64),
}

impl<T> Past<T> {
    pub(crate) fn map<U>(self, answer: impl FnOnce(T) -> U) -> Past<U> {
        match self {
            Past::Known(known) => Past::Known(answer(known)),
            Past::Forgotten(begins) => Past::Forgotten(begins),
            Past::Ahead(head) => Past::Ahead(head),
        }
    }

    pub(crate) fn try_map<U, E>(self, answer: impl FnOnce(T) -> Result<U, E>) -> Result<Past<U>, E> {
        match self.map(answer) {
            Past::Known(answered) => answered.map(Past::Known),
            Past::Forgotten(begins) => Ok(Past::Forgotten(begins)),
            Past::Ahead(head) => Ok(Past::Ahead(head)),
        }
    }
}

/// One entry as a list shows it: without bodies, and of the same size whatever the entry holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The fleet's revision from this entry on.
    pub revision: u64,
    /// The entry's own id.
    pub entry: EntryId,
    /// When the store took it, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Who asked.
    pub principal: String,
    /// Why, where the writer said so.
    pub reason: Option<String>,
    /// The request that brought it.
    pub request_id: String,
    /// The first [`SHOWN`](Record::SHOWN) operations in the order asked, each without its body.
    pub operations: Vec<Operation>,
    /// How many operations it has.
    pub operation_count: usize,
    /// The first [`SHOWN`](Record::SHOWN) of the documents that it changed, ordered by type and id.
    pub documents: Vec<Key>,
    /// How many documents it changed.
    pub document_count: usize,
}

impl Record {
    /// How many operations, and how many documents, a record names at most.
    pub const SHOWN: usize = 20;
}

/// One entry with all that was asked and a page of what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryDetail {
    /// The entry as a list shows it; its `document_count` is the number of all changed documents.
    pub record: Record,
    /// Every operation, whole, in the order asked.
    pub operations: Vec<Operation>,
    /// The page of documents asked for, ordered by type and id.
    pub documents: Vec<Revised>,
}

/// One document as it was before an entry and as the entry left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revised {
    /// Which document.
    pub key: Key,
    /// Its body one revision earlier; `None` where it did not exist.
    pub before: Option<Vec<u8>>,
    /// Its body at the entry's revision; `None` where the entry deleted it.
    pub after: Option<Vec<u8>>,
}

/// One version of a document, and who left it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The revision that wrote it.
    pub revision: u64,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Who.
    pub principal: String,
    /// Why, where the writer said so.
    pub reason: Option<String>,
    /// Its body; `None` where that revision deleted the document.
    pub body: Option<Vec<u8>>,
}

/// Where a history begins, and the state there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The first position whose state can be read.
    pub position: Position,
    /// When its entry was taken, in milliseconds since 1970-01-01 UTC; `i64::MIN` at revision 0.
    pub at: i64,
    /// The documents that existed then, and who left each of them so.
    pub documents: BTreeMap<Key, Version>,
    /// The store's minimum reader version, which no entry may tell any more.
    pub min_reader: u32,
}

impl Default for Beginning {
    /// That of a history of which nothing was forgotten.
    fn default() -> Self {
        Beginning { position: Position::START, at: i64::MIN, documents: BTreeMap::new(), min_reader: 0 }
    }
}
