//! The log and the documents as rows, for those who follow the head: each function is one question, inside a
//! transaction that its caller holds.

use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, Key};
use futures_util::FutureExt;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connection::{Session, Value};
use super::failure::{self, Failure};
use super::schema::{META, Meta, admit, entry_id, revision_of};
use crate::columns::{count, number, operations};
use crate::{Changes, ErrorKind, Past, Position, Snapshot, StoreId, Stored, rules};

/// The one row of meta, as it is when it is asked for.
pub(super) async fn meta(session: &Session, reader: u32, known: Option<StoreId>) -> Result<Meta, Failure> {
    let rows = session.query(&format!("SELECT {META} FROM flux_resourceset.meta"), &[]).await?;
    admit(rows.first().ok_or_else(failure::foreign)?, reader, known)
}

/// A transaction in which every question is about one moment.
pub(super) struct Reading {
    session: Session,
    pub(super) meta: Meta,
}

impl Reading {
    pub(super) async fn begin(session: Session, reader: u32, known: StoreId) -> Result<Self, Failure> {
        // One way to the server and back for both.
        let begin = session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
        let (begun, meta) = tokio::join!(biased; begin, meta(&session, reader, Some(known)));
        begun?;
        Ok(Reading { meta: meta?, session })
    }

    /// Gives the connection back. What comes next on it waits for the end of the transaction, nobody else does.
    pub(super) fn end(self) {
        let _ = self.session.execute("COMMIT").now_or_never();
        self.session.keep();
    }

    pub(super) async fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Failure> {
        self.session.query(sql, values).await
    }

    pub(super) async fn each_row(
        &self,
        sql: &str,
        values: &[Value<'_>],
        each: impl FnMut(Row) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.session.each_row(sql, values, each).await
    }
}

/// Every document at the head, or as of revision `at`.
pub(super) async fn load(reading: &Reading, at: Option<u64>) -> Result<Snapshot, Failure> {
    let store = reading.meta.store;
    let Some(at) = at else {
        let sql = "SELECT type, id, revision, body
                   FROM flux_resourceset.documents JOIN flux_resourceset.versions USING (type, id, revision)
                   ORDER BY type, id";
        return Ok(Snapshot {
            store,
            position: reading.meta.head,
            documents: documents(reading, sql, &[]).await?,
        });
    };
    let position = rules::known(at, position_at(reading, at).await?)?;
    let sql = "SELECT type, id, revision, body
               FROM (SELECT type, id, max(revision) AS revision FROM flux_resourceset.versions
                     WHERE revision <= $1 GROUP BY type, id) AS last
               JOIN flux_resourceset.versions USING (type, id, revision)
               WHERE body IS NOT NULL ORDER BY type, id";
    let documents = documents(reading, sql, &[(&number(at), Type::INT8)]).await?;
    Ok(Snapshot { store, position, documents })
}

async fn documents(reading: &Reading, sql: &str, values: &[Value<'_>]) -> Result<Vec<Stored>, Failure> {
    let mut documents = Vec::new();
    let stored = |row: Row| {
        let key = Key { kind: row.try_get(0)?, id: row.try_get(1)? };
        documents.push(Stored { key, revision: revision_of(row.try_get(2)?)?, body: row.try_get(3)? });
        Ok(())
    };
    reading.each_row(sql, values, stored).await?;
    Ok(documents)
}

/// The entries after `seen`, oldest first.
pub(super) async fn changes_since(
    reading: &Reading,
    seen: Position,
    limit: usize,
) -> Result<Changes, Failure> {
    if seen == reading.meta.head {
        return Ok(Changes::Entries(Vec::new()));
    }
    match position_at(reading, seen.revision).await? {
        Past::Known(position) if position == seen => {}
        Past::Forgotten(begins) => return Ok(Changes::Forgotten(begins)),
        Past::Known(_) | Past::Ahead(_) => return Ok(Changes::Diverged(reading.meta.head)),
    }
    let entries = entries(reading, seen.revision, limit).await?;
    if (seen.revision + 1..).zip(&entries).any(|(expected, entry)| entry.revision != expected)
        || (entries.is_empty() && limit > 0)
    {
        return Err(Failure::new(ErrorKind::Corrupt, "entries are missing from the log: restore a backup"));
    }
    Ok(Changes::Entries(entries))
}

async fn entries(reading: &Reading, above: u64, limit: usize) -> Result<Vec<Entry>, Failure> {
    let sql = "SELECT revision, entry, at, principal, reason, request_id, min_reader, operations
               FROM flux_resourceset.entries WHERE revision > $1 ORDER BY revision LIMIT $2";
    let rows = reading.query(sql, &[(&number(above), Type::INT8), (&count(limit), Type::INT8)]).await?;
    let mut entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let Some(last) = entries.last().map(|entry| entry.revision) else { return Ok(entries) };

    let sql = "SELECT revision, type, id, body FROM flux_resourceset.versions
               WHERE revision > $1 AND revision <= $2 ORDER BY revision, place";
    let mut at = entries.iter_mut().peekable();
    let bounds = [(&number(above) as _, Type::INT8), (&number(last) as _, Type::INT8)];
    let put = |row: Row| {
        let revision = revision_of(row.try_get(0)?)?;
        while at.next_if(|entry| entry.revision < revision).is_some() {}
        let change =
            DocumentChange { key: Key { kind: row.try_get(1)?, id: row.try_get(2)? }, body: row.try_get(3)? };
        let entry = at.peek_mut().ok_or_else(failure::foreign)?;
        entry.change_set.documents.push(change);
        Ok(())
    };
    reading.each_row(sql, &bounds, put).await?;
    Ok(entries)
}

/// A row of the log as an entry, still without its documents.
fn entry(row: &Row) -> Result<Entry, Failure> {
    let min_reader: i64 = row.try_get(6)?;
    let change_set = ChangeSet {
        entry: entry_id(row.try_get(1)?),
        principal: row.try_get(3)?,
        reason: row.try_get(4)?,
        request_id: row.try_get(5)?,
        min_reader: u32::try_from(min_reader).map_err(|_| failure::foreign())?,
        operations: operations(row.try_get(7)?)?,
        documents: Vec::new(),
    };
    Ok(Entry { revision: revision_of(row.try_get(0)?)?, at: row.try_get(2)?, change_set })
}

/// The position at `revision`, where the history holds it.
pub(super) async fn position_at(reading: &Reading, revision: u64) -> Result<Past<Position>, Failure> {
    let Meta { begins, head, .. } = reading.meta;
    if revision < begins {
        return Ok(Past::Forgotten(begins));
    }
    if revision == 0 {
        return Ok(Past::Known(Position::START));
    }
    if revision >= head.revision {
        return Ok(if revision == head.revision { Past::Known(head) } else { Past::Ahead(head.revision) });
    }
    let sql = "SELECT entry FROM flux_resourceset.entries WHERE revision = $1";
    let rows = reading.query(sql, &[(&number(revision), Type::INT8)]).await?;
    let Some(row) = rows.first() else {
        return Err(Failure::new(ErrorKind::Corrupt, "entries are missing from the log: restore a backup"));
    };
    Ok(Past::Known(Position { revision, entry: entry_id(row.try_get(0)?) }))
}
