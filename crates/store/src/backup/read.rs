//! Reading a backup: line by line, and nothing of it is final before its last line is there and right.

use std::collections::BTreeMap;
use std::io::BufRead;

use flux_resourceset_model::change::{ChangeSet, Entry, Key};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::line::{End, FORMAT, Header, Line, hexadecimal};
use super::{BackupError, Progress};
use crate::{Beginning, Error, ErrorKind, Position, Restored, Step, Store, StoreId, Version};

/// Entries are handed on when there are so many, or so many bytes of lines.
const BATCH_ENTRIES: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

const FOREIGN: &str = "this is no backup of a flux-resourceset store";

/// What every format's first line says.
#[derive(Deserialize)]
struct First {
    backup: Format,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// A backup whose first line is read.
pub struct Reader<R> {
    lines: Lines<R>,
    header: Header,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line of `input`.
    ///
    /// # Errors
    /// Where it is no backup, or one of a format that this release does not know.
    pub fn open(input: R) -> Result<Self, BackupError> {
        let mut lines = Lines { input, line: Vec::new(), number: 0, sum: Sha256::new() };
        // Before the line is looked for: what is no backup may be large, and have no lines.
        let begin = lines.input.fill_buf()?;
        if !b"{\"backup\":".starts_with(&begin[..begin.len().min(10)]) || begin.is_empty() {
            return Err(lines.wrong(FOREIGN));
        }
        lines.advance()?;
        let Format { format } = lines.parsed::<First>().map_err(|_| lines.wrong(FOREIGN))?.backup;
        if format > FORMAT {
            return Err(lines.wrong(format!(
                "a newer release wrote this backup, in format {format}; this one reads up to format {FORMAT}: run a newer release"
            )));
        }
        match lines.parsed()? {
            Line::Backup(header) => Ok(Reader { header, lines }),
            _ => Err(lines.wrong(FOREIGN)),
        }
    }

    /// What the backup is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the rest, to see whether all of it is as it was written.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check(self) -> Result<Header, BackupError> {
        self.steps(|_| true)
    }

    /// Hands what it holds to `each`, for as long as that returns true; but for the [`Step::End`], which is
    /// the caller's to add.
    ///
    /// # Errors
    /// Where anything is not as it was written. What was handed on by then is worth nothing.
    pub fn steps(mut self, mut each: impl FnMut(Step) -> bool) -> Result<Header, BackupError> {
        let (documents, mut line) = self.documents()?;
        let count = u64::try_from(documents.len()).unwrap_or(u64::MAX);
        let begins = self.header.begins;
        let mut last = begins.position();
        let at = begins.at.unwrap_or(i64::MIN);
        let beginning = Beginning { position: last, at, documents, min_reader: self.header.min_reader };
        if !each(Step::Begin(beginning)) {
            return Ok(self.header);
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let end = loop {
            match line {
                Line::Entry(logged) => {
                    let entry = logged.read().map_err(|why| self.lines.wrong(why))?;
                    last = self.follows(last, &entry)?;
                    batch.push(entry);
                    bytes += self.lines.line.len();
                }
                Line::End(end) => break end,
                Line::Backup(_) | Line::Document(_) => {
                    return Err(self.lines.wrong("it is not the next entry of the log"));
                }
            }
            if batch.len() >= BATCH_ENTRIES || bytes >= BATCH_BYTES {
                bytes = 0;
                if !each(Step::Entries(std::mem::take(&mut batch))) {
                    return Ok(self.header);
                }
            }
            line = self.lines.next()?;
        };
        self.ends(&end, count, last)?;
        if !batch.is_empty() {
            each(Step::Entries(batch));
        }
        Ok(self.header)
    }

    /// The documents where the history begins, and the line after them.
    fn documents(&mut self) -> Result<(BTreeMap<Key, Version>, Line<'static>), BackupError> {
        let mut documents = BTreeMap::new();
        loop {
            match self.lines.next()? {
                Line::Document(document) => {
                    let (key, version) = document.read().map_err(|why| self.lines.wrong(why))?;
                    documents.insert(key, version);
                }
                other => return Ok((documents, other)),
            }
        }
    }

    fn follows(&self, last: Position, entry: &Entry) -> Result<Position, BackupError> {
        if entry.revision != last.revision + 1 {
            let why = format!("revision {} does not follow revision {}", entry.revision, last.revision);
            return Err(self.lines.wrong(why));
        }
        Ok(Position { revision: entry.revision, entry: entry.change_set.entry })
    }

    /// Compares the last line with the only one that it may be.
    fn ends(&mut self, end: &End, documents: u64, last: Position) -> Result<(), BackupError> {
        let sum = hexadecimal(&self.lines.sum.clone().finalize());
        let entries = last.revision - self.header.begins.revision;
        let mut due = serde_json::to_vec(&Line::End(End { documents, entries, sha256: sum.clone() }))
            .map_err(std::io::Error::from)?;
        due.push(b'\n');
        if end.sha256 != sum {
            let why = "the checksum of all lines before this one is another: the file was changed or damaged";
            return Err(self.lines.wrong(why));
        }
        if due != self.lines.line || last != self.header.head() {
            return Err(self.lines.wrong("it ends with another revision than the first line says"));
        }
        match self.lines.input.fill_buf()?.is_empty() {
            true => Ok(()),
            false => Err(self.lines.wrong("something follows the last line")),
        }
    }
}

struct Lines<R> {
    input: R,
    /// The last line that was read, with its end.
    line: Vec<u8>,
    number: u64,
    /// Of the lines before it.
    sum: Sha256,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Line<'static>, BackupError> {
        self.advance()?;
        self.parsed()
    }

    fn advance(&mut self) -> Result<(), BackupError> {
        self.sum.update(&self.line);
        self.line.clear();
        self.number += 1;
        self.input.read_until(b'\n', &mut self.line)?;
        match self.line.last() {
            Some(b'\n') => Ok(()),
            _ => Err(self.wrong("the file ends here, before its last line: it was cut short")),
        }
    }

    fn parsed<T: DeserializeOwned>(&self) -> Result<T, BackupError> {
        let mut json = serde_json::Deserializer::from_slice(&self.line);
        // What was accepted from a client stands a few levels deeper here.
        json.disable_recursion_limit();
        let parsed = T::deserialize(&mut json).and_then(|parsed| json.end().map(|()| parsed));
        parsed
            .map_err(|error| self.wrong(format!("it is not as it was written, at column {}", error.column())))
    }

    fn wrong(&self, why: impl Into<String>) -> BackupError {
        BackupError::Damaged(self.number.max(1), why.into())
    }
}

/// Fills `store`, into which nothing was ever written, with what `backup` holds, and with one entry more,
/// `note`. Returns the new store's id and where its log ends.
///
/// # Errors
/// The store is then as empty as it was.
pub async fn restore<R: BufRead + Send + 'static>(
    store: &dyn Store,
    backup: Reader<R>,
    note: ChangeSet,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<(StoreId, Position), BackupError> {
    let (send, steps) = mpsc::channel(1);
    let read = tokio::task::spawn_blocking(move || hand_on(backup, note, &send, progress));
    let restored = store.restore(steps).await;
    let read = read.await.map_err(|panic| {
        Error::new(ErrorKind::Unavailable, "the reading of the backup was cut short").caused_by(panic)
    })?;
    match restored? {
        Restored::Done(id, head) => Ok((id, head)),
        Restored::NotEmpty(head) => Err(BackupError::NotEmpty(head)),
        Restored::BrokenOff => Err(read.err().unwrap_or_else(|| {
            Error::new(ErrorKind::Unavailable, "the restore was cut short: run it again").into()
        })),
    }
}

fn hand_on<R: BufRead>(
    backup: Reader<R>,
    note: ChangeSet,
    send: &mpsc::Sender<Step>,
    mut progress: impl FnMut(Progress),
) -> Result<(), BackupError> {
    let of = backup.header().head().revision;
    backup.steps(|step| {
        if let Step::Entries(entries) = &step {
            progress(Progress { revision: entries.last().map_or(0, |entry| entry.revision), of });
        }
        send.blocking_send(step).is_ok()
    })?;
    // Only now is it known that all of it was right.
    let _ = send.blocking_send(Step::End(note));
    Ok(())
}
