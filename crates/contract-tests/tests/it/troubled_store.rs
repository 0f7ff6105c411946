//! A store that misbehaves when the test says so, in front of one that works.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flux_resourceset_model::change::{ChangeSet, Key};
use flux_resourceset_store::{
    Beginning, Changes, Committed, EntryDetail, Error, ErrorKind, LogQuery, MemoryStore, Past, Position,
    Record, Restored, Snapshot, Step, Store, StoreId, Stored, Version,
};
use tokio::sync::mpsc;

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// No question is answered.
    Reads(ErrorKind),
    /// What stands in the log is not what stood there before.
    Diverges,
    /// No commit is made.
    Commits(ErrorKind),
    /// No commit is made, since somebody else always was faster.
    Conflicts,
    /// Nobody can tell whether a commit was made.
    Silent,
    Panics,
    /// Who asks for a fleet that was gets no answer while this is so.
    HangsOnThePast,
}

pub(crate) struct TroubledStore {
    inner: MemoryStore,
    trouble: Mutex<Trouble>,
    hanging: AtomicUsize,
}

impl TroubledStore {
    pub(crate) fn over(inner: MemoryStore, trouble: Trouble) -> Arc<Self> {
        Arc::new(TroubledStore { inner, trouble: Mutex::new(trouble), hanging: AtomicUsize::new(0) })
    }

    pub(crate) fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    /// How many were left to wait.
    pub(crate) fn hanging(&self) -> usize {
        self.hanging.load(Ordering::Relaxed)
    }

    fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap()
    }

    fn read(&self) -> Result<(), Error> {
        match self.trouble() {
            Trouble::Reads(kind) => Err(error(kind)),
            Trouble::Silent => Err(error(ErrorKind::Unavailable)),
            _ => Ok(()),
        }
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "the test says so")
}

#[async_trait]
impl Store for TroubledStore {
    async fn head(&self) -> Result<(StoreId, Position), Error> {
        self.read()?;
        self.inner.head().await
    }

    async fn load(&self, at: Option<u64>) -> Result<Snapshot, Error> {
        self.read()?;
        if at.is_some() && self.trouble() == Trouble::HangsOnThePast {
            self.hanging.fetch_add(1, Ordering::Relaxed);
            while self.trouble() == Trouble::HangsOnThePast {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        self.inner.load(at).await
    }

    async fn commit(&self, expected: Position, change_sets: Vec<ChangeSet>) -> Result<Committed, Error> {
        match self.trouble() {
            Trouble::Commits(kind) => Err(error(kind)),
            Trouble::Conflicts => Ok(Committed::Conflict(expected)),
            Trouble::Silent => Err(error(ErrorKind::Unknown)),
            Trouble::Panics => panic!("the test says so"),
            _ => self.inner.commit(expected, change_sets).await,
        }
    }

    async fn changes_since(&self, seen: Position, limit: usize) -> Result<Changes, Error> {
        self.read()?;
        if self.trouble() == Trouble::Diverges {
            return Ok(Changes::Diverged(Position::START));
        }
        self.inner.changes_since(seen, limit).await
    }

    async fn log(&self, query: &LogQuery) -> Result<Vec<Record>, Error> {
        self.read()?;
        self.inner.log(query).await
    }

    async fn entry(&self, revision: u64, offset: usize, limit: usize) -> Result<Past<EntryDetail>, Error> {
        self.read()?;
        self.inner.entry(revision, offset, limit).await
    }

    async fn read_at(&self, key: &Key, revision: u64) -> Result<Past<Option<Stored>>, Error> {
        self.read()?;
        self.inner.read_at(key, revision).await
    }

    async fn versions(&self, key: &Key, below: Option<u64>, limit: usize) -> Result<Vec<Version>, Error> {
        self.read()?;
        self.inner.versions(key, below, limit).await
    }

    async fn revision_at(&self, at: i64) -> Result<Option<u64>, Error> {
        self.read()?;
        self.inner.revision_at(at).await
    }

    async fn history_begins(&self) -> Result<u64, Error> {
        self.read()?;
        self.inner.history_begins().await
    }

    async fn forget(&self, before: i64) -> Result<u64, Error> {
        self.read()?;
        self.inner.forget(before).await
    }

    async fn beginning(&self) -> Result<Beginning, Error> {
        self.inner.beginning().await
    }

    async fn restore(&self, steps: mpsc::Receiver<Step>) -> Result<Restored, Error> {
        self.inner.restore(steps).await
    }

    async fn wait(&self, seen: u64) {
        self.inner.wait(seen).await;
    }
}
