//! A store that misbehaves when the test says so, in front of one that works.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flux_resourceset_model::change::{ChangeSet, Entry};
use flux_resourceset_store::{
    Changes, Committed, Error, ErrorKind, LogQuery, MemoryStore, Position, Snapshot, Store, StoreId,
};

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
}

pub(crate) struct TroubledStore {
    inner: MemoryStore,
    trouble: Mutex<Trouble>,
}

impl TroubledStore {
    pub(crate) fn over(inner: MemoryStore, trouble: Trouble) -> Arc<Self> {
        Arc::new(TroubledStore { inner, trouble: Mutex::new(trouble) })
    }

    pub(crate) fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
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

    async fn log(&self, query: &LogQuery) -> Result<Vec<Entry>, Error> {
        self.read()?;
        self.inner.log(query).await
    }

    async fn wait(&self, seen: u64) {
        self.inner.wait(seen).await;
    }
}
