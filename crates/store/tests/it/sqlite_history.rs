//! What is SQLite's own about the history: files of the first release, what that release may still
//! do with them, and what forgetting leaves in the file.

use flux_resourceset_model::change::{Entry, EntryId, Key, Verb};
use flux_resourceset_store::{
    Access, Changes, ErrorKind, LogQuery, Past, Position, Record, SqliteStore, Store, StoreId,
};
use rusqlite::{Connection, params};
use serde_json::json;

use crate::backend::{Backend, Sqlite, change_set, cluster, documents, write};

const CREATE: Access = Access::ReadWrite { create: true };

/// Appends to the log as the first release does: `documents` are `(id, body)`.
fn append(connection: &Connection, revision: i64, operations: &str, documents: &[(&str, Option<&str>)]) {
    let insert =
        "INSERT INTO entries (revision, entry, at, principal, reason, request_id, operations, min_reader)
                  VALUES (?1, ?2, ?3, 'ann', 'why', 'request', ?4, 1)";
    let entry = EntryId(u128::try_from(revision).unwrap() + 100).to_string();
    connection.execute(insert, params![revision, entry, 1000 * revision, operations]).unwrap();
    for (place, (id, body)) in (0..).zip(documents) {
        let put =
            "INSERT INTO versions (type, id, revision, place, body) VALUES ('clusters', ?1, ?2, ?3, ?4)";
        let body = body.map(str::as_bytes);
        connection.execute(put, params![id, revision, place, body]).unwrap();
        let current = match body {
            Some(_) => "INSERT OR REPLACE INTO documents (type, id, revision) VALUES ('clusters', ?1, ?2)",
            None => "DELETE FROM documents WHERE type = 'clusters' AND id = ?1 AND revision < ?2",
        };
        connection.execute(current, params![id, revision]).unwrap();
    }
}

/// What the first release called a patch with such a body, 30 times.
fn many_operations() -> String {
    let operation = |number: u32| {
        let deep =
            serde_json::from_str::<serde_json::Value>(&format!("{}1{}", "[".repeat(125), "]".repeat(125)));
        json!({ "verb": "patch", "type": "clusters", "id": format!("c-{number}"), "body": deep.unwrap(), "force": true })
    };
    serde_json::to_string(&Vec::from_iter((0..30).map(operation))).unwrap()
}

/// The file of a store that the first release wrote three entries into.
async fn of_the_first_release() -> Sqlite {
    let backend = Sqlite::new().await;
    let mut old = Connection::open(backend.path()).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    let transaction = old.transaction().unwrap();
    transaction.execute_batch(include_str!("../../src/sqlite/log.sql")).unwrap();
    transaction.execute("INSERT INTO meta VALUES (1, '0000000000000000000000000000002a', 1, 1)", []).unwrap();
    append(&transaction, 1, "[]", &[("a", Some("1")), ("b", Some("1"))]);
    append(&transaction, 2, &many_operations(), &[("a", Some("2")), ("b", None)]);
    append(&transaction, 3, r#"[{"verb":"delete","type":"clusters","id":"a"}]"#, &[("a", None)]);
    transaction.pragma_update(None, "application_id", i32::from_be_bytes(*b"fxRS")).unwrap();
    transaction.pragma_update(None, "user_version", 1).unwrap();
    transaction.commit().unwrap();
    backend
}

fn floor(connection: &Connection) -> i64 {
    connection.query_row("SELECT schema_floor FROM meta", [], |row| row.get(0)).unwrap()
}

fn everything() -> LogQuery {
    LogQuery { limit: usize::MAX, ..LogQuery::default() }
}

#[track_caller]
fn assert_shows_the_first_of_many(record: &Record) {
    assert_eq!((record.operations.len(), record.operation_count), (Record::SHOWN, 30));
    let named = record.operations.iter().map(|operation| operation.key.id.clone()).collect::<Vec<_>>();
    assert_eq!(named, (0..20).map(|number| format!("c-{number}")).collect::<Vec<_>>());
    let light = |it: &flux_resourceset_model::change::Operation| {
        it.body.is_none() && it.force && it.verb == Verb::Patch
    };
    assert!(record.operations.iter().all(light));
}

#[tokio::test]
async fn a_file_of_the_first_release_keeps_its_history() {
    let backend = of_the_first_release().await;
    let error = SqliteStore::open(backend.path(), Access::ReadOnly).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);

    let store = backend.open().await;
    let (id, head) = store.head().await.unwrap();
    assert_eq!((id, head), (StoreId(42), Position { revision: 3, entry: EntryId(103) }));
    assert_eq!(store.history_begins().await.unwrap(), 0);
    assert_eq!(documents(&*store, None).await, [""; 0]);
    assert_eq!(documents(&*store, Some(1)).await, ["clusters/a=1@1", "clusters/b=1@1"]);
    assert_eq!(documents(&*store, Some(2)).await, ["clusters/a=2@2"]);
    let Changes::Entries(entries) = store.changes_since(Position::START, 9).await.unwrap() else { panic!() };

    let records = store.log(&everything()).await.unwrap();
    assert_eq!(records.iter().map(|record| record.revision).collect::<Vec<_>>(), [3, 2, 1]);
    assert_shows_the_first_of_many(&records[1]);
    assert_eq!(records[1].reason.as_deref(), Some("why"));
    assert_eq!(records[0].operations, entries[2].change_set.operations);
    assert_eq!((records[2].operation_count, records[2].document_count), (0, 2));
    assert_eq!(store.revision_at(2500).await.unwrap(), Some(2));
    let Past::Known(detail) = store.entry(2, 0, 9).await.unwrap() else { panic!() };
    assert_eq!(detail.operations, entries[1].change_set.operations);
    assert_eq!(detail.documents[1].before, Some(b"1".to_vec()));
    let versions = store.versions(&Key::new("clusters", "a"), None, 9).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.revision).collect::<Vec<_>>(), [3, 2, 1]);
}

#[tokio::test]
async fn the_first_release_may_go_on_until_something_is_forgotten() {
    let backend = of_the_first_release().await;
    let store = backend.open().await;
    let old = Connection::open(backend.path()).unwrap();
    append(&old, 4, &many_operations(), &[("a", Some("4"))]);
    assert_eq!(floor(&old), 1);
    let records = store.log(&LogQuery { limit: 1, ..LogQuery::default() }).await.unwrap();
    assert_shows_the_first_of_many(&records[0]);
    write(&*store, vec![cluster("c", "5")]).await;

    assert_eq!(store.forget(1000).await.unwrap(), 0);
    assert_eq!(floor(&old), 1);
    assert_eq!(store.forget(1001).await.unwrap(), 1);
    assert_eq!(floor(&old), 2);
    assert_eq!(documents(&*store, None).await, ["clusters/a=4@4", "clusters/c=5@5"]);
}

#[tokio::test]
async fn an_operation_that_cannot_be_read_keeps_nobody_from_opening() {
    let backend = of_the_first_release().await;
    let old = Connection::open(backend.path()).unwrap();
    old.execute("UPDATE entries SET operations = '[{' WHERE revision = 2", []).unwrap();
    let store = SqliteStore::open(backend.path(), CREATE).await.unwrap();
    assert_eq!(documents(&store, Some(2)).await, ["clusters/a=2@2"]);
    assert_eq!(store.log(&everything()).await.unwrap_err().kind, ErrorKind::Corrupt);
    assert_eq!(store.log(&LogQuery { limit: 1, ..LogQuery::default() }).await.unwrap().len(), 1);
}

/// The rows that a forgotten history left are those that the state where it begins is made of.
#[tokio::test]
async fn what_is_forgotten_leaves_the_file() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    let steps: [&[(&str, &str, Option<&str>)]; 6] = [
        &[("clusters", "kept", Some("1"))],
        &[("clusters", "gone", Some("2")), ("clusters", "changed", Some("2"))],
        &[],
        &[("clusters", "gone", None), ("clusters", "changed", Some("4"))],
        &[("clusters", "other", None)],
        &[("clusters", "changed", Some("6"))],
    ];
    let entries: Vec<Entry> = write(&*store, steps.into_iter().map(change_set).collect()).await;
    assert_eq!(store.forget(i64::MAX).await.unwrap(), 5);
    let file = Connection::open(backend.path()).unwrap();
    let rows = |sql: &str| {
        let mut statement = file.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let versions = rows("SELECT id || '@' || revision FROM versions ORDER BY revision");
    assert_eq!(versions, ["kept@1", "changed@4", "changed@6"]);
    // Who wrote what is still needed, and where the history begins.
    let kept = rows("SELECT revision || operations FROM entries WHERE revision < 6 ORDER BY revision");
    assert_eq!(kept, ["1[]", "4[]", "5[]"]);
    assert_eq!(rows("SELECT CAST(revision AS TEXT) FROM summaries"), ["6"]);
    assert_eq!(rows("PRAGMA foreign_key_check"), [""; 0]);
    assert_eq!(rows("PRAGMA integrity_check"), ["ok"]);

    write(&*store, vec![change_set(&[("clusters", "changed", None), ("clusters", "kept", None)])]).await;
    write(&*store, vec![change_set(&[])]).await;
    assert_eq!(store.forget(i64::MAX).await.unwrap(), 2);
    assert_eq!(rows("SELECT id FROM versions"), [""; 0]);
    assert_eq!(rows("SELECT CAST(revision AS TEXT) FROM entries"), ["7", "8"]);
    assert_eq!(store.revision_at(entries[0].at - 1).await.unwrap(), None);
}

#[tokio::test]
async fn who_may_only_read_forgets_nothing() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    write(&*store, vec![cluster("a", "1"), cluster("a", "2")]).await;
    let reader = SqliteStore::open(backend.path(), Access::ReadOnly).await.unwrap();
    assert_eq!(reader.forget(i64::MAX).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(store.forget(i64::MAX).await.unwrap(), 1);
    assert_eq!(reader.history_begins().await.unwrap(), 1);
}
