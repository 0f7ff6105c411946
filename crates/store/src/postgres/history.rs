//! What the log tells about the past: each function is one question, inside a transaction that its caller
//! holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flux_resourceset_model::change::Key;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::failure::{self, Failure};
use super::log::{Reading, position_at};
use super::schema::{entry_id, revision_of};
use crate::columns::{count, number, operations};
use crate::{Beginning, EntryDetail, LogQuery, Past, Position, Record, Revised, Stored, Version};

/// The entries that match `query`, newest first.
pub(super) async fn log(reading: &Reading, query: &LogQuery) -> Result<Vec<Record>, Failure> {
    let bounds = Bounds::of(reading, query).await?;
    let rows = match (documents_asked_for(reading, query).await?, &query.kind, &query.principal) {
        (Some(keys), _, _) => of_documents(reading, query, bounds, &keys).await?,
        (None, Some(kind), None) => of_type(reading, query, bounds, kind).await?,
        (None, _, _) => of_entries(reading, query, bounds).await?,
    };
    let revisions = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    records(reading, &revisions).await
}

/// The revisions among which those of a query are, both ends outside.
#[derive(Clone, Copy)]
struct Bounds {
    above: i64,
    below: i64,
}

impl Bounds {
    async fn of(reading: &Reading, query: &LogQuery) -> Result<Self, Failure> {
        let below = query.below.map_or(i64::MAX, number);
        let mut bounds = Bounds { above: number(reading.meta.begins), below };
        if let Some(from) = query.from {
            bounds.above = bounds.above.max(last_before(reading, from).await?);
        }
        if let Some(until) = query.until {
            bounds.below = bounds.below.min(last_before(reading, until).await? + 1);
        }
        Ok(bounds)
    }
}

/// The documents one of which an entry must have changed, where the query comes down to such.
async fn documents_asked_for(reading: &Reading, query: &LogQuery) -> Result<Option<BTreeSet<Key>>, Failure> {
    let LogQuery { kind, id, keys, .. } = query;
    if !keys.is_empty() {
        let has = |asked: &Option<String>, it: &String| asked.as_ref().is_none_or(|asked| asked == it);
        let keys = keys.iter().filter(|key| has(kind, &key.kind) && has(id, &key.id));
        return Ok(Some(keys.cloned().collect()));
    }
    let Some(id) = id else { return Ok(None) };
    let kinds = match kind {
        Some(kind) => vec![kind.clone()],
        None => types(reading).await?,
    };
    Ok(Some(kinds.into_iter().map(|kind| Key::new(kind, id)).collect()))
}

/// Every type that a document ever had, by a look-up for each: the versions are many, the types few.
async fn types(reading: &Reading) -> Result<Vec<String>, Failure> {
    let sql = "WITH RECURSIVE found (type) AS (
                   SELECT min(type) FROM flux_resourceset.versions
                   UNION ALL
                   SELECT (SELECT min(type) FROM flux_resourceset.versions WHERE type > found.type)
                   FROM found WHERE type IS NOT NULL)
               SELECT type FROM found WHERE type IS NOT NULL";
    let rows = reading.query(sql, &[]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn of_documents(
    reading: &Reading,
    query: &LogQuery,
    bounds: Bounds,
    keys: &BTreeSet<Key>,
) -> Result<Vec<Row>, Failure> {
    let sql = "SELECT DISTINCT found.revision FROM unnest($1::text[], $2::text[]) AS asked (type, id)
               CROSS JOIN LATERAL (
                   SELECT revision FROM flux_resourceset.versions
                   JOIN flux_resourceset.entries USING (revision)
                   WHERE type = asked.type AND id = asked.id AND revision > $3 AND revision < $4
                       AND ($5::text IS NULL OR principal = $5)
                   ORDER BY revision DESC LIMIT $6) AS found
               ORDER BY found.revision DESC LIMIT $6";
    let kinds: Vec<&str> = keys.iter().map(|key| key.kind.as_str()).collect();
    let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
    let values = [
        (&kinds as _, Type::TEXT_ARRAY),
        (&ids as _, Type::TEXT_ARRAY),
        (&bounds.above as _, Type::INT8),
        (&bounds.below as _, Type::INT8),
        (&query.principal as _, Type::TEXT),
        (&count(query.limit) as _, Type::INT8),
    ];
    reading.query(sql, &values).await
}

/// By a look-up for each entry, since one may have changed any number of documents of the type.
async fn of_type(
    reading: &Reading,
    query: &LogQuery,
    bounds: Bounds,
    kind: &str,
) -> Result<Vec<Row>, Failure> {
    let sql = "WITH RECURSIVE found (revision) AS (
                   SELECT max(revision) FROM flux_resourceset.versions
                   WHERE type = $1 AND revision > $2 AND revision < $3
                   UNION ALL
                   SELECT (SELECT max(revision) FROM flux_resourceset.versions
                           WHERE type = $1 AND revision > $2 AND revision < found.revision)
                   FROM found WHERE revision IS NOT NULL)
               SELECT revision FROM found WHERE revision IS NOT NULL LIMIT $4";
    let values = [
        (&kind as _, Type::TEXT),
        (&bounds.above as _, Type::INT8),
        (&bounds.below as _, Type::INT8),
        (&count(query.limit) as _, Type::INT8),
    ];
    reading.query(sql, &values).await
}

async fn of_entries(reading: &Reading, query: &LogQuery, bounds: Bounds) -> Result<Vec<Row>, Failure> {
    let sql = "SELECT revision FROM flux_resourceset.entries
               WHERE revision > $1 AND revision < $2 AND ($3::text IS NULL OR principal = $3)
                   AND ($4::text IS NULL OR EXISTS (SELECT FROM flux_resourceset.versions
                       WHERE type = $4 AND versions.revision = entries.revision))
               ORDER BY revision DESC LIMIT $5";
    let values = [
        (&bounds.above as _, Type::INT8),
        (&bounds.below as _, Type::INT8),
        (&query.principal as _, Type::TEXT),
        (&query.kind as _, Type::TEXT),
        (&count(query.limit) as _, Type::INT8),
    ];
    reading.query(sql, &values).await
}

/// What a list shows of the entries at `revisions`, which go down and are there.
async fn records(reading: &Reading, revisions: &[i64]) -> Result<Vec<Record>, Failure> {
    let asked = [(&revisions as _, Type::INT8_ARRAY), (&count(Record::SHOWN) as _, Type::INT8)];
    let sql = "SELECT revision, type, id FROM unnest($1) AS asked (revision)
               CROSS JOIN LATERAL (SELECT type, id FROM flux_resourceset.versions
                   WHERE versions.revision = asked.revision ORDER BY type, id LIMIT $2) AS named
               ORDER BY revision, type, id";
    let mut documents: HashMap<i64, Vec<Key>> = HashMap::new();
    for row in reading.query(sql, &asked).await? {
        let key = Key { kind: row.try_get(1)?, id: row.try_get(2)? };
        documents.entry(row.try_get(0)?).or_default().push(key);
    }
    let sql =
        "SELECT revision, entry, at, principal, reason, request_id, shown, operation_count, document_count
               FROM flux_resourceset.entries WHERE revision = ANY ($1) ORDER BY revision DESC";
    let rows = reading.query(sql, &asked[..1]).await?;
    if rows.len() != revisions.len() {
        return Err(failure::foreign());
    }
    rows.iter().map(|row| record(row, documents.remove(&row.try_get(0)?).unwrap_or_default())).collect()
}

fn record(row: &Row, documents: Vec<Key>) -> Result<Record, Failure> {
    Ok(Record {
        revision: revision_of(row.try_get(0)?)?,
        entry: entry_id(row.try_get(1)?),
        at: row.try_get(2)?,
        principal: row.try_get(3)?,
        reason: row.try_get(4)?,
        request_id: row.try_get(5)?,
        operations: operations(row.try_get(6)?)?,
        operation_count: size(row.try_get(7)?)?,
        document_count: size(row.try_get(8)?)?,
        documents,
    })
}

fn size(count: i64) -> Result<usize, Failure> {
    usize::try_from(count).map_err(|_| failure::foreign())
}

/// The entry at `revision` with all its operations and a page of the documents that it changed.
pub(super) async fn entry(
    reading: &Reading,
    revision: u64,
    offset: usize,
    limit: usize,
) -> Result<Past<EntryDetail>, Failure> {
    let begins = reading.meta.begins;
    if revision == begins {
        return Ok(Past::Forgotten(begins));
    }
    match position_at(reading, revision).await? {
        Past::Known(_) => {}
        Past::Forgotten(begins) => return Ok(Past::Forgotten(begins)),
        Past::Ahead(head) => return Ok(Past::Ahead(head)),
    }
    let revision = number(revision);
    let record = records(reading, &[revision]).await?.pop().ok_or_else(failure::foreign)?;
    let sql = "SELECT operations FROM flux_resourceset.entries WHERE revision = $1";
    let rows = reading.query(sql, &[(&revision, Type::INT8)]).await?;
    let all = operations(rows.first().ok_or_else(failure::foreign)?.try_get(0)?)?;
    let documents = revised(reading, revision, offset, limit).await?;
    Ok(Past::Known(EntryDetail { record, operations: all, documents }))
}

async fn revised(
    reading: &Reading,
    revision: i64,
    offset: usize,
    limit: usize,
) -> Result<Vec<Revised>, Failure> {
    let sql = "SELECT type, id, body,
                   (SELECT earlier.body FROM flux_resourceset.versions AS earlier
                    WHERE earlier.type = it.type AND earlier.id = it.id AND earlier.revision < it.revision
                    ORDER BY earlier.revision DESC LIMIT 1)
               FROM flux_resourceset.versions AS it WHERE revision = $1 ORDER BY type, id LIMIT $2 OFFSET $3";
    let values =
        [(&revision as _, Type::INT8), (&count(limit) as _, Type::INT8), (&count(offset) as _, Type::INT8)];
    let revised = |row: Row| {
        let key = Key { kind: row.try_get(0)?, id: row.try_get(1)? };
        Ok(Revised { key, after: row.try_get(2)?, before: row.try_get(3)? })
    };
    reading.query(sql, &values).await?.into_iter().map(revised).collect()
}

/// The document `key` as of `revision`.
pub(super) async fn read_at(
    reading: &Reading,
    key: &Key,
    revision: u64,
) -> Result<Past<Option<Stored>>, Failure> {
    let known = position_at(reading, revision).await?;
    if !matches!(known, Past::Known(_)) {
        return Ok(known.map(|_| None));
    }
    let then = versions(reading, key, revision.checked_add(1), 1).await?.pop();
    let stored =
        |version: Version| Some(Stored { key: key.clone(), revision: version.revision, body: version.body? });
    Ok(Past::Known(then.and_then(stored)))
}

/// The versions of the document `key`, newest first.
pub(super) async fn versions(
    reading: &Reading,
    key: &Key,
    below: Option<u64>,
    limit: usize,
) -> Result<Vec<Version>, Failure> {
    let sql = "SELECT revision, at, principal, reason, body
               FROM flux_resourceset.versions JOIN flux_resourceset.entries USING (revision)
               WHERE type = $1 AND id = $2 AND revision < $3 ORDER BY revision DESC LIMIT $4";
    let values = [
        (&key.kind as _, Type::TEXT),
        (&key.id as _, Type::TEXT),
        (&below.map_or(i64::MAX, number) as _, Type::INT8),
        (&count(limit) as _, Type::INT8),
    ];
    let version = |row: Row| {
        Ok(Version {
            revision: revision_of(row.try_get(0)?)?,
            at: row.try_get(1)?,
            principal: row.try_get(2)?,
            reason: row.try_get(3)?,
            body: row.try_get(4)?,
        })
    };
    reading.query(sql, &values).await?.into_iter().map(version).collect()
}

/// The last revision at or before the time `at`.
pub(super) async fn revision_at(reading: &Reading, at: i64) -> Result<Option<u64>, Failure> {
    let last = match at.checked_add(1) {
        Some(after) => revision_of(last_before(reading, after).await?)?,
        None => reading.meta.head.revision,
    };
    Ok(Some(last).filter(|last| *last >= reading.meta.begins))
}

async fn last_before(reading: &Reading, time: i64) -> Result<i64, Failure> {
    let rows = reading.query(LAST_BEFORE, &[(&time, Type::INT8)]).await?;
    rows.first().map_or(Ok(0), |row| Ok(row.try_get(0)?))
}

/// The last revision before a time; no row where there is none; whether the history still holds it or not.
pub(super) const LAST_BEFORE: &str =
    "SELECT revision FROM flux_resourceset.entries WHERE at < $1 ORDER BY at DESC, revision DESC LIMIT 1";

/// Where the history begins, and the state there.
pub(super) async fn beginning(reading: &Reading) -> Result<Beginning, Failure> {
    let rows = reading.query("SELECT min_reader FROM flux_resourceset.meta", &[]).await?;
    let min_reader: i64 = rows.first().ok_or_else(failure::foreign)?.try_get(0)?;
    let min_reader = u32::try_from(min_reader).map_err(|_| failure::foreign())?;
    let revision = reading.meta.begins;
    if revision == 0 {
        return Ok(Beginning { min_reader, ..Beginning::default() });
    }
    let begins = number(revision);
    let bound = [(&begins as _, Type::INT8)];
    let rows =
        reading.query("SELECT entry, at FROM flux_resourceset.entries WHERE revision = $1", &bound).await?;
    let own = rows.first().ok_or_else(failure::foreign)?;
    let position = Position { revision, entry: entry_id(own.try_get(0)?) };
    let sql = "SELECT type, id, revision, at, principal, reason, body
               FROM (SELECT type, id, max(revision) AS revision FROM flux_resourceset.versions
                     WHERE revision <= $1 GROUP BY type, id) AS last
               JOIN flux_resourceset.versions USING (type, id, revision)
               JOIN flux_resourceset.entries USING (revision) WHERE body IS NOT NULL";
    let mut documents = BTreeMap::new();
    let version = |row: Row| {
        let version = Version {
            revision: revision_of(row.try_get(2)?)?,
            at: row.try_get(3)?,
            principal: row.try_get(4)?,
            reason: row.try_get(5)?,
            body: row.try_get(6)?,
        };
        documents.insert(Key { kind: row.try_get(0)?, id: row.try_get(1)? }, version);
        Ok(())
    };
    reading.each_row(sql, &bound, version).await?;
    Ok(Beginning { position, at: own.try_get(1)?, documents, min_reader })
}
