//! Forgetting the oldest entries, in steps that are short enough for other writers to come between.

use std::collections::BTreeSet;

use rusqlite::{Transaction, params};

use super::failure::Failure;
use super::history::last_before;
use super::log::{begins, head, revision_of};
use super::schema;
use crate::columns::number;

/// A step ends with the entry that brings it to this many entries or changed documents.
const STEP: i64 = 1000;

/// Lets the history begin later, at most where the last entry before the time `before` stands, and
/// returns how many entries that took out of the log; 0 where nothing is left to forget.
pub(super) fn step(transaction: Transaction<'_>, before: i64) -> Result<u64, Failure> {
    let begins = begins(&transaction)?;
    let below_head = number(head(&transaction)?.revision) - 1;
    let last = below_head.min(last_before(&transaction, before)?);
    let to = end(&transaction, number(begins), last)?;
    if to == number(begins) {
        return Ok(0);
    }
    drop_versions(&transaction, number(begins), to)?;
    schema::cut_history(&transaction, to)?;
    transaction.commit().map_err(Failure::Commit)?;
    Ok(revision_of(to)? - begins)
}

/// Where a step from `begins` on ends, at most at revision `last`.
fn end(transaction: &Transaction<'_>, begins: i64, last: i64) -> Result<i64, Failure> {
    let mut statement = transaction.prepare_cached(
        "SELECT revision, (SELECT count(*) FROM versions WHERE versions.revision = entries.revision)
         FROM entries WHERE revision > ?1 AND revision <= ?2 ORDER BY revision LIMIT ?3",
    )?;
    let mut rows = statement.query([begins, last, STEP])?;
    let (mut end, mut documents) = (begins, 0);
    while documents < STEP
        && let Some(row) = rows.next()?
    {
        end = row.get(0)?;
        documents += row.get::<_, i64>(1)?;
    }
    Ok(end)
}

/// Drops what no state from revision `to` on is made of, where that was done up to `begins` before.
fn drop_versions(transaction: &Transaction<'_>, begins: i64, to: i64) -> Result<(), Failure> {
    let mut superseded = transaction.prepare_cached(
        "DELETE FROM versions WHERE rowid IN (
             SELECT older.rowid FROM versions AS newer
             JOIN versions AS older ON older.type = newer.type AND older.id = newer.id
                 AND older.revision < newer.revision
             WHERE newer.revision > ?1 AND newer.revision <= ?2)
         RETURNING revision",
    )?;
    let mut touched = superseded
        .query_map([begins, to], |row| row.get::<_, i64>(0))?
        .collect::<Result<BTreeSet<_>, _>>()?;
    // Only now, since a deletion too supersedes what was there before.
    transaction
        .prepare_cached("DELETE FROM versions WHERE revision > ?1 AND revision <= ?2 AND body IS NULL")?
        .execute([begins, to])?;

    transaction
        .prepare_cached("DELETE FROM summaries WHERE revision > ?1 AND revision <= ?2")?
        .execute([begins, to])?;
    transaction
        .prepare_cached("UPDATE entries SET operations = '[]' WHERE revision > ?1 AND revision <= ?2")?
        .execute([begins, to])?;
    touched.extend(begins..to);
    let mut idle = transaction.prepare_cached(
        "DELETE FROM entries WHERE revision = ?1
             AND NOT EXISTS (SELECT 1 FROM versions WHERE versions.revision = ?1)",
    )?;
    for revision in touched.range(..to) {
        idle.execute(params![revision])?;
    }
    Ok(())
}
