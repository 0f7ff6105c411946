//! A store in one SQLite file, for one machine: a thread that writes and threads that read, so that
//! no read waits for a write.

mod database;
mod failure;
mod forget;
mod history;
mod log;
mod restore;
mod schema;
#[cfg(test)]
mod tests;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flux_resourceset_model::change::{ChangeSet, Entry, Key, READER_VERSION};
use rusqlite::TransactionBehavior;
use tokio::sync::{mpsc, watch};

use self::database::Database;
use self::worker::Workers;
use crate::wake::saw;
use crate::{
    Access, Beginning, Changes, Committed, EntryDetail, Error, ErrorKind, LogQuery, Past, Position, Record,
    Restored, Snapshot, Step, Store, StoreId, Stored, Version, rules,
};

/// How often a waiting reader looks for what another process committed.
const LOOK_UP: Duration = Duration::from_millis(200);

/// How many queries of the log are answered at once; those that follow the head do not wait for them.
const READERS: usize = 2;

/// A [`Store`] in one SQLite file, which any number of processes of one machine may share.
///
/// `synchronous=FULL` and a write-ahead log: a commit is on the disk when it returns. Dropping the
/// store waits for the statement under way, closes the file and ends its threads.
///
/// The release before this one may go on using the file until something is forgotten; from then on it
/// is [`ErrorKind::TooNew`] to it. What was forgotten makes room for what comes; the file stays as long
/// as it was.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped first: the last connection to be closed tidies up, and a reader may not.
    readers: Workers,
    follower: Workers,
    writer: Option<Workers>,
    path: PathBuf,
    reader: u32,
    head: Arc<watch::Sender<u64>>,
}

impl SqliteStore {
    /// Opens the store at `path`.
    ///
    /// A file that is missing, locked or out of reach is [`ErrorKind::Unavailable`]: try again. One
    /// that is damaged, or was not made by this software, is [`ErrorKind::Corrupt`] and stays as it is.
    pub async fn open(path: impl AsRef<Path>, access: Access) -> Result<Self, Error> {
        Self::open_for_reader(path, access, READER_VERSION).await
    }

    /// [`open`](Self::open) for a process whose [`READER_VERSION`] is `version`: how a test stands in
    /// for another release.
    pub async fn open_for_reader(
        path: impl AsRef<Path>,
        access: Access,
        version: u32,
    ) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        let opening = tokio::task::spawn_blocking(move || Self::open_blocking(&path, access, version));
        opening.await.map_err(|source| {
            Error::new(ErrorKind::Unavailable, "the store's opening was cut short: try again")
                .caused_by(source)
        })?
    }

    fn open_blocking(path: &Path, access: Access, reader: u32) -> Result<Self, Error> {
        // Absolute, so that neither a later change of folder nor SQLite's `:memory:` has a say.
        let path = std::path::absolute(path).map_err(|source| {
            Error::new(ErrorKind::Corrupt, "the store's path is empty: set it").caused_by(source)
        })?;
        let writer = match access {
            Access::ReadWrite { create } => Some(Database::open_writer(&path, create, reader)?),
            Access::ReadOnly => None,
        };
        let open = |_| Database::open_reader(&path, reader);
        let readers: Vec<Database> = (0..READERS).map(open).collect::<Result<_, _>>()?;
        let follower = open(READERS)?;
        let writer = writer.map(|writer| Workers::start("store-writer", vec![writer], ErrorKind::Unknown));
        let writer = writer.transpose()?;
        let readers = Workers::start("store-reader", readers, ErrorKind::Unavailable)?;
        let follower = Workers::start("store-follower", vec![follower], ErrorKind::Unavailable)?;
        Ok(SqliteStore { readers, follower, writer, path, reader, head: Arc::new(watch::Sender::new(0)) })
    }

    fn writer(&self) -> Result<&Workers, Error> {
        self.writer.as_ref().ok_or_else(|| {
            let sentence = "this process may only read it: write through one that may write";
            failure::Failure::new(ErrorKind::Unavailable, sentence).of(&self.path)
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn head(&self) -> Result<(StoreId, Position), Error> {
        self.follower.read(|transaction, store| Ok((store, log::head(transaction)?))).await
    }

    async fn load(&self, at: Option<u64>) -> Result<Snapshot, Error> {
        self.readers.read(move |transaction, store| log::load(transaction, store, at)).await
    }

    async fn commit(&self, expected: Position, change_sets: Vec<ChangeSet>) -> Result<Committed, Error> {
        if change_sets.is_empty() {
            return Ok(Committed::Done(Vec::new()));
        }
        rules::check_change_sets(&change_sets, self.reader)
            .map_err(|error| failure::Failure::from(error).of(&self.path))?;
        let writer = self.writer()?;
        let head = Arc::clone(&self.head);
        writer
            .call(move |database| {
                let committed = database.transaction(TransactionBehavior::Immediate, |transaction, _| {
                    log::commit(transaction, expected, change_sets)
                })?;
                // Here, since whoever asked for the commit may be gone by now.
                if let Committed::Done(entries) = &committed {
                    saw(&head, entries.last().map_or(0, |Entry { revision, .. }| *revision));
                }
                Ok(committed)
            })
            .await
    }

    async fn changes_since(&self, seen: Position, limit: usize) -> Result<Changes, Error> {
        self.follower.read(move |transaction, _| log::changes_since(transaction, seen, limit)).await
    }

    async fn log(&self, query: &LogQuery) -> Result<Vec<Record>, Error> {
        let query = query.clone();
        self.readers.read(move |transaction, _| history::log(transaction, &query)).await
    }

    async fn entry(&self, revision: u64, offset: usize, limit: usize) -> Result<Past<EntryDetail>, Error> {
        self.readers.read(move |transaction, _| history::entry(transaction, revision, offset, limit)).await
    }

    async fn read_at(&self, key: &Key, revision: u64) -> Result<Past<Option<Stored>>, Error> {
        let key = key.clone();
        self.readers.read(move |transaction, _| history::read_at(transaction, &key, revision)).await
    }

    async fn versions(&self, key: &Key, below: Option<u64>, limit: usize) -> Result<Vec<Version>, Error> {
        let key = key.clone();
        self.readers.read(move |transaction, _| history::versions(transaction, &key, below, limit)).await
    }

    async fn revision_at(&self, at: i64) -> Result<Option<u64>, Error> {
        self.readers.read(move |transaction, _| history::revision_at(transaction, at)).await
    }

    async fn history_begins(&self) -> Result<u64, Error> {
        self.readers.read(|transaction, _| log::begins(transaction)).await
    }

    async fn forget(&self, before: i64) -> Result<u64, Error> {
        let writer = self.writer()?;
        let mut forgotten = 0;
        loop {
            // A step is a transaction of its own, and commits that wait get their turn in between.
            let step = writer.call(move |database| {
                database.transaction(TransactionBehavior::Immediate, |transaction, _| {
                    forget::step(transaction, before)
                })
            });
            match step.await? {
                0 => return Ok(forgotten),
                more => forgotten += more,
            }
        }
    }

    async fn beginning(&self) -> Result<Beginning, Error> {
        self.readers.read(|transaction, _| history::beginning(transaction)).await
    }

    async fn restore(&self, mut steps: mpsc::Receiver<Step>) -> Result<Restored, Error> {
        let (feed, fed) = mpsc::channel(1);
        let reader = self.reader;
        let filled = self.writer()?.call(move |database| {
            database.transaction(TransactionBehavior::Immediate, |transaction, _| {
                restore::fill(transaction, fed, reader)
            })
        });
        // Dropped with this future, so that the thread does not wait for steps that nobody sends on.
        let fed = async move {
            loop {
                tokio::select! {
                    step = steps.recv() => {
                        let Some(step) = step else { return };
                        if feed.send(step).await.is_err() {
                            return;
                        }
                    }
                    () = feed.closed() => return,
                }
            }
        };
        let (restored, ()) = tokio::join!(filled, fed);
        if let Ok(Restored::Done(_, head)) = &restored {
            saw(&self.head, head.revision);
        }
        restored
    }

    async fn wait(&self, seen: u64) {
        let mut head = self.head.subscribe();
        while *head.borrow_and_update() <= seen {
            // A store that is away says nothing here; whoever waits has a timer of its own.
            if let Ok((_, Position { revision, .. })) = self.head().await {
                saw(&self.head, revision);
            }
            tokio::select! {
                _ = head.wait_for(|revision| *revision > seen) => {}
                () = tokio::time::sleep(LOOK_UP) => {}
            }
        }
    }
}
