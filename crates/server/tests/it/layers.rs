//! Layers over HTTP: which profiles are whose, and a cluster's document with its profiles worked into it.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::server::{Server, cluster};

/// `base` is for every cluster, `eu` goes over it in one region; `c1` is there, `c2` in prod and held.
fn layered() -> Server {
    let server = Server::seeded();
    let writer = server.writer();
    let base = json!({
        "id": "base", "selector": "", "platform_components": [{"id": "p1", "oci_tag": "1.0.0"}],
        "patches": {"p1": {"a": "1"}},
    });
    writer.post("/profiles", base).expect(201);
    let eu = json!({"id": "eu", "selector": "region=eu", "priority": 10, "patches": {"p1": {"b": "2"}}});
    writer.post("/profiles", eu).expect(201);
    let mut held = cluster("c2");
    held["environment"] = "prod".into();
    held["labels"] = json!({"region": "eu"});
    writer.post("/clusters", held).expect(201);
    writer.delete("/clusters/c2").expect(200);
    server
}

fn ids(reply: &Reply) -> Vec<String> {
    let list = reply.json();
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn lists_by_profile_and_by_cluster() {
    let server = layered();
    let writer = server.writer();
    let list = |path: &str| {
        let reply = server.reader().get(path).expect(200);
        (ids(&reply).join(" "), reply.header("x-total-count").unwrap().to_owned())
    };
    let found = |ids: &str, total: &str| (ids.to_owned(), total.to_owned());
    assert_eq!(list("/clusters?profile=base"), found("c1", "1"), "a held cluster is in no list");
    assert_eq!(list("/clusters?profile=eu"), found("", "0"));
    writer.patch("/clusters/c1", json!({"labels": {"region": "eu"}})).expect(200);
    writer.post("/clusters", cluster("c3")).expect(201);
    assert_eq!(list("/clusters?profile=base&limit=1&offset=1"), found("c3", "2"));
    assert_eq!(list("/clusters?profile=base&label_selector=region"), found("c1", "1"));
    assert_eq!(list("/clusters?profile=eu&environment=dev"), found("c1", "1"));
    assert_eq!(list("/profiles?cluster=c1"), found("base eu", "2"));
    assert_eq!(list("/profiles?cluster=c3"), found("base", "1"));
    assert_eq!(list("/profiles?cluster=c2"), found("base eu", "2"), "of a held one too");
    assert_eq!(list("/profiles?cluster=c1&priority=10"), found("eu", "1"));
    for (path, code) in [
        ("/clusters?profile=none", "invalid_parameter"),
        ("/clusters?profile=", "invalid_parameter"),
        ("/profiles?cluster=none", "invalid_parameter"),
        ("/profiles?profile=base", "unknown_parameter"),
        ("/clusters?cluster=c1", "unknown_parameter"),
        ("/namespaces?profile=base", "unknown_parameter"),
    ] {
        assert_eq!(server.reader().get(path).expect(400).code(), code, "{path}");
    }
}

#[test]
fn the_effective_document_says_all_that_profiles_say() {
    let server = layered();
    let (reader, writer) = (server.reader(), server.writer());
    let path = "/clusters/c1?effective=true";
    let effective = reader.get(path).expect(200);
    let own = reader.get("/clusters/c1").expect(200);
    assert_eq!((effective.header("x-profiles"), own.header("x-profiles")), (Some("base"), None));
    let said = effective.json();
    assert_eq!(said["platform_components"], json!([{"id": "p1", "oci_tag": "1.0.0"}]));
    assert_eq!(said["patches"], json!({"p1": {"a": "1"}}));
    assert_eq!(own.json().get("patches"), None);
    assert_eq!(reader.get("/clusters/c1?effective=false").expect(200).body, own.body);
    // Its tag is its own: with a profile it changes, though the cluster's document does not.
    let tag = effective.header("etag").unwrap();
    let again = reader.send("GET", path, &[("If-None-Match", tag)], "").expect(304);
    assert_eq!(again.header("x-profiles"), Some("base"));
    writer.patch("/profiles/base", json!({"patches": {"p1": {"a": "3"}}})).expect(200);
    let changed = reader.send("GET", path, &[("If-None-Match", tag)], "").expect(200);
    assert_eq!(changed.json()["patches"], json!({"p1": {"a": "3"}}));
    assert_eq!(reader.get("/clusters/c1").expect(200).header("etag"), own.header("etag"));
    writer.patch("/clusters/c1", json!({"labels": {"region": "eu"}})).expect(200);
    assert_eq!(reader.get(path).expect(200).header("x-profiles"), Some("base,eu"), "the lowest first");
    for (path, status, code) in [
        ("/clusters/none?effective=true", 404, "not_found"),
        ("/clusters/c2?effective=true", 404, "not_found"),
        ("/clusters/c1?effective=yes", 400, "invalid_parameter"),
        ("/profiles/base?effective=true", 400, "unknown_parameter"),
        ("/clusters/c1/patches/p1?effective=true", 400, "unknown_parameter"),
        ("/clusters/c1?effective=true&revision=3", 400, "invalid_parameter"),
    ] {
        assert_eq!(writer.get(path).expect(status).code(), code, "{path}");
    }
}

/// Whoever takes over what profiles say gets the same without them.
#[test]
fn an_effective_document_makes_profiles_dispensable() {
    let server = layered();
    let writer = server.writer();
    let answer = |server: &Server| {
        let poll = "/api/v2/flux/clusters/c1.example.com/platform-components";
        server.reader().get(poll).expect(200).json()
    };
    let effective = writer.get("/clusters/c1?effective=true").expect(200).json();
    let flat = Server::new();
    flat.writer().post("/namespaces", json!({"id": "n1", "labels": {"a": "b"}})).expect(201);
    let catalog = writer.get("/platform_components/p1").expect(200).json();
    flat.writer().post("/platform_components", catalog).expect(201);
    flat.writer().post("/clusters", effective).expect(201);
    assert_eq!(answer(&flat), answer(&server));
    assert_eq!(answer(&flat)["inputs"][0]["patches"], json!({"a": "1"}));
}

/// Nothing refers to a profile, so that there is nothing to force.
#[test]
fn a_profile_is_deleted_unforced() {
    let server = layered();
    let writer = server.writer();
    assert_eq!(writer.delete("/profiles/eu?force=true").expect(400).code(), "unknown_parameter");
    writer.delete("/profiles/eu").expect(200);
    assert_eq!(writer.get("/clusters?profile=eu").expect(400).code(), "invalid_parameter");
}

/// What is deleted with its profile is no named part of a cluster: it asks as every other write does.
#[test]
fn profiles_are_guarded() {
    let server = Server::seeded();
    let writer = server.writer();
    let namespace = json!({"id": "n2"});
    writer.post("/namespaces", namespace).expect(201);
    let base = json!({"id": "base", "selector": "environment=prod", "namespaces": [{"id": "n2"}]});
    writer.post("/profiles", base).expect(201);
    let mut prod = cluster("p");
    prod["environment"] = "prod".into();
    writer.post("/clusters", prod).expect(201);
    let removals: [(&str, &str, Option<Value>); 4] = [
        ("DELETE", "/profiles/base", None),
        ("DELETE", "/profiles/base/namespaces/n2", None),
        ("PATCH", "/profiles/base", Some(json!({"selector": "environment=dev"}))),
        ("PUT", "/profiles/base/namespaces/n2", Some(json!({"exclude": true}))),
    ];
    for (method, path, body) in removals {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        let asked = writer.send(method, path, &[("Content-Type", "application/json")], &text).expect(428);
        assert_eq!(asked.json()["plan"]["destructive"]["protected"], 1, "{method} {path}");
    }
    let none = Some(json!({"labels": {"x": "y"}, "environment": "dev"}));
    writer.confirmed("PATCH", "/clusters/p", none).expect(200);
    writer.delete("/profiles/base").expect(200);
}

#[test]
fn what_stands_for_a_time_only_is_counted() {
    let server = Server::seeded();
    let writer = server.writer();
    let gauge = |name: &str| {
        let metrics = server.anyone().get("/metrics").expect(200);
        let text = String::from_utf8(metrics.body).unwrap();
        let line = format!("flux_resourceset_{name} ");
        text.lines().find_map(|one| one.strip_prefix(&line).map(str::to_owned)).unwrap()
    };
    let both = || (gauge("expiring_overrides"), gauge("expired_overrides"));
    assert_eq!(both(), ("0".into(), "0".into()));
    let component = "/clusters/c1/platform_components/p1";
    writer.patch(component, json!({"oci_tag": "2", "expires": "2199-12-31"})).expect(200);
    assert_eq!(both(), ("1".into(), "0".into()));
    writer.patch("/clusters/c1/namespaces/n1", json!({"expires": "2020-01-31"})).expect(200);
    assert_eq!(both(), ("2".into(), "1".into()));
    writer.patch(component, json!({"expires": null})).expect(200);
    assert_eq!(both(), ("1".into(), "1".into()));
}
