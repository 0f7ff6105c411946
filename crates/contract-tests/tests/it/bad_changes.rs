//! Bad input to what operates a fleet: change sets, selectors, files, freezes, undoing. As in `bad_input.rs`
//! each is told what is wrong, and nothing of it happens.

use std::sync::Arc;

use flux_resourceset_model::change::{ChangeSet, DocumentChange, EntryId, Key};
use flux_resourceset_store::{MemoryStore, Store};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bad_input::Refused;
use crate::http::Request;
use crate::server::{READ, Server, WRITE, cluster};

fn write(method: &str, path: &str) -> Request {
    Request::new(method, path).token(WRITE)
}

fn changes(changes: &Value) -> Request {
    write("POST", "/api/v2/changes").json(&json!({"changes": changes}))
}

/// Where a selector stops being one, wherever it is asked for.
#[test]
fn selectors() {
    let server = Server::protected();
    let mut refused = Refused::by(&server);
    for selector in
        ["a b", "=a", "a=", "a in", "a in ()", "a in (b", "a,", "!a=b", "a>b", "é", "A_/b", "a==b==c", "(a)"]
    {
        refused.send(&changes(&json!([{"patch": "clusters/*", "select": selector, "body": {}}])));
    }
    refused.send(&Request::get("/clusters?label_selector=region%20in%20eu").token(READ));
    refused.send(&write("POST", "/api/v2/freezes").json(&json!({"selector": "region in eu", "reason": "x"})));
    // One that selects nobody is a mistake, unless it is said not to be.
    let nobody = json!({"patch": "clusters/*", "select": "environment=qa", "body": {}});
    refused.send(&changes(&json!([nobody])));
    refused.send(&write("POST", "/api/v2/changes?plan=true").json(&json!({"changes": [nobody]})));
    let part =
        json!({"patch": "clusters/*/platform_components/cert-manager", "select": "id=prod-01", "body": {}});
    refused.send(&changes(&json!([part])));
    refused
        .send(&write("POST", "/api/v2/freezes").json(&json!({"selector": "environment=qa", "reason": "x"})));
    assert_eq!(server.get("/clusters?label_selector=environment%3Dqa").expect(200).json(), json!([]));
    let mut allowed = nobody;
    allowed["allow_empty"] = true.into();
    server.send(&changes(&json!([allowed]))).expect(200);
    refused.unchanged();
    // A star is for those that a selector selects, and a selector for a star.
    for change in [
        json!({"patch": "clusters/*", "body": {}}),
        json!({"patch": "clusters/prod-01", "select": "a", "body": {}}),
        json!({"patch": "namespaces/*", "select": "", "body": {}}),
        json!({"create": "clusters/*", "select": "", "body": {}}),
        json!({"patch": "clusters/*", "select": "", "body": {"cluster_dns": "one.example.com"}}),
    ] {
        refused.send(&changes(&json!([change])));
    }
    assert_snapshot!(refused.said);
}

/// None happens, and every bad one is listed by its index.
#[test]
fn several_changes_of_which_some_are_bad() {
    let server = Server::protected();
    let mut refused = Refused::by(&server);
    let bad = json!([
        {"patch": "platform_components/podinfo", "body": {"oci_tag": "6.7.0"}},
        {"patch": "namespaces/none", "body": {}},
        {"delete": "rolebindings/none"},
        {"create": "namespaces/podinfo", "body": {}},
        {"update": "clusters/prod-01/namespaces/none", "body": {}},
        {"patch": "clusters/demo-cluster-01/platform_components/none", "body": {}},
        {"update": "clusters/demo-cluster-01/platform_components/podinfo", "body": {"oci_tag": "no tag"}},
        {"patch": "clusters/*", "select": "environment=qa", "body": {}},
        {"create": "clusters/x", "body": {"cluster_name": "x", "cluster_dns": "prod-01.k8s.example.com", "environment": "moon"}},
        {"create": "namespaces/good", "body": {}},
    ]);
    let error = server.send(&changes(&bad)).expect(400).json();
    let mut named: Vec<_> =
        error["violations"].as_array().unwrap().iter().map(|one| one["change"].as_u64().unwrap()).collect();
    named.dedup();
    assert_eq!(named, [1, 2, 3, 4, 5, 6, 7, 8], "in their order: {error:#}");
    refused.send(&changes(&bad));
    refused.send(&write("POST", "/api/v2/changes?plan=true").json(&json!({"changes": bad})));
    // What is bad only together, or only at the end.
    refused.send(&changes(&json!([
        {"delete": "namespaces/traefik"},
        {"create": "namespaces/traefik", "body": {}},
        {"create": "namespaces/traefik", "body": {}},
    ])));
    refused.send(&changes(&json!([
        {"update": "clusters/prod-01/platform_components/cert-manager", "body": {}},
        {"delete": "platform_components/cert-manager"},
    ])));
    // In any order, where it is right at the end.
    let moved = json!([
        {"create": "clusters/y", "body": {"cluster_name": "y", "cluster_dns": "y.example.com", "environment": "dev", "namespaces": [{"id": "later"}]}},
        {"create": "namespaces/later", "body": {}},
    ]);
    server.send(&changes(&moved)).expect(200);
    assert_snapshot!(refused.said);
}

/// What would break a reference, or another document, names it.
#[test]
fn undoing_what_is_needed_by_now() {
    let server = Server::demo();
    server.create("namespaces", &json!({"id": "late"}));
    server.send(&write("PUT", "/clusters/demo-cluster-01/namespaces/late").json(&json!({}))).expect(201);
    server.create("clusters", &cluster("first"));
    server.send(&write("DELETE", "/namespaces/late?force=true")).expect(200);
    server.send(&write("DELETE", "/api/v2/tombstones/none")).expect(404);
    server.create("namespaces", &json!({"id": "late"}));
    server.send(&write("PUT", "/clusters/first/namespaces/late").json(&json!({}))).expect(201);
    let mut refused = Refused::by(&server);
    // 2 and 6 created the namespace: undoing them takes it from under `first`.
    for revision in [2, 6] {
        refused.send(&write("POST", &format!("/api/v2/changes/{revision}/revert")));
        refused.send(&write("POST", &format!("/api/v2/changes/{revision}/revert?plan=true")));
        refused.send(&write("POST", &format!("/api/v2/changes/{revision}/revert?skip_conflicts=true")));
    }
    for path in ["0/revert", "99/revert", "x/revert", "7/revert?skip=true", "-1/revert"] {
        refused.send(&write("POST", &format!("/api/v2/changes/{path}")));
    }
    assert_snapshot!(refused.said);
}

#[test]
fn parts() {
    let server = Server::demo();
    let mut refused = Refused::by(&server);
    let part =
        |part: &str, body: &Value| write("PUT", &format!("/clusters/demo-cluster-01/{part}")).json(body);
    for body in [json!([]), json!(null), json!("x")] {
        refused.send(&part("namespaces/podinfo", &body));
    }
    refused.send(&part("namespaces/podinfo", &json!({"id": "traefik"})));
    refused.send(&part("namespaces/podinfo", &json!({"labels": {}})));
    refused.send(&part("namespaces/none", &json!({})));
    refused.send(&part("namespaces/A", &json!({})));
    refused.send(&part("rolebindings/none", &json!({})));
    refused.send(&part("platform_components/none", &json!({})));
    refused.send(&part(
        "platform_components/podinfo",
        &json!({"oci_tag": "", "enabled": "no", "depends_on": []}),
    ));
    refused.send(&part("patches/none", &json!({"a": "b"})));
    refused.send(&part("patches/podinfo", &json!({"replicaCount": 3, "list[x]": "y"})));
    refused.send(&part("aliases/x", &json!({})));
    refused.send(&write("DELETE", "/clusters/demo-cluster-01/namespaces/none"));
    refused.send(&write("DELETE", "/clusters/none/namespaces/podinfo"));
    refused.send(
        &write("PATCH", "/clusters/demo-cluster-01/patches/cert-manager").merge_patch(&json!({"a": "b"})),
    );
    assert_snapshot!(refused.said);
}

/// A document from before a check was made is in nobody's way: not in that of single writes, nor of change
/// sets and selectors that touch it, nor of plans, files, freezes and undoing.
#[test]
fn what_was_stored_before_a_check() {
    let store = MemoryStore::new();
    let mut old = cluster("old");
    old["labels"] = json!({"tier": "not a value!"});
    old["colour"] = "red".into();
    old["node_count"] = "three".into();
    old["namespaces"] = json!([{"id": "n"}]);
    let documents = [
        (Key::new("clusters", "old"), old.clone()),
        (Key::new("namespaces", "n"), json!({"id": "n", "labels": {"a b": "c"}})),
        (Key::new("namespaces", "Bad_Id"), json!({"id": "Bad_Id"})),
    ];
    let change_set = ChangeSet {
        entry: EntryId(1),
        principal: "an older release".into(),
        reason: None,
        request_id: "-".into(),
        operations: Vec::new(),
        documents: documents
            .into_iter()
            .map(|(key, body)| DocumentChange { key, body: Some(body.to_string().into_bytes()) })
            .collect(),
        min_reader: 1,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let head = runtime.block_on(store.head()).unwrap().1;
    runtime.block_on(store.commit(head, vec![change_set])).unwrap();
    let server = Server::over(Arc::new(store), &[]).ready();
    // These documents are not as documented: their answers cannot be either.
    let send = |request: &Request| request.send(server.address);
    let says = |path: &str| send(&Request::get(path).token(READ)).expect(200).json();
    // What is not about it.
    server.create("namespaces", &json!({"id": "new"}));
    server.create("clusters", &cluster("other"));
    // What is, but not about what is wrong with it.
    let every =
        |verb: &str, target: &str, body: Value| changes(&json!([{verb: target, "select": "", "body": body}]));
    send(&every("update", "clusters/*/namespaces/new", json!({}))).expect(200);
    send(&every("patch", "clusters/*", json!({"vm_image": "noble"}))).expect(200);
    let both = json!([
        {"patch": "clusters/old", "body": {"k0s_version": "1.33"}},
        {"update": "clusters/other/namespaces/n", "body": {}},
        {"patch": "namespaces/n", "body": {"annotations": {"a": "b"}}},
    ]);
    send(&changes(&both)).expect(200);
    send(&write("PUT", "/clusters/old").json(&json!({"environment": "qa"}))).expect(200);
    send(&write("PATCH", "/clusters/old/namespaces/new").merge_patch(&json!({"on_remove": "keep"})))
        .expect(200);
    let planned = write("PATCH", "/namespaces/n?plan=true").merge_patch(&json!({"labels": {"x": "y"}}));
    assert_eq!(send(&planned).expect(200).json()["effects"][0]["clusters"], json!(["old", "other"]));
    // Labels that are none select as they stand.
    let listed = says("/clusters?label_selector=tier");
    assert_eq!((&listed[0]["id"], &listed[0]["colour"]), (&json!("old"), &json!("red")));
    send(&write("POST", "/api/v2/freezes").json(&json!({"id": "f", "selector": "tier", "reason": "x"})))
        .expect(201);
    send(&write("DELETE", "/api/v2/freezes/f?plan=true")).expect(200);
    send(&write("DELETE", "/api/v2/freezes/f")).expect(200);
    // The fleet as a file, back again, and with a change of another document.
    let exported = says("/api/v2/export");
    let apply = |documents: &Value, path: &str| {
        write("POST", path).json(&json!({"source": "git", "documents": documents}))
    };
    send(&apply(&exported, "/api/v2/apply?plan=true")).expect(200);
    send(&apply(&exported, "/api/v2/apply")).expect(200);
    let mut files = exported;
    let new = files["namespaces"].as_array_mut().unwrap().iter_mut().find(|one| one["id"] == "new").unwrap();
    new["labels"] = json!({"x": "y"});
    send(&apply(&files, "/api/v2/apply")).expect(200);
    // Undone, looked at, taken away and brought back.
    let head = server.revision();
    send(&write("POST", &format!("/api/v2/changes/{head}/revert"))).expect(200);
    send(&write("GET", "/api/v2/changes/1")).expect(200);
    send(&write("GET", "/api/v2/explain/old")).expect(200);
    send(&write("GET", "/clusters/old?revision=1")).expect(200);
    send(&write("GET", "/api/v2/flux/clusters/old.k8s.example.com/namespaces?revision=1")).expect(200);
    let whole = says("/clusters/old");
    for field in ["labels", "colour", "node_count"] {
        assert_eq!(whole[field], old[field]);
    }
    send(&write("DELETE", "/clusters/old")).expect(200);
    send(&write("POST", "/api/v2/tombstones/old/restore")).expect(201);
    assert_eq!(says("/clusters/old"), whole);
    send(&write("DELETE", "/namespaces/Bad_Id")).expect(200);
    // What touches the wrong thing itself is told so.
    let error = send(&write("PATCH", "/clusters/old").merge_patch(&json!({"node_count": "four"})));
    assert_eq!(error.expect(400).json()["violations"][0]["pointer"], "/node_count");
}
