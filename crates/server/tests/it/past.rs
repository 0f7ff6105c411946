//! Reads of the past: what was answered at every revision is answered again, by revision and by time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_store::{Access, MemoryStore, SqliteStore};
use serde_json::json;

use crate::client::{Client, Reply};
use crate::server::{Server, cluster};

/// Whatever is asked at every revision.
const DOCUMENTS: [&str; 7] = [
    "/clusters/c1",
    "/clusters/p",
    "/api/v2/tombstones/c1",
    "/api/v2/tombstones/p",
    "/platform_components/p1",
    "/api/v2/freezes/f",
    "/clusters/c1/platform_components/p1",
];
const ANSWERS: [&str; 6] = [
    "/api/v2/flux/clusters/c1.example.com/platform-components",
    "/api/v2/flux/clusters/C1.example.com./namespaces",
    "/api/v2/flux/clusters/p.example.com/platform-components",
    "/api/v2/flux/clusters/new.example.com/namespaces",
    "/api/v2/flux/clusters",
    "/api/v2/flux/clusters?environment=prod",
];

/// What counts of an answer: of an error its code.
type Seen = (u16, String, Option<String>);

fn seen(reply: &Reply) -> Seen {
    let body = match reply.status {
        200 => String::from_utf8(reply.body.clone()).unwrap(),
        _ => reply.code(),
    };
    // The weak tag of a poll is for whoever polls, which asks of no past.
    let tag = reply.header("etag").filter(|tag| !tag.starts_with("W/"));
    (reply.status, body, tag.map(str::to_owned))
}

fn ask(client: &Client, paths: &[&'static str], parameter: &str) -> BTreeMap<&'static str, Seen> {
    let with = |path: &str| {
        let mark = if path.contains('?') { '&' } else { '?' };
        if parameter.is_empty() { path.to_owned() } else { format!("{path}{mark}{parameter}") }
    };
    paths.iter().map(|path| (*path, seen(&client.get(&with(path))))).collect()
}

type Write = fn(&Client) -> Reply;

/// One revision each.
const WRITES: [Write; 14] = [
    |writer| writer.post("/namespaces", json!({"id": "n1"})).expect(201),
    |writer| {
        let component =
            json!({"id": "p1", "component_path": "p1", "oci_url": "oci://registry.example/charts"});
        writer.post("/platform_components", component).expect(201)
    },
    |writer| writer.post("/clusters", cluster("c1")).expect(201),
    |writer| {
        let mut protected = cluster("p");
        protected["environment"] = "prod".into();
        writer.post("/clusters", protected).expect(201)
    },
    |writer| writer.patch("/platform_components/p1", json!({"oci_tag": "1.1.0"})).expect(200),
    |writer| writer.put("/clusters/c1/platform_components/p1", json!({"oci_tag": "1.0.0-1"})).expect(200),
    |writer| {
        let freeze = json!({"id": "f", "selector": "id=c1", "reason": "bad change"});
        writer.post("/api/v2/freezes", freeze).expect(201)
    },
    |writer| writer.patch("/platform_components/p1", json!({"oci_tag": "1.2.0"})).expect(200),
    |writer| writer.delete("/api/v2/freezes/f").expect(200),
    |writer| writer.patch("/clusters/c1", json!({"cluster_dns": "new.example.com"})).expect(200),
    |writer| writer.delete("/clusters/p").expect(200),
    |writer| writer.delete("/clusters/c1").expect(200),
    |writer| writer.post("/api/v2/tombstones/c1/restore", json!({})).expect(201),
    |writer| writer.confirmed("POST", "/api/v2/tombstones/p/wipe", None).expect(200),
];

#[test]
fn what_was_answered_is_answered_again() {
    remembered(&Server::new());
}

#[test]
fn what_was_answered_from_a_file_is_answered_again() {
    let folder = tempfile::tempdir().unwrap();
    let opening = SqliteStore::open(folder.path().join("store.db"), Access::ReadWrite { create: true });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = runtime.block_on(opening).unwrap();
    remembered(&Server::over(Arc::new(store), &[]));
}

fn remembered(server: &Server) {
    let writer = server.writer();
    let mut then = Vec::new();
    for write in WRITES {
        write(&writer);
        then.push((ask(&writer, &DOCUMENTS, ""), ask(&writer, &ANSWERS, "")));
        // Each revision has a time of its own.
        std::thread::sleep(Duration::from_millis(5));
    }
    let log = writer.get("/api/v2/changes").expect(200).json();
    assert_eq!(log.as_array().unwrap().len(), WRITES.len());
    for (index, (documents, answers)) in then.into_iter().enumerate() {
        let revision = index + 1;
        let by_revision = format!("revision={revision}");
        assert_eq!(ask(&writer, &DOCUMENTS, &by_revision), documents, "revision {revision}");
        assert_eq!(ask(&writer, &ANSWERS, &by_revision), answers, "revision {revision}");
        let at = log[WRITES.len() - revision]["at"].as_str().unwrap();
        assert_eq!(ask(&writer, &ANSWERS, &format!("at={at}")), answers, "revision {revision}, {at}");
    }
}

#[test]
fn which_revision_it_was_is_said() {
    let server = Server::seeded();
    let writer = server.writer();
    writer.patch("/platform_components/p1", json!({"oci_tag": "1.1.0"})).expect(200);
    let poll = "/api/v2/flux/clusters/c1.example.com/platform-components";
    let revision = |path: &str| writer.get(path).expect(200).header("x-revision").map(str::to_owned);
    assert_eq!(revision(&format!("{poll}?revision=3")), Some("3".into()));
    assert_eq!(revision("/api/v2/flux/clusters?revision=4"), Some("4".into()));
    assert_eq!(revision("/platform_components/p1?revision=3"), Some("3".into()));
    assert_eq!(revision("/api/v2/flux/clusters?at=2200-01-01T00:00:00Z"), Some("4".into()), "the head");
    assert_eq!((revision(poll), revision("/clusters/c1")), (None, None));
    // The tag names the version, and conditions hold as they do for the present.
    let past = writer.get("/platform_components/p1?revision=3").expect(200);
    assert_eq!(past.revision(), "2");
    let tag = past.header("etag").unwrap();
    let again = writer.send("GET", "/platform_components/p1?revision=3", &[("If-None-Match", tag)], "");
    assert_eq!((again.status, again.header("x-revision")), (304, Some("3")));
    let other = writer.send("GET", "/platform_components/p1?revision=4", &[("If-Match", tag)], "");
    assert_eq!(other.expect(412).code(), "precondition_failed");
}

#[test]
fn a_past_that_there_is_not_is_refused() {
    let server = Server::seeded();
    let writer = server.writer();
    let poll = "/api/v2/flux/clusters/c1.example.com/namespaces";
    let flux = "/api/v2/flux/clusters";
    for (path, status, code) in [
        (format!("{poll}?revision=0"), 404, "unknown_cluster"),
        (format!("{poll}?at=2001-01-01T00:00:00Z"), 404, "unknown_cluster"),
        (format!("{flux}?revision=0"), 503, "nothing_written"),
        (format!("{poll}?revision=4"), 400, "invalid_parameter"),
        (format!("{flux}?revision=18446744073709551615"), 400, "invalid_parameter"),
        (format!("{poll}?revision=-1"), 400, "invalid_parameter"),
        (format!("{poll}?revision=x"), 400, "invalid_parameter"),
        (format!("{poll}?at=now"), 400, "invalid_parameter"),
        (format!("{poll}?at=2026-01-01"), 400, "invalid_parameter"),
        (format!("{poll}?revision=1&at=2026-01-01T00:00:00Z"), 400, "invalid_parameter"),
        (format!("{flux}?revision=1&revision=2"), 400, "invalid_parameter"),
        (format!("{flux}?revision=3&shard=0/0"), 400, "invalid_parameter"),
        (format!("{flux}?revision=3&environment=prod"), 404, "no_match"),
        ("/clusters/c1?revision=0".into(), 404, "not_found"),
        ("/clusters/c1?revision=2".into(), 404, "not_found"),
        ("/clusters/c1?revision=4".into(), 400, "invalid_parameter"),
        ("/clusters/c1?revision=x".into(), 400, "invalid_parameter"),
        ("/clusters/c1?at=2026-01-01T00:00:00Z".into(), 400, "unknown_parameter"),
        ("/clusters/c1/platform_components/p2?revision=3".into(), 404, "not_found"),
        ("/clusters?revision=3".into(), 400, "unknown_parameter"),
    ] {
        assert_eq!(writer.get(&path).expect(status).code(), code, "{path}");
    }
    let message = |path: &str| writer.get(path).json()["message"].as_str().unwrap().to_owned();
    assert_eq!(message("/clusters/c1?revision=2"), "At revision 2: clusters/c1 does not exist.");
    assert_eq!(
        message(&format!("{poll}?revision=4")),
        "The query parameter `revision` is above the head, which is revision 3."
    );
}

#[test]
fn asking_about_the_past_is_no_poll() {
    let server = Server::seeded();
    let writer = server.writer();
    writer.delete("/clusters/c1").expect(200);
    let metric = |line: &str| {
        let text = String::from_utf8(server.anyone().get("/metrics").expect(200).body).unwrap();
        text.lines().any(|known| known.starts_with(line))
    };
    let pattern = "/api/v2/flux/clusters/{cluster_dns}/{type}";
    let counted = |route: &str| {
        metric(&format!(
            "flux_resourceset_http_requests_total{{method=\"GET\",route=\"{route}\",status=\"200\"}} 1"
        ))
    };
    let poll = "/api/v2/flux/clusters/c1.example.com/namespaces";
    writer.get(&format!("{poll}?revision=3")).expect(200);
    assert!(metric("flux_resourceset_last_poll_age_seconds NaN"));
    assert!(!counted(pattern) && counted(&format!("{pattern}?revision")));
    writer.get(poll).expect(200);
    assert!(!metric("flux_resourceset_last_poll_age_seconds NaN") && counted(pattern));
}

#[test]
fn many_who_ask_at_once_are_answered_one_after_the_other() {
    let server = Arc::new(Server::over(Arc::new(MemoryStore::new()), &[]));
    server.fill();
    server.writer().delete("/clusters/c1").expect(200);
    let ask = || {
        let writer = server.writer();
        std::thread::spawn(move || writer.get("/api/v2/flux/clusters?revision=3").status)
    };
    let asking: Vec<_> = (0..12).map(|_| ask()).collect();
    let statuses: Vec<_> = asking.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(statuses, [200; 12]);
}
