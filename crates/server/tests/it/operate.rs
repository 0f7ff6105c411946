//! Operating a fleet: parts, change sets, plans, the guard, freezes, and clusters that are taken away in steps.

use flux_resourceset_store::MemoryStore;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::client::{Client, Reply};
use crate::server::{Server, cluster};

const POLL: &str = "/api/v2/flux/clusters/c1.example.com/platform-components";

/// `c1` in dev and `p` in prod, each with one component and one namespace.
fn fleet() -> Server {
    let server = Server::seeded();
    let mut protected = cluster("p");
    protected["environment"] = "prod".into();
    protected["labels"] = json!({"region": "eu"});
    server.writer().post("/clusters", protected).expect(201);
    server
}

fn ids(reply: &Reply) -> Vec<String> {
    let json = reply.json();
    json.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

fn revision(client: &Client) -> Value {
    client.get("/ready").expect(200).json()["revision"].clone()
}

#[test]
fn a_part_lives_and_dies_at_its_own_address() {
    let server = fleet();
    let (writer, reader) = (server.writer(), server.reader());
    let part = "/clusters/c1/platform_components/p1";
    assert_eq!(reader.get(part).expect(200).json(), json!({"id": "p1"}));
    let put = writer.put(part, json!({"oci_tag": "1.2.3"})).expect(200);
    assert_eq!(put.json(), json!({"id": "p1", "oci_tag": "1.2.3"}));
    let read = reader.get(part).expect(200);
    assert_eq!(read.header("etag"), put.header("etag"));
    let tag = read.header("etag").unwrap();
    assert_eq!(reader.send("GET", part, &[("If-None-Match", tag)], "").status, 304);
    let patched = writer.patch(part, json!({"enabled": true, "oci_tag": null})).expect(200);
    assert_eq!(patched.json(), json!({"id": "p1", "enabled": true}));
    let json = ("Content-Type", "application/json");
    assert_eq!(
        writer.send("PUT", part, &[json, ("If-Match", tag)], "{}").expect(412).code(),
        "precondition_failed"
    );
    assert_eq!(
        writer.put(part, json!({"oci_tga": "1"})).expect(400).violations(),
        ["/platform_components/0/oci_tga unknown_field"]
    );
    assert_eq!(
        writer.put("/clusters/none/platform_components/p1", json!({})).expect(404).code(),
        "not_found"
    );
    assert_eq!(writer.patch("/clusters/c1/namespaces/none", json!({})).expect(404).code(), "not_found");
    assert_eq!(
        writer.put("/clusters/c1/namespaces/none", json!({})).expect(400).violations(),
        ["/namespaces/1/id reference"]
    );
    assert_eq!(reader.get("/clusters/c1/labels/x").expect(404).code(), "not_found");
    assert_eq!(reader.put(part, json!({})).expect(403).code(), "forbidden");
    // What is named and not protected goes without a question; what is missing is appended.
    assert_eq!(writer.delete(part).expect(200).json(), json!({"id": "p1", "enabled": true}));
    assert_eq!(writer.delete(part).expect(404).code(), "not_found");
    assert_eq!(writer.put(part, json!({})).expect(201).json(), json!({"id": "p1"}));
    let patches = "/clusters/c1/patches/p1";
    assert_eq!(writer.put(patches, json!({"a.b": "1"})).expect(201).json(), json!({"a.b": "1"}));
    assert_eq!(writer.put(patches, json!({"c": "2", "a.b": null})).expect(200).json(), json!({"c": "2"}));
    assert_eq!(writer.get("/clusters/c1").json()["patches"], json!({"p1": {"c": "2"}}));
}

#[test]
fn many_changes_are_one_revision_or_none() {
    let server = fleet();
    let writer = server.writer();
    let before = revision(&writer);
    let change = |body: Value| writer.post("/api/v2/changes", body);
    let done = change(json!({"reason": "CVE-2026-1234", "changes": [
        {"patch": "platform_components/p1", "body": {"oci_tag": "1.1.0"}},
        {"patch": "clusters/*/platform_components/p1", "select": "environment=prod,region in (eu,us)", "body": {"oci_tag": "1.0.0-1"}},
        {"create": "namespaces/n2", "body": {}},
        {"update": "clusters/*/namespaces/n2", "select": "", "body": {}},
    ]})).expect(200).json();
    assert_eq!(done["revision"].as_u64(), before.as_u64().map(|revision| revision + 1));
    assert_eq!((&done["reason"], &done["principal"]), (&json!("CVE-2026-1234"), &json!("writer")));
    assert_eq!(
        done["documents"],
        json!([
            {"type": "clusters", "id": "c1", "change": "updated"},
            {"type": "clusters", "id": "p", "change": "updated"},
            {"type": "namespaces", "id": "n2", "change": "created"},
            {"type": "platform_components", "id": "p1", "change": "updated"},
        ])
    );
    let tag = |dns: &str| {
        let path = format!("/api/v2/flux/clusters/{dns}/platform-components");
        server.reader().get(&path).expect(200).json()["inputs"][0]["source"]["oci_tag"].clone()
    };
    assert_eq!((tag("c1.example.com"), tag("p.example.com")), (json!("1.1.0"), json!("1.0.0-1")));
    let nothing = change(json!({"changes": [{"patch": "namespaces/n2", "body": {}}]})).expect(200).json();
    assert_eq!((&nothing["revision"], &nothing["documents"]), (&done["revision"], &json!([])));
    let refused = change(json!({"changes": [
        {"patch": "platform_components/p1", "body": {"oci_tag": "2.0.0"}},
        {"patch": "platform_components/none", "body": {}},
        {"patch": "clusters/*", "select": "environment = qa", "body": {}},
        {"patch": "clusters/*", "select": "a b", "body": {}},
        {"update": "clusters/c1", "body": {"node_count": -1}},
    ]}))
    .expect(400);
    let changes = refused.json()["violations"].as_array().unwrap().clone();
    let indexes: Vec<_> = changes
        .iter()
        .map(|one| (one["change"].as_u64().unwrap(), one["code"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [(1, "not_found"), (2, "no_match"), (3, "selector"), (4, "out_of_range")];
    assert_eq!(indexes, expected.map(|(at, code)| (at, code.to_owned())));
    assert_eq!(revision(&writer), done["revision"], "none of it happened");
    let allowed = change(
        json!({"changes": [{"patch": "clusters/*", "select": "environment=qa", "allow_empty": true, "body": {}}]}),
    );
    assert_eq!(allowed.expect(200).json()["documents"], json!([]));
}

#[test]
fn what_is_no_change_set_is_refused_with_its_places() {
    let server = fleet();
    let refused = server
        .writer()
        .post(
            "/api/v2/changes",
            json!({"raeson": "x", "reason": 7, "changes": [
                {"patch": "clusters/c1"},
                {"delete": "clusters/c1", "body": {}},
                {"patch": "clusters/c1", "delete": "clusters/c1", "body": {}},
                {"patch": "tombstones/c1", "body": {}},
                {"patch": "clusters/c1/labels/x", "body": {}},
                {"patch": "clusters", "body": {}},
                {"patch": "clusters/c1", "body": {}, "select": 1, "force": "yes", "selector": ""},
                7,
            ]}),
        )
        .expect(400);
    assert_eq!(
        refused.violations(),
        [
            "/changes/0/body missing_field",
            "/changes/1/body unknown_field",
            "/changes/2 missing_field",
            "/changes/3/patch unknown_type",
            "/changes/4/patch unknown_field",
            "/changes/5/patch format",
            "/changes/6/selector unknown_field",
            "/changes/6/select type",
            "/changes/6/force type",
            "/changes/7 type",
            "/raeson unknown_field",
            "/reason type",
        ]
    );
    let refused = server.writer().post("/api/v2/changes", json!({})).expect(400);
    assert_eq!(refused.violations(), ["/changes missing_field"]);
}

#[test]
fn a_plan_changes_nothing_and_its_digest_holds_while_its_effect_does() {
    let server = fleet();
    let writer = server.writer();
    let before = revision(&writer);
    let path = "/platform_components/p1?plan=true";
    let plan = writer.patch(path, json!({"oci_tag": "1.1.0"})).expect(200).json();
    assert_eq!((&plan["clusters"], &plan["confirmation"]), (&json!(2), &json!([])));
    assert_eq!(
        plan["effects"][0]["fields"],
        json!([{"path": "source.oci_tag", "from": "latest", "to": "1.1.0"}])
    );
    assert_eq!(revision(&writer), before);
    let digest = plan["digest"].as_str().unwrap();
    writer.post("/namespaces", json!({"id": "unrelated"})).expect(201);
    assert_eq!(writer.patch(path, json!({"oci_tag": "1.1.0"})).expect(200).json()["digest"], digest);
    let with_plan = |path: &str, digest: &str| {
        let headers = [("Content-Type", "application/json"), ("If-Plan", digest)];
        writer.send("PATCH", path, &headers, r#"{"oci_tag":"1.1.0"}"#)
    };
    writer.put("/clusters/c1/platform_components/p1", json!({"oci_tag": "9.9.9"})).expect(200);
    let changed = with_plan("/platform_components/p1", digest).expect(412);
    assert_eq!(changed.code(), "plan_changed");
    let now = &changed.json()["plan"];
    assert_eq!((&now["clusters"], &now["hidden"][0]["clusters"]), (&json!(1), &json!(["c1"])));
    with_plan("/platform_components/p1", now["digest"].as_str().unwrap()).expect(200);
    assert_eq!(with_plan("/platform_components/p1", "abc").expect(400).code(), "malformed_header");
    assert_eq!(server.reader().patch(path, json!({})).expect(403).code(), "forbidden");
    assert_eq!(writer.get("/clusters?plan=true").expect(400).code(), "unknown_parameter");
}

#[test]
fn what_destroys_much_or_in_a_protected_environment_is_confirmed() {
    let server = fleet();
    let writer = server.writer();
    let reasons = |reply: Reply| {
        let reply = reply.expect(428);
        assert_eq!(reply.code(), "confirmation_required");
        reply.json()["plan"]["confirmation"].as_array().unwrap().len()
    };
    // In prod anything that is removed, also what is named.
    assert_eq!(reasons(writer.delete("/clusters/p/platform_components/p1")), 2);
    assert_eq!(reasons(writer.patch("/clusters/p/platform_components/p1", json!({"enabled": false}))), 1);
    // In dev what leaves nothing over, unless it is named.
    assert_eq!(reasons(writer.put("/clusters/c1", json!({"namespaces": []}))), 1);
    writer.put("/clusters/c1/platform_components/p1", json!({"enabled": false})).expect(200);
    writer.delete("/clusters/c1/platform_components/p1").expect(200);
    let moved = json!({"release": {"target_namespace": "elsewhere"}});
    assert_eq!(reasons(writer.patch("/platform_components/p1", moved.clone())), 1);
    writer.confirmed("PUT", "/platform_components/p1", Some(moved)).expect(200);
    for n in 0..11 {
        writer.post("/clusters", cluster(&format!("m{n}"))).expect(201);
    }
    writer.post("/namespaces", json!({"id": "n2"})).expect(201);
    let every = |verb: &str, body: Option<Value>| {
        let mut change = json!({verb: "clusters/*/namespaces/n2", "select": "environment=dev"});
        change["body"] = body.unwrap_or_default();
        if change["body"].is_null() {
            change.as_object_mut().unwrap().remove("body");
        }
        json!({"changes": [change]})
    };
    writer.post("/api/v2/changes", every("update", Some(json!({})))).expect(200);
    assert_eq!(reasons(writer.post("/api/v2/changes", every("delete", None))), 1);
    writer.confirmed("POST", "/api/v2/changes", Some(every("delete", None))).expect(200);
}

#[test]
fn the_limit_and_the_protected_environments_are_settings() {
    let server = Server::over(
        Arc::new(MemoryStore::new()),
        &[("REMOVAL_LIMIT", "0"), ("PROTECTED_ENVIRONMENTS", "dev"), ("REQUIRE_REASON", "true")],
    );
    let writer = server.writer();
    let headers = [("Content-Type", "application/json"), ("X-Change-Reason", "first")];
    let namespace = json!({"id": "n"}).to_string();
    assert_eq!(writer.post("/namespaces", json!({"id": "n"})).expect(400).code(), "reason_required");
    writer.post("/namespaces?plan=true", json!({"id": "n"})).expect(200);
    writer.send("POST", "/namespaces", &headers, &namespace).expect(201);
    let mut document = cluster("q");
    document["environment"] = "qa".into();
    document["platform_components"] = json!([]);
    document["namespaces"] = json!([{"id": "n"}]);
    writer.send("POST", "/clusters", &headers, &document.to_string()).expect(201);
    let emptied = writer.send("PUT", "/clusters/q", &headers, r#"{"namespaces":[]}"#).expect(428).json();
    assert_eq!(emptied["plan"]["confirmation"].as_array().unwrap().len(), 2);
    let reason = [("X-Change-Reason", "x"); 1];
    writer.send("DELETE", "/clusters/q/namespaces/n", &reason, "").expect(200);
    let body = r#"{"reason":"in the body","changes":[{"patch":"namespaces/n","body":{"labels":{"a":"b"}}}]}"#;
    let done = writer.send("POST", "/api/v2/changes", &headers[..1], body).expect(200).json();
    assert_eq!(done["reason"], "in the body");
    let long = "x".repeat(1025);
    let refused = writer.send("DELETE", "/namespaces/n", &[("X-Change-Reason", &long)], "").expect(400);
    assert_eq!(refused.code(), "malformed_header");
}

#[test]
fn a_freeze_stops_what_it_selects_until_it_is_lifted() {
    let server = fleet();
    let (writer, reader) = (server.writer(), server.reader());
    let before = reader.get(POLL).expect(200).json();
    let freeze = |body: Value| writer.post("/api/v2/freezes", body);
    assert_eq!(
        freeze(json!({"selector": "a b", "reason": "x"})).expect(400).violations(),
        ["/selector selector"]
    );
    assert_eq!(
        freeze(json!({"selector": "environment=qa", "reason": "x"})).expect(400).violations(),
        ["/selector no_match"]
    );
    assert_eq!(freeze(json!({"selector": "id=c1"})).expect(400).violations(), ["/reason missing_field"]);
    let made = freeze(json!({"selector": "id=c1", "reason": "bad change"})).expect(201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let address = format!("/api/v2/freezes/{id}");
    assert_eq!(made.header("location"), Some(address.as_str()));
    assert_eq!(ids(&reader.get("/api/v2/freezes").expect(200)), [id.as_str()]);
    let frozen = reader.get(POLL).expect(503);
    assert_eq!(frozen.code(), "frozen");
    assert!(frozen.json()["message"].as_str().unwrap().contains("bad change"));
    assert_eq!(reader.get("/clusters/c1").expect(200).header("x-frozen"), Some(id.as_str()));
    assert_eq!(reader.get("/clusters/p").expect(200).header("x-frozen"), None);
    let written = writer.put("/clusters/c1/platform_components/p1", json!({"oci_tag": "1.1.0"})).expect(200);
    assert_eq!(written.header("x-frozen"), Some(id.as_str()));
    let plan =
        writer.patch("/platform_components/p1?plan=true", json!({"enabled": false})).expect(200).json();
    assert_eq!((&plan["clusters"], &plan["frozen"][0]["clusters"]), (&json!(2), &json!(["c1"])));
    assert_eq!(writer.delete("/clusters/c1").expect(409).violations(), [" frozen"]);
    assert_eq!(
        writer.patch("/clusters/c1", json!({"environment": "qa"})).expect(409).violations(),
        [" frozen"]
    );
    let gathered = writer.delete(&format!("{address}?plan=true")).expect(200).json();
    assert_eq!(
        (&gathered["clusters"], &gathered["effects"][0]["fields"][0]["to"]),
        (&json!(1), &json!("1.1.0"))
    );
    assert_eq!(reader.get(POLL).expect(503).code(), "frozen");
    let digest = gathered["digest"].as_str().unwrap();
    writer.patch("/clusters/c1/platform_components/p1", json!({"oci_tag": "1.2.0"})).expect(200);
    assert_eq!(
        writer.send("DELETE", &address, &[("If-Plan", digest)], "").expect(412).code(),
        "plan_changed"
    );
    writer.patch("/clusters/c1/platform_components/p1", json!({"oci_tag": null})).expect(200);
    writer.delete(&address).expect(200);
    assert_eq!(reader.get(POLL).expect(200).json(), before);
    let all = json!({"id": "all", "selector": "", "reason": "everything"});
    let plan = writer.post("/api/v2/freezes?plan=true", all.clone()).expect(200).json();
    assert_eq!(
        (&plan["warnings"][0]["code"], &plan["warnings"][0]["clusters"]),
        (&json!("freezes"), &json!(["c1", "p"]))
    );
    freeze(all).expect(201);
    assert_eq!(freeze(json!({"id": "all", "selector": "", "reason": "again"})).expect(409).code(), "exists");
    assert_eq!(reader.get("/api/v2/flux/clusters").expect(200).json()["inputs"].as_array().unwrap().len(), 2);
    assert_eq!(writer.put(&format!("{address}?x"), json!({})).expect(405).code(), "method_not_allowed");
}

#[test]
fn what_gathered_under_an_earlier_freeze_is_shown_when_the_last_is_lifted() {
    let server = fleet();
    let writer = server.writer();
    let freeze = |id: &str, selector: &str| {
        let body = json!({"id": id, "selector": selector, "reason": "why"});
        writer.post("/api/v2/freezes", body).expect(201);
    };
    let gathered = |id: &str| {
        let plan = writer.delete(&format!("/api/v2/freezes/{id}?plan=true")).expect(200).json();
        plan["effects"].as_array().unwrap().iter().map(|effect| effect["type"].clone()).collect::<Vec<_>>()
    };
    freeze("one", "id=c1");
    writer.put("/clusters/c1/platform_components/p1", json!({"oci_tag": "1.1.0"})).expect(200);
    freeze("two", "");
    writer.delete("/clusters/c1/namespaces/n1").expect(200);
    assert_eq!(gathered("one"), Vec::<Value>::new(), "the other one holds it still");
    writer.delete("/api/v2/freezes/one").expect(200);
    assert_eq!(gathered("two"), ["namespaces", "platform_components"]);
}

#[test]
fn a_cluster_leaves_a_protected_environment_when_that_is_confirmed() {
    let server = fleet();
    let writer = server.writer();
    writer.confirmed("PATCH", "/clusters/p", Some(json!({"environment": "dev"}))).expect(200);
    writer.patch("/clusters/p", json!({"environment": "prod"})).expect(200);
}

#[test]
fn a_protected_cluster_goes_in_two_steps_and_comes_back_whole() {
    let server = fleet();
    let (writer, reader) = (server.writer(), server.reader());
    let poll = "/api/v2/flux/clusters/p.example.com/platform-components";
    let (document, answer) = (reader.get("/clusters/p").json(), reader.get(poll).expect(200).json());
    let list = || reader.get("/api/v2/flux/clusters").expect(200).json();
    let listed = list();
    let plan = writer.delete("/clusters/p?plan=true").expect(200).json();
    assert_eq!((&plan["effects"], &plan["warnings"][0]["code"]), (&json!([]), &json!("held")));
    writer.delete("/clusters/p").expect(200);
    assert_eq!(reader.get(poll).expect(410).code(), "held");
    assert_eq!(list(), listed);
    assert_eq!(reader.get("/api/v2/tombstones/p").expect(200).json()["held"], true);
    assert_eq!(writer.delete("/platform_components/p1").expect(409).code(), "referenced");
    let mut other = cluster("other");
    other["cluster_dns"] = "P.example.com".into();
    assert_eq!(writer.post("/clusters", other).expect(409).violations(), ["/cluster_dns dns_taken"]);
    let restored = writer.post("/api/v2/tombstones/p/restore", json!({})).expect(201);
    assert_eq!((restored.json(), restored.header("location")), (document.clone(), Some("/clusters/p")));
    assert_eq!(reader.get(poll).expect(200).json(), answer);
    assert_eq!(writer.post("/api/v2/tombstones/p/restore", json!({})).expect(404).code(), "not_found");
    writer.delete("/clusters/p").expect(200);
    // What is held is planned against what it had.
    let back = writer.post("/clusters?plan=true", document).expect(200).json();
    assert_eq!(back["effects"], json!([]));
    let wiped = writer.confirmed("POST", "/api/v2/tombstones/p/wipe", None).expect(200).json();
    assert_eq!(wiped.get("held"), None);
    assert_eq!(reader.get(poll).expect(200).json(), json!({"inputs": []}));
    assert_ne!(list(), listed);
    writer.delete("/api/v2/tombstones/p").expect(200);
    assert_eq!(reader.get(poll).expect(404).code(), "unknown_cluster");
    assert_eq!(writer.post("/api/v2/tombstones/p/wipe", json!({})).expect(404).code(), "not_found");
}

#[test]
fn a_renamed_cluster_polls_under_both_names() {
    let server = fleet();
    let (writer, reader) = (server.writer(), server.reader());
    let renamed = writer.patch("/clusters/c1", json!({"cluster_dns": "new.example.com"})).expect(200);
    assert_eq!(renamed.json()["aliases"], json!(["c1.example.com"]));
    let new = "/api/v2/flux/clusters/new.example.com/platform-components";
    assert_eq!(reader.get(POLL).expect(200).body, reader.get(new).expect(200).body);
    assert_eq!(reader.get(new).json()["inputs"][0]["cluster"]["dns"], "new.example.com");
    assert_eq!(writer.post("/clusters", cluster("c1")).expect(409).code(), "exists");
    let mut thief = cluster("thief");
    thief["aliases"] = json!(["C1.EXAMPLE.COM"]);
    assert_eq!(writer.post("/clusters", thief).expect(409).violations(), ["/aliases/0 dns_taken"]);
    let plan = writer.patch("/clusters/c1?plan=true", json!({"aliases": []})).expect(200).json();
    assert_eq!(plan["warnings"][0]["code"], "alias_removed");
    writer.patch("/clusters/c1", json!({"aliases": []})).expect(200);
    assert_eq!(reader.get(POLL).expect(404).code(), "unknown_cluster");
}

#[test]
fn lists_take_a_selector() {
    let server = fleet();
    let reader = server.reader();
    for (selector, expected) in
        [("", &["c1", "p"][..]), ("environment%3Dprod", &["p"]), ("region", &["p"]), ("id!%3Dp", &["c1"])]
    {
        assert_eq!(
            ids(&reader.get(&format!("/clusters?label_selector={selector}")).expect(200)),
            expected,
            "{selector}"
        );
    }
    let total = reader.get("/clusters?label_selector=region&limit=0").expect(200);
    assert_eq!(total.header("x-total-count"), Some("1"));
    let wrong = reader.get("/clusters?label_selector=a%20b").expect(400);
    assert_eq!(wrong.code(), "invalid_parameter");
    assert!(wrong.json()["message"].as_str().unwrap().contains("at character 3"));
    assert_eq!(reader.get("/namespaces?label_selector=a").expect(400).code(), "unknown_parameter");
}
