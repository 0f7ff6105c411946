//! What a person does about another store in the place of the one that was served: in this process, and
//! with a SQLite file that is exchanged under two servers.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flux_resourceset_store::{MemoryStore, Store};
use serde_json::json;
use tempfile::TempDir;

use crate::client::until;
use crate::faulty_store::FaultyStore;
use crate::process::{POLL, Process, SEED, start};
use crate::server::Server;

const CONFIRM: &str = "/api/v2/confirm";

fn diverged(pairs: &[(&str, &str)]) -> (Server, Arc<FaultyStore>, MemoryStore) {
    let memory = MemoryStore::new();
    Server::over(Arc::new(memory.clone()), &[]).fill();
    let store = FaultyStore::over(&memory);
    let server = Server::over(store.clone(), &[&[("MAX_STALENESS", "2s")], pairs].concat());
    store.diverged.store(true, Ordering::SeqCst);
    until("mute", || server.reader().get(POLL).status == 503);
    (server, store, memory)
}

#[test]
fn there_is_nothing_to_confirm_while_the_store_is_followed() {
    let server = Server::seeded();
    let standing = server.writer().get(CONFIRM).expect(200).json();
    assert_eq!((&standing["mute"], &standing["confirmable"]), (&json!(null), &json!(false)));
    assert_eq!((&standing["served"]["revision"], &standing["store"]), (&json!(3), &json!(null)));
    assert_eq!(server.writer().send("POST", CONFIRM, &[], "").expect(409).code(), "nothing_to_confirm");
    assert_eq!(server.reader().get(CONFIRM).expect(403).code(), "forbidden");
    assert_eq!(server.reader().send("POST", CONFIRM, &[], "").expect(403).code(), "forbidden");
    server.anyone().get(CONFIRM).expect(401);
}

#[test]
fn what_is_confirmed_is_followed_and_diverges_again_if_it_does() {
    let (server, store, memory) = diverged(&[]);
    let writer = server.writer();
    assert_eq!(writer.get(CONFIRM).expect(200).json()["mute"]["code"], "store_diverged");
    let plan = writer.send("POST", &format!("{CONFIRM}?plan=true"), &[], "").expect(200).json();
    assert_eq!(plan["clusters"], 0);
    store.diverged.store(false, Ordering::SeqCst);
    writer.confirmed("POST", CONFIRM, None).expect(200);
    server.reader().get(POLL).expect(200);
    // Followed, not only read once.
    let other = Server::over(Arc::new(memory), &[]);
    other.writer().post("/namespaces", json!({"id": "x"})).expect(201);
    until("the write arrives", || server.reader().get("/namespaces/x").status == 200);
    writer.delete("/namespaces/x").expect(200);
    store.diverged.store(true, Ordering::SeqCst);
    until("mute again", || server.reader().get(POLL).status == 503);
}

#[test]
fn what_was_seen_is_confirmed_though_others_write_meanwhile() {
    let (server, store, memory) = diverged(&[]);
    let (writer, other) = (server.writer(), Server::over(Arc::new(memory), &[]));
    let write = |n: u32| {
        let labels = json!({"labels": {"v": n.to_string()}});
        other.writer().patch("/namespaces/n1", labels).expect(200);
    };
    write(1);
    let digest = writer.get(CONFIRM).expect(200).json()["plan"]["digest"].as_str().unwrap().to_owned();
    write(2);
    let later = writer.send("POST", CONFIRM, &[], "").expect(428).json()["plan"]["digest"].clone();
    assert_ne!(later, digest.as_str());
    write(3);
    let confirm = |digest: &str| writer.send("POST", CONFIRM, &[("If-Plan", digest)], "");
    assert_eq!(confirm(&"0".repeat(64)).expect(412).code(), "plan_changed");
    assert_eq!(confirm(&digest).expect(412).code(), "plan_changed", "its history is another one still");
    store.diverged.store(false, Ordering::SeqCst);
    let confirmed = confirm(&digest).expect(200).json();
    assert_eq!(confirmed["plan"]["effects"][0]["fields"][0]["to"], "3", "{confirmed}");
    assert!(confirmed["remarks"][0].as_str().unwrap().contains("revision 4"), "{confirmed}");
    assert_eq!(server.reader().get(POLL).expect(200).json()["inputs"][0]["labels"]["v"], "3");
}

#[test]
fn a_restored_copy_is_another_store_though_its_history_is_the_same() {
    let memory = MemoryStore::new();
    Server::over(Arc::new(memory.clone()), &[]).fill();
    let store = FaultyStore::over(&memory);
    let server = Server::over(store.clone(), &[("MAX_STALENESS", "1s")]);
    store.renamed.store(true, Ordering::SeqCst);
    until("mute", || server.reader().get(POLL).status == 503);
    assert_eq!(server.reader().get(POLL).expect(503).code(), "store_diverged");
    let standing = server.writer().get(CONFIRM).expect(200).json();
    assert_ne!(standing["served"]["store"], standing["store"]["store"]);
    assert_eq!(standing["plan"]["clusters"], 0);
    server.writer().confirmed("POST", CONFIRM, None).expect(200);
    server.writer().post("/namespaces", json!({"id": "x"})).expect(201);
    server.reader().get(POLL).expect(200);
}

#[test]
fn a_reason_is_asked_for_where_writes_need_one() {
    let (server, store, _) = diverged(&[("REQUIRE_REASON", "true")]);
    store.diverged.store(false, Ordering::SeqCst);
    let writer = server.writer();
    assert_eq!(writer.send("POST", CONFIRM, &[], "").expect(400).code(), "reason_required");
    let digest = writer.get(CONFIRM).expect(200).json()["plan"]["digest"].as_str().unwrap().to_owned();
    let headers = [("If-Plan", digest.as_str()), ("X-Change-Reason", "INC-7: the backup of noon")];
    writer.send("POST", CONFIRM, &headers, "").expect(200);
}

#[test]
fn a_store_that_is_away_cannot_be_confirmed() {
    let (server, store, _) = diverged(&[]);
    store.reads_fail(true);
    assert_eq!(server.writer().get(CONFIRM).expect(503).code(), "store_unavailable");
    assert_eq!(server.writer().send("POST", CONFIRM, &[], "").expect(503).code(), "store_unavailable");
}

#[test]
fn what_cannot_be_read_is_no_persons_to_confirm() {
    let memory = MemoryStore::new();
    let server = Server::over(Arc::new(memory.clone()), &[("MAX_STALENESS", "200ms")]);
    server.fill();
    let late = Server::over(Arc::new(memory.clone()), &[]);
    drop(late);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let change_set = flux_resourceset_model::change::ChangeSet {
        entry: flux_resourceset_model::change::EntryId(77),
        principal: "other".into(),
        reason: None,
        request_id: "other".into(),
        operations: Vec::new(),
        documents: vec![flux_resourceset_model::change::DocumentChange {
            key: flux_resourceset_model::change::Key::new("rollouts", "y"),
            body: Some(br#"{"id":"y"}"#.to_vec()),
        }],
        min_reader: 1,
    };
    let head = runtime.block_on(memory.head()).unwrap().1;
    runtime.block_on(memory.commit(head, vec![change_set])).unwrap();
    until("mute", || server.reader().get(POLL).status == 503);
    let standing = server.writer().get(CONFIRM).expect(200).json();
    assert_eq!(
        (&standing["mute"]["code"], &standing["confirmable"]),
        (&json!("store_unreadable"), &json!(false))
    );
    assert_eq!(server.writer().send("POST", CONFIRM, &[], "").expect(503).code(), "store_unreadable");
}

/// Puts the store of one folder in the place of that of another, as a person does who knows SQLite.
fn exchange(theirs: &TempDir, ours: &TempDir) {
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = fs::rename(ours.path().join(name), ours.path().join(format!("old-{name}")));
        let _ = fs::rename(theirs.path().join(name), ours.path().join(name));
    }
}

#[test]
fn each_process_takes_an_exchanged_file_when_it_is_told_to() {
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(ours.path().join("seed.json"), SEED).unwrap();
    fs::write(theirs.path().join("seed.json"), SEED.replace("\"n1\"", "\"n9\"")).unwrap();
    start(theirs.path(), &[("SEED_FILE", "seed.json")]).ready().terminate();
    let crud = start(ours.path(), &[("SEED_FILE", "seed.json"), ("MAX_STALENESS", "2s")]).ready();
    let reader = start(ours.path(), &[("API_MODE", "read-only"), ("MAX_STALENESS", "2s")]).ready();
    let namespaces =
        |process: &Process| process.reader().get(POLL).expect(200).json()["inputs"][0]["id"].clone();
    assert_eq!((namespaces(&crud), namespaces(&reader)), (json!("n1"), json!("n1")));
    exchange(&theirs, &ours);
    for process in [&crud, &reader] {
        until("mute", || process.reader().get(POLL).status == 503);
        assert_eq!(process.reader().get(POLL).code(), "store_diverged");
        let effects = process.writer().get(CONFIRM).expect(200).json()["plan"]["effects"].clone();
        let effects: Vec<_> = effects.as_array().unwrap().iter().map(|one| &one["effect"]).collect();
        assert_eq!(effects, ["remove", "install"]);
    }
    crud.writer().confirmed("POST", CONFIRM, None).expect(200);
    crud.logged("a person confirmed what the store holds");
    assert_eq!(namespaces(&crud), "n9");
    assert_eq!(reader.reader().get(POLL).expect(503).code(), "store_diverged", "it is confirmed for itself");
    reader.writer().confirmed("POST", CONFIRM, None).expect(200);
    assert_eq!(namespaces(&reader), "n9");
    crud.writer().patch("/namespaces/n9", json!({"labels": {"a": "b"}})).expect(200);
    until("the reader follows", || reader.reader().get(POLL).json()["inputs"][0]["labels"]["a"] == "b");
    crud.terminate();
    reader.terminate();
    let again = start(ours.path(), &[]).ready();
    assert_eq!(again.reader().get(POLL).expect(200).json()["inputs"][0]["labels"]["a"], "b");
}

#[test]
fn a_reader_that_was_away_longer_than_the_history_reaches_goes_on() {
    let memory = MemoryStore::new();
    let writer = Server::over(Arc::new(memory.clone()), &[]);
    writer.fill();
    let store = FaultyStore::over(&memory);
    let reader = Server::over(store.clone(), &[("API_MODE", "read-only")]);
    store.reads_fail(true);
    for n in 0..300 {
        writer.writer().patch("/namespaces/n1", json!({"labels": {"v": n.to_string()}})).expect(200);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(memory.forget(i64::MAX)).unwrap();
    assert!(runtime.block_on(memory.history_begins()).unwrap() > 200);
    store.reads_fail(false);
    until("it caught up", || reader.reader().get(POLL).json()["inputs"][0]["labels"]["v"] == "299");
}

#[test]
fn an_exchanged_file_beside_the_log_of_the_other_is_not_confirmed() {
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(ours.path().join("seed.json"), SEED).unwrap();
    fs::write(theirs.path().join("seed.json"), SEED.replace("\"n1\"", "\"n9\"")).unwrap();
    start(theirs.path(), &[("SEED_FILE", "seed.json")]).ready().terminate();
    for side in ["store.db-wal", "store.db-shm"] {
        assert!(!theirs.path().join(side).exists(), "it was closed");
    }
    let server = start(ours.path(), &[("SEED_FILE", "seed.json"), ("MAX_STALENESS", "2s")]).ready();
    fs::rename(theirs.path().join("store.db"), ours.path().join("store.db")).unwrap();
    until("mute", || server.reader().get(POLL).status == 503);
    let refused = server.writer().get(CONFIRM).expect(503);
    assert_eq!(refused.code(), "store_corrupt");
    for side in ["store.db-wal", "store.db-shm"] {
        fs::rename(ours.path().join(side), ours.path().join(format!("old-{side}"))).unwrap();
    }
    server.writer().confirmed("POST", CONFIRM, None).expect(200);
    assert_eq!(server.reader().get(POLL).expect(200).json()["inputs"][0]["id"], "n9");
}
