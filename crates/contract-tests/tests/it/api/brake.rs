//! What holds clusters as they are: freezes, and taking a protected cluster away in two steps.

use flux_resourceset_contract_tests::check;
use insta::assert_snapshot;
use serde_json::json;

use crate::http::Request;
use crate::server::{READ, Server, WRITE, cluster};
use crate::transcript::Transcript;

const FREEZES: &str = "/api/v2/freezes";
const POLL: &str = "/api/v2/flux/clusters/prod-01.k8s.example.com/platform-components";
const TOMBSTONE: &str = "/api/v2/tombstones/prod-01";

fn get(path: impl Into<String>) -> Request {
    Request::get(path).token(READ)
}

fn write(method: &str, path: &str) -> Request {
    Request::new(method, path).token(WRITE)
}

#[test]
fn freezes() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    let freeze = json!({"id": "incident-7", "selector": "environment=prod", "reason": "ingress fails in eu"});
    talk.ask(write("POST", &format!("{FREEZES}?plan=true")).json(&freeze)).expect(200);
    talk.ask(write("POST", FREEZES).json(&freeze)).expect(201);
    talk.ask(get(FREEZES)).expect(200);
    talk.ask(get(format!("{FREEZES}/incident-7"))).expect(200);
    let frozen = talk.ask(get(POLL)).expect(503);
    assert!(check(&frozen.body).is_err(), "no answer that Flux could take for inputs");
    let list = talk.ask(get("/api/v2/flux/clusters?environment=prod")).expect(200);
    assert_eq!(check(&list.body).unwrap().inputs, 1);
    talk.ask(get("/clusters/prod-01")).expect(200);
    // It goes on being written, and says so.
    let tag = json!({"oci_tag": "6.7.0"});
    talk.ask(write("PUT", "/clusters/prod-01/platform_components/podinfo").json(&tag)).expect(200);
    talk.ask(
        write("PATCH", "/platform_components/podinfo?plan=true").merge_patch(&json!({"oci_tag": "7.0.0"})),
    )
    .expect(200);
    talk.ask(write("PATCH", "/platform_components/traefik?plan=true").merge_patch(&tag)).expect(200);
    // What would let it go, or make it another cluster, is not done.
    for merge_patch in [json!({"environment": "dev"}), json!({"cluster_dns": "moved.k8s.example.com"})] {
        talk.ask(write("PATCH", "/clusters/prod-01").merge_patch(&merge_patch)).expect(409);
    }
    let unnamed = json!({"selector": "region=eu", "reason": "once more"});
    talk.ask(write("POST", FREEZES).json(&unnamed)).expect(201);
    talk.ask(get("/clusters/prod-01/namespaces/podinfo")).expect(200);
    let address = format!("{FREEZES}/incident-7");
    talk.ask(write("DELETE", &format!("{address}?plan=true"))).expect(200);
    talk.ask(write("DELETE", &address)).expect(200);
    let second = server.get(FREEZES).json()[0]["id"].as_str().unwrap().to_owned();
    let gathered = talk.ask(write("DELETE", &format!("{FREEZES}/{second}?plan=true"))).expect(200).json();
    let lift = || write("DELETE", &format!("{FREEZES}/{second}"));
    server
        .send(
            &write("PUT", "/clusters/prod-01/platform_components/podinfo").json(&json!({"oci_tag": "6.8.0"})),
        )
        .expect(200);
    talk.ask(lift().header("If-Plan", gathered["digest"].as_str().unwrap())).expect(412);
    talk.ask(lift()).expect(200);
    let lifted = server.get(POLL).expect(200);
    assert_eq!(check(&lifted.body).unwrap().inputs, 2);
    assert_eq!(lifted.json()["inputs"][0]["source"]["oci_tag"], "6.8.0");
    assert_snapshot!(talk.text());
}

#[test]
fn freezes_that_are_refused() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    let post = |path: &str| write("POST", path);
    talk.ask(post(FREEZES).json(&json!({"selector": "region in eu", "reason": "x"}))).expect(400);
    talk.ask(post(FREEZES).json(&json!({"selector": "region=us", "reason": "x"}))).expect(400);
    talk.ask(post(FREEZES).json(&json!({"id": "F", "reason": "", "until": "tomorrow"}))).expect(400);
    let later = json!({"id": "later", "selector": "region=us", "reason": "whoever comes"});
    talk.ask(post(&format!("{FREEZES}?allow_empty=true")).json(&later)).expect(201);
    talk.ask(post(FREEZES).json(&json!({"id": "later", "selector": "", "reason": "again"}))).expect(409);
    talk.ask(write("PUT", &format!("{FREEZES}/later")).json(&json!({}))).expect(405);
    talk.ask(write("DELETE", &format!("{FREEZES}/none"))).expect(404);
    assert_snapshot!(talk.text());
}

/// A cluster of a protected environment: deleted, held, brought back, deleted, wiped, forgotten.
#[test]
fn held() {
    let server = Server::protected();
    let mut talk = Transcript::with(&server);
    let (listed, answer) = (server.get("/api/v2/flux/clusters").body, server.get(POLL).body);
    talk.ask(write("DELETE", "/clusters/prod-01?plan=true")).expect(200);
    talk.ask(write("DELETE", "/clusters/prod-01").header("X-Change-Reason", "decommission")).expect(200);
    let held = talk.ask(get(POLL)).expect(410);
    assert!(check(&held.body).is_err(), "no answer that Flux could take for inputs");
    assert_eq!(server.get("/api/v2/flux/clusters").expect(200).body, listed);
    talk.ask(get("/api/v2/tombstones")).expect(200);
    talk.ask(get(TOMBSTONE)).expect(200);
    // What it refers to, and its name, still are its own.
    talk.ask(write("DELETE", "/platform_components/podinfo")).expect(409);
    let mut heir = cluster("heir");
    heir["cluster_dns"] = "prod-01.k8s.example.com".into();
    talk.ask(write("POST", "/clusters").json(&heir)).expect(409);
    talk.ask(write("POST", &format!("{TOMBSTONE}/restore?plan=true"))).expect(200);
    talk.ask(write("POST", &format!("{TOMBSTONE}/restore"))).expect(201);
    assert_eq!(server.get(POLL).expect(200).body, answer);
    talk.ask(write("POST", &format!("{TOMBSTONE}/restore"))).expect(404);
    server.send(&write("DELETE", "/clusters/prod-01")).expect(200);
    let wipe = || write("POST", &format!("{TOMBSTONE}/wipe"));
    let asked = talk.ask(wipe()).expect(428);
    let digest = asked.json()["plan"]["digest"].as_str().unwrap().to_owned();
    talk.ask(wipe().header("If-Plan", &digest)).expect(200);
    assert_eq!(check(&server.get(POLL).expect(200).body).unwrap().inputs, 0);
    talk.ask(write("DELETE", &format!("{TOMBSTONE}?plan=true"))).expect(200);
    talk.ask(write("DELETE", TOMBSTONE)).expect(200);
    talk.ask(get(POLL)).expect(404);
    talk.ask(wipe()).expect(404);
    assert_snapshot!(talk.text());
}

/// To forget a cluster that is held is to let it go without a word: it is the wipe's question, or none.
#[test]
fn a_held_tombstone_is_not_purged_unasked() {
    let server = Server::protected();
    server.send(&write("DELETE", "/clusters/prod-01")).expect(200);
    let mut talk = Transcript::with(&server);
    talk.ask(write("DELETE", TOMBSTONE));
    talk.ask(get(POLL));
    assert_snapshot!(talk.text());
}

/// A changed DNS name is the cluster's own until its alias is taken away.
#[test]
fn aliases() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    let one = "/clusters/demo-cluster-01";
    let moved = json!({"cluster_dns": "elsewhere.example.com"});
    talk.ask(write("PATCH", one).merge_patch(&moved)).expect(200);
    let path = |dns: &str| format!("/api/v2/flux/clusters/{dns}/namespaces");
    let old = server.get(&path("demo-cluster-01.k8s.example.com")).expect(200);
    assert_eq!(old.body, server.get(&path("elsewhere.example.com")).body);
    let mut heir = cluster("heir");
    heir["cluster_dns"] = "demo-cluster-01.k8s.example.com".into();
    talk.ask(write("POST", "/clusters").json(&heir)).expect(409);
    talk.ask(write("PATCH", &format!("{one}?plan=true")).merge_patch(&json!({"aliases": null}))).expect(200);
    talk.ask(write("PATCH", one).merge_patch(&json!({"aliases": null}))).expect(200);
    talk.ask(get(path("demo-cluster-01.k8s.example.com"))).expect(404);
    assert_snapshot!(talk.text());
}
