//! A store that fails when the test says so, in front of one that works.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use flux_resourceset_model::change::{ChangeSet, Key};
use flux_resourceset_store::{
    Beginning, Changes, Committed, EntryDetail, Error, ErrorKind, LogQuery, MemoryStore, Past, Position,
    Record, Restored, Snapshot, Step, Store, StoreId, Stored, Version,
};
use tokio::sync::{Semaphore, mpsc};

/// What becomes of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Not written, and said so.
    Away,
    /// Not written, and not said.
    Lost,
    /// Written, and not said.
    WrittenUnsaid,
    /// Written, and not said; after one look at what is stored it is away.
    WrittenThenAway,
    /// Written once the test lets it.
    Held,
    Panics,
}

pub(crate) struct FaultyStore {
    inner: MemoryStore,
    pub(crate) reads_fail: AtomicBool,
    /// After so many reads the others fail.
    reads_left: AtomicI64,
    pub(crate) reads_panic: AtomicBool,
    pub(crate) diverged: AtomicBool,
    /// Whether it says that it is another store, which has the same history.
    pub(crate) renamed: AtomicBool,
    /// Whether nobody is woken, so that a server learns of others' writes by its own commits alone.
    pub(crate) deaf: AtomicBool,
    /// How many milliseconds later it is than the entries say.
    pub(crate) later: AtomicI64,
    fates: Mutex<VecDeque<Fate>>,
    /// How many held commits have begun, and how many may go on.
    pub(crate) begun: Semaphore,
    pub(crate) go_on: Semaphore,
}

impl FaultyStore {
    pub(crate) fn over(inner: &MemoryStore) -> Arc<Self> {
        Arc::new(FaultyStore {
            inner: inner.clone(),
            reads_fail: AtomicBool::new(false),
            reads_left: AtomicI64::new(i64::MAX),
            reads_panic: AtomicBool::new(false),
            diverged: AtomicBool::new(false),
            renamed: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            later: AtomicI64::new(0),
            fates: Mutex::new(VecDeque::new()),
            begun: Semaphore::new(0),
            go_on: Semaphore::new(0),
        })
    }

    pub(crate) fn next_commits(&self, fates: &[Fate]) {
        self.fates.lock().unwrap().extend(fates);
    }

    pub(crate) fn reads_fail(&self, fail: bool) {
        self.reads_fail.store(fail, Ordering::SeqCst);
    }

    fn read(&self) -> Result<(), Error> {
        assert!(!self.reads_panic.load(Ordering::SeqCst), "the test says so");
        let left = self.reads_left.fetch_sub(1, Ordering::SeqCst);
        match left <= 0 || self.reads_fail.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "the test says that the store is away")),
            false => Ok(()),
        }
    }
}

fn unknown() -> Error {
    Error::new(ErrorKind::Unknown, "the test says nothing")
}

#[async_trait]
impl Store for FaultyStore {
    async fn head(&self) -> Result<(StoreId, Position), Error> {
        self.read()?;
        let (id, position) = self.inner.head().await?;
        Ok((if self.renamed.load(Ordering::SeqCst) { StoreId(!id.0) } else { id }, position))
    }

    async fn load(&self, at: Option<u64>) -> Result<Snapshot, Error> {
        self.read()?;
        let loaded = self.inner.load(at).await?;
        let id = loaded.store;
        let store = if self.renamed.load(Ordering::SeqCst) { StoreId(!id.0) } else { id };
        Ok(Snapshot { store, ..loaded })
    }

    async fn commit(&self, expected: Position, change_sets: Vec<ChangeSet>) -> Result<Committed, Error> {
        let fate = self.fates.lock().unwrap().pop_front();
        match fate {
            None => self.inner.commit(expected, change_sets).await,
            Some(Fate::Away) => {
                Err(Error::new(ErrorKind::Unavailable, "the test says that the disk is full"))
            }
            Some(Fate::Lost) => Err(unknown()),
            Some(Fate::WrittenUnsaid) => {
                self.inner.commit(expected, change_sets).await?;
                Err(unknown())
            }
            Some(Fate::WrittenThenAway) => {
                self.inner.commit(expected, change_sets).await?;
                self.reads_left.store(1, Ordering::SeqCst);
                Err(unknown())
            }
            Some(Fate::Held) => {
                self.begun.add_permits(1);
                self.go_on.acquire().await.unwrap().forget();
                self.inner.commit(expected, change_sets).await
            }
            Some(Fate::Panics) => panic!("the test says so"),
        }
    }

    async fn changes_since(&self, seen: Position, limit: usize) -> Result<Changes, Error> {
        self.read()?;
        if self.diverged.load(Ordering::SeqCst) {
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
        self.inner.forget(before + self.later.load(Ordering::SeqCst)).await
    }

    async fn beginning(&self) -> Result<Beginning, Error> {
        self.inner.beginning().await
    }

    async fn restore(&self, steps: mpsc::Receiver<Step>) -> Result<Restored, Error> {
        self.inner.restore(steps).await
    }

    async fn wait(&self, seen: u64) {
        if self.deaf.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.wait(seen).await;
    }
}
