//! The log and the documents as rows, for those who follow the head and who append to it: each
//! function is one question or one append, inside a transaction that its caller holds.

use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, EntryId, Key};
use rusqlite::{OptionalExtension, Params, Row, Transaction, params};

use super::failure::Failure;
use super::schema;
use crate::columns::{count, json, number, operations};
use crate::{Changes, Committed, ErrorKind, Past, Position, Snapshot, StoreId, Stored, rules};

const COLUMNS: &str = "revision, entry, at, principal, reason, request_id, operations, min_reader";

/// The end of the log.
pub(super) fn head(transaction: &Transaction<'_>) -> Result<Position, Failure> {
    let last = last(transaction)?;
    Ok(last.map_or(Position::START, |(position, _)| position))
}

/// Every document at the head, or as of revision `at`.
pub(super) fn load(
    transaction: &Transaction<'_>,
    store: StoreId,
    at: Option<u64>,
) -> Result<Snapshot, Failure> {
    let Some(at) = at else {
        let sql = "SELECT type, id, revision, body FROM documents JOIN versions USING (type, id, revision)
                   ORDER BY type, id";
        let documents = documents(transaction, sql, [])?;
        return Ok(Snapshot { store, position: head(transaction)?, documents });
    };
    let position = rules::known(at, position_at(transaction, at)?)?;
    let sql = "SELECT type, id, revision, body
               FROM (SELECT type, id, max(revision) AS revision FROM versions WHERE revision <= ?1
                     GROUP BY type, id)
               JOIN versions USING (type, id, revision) WHERE body IS NOT NULL ORDER BY type, id";
    Ok(Snapshot { store, position, documents: documents(transaction, sql, [number(at)])? })
}

/// Appends `change_sets` and makes them durable, if the head is still `expected`.
pub(super) fn commit(
    transaction: Transaction<'_>,
    expected: Position,
    change_sets: Vec<ChangeSet>,
) -> Result<Committed, Failure> {
    let (head, mut at) = last(&transaction)?.unwrap_or((Position::START, 0));
    if head != expected {
        return Ok(Committed::Conflict(head));
    }
    let mut entries = Vec::with_capacity(change_sets.len());
    for (revision, change_set) in (head.revision + 1..).zip(change_sets) {
        at = rules::entry_time(at);
        let entry = Entry { revision, at, change_set };
        append(&transaction, &entry)?;
        entries.push(entry);
    }
    transaction.commit().map_err(Failure::Commit)?;
    Ok(Committed::Done(entries))
}

/// The entries after `seen`, oldest first.
pub(super) fn changes_since(
    transaction: &Transaction<'_>,
    seen: Position,
    limit: usize,
) -> Result<Changes, Failure> {
    match position_at(transaction, seen.revision)? {
        Past::Known(position) if position == seen => {}
        Past::Forgotten(begins) => return Ok(Changes::Forgotten(begins)),
        Past::Known(_) | Past::Ahead(_) => return Ok(Changes::Diverged(head(transaction)?)),
    }
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE revision > ?1 ORDER BY revision LIMIT ?2");
    let entries = entries(transaction, &sql, [number(seen.revision), count(limit)])?;
    if (seen.revision + 1..).zip(&entries).any(|(expected, entry)| entry.revision != expected) {
        return Err(Failure::new(ErrorKind::Corrupt, "entries are missing from the log: restore a backup"));
    }
    Ok(Changes::Entries(entries))
}

/// The last entry's position and time.
fn last(transaction: &Transaction<'_>) -> Result<Option<(Position, i64)>, Failure> {
    let sql = "SELECT revision, entry, at FROM entries ORDER BY revision DESC LIMIT 1";
    let last = transaction
        .prepare_cached(sql)?
        .query_row([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))
        .optional()?;
    let Some((revision, entry, at)) = last else { return Ok(None) };
    Ok(Some((Position { revision: revision_of(revision)?, entry: entry_id(&entry)? }, at)))
}

/// The first revision whose state can be read.
pub(super) fn begins(transaction: &Transaction<'_>) -> Result<u64, Failure> {
    revision_of(transaction.prepare_cached("SELECT begins FROM meta")?.query_row([], |row| row.get(0))?)
}

/// The position at `revision`, where the history holds it.
pub(super) fn position_at(transaction: &Transaction<'_>, revision: u64) -> Result<Past<Position>, Failure> {
    let begins = begins(transaction)?;
    if revision < begins {
        return Ok(Past::Forgotten(begins));
    }
    if revision == 0 {
        return Ok(Past::Known(Position::START));
    }
    let entry: Option<String> = transaction
        .prepare_cached("SELECT entry FROM entries WHERE revision = ?1")?
        .query_row([number(revision)], |row| row.get(0))
        .optional()?;
    match entry {
        Some(entry) => Ok(Past::Known(Position { revision, entry: entry_id(&entry)? })),
        None => Ok(Past::Ahead(head(transaction)?.revision)),
    }
}

fn documents(transaction: &Transaction<'_>, sql: &str, values: impl Params) -> Result<Vec<Stored>, Failure> {
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut documents = Vec::new();
    while let Some(row) = rows.next()? {
        let key = Key { kind: row.get(0)?, id: row.get(1)? };
        documents.push(Stored { key, revision: revision_of(row.get(2)?)?, body: row.get(3)? });
    }
    Ok(documents)
}

fn entries(transaction: &Transaction<'_>, sql: &str, values: impl Params) -> Result<Vec<Entry>, Failure> {
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let mut entry = entry(row)?;
        entry.change_set.documents = document_changes(transaction, entry.revision)?;
        entries.push(entry);
    }
    Ok(entries)
}

/// A row of [`COLUMNS`] as an entry, still without its documents.
fn entry(row: &Row<'_>) -> Result<Entry, Failure> {
    let change_set = ChangeSet {
        entry: entry_id(&row.get::<_, String>(1)?)?,
        principal: row.get(3)?,
        reason: row.get(4)?,
        request_id: row.get(5)?,
        operations: operations(&row.get::<_, String>(6)?)?,
        documents: Vec::new(),
        min_reader: row.get(7)?,
    };
    Ok(Entry { revision: revision_of(row.get(0)?)?, at: row.get(2)?, change_set })
}

fn document_changes(transaction: &Transaction<'_>, revision: u64) -> Result<Vec<DocumentChange>, Failure> {
    let mut statement = transaction
        .prepare_cached("SELECT type, id, body FROM versions WHERE revision = ?1 ORDER BY place")?;
    let changes = statement.query_map([number(revision)], |row| {
        Ok(DocumentChange { key: Key { kind: row.get(0)?, id: row.get(1)? }, body: row.get(2)? })
    })?;
    Ok(changes.collect::<Result<_, _>>()?)
}

pub(super) fn append(transaction: &Transaction<'_>, entry: &Entry) -> Result<(), Failure> {
    let Entry { revision, at, change_set } = entry;
    let id = change_set.entry.to_string();
    if transaction.prepare_cached("SELECT 1 FROM entries WHERE entry = ?1")?.exists([&id])? {
        return Err(rules::repeated_entry(change_set.entry).into());
    }
    let insert = format!("INSERT INTO entries ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    transaction.prepare_cached(&insert)?.execute(params![
        number(*revision),
        id,
        at,
        change_set.principal,
        change_set.reason,
        change_set.request_id,
        json(&change_set.operations)?,
        change_set.min_reader,
    ])?;
    transaction
        .prepare_cached("INSERT INTO summaries (revision, operations, operation_count) VALUES (?1, ?2, ?3)")?
        .execute(params![
            number(*revision),
            json(&rules::shown(&change_set.operations))?,
            count(change_set.operations.len()),
        ])?;
    for (place, document) in (0_i64..).zip(&change_set.documents) {
        put(transaction, number(*revision), place, document)?;
    }
    schema::raise_min_reader(transaction, change_set.min_reader)
}

pub(super) fn put(
    transaction: &Transaction<'_>,
    revision: i64,
    place: i64,
    document: &DocumentChange,
) -> Result<(), Failure> {
    let DocumentChange { key: Key { kind, id }, body } = document;
    transaction
        .prepare_cached("INSERT INTO versions (type, id, revision, place, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![kind, id, revision, place, body])?;
    if body.is_some() {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO documents (type, id, revision) VALUES (?1, ?2, ?3)")?
            .execute(params![kind, id, revision])?;
    } else {
        transaction
            .prepare_cached("DELETE FROM documents WHERE type = ?1 AND id = ?2")?
            .execute(params![kind, id])?;
    }
    Ok(())
}

pub(super) fn entry_id(text: &str) -> Result<EntryId, Failure> {
    text.parse().map_err(|_| schema::foreign())
}

pub(super) fn revision_of(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| schema::foreign())
}

pub(super) fn size(count: i64) -> Result<usize, Failure> {
    usize::try_from(count).map_err(|_| schema::foreign())
}
