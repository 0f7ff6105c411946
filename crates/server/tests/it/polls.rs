//! What Flux asks for, and the service endpoints.

use std::sync::Arc;

use flate2::read::GzDecoder;
use flux_resourceset_store::MemoryStore;
use serde_json::json;

use crate::client::until;
use crate::server::{Server, cluster};

#[test]
fn a_cluster_gets_its_inputs() {
    let server = Server::seeded();
    let reader = server.reader();
    let answer = reader.get("/api/v2/flux/clusters/c1.example.com/platform-components").expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let input = &answer.json()["inputs"][0];
    assert_eq!((&input["id"], &input["source"]["oci_tag"]), (&json!("p1"), &json!("latest")));
    for dns in ["C1.Example.COM", "c1.example.com.", "c1%2Eexample.com"] {
        let again = reader.get(&format!("/api/v2/flux/clusters/{dns}/platform-components")).expect(200);
        assert_eq!(again.body, answer.body, "{dns}");
    }
    let namespaces = reader.get("/api/v2/flux/clusters/c1.example.com/namespaces").expect(200).json();
    assert_eq!(namespaces["inputs"][0]["labels"], json!({"a": "b"}));
    let none = reader.get("/api/v2/flux/clusters/c1.example.com/rolebindings").expect(200).json();
    assert_eq!(none, json!({"inputs": []}));
}

#[test]
fn an_answer_is_sent_once_and_small() {
    let server = Server::seeded();
    let (path, reader) = ("/api/v2/flux/clusters/c1.example.com/platform-components", server.reader());
    let whole = reader.get(path).expect(200);
    let tag = whole.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\"") && whole.header("content-encoding").is_none());
    let unmodified = reader.send("GET", path, &[("If-None-Match", &tag)], "").expect(304);
    assert_eq!((unmodified.body.as_slice(), unmodified.header("etag")), (&b""[..], Some(&*tag)));
    assert_eq!(reader.send("GET", path, &[("If-None-Match", "W/\"0\"")], "").expect(200).body, whole.body);
    reader.send("GET", path, &[("If-None-Match", "0")], "").expect(400);
    // Another write does not change the tag, a change of the answer does.
    server.writer().post("/namespaces", json!({"id": "other"})).expect(201);
    assert_eq!(reader.get(path).expect(200).header("etag"), Some(&*tag));
    let long = "x".repeat(2000);
    let patch = json!({"patches": {"p1": {"a": long}}});
    server.writer().patch("/clusters/c1", patch).expect(200);
    let whole = reader.send("GET", path, &[("If-None-Match", &tag)], "").expect(200);
    assert_ne!(whole.header("etag"), Some(&*tag));
    let packed = reader.send("GET", path, &[("Accept-Encoding", "gzip")], "").expect(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(
        (packed.header("etag"), packed.header("vary")),
        (whole.header("etag"), Some("accept-encoding"))
    );
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut GzDecoder::new(&packed.body[..]), &mut body).unwrap();
    assert_eq!(body, whole.body);
    let short = reader.send("GET", "/api/v2/flux/clusters", &[("Accept-Encoding", "gzip")], "").expect(200);
    assert!(short.header("content-encoding").is_none() && short.header("etag").is_some());
}

#[test]
fn a_poll_that_is_not_understood_is_never_answered() {
    let server = Server::seeded();
    for (path, status, code) in [
        ("/c2.example.com/namespaces", 404, "unknown_cluster"),
        ("/c1.example.com/clusters", 404, "unknown_type"),
        ("/c1.example.com/platform_components", 404, "unknown_type"),
        ("/c1.example.com/namespaces?environment=dev", 400, "unknown_parameter"),
        ("/c1.example.com/namespaces/", 404, "not_found"),
        ("/c1.example.com", 404, "not_found"),
        ("//namespaces", 404, "not_found"),
        ("?limit=1", 400, "unknown_parameter"),
        ("?environment=production", 400, "invalid_parameter"),
        ("?environment=prod", 404, "no_match"),
        ("?shard=0/3", 400, "invalid_parameter"),
        ("?shard=4/3", 400, "invalid_parameter"),
        ("?shard=1", 400, "invalid_parameter"),
    ] {
        let reply = server.reader().get(&format!("/api/v2/flux/clusters{path}")).expect(status);
        assert_eq!(reply.code(), code, "{path}");
    }
}

#[test]
fn a_404_names_what_was_asked() {
    let server = Server::seeded();
    let message = |path: &str| {
        let reply = server.reader().get(&format!("/api/v2/flux/clusters/{path}")).expect(404);
        reply.json()["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(message("c9.example.com/namespaces"), "No cluster has the DNS name `c9.example.com`.");
    assert_eq!(message("a%0Ab%22/namespaces"), r#"No cluster has the DNS name `a\nb\"`."#);
    assert!(message(&format!("{}/namespaces", "x".repeat(1000))).len() < 400);
    assert_eq!(
        message("c1.example.com/namespace"),
        "No resource type has the path `namespace`; there are platform-components, namespaces, rolebindings."
    );
}

#[test]
fn the_fleet_is_listed_whole_by_environment_and_by_shard() {
    let server = Server::seeded();
    server.writer().post("/clusters", cluster("c2")).expect(201);
    let ids = |query: &str| {
        let inputs = server.reader().get(&format!("/api/v2/flux/clusters{query}")).expect(200).json();
        let ids = inputs["inputs"].as_array().unwrap().iter().map(|input| input["id"].to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(""), ["\"c1\"", "\"c2\""]);
    assert_eq!(ids("?environment=dev"), ids(""));
    assert_eq!(ids("?shard=1/1"), ids(""));
}

#[test]
fn a_fleet_into_which_nothing_was_written_is_not_an_empty_one() {
    let server = Server::new();
    assert_eq!(server.reader().get("/api/v2/flux/clusters").expect(503).code(), "nothing_written");
}

#[test]
fn read_only_serves_polls_and_says_what_it_does_not() {
    let store = Arc::new(MemoryStore::new());
    let crud = Server::over(store.clone(), &[]);
    crud.fill();
    let server = Server::over(store, &[("API_MODE", "read-only")]);
    server.reader().get("/api/v2/flux/clusters/c1.example.com/namespaces").expect(200);
    for (method, path) in [
        ("GET", "/clusters"),
        ("POST", "/clusters"),
        ("DELETE", "/clusters/c1"),
        ("OPTIONS", "/clusters"),
        ("GET", "/api/v2/tombstones"),
    ] {
        let refused = server.reader().send(method, path, &[], "").expect(404);
        assert_eq!(refused.code(), "read_only", "{method} {path}");
        assert!(refused.json()["message"].as_str().unwrap().contains("API_MODE=read-only"));
        assert_eq!(server.anyone().send(method, path, &[], "").expect(401).code(), "unauthorized");
    }
    crud.writer().delete("/clusters/c1").expect(200);
    until("the other server follows", || {
        server.reader().get("/api/v2/flux/clusters/c1.example.com/namespaces").json() == json!({"inputs": []})
    });
}

#[test]
fn service_endpoints_are_public() {
    let server = Server::seeded();
    let anyone = server.anyone();
    assert_eq!(anyone.get("/health").expect(200).json(), json!({"status": "ok"}));
    let mut ready = anyone.get("/ready?from=probe").expect(200).json();
    assert!(ready["confirmed_age_seconds"].take().is_u64());
    assert_eq!(ready, json!({"status": "ok", "revision": 3, "confirmed_age_seconds": null}));
    let openapi = anyone.get("/openapi.yaml").expect(200);
    assert_eq!(openapi.header("content-type"), Some("application/yaml"));
    assert!(String::from_utf8(openapi.body).unwrap().starts_with("openapi: "));
    server.reader().get("/api/v2/flux/clusters/c1.example.com/namespaces").expect(200);
    let metrics = String::from_utf8(anyone.get("/metrics").expect(200).body).unwrap();
    for line in ["fleet_revision 3", "fleet_clusters 1", "polls_served 1"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("c1"), "{metrics}");
}

#[test]
fn head_is_get_without_the_body() {
    let server = Server::seeded();
    let get = server.reader().get("/clusters/c1").expect(200);
    let head = server.reader().send("HEAD", "/clusters/c1", &[], "").expect(200);
    assert!(head.body.is_empty());
    for name in ["etag", "content-length", "content-type"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

#[test]
fn openapi_file_replaces_the_document() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "openapi: mine\n").unwrap();
    let server =
        Server::over(Arc::new(MemoryStore::new()), &[("OPENAPI_FILE", file.path().to_str().unwrap())]);
    assert_eq!(server.anyone().get("/openapi.yaml").expect(200).body, b"openapi: mine\n");
}
