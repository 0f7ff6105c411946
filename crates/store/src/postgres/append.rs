//! A commit: one statement, and so one message, one transaction and nothing that could stay open.

use std::collections::BTreeMap;

use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, Key};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::{Session, Value};
use super::failure::{self, Failure};
use super::schema::{Meta, admit};
use crate::columns::{count, json, number};
use crate::{Position, StoreId, rules};

/// See `append.sql`. The fence makes a commit that is late write nothing: see `Settlement`.
const COMMIT: &str = "
SELECT * FROM flux_resourceset.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
    $20, $21, $22, $23, $24, $25, $26)";

/// Who commits, and on what conditions beside the head's.
pub(super) struct Writing {
    pub(super) store: StoreId,
    pub(super) reader: u32,
    pub(super) fence: i64,
}

/// What became of it.
pub(super) enum Appended {
    /// Durable, at this time.
    At(i64),
    /// Nothing was written: the head, or the fence, is not what was expected.
    Refused(Meta),
}

/// Columns of the entries, of the documents as each leaves them, and of the documents as all leave them.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) entries: Vec<Uuid>,
    pub(super) principals: Vec<&'a str>,
    pub(super) reasons: Vec<Option<&'a str>>,
    pub(super) request_ids: Vec<&'a str>,
    pub(super) min_readers: Vec<i64>,
    pub(super) operation_counts: Vec<i64>,
    pub(super) document_counts: Vec<i64>,
    pub(super) shown: Vec<String>,
    pub(super) operations: Vec<String>,
    pub(super) versions: Keys<'a>,
    pub(super) places: Vec<i64>,
    pub(super) bodies: Vec<Option<&'a [u8]>>,
    pub(super) current: Keys<'a>,
    pub(super) gone: Keys<'a>,
}

/// Names of documents, and which of the change sets wrote each, counted from 1.
#[derive(Default)]
pub(super) struct Keys<'a> {
    pub(super) kinds: Vec<&'a str>,
    pub(super) ids: Vec<&'a str>,
    pub(super) nths: Vec<i64>,
}

impl<'a> Keys<'a> {
    fn push(&mut self, key: &'a Key, nth: i64) {
        self.kinds.push(&key.kind);
        self.ids.push(&key.id);
        self.nths.push(nth);
    }
}

impl<'a> Columns<'a> {
    pub(super) fn of(change_sets: impl IntoIterator<Item = &'a ChangeSet>) -> Result<Self, Failure> {
        let mut columns = Columns::default();
        let mut last: BTreeMap<&Key, (i64, bool)> = BTreeMap::new();
        for (nth, set) in (1..).zip(change_sets) {
            columns.entries.push(Uuid::from_u128(set.entry.0));
            columns.principals.push(&set.principal);
            columns.reasons.push(set.reason.as_deref());
            columns.request_ids.push(&set.request_id);
            columns.min_readers.push(set.min_reader.into());
            columns.operation_counts.push(count(set.operations.len()));
            columns.document_counts.push(count(set.documents.len()));
            columns.shown.push(json(&rules::shown(&set.operations))?);
            columns.operations.push(json(&set.operations)?);
            for (place, DocumentChange { key, body }) in (0..).zip(&set.documents) {
                columns.versions.push(key, nth);
                columns.places.push(place);
                columns.bodies.push(body.as_deref());
                last.insert(key, (nth, body.is_some()));
            }
        }
        for (key, (nth, exists)) in last {
            if exists { columns.current.push(key, nth) } else { columns.gone.push(key, nth) }
        }
        Ok(columns)
    }
}

/// Appends `change_sets`, of which there is at least one, if the head is still `expected`.
pub(super) async fn append(
    session: &Session,
    writing: &Writing,
    expected: Position,
    change_sets: &[ChangeSet],
) -> Result<Appended, Failure> {
    let it = Columns::of(change_sets)?;
    let now = rules::entry_time(0);
    let store = Uuid::from_u128(writing.store.0);
    let (revision, entry) = (number(expected.revision), Uuid::from_u128(expected.entry.0));
    let (reader, version) = (i64::from(writing.reader), super::schema::known_version());
    let values: &[Value<'_>] = &[
        (&now, Type::INT8),
        (&store, Type::UUID),
        (&writing.fence, Type::INT8),
        (&revision, Type::INT8),
        (&entry, Type::UUID),
        (&reader, Type::INT8),
        (&version, Type::INT8),
        (&it.entries, Type::UUID_ARRAY),
        (&it.principals, Type::TEXT_ARRAY),
        (&it.reasons, Type::TEXT_ARRAY),
        (&it.request_ids, Type::TEXT_ARRAY),
        (&it.min_readers, Type::INT8_ARRAY),
        (&it.operation_counts, Type::INT8_ARRAY),
        (&it.document_counts, Type::INT8_ARRAY),
        (&it.shown, Type::TEXT_ARRAY),
        (&it.operations, Type::TEXT_ARRAY),
        (&it.versions.kinds, Type::TEXT_ARRAY),
        (&it.versions.ids, Type::TEXT_ARRAY),
        (&it.versions.nths, Type::INT8_ARRAY),
        (&it.places, Type::INT8_ARRAY),
        (&it.bodies, Type::BYTEA_ARRAY),
        (&it.gone.kinds, Type::TEXT_ARRAY),
        (&it.gone.ids, Type::TEXT_ARRAY),
        (&it.current.kinds, Type::TEXT_ARRAY),
        (&it.current.ids, Type::TEXT_ARRAY),
        (&it.current.nths, Type::INT8_ARRAY),
    ];
    let rows = session.client()?.query_typed(COMMIT, values).await;
    let rows =
        rows.map_err(|error| repeated(&error, change_sets).unwrap_or_else(|| Failure::of_commit(error)))?;
    let [row] = &rows[..] else { return Err(failure::foreign()) };
    match row.try_get(8)? {
        Some(at) => Ok(Appended::At(at)),
        None => Ok(Appended::Refused(admit(row, writing.reader, Some(writing.store))?)),
    }
}

/// The refusal of an entry id that is in the log already.
pub(super) fn repeated<'a>(
    error: &tokio_postgres::Error,
    change_sets: impl IntoIterator<Item = &'a ChangeSet>,
) -> Option<Failure> {
    let said = error.as_db_error().filter(|said| said.constraint() == Some("entries_entry_key"))?;
    let detail = said.detail().unwrap_or_default().replace('-', "");
    let mut entries = change_sets.into_iter().map(|set| set.entry).peekable();
    let first = entries.peek().copied();
    let named = entries.find(|entry| detail.contains(&entry.to_string()));
    Some(rules::repeated_entry(named.or(first)?).into())
}

/// The entries as the log has them after `expected`.
pub(super) fn entries(expected: Position, at: i64, change_sets: Vec<ChangeSet>) -> Vec<Entry> {
    let numbered = (expected.revision + 1..).zip(change_sets);
    numbered.map(|(revision, change_set)| Entry { revision, at, change_set }).collect()
}
