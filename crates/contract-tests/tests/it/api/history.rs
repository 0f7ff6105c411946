//! The past: what was changed by whom, how it was then, undoing it, and where an answer comes from.

use std::sync::Arc;

use flux_resourceset_contract_tests::check;
use flux_resourceset_store::{MemoryStore, Store};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::http::Request;
use crate::server::{READ, Server, WRITE, cluster, until};
use crate::transcript::Transcript;
use crate::troubled_store::{Trouble, TroubledStore};

const CHANGES: &str = "/api/v2/changes";
const POLL: &str = "/api/v2/flux/clusters/demo-cluster-01.k8s.example.com/platform-components";

fn write(method: &str, path: impl Into<String>) -> Request {
    Request::new(method, path).token(WRITE)
}

fn get(path: impl Into<String>) -> Request {
    write("GET", path)
}

/// Revision 3 upgrades podinfo everywhere, 4 overrides it on one cluster, 5 is a change of many.
fn changed() -> Server {
    let server = Server::protected();
    let upgrade = write("PATCH", "/platform_components/podinfo").header("X-Change-Reason", "upgrade");
    server.send(&upgrade.merge_patch(&json!({"oci_tag": "6.7.0", "component_version": "6.7.0"}))).expect(200);
    let hotfix =
        write("PUT", "/clusters/prod-01/platform_components/podinfo").header("X-Change-Reason", "hotfix");
    server.send(&hotfix.json(&json!({"oci_tag": "6.7.0-1"}))).expect(200);
    let many = json!({"reason": "monitoring", "changes": [
        {"create": "namespaces/monitoring", "body": {}},
        {"update": "clusters/*/namespaces/monitoring", "select": "", "body": {}},
    ]});
    server.send(&write("POST", CHANGES).json(&many)).expect(200);
    server
}

#[test]
fn list() {
    let server = changed();
    let mut talk = Transcript::with(&server);
    talk.ask(get(CHANGES)).expect(200);
    let page = talk.ask(get(format!("{CHANGES}?cluster=prod-01&limit=2"))).expect(200);
    let next = page.header("link").unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    talk.ask(get(next)).expect(200);
    for query in [
        "type=namespaces",
        "type=platform_components&id=podinfo",
        "principal=seed",
        "from=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00%2B01:00",
    ] {
        talk.ask(get(format!("{CHANGES}?{query}"))).expect(200);
    }
    for query in ["type=rollouts", "limit=0", "from=yesterday", "before=x"] {
        talk.ask(get(format!("{CHANGES}?{query}"))).expect(400);
    }
    talk.ask(Request::get(CHANGES).token(READ)).expect(403);
    assert_snapshot!(talk.text());
}

#[test]
fn entry() {
    let server = changed();
    let mut talk = Transcript::with(&server);
    talk.ask(get(format!("{CHANGES}/3"))).expect(200);
    talk.ask(get(format!("{CHANGES}/5?limit=1&offset=2"))).expect(200);
    talk.ask(get(format!("{CHANGES}/0"))).expect(404);
    talk.ask(get(format!("{CHANGES}/99"))).expect(404);
    talk.ask(get(format!("{CHANGES}/x"))).expect(400);
    assert_snapshot!(talk.text());
}

#[test]
fn revert() {
    let server = changed();
    let before = server.get(POLL).body;
    let mut talk = Transcript::with(&server);
    let revert = |revision: u64, query: &str| write("POST", format!("{CHANGES}/{revision}/revert{query}"));
    talk.ask(revert(3, "?plan=true")).expect(200);
    talk.ask(revert(3, "").header("X-Change-Reason", "crashes in dev")).expect(200);
    // To undo the undoing is to do it again.
    talk.ask(revert(6, "")).expect(200);
    assert_eq!(server.get(POLL).body, before);
    // It takes away what the clusters have by now.
    talk.ask(revert(5, "")).expect(428);
    // Changed again since: by whom, when and why.
    let again = write("PATCH", "/platform_components/podinfo").header("X-Change-Reason", "next upgrade");
    server.send(&again.merge_patch(&json!({"oci_tag": "6.8.0"}))).expect(200);
    talk.ask(revert(3, "")).expect(409);
    talk.ask(revert(3, "?skip_conflicts=true&plan=true")).expect(200);
    talk.ask(revert(3, "?skip_conflicts=true")).expect(200);
    // Nothing is left to undo.
    talk.ask(revert(3, "?skip_conflicts=true")).expect(200);
    talk.ask(revert(99, "")).expect(404);
    talk.ask(Request::new("POST", format!("{CHANGES}/3/revert")).token(READ)).expect(403);
    assert_snapshot!(talk.text());
}

#[test]
fn explain() {
    let server = changed();
    let mut talk = Transcript::with(&server);
    let explain = |path: &str| get(format!("/api/v2/explain/{path}"));
    let whole = server.send(&explain("prod-01")).expect(200).json();
    let ids = |whole: &Value| {
        let inputs = whole["inputs"].as_array().unwrap().iter();
        inputs.map(|input| format!("{}/{}", input["type"], input["id"]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&whole),
        [
            "platform_components/podinfo",
            "platform_components/traefik",
            "namespaces/podinfo",
            "namespaces/monitoring",
            "rolebindings/dev-readers",
        ]
    );
    talk.ask(explain("prod-01/namespaces")).expect(200);
    talk.ask(explain("prod-01/platform-components/podinfo")).expect(200);
    talk.ask(explain("prod-01/rolebindings/dev-readers")).expect(200);
    talk.ask(explain("none")).expect(404);
    talk.ask(explain("prod-01/profiles")).expect(404);
    talk.ask(explain("prod-01/namespaces/traefik")).expect(404);
    talk.ask(Request::get("/api/v2/explain/prod-01").token(READ)).expect(403);
    server.create("clusters", &cluster("bare"));
    talk.ask(explain("bare")).expect(200);
    // Whoever looks at a held cluster wants to know what it holds.
    server.send(&write("DELETE", "/clusters/prod-01")).expect(200);
    assert_eq!(ids(&server.send(&explain("prod-01")).expect(200).json()), ids(&whole));
    assert_snapshot!(talk.text());
}

#[test]
fn reads_of_the_past() {
    let server = changed();
    let mut talk = Transcript::with(&server);
    talk.ask(get("/clusters/prod-01/platform_components/podinfo?revision=3")).expect(200);
    talk.ask(get("/platform_components/podinfo?revision=2")).expect(200);
    talk.ask(get("/clusters/prod-01?revision=1")).expect(404);
    talk.ask(get("/clusters/prod-01/namespaces/monitoring?revision=4")).expect(404);
    talk.ask(get("/clusters/prod-01?revision=99")).expect(400);
    let then = talk.ask(get(format!("{POLL}?revision=2"))).expect(200);
    assert_eq!(check(&then.body).unwrap().inputs, 3);
    assert_eq!(then.json()["inputs"][2]["source"]["oci_tag"], "latest");
    let now = server.send(&get(format!("{POLL}?at=2200-01-01T00:00:00Z"))).expect(200);
    assert_eq!(now.body, server.get(POLL).body);
    let list = talk.ask(get("/api/v2/flux/clusters?revision=1")).expect(200);
    assert_eq!(check(&list.body).unwrap().inputs, 1);
    talk.ask(get(format!("{POLL}?at=2020-01-01T00:00:00Z"))).expect(404);
    talk.ask(get(format!("{POLL}?at=now"))).expect(400);
    talk.ask(get(format!("{POLL}?at=2020-01-01T00:00:00Z&revision=1"))).expect(400);
    talk.ask(get(format!("{POLL}?revision=99"))).expect(400);
    talk.ask(get("/api/v2/flux/clusters/prod-01.k8s.example.com/namespaces?revision=1")).expect(404);
    talk.ask(Request::get(format!("{POLL}?revision=2")).token(READ)).expect(403);
    talk.ask(Request::get("/clusters/prod-01?revision=2").token(READ)).expect(403);
    assert_snapshot!(talk.text());
}

/// A frozen and a held cluster of then are told as then, and are no empty answers either.
#[test]
fn errors_of_the_past() {
    let server = Server::protected();
    let freeze = json!({"id": "f", "selector": "id=prod-01", "reason": "why"});
    server.send(&write("POST", "/api/v2/freezes").json(&freeze)).expect(201);
    server.send(&write("DELETE", "/api/v2/freezes/f")).expect(200);
    server.send(&write("DELETE", "/clusters/prod-01")).expect(200);
    server.send(&write("POST", "/api/v2/tombstones/prod-01/restore")).expect(201);
    let mut talk = Transcript::with(&server);
    let path = "/api/v2/flux/clusters/prod-01.k8s.example.com/namespaces";
    for (revision, status) in [(3, 503), (5, 410)] {
        let reply = talk.ask(get(format!("{path}?revision={revision}"))).expect(status);
        assert!(check(&reply.body).is_err());
    }
    let listed =
        |revision: u64| server.send(&get(format!("/api/v2/flux/clusters?revision={revision}"))).expect(200);
    for revision in 2..=6 {
        assert_eq!(check(&listed(revision).body).unwrap().inputs, 2, "{revision}");
    }
    assert_snapshot!(talk.text());
}

#[test]
fn cut() {
    let store = MemoryStore::new();
    let server = Server::over(Arc::new(store.clone()), &[]).ready();
    for id in ["a", "b"] {
        server.create("namespaces", &json!({"id": id}));
    }
    server.send(&write("PATCH", "/namespaces/a").merge_patch(&json!({"labels": {"x": "y"}}))).expect(200);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.forget(i64::MAX)).unwrap();
    let mut talk = Transcript::with(&server);
    talk.ask(get("/namespaces/a?revision=1")).expect(404);
    talk.ask(get("/api/v2/flux/clusters?revision=1")).expect(404);
    talk.ask(get("/api/v2/flux/clusters?at=2020-01-01T00:00:00Z")).expect(404);
    talk.ask(get(format!("{CHANGES}/1"))).expect(404);
    talk.ask(write("POST", format!("{CHANGES}/1/revert"))).expect(404);
    talk.ask(get(CHANGES)).expect(200);
    assert_snapshot!(talk.text());
}

/// One past fleet at a time is in memory; who waits for half a minute is told to try again.
#[test]
fn busy() {
    let store = TroubledStore::over(MemoryStore::new(), Trouble::None);
    let server = Server::over(store.clone(), &[]).ready();
    for id in ["a", "b"] {
        server.create("namespaces", &json!({"id": id}));
    }
    store.set(Trouble::HangsOnThePast);
    let past = || get("/api/v2/flux/clusters?revision=1");
    let mut talk = Transcript::with(&server);
    let (server, past) = (&server, &past);
    std::thread::scope(|scope| {
        scope.spawn(|| past().send(server.address));
        until("one is being read", || store.hanging() > 0);
        // The first is given up by the store about when the others have waited enough: one of them may
        // have its place then, but not both.
        let (say, said) = std::sync::mpsc::channel();
        for say in [say.clone(), say] {
            scope.spawn(move || say.send(past().send(server.address)));
        }
        let refused = said.iter().find(|reply| reply.status == 503 && reply.json()["error"] == "busy");
        store.set(Trouble::None);
        talk.add(&past(), &refused.expect("one was refused"));
    });
    assert_snapshot!(talk.text());
}
