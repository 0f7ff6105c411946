//! Every way in which a request is refused because of what it is.

use std::io::{Read, Write};

use insta::assert_snapshot;
use serde_json::json;

use crate::http::{Request, connect, read};
use crate::server::{READ, Server, WRITE, cluster};
use crate::transcript::Transcript;

fn get(path: impl Into<String>) -> Request {
    Request::get(path).token(READ)
}

fn write(method: &str, path: &str) -> Request {
    Request::new(method, path).token(WRITE)
}

#[test]
fn access() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    talk.ask(Request::get("/clusters")).expect(401);
    talk.ask(Request::get("/clusters").header("Authorization", "Basic cmVhZA==")).expect(401);
    talk.ask(Request::get("/clusters").token("guessed")).expect(401);
    talk.ask(get("/clusters").token(WRITE)).expect(401);
    talk.ask(Request::get("/no/such/path")).expect(401);
    talk.ask(Request::new("POST", "/namespaces").token(READ).json(&json!({"id": "x"}))).expect(403);
    assert_snapshot!(talk.text());
}

#[test]
fn paths_and_methods() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    talk.ask(get("/")).expect(404);
    talk.ask(write("PUT", "/namespaces/none").json(&json!({}))).expect(404);
    talk.ask(write("PATCH", "/namespaces/none").merge_patch(&json!({}))).expect(404);
    talk.ask(write("DELETE", "/namespaces/none")).expect(404);
    talk.ask(write("DELETE", "/api/v2/tombstones/none")).expect(404);
    talk.ask(get("/clusters/%zz")).expect(400);
    talk.ask(get(format!("/clusters/{}", "x".repeat(2048)))).expect(414);
    talk.ask(write("DELETE", "/clusters")).expect(405);
    talk.ask(write("POST", "/clusters/demo-cluster-01").json(&json!({}))).expect(405);
    talk.ask(Request::new("POST", "/health")).expect(405);
    talk.ask(write("BREW", "/api/v2/flux/clusters")).expect(405);
    assert_snapshot!(talk.text());
}

#[test]
fn queries() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    talk.ask(get("/rolebindings?limit=many")).expect(400);
    talk.ask(get("/rolebindings?limit=1&limit=2")).expect(400);
    talk.ask(get("/rolebindings?roles=view")).expect(400);
    talk.ask(get("/rolebindings/dev-readers?role=view")).expect(400);
    talk.ask(get("/rolebindings?role=%ff")).expect(400);
    talk.ask(write("DELETE", "/rolebindings/dev-readers?force=1")).expect(400);
    assert_snapshot!(talk.text());
}

#[test]
fn polls() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    talk.ask(get("/api/v2/flux/clusters/demo-cluster-02.k8s.example.com/namespaces")).expect(404);
    talk.ask(get("/api/v2/flux/clusters/demo-cluster-01.k8s.example.com/network-policies")).expect(404);
    talk.ask(get("/api/v2/flux/clusters/demo-cluster-01.k8s.example.com/namespaces?limit=1")).expect(400);
    talk.ask(get("/api/v2/flux/clusters?env=dev")).expect(400);
    talk.ask(get("/api/v2/flux/clusters?environment=production")).expect(400);
    talk.ask(get("/api/v2/flux/clusters?environment=prod")).expect(404);
    talk.ask(get("/api/v2/flux/clusters?shard=3/2")).expect(400);
    assert_snapshot!(talk.text());
}

#[test]
fn an_empty_store_is_no_empty_fleet() {
    let server = Server::empty();
    let mut talk = Transcript::with(&server);
    talk.ask(get("/api/v2/flux/clusters")).expect(503);
    talk.ask(get("/api/v2/flux/clusters/demo-cluster-01.k8s.example.com/namespaces")).expect(404);
    talk.ask(get("/clusters")).expect(200);
    assert_snapshot!(talk.text());
}

#[test]
fn read_only_mode() {
    let server = Server::demo_with(&[("API_MODE", "read-only")]);
    let mut talk = Transcript::with(&server);
    talk.ask(get("/clusters")).expect(404);
    talk.ask(write("POST", "/clusters").json(&cluster("x"))).expect(404);
    talk.ask(get("/api/v2/flux/clusters")).expect(200);
    assert_snapshot!(talk.text());
}

#[test]
fn bodies() {
    let server = Server::demo_with(&[("MAX_BODY_BYTES", "1000")]);
    let mut talk = Transcript::with(&server);
    let post = || write("POST", "/namespaces");
    talk.ask(post().body("application/json", "{\"id\": \"x\",\n  \"labels\": {\"a\" \"b\"}}")).expect(400);
    talk.ask(post().body("application/json", "{\"id\": \"x\", \"id\": \"y\"}")).expect(400);
    talk.ask(post().body("text/plain", "{\"id\": \"x\"}")).expect(415);
    talk.ask(post().body("application/merge-patch+json", "{\"id\": \"x\"}")).expect(415);
    talk.ask(write("PATCH", "/namespaces/podinfo").body("application/json-patch+json", "[]")).expect(415);
    talk.ask(write("PUT", "/namespaces/podinfo")).expect(415);
    talk.ask(post().body("application/json", "x".repeat(1001))).expect(413);
    assert_snapshot!(talk.text());
}

#[test]
fn slow_and_broken_bodies() {
    let server = Server::demo_with(&[("BODY_TIMEOUT", "100ms")]);
    let mut talk = Transcript::with(&server);
    let post = write("POST", "/namespaces").header("Content-Type", "application/json");
    let mut slow = connect(server.address);
    slow.write_all(format!("{}Content-Length: 100\r\n\r\n{{\"id\"", post.head()).as_bytes()).unwrap();
    talk.add(&post, &read(&mut slow).expect(408));
    let mut broken = connect(server.address);
    broken
        .write_all(format!("{}Transfer-Encoding: chunked\r\n\r\nnot a length\r\n", post.head()).as_bytes())
        .unwrap();
    talk.add(&post, &read(&mut broken).expect(400));
    assert_snapshot!(talk.text());
}

/// These are refused before there is a request: no body, and the connection is closed.
#[test]
fn heads() {
    let small = Server::demo_with(&[("MAX_HEADER_BYTES", "8192")]);
    let hasty = Server::demo_with(&[("HEADER_TIMEOUT", "1s")]);
    let mut answers = String::new();
    for (server, head) in [
        (&small, format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(9000))),
        (&small, format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(9000))),
        (&small, "this is not HTTP\r\n\r\n".to_owned()),
        (&hasty, "GET /health HTTP/1.1\r\nHost: x\r\nX-Slow".to_owned()),
    ] {
        let mut stream = connect(server.address);
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Closed or reset: both end it.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let lines = answer.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>();
        let shown: String = head.chars().take(40).collect();
        answers.push_str(&format!("> {}\n< {}\n\n", shown.replace("\r\n", "\\r\\n"), lines.join("\n< ")));
    }
    small.get("/clusters").expect(200);
    assert_snapshot!(answers);
}

#[test]
fn documents() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    talk.ask(write("POST", "/namespaces").json(&json!({"id": "podinfo"}))).expect(409);
    let wrong = json!({
        "cluster_name": "C_1", "environment": 3, "colour": "red", "namespaces": ["podinfo"],
        "platform_components": [{"id": "podinfo", "enabled": "yes", "version": "1"}],
    });
    talk.ask(write("POST", "/clusters").json(&wrong)).expect(400);
    talk.ask(write("PUT", "/clusters/demo-cluster-01").json(&json!({"environment": "moon"}))).expect(400);
    let mut twin = cluster("twin");
    twin["cluster_dns"] = "DEMO-cluster-01.k8s.example.com.".into();
    talk.ask(write("POST", "/clusters").json(&twin)).expect(409);
    talk.ask(write("DELETE", "/rolebindings/dev-readers")).expect(409);
    // Wrong only for what refers to it.
    let delivery = json!({"delivery": "kustomize", "oci_url": "oci://registry.example/x"});
    talk.ask(write("PUT", "/platform_components/podinfo").json(&delivery)).expect(409);
    assert_snapshot!(talk.text());
}
