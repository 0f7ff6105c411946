//! Filling an empty database with a history from elsewhere: one transaction, however many steps it takes, so
//! that what is broken off was never there.

use std::collections::BTreeMap;

use flux_resourceset_model::change::Entry;
use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::append::{Columns, repeated};
use super::connection::{Session, Value};
use super::failure::{self, Failure};
use super::schema::{META, Meta, admit};
use crate::columns::number;
use crate::restore::{Checked, Order};
use crate::{Beginning, Position, Restored, Step, StoreId};

/// Locks the head for as long as it takes, and sees to it that the end waits for the server's disk.
const BEGIN: &str =
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10min'; SET LOCAL statement_timeout = 0";

/// Documents of the beginning that are sent at once.
const CHUNK: usize = 500;

const LOGGED: &str = "
INSERT INTO flux_resourceset.entries (revision, entry, at, principal, reason, request_id, min_reader,
    operation_count, document_count, shown, operations)
SELECT $1 + it.nth, it.entry, it.at, it.principal, it.reason, it.request_id, it.min_reader,
    it.operation_count, it.document_count, it.shown, it.operations
FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::text[], $11::text[]) WITH ORDINALITY AS it (entry, at, principal, reason, request_id,
    min_reader, operation_count, document_count, shown, operations, nth)";

const KEPT: &str = "
INSERT INTO flux_resourceset.versions (type, id, revision, place, body)
SELECT it.type, it.id, $1 + it.nth, it.place, it.body
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bytea[]) AS it (type, id, nth, place, body)";

const GONE: &str = "
DELETE FROM flux_resourceset.documents USING unnest($1::text[], $2::text[]) AS it (type, id)
WHERE documents.type = it.type AND documents.id = it.id";

const CURRENT: &str = "
INSERT INTO flux_resourceset.documents (type, id, revision)
SELECT it.type, it.id, $1 + it.nth FROM unnest($2::text[], $3::text[], $4::bigint[]) AS it (type, id, nth)
ON CONFLICT (type, id) DO UPDATE SET revision = excluded.revision";

/// Entries that left the log, of which only what their versions need is known.
const FORGOTTEN: &str = "
INSERT INTO flux_resourceset.entries (revision, entry, at, principal, reason, request_id, min_reader,
    operation_count, document_count, shown, operations)
SELECT it.revision, it.entry, it.at, it.principal, it.reason, '', $6, 0, 0, '[]', '[]'
FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::text[])
    AS it (revision, entry, at, principal, reason)
ON CONFLICT (revision) DO NOTHING";

/// Takes `steps` until the last one, into the store `known`, for a process that reads documents up to version
/// `reader`.
pub(super) async fn fill(
    session: Session,
    mut steps: mpsc::Receiver<Step>,
    reader: u32,
    known: StoreId,
) -> Result<Restored, Failure> {
    session.execute(BEGIN).await?;
    let lock = format!(
        "SELECT {META}, CASE current_setting('synchronous_commit')
             WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END
         FROM flux_resourceset.meta FOR UPDATE"
    );
    let rows = session.query(&lock, &[]).await?;
    let Meta { head, begins, .. } = admit(rows.first().ok_or_else(failure::foreign)?, reader, Some(known))?;
    if head != Position::START || begins > 0 {
        return left_alone(session, Restored::NotEmpty(head)).await;
    }
    let mut order = Order::new(reader);
    let (mut begins, mut min_reader) = (0, 0);
    while let Some(step) = steps.recv().await {
        match order.next(step)? {
            Checked::Beginning(beginning) => {
                begin(&session, &beginning).await?;
                (begins, min_reader) = (beginning.position.revision, beginning.min_reader);
            }
            Checked::Entries(entries) => {
                append(&session, &entries).await?;
                let raised = entries.iter().map(|entry| entry.change_set.min_reader);
                min_reader = raised.fold(min_reader, u32::max);
            }
            Checked::End(note) => {
                append(&session, std::slice::from_ref(&note)).await?;
                min_reader = min_reader.max(note.change_set.min_reader);
                return end(session, &note, begins, min_reader).await;
            }
        }
    }
    left_alone(session, Restored::BrokenOff).await
}

async fn left_alone(session: Session, why: Restored) -> Result<Restored, Failure> {
    session.execute("ROLLBACK").await?;
    session.keep();
    Ok(why)
}

/// The next entries, each with its own time.
async fn append(session: &Session, entries: &[Entry]) -> Result<(), Failure> {
    let Some(first) = entries.first() else { return Ok(()) };
    let it = Columns::of(entries.iter().map(|entry| &entry.change_set))?;
    let below = number(first.revision) - 1;
    let times: Vec<i64> = entries.iter().map(|entry| entry.at).collect();
    let logged: &[Value<'_>] = &[
        (&below, Type::INT8),
        (&it.entries, Type::UUID_ARRAY),
        (&times, Type::INT8_ARRAY),
        (&it.principals, Type::TEXT_ARRAY),
        (&it.reasons, Type::TEXT_ARRAY),
        (&it.request_ids, Type::TEXT_ARRAY),
        (&it.min_readers, Type::INT8_ARRAY),
        (&it.operation_counts, Type::INT8_ARRAY),
        (&it.document_counts, Type::INT8_ARRAY),
        (&it.shown, Type::TEXT_ARRAY),
        (&it.operations, Type::TEXT_ARRAY),
    ];
    session.client()?.query_typed(LOGGED, logged).await.map_err(|error| {
        repeated(&error, entries.iter().map(|entry| &entry.change_set)).unwrap_or_else(|| error.into())
    })?;
    let kept: &[Value<'_>] = &[
        (&below, Type::INT8),
        (&it.versions.kinds, Type::TEXT_ARRAY),
        (&it.versions.ids, Type::TEXT_ARRAY),
        (&it.versions.nths, Type::INT8_ARRAY),
        (&it.places, Type::INT8_ARRAY),
        (&it.bodies, Type::BYTEA_ARRAY),
    ];
    session.query(KEPT, kept).await?;
    let gone = [(&it.gone.kinds as _, Type::TEXT_ARRAY), (&it.gone.ids as _, Type::TEXT_ARRAY)];
    session.query(GONE, &gone).await?;
    let current: &[Value<'_>] = &[
        (&below, Type::INT8),
        (&it.current.kinds, Type::TEXT_ARRAY),
        (&it.current.ids, Type::TEXT_ARRAY),
        (&it.current.nths, Type::INT8_ARRAY),
    ];
    session.query(CURRENT, current).await?;
    Ok(())
}

/// The state where the history begins, in rows as [`forget`](super::forget) leaves them.
async fn begin(session: &Session, beginning: &Beginning) -> Result<(), Failure> {
    if beginning.position == Position::START {
        return Ok(());
    }
    let own = beginning.position.revision;
    let mut entries: BTreeMap<u64, (i64, &str, Option<&str>)> = BTreeMap::new();
    entries.insert(own, (beginning.at, "", None));
    for version in beginning.documents.values() {
        entries.insert(version.revision, (version.at, &version.principal, version.reason.as_deref()));
    }
    let revisions: Vec<i64> = entries.keys().map(|revision| number(*revision)).collect();
    // The ids of entries that left the log are not known any more, and nobody asks for them.
    let id = |revision: &u64| match *revision == own {
        true => Uuid::from_u128(beginning.position.entry.0),
        false => Uuid::new_v4(),
    };
    let ids: Vec<Uuid> = entries.keys().map(id).collect();
    let times: Vec<i64> = entries.values().map(|(at, ..)| *at).collect();
    let principals: Vec<&str> = entries.values().map(|(_, principal, _)| *principal).collect();
    let reasons: Vec<Option<&str>> = entries.values().map(|(.., reason)| *reason).collect();
    let min_reader = i64::from(beginning.min_reader);
    let forgotten: &[Value<'_>] = &[
        (&revisions, Type::INT8_ARRAY),
        (&ids, Type::UUID_ARRAY),
        (&times, Type::INT8_ARRAY),
        (&principals, Type::TEXT_ARRAY),
        (&reasons, Type::TEXT_ARRAY),
        (&min_reader, Type::INT8),
    ];
    session.query(FORGOTTEN, forgotten).await?;
    let documents: Vec<_> = (0_i64..).zip(&beginning.documents).collect();
    for chunk in documents.chunks(CHUNK) {
        let kinds: Vec<&str> = chunk.iter().map(|(_, (key, _))| key.kind.as_str()).collect();
        let ids: Vec<&str> = chunk.iter().map(|(_, (key, _))| key.id.as_str()).collect();
        let revisions: Vec<i64> = chunk.iter().map(|(_, (_, it))| number(it.revision)).collect();
        let places: Vec<i64> = chunk.iter().map(|(place, _)| *place).collect();
        let bodies: Vec<Option<&[u8]>> = chunk.iter().map(|(_, (_, it))| it.body.as_deref()).collect();
        let from_the_start: Value<'_> = (&0_i64, Type::INT8);
        let values: &[Value<'_>] = &[
            from_the_start,
            (&kinds, Type::TEXT_ARRAY),
            (&ids, Type::TEXT_ARRAY),
            (&revisions, Type::INT8_ARRAY),
            (&places, Type::INT8_ARRAY),
            (&bodies, Type::BYTEA_ARRAY),
        ];
        session.query(KEPT, values).await?;
        session.query(CURRENT, &values[..4]).await?;
    }
    Ok(())
}

/// Makes what is there a store of its own, whose log ends with `note`, and all of it durable.
async fn end(session: Session, note: &Entry, begins: u64, min_reader: u32) -> Result<Restored, Failure> {
    let (store, entry) = (Uuid::new_v4(), note.change_set.entry);
    let (revision, begins, min_reader) = (number(note.revision), number(begins), i64::from(min_reader));
    let id = Uuid::from_u128(entry.0);
    let moved =
        "UPDATE flux_resourceset.meta SET store = $1, begins = $2, revision = $3, entry = $4, at = $5,
            min_reader = greatest(min_reader, $6)";
    let values: &[Value<'_>] = &[
        (&store, Type::UUID),
        (&begins, Type::INT8),
        (&revision, Type::INT8),
        (&id, Type::UUID),
        (&note.at, Type::INT8),
        (&min_reader, Type::INT8),
    ];
    session.query(moved, values).await?;
    let notify = "SELECT pg_notify('flux_resourceset', '')";
    session.query(notify, &[]).await?;
    session.client()?.batch_execute("COMMIT").await.map_err(Failure::of_commit)?;
    session.keep();
    let head = Position { revision: note.revision, entry };
    Ok(Restored::Done(StoreId(store.as_u128()), head))
}
