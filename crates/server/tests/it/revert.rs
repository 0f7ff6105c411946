//! Undoing changes: whole, around what was changed again since, and never past what refers to it.

use std::sync::Arc;

use flux_resourceset_store::MemoryStore;
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::history::{patch_because, with_jane};
use crate::server::{Server, cluster};

const P1: &str = "/platform_components/p1";
const POLL: &str = "/api/v2/flux/clusters/c1.example.com/platform-components";

fn path(revision: u64) -> String {
    format!("/api/v2/changes/{revision}/revert")
}

fn revert(client: &Client, revision: u64) -> Reply {
    client.post(&path(revision), json!({}))
}

fn head(client: &Client) -> u64 {
    client.get("/ready").expect(200).json()["revision"].as_u64().unwrap()
}

/// `c1` with the component `p1`, whose tag jane made 1.1.0 in revision 4.
fn upgraded() -> (Server, Client) {
    let (server, jane) = with_jane(&[]);
    server.fill();
    patch_because(&jane, P1, &json!({"oci_tag": "1.1.0", "component_version": "2"}), "upgrade").expect(200);
    (server, jane)
}

#[test]
fn what_nobody_touched_since_is_as_it_was() {
    let (server, _) = upgraded();
    let writer = server.writer();
    let before = writer.get(&format!("{P1}?revision=3")).expect(200).json();
    let done = revert(&writer, 4).expect(200).json();
    assert_eq!(done["documents"], json!([{"type": "platform_components", "id": "p1", "change": "updated"}]));
    assert_eq!((&done["reason"], &done["principal"]), (&json!("revert of revision 4"), &json!("writer")));
    assert_eq!((&done["revision"], &done["skipped"]), (&json!(5), &json!([])));
    assert_eq!(writer.get(P1).expect(200).json(), before);
    // There is nothing left to do.
    let again = revert(&writer, 4).expect(200).json();
    assert_eq!(
        (&again["revision"], &again["documents"], &again["skipped"]),
        (&json!(5), &json!([]), &json!([]))
    );
    assert_eq!(head(&writer), 5);
    // A revert is a change like any other, with a reason where one is given.
    let undone = writer.send("POST", &path(5), &[("X-Change-Reason", "on second thought")], "").expect(200);
    assert_eq!(undone.json()["reason"], "on second thought");
    assert_eq!(writer.get(P1).expect(200).json()["oci_tag"], "1.1.0");
}

#[test]
fn what_was_changed_since_is_named_with_who_when_and_why() {
    let (server, jane) = upgraded();
    let writer = server.writer();
    patch_because(&jane, P1, &json!({"oci_tag": "1.2.0"}), "CVE").expect(200);
    patch_because(&writer, P1, &json!({"oci_tag": "1.3.0"}), "another").expect(200);
    let refused = revert(&writer, 4).expect(409);
    assert_eq!(
        (refused.code().as_str(), refused.violations()),
        ("revert_conflict", vec!["/oci_tag changed_since".into()])
    );
    let log = writer.get("/api/v2/changes?limit=2").expect(200).json();
    let at = |index: usize| log[index]["at"].as_str().unwrap();
    let violation = &refused.json()["violations"][0];
    assert_eq!(violation["document"], "platform_components/p1");
    let expected = format!(
        "was changed since by revision 6 (writer at {}: another), revision 5 (jane at {}: CVE)",
        at(0),
        at(1)
    );
    assert_eq!(violation["message"], expected.as_str());
    assert_eq!(revert(&writer, 4).status, 409);
    assert_eq!(
        writer.post(&format!("{}?plan=true", path(4)), json!({})).expect(409).code(),
        "revert_conflict"
    );
    let skipped = json!([{"document": "platform_components/p1", "field": "oci_tag", "changed_by": [
        {"revision": 6, "at": at(0), "principal": "writer", "reason": "another"},
        {"revision": 5, "at": at(1), "principal": "jane", "reason": "CVE"},
    ]}]);
    let plan =
        writer.post(&format!("{}?plan=true&skip_conflicts=true", path(4)), json!({})).expect(200).json();
    assert_eq!((&plan["clusters"], &plan["skipped"]), (&json!(1), &skipped));
    assert_eq!(head(&writer), 6);
    let done = writer.post(&format!("{}?skip_conflicts=true", path(4)), json!({})).expect(200).json();
    assert_eq!((&done["revision"], &done["skipped"]), (&json!(7), &skipped));
    let now = writer.get(P1).expect(200).json();
    assert_eq!((&now["oci_tag"], now.get("component_version")), (&json!("1.3.0"), None));
    let nothing = writer.post(&format!("{}?skip_conflicts=true", path(4)), json!({})).expect(200).json();
    assert_eq!((&nothing["documents"], &nothing["skipped"]), (&json!([]), &skipped));
}

#[test]
fn what_would_break_a_reference_is_refused() {
    let server = Server::new();
    let writer = server.writer();
    writer.post("/namespaces", json!({"id": "n1"})).expect(201);
    let component = json!({"id": "p1", "component_path": "p1", "oci_url": "oci://registry.example/charts"});
    writer.post("/platform_components", component).expect(201);
    writer.post("/clusters", cluster("c1")).expect(201);
    let referenced = revert(&writer, 1).expect(409);
    assert_eq!(referenced.code(), "referenced");
    assert!(referenced.json()["message"].as_str().unwrap().contains("clusters/c1"));
    // Bringing back a reference to what is gone since.
    writer.delete("/clusters/c1/namespaces/n1").expect(200);
    writer.delete("/namespaces/n1").expect(200);
    let dangling = revert(&writer, 4).expect(400);
    assert_eq!(dangling.violations(), ["/namespaces/0/id reference"]);
    let violation = &dangling.json()["violations"][0];
    assert_eq!((&violation["document"], violation.get("change")), (&json!("clusters/c1"), None));
    assert_eq!(head(&writer), 5);
}

#[test]
fn what_destroys_is_confirmed_though_it_undoes() {
    let server = Server::seeded();
    let writer = server.writer();
    // The cluster is named by nobody: it goes only where the plan was seen.
    let plan = writer.post(&format!("{}?plan=true", path(3)), json!({})).expect(200).json();
    assert_eq!(plan["effects"][0]["effect"], "remove");
    let refused = revert(&writer, 3).expect(428);
    assert_eq!(refused.json()["plan"]["digest"], plan["digest"]);
    let stale = writer.send("POST", &path(3), &[("If-Plan", &"0".repeat(64))], "").expect(412);
    assert_eq!(stale.code(), "plan_changed");
    let digest = plan["digest"].as_str().unwrap();
    let done = writer.send("POST", &path(3), &[("If-Plan", digest)], "").expect(200).json();
    assert_eq!(done["documents"][0], json!({"type": "clusters", "id": "c1", "change": "deleted"}));
    assert_eq!(writer.get(POLL).expect(200).json(), json!({"inputs": []}));
}

#[test]
fn a_deleted_cluster_comes_back() {
    let server = Server::seeded();
    let writer = server.writer();
    let (document, answer) =
        (writer.get("/clusters/c1").expect(200).json(), writer.get(POLL).expect(200).body);
    writer.delete("/clusters/c1").expect(200);
    let done = revert(&writer, 4).expect(200).json();
    let mut what: Vec<_> = done["documents"].as_array().unwrap().clone();
    what.sort_by_key(Value::to_string);
    assert_eq!(
        what,
        [
            json!({"type": "clusters", "id": "c1", "change": "created"}),
            json!({"type": "tombstones", "id": "c1", "change": "deleted"}),
        ]
    );
    assert_eq!((writer.get("/clusters/c1").json(), writer.get(POLL).body), (document, answer));
}

#[test]
fn a_held_cluster_comes_back() {
    let server = Server::seeded();
    let writer = server.writer();
    let mut protected = cluster("p");
    protected["environment"] = "prod".into();
    writer.post("/clusters", protected).expect(201);
    let document = writer.get("/clusters/p").expect(200).json();
    let poll = "/api/v2/flux/clusters/p.example.com/namespaces";
    let answer = writer.get(poll).expect(200).body;
    writer.delete("/clusters/p").expect(200);
    writer.get(poll).expect(410);
    revert(&writer, 5).expect(200);
    assert_eq!((writer.get("/clusters/p").json(), writer.get(poll).body), (document, answer));
    // Undoing the undoing holds it again, and nothing is deleted by that.
    revert(&writer, 6).expect(200);
    assert_eq!(writer.get(poll).expect(410).code(), "held");
}

#[test]
fn a_freeze_is_lifted_and_put_on_again() {
    let server = Server::seeded();
    let writer = server.writer();
    let freeze = json!({"id": "f", "selector": "id=c1", "reason": "bad change"});
    writer.post("/api/v2/freezes", freeze.clone()).expect(201);
    writer.get(POLL).expect(503);
    // What has gathered is shown, as where it is lifted by its name.
    writer.patch(P1, json!({"oci_tag": "1.1.0"})).expect(200);
    let plan = |method: &str, path: &str| writer.send(method, path, &[], "").expect(200).json();
    let gathered = plan("POST", &format!("{}?plan=true", path(4)));
    assert_eq!(gathered["effects"][0]["fields"][0]["to"], "1.1.0");
    assert_eq!(gathered["digest"], plan("DELETE", "/api/v2/freezes/f?plan=true")["digest"]);
    revert(&writer, 4).expect(200);
    writer.get(POLL).expect(200);
    revert(&writer, 6).expect(200);
    assert_eq!(writer.get(POLL).expect(503).code(), "frozen");
    assert_eq!(writer.get("/api/v2/freezes/f").expect(200).json(), freeze);
}

#[test]
fn a_revision_that_made_no_change_cannot_be_undone() {
    let server = Server::seeded();
    let writer = server.writer();
    for (revision, status, code) in [
        ("0", 404, "not_found"),
        ("4", 404, "not_found"),
        ("x", 400, "invalid_parameter"),
        ("-1", 400, "invalid_parameter"),
    ] {
        let reply = writer.post(&format!("/api/v2/changes/{revision}/revert"), json!({})).expect(status);
        assert_eq!(reply.code(), code, "{revision}");
    }
    let unknown = writer.post(&format!("{}?force=true", path(3)), json!({})).expect(400);
    assert_eq!(unknown.code(), "unknown_parameter");
    let wrong = writer.post(&format!("{}?skip_conflicts=maybe", path(3)), json!({})).expect(400);
    assert_eq!(wrong.code(), "invalid_parameter");
    assert_eq!(writer.get(&path(3)).expect(405).header("allow"), Some("POST"));
}

#[test]
fn where_a_reason_is_required_a_revert_needs_one_too() {
    let server = Server::over(Arc::new(MemoryStore::new()), &[("REQUIRE_REASON", "true")]);
    let writer = server.writer();
    let headers = [("Content-Type", "application/json"), ("X-Change-Reason", "first")];
    writer.send("POST", "/namespaces", &headers, r#"{"id":"n"}"#).expect(201);
    assert_eq!(revert(&writer, 1).expect(400).code(), "reason_required");
    writer.post(&format!("{}?plan=true", path(1)), json!({})).expect(200);
    let done = writer.send("POST", &path(1), &[("X-Change-Reason", "a mistake")], "").expect(200).json();
    assert_eq!(done["reason"], "a mistake");
}

#[test]
fn a_change_of_many_documents_is_undone_at_once() {
    let server = Server::seeded();
    let writer = server.writer();
    writer.post("/clusters", cluster("c2")).expect(201);
    let every = |path: &str| writer.get(path).expect(200).body;
    let before = every("/clusters");
    writer.post("/namespaces", json!({"id": "n2"})).expect(201);
    let change = json!({"changes": [
        {"update": "clusters/*/namespaces/n2", "select": "", "body": {}},
        {"patch": "clusters/*", "select": "", "body": {"labels": {"region": "eu"}}},
    ]});
    writer.post("/api/v2/changes", change).expect(200);
    // One of them goes on its way.
    writer.patch("/clusters/c2", json!({"labels": {"region": "us"}})).expect(200);
    let plan =
        writer.post(&format!("{}?plan=true&skip_conflicts=true", path(6)), json!({})).expect(200).json();
    let digest = plan["digest"].as_str().unwrap();
    let path = format!("{}?skip_conflicts=true", path(6));
    let done = writer.send("POST", &path, &[("If-Plan", digest)], "").expect(200).json();
    assert_eq!(done["skipped"][0]["field"], "labels/region");
    assert_eq!(done["skipped"].as_array().unwrap().len(), 1);
    writer.patch("/clusters/c2", json!({"labels": null})).expect(200);
    assert_eq!(every("/clusters"), before);
}
