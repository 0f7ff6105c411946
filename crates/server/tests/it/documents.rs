//! Documents: create, read, update, patch, delete, list, conditions.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::server::{Server, cluster};

/// A valid document `x` of each type, and a change of it.
fn examples() -> [(&'static str, Value, Value); 4] {
    let component = json!({"id": "x", "component_path": "x", "oci_url": "https://charts.example"});
    [
        ("platform_components", component, json!({"oci_tag": "1.2.3"})),
        ("namespaces", json!({"id": "x", "labels": {"a": "b"}}), json!({"annotations": {"k": "v"}})),
        ("rolebindings", json!({"id": "x", "role": "view", "subjects": []}), json!({"role": "edit"})),
        (
            "clusters",
            json!({"id": "x", "cluster_name": "x", "cluster_dns": "x.example.com", "environment": "dev"}),
            json!({"environment": "prod"}),
        ),
    ]
}

fn etag(reply: &Reply) -> &str {
    reply.header("etag").unwrap()
}

#[test]
fn every_type_lives_and_dies_the_same_way() {
    let server = Server::new();
    let (writer, reader) = (server.writer(), server.reader());
    for (plural, document, change) in examples() {
        let (all, one) = (format!("/{plural}"), format!("/{plural}/x"));
        assert_eq!(reader.get(&all).expect(200).json(), json!([]), "{plural}");
        assert_eq!(reader.get(&one).expect(404).code(), "not_found");
        let created = writer.post(&all, document.clone()).expect(201);
        assert_eq!(created.header("location"), Some(one.as_str()));
        assert_eq!(created.json(), document);
        assert_eq!(writer.post(&all, document.clone()).expect(409).code(), "exists");
        let read = reader.get(&one).expect(200);
        assert_eq!((read.json(), etag(&read)), (document.clone(), etag(&created)));
        let put = writer.put(&one, change.clone()).expect(200);
        let mut changed = document.clone();
        changed.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(put.json(), changed, "PUT replaces what it carries and leaves the rest");
        assert_ne!(etag(&put), etag(&created));
        assert_eq!(writer.patch(&one, change).expect(200).json(), changed);
        assert_eq!(reader.get(&all).expect(200).json(), json!([changed]));
        let deleted = writer.delete(&one).expect(200);
        assert_eq!((deleted.json(), deleted.header("etag")), (changed, None));
        assert_eq!(reader.get(&one).expect(404).code(), "not_found");
        assert_eq!(writer.delete(&one).expect(404).code(), "not_found");
        assert_eq!(writer.put(&one, json!({})).expect(404).code(), "not_found");
        assert_eq!(writer.patch(&one, json!({})).expect(404).code(), "not_found");
    }
}

#[test]
fn an_id_may_be_left_out_or_written_with_an_underscore() {
    let server = Server::new();
    let body = json!({"cluster_name": "c9", "cluster_dns": "c9.example.com", "environment": "dev"});
    let created = server.writer().post("/clusters", body).expect(201);
    assert_eq!((created.header("location"), &created.json()["id"]), (Some("/clusters/c9"), &json!("c9")));
    assert_eq!(server.writer().post("/namespaces", json!({"_id": "n9"})).expect(201).json()["id"], "n9");
    let missing = server.writer().post("/namespaces", json!({})).expect(400);
    assert!(missing.violations().iter().any(|line| line.starts_with("/id ")), "{:?}", missing.violations());
}

#[test]
fn a_write_that_changes_nothing_makes_no_revision() {
    let server = Server::seeded();
    let before = server.reader().get("/clusters/c1").expect(200);
    let again = server.writer().put("/clusters/c1", before.json()).expect(200);
    assert_eq!((etag(&again), again.json()), (etag(&before), before.json()));
    let patched = server.writer().patch("/clusters/c1", json!({"environment": "dev"})).expect(200);
    assert_eq!(etag(&patched), etag(&before));
    assert_eq!(server.anyone().get("/ready").json()["revision"], 3);
}

#[test]
fn conditions() {
    let server = Server::seeded();
    let writer = server.writer();
    let tag = etag(&writer.get("/clusters/c1")).to_owned();
    let json_type = ("Content-Type", "application/json");
    let body = r#"{"environment":"qa"}"#;
    let get = |name, value: &str| writer.send("GET", "/clusters/c1", &[(name, value)], "");
    let unmodified = get("If-None-Match", &tag).expect(304);
    assert_eq!((unmodified.header("etag"), unmodified.body.len()), (Some(tag.as_str()), 0));
    get("If-None-Match", &format!("W/{tag}")).expect(304);
    get("If-None-Match", "\"999\"").expect(200);
    get("If-Match", "\"999\"").expect(412);
    assert_eq!(get("If-Match", "999").expect(400).code(), "malformed_header");
    let put = |name, value: &str| writer.send("PUT", "/clusters/c1", &[json_type, (name, value)], body);
    for (name, value) in [("If-Match", "\"999\""), ("If-Match", &format!("W/{tag}")), ("If-None-Match", "*")]
    {
        assert_eq!(put(name, value).expect(412).code(), "precondition_failed", "{name}: {value}");
    }
    let stale = writer.send("DELETE", "/clusters/c1", &[("If-Match", "\"999\"")], "");
    assert_eq!(stale.expect(412).code(), "precondition_failed");
    put("If-Match", &format!("\"1\", {tag}")).expect(200);
    assert_eq!(put("If-Match", &tag).expect(412).code(), "precondition_failed");
    put("If-Match", "*").expect(200);
    let missing = writer.send("PUT", "/clusters/none", &[json_type, ("If-Match", "*")], body);
    assert_eq!(missing.expect(404).code(), "not_found");
    let twice =
        writer.send("POST", "/clusters", &[json_type, ("If-None-Match", "*")], &cluster("c1").to_string());
    assert_eq!(twice.expect(412).code(), "precondition_failed");
}

/// As after a restored backup, or a store in memory that is filled anew: the same revision numbers.
#[test]
fn a_tag_of_another_history_is_no_tag_of_this_one() {
    let histories = ["b", "c"].map(|label| {
        let server = Server::new();
        server.writer().post("/namespaces", json!({"id": "x"})).expect(201);
        let changed = server.writer().put("/namespaces/x", json!({"labels": {"a": label}})).expect(200);
        assert_eq!(changed.revision(), "2");
        (server, etag(&changed).to_owned())
    });
    let [(_old, old_tag), (server, _)] = histories;
    let writer = server.writer();
    let put = |tag: &str| {
        let headers = [("Content-Type", "application/json"), ("If-Match", tag)];
        writer.send("PUT", "/namespaces/x", &headers, r#"{"labels":{"a":"d"}}"#)
    };
    for tag in [old_tag.as_str(), "\"2\""] {
        assert_eq!(put(tag).expect(412).code(), "precondition_failed");
        writer.send("GET", "/namespaces/x", &[("If-None-Match", tag)], "").expect(200);
    }
    assert_eq!(writer.get("/namespaces/x").json()["labels"]["a"], "c");
}

#[test]
fn lists_are_ordered_filtered_and_cut() {
    let server = Server::seeded();
    for name in ["c3", "c2"] {
        let mut body = cluster(name);
        body["environment"] = "prod".into();
        server.writer().post("/clusters", body).expect(201);
    }
    let list = |query: &str| {
        let reply = server.reader().get(&format!("/clusters{query}")).expect(200);
        let ids: Vec<_> = reply
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect();
        (ids.join(" "), reply.header("x-total-count").unwrap().to_owned())
    };
    for (query, ids, total) in [
        ("", "c1 c2 c3", "3"),
        ("?limit=1", "c1", "3"),
        ("?limit=1&offset=1", "c2", "3"),
        ("?offset=7", "", "3"),
        ("?limit=0", "", "3"),
        ("?environment=prod", "c2 c3", "2"),
        ("?environment=prod&limit=1&offset=1", "c3", "2"),
        ("?environment=pro", "", "0"),
        ("?cluster_dns=c1%2Eexample.com", "c1", "1"),
        ("?kubernetes_version=1", "", "0"),
    ] {
        assert_eq!(list(query), (ids.to_owned(), total.to_owned()), "{query}");
    }
    for (query, code) in [
        ("?enviroment=prod", "unknown_parameter"),
        ("?labels=x", "unknown_parameter"),
        ("?limit=-1", "invalid_parameter"),
        ("?limit=1&limit=2", "invalid_parameter"),
        ("?environment=%", "malformed_query"),
    ] {
        assert_eq!(server.reader().get(&format!("/clusters{query}")).expect(400).code(), code, "{query}");
    }
}

#[test]
fn what_is_referred_to_stays_unless_forced() {
    let server = Server::seeded();
    let writer = server.writer();
    let refused = writer.delete("/namespaces/n1").expect(409);
    assert_eq!(refused.code(), "referenced");
    assert!(refused.json()["message"].as_str().unwrap().contains("clusters/c1"));
    assert_eq!(writer.delete("/namespaces/n1?force=yes").expect(400).code(), "invalid_parameter");
    assert_eq!(writer.delete("/namespaces/n1?forced=true").expect(400).code(), "unknown_parameter");
    let unconfirmed = writer.delete("/namespaces/n1?force=true").expect(428).json();
    let digest = unconfirmed["plan"]["digest"].as_str().unwrap();
    writer.send("DELETE", "/namespaces/n1?force=true", &[("If-Plan", digest)], "").expect(200);
    let cluster = writer.get("/clusters/c1").expect(200);
    assert_eq!(cluster.json()["namespaces"], json!([]));
    assert_eq!(cluster.revision(), "4", "the reference went with the same revision");
}

#[test]
fn a_deleted_cluster_leaves_a_tombstone_that_can_be_purged() {
    let server = Server::seeded();
    let (writer, reader) = (server.writer(), server.reader());
    let poll = "/api/v2/flux/clusters/c1.example.com/namespaces";
    writer.delete("/clusters/c1").expect(200);
    assert_eq!(reader.get(poll).expect(200).json(), json!({"inputs": []}));
    assert_eq!(reader.get("/api/v2/tombstones").expect(200).json()[0]["id"], "c1");
    assert_eq!(reader.get("/api/v2/tombstones/c1").expect(200).json()["cluster_dns"], "c1.example.com");
    assert_eq!(reader.delete("/api/v2/tombstones/c1").expect(403).code(), "forbidden");
    writer.delete("/api/v2/tombstones/c1").expect(200);
    assert_eq!(reader.get(poll).expect(404).code(), "unknown_cluster");
}
