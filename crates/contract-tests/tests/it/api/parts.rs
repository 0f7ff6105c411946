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

/// A part's life: there, changed in both ways, deleted, appended again.
#[track_caller]
fn life(part: &str, fields: &Value, merge_patch: &Value) -> String {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    let path = format!("{CLUSTER}/{part}");
    let read = talk.ask(get(&path)).expect(200);
    let tag = read.header("etag").unwrap();
    talk.ask(get(&path).header("If-None-Match", tag)).expect(304);
    talk.ask(write("PUT", &path).header("If-Match", tag).json(fields)).expect(200);
    talk.ask(write("PATCH", &path).header("If-Match", tag).merge_patch(merge_patch)).expect(412);
    talk.ask(write("PATCH", &path).merge_patch(merge_patch)).expect(200);
    talk.ask(write("DELETE", &path)).expect(200);
    talk.ask(get(&path)).expect(404);
    talk.ask(write("PATCH", &path).merge_patch(merge_patch)).expect(404);
    talk.ask(write("PUT", &path).json(fields)).expect(201);
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
