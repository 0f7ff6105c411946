//! Forgetting the oldest entries, in steps that are short enough for other writers to come between.

use tokio_postgres::types::Type;

use super::connection::Session;
use super::failure::{self, Failure};
use super::history::LAST_BEFORE;
use super::schema::{META, Meta, admit, revision_of};
use crate::StoreId;
use crate::columns::number;

/// A step ends with the entry that brings it to this many entries or changed documents.
const STEP: i64 = 1000;

/// Lets the history begin later, at most where the last entry before the time `before` stands, and
/// returns how many entries that took out of the log; 0 where nothing is left to forget.
pub(super) async fn step(session: Session, reader: u32, known: StoreId, before: i64) -> Result<u64, Failure> {
    session.execute("BEGIN").await?;
    // Held until the end: what is forgotten is below a head, and a beginning, that do not move meanwhile.
    let rows = session.query(&format!("SELECT {META} FROM flux_resourceset.meta FOR UPDATE"), &[]).await?;
    let Meta { begins, head, .. } = admit(rows.first().ok_or_else(failure::foreign)?, reader, Some(known))?;
    let rows = session.query(LAST_BEFORE, &[(&before, Type::INT8)]).await?;
    let last: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    let to = end(&session, number(begins), last.min(number(head.revision) - 1)).await?;
    if to > number(begins) {
        drop_versions(&session, number(begins), to).await?;
        let cut = "UPDATE flux_resourceset.meta SET begins = $1";
        session.query(cut, &[(&to, Type::INT8)]).await?;
    }
    session.client()?.batch_execute("COMMIT").await.map_err(Failure::of_commit)?;
    session.keep();
    Ok(revision_of(to)? - begins)
}

/// Where a step from `begins` on ends, at most at revision `last`.
async fn end(session: &Session, begins: i64, last: i64) -> Result<i64, Failure> {
    let sql = "SELECT revision, document_count FROM flux_resourceset.entries
               WHERE revision > $1 AND revision <= $2 ORDER BY revision LIMIT $3";
    let values = [(&begins as _, Type::INT8), (&last as _, Type::INT8), (&STEP as _, Type::INT8)];
    let (mut end, mut documents) = (begins, 0);
    for row in session.query(sql, &values).await? {
        if documents >= STEP {
            break;
        }
        end = row.try_get(0)?;
        documents += row.try_get::<_, i64>(1)?;
    }
    Ok(end)
}

/// Drops what no state from revision `to` on is made of, where that was done up to `begins` before.
async fn drop_versions(session: &Session, begins: i64, to: i64) -> Result<(), Failure> {
    let range = [(&begins as _, Type::INT8), (&to as _, Type::INT8)];
    let superseded = "DELETE FROM flux_resourceset.versions AS older USING flux_resourceset.versions AS newer
        WHERE older.type = newer.type AND older.id = newer.id AND older.revision < newer.revision
            AND newer.revision > $1 AND newer.revision <= $2
        RETURNING older.revision";
    let rows = session.query(superseded, &range).await?;
    let touched = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    // Only now, since a deletion too supersedes what was there before.
    let gone =
        "DELETE FROM flux_resourceset.versions WHERE revision > $1 AND revision <= $2 AND body IS NULL";
    session.query(gone, &range).await?;

    let idle = "DELETE FROM flux_resourceset.entries
        WHERE (revision = ANY ($3) OR revision >= $1) AND revision < $2
            AND NOT EXISTS (SELECT FROM flux_resourceset.versions WHERE versions.revision = entries.revision)";
    let values = [range[0].clone(), range[1].clone(), (&touched as _, Type::INT8_ARRAY)];
    session.query(idle, &values).await?;
    let emptied = "UPDATE flux_resourceset.entries
        SET operations = '[]', shown = '[]', operation_count = 0 WHERE revision > $1 AND revision <= $2";
    session.query(emptied, &range).await?;
    Ok(())
}
