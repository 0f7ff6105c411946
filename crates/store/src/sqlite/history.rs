//! What the log tells about the past: each function is one question, inside a transaction that its
//! caller holds.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::{Key, Operation};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Transaction, named_params, params, params_from_iter};

use super::failure::Failure;
use super::log::{begins, entry_id, head, position_at, revision_of, size};
use super::schema;
use crate::columns::{count, number, operations};
use crate::{Beginning, EntryDetail, LogQuery, Past, Position, Record, Revised, Stored, Version, rules};

/// The entries that match `query`, newest first.
pub(super) fn log(transaction: &Transaction<'_>, query: &LogQuery) -> Result<Vec<Record>, Failure> {
    let bounds = Bounds::of(transaction, query)?;
    let revisions = match (documents_asked_for(transaction, query)?, &query.kind, &query.principal) {
        (Some(keys), _, _) => of_documents(transaction, query, bounds, &keys)?,
        (None, Some(kind), None) => of_type(transaction, query, bounds, kind)?,
        (None, _, _) => of_entries(transaction, query, bounds)?,
    };
    revisions.into_iter().map(|revision| record(transaction, revision)).collect()
}

/// The revisions among which those of a query are, both ends outside.
#[derive(Clone, Copy)]
struct Bounds {
    above: i64,
    below: i64,
}

impl Bounds {
    fn of(transaction: &Transaction<'_>, query: &LogQuery) -> Result<Self, Failure> {
        let mut bounds =
            Bounds { above: number(begins(transaction)?), below: query.below.map_or(i64::MAX, number) };
        if let Some(from) = query.from {
            bounds.above = bounds.above.max(last_before(transaction, from)?);
        }
        if let Some(until) = query.until {
            bounds.below = bounds.below.min(last_before(transaction, until)? + 1);
        }
        Ok(bounds)
    }
}

/// The documents one of which an entry must have changed, where the query comes down to such.
fn documents_asked_for(
    transaction: &Transaction<'_>,
    query: &LogQuery,
) -> Result<Option<BTreeSet<Key>>, Failure> {
    let LogQuery { kind, id, keys, .. } = query;
    if !keys.is_empty() {
        let has = |asked: &Option<String>, it: &String| asked.as_ref().is_none_or(|asked| asked == it);
        let keys = keys.iter().filter(|key| has(kind, &key.kind) && has(id, &key.id));
        return Ok(Some(keys.cloned().collect()));
    }
    let Some(id) = id else { return Ok(None) };
    let kinds = match kind {
        Some(kind) => vec![kind.clone()],
        None => types(transaction)?,
    };
    Ok(Some(kinds.into_iter().map(|kind| Key::new(kind, id)).collect()))
}

/// Every type that a document ever had, by a look-up for each: the versions are many, the types few.
fn types(transaction: &Transaction<'_>) -> Result<Vec<String>, Failure> {
    let mut next = transaction.prepare_cached("SELECT min(type) FROM versions WHERE type > ?1")?;
    let mut types: Vec<String> = Vec::new();
    while let Some(kind) =
        next.query_row([types.last().map_or("", String::as_str)], |row| row.get::<_, Option<String>>(0))?
    {
        types.push(kind);
    }
    Ok(types)
}

fn of_documents(
    transaction: &Transaction<'_>,
    query: &LogQuery,
    mut bounds: Bounds,
    keys: &BTreeSet<Key>,
) -> Result<Vec<i64>, Failure> {
    let mut statement = transaction.prepare_cached(
        "SELECT revision FROM versions CROSS JOIN entries USING (revision)
         WHERE type = :type AND id = :id AND revision > :above AND revision < :below
             AND (:principal IS NULL OR principal = :principal)
         ORDER BY revision DESC LIMIT :limit",
    )?;
    let mut newest = BTreeSet::new();
    for Key { kind, id } in keys {
        let values = named_params! {
            ":type": kind, ":id": id, ":above": bounds.above, ":below": bounds.below,
            ":principal": query.principal, ":limit": count(query.limit),
        };
        for revision in statement.query_map(values, |row| row.get::<_, i64>(0))? {
            newest.insert(revision?);
        }
        while newest.len() > query.limit {
            newest.pop_first();
        }
        if let Some(oldest) = newest.first().filter(|_| newest.len() == query.limit) {
            bounds.above = *oldest;
        }
    }
    Ok(newest.into_iter().rev().collect())
}

/// By a look-up for each entry, since one may have changed any number of documents of the type.
fn of_type(
    transaction: &Transaction<'_>,
    query: &LogQuery,
    mut bounds: Bounds,
    kind: &str,
) -> Result<Vec<i64>, Failure> {
    let sql = "SELECT max(revision) FROM versions WHERE type = ?1 AND revision > ?2 AND revision < ?3";
    let mut next = transaction.prepare_cached(sql)?;
    let mut revisions = Vec::new();
    while revisions.len() < query.limit {
        let revision = next.query_row(params![kind, bounds.above, bounds.below], |row| row.get(0))?;
        let Some(revision) = revision else { break };
        revisions.push(revision);
        bounds.below = revision;
    }
    Ok(revisions)
}

fn of_entries(transaction: &Transaction<'_>, query: &LogQuery, bounds: Bounds) -> Result<Vec<i64>, Failure> {
    let mut sql = String::from("SELECT revision FROM entries WHERE revision > ? AND revision < ?");
    let mut values: Vec<Value> = vec![bounds.above.into(), bounds.below.into()];
    if let Some(principal) = query.principal.clone() {
        sql += " AND principal = ?";
        values.push(principal.into());
    }
    if let Some(kind) = query.kind.clone() {
        sql += " AND EXISTS (SELECT 1 FROM versions WHERE type = ? AND versions.revision = entries.revision)";
        values.push(kind.into());
    }
    sql += " ORDER BY revision DESC LIMIT ?";
    values.push(count(query.limit).into());
    let mut statement = transaction.prepare_cached(&sql)?;
    let revisions = statement.query_map(params_from_iter(values), |row| row.get(0))?;
    Ok(revisions.collect::<Result<_, _>>()?)
}

/// What a list shows of the entry at `revision`, which is there.
fn record(transaction: &Transaction<'_>, revision: i64) -> Result<Record, Failure> {
    let mut header = transaction.prepare_cached(
        "SELECT entry, at, principal, reason, request_id, summaries.operations, operation_count
         FROM entries LEFT JOIN summaries USING (revision) WHERE revision = ?1",
    )?;
    let mut rows = header.query([revision])?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let (operations, operation_count) = match row.get::<_, Option<String>>(5)? {
        Some(shown) => (operations(&shown)?, size(row.get(6)?)?),
        // An earlier release wrote it.
        None => {
            let all = all_operations(transaction, revision)?;
            (rules::shown(&all), all.len())
        }
    };
    let mut documents = transaction
        .prepare_cached("SELECT type, id FROM versions WHERE revision = ?1 ORDER BY type, id LIMIT ?2")?;
    let documents = documents.query_map(params![revision, count(Record::SHOWN)], |row| {
        Ok(Key { kind: row.get(0)?, id: row.get(1)? })
    })?;
    // Places count up from 0 without a gap, so that the last one tells how many there are.
    let mut places =
        transaction.prepare_cached("SELECT ifnull(max(place) + 1, 0) FROM versions WHERE revision = ?1")?;
    Ok(Record {
        revision: revision_of(revision)?,
        entry: entry_id(&row.get::<_, String>(0)?)?,
        at: row.get(1)?,
        principal: row.get(2)?,
        reason: row.get(3)?,
        request_id: row.get(4)?,
        operations,
        operation_count,
        documents: documents.collect::<Result<_, _>>()?,
        document_count: size(places.query_row([revision], |row| row.get(0))?)?,
    })
}

fn all_operations(transaction: &Transaction<'_>, revision: i64) -> Result<Vec<Operation>, Failure> {
    let text: String = transaction
        .prepare_cached("SELECT operations FROM entries WHERE revision = ?1")?
        .query_row([revision], |row| row.get(0))?;
    Ok(operations(&text)?)
}

/// The entry at `revision` with all its operations and a page of the documents that it changed.
pub(super) fn entry(
    transaction: &Transaction<'_>,
    revision: u64,
    offset: usize,
    limit: usize,
) -> Result<Past<EntryDetail>, Failure> {
    let begins = begins(transaction)?;
    if revision == begins {
        return Ok(Past::Forgotten(begins));
    }
    position_at(transaction, revision)?.try_map(|_| {
        let revision = number(revision);
        Ok(EntryDetail {
            record: record(transaction, revision)?,
            operations: all_operations(transaction, revision)?,
            documents: revised(transaction, revision, offset, limit)?,
        })
    })
}

fn revised(
    transaction: &Transaction<'_>,
    revision: i64,
    offset: usize,
    limit: usize,
) -> Result<Vec<Revised>, Failure> {
    let mut statement = transaction.prepare_cached(
        "SELECT type, id, body,
             (SELECT earlier.body FROM versions AS earlier
              WHERE earlier.type = it.type AND earlier.id = it.id AND earlier.revision < it.revision
              ORDER BY earlier.revision DESC LIMIT 1)
         FROM versions AS it WHERE revision = ?1 ORDER BY type, id LIMIT ?2 OFFSET ?3",
    )?;
    let documents = statement.query_map(params![revision, count(limit), count(offset)], |row| {
        let key = Key { kind: row.get(0)?, id: row.get(1)? };
        Ok(Revised { key, after: row.get(2)?, before: row.get(3)? })
    })?;
    Ok(documents.collect::<Result<_, _>>()?)
}

/// The document `key` as of `revision`.
pub(super) fn read_at(
    transaction: &Transaction<'_>,
    key: &Key,
    revision: u64,
) -> Result<Past<Option<Stored>>, Failure> {
    position_at(transaction, revision)?.try_map(|_| {
        let then = versions(transaction, key, revision.checked_add(1), 1)?.pop();
        let stored = |version: Version| {
            Some(Stored { key: key.clone(), revision: version.revision, body: version.body? })
        };
        Ok(then.and_then(stored))
    })
}

/// The versions of the document `key`, newest first.
pub(super) fn versions(
    transaction: &Transaction<'_>,
    key: &Key,
    below: Option<u64>,
    limit: usize,
) -> Result<Vec<Version>, Failure> {
    let mut statement = transaction.prepare_cached(
        "SELECT revision, at, principal, reason, body FROM versions CROSS JOIN entries USING (revision)
         WHERE type = ?1 AND id = ?2 AND revision < ?3 ORDER BY revision DESC LIMIT ?4",
    )?;
    let below = below.map_or(i64::MAX, number);
    let mut rows = statement.query(params![key.kind, key.id, below, count(limit)])?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        versions.push(Version {
            revision: revision_of(row.get(0)?)?,
            at: row.get(1)?,
            principal: row.get(2)?,
            reason: row.get(3)?,
            body: row.get(4)?,
        });
    }
    Ok(versions)
}

/// The last revision at or before the time `at`.
pub(super) fn revision_at(transaction: &Transaction<'_>, at: i64) -> Result<Option<u64>, Failure> {
    let last = match at.checked_add(1) {
        Some(after) => revision_of(last_before(transaction, after)?)?,
        None => head(transaction)?.revision,
    };
    let begins = begins(transaction)?;
    Ok(Some(last).filter(|last| *last >= begins))
}

/// The last revision before the time `time`, 0 where there is none; whether the history still holds it
/// or not.
pub(super) fn last_before(transaction: &Transaction<'_>, time: i64) -> Result<i64, Failure> {
    let sql = "SELECT revision FROM entries WHERE at < ?1 ORDER BY at DESC, revision DESC LIMIT 1";
    let last = transaction.prepare_cached(sql)?.query_row([time], |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0))
}

/// Where the history begins, and the state there.
pub(super) fn beginning(transaction: &Transaction<'_>) -> Result<Beginning, Failure> {
    let (min_reader, begins) = (schema::min_reader(transaction)?, begins(transaction)?);
    if begins == 0 {
        return Ok(Beginning { min_reader, ..Beginning::default() });
    }
    let (entry, at) = transaction
        .prepare_cached("SELECT entry, at FROM entries WHERE revision = ?1")?
        .query_row([number(begins)], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let mut statement = transaction.prepare_cached(
        "SELECT type, id, revision, at, principal, reason, body
         FROM (SELECT type, id, max(revision) AS revision FROM versions WHERE revision <= ?1 GROUP BY type, id)
         JOIN versions USING (type, id, revision) JOIN entries USING (revision) WHERE body IS NOT NULL",
    )?;
    let mut rows = statement.query([number(begins)])?;
    let mut documents = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let version = Version {
            revision: revision_of(row.get(2)?)?,
            at: row.get(3)?,
            principal: row.get(4)?,
            reason: row.get(5)?,
            body: row.get(6)?,
        };
        documents.insert(Key { kind: row.get(0)?, id: row.get(1)? }, version);
    }
    let position = Position { revision: begins, entry: entry_id(&entry)? };
    Ok(Beginning { position, at, documents, min_reader })
}
