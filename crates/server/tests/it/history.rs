//! The history over HTTP: changes listed by every filter and in pages, one change with its documents, and
//! what leaves the history with HISTORY_DAYS.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flux_resourceset_store::MemoryStore;
use serde_json::{Value, json};

use crate::client::{Client, Reply, until};
use crate::faulty_store::FaultyStore;
use crate::server::Server;

const CHANGES: &str = "/api/v2/changes";
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A server that knows a second person who may write, `jane`, and that person's client.
pub(crate) fn with_jane(variables: &[(&str, &str)]) -> (Server, Client) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.yaml");
    std::fs::write(&file, "tokens: [{name: jane, access: write, secret: jane-secret}]").unwrap();
    let variables: Vec<_> =
        variables.iter().copied().chain([("TOKENS_FILE", file.to_str().unwrap())]).collect();
    let server = Server::over(Arc::new(MemoryStore::new()), &variables);
    let jane = Client { address: server.address, token: Some("jane-secret") };
    (server, jane)
}

pub(crate) fn patch_because(client: &Client, path: &str, body: &Value, reason: &str) -> Reply {
    let headers = [("Content-Type", "application/json"), ("X-Change-Reason", reason)];
    client.send("PATCH", path, &headers, &body.to_string())
}

fn revisions(reply: &Reply) -> Vec<u64> {
    let json = reply.json();
    json.as_array().unwrap().iter().map(|change| change["revision"].as_u64().unwrap()).collect()
}

/// Seven revisions: a namespace, a component, a cluster of both, an unrelated namespace, the component
/// changed by jane, the cluster deleted, and another cluster.
fn story() -> (Server, Client) {
    let (server, jane) = with_jane(&[]);
    server.fill();
    let writer = server.writer();
    writer.post("/namespaces", json!({"id": "unrelated"})).expect(201);
    patch_because(&jane, "/platform_components/p1", &json!({"oci_tag": "1.1.0"}), "CVE & co").expect(200);
    writer.delete("/clusters/c1").expect(200);
    let other = json!({"cluster_name": "c2", "cluster_dns": "c2.example.com", "environment": "dev"});
    writer.post("/clusters", other).expect(201);
    (server, jane)
}

#[test]
fn changes_are_listed_newest_first_by_every_filter() {
    let (server, _) = story();
    let writer = server.writer();
    let all = writer.get(CHANGES).expect(200);
    assert_eq!((revisions(&all), all.header("link")), (vec![7, 6, 5, 4, 3, 2, 1], None));
    let fifth = &all.json()[2];
    assert_eq!(
        (&fifth["principal"], &fifth["reason"], &fifth["operation_count"], &fifth["document_count"]),
        (&json!("jane"), &json!("CVE & co"), &json!(1), &json!(1))
    );
    assert_eq!(fifth["operations"], json!([{"verb": "patch", "target": "platform_components/p1"}]));
    assert_eq!(fifth["documents"], json!(["platform_components/p1"]));
    assert!(fifth["request_id"].is_string());
    let at = |revision: usize| all.json()[7 - revision]["at"].as_str().unwrap().to_owned();
    for (filter, expected) in [
        ("type=namespaces".to_owned(), &[4, 1][..]),
        ("id=c1".into(), &[6, 3]),
        ("type=tombstones&id=c1".into(), &[6]),
        ("principal=jane".into(), &[5]),
        ("principal=nobody".into(), &[]),
        // Its own changes, its tombstone's, and those of what it referred to last.
        ("cluster=c1".into(), &[6, 5, 3, 2, 1]),
        ("cluster=c1&principal=writer&type=clusters".into(), &[6, 3]),
        ("cluster=none".into(), &[]),
        ("before=3".into(), &[2, 1]),
        ("before=0".into(), &[]),
        (format!("until={}", at(1)), &[]),
        ("until=2001-01-01T00:00:00Z".into(), &[]),
        ("from=2001-01-01T00:00:00%2B02:00&type=namespaces".into(), &[4, 1]),
        ("from=2200-01-01T00:00:00Z".into(), &[]),
    ] {
        let found = writer.get(&format!("{CHANGES}?{filter}")).expect(200);
        assert_eq!(revisions(&found), expected, "{filter}");
    }
    let since = revisions(&writer.get(&format!("{CHANGES}?from={}", at(5))).expect(200));
    assert!(since.starts_with(&[7, 6, 5]), "{since:?}");
}

#[test]
fn pages_follow_each_other_by_their_links() {
    let (server, _) = story();
    let mut next = Some(format!("{CHANGES}?limit=2&principal=writer"));
    let mut seen = Vec::new();
    while let Some(page) = next.take() {
        let page = server.writer().get(&page).expect(200);
        seen.push(revisions(&page));
        next = page.header("link").map(|link| {
            let (path, relation) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
            assert_eq!(relation, "; rel=\"next\"");
            path.to_owned()
        });
    }
    assert_eq!(seen, [vec![7, 6], vec![4, 3], vec![2, 1]]);
    let link =
        server.writer().get(&format!("{CHANGES}?limit=1&from=2001-01-01T00:00:00%2B02:00")).expect(200);
    let expected = "</api/v2/changes?limit=1&from=2001-01-01T00:00:00%2B02:00&before=7>; rel=\"next\"";
    assert_eq!(link.header("link"), Some(expected));
}

#[test]
fn a_change_is_shown_whole_with_its_documents_before_and_after() {
    let (server, _) = story();
    let writer = server.writer();
    let fifth = writer.get("/api/v2/changes/5").expect(200);
    assert_eq!(fifth.header("x-total-count"), Some("1"));
    let fifth = fifth.json();
    assert_eq!(
        fifth["operations"],
        json!([{"verb": "patch", "target": "platform_components/p1", "body": {"oci_tag": "1.1.0"}}])
    );
    let document = &fifth["documents"][0];
    assert_eq!((&document["type"], &document["id"]), (&json!("platform_components"), &json!("p1")));
    assert_eq!((document["before"].get("oci_tag"), &document["after"]["oci_tag"]), (None, &json!("1.1.0")));
    let deleted = writer.get("/api/v2/changes/6").expect(200).json();
    let sides = |at: usize| {
        let document = &deleted["documents"][at];
        (
            document["type"].as_str().unwrap().to_owned(),
            document["before"].is_null(),
            document["after"].is_null(),
        )
    };
    assert_eq!((sides(0), sides(1)), (("clusters".into(), false, true), ("tombstones".into(), true, false)));
    let page = writer.get("/api/v2/changes/6?limit=1&offset=1").expect(200);
    assert_eq!(page.header("x-total-count"), Some("2"));
    assert_eq!(page.json()["documents"].as_array().unwrap().len(), 1);
    assert_eq!(page.json()["documents"][0]["type"], "tombstones");
    let many = json!({"reason": "many", "changes": [
        {"update": "clusters/*/namespaces/n1", "select": "id=c2", "body": {}},
        {"delete": "namespaces/unrelated", "force": true},
    ]});
    writer.post(CHANGES, many).expect(200);
    assert_eq!(
        writer.get("/api/v2/changes/8").expect(200).json()["operations"],
        json!([
            {"verb": "update", "target": "clusters/*/namespaces/n1", "select": "id=c2", "body": {}},
            {"verb": "delete", "target": "namespaces/unrelated", "force": true},
        ])
    );
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let (server, _) = story();
    for (path, status, code) in [
        ("?type=cluster", 400, "invalid_parameter"),
        ("?from=yesterday", 400, "invalid_parameter"),
        ("?from=2026-01-31", 400, "invalid_parameter"),
        // A plus that was not encoded is a space.
        ("?until=2026-01-31T12:00:00+01:00", 400, "invalid_parameter"),
        ("?limit=0", 400, "invalid_parameter"),
        ("?limit=1001", 400, "invalid_parameter"),
        ("?before=x", 400, "invalid_parameter"),
        ("?offset=1", 400, "unknown_parameter"),
        ("/0", 404, "not_found"),
        ("/8", 404, "not_found"),
        ("/18446744073709551615", 404, "not_found"),
        ("/18446744073709551616", 400, "invalid_parameter"),
        ("/-1", 400, "invalid_parameter"),
        ("/x", 400, "invalid_parameter"),
        ("/5?limit=0", 400, "invalid_parameter"),
        ("/5?limit=1001", 400, "invalid_parameter"),
    ] {
        let reply = server.writer().get(&format!("{CHANGES}{path}")).expect(status);
        assert_eq!(reply.code(), code, "{path}");
    }
}

#[test]
fn who_may_only_read_sees_nothing_of_the_past() {
    let (server, _) = story();
    let flux = "/api/v2/flux/clusters";
    for path in [
        CHANGES,
        "/api/v2/changes/5",
        "/clusters/c2?revision=7",
        "/api/v2/tombstones/c1?revision=7",
        "/clusters/c2/platform_components/p1?revision=7",
        &format!("{flux}?revision=7"),
        &format!("{flux}?at=2026-01-01T00:00:00Z"),
        &format!("{flux}/c2.example.com/namespaces?revision=7"),
        &format!("{flux}/c2.example.com/namespaces?at=2026-01-01T00:00:00Z"),
        "/api/v2/explain/c2",
        "/api/v2/explain/c2/namespaces",
        "/api/v2/explain/c2/namespaces/n1",
    ] {
        assert_eq!(server.reader().get(path).expect(403).code(), "forbidden", "{path}");
        assert_eq!(server.anyone().get(path).expect(401).code(), "unauthorized", "{path}");
    }
    let revert = "/api/v2/changes/5/revert";
    assert_eq!(server.reader().post(revert, json!({})).expect(403).code(), "forbidden");
    assert_eq!(
        server.reader().post(&format!("{revert}?plan=true"), json!({})).expect(403).code(),
        "forbidden"
    );
}

#[test]
fn what_is_older_than_history_days_is_forgotten() {
    let inner = MemoryStore::new();
    {
        let server = Server::over(Arc::new(inner.clone()), &[]);
        server.fill();
        server.writer().patch("/platform_components/p1", json!({"oci_tag": "1.1.0"})).expect(200);
        server.writer().patch("/platform_components/p1", json!({"oci_tag": "1.2.0"})).expect(200);
    }
    let store = FaultyStore::over(&inner);
    let poll = "/api/v2/flux/clusters/c1.example.com/platform-components";
    {
        let kept = Server::over(store.clone(), &[("HISTORY_DAYS", "1")]);
        assert_eq!(revisions(&kept.writer().get(CHANGES).expect(200)).len(), 5, "nothing is a day old");
    }
    store.later.store(2 * DAY, Ordering::SeqCst);
    let server = Server::over(store.clone(), &[("HISTORY_DAYS", "1")]);
    let writer = server.writer();
    until("forgotten", || revisions(&writer.get(CHANGES).expect(200)) == [5]);
    assert_eq!(server.reader().get(poll).expect(200).json()["inputs"][0]["source"]["oci_tag"], "1.2.0");
    let begins = "/platform_components/p1?revision=4";
    assert_eq!(writer.get(begins).expect(200).json()["oci_tag"], "1.1.0");
    for path in [
        "/api/v2/changes/4",
        "/platform_components/p1?revision=3",
        "/clusters/c1?revision=0",
        "/api/v2/flux/clusters?revision=3",
        &format!("{poll}?revision=3"),
        &format!("{poll}?at=2001-01-01T00:00:00Z"),
    ] {
        assert_eq!(writer.get(path).expect(404).code(), "history_cut", "{path}");
    }
    let revert = |revision: u64| writer.post(&format!("/api/v2/changes/{revision}/revert"), json!({}));
    assert_eq!(revert(4).expect(404).code(), "history_cut");
    revert(5).expect(200);
    let fields = writer.get("/api/v2/explain/c1/platform-components/p1").expect(200).json();
    let changed = |path: &str| {
        let fields = fields["inputs"][0]["fields"].as_array().unwrap();
        fields.iter().find(|field| field["path"] == path).unwrap()["changed"].clone()
    };
    assert_eq!(changed("source.oci_url"), json!({"before_history": true}));
    assert_eq!(changed("source.oci_tag")["revision"], 6);
}

#[test]
fn a_store_that_is_away_says_nothing_of_the_past() {
    let store = FaultyStore::over(&MemoryStore::new());
    let server = Server::over(store.clone(), &[]);
    server.fill();
    store.reads_fail(true);
    for path in [
        CHANGES,
        "/api/v2/changes/1",
        "/clusters/c1?revision=3",
        "/api/v2/flux/clusters?revision=2",
        "/api/v2/flux/clusters?at=2200-01-01T00:00:00Z",
        "/api/v2/explain/c1",
    ] {
        let reply = server.writer().get(path).expect(503);
        assert_eq!(
            (reply.code().as_str(), reply.header("retry-after")),
            ("store_unavailable", Some("5")),
            "{path}"
        );
    }
    store.reads_fail(false);
    server.writer().get("/api/v2/changes/1").expect(200);
}

#[test]
fn the_history_is_where_documents_are() {
    let store = Arc::new(MemoryStore::new());
    let writing = Server::over(store.clone(), &[]);
    writing.fill();
    writing.writer().delete("/clusters/c1").expect(200);
    let server = Server::over(store, &[("API_MODE", "read-only")]);
    let writer = server.writer();
    for path in [CHANGES, "/api/v2/changes/1", "/api/v2/explain/c1", "/clusters/c1?revision=3"] {
        assert_eq!(writer.get(path).expect(404).code(), "read_only", "{path}");
    }
    // What polls were answered is told by whoever answers polls.
    let poll = "/api/v2/flux/clusters/c1.example.com/namespaces";
    assert_eq!(writer.get(poll).expect(200).json(), json!({"inputs": []}));
    let past = writer.get(&format!("{poll}?revision=3")).expect(200);
    assert_eq!(past.json()["inputs"][0]["id"], "n1");
    writer.get("/api/v2/flux/clusters?revision=3").expect(200);
}
