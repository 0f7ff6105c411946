//! A store that lives and dies with the process: for tests, demos and tools that embed the fleet.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, EntryId, Key, READER_VERSION};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    Changes, Committed, Error, ErrorKind, LogQuery, Position, Snapshot, Store, StoreId, Stored, rules,
};

/// A [`Store`] in memory. A clone is another handle to the same content.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    reader: u32,
}

#[derive(Debug)]
struct Shared {
    id: StoreId,
    log: RwLock<Log>,
    head: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    ids: HashSet<EntryId>,
    documents: Documents,
    min_reader: u32,
}

type Documents = BTreeMap<Key, Stored>;

impl MemoryStore {
    /// A new, empty store with an identity of its own.
    pub fn new() -> Self {
        let id = StoreId(Uuid::new_v4().as_u128());
        let shared = Shared { id, log: RwLock::default(), head: watch::Sender::new(0) };
        MemoryStore { shared: Arc::new(shared), reader: READER_VERSION }
    }

    /// A handle to the same content for a process whose [`READER_VERSION`] is `version`: how a test
    /// stands in for another release.
    pub fn for_reader(&self, version: u32) -> Self {
        MemoryStore { reader: version, ..self.clone() }
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, Log>, Error> {
        // Nothing panics between two changes of a log that belong together: a poisoned lock is sound.
        let log = self.shared.log.read().unwrap_or_else(PoisonError::into_inner);
        rules::check_reader(log.min_reader, self.reader)?;
        Ok(log)
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, Log>, Error> {
        let log = self.shared.log.write().unwrap_or_else(PoisonError::into_inner);
        rules::check_reader(log.min_reader, self.reader)?;
        Ok(log)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl Log {
    fn head(&self) -> Position {
        self.entries.last().map_or(Position::START, position)
    }

    /// The position at `revision`, where the log has come that far.
    fn at(&self, revision: u64) -> Option<Position> {
        let Some(index) = revision.checked_sub(1) else { return Some(Position::START) };
        self.entries.get(usize::try_from(index).ok()?).map(position)
    }

    fn append(&mut self, change_set: ChangeSet) -> Entry {
        let last = self.entries.last().map_or(0, |entry| entry.at);
        let revision = self.head().revision + 1;
        let entry = Entry { revision, at: rules::entry_time(last), change_set };
        self.ids.insert(entry.change_set.entry);
        self.min_reader = self.min_reader.max(entry.change_set.min_reader);
        apply(&mut self.documents, &entry);
        self.entries.push(entry.clone());
        entry
    }
}

fn position(entry: &Entry) -> Position {
    Position { revision: entry.revision, entry: entry.change_set.entry }
}

fn apply(documents: &mut Documents, entry: &Entry) {
    for DocumentChange { key, body } in &entry.change_set.documents {
        match body.clone() {
            Some(body) => {
                let stored = Stored { key: key.clone(), revision: entry.revision, body };
                documents.insert(key.clone(), stored);
            }
            None => {
                documents.remove(key);
            }
        }
    }
}

fn matches(entry: &Entry, query: &LogQuery) -> bool {
    let changes = |key: &Key| {
        query.kind.as_ref().is_none_or(|kind| *kind == key.kind)
            && query.id.as_ref().is_none_or(|id| *id == key.id)
    };
    let documents = &entry.change_set.documents;
    (query.kind.is_none() && query.id.is_none() || documents.iter().any(|document| changes(&document.key)))
        && query.principal.as_ref().is_none_or(|principal| *principal == entry.change_set.principal)
        && query.from.is_none_or(|from| entry.at >= from)
        && query.until.is_none_or(|until| entry.at < until)
        && query.below.is_none_or(|below| entry.revision < below)
}

#[async_trait]
impl Store for MemoryStore {
    async fn head(&self) -> Result<(StoreId, Position), Error> {
        Ok((self.shared.id, self.read()?.head()))
    }

    async fn load(&self, at: Option<u64>) -> Result<Snapshot, Error> {
        let log = self.read()?;
        let position = match at {
            None => log.head(),
            Some(revision) => log.at(revision).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("revision {revision} is not in the log"))
            })?,
        };
        let documents = if position == log.head() {
            log.documents.values().cloned().collect()
        } else {
            let mut documents = Documents::new();
            let entries = log.entries.iter().take_while(|entry| entry.revision <= position.revision);
            entries.for_each(|entry| apply(&mut documents, entry));
            documents.into_values().collect()
        };
        Ok(Snapshot { store: self.shared.id, position, documents })
    }

    async fn commit(&self, expected: Position, change_sets: Vec<ChangeSet>) -> Result<Committed, Error> {
        if change_sets.is_empty() {
            return Ok(Committed::Done(Vec::new()));
        }
        rules::check_change_sets(&change_sets, self.reader)?;
        let mut log = self.write()?;
        if log.head() != expected {
            return Ok(Committed::Conflict(log.head()));
        }
        if let Some(known) = change_sets.iter().find(|change_set| log.ids.contains(&change_set.entry)) {
            return Err(rules::repeated_entry(known.entry));
        }
        let entries: Vec<Entry> = change_sets.into_iter().map(|change_set| log.append(change_set)).collect();
        self.shared.head.send_replace(log.head().revision);
        Ok(Committed::Done(entries))
    }

    async fn changes_since(&self, seen: Position, limit: usize) -> Result<Changes, Error> {
        let log = self.read()?;
        if log.at(seen.revision) != Some(seen) {
            return Ok(Changes::Diverged(log.head()));
        }
        let newer = log.entries.iter().skip_while(|entry| entry.revision <= seen.revision);
        Ok(Changes::Entries(newer.take(limit).cloned().collect()))
    }

    async fn log(&self, query: &LogQuery) -> Result<Vec<Entry>, Error> {
        let log = self.read()?;
        let found = log.entries.iter().rev().filter(|entry| matches(entry, query));
        Ok(found.take(query.limit).cloned().collect())
    }

    async fn wait(&self, seen: u64) {
        let mut head = self.shared.head.subscribe();
        if head.wait_for(|revision| *revision > seen).await.is_err() {
            // The sender lives as long as this handle does.
            std::future::pending::<()>().await;
        }
    }
}
