//! The report of exceptions: what is in it, in which order, and by whom it was written.

use std::sync::Arc;

use flux_resourceset_store::{MemoryStore, Store};
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::history::{patch_because, with_jane};
use crate::server::{Server, cluster};

const REPORT: &str = "/api/v2/reports/exceptions";

fn lines(reply: &Reply) -> Vec<String> {
    let list = reply.json();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |one: &Value| {
        let place = ["cluster", "type", "input", "path"].map(|field| text(&one[field])).join(" ");
        let changed = &one["changed"];
        format!("{place} = {} by {} in {}", one["value"], text(&changed["principal"]), changed["revision"])
    };
    list.as_array().unwrap().iter().map(line).collect()
}

fn report(client: &Client, query: &str) -> Vec<String> {
    lines(&client.get(&format!("{REPORT}{query}")).expect(200))
}

/// Two clusters, a third that is held, a profile of each region, and what the clusters say over it.
fn excepted() -> (Server, Client) {
    let (server, jane) = with_jane(&[]);
    server.fill();
    let writer = server.writer();
    for (name, environment, region) in [("c2", "dev", "eu"), ("c3", "prod", "us")] {
        let mut document = cluster(name);
        document["environment"] = environment.into();
        document["labels"] = json!({"region": region});
        writer.post("/clusters", document).expect(201);
    }
    let base = json!({
        "id": "base", "selector": "", "platform_components": [{"id": "p1", "oci_tag": "1.0.0"}],
        "patches": {"p1": {"a": "1", "b": "1"}}, "namespaces": [{"id": "n1"}],
    });
    writer.post("/profiles", base).expect(201);
    let eu = json!({"id": "eu", "selector": "region=eu", "priority": 1, "patches": {"p1": {"a": "2"}}});
    writer.post("/profiles", eu).expect(201);
    // 8 and on.
    let pinned = json!({"oci_tag": "0.9.0", "note": "OPS-7", "expires": "2020-01-31"});
    patch_because(&jane, "/clusters/c2/platform_components/p1", &pinned, "broken").expect(200);
    writer.patch("/clusters/c1", json!({"patches": {"p1": {"a": "3"}}})).expect(200);
    patch_because(&jane, "/clusters/c3", &json!({"unset_patches": {"p1": ["b"]}}), "no b").expect(200);
    let excluded = json!({"id": "n1", "exclude": true, "expires": "2199-12-31"});
    writer.confirmed("PATCH", "/clusters/c2", Some(json!({"namespaces": [excluded]}))).expect(200);
    // Says what the profile says: no exception.
    writer.patch("/clusters/c1/platform_components/p1", json!({"oci_tag": "1.0.0"})).expect(200);
    // Touches a document with exceptions, and none of them.
    writer.patch("/clusters/c2", json!({"node_count": 3})).expect(200);
    (server, jane)
}

#[test]
fn the_oldest_come_first_with_who_wrote_them() {
    let (server, _jane) = excepted();
    let writer = server.writer();
    assert_eq!(
        report(&writer, ""),
        [
            r#"c2 platform_components p1 source.oci_tag = "0.9.0" by jane in 8"#,
            r#"c1 platform_components p1 patches.a = "3" by writer in 9"#,
            "c3 platform_components p1 patches.b = null by jane in 10",
            "c2 namespaces n1 exclude = true by writer in 11",
        ]
    );
    let all = writer.get(REPORT).expect(200);
    let at = all.json()[0]["changed"]["at"].as_str().unwrap().to_owned();
    assert_eq!(
        all.json()[0],
        json!({
            "cluster": "c2", "type": "platform_components", "input": "p1", "path": "source.oci_tag",
            "value": "0.9.0", "note": "OPS-7", "expires": "2020-01-31", "expired": true,
            "instead": {"value": "1.0.0", "from": "profile", "document": "profiles/base"},
            "changed": {"revision": 8, "at": at, "principal": "jane", "reason": "broken"},
        })
    );
    assert_eq!(all.header("x-total-count"), Some("4"));
    assert_eq!(all.json()[3]["expired"], json!(false));
    assert_eq!(
        all.json()[2]["instead"],
        json!({"value": "1", "from": "profile", "document": "profiles/base"})
    );
    // What a profile comes to say as well is no exception any more.
    writer
        .patch("/profiles/base", json!({"platform_components": [{"id": "p1", "oci_tag": "0.8.0"}]}))
        .expect(200);
    let now = report(&writer, "?input=p1&type=platform_components");
    assert!(
        now.contains(&r#"c1 platform_components p1 source.oci_tag = "1.0.0" by writer in 12"#.to_owned()),
        "{now:?}"
    );
}

#[test]
fn every_filter_leaves_some_out() {
    let (server, _jane) = excepted();
    let writer = server.writer();
    let clusters = |query: &str| {
        let named = report(&writer, query).into_iter();
        named.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    for (query, expected) in [
        ("?cluster=c2", "c2 c2"),
        ("?profile=eu", "c2 c2"),
        ("?profile=base", "c2 c1 c3 c2"),
        ("?label_selector=region", "c2 c3 c2"),
        ("?label_selector=region&profile=eu", "c2 c2"),
        ("?label_selector=region%3Dus&profile=eu", ""),
        ("?cluster=c3&profile=eu", ""),
        ("?type=namespaces", "c2"),
        ("?input=p1", "c2 c1 c3"),
        ("?input=none", ""),
        ("?principal=jane", "c2 c3"),
        ("?principal=nobody", ""),
        ("?expired=true", "c2"),
        ("?expired=false", "c1 c3 c2"),
        ("?expired=true&type=namespaces", ""),
        ("?limit=2", "c2 c1"),
        ("?limit=1&offset=2", "c3"),
        ("?offset=9", ""),
    ] {
        assert_eq!(clusters(query), expected, "{query}");
    }
    let total = |query: &str| {
        writer.get(&format!("{REPORT}{query}")).expect(200).header("x-total-count").unwrap().to_owned()
    };
    assert_eq!((total("?limit=1&offset=1"), total("?principal=jane")), ("4".into(), "2".into()));
    for (query, code) in [
        ("?cluster=none", "invalid_parameter"),
        ("?profile=none", "invalid_parameter"),
        ("?type=clusters", "invalid_parameter"),
        ("?label_selector=a%20b", "invalid_parameter"),
        ("?expired=soon", "invalid_parameter"),
        ("?limit=0", "invalid_parameter"),
        ("?limit=1001", "invalid_parameter"),
        ("?offset=-1", "invalid_parameter"),
        ("?environment=dev", "unknown_parameter"),
    ] {
        assert_eq!(writer.get(&format!("{REPORT}{query}")).expect(400).code(), code, "{query}");
    }
    assert_eq!(server.reader().get(REPORT).expect(403).code(), "forbidden");
}

/// What a held cluster has stands in its tombstone, and so since it was deleted.
#[test]
fn a_held_cluster_is_reported_too() {
    let (server, _jane) = excepted();
    let writer = server.writer();
    writer.delete("/clusters/c3").expect(200);
    assert_eq!(
        report(&writer, "?cluster=c3"),
        ["c3 platform_components p1 patches.b = null by writer in 14"]
    );
    writer.confirmed("POST", "/api/v2/tombstones/c3/wipe", None).expect(200);
    assert_eq!(writer.get(&format!("{REPORT}?cluster=c3")).expect(400).code(), "invalid_parameter");
}

#[test]
fn nothing_is_older_than_what_was_before_the_history() {
    let store = MemoryStore::new();
    let server = Server::over(Arc::new(store.clone()), &[]);
    server.fill();
    let writer = server.writer();
    let base = json!({"id": "base", "selector": "", "platform_components": [{"id": "p1", "oci_tag": "1"}]});
    writer.post("/profiles", base).expect(201);
    writer.patch("/clusters/c1/platform_components/p1", json!({"oci_tag": "2"})).expect(200);
    writer.post("/clusters", cluster("c0")).expect(201);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.forget(i64::MAX)).unwrap();
    writer.patch("/clusters/c0/platform_components/p1", json!({"oci_tag": "3"})).expect(200);
    let all = writer.get(REPORT).expect(200).json();
    assert_eq!(all[0]["changed"], json!({"before_history": true}));
    let seen = [0, 1].map(|at| (all[at]["cluster"].clone(), all[at]["value"].clone()));
    assert_eq!(seen, [(json!("c1"), json!("2")), (json!("c0"), json!("3"))]);
    assert_eq!(report(&writer, "?principal=writer").len(), 1, "who it was before that is not known");
}

/// More clusters than are looked at in one go.
#[test]
fn a_fleet_is_reported_whole() {
    let server = Server::seeded();
    let writer = server.writer();
    let base = json!({"id": "base", "selector": "", "platform_components": [{"id": "p1", "oci_tag": "1"}]});
    writer.post("/profiles", base).expect(201);
    let changes: Vec<_> = (0..150)
        .map(|n| {
            let mut document = cluster(&format!("x{n:03}"));
            document["platform_components"][0]["oci_tag"] = "2".into();
            json!({"create": format!("clusters/x{n:03}"), "body": document})
        })
        .collect();
    writer.post("/api/v2/changes", json!({"changes": changes})).expect(200);
    writer.patch("/clusters/x100/platform_components/p1", json!({"oci_tag": "3"})).expect(200);
    let page = writer.get(&format!("{REPORT}?limit=2&offset=148")).expect(200);
    assert_eq!(page.header("x-total-count"), Some("150"));
    assert_eq!(
        lines(&page),
        [
            r#"x149 platform_components p1 source.oci_tag = "2" by writer in 5"#,
            r#"x100 platform_components p1 source.oci_tag = "3" by writer in 6"#,
        ]
    );
}
