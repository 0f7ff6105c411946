//! Another store in the place of the one that was served, from the first 503 to the person's confirmation;
//! and what is answered stale where that is allowed.

use std::sync::Arc;

use flux_resourceset_store::{ErrorKind, MemoryStore};
use insta::assert_snapshot;

use crate::http::Request;
use crate::server::{READ, Server, WRITE, cluster, until};
use crate::transcript::Transcript;
use crate::troubled_store::{Trouble, TroubledStore};

const CONFIRM: &str = "/api/v2/confirm";

fn poll() -> Request {
    Request::get("/api/v2/flux/clusters").token(READ)
}

fn confirm() -> Request {
    Request::new("POST", CONFIRM).token(WRITE)
}

fn one_cluster() -> MemoryStore {
    let memory = MemoryStore::new();
    Server::over(Arc::new(memory.clone()), &[]).ready().create("clusters", &cluster("one"));
    memory
}

/// A server that met another history, in which there is one more cluster.
fn diverged(variables: &[(&str, &str)]) -> (Server, Arc<TroubledStore>) {
    let memory = one_cluster();
    let store = TroubledStore::over(memory.clone(), Trouble::None);
    let variables = [&[("MAX_STALENESS", "2s")], variables].concat();
    let server = Server::over(store.clone(), &variables).ready();
    store.set(Trouble::Diverges);
    Server::over(Arc::new(memory), &[]).ready().create("clusters", &cluster("two"));
    until("mute", || server.send(&poll()).status == 503);
    (server, store)
}

#[test]
fn another_store_is_followed_when_a_person_says_so() {
    let (server, store) = diverged(&[]);
    let mut talk = Transcript::with(&server);
    talk.ask(Request::get("/ready")).expect(503);
    let plan = talk.ask(Request::get(CONFIRM).token(WRITE)).expect(200).json()["plan"].clone();
    talk.ask(confirm()).expect(428);
    talk.ask(confirm().header("If-Plan", "0".repeat(64))).expect(412);
    store.set(Trouble::None);
    let seen = confirm().header("If-Plan", plan["digest"].as_str().unwrap());
    talk.ask(seen.header("X-Change-Reason", "INC-7: the backup of noon")).expect(200);
    talk.ask(poll()).expect(200);
    talk.ask(Request::get(CONFIRM).token(WRITE)).expect(200);
    talk.ask(confirm()).expect(409);
    assert_snapshot!(talk.text());
}

#[test]
fn in_read_only_mode_too() {
    let (server, store) = diverged(&[("API_MODE", "read-only")]);
    let mut talk = Transcript::with(&server);
    talk.ask(Request::new("POST", format!("{CONFIRM}?plan=true")).token(WRITE)).expect(200);
    talk.ask(confirm().header("If-Plan", "no digest")).expect(400);
    talk.ask(Request::get(CONFIRM).token(READ)).expect(403);
    store.set(Trouble::Reads(ErrorKind::Unavailable));
    talk.ask(confirm()).expect(503);
    assert_snapshot!(talk.text());
}

#[test]
fn what_was_seen_is_not_known() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("snapshot");
    std::fs::write(folder.path().join("snapshot-seen"), "flux").unwrap();
    let variables = [("STORE_BACKEND", "sqlite"), ("SNAPSHOT_FILE", path.to_str().unwrap())];
    let server = Server::over(Arc::new(one_cluster()), &variables);
    until("mute", || server.send(&Request::get("/ready")).json()["error"] == "snapshot_damaged");
    let mut talk = Transcript::with(&server);
    talk.ask(poll()).expect(503);
    talk.ask(Request::get(CONFIRM).token(WRITE)).expect(200);
    assert_snapshot!(talk.text().replace(folder.path().to_str().unwrap(), "[folder]"));
}

#[test]
fn stale_where_that_is_allowed() {
    let store = TroubledStore::over(one_cluster(), Trouble::None);
    let server = Server::over(store.clone(), &[("MAX_STALENESS", "200ms"), ("SERVE_STALE", "true")]).ready();
    store.set(Trouble::Reads(ErrorKind::Unavailable));
    until("stale", || server.send(&poll()).header("x-stale").is_some());
    let mut talk = Transcript::with(&server);
    talk.ask(poll()).expect(200);
    talk.ask(Request::get("/ready")).expect(200);
    let text = talk.text().lines().map(|line| match line.starts_with("< x-stale: ") {
        true => "< x-stale: [seconds]",
        false => line,
    });
    assert_snapshot!(text.collect::<Vec<_>>().join("\n"));
}
