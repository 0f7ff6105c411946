//! What is refused, and how: access, methods, paths, bodies.

use serde_json::json;

use crate::client::raw;
use crate::server::{READ, Server, WRITE, cluster};

#[test]
fn without_a_token_nothing_is_told() {
    let server = Server::seeded();
    for (method, path) in [
        ("GET", "/clusters"),
        ("GET", "/clusters/c1"),
        ("GET", "/clusters/none"),
        ("POST", "/clusters"),
        ("BREW", "/clusters"),
        ("GET", "/no/such/path"),
        ("GET", "/api/v2/flux/clusters"),
        ("GET", "/api/v2/flux/clusters/c1.example.com/namespaces"),
        ("GET", "/api/v2/tombstones"),
    ] {
        let refused = server.anyone().send(method, path, &[], "").expect(401);
        assert_eq!(refused.code(), "unauthorized", "{method} {path}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"flux-resourceset\""));
    }
    for authorization in
        [format!("Basic {READ}"), READ.to_owned(), format!("Bearer {READ}x"), "Bearer".to_owned()]
    {
        let refused = server.anyone().send("GET", "/clusters", &[("Authorization", &authorization)], "");
        assert_eq!(refused.expect(401).code(), "unauthorized", "{authorization}");
    }
    for authorization in [format!("bearer {READ}"), format!("BEARER  {WRITE}")] {
        server.anyone().send("GET", "/clusters", &[("Authorization", &authorization)], "").expect(200);
    }
}

#[test]
fn the_read_token_does_not_write() {
    let server = Server::seeded();
    for (method, path) in [
        ("POST", "/clusters"),
        ("PUT", "/clusters/c1"),
        ("PATCH", "/clusters/c1"),
        ("DELETE", "/clusters/c1"),
        ("DELETE", "/clusters/none"),
        ("DELETE", "/api/v2/tombstones/c1"),
    ] {
        assert_eq!(
            server.reader().send(method, path, &[], "").expect(403).code(),
            "forbidden",
            "{method} {path}"
        );
    }
    server.reader().get("/clusters/c1").expect(200);
}

#[test]
fn methods_and_paths() {
    let server = Server::seeded();
    let writer = server.writer();
    for (method, path, allow) in [
        ("PUT", "/clusters", "GET, HEAD, POST"),
        ("POST", "/clusters/c1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("OPTIONS", "/clusters/c1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("BREW", "/health", "GET, HEAD"),
        ("POST", "/api/v2/flux/clusters", "GET, HEAD"),
        ("POST", "/api/v2/tombstones", "GET, HEAD"),
    ] {
        let refused = writer.send(method, path, &[], "").expect(405);
        assert_eq!(
            (refused.code().as_str(), refused.header("allow")),
            ("method_not_allowed", Some(allow)),
            "{path}"
        );
    }
    for path in [
        "/",
        "/clusters/",
        "//clusters",
        "/clusters//",
        "/Clusters",
        "/clusters/c1/x",
        "/tombstones",
        "/cl%75sters",
    ] {
        assert_eq!(writer.get(path).expect(404).code(), "not_found", "{path}");
    }
    for path in ["/clusters/%", "/clusters/%zz", "/clusters/%ff"] {
        assert_eq!(writer.get(path).expect(400).code(), "malformed_path", "{path}");
    }
    assert_eq!(writer.get("/clusters/%63%31").expect(200).json()["id"], "c1");
    assert_eq!(writer.get("/clusters/c1%2Fx").expect(404).code(), "not_found");
    assert_eq!(writer.get("/clusters/%2563").expect(404).code(), "not_found");
    assert_eq!(writer.get(&format!("/clusters/{}", "x".repeat(2100))).expect(414).code(), "path_too_long");
    assert_eq!(writer.get("/clusters/c1?x=1").expect(400).code(), "unknown_parameter");
}

#[test]
fn ids_with_colons_go_in_paths() {
    let server = Server::new();
    let created =
        server.writer().post("/rolebindings", json!({"id": "system:x", "role": "view", "subjects": []}));
    let path = created.expect(201).header("location").unwrap().to_owned();
    for path in [path.as_str(), "/rolebindings/system%3Ax"] {
        assert_eq!(server.reader().get(path).expect(200).json()["id"], "system:x");
    }
}

#[test]
fn bodies_that_are_not_understood() {
    let server = Server::seeded();
    let writer = server.writer();
    let send = |kind: &str, body: &str| writer.send("POST", "/namespaces", &[("Content-Type", kind)], body);
    let json_type = "application/json";
    for (body, says) in [
        ("{\"id\": \"x\",\n oops}", "line 2 column 2"),
        ("{\"id\": \"x\", \"id\": \"y\"}", "the key `id` is repeated at line 1 column 16"),
        ("{\"id\": \"x\"} {}", "trailing characters"),
        ("{", "EOF"),
    ] {
        let refused = send(json_type, body).expect(400);
        assert_eq!(refused.code(), "malformed_json");
        assert!(refused.json()["message"].as_str().unwrap().contains(says), "{:?}", refused.json());
    }
    assert_eq!(send(json_type, "").expect(400).code(), "malformed_json");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/merge-patch+json",
        "application/json; charset=latin1",
    ] {
        assert_eq!(send(kind, "{\"id\": \"x\"}").expect(415).code(), "unsupported_media_type", "{kind}");
    }
    let untyped = writer.send("PATCH", "/namespaces/n1", &[], "{}");
    assert_eq!(untyped.expect(415).code(), "unsupported_media_type");
    writer.send("PATCH", "/namespaces/n1", &[("Content-Type", "application/json")], "{}").expect(200);
    send("application/json; charset=UTF-8", "{\"id\": \"x\"}").expect(201);
    for body in [json!([]), json!("x"), json!(null)] {
        assert_eq!(writer.post("/namespaces", body).expect(400).code(), "invalid");
    }
}

#[test]
fn documents_that_break_the_rules_are_refused_with_every_reason() {
    let server = Server::seeded();
    let writer = server.writer();
    let body = json!({"cluster_name": "C_9", "environment": "moon", "colour": "red", "namespaces": "n1"});
    let refused = writer.post("/clusters", body).expect(400);
    assert_eq!(refused.code(), "invalid");
    let violations = refused.violations();
    for expected in ["/cluster_dns missing_field", "/colour unknown_field", "/namespaces type"] {
        assert!(violations.iter().any(|line| line == expected), "{expected} in {violations:?}");
    }
    let mut twin = cluster("c2");
    twin["cluster_dns"] = "C1.example.com.".into();
    assert_eq!(writer.post("/clusters", twin).expect(409).violations(), ["/cluster_dns dns_taken"]);
    let mut dangling = cluster("c2");
    dangling["namespaces"] = json!([{"id": "none"}]);
    assert_eq!(writer.post("/clusters", dangling).status / 100, 4);
    assert_eq!(writer.get("/clusters/c2").expect(404).code(), "not_found");
    let renamed = writer.patch("/clusters/c1", json!({"id": "c3"})).expect(400);
    assert!(renamed.violations()[0].starts_with("/id "), "{:?}", renamed.violations());
    assert_eq!(server.anyone().get("/ready").json()["revision"], 3, "nothing of all this was stored");
}

#[test]
fn a_request_id_is_kept_or_made() {
    let server = Server::new();
    let with = |id: &str| server.reader().send("GET", "/clusters/x", &[("X-Request-Id", id)], "").expect(404);
    assert_eq!(with("trace-7").header("x-request-id"), Some("trace-7"));
    assert_eq!(with("trace-7").json()["request_id"], "trace-7");
    for id in ["a b", &"x".repeat(200)] {
        assert_eq!(with(id).header("x-request-id").unwrap().len(), 36);
    }
    assert!(server.anyone().get("/health").header("x-request-id").is_some());
}

#[test]
fn what_is_not_http_is_refused() {
    let server = Server::new();
    raw(server.address, b"nonsense\r\n\r\n").expect(400);
    raw(server.address, b"GET /he alth HTTP/1.1\r\nHost: x\r\n\r\n").expect(400);
    server.anyone().get("/health").expect(200);
}
