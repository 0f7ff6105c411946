//! Layers: whose profiles are whose, what a change of one does, where a field comes from, undoing, files,
//! disagreement, what components require, and what clusters say other than their profiles.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::http::Request;
use crate::server::{READ, Server, WRITE, cluster};
use crate::transcript::Transcript;

const REPORT: &str = "/api/v2/reports/exceptions";
const POLL: &str = "/api/v2/flux/clusters/prod-01.k8s.example.com/platform-components";

fn get(path: impl Into<String>) -> Request {
    Request::get(path).token(READ)
}

fn write(method: &str, path: impl Into<String>) -> Request {
    Request::new(method, path).token(WRITE)
}

fn plan(method: &str, path: &str, body: &Value) -> Request {
    write(method, format!("{path}?plan=true")).json(body)
}

fn base() -> Value {
    json!({
        "id": "base", "selector": "", "platform_components": [{"id": "podinfo", "oci_tag": "6.6.0"}],
        "patches": {"podinfo": {"ui.logo": "base.svg", "ui.message": "Hello from base"}},
    })
}

fn eu() -> Value {
    json!({
        "id": "eu", "selector": "region=eu", "priority": 10, "description": "Where the law is stricter.",
        "patches": {"podinfo": {"ui.logo": "eu.svg"}}, "rolebindings": [{"id": "platform-admins"}],
    })
}

/// Two profiles, as revisions 3 and 4: one of every cluster, one of the cluster in prod.
fn layered() -> Server {
    let server = Server::protected();
    for (profile, why) in [(base(), "one podinfo for all"), (eu(), "the law")] {
        let create = write("POST", "/profiles").header("X-Change-Reason", why);
        server.send(&create.json(&profile)).expect(201);
    }
    server
}

#[test]
fn whose_they_are() {
    let server = layered();
    let mut talk = Transcript::with(&server);
    talk.ask(get("/profiles?cluster=prod-01")).expect(200);
    talk.ask(get("/profiles?cluster=demo-cluster-01&limit=5")).expect(200);
    talk.ask(get("/profiles?priority=10")).expect(200);
    talk.ask(get("/profiles?cluster=none")).expect(400);
    talk.ask(get("/clusters?profile=eu")).expect(200);
    talk.ask(get("/clusters?profile=base&environment=qa")).expect(200);
    talk.ask(get("/clusters?profile=none")).expect(400);
    talk.ask(get("/namespaces?profile=base")).expect(400);
    talk.ask(get(POLL)).expect(200);
    assert_snapshot!(talk.text());
}

#[test]
fn effective() {
    let server = layered();
    server.create("clusters", &cluster("qa-01"));
    let mut talk = Transcript::with(&server);
    let one = "/clusters/prod-01?effective=true";
    let tag = talk.ask(get(one)).expect(200).header("etag").unwrap().to_owned();
    talk.ask(get(one).header("If-None-Match", tag)).expect(304);
    talk.ask(get("/clusters/qa-01?effective=true")).expect(200);
    server.send(&write("DELETE", "/profiles/base")).expect(428);
    let mut nobody = base();
    nobody["selector"] = "environment=qa".into();
    let moved = server.send(&write("PUT", "/profiles/base").json(&nobody)).expect(428).json();
    let digest = moved["plan"]["digest"].as_str().unwrap();
    server.send(&write("PUT", "/profiles/base").header("If-Plan", digest).json(&nobody)).expect(200);
    // No profile, no header.
    talk.ask(get("/clusters/qa-01?effective=true")).expect(200);
    talk.ask(get("/clusters/none?effective=true")).expect(404);
    talk.ask(get("/clusters/prod-01?effective=maybe")).expect(400);
    talk.ask(write("GET", "/clusters/prod-01?effective=true&revision=3")).expect(400);
    talk.ask(get("/profiles/eu?effective=true")).expect(400);
    assert_snapshot!(talk.text());
}

/// What a change of a profile does, to whom, and whom it does not reach.
#[test]
fn plans() {
    let server = layered();
    let mut talk = Transcript::with(&server);
    // The demo cluster says its message itself; in eu the logo of that profile stands.
    let fields = json!({"patches": {"podinfo": {"ui.logo": "new.svg", "ui.message": "Hi"}}});
    talk.ask(plan("PATCH", "/profiles/base", &fields)).expect(200);
    // In prod it takes something away.
    talk.ask(plan("PATCH", "/profiles/eu", &json!({"rolebindings": null}))).expect(200);
    talk.ask(write("DELETE", "/profiles/eu")).expect(428);
    // A cluster that comes to a profile by its labels.
    let labels = json!({"labels": {"region": "eu"}});
    talk.ask(plan("PATCH", "/clusters/demo-cluster-01", &labels)).expect(200);
    // Nothing comes of these two.
    let waits = json!({"id": "us", "selector": "region=us", "namespaces": [{"id": "traefik"}]});
    talk.ask(plan("POST", "/profiles", &waits)).expect(200);
    let excludes = json!({"rolebindings": [{"id": "dev-readers", "exclude": true}]});
    talk.ask(plan("PATCH", "/profiles/eu", &excludes)).expect(200);
    let excludes = json!({"exclude": true});
    talk.ask(plan("PUT", "/clusters/demo-cluster-01/platform_components/traefik", &excludes)).expect(400);
    let excludes = json!({"namespaces": [{"id": "podinfo", "exclude": true}]});
    talk.ask(plan("PATCH", "/clusters/prod-01", &excludes)).expect(200);
    // `latest` may be anything.
    let requires = json!({"requires": {"traefik": ">=30"}});
    talk.ask(plan("PATCH", "/platform_components/podinfo", &requires)).expect(200);
    assert_snapshot!(talk.text());
}

#[test]
fn explain() {
    let server = layered();
    let hotfix = write("PATCH", "/profiles/eu/patches/podinfo").header("X-Change-Reason", "a better logo");
    server.send(&hotfix.merge_patch(&json!({"ui.logo": "stars.svg"}))).expect(200);
    let mut talk = Transcript::with(&server);
    talk.ask(write("GET", "/api/v2/explain/prod-01/platform-components/podinfo")).expect(200);
    talk.ask(write("GET", "/api/v2/explain/prod-01/rolebindings/platform-admins")).expect(200);
    assert_snapshot!(talk.text());
}

/// A profile's creation is undone, and what it said of clusters with it: in prod only where that was seen.
#[test]
fn revert() {
    let server = layered();
    let before = server.get(POLL).body;
    let mut talk = Transcript::with(&server);
    let created = "/api/v2/changes/4/revert";
    let planned = talk.ask(write("POST", format!("{created}?plan=true"))).expect(200).json();
    talk.ask(write("POST", created)).expect(428);
    let digest = planned["digest"].as_str().unwrap();
    talk.ask(write("POST", created).header("If-Plan", digest)).expect(200);
    assert_ne!(server.get(POLL).body, before);
    talk.ask(get("/profiles/eu")).expect(404);
    talk.ask(write("POST", "/api/v2/changes/5/revert")).expect(200);
    assert_eq!(server.get(POLL).body, before);
    talk.ask(write("GET", "/api/v2/changes?cluster=prod-01&type=profiles")).expect(200);
    assert_snapshot!(talk.text());
}

#[test]
fn change_set() {
    let server = layered();
    let mut talk = Transcript::with(&server);
    // The one takes over what the other gives up.
    let changes = json!({"reason": "one profile less", "changes": [
        {"delete": "profiles/eu"},
        {"create": "profiles/admins", "body": {"selector": "region", "rolebindings": [{"id": "platform-admins"}]}},
        {"update": "profiles/base/patches/podinfo", "body": {"ui.logo": "eu.svg"}},
    ]});
    talk.ask(write("POST", "/api/v2/changes?plan=true").json(&changes)).expect(200);
    talk.ask(write("POST", "/api/v2/changes").json(&changes)).expect(200);
    talk.ask(get("/profiles")).expect(200);
    assert_snapshot!(talk.text());
}

#[test]
fn files() {
    let server = layered();
    let mut talk = Transcript::with(&server);
    let exported = server.get("/api/v2/export").expect(200).json();
    assert_eq!(exported["profiles"], json!([base(), eu()]));
    // It is what it is exported from.
    let back = write("POST", "/api/v2/apply?plan=true").json(&json!({"documents": exported}));
    assert_eq!(server.send(&back).expect(200).json()["documents"], json!([]));
    let mut of_eu = eu();
    of_eu["patches"]["podinfo"]["ui.logo"] = "stars.svg".into();
    let us = json!({"id": "us", "selector": "region=us", "platform_components": [{"id": "traefik"}]});
    let files = json!({"source": "git", "take": true, "documents": {"profiles": [of_eu, us]}});
    talk.ask(write("POST", "/api/v2/apply?plan=true").json(&files)).expect(200);
    talk.ask(write("POST", "/api/v2/apply").json(&files)).expect(200);
    let wrong = json!({"source": "git", "documents": {"profiles": [
        {"id": "x", "selector": "region in eu"}, {"id": "y"},
    ]}});
    talk.ask(write("POST", "/api/v2/apply").json(&wrong)).expect(400);
    assert_snapshot!(talk.text());
}

/// A fleet without profiles is exported as it always was.
#[test]
fn no_profiles_in_a_file_without() {
    assert_eq!(Server::demo().get("/api/v2/export").expect(200).json().get("profiles"), None);
}

/// Two profiles of one priority never say different things of one cluster, whichever write would do it.
#[test]
fn disagreement() {
    let server = layered();
    let mut talk = Transcript::with(&server);
    let other = json!({
        "id": "prod", "selector": "environment=prod", "priority": 10,
        "patches": {"podinfo": {"ui.logo": "prod.svg"}}, "rolebindings": [{"id": "platform-admins", "exclude": true}],
    });
    talk.ask(write("POST", "/profiles").json(&other)).expect(409);
    talk.ask(plan("POST", "/profiles", &other)).expect(409);
    let mut lower = other;
    lower["priority"] = 5.into();
    server.create("profiles", &lower);
    // By a change of priority, of a selector, of what is said, and of labels.
    talk.ask(write("PATCH", "/profiles/prod").merge_patch(&json!({"priority": 10}))).expect(409);
    let qa =
        json!({"id": "qa", "selector": "tier=qa", "patches": {"podinfo": {"ui.message": "Hello from qa"}}});
    server.create("profiles", &qa);
    talk.ask(write("PATCH", "/profiles/qa").merge_patch(&json!({"selector": "environment in (prod,qa)"})))
        .expect(409);
    let mut another = cluster("eu-02");
    another["labels"] = json!({"region": "eu"});
    server.create("clusters", &another);
    let message = json!({"patches": {"podinfo": {"ui.message": "Hello from prod"}}, "priority": 0});
    talk.ask(write("PATCH", "/profiles/prod").merge_patch(&message)).expect(409);
    talk.ask(write("PATCH", "/clusters/eu-02").merge_patch(&json!({"labels": {"tier": "qa"}}))).expect(409);
    // The cluster's own word settles it.
    let decided =
        json!({"labels": {"tier": "qa"}, "patches": {"podinfo": {"ui.message": "Hello from eu-02"}}});
    talk.ask(write("PATCH", "/clusters/eu-02").merge_patch(&decided)).expect(200);
    // Whoever takes that word back, opens it again.
    talk.ask(write("DELETE", "/clusters/eu-02/patches/podinfo")).expect(409);
    talk.ask(write("POST", "/api/v2/changes").json(&json!({"changes": [
        {"patch": "clusters/eu-02", "body": {"patches": null}},
        {"patch": "profiles/eu", "body": {"priority": 0}},
    ]})))
    .expect(409);
    assert_snapshot!(talk.text());
}

/// What a component requires of its cluster, where it is violated and by which write.
#[test]
fn requirements() {
    let server = layered();
    let upgrade = |id: &str, fields: &Value| {
        server.send(&write("PATCH", format!("/platform_components/{id}")).merge_patch(fields)).expect(200);
    };
    upgrade("traefik", &json!({"oci_tag": "30.1.0"}));
    server
        .send(&write("PATCH", "/clusters/prod-01").merge_patch(&json!({"kubernetes_version": "1.33.2"})))
        .expect(200);
    let mut talk = Transcript::with(&server);
    let podinfo = "/platform_components/podinfo";
    // By the catalog: of clusters that have it by their profile, or by themselves.
    talk.ask(write("PATCH", podinfo).merge_patch(&json!({"requires": {"traefik": ">=31"}}))).expect(409);
    talk.ask(write("PATCH", podinfo).merge_patch(&json!({"kubernetes": ">=1.34"}))).expect(409);
    // One of them does not have what is required at all.
    let requires =
        json!({"requires": {"traefik": "~30.1", "cert-manager": ">=1.15"}, "kubernetes": ">=1.30 <1.34"});
    talk.ask(write("PATCH", podinfo).merge_patch(&requires)).expect(409);
    let requires = json!({"requires": {"traefik": "~30.1"}, "kubernetes": ">=1.30 <1.34"});
    talk.ask(write("PATCH", podinfo).merge_patch(&requires)).expect(200);
    // By a profile, by a cluster's own override, and by its version of Kubernetes.
    let traefik = json!({"platform_components": [{"id": "podinfo", "oci_tag": "6.6.0"}, {"id": "traefik", "oci_tag": "29.0.1"}]});
    talk.ask(write("PATCH", "/profiles/base").merge_patch(&traefik)).expect(409);
    let disabled = json!({"enabled": false});
    talk.ask(write("PUT", "/clusters/prod-01/platform_components/traefik").json(&disabled)).expect(400);
    talk.ask(write("PATCH", "/clusters/prod-01").merge_patch(&json!({"kubernetes_version": "v1.34.0+k0s"})))
        .expect(400);
    // A cluster that comes by a profile's component alone.
    let mut new = cluster("new");
    new["kubernetes_version"] = "1.31".into();
    talk.ask(write("POST", "/clusters").json(&new)).expect(409);
    // A distribution's own version of one that fits.
    let ours = json!({"kubernetes_version": "v1.32.4+k0s.0"});
    talk.ask(write("PATCH", "/clusters/prod-01").merge_patch(&ours)).expect(200);
    // Whatever is required must be there, and not in a circle.
    talk.ask(write("DELETE", "/platform_components/traefik")).expect(409);
    talk.ask(write("PATCH", podinfo).merge_patch(&json!({"requires": {"none": "1", "traefik": "soon"}})))
        .expect(400);
    talk.ask(
        write("PATCH", "/platform_components/traefik").merge_patch(&json!({"requires": {"podinfo": "*"}})),
    )
    .expect(400);
    assert_snapshot!(talk.text());
}

/// What clusters say over their profiles, and for a time only.
#[test]
fn exceptions() {
    let server = layered();
    let pin =
        write("PUT", "/clusters/prod-01/platform_components/podinfo").header("X-Change-Reason", "OPS-7");
    let fields = json!({"oci_tag": "6.5.4", "note": "6.6.0 leaks memory", "expires": "2020-01-31"});
    server.send(&pin.json(&fields)).expect(200);
    let others = json!({
        "unset_patches": {"podinfo": ["ui.logo"]},
        "namespaces": [{"id": "podinfo"}, {"id": "traefik", "note": "for the move", "expires": "2199-01-31T18:00:00Z"}],
    });
    server.send(&write("PATCH", "/clusters/prod-01").merge_patch(&others)).expect(200);
    let excluded =
        write("PUT", "/clusters/prod-01/rolebindings/platform-admins").json(&json!({"exclude": true}));
    let asked = server.send(&excluded).expect(428).json();
    server.send(&excluded.header("If-Plan", asked["plan"]["digest"].as_str().unwrap())).expect(201);
    let mut talk = Transcript::with(&server);
    let report = |query: &str| write("GET", format!("{REPORT}{query}"));
    talk.ask(report("")).expect(200);
    talk.ask(report("?limit=1&offset=3&cluster=prod-01&profile=eu&principal=writer")).expect(200);
    talk.ask(report("?expired=true&type=platform_components&input=podinfo")).expect(200);
    talk.ask(report("?label_selector=region%3Dus")).expect(200);
    for query in [
        "?cluster=none",
        "?profile=none",
        "?type=profiles",
        "?expired=0",
        "?limit=0",
        "?label_selector=a%20b",
        "?id=x",
    ] {
        talk.ask(report(query)).expect(400);
    }
    talk.ask(get(REPORT)).expect(403);
    talk.ask(write("POST", REPORT).json(&json!({}))).expect(405);
    assert_snapshot!(talk.text());
}
