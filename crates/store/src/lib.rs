//! One log of change sets and the documents that they add up to: the [`Store`] trait, and apart from
//! it each backend. A store knows documents as type, id, revision and bytes; nothing of their meaning.
#![warn(missing_docs)]

pub mod backup;
mod columns;
mod error;
mod history;
mod memory;
mod postgres;
mod restore;
mod rules;
mod sqlite;
mod wake;

pub use error::{Error, ErrorKind};
pub use history::{Beginning, EntryDetail, Past, Record, Revised, Version};
pub use memory::MemoryStore;
pub use postgres::{PostgresStore, PostgresUrl};
pub use restore::{Restored, Step};
pub use rules::CONFIRM;
pub use sqlite::SqliteStore;

use async_trait::async_trait;
use flux_resourceset_model::change::{ChangeSet, Entry, EntryId, Key};
use tokio::sync::mpsc;

/// A store's own random id, given when it is created. A copy of its file has it too; what a backup was
/// [restored](Store::restore) into has one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub u128);

/// What a process may do to a store that outlives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads and writes, and brings an older schema up to date.
    ReadWrite {
        /// Whether a new store is made where there is none (no file, or an empty one; no schema in the
        /// database); else one is waited for.
        create: bool,
    },
    /// Reads. It creates, updates and writes nothing; of its own it leaves at most the two side
    /// files (`-wal`, `-shm`) through which SQLite's processes see each other.
    ReadOnly,
}

/// A place in the log: a revision and the id of the entry that stands there.
///
/// Two stores, or one store before and after a restored backup, may share a revision number;
/// they do not share entry ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The fleet-wide revision; 0 before anything was written.
    pub revision: u64,
    /// The entry at that revision; [`EntryId::NIL`] at revision 0.
    pub entry: EntryId,
}

impl Position {
    /// The position of a store into which nothing was ever written.
    pub const START: Position = Position { revision: 0, entry: EntryId::NIL };
}

/// One document as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Which document.
    pub key: Key,
    /// The revision that wrote this body.
    pub revision: u64,
    /// Its body, byte for byte as committed.
    pub body: Vec<u8>,
}

/// Every document of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose content this is.
    pub store: StoreId,
    /// The revision it is the content of.
    pub position: Position,
    /// All documents that exist at that revision, ordered by type and id.
    pub documents: Vec<Stored>,
}

/// How a commit ended, where it did not fail.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    /// All change sets are durable, each under its own revision, in the order given.
    Done(Vec<Entry>),
    /// The head is not the position that the caller checked against; nothing was written.
    Conflict(Position),
}

/// What a store says to a reader that has seen its log up to some position.
#[derive(Debug, Clone, PartialEq)]
pub enum Changes {
    /// The entries after that position, oldest first, without a gap; empty at the head.
    Entries(Vec<Entry>),
    /// The history here is not the one that the reader saw: its head is lower, or another entry
    /// stands at that revision. Nothing may be concluded from what this store holds now.
    Diverged(Position),
    /// The history begins at this revision, above the one that the reader saw, so that it cannot be
    /// told whether this is the history that it saw. Only loading the whole leads on from here.
    Forgotten(u64),
}

/// Which entries of the log are asked for. Absent conditions hold for every entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only entries that changed a document of this type (plural).
    pub kind: Option<String>,
    /// Only entries that changed a document with this id; of the type above, where both are asked for.
    pub id: Option<String>,
    /// Only entries that changed at least one of these documents; empty: no condition. Together with
    /// a type or an id, one of these that has them.
    pub keys: Vec<Key>,
    /// Only entries of this principal.
    pub principal: Option<String>,
    /// Only entries at or after this time (milliseconds since 1970 UTC).
    pub from: Option<i64>,
    /// Only entries before this time (milliseconds since 1970 UTC).
    pub until: Option<i64>,
    /// Only revisions lower than this one: the way to the next page.
    pub below: Option<u64>,
    /// At most so many entries.
    pub limit: usize,
}

/// A log of change sets, and the documents that they add up to.
///
/// **Atomicity.** The change sets of one [`commit`](Store::commit) are all durable when it returns
/// [`Committed::Done`], or none is. Dropping the future before it returns leaves the store with all
/// or none of them; the entry ids tell which. It never leaves a transaction open behind it.
///
/// **Isolation.** Every read sees one committed revision, whole. Of two commits against the same
/// position, from any number of handles or processes, at most one is done.
///
/// **Durability.** `Done` means that the content survives the loss of the process and of the
/// machine's power, for backends that outlive the process at all.
///
/// **Readers.** A commit raises the store's minimum reader version to the highest
/// [`min_reader`](ChangeSet::min_reader) in it. To a process below the minimum every call, a commit
/// too, is [`ErrorKind::TooNew`].
///
/// **History.** It begins at revision 0, or after [`forget`](Store::forget) at a later one,
/// [`history_begins`](Store::history_begins). The state at that revision can be read, and so can every
/// later one; the entries after it are in the log, each with the state before it and after it.
///
/// Errors are classed by what the caller can do ([`ErrorKind`]); expected outcomes are values.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Which store this is and where its log ends.
    async fn head(&self) -> Result<(StoreId, Position), Error>;

    /// Every document as of revision `at`, or of the head where `at` is `None`.
    /// A revision above the head, or below [`history_begins`](Store::history_begins), is
    /// [`ErrorKind::NotFound`].
    async fn load(&self, at: Option<u64>) -> Result<Snapshot, Error>;

    /// Appends `change_sets` to the log, in order, if the head is still `expected`.
    ///
    /// The store sets revisions and times. An empty list is `Done` and changes nothing. An entry id
    /// that is [`EntryId::NIL`] or already in the log, and a document twice in one change set, are
    /// [`ErrorKind::Invalid`]; a change set that this process could not read itself is
    /// [`ErrorKind::TooNew`].
    async fn commit(&self, expected: Position, change_sets: Vec<ChangeSet>) -> Result<Committed, Error>;

    /// The entries after `seen`, oldest first, at most `limit` of them.
    async fn changes_since(&self, seen: Position, limit: usize) -> Result<Changes, Error>;

    /// The entries that match `query`, newest first, as lists show them. What it costs depends on how
    /// many are returned, not on how much each of them changed.
    async fn log(&self, query: &LogQuery) -> Result<Vec<Record>, Error>;

    /// The entry that stands at `revision`, and of the documents that it changed, ordered by type and
    /// id, those from `offset` on, at most `limit`. No entry stands where the history begins, not at
    /// revision 0 either: that is [`Past::Forgotten`].
    async fn entry(&self, revision: u64, offset: usize, limit: usize) -> Result<Past<EntryDetail>, Error>;

    /// The document `key` as of `revision`; `None` where it did not exist then.
    async fn read_at(&self, key: &Key, revision: u64) -> Result<Past<Option<Stored>>, Error>;

    /// The versions of the document `key`, newest first, at most `limit`: those with a revision lower
    /// than `below`, or all. A deletion is a version too.
    ///
    /// Of a history that was cut, one version at or below [`history_begins`](Store::history_begins)
    /// comes last where the document existed then: what it was before that is not known. Where no
    /// version stands there, the oldest one created the document.
    async fn versions(&self, key: &Key, below: Option<u64>, limit: usize) -> Result<Vec<Version>, Error>;

    /// The last revision at or before the time `at` (milliseconds since 1970 UTC): the one whose state
    /// held then. Before the first entry it is 0; `None` where the history no longer reaches back to
    /// that time.
    async fn revision_at(&self, at: i64) -> Result<Option<u64>, Error>;

    /// The first revision whose state can be read: 0 as long as nothing was forgotten.
    async fn history_begins(&self) -> Result<u64, Error>;

    /// Drops the entries older than the time `before` (milliseconds since 1970 UTC) and the versions of
    /// documents that no state from then on is made of, and returns how many entries left the log.
    ///
    /// The state that held at `before` and every later one stay exactly as they are, and the head's entry
    /// always stays in the log. Of a version that is still needed its author, time and reason stay too.
    /// It may work in several steps, each of which leaves a sound store: where it fails or is
    /// dropped half-way, the history begins somewhere in between, and the next call goes on.
    async fn forget(&self, before: i64) -> Result<u64, Error>;

    /// Where the history begins and the state there: together with the entries after it, all that the store
    /// holds.
    async fn beginning(&self) -> Result<Beginning, Error>;

    /// Fills this store, into which nothing was ever written, with the history that comes through `steps`:
    /// its revisions, times and ids as they were.
    ///
    /// All of it is there, and durable, when this returns [`Restored::Done`], or nothing is: where `steps`
    /// ends without a [`Step::End`], where a step does not follow the one before, or where the future is
    /// dropped, the store is as empty as it was. What is there then is **another store**, with a new id, so
    /// that no process takes it for one that it knows: to handles of what it was it may be
    /// [`ErrorKind::Replaced`] from then on.
    async fn restore(&self, steps: mpsc::Receiver<Step>) -> Result<Restored, Error>;

    /// Returns when the head may have moved past revision `seen`. It may return early, and it
    /// returns at once where the head is already past `seen`; a change made by another process may
    /// take up to the backend's own look-up interval to be noticed. It does not fail: a store that
    /// is away keeps it waiting, so callers bound it with a timer of their own.
    async fn wait(&self, seen: u64);
}
