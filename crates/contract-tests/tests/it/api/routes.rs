//! Every route's success, on the demo fleet.

use flux_resourceset_contract_tests::check;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::http::{Reply, Request};
use crate::server::{READ, Server, WRITE};
use crate::transcript::Transcript;

const POLLS: &str = "/api/v2/flux/clusters/demo-cluster-01.k8s.example.com";

fn get(path: impl Into<String>) -> Request {
    Request::get(path).token(READ)
}

fn write(method: &str, path: &str) -> Request {
    Request::new(method, path).token(WRITE)
}

/// An answer to Flux: this crate's own judge must not object, nor Flux cut it.
#[track_caller]
fn judged(reply: &Reply) -> usize {
    check(&reply.body).unwrap_or_else(|violations| panic!("{violations:#?}")).inputs
}

#[test]
fn service() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    for path in ["/health", "/ready", "/openapi.yaml", "/metrics"] {
        talk.ask(Request::get(path)).expect(200);
    }
    let head = talk.ask(Request::new("HEAD", "/health")).expect(200);
    assert!(head.body.is_empty());
    assert_snapshot!(talk.text());
}

#[test]
fn polls() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    for path in ["platform-components", "namespaces", "rolebindings"] {
        let inputs = judged(&talk.ask(get(format!("{POLLS}/{path}"))).expect(200));
        assert_eq!(inputs, if path == "rolebindings" { 2 } else { 3 });
    }
    assert_snapshot!(talk.text());
}

#[test]
fn fleet_list() {
    let server = Server::demo();
    server.create("clusters", &crate::server::cluster("another"));
    let mut talk = Transcript::with(&server);
    for query in ["", "?environment=dev", "?shard=1/1"] {
        assert_eq!(judged(&talk.ask(get(format!("/api/v2/flux/clusters{query}"))).expect(200)), 2);
    }
    assert_snapshot!(talk.text());
}

/// A cluster that is gone on purpose, from its last answer to its purge.
#[test]
fn decommission() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    talk.ask(write("DELETE", "/clusters/demo-cluster-01")).expect(200);
    for path in ["platform-components", "namespaces", "rolebindings"] {
        assert_eq!(judged(&talk.ask(get(format!("{POLLS}/{path}"))).expect(200)), 0);
    }
    assert_eq!(judged(&talk.ask(get("/api/v2/flux/clusters")).expect(200)), 0);
    talk.ask(get("/api/v2/tombstones")).expect(200);
    talk.ask(get("/api/v2/tombstones/demo-cluster-01")).expect(200);
    talk.ask(write("DELETE", "/api/v2/tombstones/demo-cluster-01")).expect(200);
    talk.ask(get(format!("{POLLS}/namespaces"))).expect(404);
    assert_snapshot!(talk.text());
}

/// A document's life: listed, created, read, changed in both ways, deleted.
#[track_caller]
fn life(plural: &str, document: &Value, fields: &Value, merge_patch: &Value) -> String {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    let all = format!("/{plural}");
    talk.ask(get(&all)).expect(200);
    let created = talk.ask(write("POST", &all).json(document)).expect(201);
    let one = created.header("location").unwrap();
    talk.ask(get(one)).expect(200);
    talk.ask(write("PUT", one).json(fields)).expect(200);
    talk.ask(write("PATCH", one).merge_patch(merge_patch)).expect(200);
    talk.ask(write("DELETE", one)).expect(200);
    assert_eq!(server.send(&get(one)).expect(404).json()["error"], "not_found");
    talk.text().to_owned()
}

#[test]
fn clusters() {
    assert_snapshot!(life(
        "clusters",
        &json!({
            "cluster_name": "edge-01", "cluster_dns": "Edge-01.k8s.example.com", "environment": "dev",
            "labels": {"region": "eu"}, "node_count": 3, "kubernetes_version": "1.33",
            "platform_components": [{"id": "podinfo", "enabled": true, "oci_tag": null, "component_path": null}],
            "namespaces": [{"id": "podinfo"}], "rolebindings": [{"id": "dev-readers"}],
            "patches": {"podinfo": {"replicaCount": "1"}},
        }),
        &json!({"environment": "qa", "patches": {"podinfo": {"replicaCount": "3", "ui.color": "#fff"}}, "labels": null}),
        &json!({"patches": {"podinfo": {"replicaCount": null, "ui.message": "hi"}}, "node_count": 5}),
    ));
}

#[test]
fn profiles() {
    assert_snapshot!(life(
        "profiles",
        &json!({
            "id": "edge", "selector": "environment=dev,!canary", "description": "What every edge site has.",
            "platform_components": [{"id": "podinfo", "oci_tag": "6.6.0", "release": {"timeout": "10m"}}],
            "namespaces": [{"id": "podinfo", "on_remove": "keep"}], "rolebindings": [{"id": "dev-readers"}],
            "patches": {"podinfo": {"ui.logo": "edge.svg"}},
        }),
        &json!({"priority": 10, "description": null, "rolebindings": [{"id": "platform-admins", "exclude": true}]}),
        &json!({"patches": {"podinfo": {"ui.logo": null}}, "unset_patches": {"podinfo": ["ui.logo"]}}),
    ));
}

#[test]
fn platform_components() {
    assert_snapshot!(life(
        "platform_components",
        &json!({
            "id": "grafana", "component_path": "observability/grafana/17.1.0", "component_version": "17.1.0",
            "cluster_env_enabled": true, "oci_url": "oci://registry.example/platform-components",
            "oci_tag": "v1.0.0", "depends_on": ["cert-manager"],
        }),
        &json!({"oci_tag": "v1.0.1", "depends_on": []}),
        &json!({"release": {"timeout": "10m", "values": {"replicas": 2, "ingress": null}}, "cluster_env_enabled": null}),
    ));
}

#[test]
fn namespaces() {
    assert_snapshot!(life(
        "namespaces",
        &json!({"_id": "team-sandbox", "labels": {"team": "sandbox"}, "annotations": {"owner": "platform"}}),
        &json!({"labels": {"team": "other"}}),
        &json!({"labels": {"tier": "1"}, "annotations": null, "on_remove": "keep"}),
    ));
}

#[test]
fn rolebindings() {
    assert_snapshot!(life(
        "rolebindings",
        &json!({
            "id": "system:deployers", "role": "edit",
            "subjects": [
                {"kind": "Group", "name": "platform-team", "apiGroup": "rbac.authorization.k8s.io"},
                {"kind": "ServiceAccount", "name": "deployer", "namespace": "ci"},
            ],
        }),
        &json!({"role": "view"}),
        &json!({"subjects": [{"kind": "User", "name": "jane"}]}),
    ));
}

#[test]
fn lists() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    for query in ["?limit=1", "?limit=1&offset=1", "?role=view", "?role=none"] {
        talk.ask(get(format!("/rolebindings{query}"))).expect(200);
    }
    assert_snapshot!(talk.text());
}

#[test]
fn conditions() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    let one = "/namespaces/podinfo";
    let read = talk.ask(get(one)).expect(200);
    let tag = read.header("etag").unwrap();
    talk.ask(get(one).header("If-None-Match", tag)).expect(304);
    let fields = json!({"labels": {"app": "podinfo", "team": "a"}});
    talk.ask(write("PUT", one).header("If-Match", tag).json(&fields)).expect(200);
    talk.ask(write("PUT", one).header("If-Match", tag).json(&fields)).expect(412);
    talk.ask(write("DELETE", one).header("If-Match", tag)).expect(412);
    talk.ask(get(one).header("If-Match", tag)).expect(412);
    talk.ask(write("POST", "/namespaces").header("If-None-Match", "*").json(&json!({"id": "podinfo"})))
        .expect(412);
    talk.ask(get(one).header("If-Match", "1")).expect(400);
    assert_snapshot!(talk.text());
}

/// With a definition go the references to it, in the same revision.
#[test]
fn forced_deletion() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    talk.ask(write("DELETE", "/namespaces/podinfo")).expect(409);
    talk.ask(write("DELETE", "/namespaces/podinfo?force=true")).expect(200);
    talk.ask(write("DELETE", "/platform_components/podinfo?force=true")).expect(200);
    talk.ask(get("/clusters/demo-cluster-01")).expect(200);
    assert_snapshot!(talk.text());
}
