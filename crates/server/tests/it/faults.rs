//! A store that is away, lies, moves or turns out to be another; clients that go away.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flux_resourceset_model::change::{ChangeSet, DocumentChange, EntryId, Key, READER_VERSION};
use flux_resourceset_server::RunError;
use flux_resourceset_store::{LogQuery, MemoryStore, Store};
use serde_json::json;

use crate::client::{connect, until};
use crate::faulty_store::{Fate, FaultyStore};
use crate::server::{Server, WRITE};

const POLL: &str = "/api/v2/flux/clusters/c1.example.com/namespaces";

fn faulty(pairs: &[(&str, &str)]) -> (Server, Arc<FaultyStore>, MemoryStore) {
    let memory = MemoryStore::new();
    Server::over(Arc::new(memory.clone()), &[]).fill();
    let store = FaultyStore::over(&memory);
    (Server::over(store.clone(), pairs), store, memory)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn entries(store: &MemoryStore) -> usize {
    block_on(store.log(&LogQuery { limit: 1000, ..LogQuery::default() })).unwrap().len()
}

/// Writes behind the server's back what it could not have written itself.
fn commit(store: &MemoryStore, min_reader: u32, key: Key, body: &str) {
    let (_, head) = block_on(store.head()).unwrap();
    let change_set = ChangeSet {
        entry: EntryId(u128::from(head.revision) + 1),
        principal: "other".into(),
        reason: None,
        request_id: "other".into(),
        operations: Vec::new(),
        documents: vec![DocumentChange { key, body: Some(body.into()) }],
        min_reader,
    };
    block_on(store.for_reader(min_reader).commit(head, vec![change_set])).unwrap();
}

#[test]
fn polls_end_when_the_head_is_not_confirmed_and_go_on_when_it_is() {
    let (server, store, _) = faulty(&[("MAX_STALENESS", "1s")]);
    server.reader().get(POLL).expect(200);
    store.reads_fail(true);
    until("stale", || server.reader().get(POLL).status == 503);
    assert_eq!(server.reader().get(POLL).expect(503).code(), "stale");
    assert_eq!(server.reader().get("/api/v2/flux/clusters").expect(503).code(), "stale");
    let unready = server.anyone().get("/ready").expect(503);
    assert_eq!((unready.code().as_str(), unready.header("retry-after")), ("stale", Some("5")));
    server.anyone().get("/health").expect(200);
    server.reader().get("/clusters/c1").expect(200);
    store.reads_fail(false);
    until("fresh again", || server.reader().get(POLL).status == 200);
    server.anyone().get("/ready").expect(200);
}

#[test]
fn a_store_that_is_away_at_the_start_is_waited_for() {
    let memory = MemoryStore::new();
    let store = FaultyStore::over(&memory);
    store.reads_fail(true);
    let server = Server::unready(store.clone(), &[]);
    let early = server.reader().get(POLL).expect(503);
    assert_eq!((early.code().as_str(), early.header("retry-after")), ("starting", Some("5")));
    assert_eq!(server.anyone().get("/ready").expect(503).code(), "starting");
    assert_eq!(server.writer().post("/namespaces", json!({"id": "x"})).expect(503).code(), "starting");
    store.reads_fail(false);
    server.ready().writer().post("/namespaces", json!({"id": "x"})).expect(201);
}

#[test]
fn a_full_disk_refuses_writes_and_leaves_polls() {
    let (server, store, _) = faulty(&[]);
    store.next_commits(&[Fate::Away]);
    let refused = server.writer().post("/namespaces", json!({"id": "x"})).expect(503);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("store_unavailable", Some("5")));
    server.reader().get(POLL).expect(200);
    server.anyone().get("/ready").expect(200);
    assert_eq!(server.reader().get("/namespaces/x").expect(404).code(), "not_found");
    server.writer().post("/namespaces", json!({"id": "x"})).expect(201);
}

#[test]
fn a_commit_of_unknown_outcome_is_done_once() {
    for fates in [&[Fate::WrittenUnsaid][..], &[Fate::Lost], &[Fate::Lost, Fate::WrittenUnsaid]] {
        let (server, store, memory) = faulty(&[]);
        let before = entries(&memory);
        store.next_commits(fates);
        let created = server.writer().post("/namespaces", json!({"id": "x"})).expect(201);
        assert_eq!(created.revision(), "4", "{fates:?}");
        assert_eq!(entries(&memory), before + 1, "{fates:?}");
        store.next_commits(fates);
        assert_eq!(server.writer().delete("/namespaces/x").expect(200).json(), json!({"id": "x"}));
        assert_eq!(entries(&memory), before + 2, "{fates:?}");
    }
}

#[test]
fn what_is_acknowledged_is_served_whatever_fails_next() {
    let (server, store, _) = faulty(&[("MAX_STALENESS", "1h")]);
    store.deaf.store(true, Ordering::SeqCst);
    store.next_commits(&[Fate::WrittenThenAway]);
    server.writer().post("/namespaces", json!({"id": "x"})).expect(201);
    server.reader().get("/namespaces/x").expect(200);
}

#[test]
fn commits_that_are_lost_again_and_again_are_given_up() {
    let (server, store, memory) = faulty(&[]);
    let before = entries(&memory);
    store.next_commits(&[Fate::Lost; 3]);
    let refused = server.writer().post("/namespaces", json!({"id": "x"})).expect(503);
    // Any of them may still be on its way.
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("outcome_unknown", None));
    assert_eq!(entries(&memory), before);
}

#[test]
fn a_panic_is_500_and_the_process_lives() {
    let (server, store, _) = faulty(&[]);
    store.next_commits(&[Fate::Panics]);
    assert_eq!(server.writer().post("/namespaces", json!({"id": "x"})).expect(500).code(), "internal");
    server.writer().post("/namespaces", json!({"id": "x"})).expect(201);
}

#[test]
fn a_follower_that_panics_ends_the_process() {
    let (server, store, _) = faulty(&[("MAX_STALENESS", "200ms")]);
    store.reads_panic.store(true, Ordering::SeqCst);
    let error = server.ended().unwrap_err();
    assert!(matches!(error, RunError::Following(_)), "{error}");
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_client_that_goes_away_stops_no_write() {
    let (server, store, memory) = faulty(&[]);
    let before = entries(&memory);
    store.next_commits(&[Fate::Held]);
    let mut client = connect(server.address);
    let body = r#"{"id":"x"}"#;
    let head = format!(
        "POST /namespaces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITE}\r\nContent-Type: application/json\r\n"
    );
    write!(client, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    block_on(store.begun.acquire()).unwrap().forget();
    drop(client);
    server.reader().get(POLL).expect(200);
    store.go_on.add_permits(1);
    until("written", || server.reader().get("/namespaces/x").status == 200);
    assert_eq!(entries(&memory), before + 1);
    server.writer().delete("/namespaces/x").expect(200);
}

#[test]
fn draining_waits_for_a_write_whose_client_went_away() {
    let (mut server, store, memory) = faulty(&[]);
    let before = entries(&memory);
    store.next_commits(&[Fate::Held]);
    let mut client = connect(server.address);
    let head = format!("DELETE /clusters/c1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITE}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    block_on(store.begun.acquire()).unwrap().forget();
    drop(client);
    let ending = server.stop();
    store.go_on.add_permits(1);
    ending.join().unwrap().unwrap();
    assert_eq!(entries(&memory), before + 1);
}

#[test]
fn two_servers_over_one_store_lose_no_write() {
    const EACH: usize = 15;
    let memory = MemoryStore::new();
    let servers = [Server::over(Arc::new(memory.clone()), &[]), Server::over(Arc::new(memory.clone()), &[])];
    servers[0].fill();
    until("the other follows", || servers[1].reader().get("/clusters/c1").status == 200);
    std::thread::scope(|scope| {
        for (at, server) in servers.iter().enumerate() {
            scope.spawn(move || {
                for n in 0..EACH {
                    let patch = json!({"labels": {format!("s{at}-{n}"): "x"}});
                    server.writer().patch("/clusters/c1", patch).expect(200);
                }
            });
        }
    });
    for server in &servers {
        until("all labels", || {
            server.reader().get("/clusters/c1").json()["labels"].as_object().unwrap().len() == 2 * EACH
        });
    }
    assert_eq!(entries(&memory), 3 + 2 * EACH);
}

#[test]
fn what_a_server_has_not_seen_yet_decides_too() {
    let memory = MemoryStore::new();
    let other = Server::over(Arc::new(memory.clone()), &[]);
    other.fill();
    let store = FaultyStore::over(&memory);
    store.deaf.store(true, Ordering::SeqCst);
    let server = Server::over(store, &[("MAX_STALENESS", "1h")]);
    other.writer().patch("/clusters/c1", json!({"environment": "qa"})).expect(200);
    assert_eq!(server.reader().get("/clusters/c1").json()["environment"], "dev", "it has not seen it");
    // What changes nothing here changes something there.
    let written = server.writer().put("/clusters/c1", json!({"environment": "dev"})).expect(200);
    assert_eq!(written.revision(), "5");
    other.writer().post("/namespaces", json!({"id": "x"})).expect(201);
    server.writer().patch("/namespaces/x", json!({"labels": {"a": "b"}})).expect(200);
}

#[test]
fn what_another_server_made_of_a_document_is_checked_anew() {
    let (server, store, memory) = faulty(&[]);
    let other = Server::over(Arc::new(memory), &[]);
    // The server does not see it until its own commit conflicts.
    store.reads_fail(true);
    other.writer().post("/namespaces", json!({"id": "x"})).expect(201);
    store.next_commits(&[Fate::Held]);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| server.writer().post("/namespaces", json!({"id": "x"})));
        block_on(store.begun.acquire()).unwrap().forget();
        store.reads_fail(false);
        store.go_on.add_permits(1);
        assert_eq!(late.join().unwrap().expect(409).code(), "exists");
    });
}

#[test]
fn another_history_ends_polls_at_once() {
    let (server, store, memory) = faulty(&[("MAX_STALENESS", "2s")]);
    server.reader().get(POLL).expect(200);
    store.diverged.store(true, Ordering::SeqCst);
    commit(&memory, 1, Key::new("namespaces", "y"), r#"{"id":"y"}"#);
    until("mute", || server.reader().get(POLL).status == 503);
    let mute = server.reader().get(POLL).expect(503);
    assert_eq!((mute.code().as_str(), mute.header("retry-after")), ("store_diverged", None));
    assert_eq!(server.anyone().get("/ready").expect(503).code(), "store_diverged");
    assert_eq!(server.writer().delete("/clusters/c1").expect(503).code(), "store_diverged");
    store.diverged.store(false, Ordering::SeqCst);
    assert_eq!(server.reader().get(POLL).expect(503).code(), "store_diverged", "until a person restarts it");
}

#[test]
fn what_this_release_does_not_know_is_not_followed() {
    let cases = [
        (READER_VERSION + 1, "namespaces", "store_too_new"),
        (READER_VERSION, "rollouts", "store_unreadable"),
    ];
    for (min_reader, kind, code) in cases {
        let (server, _store, memory) = faulty(&[("MAX_STALENESS", "400ms")]);
        commit(&memory, min_reader, Key::new(kind, "y"), r#"{"id":"y"}"#);
        until("mute", || server.reader().get(POLL).status == 503);
        assert_eq!(server.reader().get(POLL).expect(503).code(), code);
        assert_eq!(server.writer().delete("/clusters/c1").expect(503).code(), code);
        let again = Server::unready(Arc::new(memory), &[]);
        assert!(again.ended().is_err(), "a person must act before it starts again");
    }
}

/// It is stored, whatever cannot be read of what it leaves as it is.
#[test]
fn a_revert_that_is_stored_is_said_to_be() {
    let (server, store, memory) = faulty(&[]);
    let writer = server.writer();
    writer
        .patch("/platform_components/p1", json!({"oci_tag": "1.1.0", "component_version": "2"}))
        .expect(200);
    let reverted = entries(&memory) as u64;
    writer.patch("/platform_components/p1", json!({"oci_tag": "1.2.0"})).expect(200);
    store.next_commits(&[Fate::WrittenThenAway]);
    let revert = format!("/api/v2/changes/{reverted}/revert?skip_conflicts=true");
    let said = writer.post(&revert, json!({})).expect(200).json();
    assert_eq!(said["skipped"][0]["changed_by"], json!([]), "{said}");
    assert_eq!(entries(&memory) as u64, reverted + 2);
}
