//! Bad input about layers: profiles, what clusters say over them, and what components require. As in
//! `bad_input.rs` each is told what is wrong, and nothing of it happens.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bad_input::Refused;
use crate::http::Request;
use crate::server::{READ, Server, WRITE};

fn write(method: &str, path: &str) -> Request {
    Request::new(method, path).token(WRITE)
}

fn post(plural: &str, body: &Value) -> Request {
    write("POST", &format!("/{plural}")).json(body)
}

fn profile(fields: Value) -> Request {
    let mut body = json!({"id": "x", "selector": "environment=dev"});
    let Value::Object(fields) = fields else { panic!("fields of a profile") };
    body.as_object_mut().unwrap().extend(fields);
    post("profiles", &body)
}

/// A profile that is there, for refusals of its changes.
fn with_base() -> Server {
    let server = Server::protected();
    let base = json!({
        "id": "base", "selector": "", "platform_components": [{"id": "podinfo"}],
        "patches": {"podinfo": {"ui.logo": "base.svg"}},
    });
    server.create("profiles", &base);
    server
}

#[test]
fn what_a_profile_is() {
    let server = with_base();
    let mut refused = Refused::by(&server);
    refused.send(&post("profiles", &json!({})));
    refused.send(&post("profiles", &json!({"id": "base", "selector": ""})));
    for id in ["", "A", "a.b", "base/x"] {
        refused.send(&profile(json!({"id": id})));
    }
    for selector in ["region in eu", "=a", "region in (eu", "!a=b", "a,", "environment = prod; region = eu"] {
        refused.send(&profile(json!({"selector": selector})));
        refused.send(&write("PATCH", "/profiles/base").merge_patch(&json!({"selector": selector})));
    }
    for selector in [json!(null), json!({"region": "eu"}), json!(["a"])] {
        refused.send(&profile(json!({"selector": selector})));
    }
    for priority in [json!(1_000_001), json!(-1_000_001), json!(1.5), json!("10"), json!(true)] {
        refused.send(&profile(json!({"priority": priority})));
    }
    refused.send(&profile(
        json!({"clusters": ["prod-01"], "labels": {}, "environment": "dev", "aliases": ["x"]}),
    ));
    refused.send(&write("PATCH", "/profiles/base").merge_patch(&json!({"selector": null})));
    refused.send(&write("PUT", "/profiles/base").json(&json!({"id": "other"})));
    refused.send(&write("PUT", "/profiles/none").json(&json!({})));
    refused.send(&write("DELETE", "/profiles/base?force=true"));
    assert_snapshot!(refused.said);
}

#[test]
fn what_a_profile_says() {
    let server = with_base();
    let mut refused = Refused::by(&server);
    refused.send(&profile(json!({
        "platform_components": [{"id": "none"}], "namespaces": [{"id": "none"}], "rolebindings": [{"id": "none"}],
        "patches": {"none": {"a": "b"}}, "unset_patches": {"none": ["a"], "neither": ["a"]},
    })));
    refused.send(&profile(json!({"namespaces": [{"id": "podinfo"}, {"id": "podinfo"}]})));
    // What is taken out says nothing else.
    refused.send(&profile(json!({
        "platform_components": [{"id": "podinfo", "exclude": true, "oci_tag": "6.7.0", "enabled": false}],
        "namespaces": [{"id": "podinfo", "exclude": true, "on_remove": "keep"}],
    })));
    refused.send(&profile(json!({"namespaces": [{"id": "podinfo", "exclude": "yes"}]})));
    // One key is set or unset.
    refused.send(&profile(json!({
        "patches": {"podinfo": {"ui.logo": "x.svg", "ui.color": "#fff"}}, "unset_patches": {"podinfo": ["ui.color"]},
    })));
    refused.send(&profile(json!({"unset_patches": {"podinfo": "ui.logo"}})));
    refused.send(&profile(json!({"unset_patches": {"podinfo": ["ui.logo", 7, "ui.logo"]}})));
    // As in a cluster.
    refused.send(&profile(json!({"patches": {"podinfo": {"replicaCount": 3, "list[x]": "y"}}})));
    refused.send(&profile(json!({"platform_components": [
        {"id": "podinfo", "oci_tag": "no tag", "depends_on": [], "release": {"timeout": "soon"}},
    ]})));
    // Whose it is and until when is said by a cluster.
    refused.send(&profile(json!({"namespaces": [{"id": "podinfo", "note": "x", "expires": "2027-01-31"}]})));
    assert_snapshot!(refused.said);
}

#[test]
fn what_a_cluster_says_over_profiles() {
    let server = with_base();
    let mut refused = Refused::by(&server);
    let part = |part: &str, body: Value| write("PUT", &format!("/clusters/prod-01/{part}")).json(&body);
    for expires in ["soon", "2027-02-30", "31.01.2027", "2027-01-31T18:00", ""] {
        refused.send(&part("platform_components/podinfo", json!({"expires": expires})));
    }
    refused.send(&part("namespaces/podinfo", json!({"expires": 20270131, "note": ["x"]})));
    refused.send(&part("platform_components/podinfo", json!({"exclude": true, "oci_tag": "6.7.0"})));
    let both =
        json!({"patches": {"podinfo": {"ui.logo": "x.svg"}}, "unset_patches": {"podinfo": ["ui.logo"]}});
    refused.send(&write("PATCH", "/clusters/prod-01").merge_patch(&both));
    // Each fits alone; together with what the profile says they do not.
    refused.send(&part("patches/podinfo", json!({"ui": "x"})));
    assert_snapshot!(refused.said);
}

#[test]
fn parts_of_profiles() {
    let server = with_base();
    let mut refused = Refused::by(&server);
    let part = |part: &str, body: Value| write("PUT", &format!("/profiles/base/{part}")).json(&body);
    refused.send(&part("platform_components/none", json!({})));
    refused.send(&part("platform_components/podinfo", json!({"id": "traefik"})));
    refused.send(&part("platform_components/podinfo", json!({"exclude": true, "enabled": true})));
    refused.send(&part("namespaces/podinfo", json!({"labels": {}})));
    refused.send(&part("patches/podinfo", json!({"ui.logo": 7})));
    refused.send(&part("patches/none", json!({"a": "b"})));
    refused.send(&part("labels/x", json!({})));
    refused.send(&write("PUT", "/profiles/none/namespaces/podinfo").json(&json!({})));
    refused.send(&write("DELETE", "/profiles/base/namespaces/podinfo"));
    refused.send(&write("PATCH", "/profiles/base/patches/traefik").merge_patch(&json!({"a": "b"})));
    // Clusters are selected; profiles are named.
    let every = json!({"changes": [{"patch": "profiles/*", "select": "", "body": {"priority": 1}}]});
    refused.send(&write("POST", "/api/v2/changes").json(&every));
    assert_snapshot!(refused.said);
}

#[test]
fn what_components_require() {
    let server = with_base();
    let mut refused = Refused::by(&server);
    let podinfo = |fields: Value| write("PATCH", "/platform_components/podinfo").merge_patch(&fields);
    for range in ["", "soon", ">=", ">= 1.x.2", "1.2.3.4", ">=1 || ", "^a"] {
        refused.send(&podinfo(json!({"requires": {"traefik": range}})));
        refused.send(&podinfo(json!({"kubernetes": range})));
    }
    refused.send(&podinfo(json!({"requires": ["traefik"]})));
    refused.send(&podinfo(json!({"requires": {"traefik": 30}, "kubernetes": 1.33})));
    refused.send(&podinfo(json!({"requires": {"none": ">=1"}})));
    refused.send(&podinfo(json!({"requires": {"podinfo": ">=1"}})));
    let circle = json!({"changes": [
        {"patch": "platform_components/podinfo", "body": {"requires": {"traefik": "*"}}},
        {"patch": "platform_components/traefik", "body": {"requires": {"cert-manager": "*"}}},
        {"patch": "platform_components/cert-manager", "body": {"requires": {"podinfo": "*"}}},
    ]});
    refused.send(&write("POST", "/api/v2/changes").json(&circle));
    assert_snapshot!(refused.said);
}

#[test]
fn questions() {
    let server = with_base();
    let mut refused = Refused::by(&server);
    for path in [
        "/clusters?profile=BASE",
        "/clusters?profile=base&profile=base",
        "/clusters/prod-01?effective=1",
        "/profiles?selector=a&cluster=",
        "/profiles?label_selector=a",
        "/profiles/base/platform_components",
    ] {
        refused.send(&Request::get(path).token(READ));
    }
    for query in ["from=2020-01-01T00:00:00Z", "limit=1001", "offset=x", "type=PROFILES", "expired="] {
        refused.send(&write("GET", &format!("/api/v2/reports/exceptions?{query}")));
    }
    refused.send(&Request::get("/api/v2/reports/exceptions"));
    refused.send(&write("GET", "/api/v2/reports"));
    assert_snapshot!(refused.said);
}
