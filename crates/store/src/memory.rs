//! A store that lives and dies with the process: for tests, demos and tools that embed the fleet.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, EntryId, Key, READER_VERSION};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::restore::{Checked, Order};
use crate::{
    Beginning, Changes, Committed, EntryDetail, Error, LogQuery, Past, Position, Record, Restored, Revised,
    Snapshot, Step, Store, StoreId, Stored, Version, rules,
};

/// A [`Store`] in memory. A clone is another handle to the same content.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    reader: u32,
}

#[derive(Debug)]
struct Shared {
    log: RwLock<Log>,
    head: watch::Sender<u64>,
}

#[derive(Debug)]
struct Log {
    id: StoreId,
    begins: Beginning,
    /// Those after the beginning, without a gap.
    entries: Vec<Entry>,
    ids: HashSet<EntryId>,
    documents: Documents,
    min_reader: u32,
}

type Documents = BTreeMap<Key, Stored>;

impl MemoryStore {
    /// A new, empty store with an identity of its own.
    pub fn new() -> Self {
        let log = RwLock::new(Log::of(Beginning::default()));
        let shared = Shared { log, head: watch::Sender::new(0) };
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

    /// The log that `steps` add up to, beside the one that is served; `None` where they end too early.
    async fn gathered(&self, steps: &mut mpsc::Receiver<Step>) -> Result<Option<Log>, Error> {
        let mut order = Order::new(self.reader);
        let mut log = Log::of(Beginning::default());
        while let Some(step) = steps.recv().await {
            match order.next(step)? {
                Checked::Beginning(beginning) => log = Log::of(beginning),
                Checked::Entries(entries) => {
                    for entry in entries {
                        if log.is_known(&entry.change_set) {
                            return Err(rules::repeated_entry(entry.change_set.entry));
                        }
                        log.put(entry);
                    }
                }
                Checked::End(note) => {
                    log.put(note);
                    return Ok(Some(log));
                }
            }
        }
        Ok(None)
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
    /// A log of its own that begins at `begins` and holds nothing else.
    fn of(begins: Beginning) -> Self {
        let mut log = Log {
            id: StoreId(Uuid::new_v4().as_u128()),
            min_reader: begins.min_reader.max(1),
            ids: HashSet::from([begins.position.entry]),
            entries: Vec::new(),
            documents: Documents::new(),
            begins,
        };
        log.documents = log.documents_at(log.begins.position.revision);
        log
    }

    fn head(&self) -> Position {
        self.entries.last().map_or(self.begins.position, position)
    }

    fn at(&self, revision: u64) -> Past<Position> {
        let begins = self.begins.position;
        if revision == begins.revision { Past::Known(begins) } else { self.entry(revision).map(position) }
    }

    fn entry(&self, revision: u64) -> Past<&Entry> {
        let begins = self.begins.position.revision;
        let Some(index) = revision.checked_sub(begins + 1) else { return Past::Forgotten(begins) };
        let entry = usize::try_from(index).ok().and_then(|index| self.entries.get(index));
        entry.map_or(Past::Ahead(self.head().revision), Past::Known)
    }

    fn append(&mut self, change_set: ChangeSet) -> Entry {
        let last = self.entries.last().map_or(self.begins.at, |entry| entry.at);
        let revision = self.head().revision + 1;
        let entry = Entry { revision, at: rules::entry_time(last), change_set };
        self.put(entry.clone());
        entry
    }

    fn put(&mut self, entry: Entry) {
        self.ids.insert(entry.change_set.entry);
        self.min_reader = self.min_reader.max(entry.change_set.min_reader);
        apply(&mut self.documents, &entry);
        self.entries.push(entry);
    }

    fn is_known(&self, change_set: &ChangeSet) -> bool {
        self.ids.contains(&change_set.entry)
    }

    /// Every document as of `revision`, which the history holds.
    fn documents_at(&self, revision: u64) -> Documents {
        let stored = |(key, version): (&Key, &Version)| {
            let body = version.body.clone()?;
            Some((key.clone(), Stored { key: key.clone(), revision: version.revision, body }))
        };
        let mut documents: Documents = self.begins.documents.iter().filter_map(stored).collect();
        let entries = self.entries.iter().take_while(|entry| entry.revision <= revision);
        entries.for_each(|entry| apply(&mut documents, entry));
        documents
    }

    /// What the history holds of one document, newest first.
    fn versions(&self, key: &Key) -> impl Iterator<Item = Version> {
        let of = |entry: &Entry| {
            let change = entry.change_set.documents.iter().find(|document| document.key == *key)?;
            Some(version(entry, change.body.clone()))
        };
        self.entries.iter().rev().filter_map(of).chain(self.begins.documents.get(key).cloned())
    }

    /// Lets the history begin `count` entries later.
    fn forget(&mut self, count: usize) {
        for entry in self.entries.drain(..count) {
            self.begins.position = position(&entry);
            self.begins.at = entry.at;
            for DocumentChange { key, body } in &entry.change_set.documents {
                match body.clone() {
                    Some(body) => {
                        self.begins.documents.insert(key.clone(), version(&entry, Some(body)));
                    }
                    None => {
                        self.begins.documents.remove(key);
                    }
                }
            }
        }
    }
}

fn position(entry: &Entry) -> Position {
    Position { revision: entry.revision, entry: entry.change_set.entry }
}

fn version(entry: &Entry, body: Option<Vec<u8>>) -> Version {
    // Not the rest of it, which may be a whole fleet.
    let ChangeSet { principal, reason, .. } = &entry.change_set;
    let (principal, reason) = (principal.clone(), reason.clone());
    Version { revision: entry.revision, at: entry.at, principal, reason, body }
}

fn record(entry: &Entry) -> Record {
    let Entry { revision, at, change_set } = entry;
    let mut documents: Vec<&Key> = change_set.documents.iter().map(|document| &document.key).collect();
    documents.sort_unstable();
    Record {
        revision: *revision,
        entry: change_set.entry,
        at: *at,
        principal: change_set.principal.clone(),
        reason: change_set.reason.clone(),
        request_id: change_set.request_id.clone(),
        operations: rules::shown(&change_set.operations),
        operation_count: change_set.operations.len(),
        document_count: documents.len(),
        documents: documents.into_iter().take(Record::SHOWN).cloned().collect(),
    }
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
            && (query.keys.is_empty() || query.keys.contains(key))
    };
    let any = query.kind.is_none() && query.id.is_none() && query.keys.is_empty();
    (any || entry.change_set.documents.iter().any(|document| changes(&document.key)))
        && query.principal.as_ref().is_none_or(|principal| *principal == entry.change_set.principal)
        && query.from.is_none_or(|from| entry.at >= from)
        && query.until.is_none_or(|until| entry.at < until)
        && query.below.is_none_or(|below| entry.revision < below)
}

#[async_trait]
impl Store for MemoryStore {
    async fn head(&self) -> Result<(StoreId, Position), Error> {
        let log = self.read()?;
        Ok((log.id, log.head()))
    }

    async fn load(&self, at: Option<u64>) -> Result<Snapshot, Error> {
        let log = self.read()?;
        let position = match at {
            None => log.head(),
            Some(revision) => rules::known(revision, log.at(revision))?,
        };
        let documents = if position == log.head() {
            log.documents.values().cloned().collect()
        } else {
            log.documents_at(position.revision).into_values().collect()
        };
        Ok(Snapshot { store: log.id, position, documents })
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
        if let Some(known) = change_sets.iter().find(|change_set| log.is_known(change_set)) {
            return Err(rules::repeated_entry(known.entry));
        }
        let entries: Vec<Entry> = change_sets.into_iter().map(|change_set| log.append(change_set)).collect();
        self.shared.head.send_replace(log.head().revision);
        Ok(Committed::Done(entries))
    }

    async fn changes_since(&self, seen: Position, limit: usize) -> Result<Changes, Error> {
        let log = self.read()?;
        match log.at(seen.revision) {
            Past::Known(position) if position == seen => {}
            Past::Forgotten(begins) => return Ok(Changes::Forgotten(begins)),
            Past::Known(_) | Past::Ahead(_) => return Ok(Changes::Diverged(log.head())),
        }
        let newer = log.entries.iter().skip_while(|entry| entry.revision <= seen.revision);
        Ok(Changes::Entries(newer.take(limit).cloned().collect()))
    }

    async fn log(&self, query: &LogQuery) -> Result<Vec<Record>, Error> {
        let log = self.read()?;
        let found = log.entries.iter().rev().filter(|entry| matches(entry, query));
        Ok(found.take(query.limit).map(record).collect())
    }

    async fn entry(&self, revision: u64, offset: usize, limit: usize) -> Result<Past<EntryDetail>, Error> {
        let log = self.read()?;
        Ok(log.entry(revision).map(|entry| {
            let before = log.documents_at(revision - 1);
            let mut changes: Vec<&DocumentChange> = entry.change_set.documents.iter().collect();
            changes.sort_unstable_by_key(|change| &change.key);
            let revised = |DocumentChange { key, body }: &DocumentChange| Revised {
                key: key.clone(),
                before: before.get(key).map(|stored| stored.body.clone()),
                after: body.clone(),
            };
            EntryDetail {
                record: record(entry),
                operations: entry.change_set.operations.clone(),
                documents: changes.into_iter().skip(offset).take(limit).map(revised).collect(),
            }
        }))
    }

    async fn read_at(&self, key: &Key, revision: u64) -> Result<Past<Option<Stored>>, Error> {
        let log = self.read()?;
        Ok(log.at(revision).map(|_| {
            let then = log.versions(key).find(|version| version.revision <= revision)?;
            Some(Stored { key: key.clone(), revision: then.revision, body: then.body? })
        }))
    }

    async fn versions(&self, key: &Key, below: Option<u64>, limit: usize) -> Result<Vec<Version>, Error> {
        let log = self.read()?;
        let asked = |version: &Version| below.is_none_or(|below| version.revision < below);
        Ok(log.versions(key).filter(asked).take(limit).collect())
    }

    async fn revision_at(&self, at: i64) -> Result<Option<u64>, Error> {
        let log = self.read()?;
        let begins = (log.begins.at <= at).then_some(log.begins.position.revision);
        let last = log.entries.iter().rev().find(|entry| entry.at <= at);
        Ok(last.map(|entry| entry.revision).or(begins))
    }

    async fn history_begins(&self) -> Result<u64, Error> {
        Ok(self.read()?.begins.position.revision)
    }

    async fn forget(&self, before: i64) -> Result<u64, Error> {
        let mut log = self.write()?;
        let old = log.entries.iter().take_while(|entry| entry.at < before).count();
        let due = old.min(log.entries.len().saturating_sub(1));
        log.forget(due);
        Ok(u64::try_from(due).unwrap_or(u64::MAX))
    }

    async fn beginning(&self) -> Result<Beginning, Error> {
        let log = self.read()?;
        Ok(Beginning { min_reader: log.min_reader, ..log.begins.clone() })
    }

    async fn restore(&self, mut steps: mpsc::Receiver<Step>) -> Result<Restored, Error> {
        let Some(restored) = self.gathered(&mut steps).await? else { return Ok(Restored::BrokenOff) };
        let mut log = self.write()?;
        if log.head() != Position::START {
            return Ok(Restored::NotEmpty(log.head()));
        }
        *log = restored;
        self.shared.head.send_replace(log.head().revision);
        Ok(Restored::Done(log.id, log.head()))
    }

    async fn wait(&self, seen: u64) {
        let mut head = self.shared.head.subscribe();
        if head.wait_for(|revision| *revision > seen).await.is_err() {
            // The sender lives as long as this handle does.
            std::future::pending::<()>().await;
        }
    }
}
