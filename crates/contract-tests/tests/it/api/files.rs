//! The fleet as a file, and files that belong to a source.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::http::Request;
use crate::server::{READ, Server, WRITE};
use crate::transcript::Transcript;

const APPLY: &str = "/api/v2/apply";

fn write(method: &str, path: &str) -> Request {
    Request::new(method, path).token(WRITE)
}

fn apply(documents: &Value) -> Request {
    write("POST", APPLY).json(&json!({"source": "git", "documents": documents}))
}

#[test]
fn export() {
    let server = Server::protected();
    server
        .send(
            &write("PATCH", "/clusters/demo-cluster-01")
                .merge_patch(&json!({"cluster_dns": "moved.example.com"})),
        )
        .expect(200);
    server.send(&write("DELETE", "/clusters/prod-01")).expect(200);
    let freeze = json!({"id": "f", "selector": "environment=dev", "reason": "why"});
    server.send(&write("POST", "/api/v2/freezes").json(&freeze)).expect(201);
    let mut talk = Transcript::with(&server);
    talk.ask(Request::get("/api/v2/export").token(READ)).expect(200);
    assert_snapshot!(talk.text());
}

#[test]
fn sources() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    let documents = json!({"namespaces": [{"id": "a", "labels": {"team": "a"}}, {"id": "b"}]});
    // What files differ in can be asked without owning anything.
    let difference =
        json!({"documents": {"namespaces": [{"id": "a"}, {"id": "podinfo", "labels": {"app": "x"}}]}});
    talk.ask(write("POST", &format!("{APPLY}?plan=true")).json(&difference)).expect(200);
    talk.ask(write("POST", APPLY).json(&difference)).expect(400);
    let first = json!({"source": "git", "reason": "take-over", "documents": documents});
    talk.ask(write("POST", APPLY).json(&first)).expect(200);
    talk.ask(Request::get("/api/v2/sources").token(READ)).expect(200);
    talk.ask(Request::get("/api/v2/sources/git").token(READ)).expect(200);
    talk.ask(apply(&documents)).expect(200);
    // Somebody else changes one of them meanwhile.
    let incident = write("PATCH", "/namespaces/a").header("X-Change-Reason", "incident 7");
    server.send(&incident.merge_patch(&json!({"labels": {"team": "b"}}))).expect(200);
    let planned = json!({"source": "git", "documents": documents});
    talk.ask(write("POST", &format!("{APPLY}?plan=true")).json(&planned)).expect(200);
    talk.ask(apply(&documents)).expect(409);
    talk.ask(write("POST", APPLY).json(&json!({"source": "git", "take": true, "documents": documents})))
        .expect(200);
    let fewer = json!({"source": "git", "prune": true, "documents": {"namespaces": [{"id": "a"}]}});
    talk.ask(write("POST", &format!("{APPLY}?plan=true")).json(&fewer)).expect(200);
    talk.ask(write("POST", APPLY).json(&fewer)).expect(200);
    let other = json!({"source": "helm", "documents": {"namespaces": [{"id": "a", "labels": {"x": "y"}}]}});
    talk.ask(write("POST", APPLY).json(&other)).expect(409);
    assert_snapshot!(talk.text());
}

#[test]
fn refused() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    talk.ask(apply(&json!({
        "namespaces": [{"id": "x"}, {"id": "x"}, {"labels": {}}], "rollouts": [], "sources": [],
    })))
    .expect(400);
    talk.ask(apply(&json!({"namespaces": [{"id": "A"}], "clusters": [{"id": "x", "cluster_name": "x"}]})))
        .expect(400);
    talk.ask(write("POST", APPLY).json(&json!({"source": 7, "prune": "yes", "file": {}}))).expect(400);
    let broken = json!({"rolebindings": [{"id": "x", "role": "view", "subjects": "all"}]});
    talk.ask(apply(&broken)).expect(400);
    // A protected cluster loses something.
    let mut cluster = crate::server::protected();
    cluster["platform_components"] = json!([{"id": "podinfo"}]);
    let lost = json!({"source": "git", "take": true, "documents": {"clusters": [cluster]}});
    talk.ask(write("POST", APPLY).json(&lost)).expect(428);
    talk.ask(Request::new("POST", APPLY).token(READ).json(&json!({"documents": {}}))).expect(403);
    talk.ask(write("DELETE", "/api/v2/sources/git")).expect(405);
    assert_snapshot!(talk.text());
}
