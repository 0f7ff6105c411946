//! Writing a backup: one state of the fleet and some entries at a time, from a store that others go on
//! writing to.

use std::io::Write;

use flux_resourceset_model::change::Entry;
use sha2::{Digest, Sha256};

use super::line::{Begins, Document, End, FORMAT, Header, Line, Logged, Place, hexadecimal};
use super::{BackupError, Progress};
use crate::{Changes, Position, Store, rules};

/// How many bytes of documents a page of entries is meant to have, and how many entries at most.
const PAGE_BYTES: usize = 1 << 20;
const PAGE_ENTRIES: usize = 256;

/// Writes what `store` holds now to `out`, and returns the backup's first line. What is committed meanwhile is
/// not in it. `progress` is told from time to time.
///
/// `out` is written to as it comes: for a process that has nothing else to do.
///
/// # Errors
/// Whatever was written by then is not a backup, and is refused as one.
pub async fn write(
    store: &dyn Store,
    out: &mut (dyn Write + Send),
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Header, BackupError> {
    let (id, head) = store.head().await?;
    let beginning = store.beginning().await?;
    let begins = beginning.position;
    if begins.revision > head.revision {
        return Err(BackupError::Overtaken);
    }
    let header = Header {
        format: FORMAT,
        at: rules::entry_time(0),
        store: id.0,
        begins: Begins {
            revision: begins.revision,
            entry: begins.entry.0,
            at: (begins != Position::START).then_some(beginning.at),
        },
        head: Place::of(head),
        min_reader: beginning.min_reader,
    };
    let mut lines = Lines { out, sum: Sha256::new() };
    lines.put(&Line::Backup(header.clone()))?;
    for (key, version) in &beginning.documents {
        lines.put(&Line::Document(Document::of(key, version)))?;
    }
    let documents = beginning.documents.len();
    drop(beginning);

    let mut pages = Pages { store, seen: begins, head, limit: 1 };
    while let Some(entries) = pages.next().await? {
        for entry in &entries {
            lines.put(&Line::Entry(Logged::of(entry)))?;
        }
        progress(Progress { revision: pages.seen.revision, of: head.revision });
    }
    // What was read from another store that took its place would have the entries of this one missing; but
    // not where nothing was left to read.
    if store.head().await?.0 != id {
        return Err(BackupError::Replaced);
    }
    let end = End {
        documents: u64::try_from(documents).unwrap_or(u64::MAX),
        entries: head.revision - begins.revision,
        sha256: hexadecimal(&lines.sum.clone().finalize()),
    };
    lines.put(&Line::End(end))?;
    lines.out.flush()?;
    Ok(header)
}

struct Lines<'a> {
    out: &'a mut (dyn Write + Send),
    sum: Sha256,
}

impl Lines<'_> {
    fn put(&mut self, line: &Line<'_>) -> Result<(), BackupError> {
        let mut bytes = serde_json::to_vec(line).map_err(std::io::Error::from)?;
        bytes.push(b'\n');
        self.sum.update(&bytes);
        Ok(self.out.write_all(&bytes)?)
    }
}

/// The entries up to `head`, in pages of about the same size.
struct Pages<'a> {
    store: &'a dyn Store,
    seen: Position,
    head: Position,
    limit: usize,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<Entry>>, BackupError> {
        if self.seen == self.head {
            return Ok(None);
        }
        let mut entries = match self.store.changes_since(self.seen, self.limit).await? {
            Changes::Entries(entries) => entries,
            Changes::Forgotten(_) => return Err(BackupError::Overtaken),
            Changes::Diverged(_) => return Err(BackupError::Replaced),
        };
        entries.retain(|entry| entry.revision <= self.head.revision);
        let Some(last) = entries.last() else { return Err(BackupError::Replaced) };
        self.seen = Position { revision: last.revision, entry: last.change_set.entry };
        if self.seen.revision == self.head.revision && self.seen != self.head {
            return Err(BackupError::Replaced);
        }
        let bytes: usize = entries.iter().map(size).sum();
        self.limit = match bytes < PAGE_BYTES {
            true => (self.limit * 2).min(PAGE_ENTRIES),
            false => (self.limit / 4).max(1),
        };
        Ok(Some(entries))
    }
}

/// About what an entry takes.
fn size(entry: &Entry) -> usize {
    let bodies = entry.change_set.documents.iter();
    bodies.map(|change| change.body.as_ref().map_or(0, Vec::len)).sum()
}
