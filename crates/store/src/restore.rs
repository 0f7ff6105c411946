//! What fills an empty store with a history from elsewhere, step by step, and in which order; apart, so that
//! every backend refuses the same.

use flux_resourceset_model::change::{ChangeSet, Entry};

use crate::{Beginning, Error, ErrorKind, Position, StoreId, rules};

/// One step of a [`restore`](crate::Store::restore).
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// First, and once: where the history begins.
    Begin(Beginning),
    /// The next entries, oldest first. What else they are is up to whoever sends them; a step is held in
    /// memory as a whole.
    Entries(Vec<Entry>),
    /// Last: all is there. This change set becomes one more entry, of this moment, that tells where the ones
    /// before it come from.
    End(ChangeSet),
}

/// How a restore ended, where it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// Everything is durable, in a store with this new id, whose log ends here.
    Done(StoreId, Position),
    /// Something was written into the store before: this is its head. It stays as it is.
    NotEmpty(Position),
    /// The steps ended without a [`Step::End`]. The store is as empty as it was.
    BrokenOff,
}

/// A step that follows what came before it.
pub(crate) enum Checked {
    Beginning(Beginning),
    Entries(Vec<Entry>),
    /// The entry that the last change set becomes.
    End(Entry),
}

/// Where the steps of one restore have come to.
pub(crate) struct Order {
    reader: u32,
    /// The end of the log so far, and its time; `None` before the beginning.
    last: Option<(Position, i64)>,
}

impl Order {
    /// For a process that reads documents up to version `reader`.
    pub(crate) fn new(reader: u32) -> Self {
        Order { reader, last: None }
    }

    /// Lets a step pass that is the next one.
    pub(crate) fn next(&mut self, step: Step) -> Result<Checked, Error> {
        match (step, self.last) {
            (Step::Begin(beginning), None) => {
                self.begin(&beginning)?;
                Ok(Checked::Beginning(beginning))
            }
            (Step::Entries(entries), Some(_)) => {
                entries.iter().try_for_each(|entry| self.append(entry))?;
                Ok(Checked::Entries(entries))
            }
            (Step::End(change_set), Some((head, at))) => {
                let entry = Entry { revision: head.revision + 1, at: rules::entry_time(at), change_set };
                self.append(&entry)?;
                Ok(Checked::End(entry))
            }
            (Step::Begin(_), Some(_)) => Err(refused("a history begins only once".into())),
            (_, None) => Err(refused("a history begins with the state that it begins with".into())),
        }
    }

    fn begin(&mut self, beginning: &Beginning) -> Result<(), Error> {
        rules::check_reader(beginning.min_reader, self.reader)?;
        let revision = beginning.position.revision;
        let is_start = beginning.position == Position::START && beginning.documents.is_empty();
        let is_later = revision > 0 && beginning.position.entry != Position::START.entry;
        let is_then =
            |version: &crate::Version| (1..=revision).contains(&version.revision) && version.body.is_some();
        if !(is_start || is_later) || !beginning.documents.values().all(is_then) {
            let why =
                format!("the state at revision {revision}, where the history begins, is of another one");
            return Err(refused(why));
        }
        self.last = Some((beginning.position, beginning.at));
        Ok(())
    }

    fn append(&mut self, entry: &Entry) -> Result<(), Error> {
        let (head, at) = self.last.unwrap_or((Position::START, i64::MIN));
        rules::check_change_sets(std::slice::from_ref(&entry.change_set), self.reader)?;
        if entry.revision != head.revision + 1 || entry.at < at {
            let why = format!(
                "the entry of revision {} does not follow revision {}",
                entry.revision, head.revision
            );
            return Err(refused(why));
        }
        self.last = Some((Position { revision: entry.revision, entry: entry.change_set.entry }, entry.at));
        Ok(())
    }
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::Invalid, why)
}
