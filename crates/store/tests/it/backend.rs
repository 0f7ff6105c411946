//! What the suite asks of a backend, and the change sets that its cases write.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use flux_resourceset_model::change::{
    ChangeSet, DocumentChange, Entry, EntryId, Key, Operation, READER_VERSION, Verb,
};
use flux_resourceset_postgres_server::{Programs, Server};
use flux_resourceset_store::{
    Access, Committed, MemoryStore, Position, PostgresStore, PostgresUrl, SqliteStore, Store,
};
use tempfile::TempDir;
use uuid::Uuid;

/// A place for one store, removed when it is dropped.
pub(crate) trait Backend {
    /// Whether what it needs is on this machine; where not, it says so.
    fn is_there() -> bool {
        true
    }

    /// A place with a new, empty store.
    async fn new() -> Self;

    /// One more handle to that store, independent of the others, for a process that reads documents
    /// up to version `reader`.
    async fn open_for(&self, reader: u32) -> Result<Arc<dyn Store>, flux_resourceset_store::Error>;

    /// One more handle for a process like this one.
    async fn open(&self) -> Arc<dyn Store> {
        self.open_for(READER_VERSION).await.unwrap()
    }
}

pub(crate) struct Memory(MemoryStore);

impl Backend for Memory {
    async fn new() -> Self {
        Memory(MemoryStore::new())
    }

    async fn open_for(&self, reader: u32) -> Result<Arc<dyn Store>, flux_resourceset_store::Error> {
        Ok(Arc::new(self.0.for_reader(reader)))
    }
}

pub(crate) struct Sqlite {
    pub(crate) folder: TempDir,
}

impl Sqlite {
    pub(crate) fn path(&self) -> PathBuf {
        // A name that would be cut short, or be decoded, where it is taken for a URI.
        self.folder.path().join("fleet 1%41?.db#x")
    }
}

impl Backend for Sqlite {
    async fn new() -> Self {
        Sqlite { folder: tempfile::tempdir().unwrap() }
    }

    async fn open_for(&self, reader: u32) -> Result<Arc<dyn Store>, flux_resourceset_store::Error> {
        let access = Access::ReadWrite { create: true };
        Ok(Arc::new(SqliteStore::open_for_reader(self.path(), access, reader).await?))
    }
}

/// A database of one server, which all tests of this process share.
pub(crate) struct Postgres {
    pub(crate) name: String,
    pub(crate) url: PostgresUrl,
}

/// Started by the first test that asks; it ends with this process.
pub(crate) fn shared_server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    // Nothing here depends on what a loss of power would leave.
    SERVER.get_or_init(|| Server::start(&Programs::find().unwrap(), &["fsync=off"]).unwrap())
}

impl Backend for Postgres {
    fn is_there() -> bool {
        Programs::or_skip().is_some()
    }

    async fn new() -> Self {
        let name = shared_server().new_database().unwrap();
        Postgres { url: PostgresUrl::parse(&shared_server().url(&name)).unwrap(), name }
    }

    async fn open_for(&self, reader: u32) -> Result<Arc<dyn Store>, flux_resourceset_store::Error> {
        let access = Access::ReadWrite { create: true };
        Ok(Arc::new(PostgresStore::open_for_reader(&self.url, access, reader).await?))
    }
}

/// A change set that writes `documents`, each `(type, id, body)`, no body being a deletion.
pub(crate) fn change_set(documents: &[(&str, &str, Option<&str>)]) -> ChangeSet {
    let operation = |(kind, id, body): &(&str, &str, Option<&str>)| {
        let verb = if body.is_some() { Verb::Update } else { Verb::Delete };
        let body = body.map(|body| serde_json::json!({ "body": body }));
        Operation::new(verb, Key::new(*kind, *id), body)
    };
    let document = |(kind, id, body): &(&str, &str, Option<&str>)| DocumentChange {
        key: Key::new(*kind, *id),
        body: body.map(|body| body.as_bytes().to_vec()),
    };
    ChangeSet {
        entry: EntryId(Uuid::new_v4().as_u128()),
        principal: "someone".into(),
        reason: None,
        request_id: "request".into(),
        operations: documents.iter().map(operation).collect(),
        documents: documents.iter().map(document).collect(),
        min_reader: READER_VERSION,
    }
}

/// A change set that writes one cluster.
pub(crate) fn cluster(id: &str, body: &str) -> ChangeSet {
    change_set(&[("clusters", id, Some(body))])
}

pub(crate) fn position(entry: &Entry) -> Position {
    Position { revision: entry.revision, entry: entry.change_set.entry }
}

/// Commits at the head, where nobody else writes.
#[track_caller]
pub(crate) fn done(committed: Committed) -> Vec<Entry> {
    match committed {
        Committed::Done(entries) => entries,
        Committed::Conflict(head) => panic!("a conflict with {head:?}"),
    }
}

/// Commits `change_sets` at the head, where nobody else writes.
pub(crate) async fn write(store: &dyn Store, change_sets: Vec<ChangeSet>) -> Vec<Entry> {
    let (_, head) = store.head().await.unwrap();
    done(store.commit(head, change_sets).await.unwrap())
}

/// Commits `change_set` at whatever the head is, as often as it takes.
pub(crate) async fn write_among_others(store: &dyn Store, change_set: ChangeSet) -> Entry {
    loop {
        let (_, head) = store.head().await.unwrap();
        if let Committed::Done(mut entries) = store.commit(head, vec![change_set.clone()]).await.unwrap() {
            return entries.remove(0);
        }
    }
}

/// The documents as `type/id=body@revision`.
pub(crate) async fn documents(store: &dyn Store, at: Option<u64>) -> Vec<String> {
    let documents = store.load(at).await.unwrap().documents.into_iter();
    documents.map(|stored| format!("{}={}@{}", stored.key, text(&stored.body), stored.revision)).collect()
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}
