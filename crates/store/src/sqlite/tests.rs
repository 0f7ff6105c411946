//! What only the store's own connection can be made to meet: a full disk, a read-only one, a transaction that was
//! left open, and questions that take long.

use std::sync::Barrier;

use flux_resourceset_model::change::{ChangeSet, DocumentChange, EntryId, Key};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

async fn store() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.db");
    let store = SqliteStore::open(path, Access::ReadWrite { create: true }).await.unwrap();
    (folder, store)
}

async fn on_writer(store: &SqliteStore, work: impl FnOnce(&Connection) + Send + 'static) {
    let writer = store.writer.as_ref().unwrap();
    writer
        .call(|database| {
            work(&database.connection);
            Ok(())
        })
        .await
        .unwrap();
}

fn change_set(id: &str, size: usize) -> ChangeSet {
    ChangeSet {
        entry: EntryId(uuid::Uuid::new_v4().as_u128()),
        principal: "someone".into(),
        reason: None,
        request_id: "request".into(),
        operations: Vec::new(),
        documents: vec![DocumentChange { key: Key::new("clusters", id), body: Some(vec![b'x'; size]) }],
        min_reader: READER_VERSION,
    }
}

/// A commit that `hinder` stops leaves nothing behind, reads go on, and after `relieve` so do writes.
async fn check(hinder: fn(&Connection), relieve: fn(&Connection), sentence: &str) {
    let (_folder, store) = store().await;
    store.commit(Position::START, vec![change_set("a", 10)]).await.unwrap();
    let before = store.load(None).await.unwrap();
    on_writer(&store, hinder).await;
    let list = || vec![change_set("small", 10), change_set("large", 5_000_000)];
    let error = store.commit(before.position, list()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains(sentence) && error.message.contains("fleet.db"), "{error}");
    assert_eq!(store.load(None).await.unwrap(), before);

    on_writer(&store, relieve).await;
    assert_eq!(store.load(None).await.unwrap(), before);
    let committed = store.commit(before.position, list()).await.unwrap();
    assert!(matches!(committed, Committed::Done(entries) if entries.len() == 2));
    assert_eq!(store.load(None).await.unwrap().documents.len(), 3);
}

#[tokio::test]
async fn who_follows_the_head_waits_for_no_query() {
    let (_folder, store) = store().await;
    let answered = Arc::new(Barrier::new(READERS + 1));
    let [one, another] = [(); READERS].map(|()| {
        let answered = Arc::clone(&answered);
        store.readers.read(move |_, _| {
            answered.wait();
            Ok(())
        })
    });
    let (_, _, followed) = tokio::join!(one, another, async {
        let head = tokio::time::timeout(Duration::from_secs(60), store.head()).await;
        tokio::task::spawn_blocking(move || answered.wait()).await.unwrap();
        head
    });
    followed.expect("in time").unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_not_reads() {
    check(
        |connection| set_page_limit(connection, 100),
        |connection| set_page_limit(connection, u32::MAX - 1),
        "disk is full",
    )
    .await;
}

fn set_page_limit(connection: &Connection, pages: u32) {
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
}

#[tokio::test]
async fn a_read_only_disk_refuses_writes_and_not_reads() {
    check(
        |connection| connection.pragma_update(None, "query_only", true).unwrap(),
        |connection| connection.pragma_update(None, "query_only", false).unwrap(),
        "read-only",
    )
    .await;
}

#[tokio::test]
async fn a_transaction_left_open_is_not_committed_with_the_next() {
    let (_folder, store) = store().await;
    on_writer(&store, |connection| {
        let insert = "BEGIN IMMEDIATE;
            INSERT INTO entries VALUES (1, '01', 1, 'left', NULL, 'open', '[]', 1)";
        connection.execute_batch(insert).unwrap();
    })
    .await;
    let committed = store.commit(Position::START, vec![change_set("a", 10)]).await.unwrap();
    assert!(matches!(&committed, Committed::Done(entries) if entries[0].revision == 1), "{committed:?}");
    assert_eq!(store.log(&LogQuery { limit: 9, ..LogQuery::default() }).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_commit_that_was_not_begun_when_it_was_dropped_is_not_made() {
    let (_folder, store) = store().await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let mut holding = Box::pin(on_writer(&store, move |_| held.recv().unwrap()));
    let mut commit = Box::pin(store.commit(Position::START, vec![change_set("a", 10)]));
    tokio::select! {
        biased;
        () = &mut holding => panic!(),
        _ = &mut commit => panic!(),
        () = std::future::ready(()) => {}
    }
    drop(commit);
    release.send(()).unwrap();
    holding.await;
    let committed = store.commit(Position::START, vec![change_set("b", 10)]).await.unwrap();
    assert!(matches!(committed, Committed::Done(_)), "{committed:?}");
}

#[tokio::test]
async fn the_file_is_kept_as_durable_as_it_is_said_to_be() {
    let (_folder, store) = store().await;
    on_writer(&store, |connection| {
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        let pragma = |name| schema::pragma(connection, name).unwrap();
        assert_eq!((mode.as_str(), pragma("synchronous"), pragma("foreign_keys")), ("wal", 2, 1));
    })
    .await;
}
