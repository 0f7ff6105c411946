//! Every answer that is an error because of the store: a poll's as well as a write's.

use std::sync::Arc;

use flux_resourceset_model::change::{ChangeSet, DocumentChange, EntryId, Key};
use flux_resourceset_store::{ErrorKind, MemoryStore, Position, Store};
use insta::assert_snapshot;
use serde_json::json;

use crate::http::Request;
use crate::server::{READ, Server, WRITE, cluster, until};
use crate::transcript::Transcript;
use crate::troubled_store::{Trouble, TroubledStore};

fn poll() -> Request {
    Request::get("/api/v2/flux/clusters").token(READ)
}

fn write() -> Request {
    Request::new("POST", "/namespaces").token(WRITE).json(&json!({"id": "new"}))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Stores `documents` without asking any server.
fn commit(store: &MemoryStore, documents: impl Iterator<Item = (Key, String)>) {
    let (_, head) = block_on(store.head()).unwrap();
    let change_set = ChangeSet {
        entry: EntryId(u128::from(head.revision) + 1),
        principal: "the test".into(),
        reason: None,
        request_id: "-".into(),
        operations: Vec::new(),
        documents: documents
            .map(|(key, body)| DocumentChange { key, body: Some(body.into_bytes()) })
            .collect(),
        min_reader: 1,
    };
    block_on(store.commit(head, vec![change_set])).unwrap();
}

fn fleet_of(size: usize) -> MemoryStore {
    let store = MemoryStore::new();
    let names = (0..size).map(|number| format!("cluster-{number:05}"));
    commit(&store, names.map(|name| (Key::new("clusters", &name), cluster(&name).to_string())));
    store
}

fn troubled(trouble: Trouble, variables: &[(&str, &str)]) -> (Server, Arc<TroubledStore>) {
    let store = TroubledStore::over(fleet_of(1), Trouble::None);
    let server = Server::over(store.clone(), variables).ready();
    store.set(trouble);
    (server, store)
}

/// On a busy machine polls may end by age before it is known that it is for good.
fn stopped_for_good(server: &Server) -> bool {
    let reply = server.send(&poll());
    reply.status == 503 && reply.json()["error"] != "stale"
}

#[test]
fn starting() {
    let store = TroubledStore::over(fleet_of(1), Trouble::Reads(ErrorKind::Unavailable));
    let server = Server::over(store, &[]);
    let mut talk = Transcript::with(&server);
    talk.ask(Request::get("/health")).expect(200);
    talk.ask(Request::get("/ready")).expect(503);
    talk.ask(poll()).expect(503);
    talk.ask(Request::get("/clusters").token(READ)).expect(503);
    talk.ask(write()).expect(503);
    assert_snapshot!(talk.text());
}

#[test]
fn stale() {
    let (server, _store) = troubled(Trouble::Reads(ErrorKind::Unavailable), &[("MAX_STALENESS", "1s")]);
    until("stale", || server.send(&poll()).status == 503);
    let mut talk = Transcript::with(&server);
    talk.ask(Request::get("/ready")).expect(503);
    talk.ask(poll()).expect(503);
    talk.ask(Request::get("/clusters/cluster-00000").token(READ)).expect(200);
    // How long ago is the machine's affair.
    let timeless: Vec<_> = talk
        .text()
        .lines()
        .map(|line| match (line.split_once("confirmed "), line.split_once(" seconds ago")) {
            (Some((before, _)), Some((_, after))) => format!("{before}confirmed [n] seconds ago{after}"),
            _ => line.to_owned(),
        })
        .collect();
    assert_snapshot!(timeless.join("\n"));
}

/// What stops a server for good. Polls end by age, but for another history, which ends them at once.
#[test]
fn stopped() {
    let mut text = String::new();
    for trouble in [Trouble::Reads(ErrorKind::Corrupt), Trouble::Reads(ErrorKind::TooNew), Trouble::Diverges]
    {
        let (server, _store) = troubled(trouble, &[("MAX_STALENESS", "200ms")]);
        until("stopped", || stopped_for_good(&server));
        let mut talk = Transcript::with(&server);
        talk.ask(poll()).expect(503);
        talk.ask(write()).expect(503);
        text.push_str(&format!("{trouble:?}\n\n{}\n", talk.text()));
    }
    assert_snapshot!(text);
}

#[test]
fn documents_of_a_newer_release() {
    let store = fleet_of(1);
    let server = Server::over(Arc::new(store.clone()), &[("MAX_STALENESS", "200ms")]).ready();
    commit(&store, [(Key::new("rollouts", "edge"), json!({"id": "edge"}).to_string())].into_iter());
    until("stopped", || stopped_for_good(&server));
    let mut talk = Transcript::with(&server);
    talk.ask(poll()).expect(503);
    talk.ask(write()).expect(503);
    assert_snapshot!(talk.text());
}

#[test]
fn writes() {
    let mut text = String::new();
    for trouble in
        [Trouble::Commits(ErrorKind::Unavailable), Trouble::Conflicts, Trouble::Silent, Trouble::Panics]
    {
        let (server, store) = troubled(trouble, &[]);
        let mut talk = Transcript::with(&server);
        let status = if trouble == Trouble::Panics { 500 } else { 503 };
        talk.ask(write()).expect(status);
        text.push_str(&format!("{trouble:?}\n\n{}\n", talk.text()));
        store.set(Trouble::None);
        assert_eq!(server.get("/namespaces").expect(200).json(), json!([]), "{trouble:?}");
        assert_eq!(block_on(store.head()).unwrap().1.revision, Position::START.revision + 1);
        server.send(&poll()).expect(200);
    }
    assert_snapshot!(text);
}

#[test]
fn a_fleet_that_flux_would_cut() {
    let server = Server::over(Arc::new(fleet_of(10_001)), &[]).ready();
    let mut talk = Transcript::with(&server);
    talk.ask(poll()).expect(422);
    for shard in 1..=3 {
        let path = format!("/api/v2/flux/clusters?shard={shard}/3");
        let reply = server.send(&Request::get(path).token(READ)).expect(200);
        let inputs = flux_resourceset_contract_tests::check(&reply.body).unwrap().inputs;
        assert!(inputs > 3_000, "{inputs} in shard {shard}");
    }
    assert_snapshot!(talk.text());
}
