//! Many changes at once, what they would do, and what must be confirmed before it is done.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::http::Request;
use crate::server::{READ, Server, WRITE, cluster};
use crate::transcript::Transcript;

const CHANGES: &str = "/api/v2/changes";

fn write(method: &str, path: &str) -> Request {
    Request::new(method, path).token(WRITE)
}

fn changes(changes: &Value) -> Request {
    write("POST", CHANGES).json(&json!({"changes": changes}))
}

#[test]
fn change_set() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    let body = json!({"reason": "CVE-2026-1234", "changes": [
        {"patch": "platform_components/podinfo", "body": {"oci_tag": "6.7.0"}},
        {"patch": "clusters/*/platform_components/podinfo", "select": "environment=prod,region in (eu,us)", "body": {"oci_tag": "6.6.0-1"}},
        {"create": "namespaces/monitoring", "body": {"labels": {"team": "sre"}}},
        {"update": "clusters/*/namespaces/monitoring", "select": "", "body": {}},
        {"delete": "clusters/demo-cluster-01/patches/traefik"},
    ]});
    talk.ask(write("POST", &format!("{CHANGES}?plan=true")).json(&body)).expect(200);
    talk.ask(write("POST", CHANGES).json(&body)).expect(200);
    let nothing = changes(&json!([{"patch": "namespaces/monitoring", "body": {}}]));
    talk.ask(nothing.header("X-Change-Reason", "nothing to change")).expect(200);
    let nobody = json!([
        {"patch": "clusters/*", "select": "environment=qa", "allow_empty": true, "body": {"node_count": 3}},
    ]);
    talk.ask(changes(&nobody)).expect(200);
    assert_snapshot!(talk.text());
}

/// None of it happens, and each change that is wrong is named by its place.
#[test]
fn several_are_wrong() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    talk.ask(changes(&json!([
        {"patch": "platform_components/podinfo", "body": {"oci_tag": "6.7.0"}},
        {"patch": "platform_components/none", "body": {}},
        {"create": "namespaces/podinfo", "body": {}},
        {"patch": "clusters/*", "select": "environment = qa", "body": {}},
        {"patch": "clusters/*", "select": "region in eu", "body": {}},
        {"update": "clusters/prod-01", "body": {"node_count": -1, "cluster_dns": "demo-cluster-01.k8s.example.com"}},
        {"update": "clusters/prod-01/namespaces/none", "body": {}},
    ])))
    .expect(400);
    talk.ask(changes(&json!([
        {"delete": "namespaces/traefik"},
        {"create": "clusters/prod-01", "body": {}},
    ])))
    .expect(409);
    talk.ask(changes(&json!([{"delete": "namespaces/traefik"}]))).expect(409);
    talk.ask(write("POST", CHANGES).json(&json!({"raeson": "x", "changes": [
        {"patch": "clusters/prod-01"},
        {"patch": "tombstones/x", "body": {}},
        {"patch": "clusters/prod-01/labels/x", "body": {}},
        {"delete": "clusters", "select": 7},
    ]})))
    .expect(400);
    talk.ask(write("POST", CHANGES).json(&json!({"changes": [], "reason": "two\nlines"}))).expect(400);
    talk.ask(Request::new("POST", CHANGES).token(READ).json(&json!({"changes": []}))).expect(403);
    assert_eq!(server.revision(), 2);
    assert_snapshot!(talk.text());
}

/// What each kind of write says that it would do, gravest first.
#[test]
fn plans() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    server
        .send(
            &write("PUT", "/clusters/prod-01/platform_components/podinfo").json(&json!({"oci_tag": "6.6.0"})),
        )
        .expect(200);
    let revision = server.revision();
    let plan = |method: &str, path: &str| write(method, &format!("{path}?plan=true"));
    // The override of one cluster hides it.
    let upgrade = json!({"oci_tag": "6.7.0"});
    talk.ask(plan("PATCH", "/platform_components/podinfo").merge_patch(&upgrade)).expect(200);
    talk.ask(plan("POST", "/clusters").json(&cluster("new"))).expect(200);
    talk.ask(plan("DELETE", "/clusters/prod-01")).expect(200);
    talk.ask(plan("DELETE", "/clusters/demo-cluster-01/platform_components/traefik")).expect(200);
    talk.ask(plan("PUT", "/clusters/prod-01").json(&json!({"cluster_dns": "moved.k8s.example.com"})))
        .expect(200);
    talk.ask(changes(&json!([
        {"delete": "namespaces/podinfo", "force": true},
        {"patch": "clusters/*/platform_components/traefik", "select": "", "body": {"release": {"target_namespace": "ingress"}}},
        {"patch": "clusters/demo-cluster-01/platform_components/cert-manager", "body": {"enabled": false}},
        {"update": "clusters/prod-01/platform_components/cert-manager", "body": {}},
    ])))
    .expect(428);
    talk.ask(plan("PATCH", "/namespaces/none").merge_patch(&json!({}))).expect(404);
    let reader = Request::new("PATCH", "/platform_components/podinfo?plan=true").token(READ);
    talk.ask(reader.merge_patch(&upgrade)).expect(403);
    assert_eq!(server.revision(), revision);
    assert_snapshot!(talk.text());
}

/// A write with the digest of its plan is made only while it does just that.
#[test]
fn if_plan() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    let upgrade = || write("PATCH", "/platform_components/podinfo").merge_patch(&json!({"oci_tag": "6.7.0"}));
    let planned =
        write("PATCH", "/platform_components/podinfo?plan=true").merge_patch(&json!({"oci_tag": "6.7.0"}));
    let digest = talk.ask(planned).expect(200).json()["digest"].as_str().unwrap().to_owned();
    // What does not concern it leaves the plan good; what does makes it another.
    server.create("namespaces", &json!({"id": "unrelated"}));
    server
        .send(
            &write("PUT", "/clusters/prod-01/platform_components/podinfo").json(&json!({"oci_tag": "6.6.0"})),
        )
        .expect(200);
    let changed = talk.ask(upgrade().header("If-Plan", &digest)).expect(412);
    let digest = changed.json()["plan"]["digest"].as_str().unwrap().to_owned();
    server.create("namespaces", &json!({"id": "unrelated-too"}));
    talk.ask(upgrade().header("If-Plan", &digest)).expect(200);
    talk.ask(upgrade().header("If-Plan", "abc")).expect(400);
    assert_snapshot!(talk.text());
}

/// What is refused until it is confirmed, and then done.
#[test]
fn guard() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    let revision = server.revision();
    let unassign = || write("DELETE", "/clusters/prod-01/platform_components/traefik");
    let asked = talk.ask(unassign()).expect(428);
    let last = json!({"rolebindings": []});
    talk.ask(write("PUT", "/clusters/demo-cluster-01").json(&last)).expect(428);
    assert_eq!(server.revision(), revision);
    talk.ask(unassign().header("If-Plan", asked.json()["plan"]["digest"].as_str().unwrap())).expect(200);
    // What is named, and not protected, is meant.
    talk.ask(write("DELETE", "/clusters/demo-cluster-01/platform_components/traefik")).expect(200);
    assert_snapshot!(talk.text());
}

#[test]
fn more_than_the_limit() {
    let server = Server::demo_with(&[("REMOVAL_LIMIT", "0"), ("PROTECTED_ENVIRONMENTS", "none")]);
    let mut talk = Transcript::with(&server);
    talk.ask(write("DELETE", "/namespaces/traefik?force=true")).expect(428);
    assert_snapshot!(talk.text());
}

#[test]
fn reasons() {
    let server = Server::demo_with(&[("REQUIRE_REASON", "true")]);
    let mut talk = Transcript::with(&server);
    let post = |path: &str| write("POST", path).json(&json!({"id": "x"}));
    talk.ask(post("/namespaces")).expect(400);
    talk.ask(post("/namespaces").header("X-Change-Reason", "x".repeat(1025))).expect(400);
    talk.ask(post("/namespaces?plan=true")).expect(200);
    talk.ask(post("/namespaces").header("X-Change-Reason", "a namespace for x")).expect(201);
    talk.ask(changes(&json!([{"delete": "namespaces/x"}]))).expect(400);
    assert_snapshot!(talk.text());
}

#[test]
fn selected_lists() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    let list = |selector: &str| Request::get(format!("/clusters?label_selector={selector}")).token(READ);
    talk.ask(list("environment%3Dprod,region%20in%20(eu,us)")).expect(200);
    talk.ask(list("id%21%3Dprod-01&limit=0")).expect(200);
    talk.ask(list("region%20in%20eu")).expect(400);
    talk.ask(Request::get("/namespaces?label_selector=a").token(READ)).expect(400);
    assert_snapshot!(talk.text());
}
