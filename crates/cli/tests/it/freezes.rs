//! Freezes, and the notice of them; clusters and tombstones that are taken away or brought back.

use serde_json::{Value, json};

use crate::guard::plan;
use crate::stub::{Answer, Ended, Stub, cli, ended, fails, succeeds};

#[test]
fn a_freeze_has_a_selector_and_a_reason() {
    let freeze = json!({"id": "incident-42", "selector": "region=eu", "reason": "etcd is slow"});
    let none = json!({"digest": "d", "effects": []});
    let made = Answer::json(201, &freeze).with("etag", "\"8-d3\"");
    let stub = Stub::answering(vec![Answer::json(200, &none), made]);
    let create = "freeze create --id incident-42 --select region=eu --reason 'etcd is slow' --allow-empty";
    let Ended { code, stdout, stderr } = ended(cli(&stub.url, create));
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), freeze);
    assert_eq!(stderr, "No cluster is frozen by it now.\nrevision 8\n");
    let asked = stub.asked();
    assert_eq!(asked[0].line, "POST /api/v2/freezes?allow_empty=true&plan=true");
    assert_eq!(asked[1].line, "POST /api/v2/freezes?allow_empty=true");
    assert_eq!(asked[1].body, freeze);
    let said = fails(cli("http://127.0.0.1:1", "freeze create --select region=eu"), 2);
    assert!(said.starts_with("error: why? Give --reason"), "{said}");
}

#[test]
fn lifting_says_what_has_gathered() {
    let freeze = json!({"id": "incident-42", "selector": "", "reason": "etcd"});
    let stub = Stub::answering(vec![Answer::json(200, &plan(2)), Answer::json(200, &freeze)]);
    let Ended { code, stderr, .. } = ended(cli(&stub.url, "freeze lift incident-42"));
    assert_eq!(code, Some(0));
    assert!(stderr.starts_with("3 clusters change; something is destroyed on 2."), "{stderr}");
    assert_eq!(stub.asked()[1].header("if-plan"), None, "nobody was asked");
}

#[test]
fn every_command_about_a_frozen_cluster_says_so_once() {
    let cluster = || Answer::json(200, &json!({"id": "eu-1"})).with("x-frozen", "incident-42");
    let freeze = Answer::json(200, &json!({"id": "incident-42", "reason": "etcd\u{1b}[2J"}));
    let stub = Stub::answering(vec![cluster(), cluster(), freeze]);
    let Ended { code, stderr, .. } = ended(cli(&stub.url, "namespace assign team --cluster eu-1"));
    assert_eq!(code, Some(0));
    assert_eq!(stderr, "eu-1 is frozen by incident-42: etcd\\u{1b}[2J\n");
    stub.asked();
}

#[test]
fn a_deleted_cluster_says_what_it_loses_and_whether_it_is_held() {
    let effect = |kind: &str, input: &str| {
        json!({"effect": "remove", "destructive": true, "type": kind, "input": input, "count": 1,
            "clusters": ["eu-1"]})
    };
    let planned = json!({"digest": "d1", "clusters": 1, "effects": [
        effect("platform_components", "a"), effect("platform_components", "b"), effect("namespaces", "n"),
        effect("clusters", ""),
    ]});
    let answers = |planned: &Value, tombstone: &Value| {
        vec![
            Answer::json(200, &json!([])),
            Answer::json(200, planned),
            Answer::json(200, &json!({"id": "eu-1"})),
            Answer::json(200, tombstone),
        ]
    };
    let stub = Stub::answering(answers(&planned, &json!({"id": "eu-1"})));
    let Ended { stderr, .. } = ended(cli(&stub.url, "cluster delete eu-1"));
    assert_eq!(stderr, "eu-1 loses 1 namespace, 2 components.\n");
    assert_eq!(stub.asked()[1].line, "DELETE /clusters/eu-1?plan=true");

    let nothing = json!({"digest": "d0", "effects": []});
    let stub = Stub::answering(answers(&nothing, &json!({"id": "eu-1", "held": true})));
    let Ended { stderr, .. } = ended(cli(&stub.url, "cluster delete eu-1"));
    assert!(stderr.starts_with("eu-1 is held: it keeps what it has. `tombstone wipe eu-1`"), "{stderr}");
    stub.asked();
}

#[test]
fn a_tombstone_is_restored_wiped_and_purged() {
    for (verb, line) in [
        ("restore", "POST /api/v2/tombstones/eu-1/restore"),
        ("wipe", "POST /api/v2/tombstones/eu-1/wipe"),
        ("purge", "DELETE /api/v2/tombstones/eu-1"),
    ] {
        let stub = Stub::answering(vec![Answer::json(200, &json!({"id": "eu-1"}))]);
        succeeds(cli(&stub.url, &format!("tombstone {verb} eu-1")));
        assert_eq!(stub.asked()[0].line, line);
    }
}
