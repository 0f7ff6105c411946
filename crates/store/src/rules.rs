//! What every backend checks and decides alike; apart, so that no two of them can differ in it.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use flux_resourceset_model::change::{ChangeSet, EntryId, Operation};

use crate::{Error, ErrorKind, Past, Record};

/// What is said where there is no store. Whoever waits for one says so itself.
pub(crate) const ABSENT: &str = "there is no store here";

/// What a person does about a store in the place of the one seen before, after having put back what belongs there.
pub const CONFIRM: &str = "or look at what this one would change and confirm it: `flux-resourceset-cli confirm`, at \
                                  the URL of this server; without SNAPSHOT_FILE a restart takes it unseen";

/// Refuses what no store may hold, whatever is in it already.
pub(crate) fn check_change_sets(change_sets: &[ChangeSet], reader: u32) -> Result<(), Error> {
    let mut entries = HashSet::from([EntryId::NIL]);
    for change_set in change_sets {
        if !entries.insert(change_set.entry) {
            return Err(repeated_entry(change_set.entry));
        }
        let mut keys = HashSet::new();
        if let Some(twice) = change_set.documents.iter().find(|document| !keys.insert(&document.key)) {
            let message = format!("one change set holds {} twice", twice.key);
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        check_reader(change_set.min_reader, reader)?;
    }
    Ok(())
}

/// The error for an entry id that cannot stand in the log (again).
pub(crate) fn repeated_entry(entry: EntryId) -> Error {
    Error::new(ErrorKind::Invalid, format!("the entry id {entry} is not a new one"))
}

/// Refuses a process that reads documents up to version `reader` where `minimum` is asked for.
pub(crate) fn check_reader(minimum: u32, reader: u32) -> Result<(), Error> {
    if minimum <= reader {
        return Ok(());
    }
    let message = format!(
        "its documents need a release that reads version {minimum}, this one reads up to {reader}: run a newer release"
    );
    Err(Error::new(ErrorKind::TooNew, message))
}

/// The time of an entry after one of time `last`: now, or `last` where the clock was set back.
pub(crate) fn entry_time(last: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX).max(last)
}

/// What a [`Record`] shows of `operations`.
pub(crate) fn shown(operations: &[Operation]) -> Vec<Operation> {
    let first = operations.iter().take(Record::SHOWN);
    first
        .map(|Operation { verb, key, part, select, allow_empty, body: _, force }| Operation {
            verb: *verb,
            key: key.clone(),
            part: part.clone(),
            select: select.clone(),
            allow_empty: *allow_empty,
            body: None,
            force: *force,
        })
        .collect()
}

/// What [`load`](crate::Store::load) answers about a `revision` of which there may be nothing.
pub(crate) fn known<T>(revision: u64, past: Past<T>) -> Result<T, Error> {
    let message = match past {
        Past::Known(known) => return Ok(known),
        Past::Forgotten(begins) => {
            format!("revision {revision} was forgotten: the history begins at revision {begins}")
        }
        Past::Ahead(head) => format!("revision {revision} is not in the log, which ends at revision {head}"),
    };
    Err(Error::new(ErrorKind::NotFound, message))
}

#[cfg(test)]
mod tests {
    use super::entry_time;

    #[test]
    fn a_clock_set_back_does_not_turn_time_back() {
        assert_eq!(entry_time(i64::MAX - 1), i64::MAX - 1);
        assert!(entry_time(0) > 0);
    }
}
