//! What is SQLite's own: files that are not ours, damage, locks, side files, and files that move.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flux_resourceset_model::change::READER_VERSION;
use flux_resourceset_store::{Access, Changes, Committed, Error, ErrorKind, Position, SqliteStore, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::backend::{Backend, Sqlite, cluster, documents, done, position, write};

const CREATE: Access = Access::ReadWrite { create: true };
const EVERY_ACCESS: [Access; 3] = [CREATE, Access::ReadWrite { create: false }, Access::ReadOnly];

/// Every file of a folder with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect()
}

async fn refusal(path: &Path, access: Access) -> Error {
    let error = SqliteStore::open(path, access).await.map(|_| ()).unwrap_err();
    assert!(error.message.contains(path.to_str().unwrap()), "{error} names the file");
    assert!(!error.message.contains('\n') && !error.message.contains(". "), "{error} is one sentence");
    error
}

/// Whatever the access, what `make` leaves at the path is refused and stays as it is.
async fn assert_left_as_it_was(make: impl Fn(&Path), kind: ErrorKind) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.db");
    make(&path);
    let before = content(folder.path());
    for access in EVERY_ACCESS {
        let error = refusal(&path, access).await;
        assert_eq!(error.kind, kind, "{access:?}: {error}");
        assert!(content(folder.path()) == before, "{access:?} left something else behind");
    }
}

/// A closed store of several hundred pages.
async fn store_with_content() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.db");
    let store = SqliteStore::open(&path, CREATE).await.unwrap();
    let clusters = (0..100).map(|number| cluster(&format!("c-{number}"), &"x".repeat(10_000)));
    write(&store, clusters.collect()).await;
    drop(store);
    (folder, path)
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_left_as_it_was() {
    for garbage in [&b"clusters:\n"[..], &[0; 8192], &[b'x'; 100_000], b"SQLite format 3\0"] {
        assert_left_as_it_was(|path| fs::write(path, garbage).unwrap(), ErrorKind::Corrupt).await;
    }
}

#[tokio::test]
async fn another_programs_database_is_left_as_it_was() {
    for mode in ["DELETE", "WAL"] {
        for application in [0, 7] {
            let make = |path: &Path| {
                let theirs = Connection::open(path).unwrap();
                theirs.pragma_update(None, "journal_mode", mode).unwrap();
                theirs.pragma_update(None, "application_id", application).unwrap();
                theirs.execute_batch("CREATE TABLE meta (x); PRAGMA user_version = 1").unwrap();
            };
            assert_left_as_it_was(make, ErrorKind::Corrupt).await;
        }
    }
}

#[tokio::test]
async fn a_database_that_only_looks_like_a_store_is_left_as_it_was() {
    for mode in ["DELETE", "WAL"] {
        let make = |path: &Path| {
            let theirs = Connection::open(path).unwrap();
            theirs.pragma_update(None, "journal_mode", mode).unwrap();
            theirs.pragma_update(None, "application_id", i32::from_be_bytes(*b"fxRS")).unwrap();
            theirs.execute_batch("CREATE TABLE meta (x); PRAGMA user_version = 1").unwrap();
        };
        assert_left_as_it_was(make, ErrorKind::Corrupt).await;
    }
}

#[tokio::test]
async fn a_truncated_store_is_left_as_it_was() {
    let (_folder, whole) = store_with_content().await;
    let bytes = fs::read(whole).unwrap();
    for length in [16, 99, 512, 4096, 8192, bytes.len() / 2, bytes.len() - 4096, bytes.len() - 1] {
        assert_left_as_it_was(|path| fs::write(path, &bytes[..length]).unwrap(), ErrorKind::Corrupt).await;
    }
}

#[tokio::test]
async fn a_damaged_page_is_reported_when_it_is_met() {
    let (_folder, path) = store_with_content().await;
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[4096 * 2..middle].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    for access in EVERY_ACCESS {
        let error = match SqliteStore::open(&path, access).await {
            Ok(store) => store.load(None).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind, ErrorKind::Corrupt, "{access:?}: {error}");
        assert!(fs::read(&path).unwrap() == bytes, "{access:?}");
    }
}

#[tokio::test]
async fn a_log_with_an_entry_missing_is_not_followed() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    write(&*store, vec![cluster("a", "1"), cluster("a", "2"), cluster("a", "3")]).await;
    let raw = Connection::open(backend.path()).unwrap();
    raw.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM entries WHERE revision = 2").unwrap();
    let error = store.changes_since(Position::START, 10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_folder_is_not_a_store() {
    let folder = tempfile::tempdir().unwrap();
    for access in EVERY_ACCESS {
        assert_eq!(refusal(folder.path(), access).await.kind, ErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn a_missing_folder_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    for access in EVERY_ACCESS {
        let path = folder.path().join("not-mounted/fleet.db");
        assert_eq!(refusal(&path, access).await.kind, ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn without_leave_to_create_a_store_is_waited_for() {
    for access in [Access::ReadOnly, Access::ReadWrite { create: false }] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.db");
        let error = refusal(&path, access).await;
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.ends_with("there is no store here"), "{error}");
        assert!(content(folder.path()).is_empty());

        fs::write(&path, "").unwrap();
        assert_eq!(refusal(&path, access).await.kind, ErrorKind::Unavailable);
        assert_eq!(content(folder.path()), [(path.clone(), vec![])].into());

        let creator = SqliteStore::open(&path, CREATE).await.unwrap();
        let store = SqliteStore::open(&path, access).await.unwrap();
        assert_eq!(store.head().await.unwrap(), creator.head().await.unwrap());
    }
}

#[tokio::test]
async fn a_store_that_lost_its_file_is_not_made_anew_over_its_log() {
    let (folder, path) = store_with_content().await;
    let store = SqliteStore::open(&path, CREATE).await.unwrap();
    write(&store, vec![cluster("only-in-the-log", "x")]).await;
    let other = folder.path().join("moved.db");
    fs::copy(folder.path().join("fleet.db-wal"), folder.path().join("moved.db-wal")).unwrap();
    let log = fs::read(folder.path().join("moved.db-wal")).unwrap();
    for empty in [false, true] {
        if empty {
            fs::write(&other, "").unwrap();
        }
        assert_eq!(refusal(&other, CREATE).await.kind, ErrorKind::Corrupt);
        assert!(fs::read(folder.path().join("moved.db-wal")).unwrap() == log);
    }
}

#[tokio::test]
async fn two_that_create_one_store_share_it() {
    for _ in 0..10 {
        let backend = Sqlite::new().await;
        let (one, two) = tokio::join!(backend.open(), backend.open());
        assert_eq!(one.head().await.unwrap(), two.head().await.unwrap());
        write(&*one, vec![cluster("a", "1")]).await;
        assert_eq!(documents(&*two, None).await, ["clusters/a=1@1"]);
    }
}

#[tokio::test]
async fn a_reader_only_reads() {
    let (_folder, path) = store_with_content().await;
    let before = fs::read(&path).unwrap();
    let reader = SqliteStore::open(&path, Access::ReadOnly).await.unwrap();
    let head = reader.head().await.unwrap().1;
    assert_eq!(reader.load(None).await.unwrap().documents.len(), 100);
    let error = reader.commit(head, vec![cluster("a", "1")]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(fs::read(&path).unwrap() == before);

    let writer = SqliteStore::open(&path, CREATE).await.unwrap();
    write(&writer, vec![cluster("a", "1")]).await;
    tokio::time::timeout(Duration::from_secs(60), reader.wait(head.revision)).await.unwrap();
    assert_eq!(reader.head().await.unwrap(), writer.head().await.unwrap());
}

#[tokio::test]
async fn a_lock_holds_up_writes_and_not_reads() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    let head = position(&write(&*store, vec![cluster("a", "1")]).await[0]);
    let other = Connection::open(backend.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE meta SET min_reader = min_reader").unwrap();
    {
        let mut commit = Box::pin(store.commit(head, vec![cluster("a", "2")]));
        tokio::select! {
            biased;
            _ = &mut commit => panic!("the commit did not wait for the lock"),
            loaded = store.load(None) => assert_eq!(loaded.unwrap().position, head),
        }
        let error = commit.await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("locked"), "{error}");
    }
    SqliteStore::open(backend.path(), CREATE).await.unwrap();
    other.execute_batch("ROLLBACK").unwrap();
    done(store.commit(head, vec![cluster("a", "3")]).await.unwrap());
    assert_eq!(documents(&*store, None).await, ["clusters/a=3@2"]);
}

async fn assert_away(store: &dyn Store, head: Position, kind: ErrorKind) {
    let refused = [
        store.head().await.err(),
        store.load(None).await.err(),
        store.changes_since(head, 1).await.err(),
        store.commit(head, vec![cluster("lost", "x")]).await.err(),
    ];
    for error in refused {
        assert_eq!(error.as_ref().map(|error| error.kind), Some(kind), "{error:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_removed_or_replaced_is_not_written_to() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    let head = position(&write(&*store, vec![cluster("a", "1")]).await[0]);
    let aside = backend.folder.path().join("aside");
    fs::rename(backend.path(), &aside).unwrap();
    assert_away(&*store, head, ErrorKind::Unavailable).await;

    fs::write(backend.path(), "another file").unwrap();
    assert_away(&*store, head, ErrorKind::Replaced).await;
    assert_eq!(fs::read(backend.path()).unwrap(), b"another file");

    fs::rename(&aside, backend.path()).unwrap();
    assert_eq!(documents(&*store, None).await, ["clusters/a=1@1"]);
    done(store.commit(head, vec![cluster("a", "2")]).await.unwrap());
}

#[tokio::test]
async fn a_schema_that_needs_a_newer_release_is_refused() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    let head = position(&write(&*store, vec![cluster("a", "1")]).await[0]);
    let newer = Connection::open(backend.path()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    SqliteStore::open(backend.path(), CREATE).await.unwrap().head().await.unwrap();
    newer.execute("UPDATE meta SET schema_floor = 99", []).unwrap();
    assert_away(&*store, head, ErrorKind::TooNew).await;
    for access in EVERY_ACCESS {
        assert_eq!(refusal(&backend.path(), access).await.kind, ErrorKind::TooNew);
    }
}

#[tokio::test]
async fn a_minimum_raised_by_another_process_is_noticed() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    let head = position(&write(&*store, vec![cluster("a", "1")]).await[0]);
    let newer = Connection::open(backend.path()).unwrap();
    newer.execute("UPDATE meta SET min_reader = ?1", [READER_VERSION + 1]).unwrap();
    assert_away(&*store, head, ErrorKind::TooNew).await;
    for access in EVERY_ACCESS {
        assert_eq!(refusal(&backend.path(), access).await.kind, ErrorKind::TooNew);
    }
}

#[tokio::test]
async fn what_was_committed_survives_the_process() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    let copies = tempfile::tempdir().unwrap();
    let mut entries = Vec::new();
    for round in 0..5 {
        entries.extend(write(&*store, vec![cluster("a", &round.to_string()), cluster("b", "x")]).await);
        // The files as a process leaves them that is killed here; the index of the log is lost too.
        let copy = copies.path().join(format!("{round}.db"));
        let beside = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
        fs::copy(backend.path(), &copy).unwrap();
        fs::copy(beside(&backend.path()), beside(&copy)).unwrap();
        for access in [Access::ReadOnly, CREATE] {
            let copied = SqliteStore::open(&copy, access).await.unwrap();
            let changes = copied.changes_since(Position::START, usize::MAX).await.unwrap();
            assert_eq!(changes, Changes::Entries(entries.clone()));
            assert_eq!(copied.load(None).await.unwrap(), store.load(None).await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_behind_the_log_does_not_turn_time_back() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    write(&*store, vec![cluster("a", "1")]).await;
    let ahead = i64::MAX - 5;
    let raw = Connection::open(backend.path()).unwrap();
    raw.execute("UPDATE entries SET at = ?1", [ahead]).unwrap();
    let entries = write(&*store, vec![cluster("a", "2"), cluster("a", "3")]).await;
    assert_eq!(entries.iter().map(|entry| entry.at).collect::<Vec<_>>(), [ahead, ahead]);
}

#[tokio::test]
async fn a_store_that_is_dropped_leaves_one_file_and_no_lock() {
    let backend = Sqlite::new().await;
    let (one, two) = (backend.open().await, backend.open().await);
    let committed = two.commit(Position::START, vec![cluster("a", "1")]).await.unwrap();
    assert!(matches!(committed, Committed::Done(_)));
    drop((one, two));
    assert_eq!(Vec::from_iter(content(backend.folder.path()).into_keys()), [backend.path()]);
    let raw = Connection::open(backend.path()).unwrap();
    raw.execute_batch("BEGIN EXCLUSIVE; ROLLBACK; PRAGMA journal_mode = DELETE").unwrap();
}

#[tokio::test]
async fn a_file_beside_the_log_of_another_store_is_left_as_it_was() {
    let (_ours, path) = store_with_content().await;
    let (_theirs, other) = store_with_content().await;
    let open = SqliteStore::open(&other, CREATE).await.unwrap();
    write(&open, vec![cluster("late", "x")]).await;
    let side = |path: &Path, suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let log = fs::read(side(&other, "-wal")).unwrap();
    assert!(!log.is_empty());
    let before = fs::read(&path).unwrap();
    for access in EVERY_ACCESS {
        fs::write(side(&path, "-wal"), &log).unwrap();
        let error = refusal(&path, access).await;
        assert_eq!(error.kind, ErrorKind::Corrupt, "{access:?}: {error}");
        assert!(error.message.contains("is another store's"), "{error}");
        assert!(fs::read(&path).unwrap() == before, "{access:?}");
    }
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(side(&path, suffix));
    }
    SqliteStore::open(&path, CREATE).await.unwrap();
}

#[tokio::test]
async fn a_log_that_was_left_by_a_process_that_was_killed_is_taken() {
    let (_theirs, other) = store_with_content().await;
    let open = SqliteStore::open(&other, CREATE).await.unwrap();
    write(&open, vec![cluster("late", "x")]).await;
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("fleet.db");
    for suffix in ["", "-wal"] {
        fs::copy(format!("{}{suffix}", other.display()), format!("{}{suffix}", path.display())).unwrap();
    }
    for access in EVERY_ACCESS {
        let store = SqliteStore::open(&path, access).await.unwrap();
        assert_eq!(store.head().await.unwrap().1.revision, 101, "{access:?}");
    }
}
