//! Parts of a cluster at addresses of their own.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::http::Request;
use crate::server::{READ, Server, WRITE};
use crate::transcript::Transcript;

const CLUSTER: &str = "/clusters/demo-cluster-01";

fn get(path: impl Into<String>) -> Request {
    Request::get(path).token(READ)
}

fn write(method: &str, path: &str) -> Request {
    Request::new(method, path).token(WRITE)
}

/// The life of a part of the demo cluster.
#[track_caller]
fn life(part: &str, fields: &Value, merge_patch: &Value) -> String {
    life_of(&Server::demo(), &format!("{CLUSTER}/{part}"), fields, merge_patch)
}

/// A part's life: there, changed in both ways, deleted, appended again.
#[track_caller]
fn life_of(server: &Server, path: &str, fields: &Value, merge_patch: &Value) -> String {
    let mut talk = Transcript::with(server);
    let read = talk.ask(get(path)).expect(200);
    let tag = read.header("etag").unwrap();
    talk.ask(get(path).header("If-None-Match", tag)).expect(304);
    talk.ask(write("PUT", path).header("If-Match", tag).json(fields)).expect(200);
    talk.ask(write("PATCH", path).header("If-Match", tag).merge_patch(merge_patch)).expect(412);
    talk.ask(write("PATCH", path).merge_patch(merge_patch)).expect(200);
    talk.ask(write("DELETE", path)).expect(200);
    talk.ask(get(path)).expect(404);
    talk.ask(write("PATCH", path).merge_patch(merge_patch)).expect(404);
    talk.ask(write("PUT", path).json(fields)).expect(201);
    talk.text().to_owned()
}

#[test]
fn component() {
    let fields = json!({"oci_tag": "6.7.0", "release": {"timeout": "10m"}});
    assert_snapshot!(life(
        "platform_components/podinfo",
        &fields,
        &json!({"enabled": null, "on_remove": "keep"})
    ));
}

#[test]
fn namespace() {
    assert_snapshot!(life("namespaces/podinfo", &json!({"on_remove": "keep"}), &json!({"on_remove": null})));
}

#[test]
fn rolebinding() {
    assert_snapshot!(life(
        "rolebindings/dev-readers",
        &json!({"on_remove": "keep"}),
        &json!({"on_remove": null})
    ));
}

#[test]
fn patches() {
    let fields = json!({"replicaCount": "3", "ui.message": null});
    assert_snapshot!(life("patches/podinfo", &fields, &json!({"ui.color": null, "ui.logo": "x.svg"})));
}

/// A profile has the same parts as a cluster.
#[test]
fn of_profiles() {
    let server = Server::demo();
    let network_policy: Value = serde_saphyr::from_str(super::types::NETWORK_POLICY).unwrap();
    server.create("resource_types", &network_policy);
    let deny = json!({"id": "deny", "target_namespace": "podinfo", "ingress_rules": []});
    server.create("network_policies", &deny);
    // What the cluster has itself as well, it keeps.
    server.send(&write("PUT", &format!("{CLUSTER}/network_policies/deny")).json(&json!({}))).expect(201);
    let edge = json!({
        "id": "edge", "selector": "environment=dev", "platform_components": [{"id": "podinfo"}],
        "namespaces": [{"id": "podinfo"}], "rolebindings": [{"id": "dev-readers"}],
        "network_policies": [{"id": "deny"}], "patches": {"podinfo": {"ui.logo": "edge.svg"}},
    });
    server.create("profiles", &edge);
    let (keep, not) = (json!({"on_remove": "keep"}), json!({"on_remove": null}));
    let parts = [
        (
            "platform_components/podinfo",
            json!({"oci_tag": "6.7.0", "enabled": true}),
            json!({"enabled": null}),
        ),
        ("namespaces/podinfo", keep.clone(), not.clone()),
        ("rolebindings/dev-readers", keep.clone(), not.clone()),
        ("network_policies/deny", keep, not),
        ("patches/podinfo", json!({"ui.logo": null, "ui.color": "#fff"}), json!({"ui.message": "edge"})),
    ];
    let mut text = String::new();
    for (part, fields, merge_patch) in parts {
        text.push_str(&life_of(&server, &format!("/profiles/edge/{part}"), &fields, &merge_patch));
        text.push('\n');
    }
    assert_snapshot!(text);
}

#[test]
fn refused() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    talk.ask(get("/clusters/none/namespaces/podinfo")).expect(404);
    talk.ask(write("PUT", "/clusters/none/namespaces/podinfo").json(&json!({}))).expect(404);
    talk.ask(write("PUT", &format!("{CLUSTER}/namespaces/none")).json(&json!({}))).expect(400);
    talk.ask(write("PUT", &format!("{CLUSTER}/patches/none")).json(&json!({"a": "b"}))).expect(400);
    let fields = json!({"id": "other", "enabled": "yes", "oci_tga": "1"});
    talk.ask(write("PUT", &format!("{CLUSTER}/platform_components/podinfo")).json(&fields)).expect(400);
    talk.ask(write("PUT", &format!("{CLUSTER}/platform_components/podinfo")).json(&json!([]))).expect(400);
    let patches = json!({"replicaCount": 3});
    talk.ask(write("PATCH", &format!("{CLUSTER}/patches/podinfo")).merge_patch(&patches)).expect(400);
    talk.ask(write("POST", &format!("{CLUSTER}/namespaces/podinfo")).json(&json!({}))).expect(405);
    talk.ask(get(format!("{CLUSTER}/labels/region"))).expect(404);
    talk.ask(Request::new("PUT", format!("{CLUSTER}/namespaces/podinfo")).token(READ).json(&json!({})))
        .expect(403);
    assert_snapshot!(talk.text());
}
