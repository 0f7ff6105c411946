//! A store in one PostgreSQL database, for processes on many machines: a few connections that read, a few
//! that write, and one that listens for what others commit.

mod append;
mod connection;
mod failure;
mod forget;
mod history;
mod listener;
mod log;
mod restore;
mod schema;
mod settlement;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use flux_resourceset_model::change::{ChangeSet, Entry, Key, READER_VERSION};
use tokio::sync::{mpsc, watch};

use self::append::{Appended, Writing};
use self::connection::{Connector, Lender, Session};
use self::failure::Failure;
use self::listener::Listener;
use self::log::Reading;
use self::schema::{MIGRATIONS, Meta, Standing};
use self::settlement::Settlement;
pub use self::url::PostgresUrl;
use crate::wake::saw;
use crate::{
    Access, Beginning, Changes, Committed, EntryDetail, Error, ErrorKind, LogQuery, Past, Position, Record,
    Restored, Snapshot, Step, Store, StoreId, Stored, Version, rules,
};

/// How often a waiting reader looks, whatever it heard: a notification may be lost, and a pooler passes none on.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Long queries of the log leave one for those that follow the head.
const READERS: usize = 4;
/// One commits while another forgets.
const WRITERS: usize = 2;

/// A [`Store`] in the schema `flux_resourceset` of a PostgreSQL database, which any number of processes may share.
///
/// A commit is one statement, on the server's disk when it returns: a `synchronous_commit` of `off` is
/// overruled, any other holds. Only a primary is read: a standby is [`ErrorKind::Unavailable`], since what it
/// holds was the head once. Nothing is kept prepared in a session, so that a pooler may stand in between.
///
/// After a commit of unknown outcome, or one that was dropped, what this handle reads next is definite: what
/// is not in the log by then never will be.
pub struct PostgresStore {
    readers: Lender,
    writers: Option<Lender>,
    url: PostgresUrl,
    reader: u32,
    store: StoreId,
    settlement: Settlement,
    head: watch::Sender<u64>,
    bell: Arc<watch::Sender<()>>,
    listener: OnceLock<Listener>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("url", &self.url).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store at `url`; with leave to write it is brought up to date, and made where `access` says so.
    ///
    /// A server that is away, and a database that holds no store, are [`ErrorKind::Unavailable`]: try again. A
    /// schema of that name that was not made by this software is [`ErrorKind::Corrupt`] and stays as it is.
    pub async fn open(url: &PostgresUrl, access: Access) -> Result<Self, Error> {
        Self::open_for_reader(url, access, READER_VERSION).await
    }

    /// [`open`](Self::open) for a process whose [`READER_VERSION`] is `version`: how a test stands in
    /// for another release.
    pub async fn open_for_reader(url: &PostgresUrl, access: Access, version: u32) -> Result<Self, Error> {
        Self::try_open(url, access, version).await.map_err(|failure| failure.of(url))
    }

    async fn try_open(url: &PostgresUrl, access: Access, reader: u32) -> Result<Self, Failure> {
        let bell = Arc::new(watch::Sender::new(()));
        let lender = |most| Lender::new(Connector::new(url, &bell)?, most);
        let (readers, writers, settlement) = match access {
            Access::ReadOnly => (lender(READERS)?, None, Settlement::of_reader()),
            Access::ReadWrite { .. } => (lender(READERS)?, Some(lender(WRITERS)?), Settlement::of_writer()),
        };
        let session = readers.session().await?;
        make_ready(&session, access).await?;
        let meta = log::meta(&session, reader, None).await?;
        schema::warn_of_forgetful_settings(&session, &url.place()).await?;
        settlement.saw(meta.fence);
        session.keep();
        Ok(PostgresStore {
            readers,
            writers,
            url: url.clone(),
            reader,
            store: meta.store,
            settlement,
            head: watch::Sender::new(meta.head.revision),
            bell,
            listener: OnceLock::new(),
        })
    }

    /// A handle has seen its store when it was opened: that there is none any more is no reason to wait.
    fn error(&self, failure: Failure) -> Error {
        let failure = if matches!(failure, Failure::Absent) { schema::replaced() } else { failure };
        failure.of(&self.url)
    }

    fn writers(&self) -> Result<&Lender, Failure> {
        self.writers.as_ref().ok_or_else(|| {
            let sentence = "this process may only read it: write through one that may write";
            Failure::new(ErrorKind::Unavailable, sentence)
        })
    }

    /// A session for a read, before which every commit of this handle is settled.
    async fn reader(&self) -> Result<Session, Failure> {
        if !self.settlement.is_settled().await {
            let session = self.writers()?.session().await?;
            self.settle(&session).await?;
            session.keep();
        }
        self.readers.session().await
    }

    async fn settle(&self, session: &Session) -> Result<(), Failure> {
        if self.settlement.is_settled().await {
            return Ok(());
        }
        // First whose store it is: the fence of another is none of ours.
        log::meta(session, self.reader, Some(self.store)).await?;
        self.settlement.settle(session).await
    }

    async fn reading(&self) -> Result<Reading, Failure> {
        Reading::begin(self.reader().await?, self.reader, self.store).await
    }

    async fn meta(&self) -> Result<Meta, Failure> {
        let session = self.reader().await?;
        let meta = log::meta(&session, self.reader, Some(self.store)).await?;
        session.keep();
        Ok(meta)
    }

    async fn try_commit(
        &self,
        expected: Position,
        change_sets: Vec<ChangeSet>,
    ) -> Result<Committed, Failure> {
        rules::check_change_sets(&change_sets, self.reader)?;
        let writers = self.writers()?;
        loop {
            let session = writers.session().await?;
            // Nothing is written on top of what is in doubt: an older release's statement would wait for that, and
            // then see documents as they were before.
            self.settle(&session).await?;
            let fence = self.settlement.fence();
            let writing = Writing { store: self.store, reader: self.reader, fence };
            let doubt = self.settlement.doubt();
            let appended = append::append(&session, &writing, expected, &change_sets).await;
            if !matches!(appended, Err(Failure::Commit(_))) {
                doubt.dispel();
            }
            let appended = match appended {
                // The statement may have met a schema or a server that the store itself says more of.
                Err(refused @ Failure::Driver(_)) => return Err(self.meta().await.err().unwrap_or(refused)),
                other => other?,
            };
            session.keep();
            match appended {
                Appended::At(at) => {
                    let entries = append::entries(expected, at, change_sets);
                    saw(&self.head, entries.last().map_or(0, |Entry { revision, .. }| *revision));
                    return Ok(Committed::Done(entries));
                }
                Appended::Refused(meta) if meta.head != expected => {
                    return Ok(Committed::Conflict(meta.head));
                }
                // Another process settled something of its own; this commit was not meant.
                Appended::Refused(meta) if meta.fence != fence => self.settlement.saw(meta.fence),
                Appended::Refused(_) => return Err(failure::foreign()),
            }
        }
    }

    async fn try_forget(&self, before: i64) -> Result<u64, Failure> {
        let mut forgotten = 0;
        loop {
            // A step is a transaction of its own, and commits that wait get their turn in between.
            let session = self.writers()?.session().await?;
            match forget::step(session, self.reader, self.store, before).await? {
                0 => return Ok(forgotten),
                more => forgotten += more,
            }
        }
    }
}

async fn make_ready(session: &Session, access: Access) -> Result<(), Failure> {
    match (schema::standing(session, MIGRATIONS).await?, access) {
        (Standing::Usable, _) => Ok(()),
        (Standing::Empty, Access::ReadOnly | Access::ReadWrite { create: false }) => Err(Failure::Absent),
        (Standing::Old, Access::ReadOnly) => {
            let sentence = "its schema is older than this release, which waits for a writer to update it";
            Err(Failure::new(ErrorKind::Unavailable, sentence))
        }
        (Standing::Empty | Standing::Old, Access::ReadWrite { .. }) => {
            schema::migrate(session, MIGRATIONS).await
        }
    }
}

/// Asks `question`, which is a function of `log` or `history`, in one transaction.
macro_rules! ask {
    ($store:expr, $question:path $(, $argument:expr)*) => {{
        let answer = async {
            let reading = $store.reading().await?;
            let answer = $question(&reading $(, $argument)*).await?;
            reading.end();
            Ok(answer)
        };
        answer.await.map_err(|failure: Failure| $store.error(failure))
    }};
}

#[async_trait]
impl Store for PostgresStore {
    async fn head(&self) -> Result<(StoreId, Position), Error> {
        let meta = self.meta().await.map_err(|failure| self.error(failure))?;
        Ok((meta.store, meta.head))
    }

    async fn load(&self, at: Option<u64>) -> Result<Snapshot, Error> {
        ask!(self, log::load, at)
    }

    async fn commit(&self, expected: Position, change_sets: Vec<ChangeSet>) -> Result<Committed, Error> {
        if change_sets.is_empty() {
            return Ok(Committed::Done(Vec::new()));
        }
        self.try_commit(expected, change_sets).await.map_err(|failure| self.error(failure))
    }

    async fn changes_since(&self, seen: Position, limit: usize) -> Result<Changes, Error> {
        ask!(self, log::changes_since, seen, limit)
    }

    async fn log(&self, query: &LogQuery) -> Result<Vec<Record>, Error> {
        ask!(self, history::log, query)
    }

    async fn entry(&self, revision: u64, offset: usize, limit: usize) -> Result<Past<EntryDetail>, Error> {
        ask!(self, history::entry, revision, offset, limit)
    }

    async fn read_at(&self, key: &Key, revision: u64) -> Result<Past<Option<Stored>>, Error> {
        ask!(self, history::read_at, key, revision)
    }

    async fn versions(&self, key: &Key, below: Option<u64>, limit: usize) -> Result<Vec<Version>, Error> {
        ask!(self, history::versions, key, below, limit)
    }

    async fn revision_at(&self, at: i64) -> Result<Option<u64>, Error> {
        ask!(self, history::revision_at, at)
    }

    async fn history_begins(&self) -> Result<u64, Error> {
        Ok(self.meta().await.map_err(|failure| self.error(failure))?.begins)
    }

    async fn forget(&self, before: i64) -> Result<u64, Error> {
        self.try_forget(before).await.map_err(|failure| self.error(failure))
    }

    async fn beginning(&self) -> Result<Beginning, Error> {
        ask!(self, history::beginning)
    }

    async fn restore(&self, steps: mpsc::Receiver<Step>) -> Result<Restored, Error> {
        let restored = async {
            let session = self.writers()?.session().await?;
            restore::fill(session, steps, self.reader, self.store).await
        };
        restored.await.map_err(|failure| self.error(failure))
    }

    async fn wait(&self, seen: u64) {
        if let Ok(connector) = Connector::new(&self.url, &self.bell) {
            self.listener
                .get_or_init(|| Listener::start(connector, self.url.clone(), Arc::clone(&self.bell)));
        }
        let (mut head, mut bell) = (self.head.subscribe(), self.bell.subscribe());
        while *head.borrow_and_update() <= seen {
            bell.mark_unchanged();
            // A store that is away says nothing here; whoever waits has a timer of its own.
            if let Ok((_, Position { revision, .. })) = self.head().await {
                saw(&self.head, revision);
            }
            tokio::select! {
                _ = head.wait_for(|revision| *revision > seen) => {}
                _ = bell.changed() => {}
                () = tokio::time::sleep(LOOK_UP) => {}
            }
        }
    }
}
