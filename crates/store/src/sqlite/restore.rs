//! Filling an empty file with a history from elsewhere: one transaction, however many steps it takes, so that
//! what is broken off was never there.

use std::collections::BTreeSet;

use flux_resourceset_model::change::{DocumentChange, EntryId};
use rusqlite::{Transaction, params};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::failure::Failure;
use super::log::{append, begins, head, put};
use super::schema;
use crate::columns::number;
use crate::restore::{Checked, Order};
use crate::{Beginning, Position, Restored, Step, StoreId};

/// Takes `steps` until the last one, for a process that reads documents up to version `reader`.
pub(super) fn fill(
    transaction: Transaction<'_>,
    mut steps: mpsc::Receiver<Step>,
    reader: u32,
) -> Result<Restored, Failure> {
    let there = head(&transaction)?;
    if there != Position::START || begins(&transaction)? > 0 {
        return Ok(Restored::NotEmpty(there));
    }
    let mut order = Order::new(reader);
    while let Some(step) = steps.blocking_recv() {
        match order.next(step)? {
            Checked::Beginning(beginning) => begin(&transaction, &beginning)?,
            Checked::Entries(entries) => {
                entries.iter().try_for_each(|entry| append(&transaction, entry))?;
            }
            Checked::End(note) => {
                append(&transaction, &note)?;
                let store = StoreId(Uuid::new_v4().as_u128());
                schema::rename(&transaction, store)?;
                transaction.commit().map_err(Failure::Commit)?;
                let head = Position { revision: note.revision, entry: note.change_set.entry };
                return Ok(Restored::Done(store, head));
            }
        }
    }
    Ok(Restored::BrokenOff)
}

/// The state where the history begins, in rows as [`forget`](super::forget) leaves them.
fn begin(transaction: &Transaction<'_>, beginning: &Beginning) -> Result<(), Failure> {
    schema::raise_min_reader(transaction, beginning.min_reader)?;
    if beginning.position == Position::START {
        return Ok(());
    }
    let mut written = BTreeSet::new();
    let mut entry = |revision: u64, at: i64, principal: &str, reason: Option<&str>| {
        if !written.insert(revision) {
            return Ok::<_, Failure>(());
        }
        // The ids of entries that left the log are not known any more, and nobody asks for them.
        let own = (revision == beginning.position.revision).then_some(beginning.position.entry);
        let id = own.unwrap_or(EntryId(Uuid::new_v4().as_u128()));
        transaction
            .prepare_cached(
                "INSERT INTO entries (revision, entry, at, principal, reason, request_id, operations, min_reader)
                 VALUES (?1, ?2, ?3, ?4, ?5, '', '[]', ?6)",
            )?
            .execute(params![number(revision), id.to_string(), at, principal, reason, beginning.min_reader])?;
        Ok(())
    };
    for (place, (key, version)) in (0_i64..).zip(&beginning.documents) {
        entry(version.revision, version.at, &version.principal, version.reason.as_deref())?;
        let change = DocumentChange { key: key.clone(), body: version.body.clone() };
        put(transaction, number(version.revision), place, &change)?;
    }
    entry(beginning.position.revision, beginning.at, "", None)?;
    schema::cut_history(transaction, number(beginning.position.revision))
}
