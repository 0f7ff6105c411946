//! History, what it was like then, who put a value there, and taking a change back.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::stub::{Answer, Ended, Stub, WRITE_TOKEN, cli, ended, fails, succeeds};

#[track_caller]
fn table(stub: &Stub, arguments: &str) -> String {
    let Ended { code, stdout, stderr } = ended(cli(&stub.url, &format!("{arguments} -o table")));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    stdout
}

fn entry(revision: u64, operations: Value) -> Value {
    json!({"revision": revision, "at": "2026-05-01T12:00:00Z", "principal": "alice", "reason": "CVE",
        "operations": operations, "operation_count": 3, "document_count": 612})
}

#[test]
fn the_history_is_a_table() {
    let operations = json!([{"verb": "patch", "target": "platform_components/grafana"}]);
    let selecting =
        json!([{"verb": "update", "target": "clusters/*/patches/traefik", "select": "environment=prod"}]);
    let entries = json!([entry(12, operations), entry(11, selecting)]);
    let stub = Stub::answering(vec![Answer::json(200, &entries)]);
    let line =
        "history --type component --id grafana --cluster eu-1 --principal alice --from 2026-05-01T00:00:00Z";
    assert_snapshot!(table(&stub, line), @"
    REVISION  AT                    BY     ASKED                                                            DOCUMENTS  WHY
    12        2026-05-01T12:00:00Z  alice  patch platform_components/grafana and 2 more                     612        CVE
    11        2026-05-01T12:00:00Z  alice  update clusters/*/patches/traefik (environment=prod) and 2 more  612        CVE
    ");
    let asked = stub.asked();
    assert_eq!(
        asked[0].line,
        "GET /api/v2/changes?type=platform_components&id=grafana&cluster=eu-1&principal=alice&from=2026-05-01T00%3A00%3A00Z&limit=50"
    );
    assert_eq!(asked[0].header("authorization"), Some(format!("Bearer {WRITE_TOKEN}").as_str()));
}

#[test]
fn a_long_history_comes_in_pages() {
    let page = |from: u64| json!((0..1000).map(|n| entry(from - n, json!([]))).collect::<Vec<_>>());
    let stub = Stub::answering(vec![
        Answer::json(200, &page(5000)),
        Answer::json(200, &json!([entry(4000, json!([]))])),
    ]);
    let shown = succeeds(cli(&stub.url, "history --limit 1500"));
    assert_eq!(shown.as_array().unwrap().len(), 1001);
    let asked = stub.asked();
    assert_eq!(asked[1].line, "GET /api/v2/changes?before=4001&limit=500");
}

#[test]
fn a_change_is_shown_as_what_it_did() {
    let document = |id: &str, before: Value, after: Value| json!({"type": "clusters", "id": id, "before": before, "after": after});
    let mut first = entry(12, json!([{"verb": "patch", "target": "clusters/*", "select": "region=eu"}]));
    first["documents"] =
        json!([document("eu-1", json!({"id": "eu-1", "n": 1}), json!({"id": "eu-1", "n": 2}))]);
    let mut second = entry(12, json!([]));
    second["documents"] = json!([document("eu-2", json!({"id": "eu-2"}), Value::Null)]);
    let stub = Stub::answering(vec![
        Answer::json(200, &first).with("x-total-count", "2"),
        Answer::json(200, &second).with("x-total-count", "2"),
    ]);
    assert_snapshot!(table(&stub, "history show 12"), @r#"
    Revision 12, 2026-05-01T12:00:00Z by alice: CVE
      patch clusters/* where region=eu
    --- clusters/eu-1 before
    +++ clusters/eu-1 after
    @@ -1,2 +1,2 @@
     id: eu-1
    -"n": 1
    +"n": 2
    --- clusters/eu-2 before
    +++ clusters/eu-2 after
    @@ -1 +0,0 @@
    -id: eu-2
    "#);
    assert_eq!(stub.asked()[1].line, "GET /api/v2/changes/12?offset=1");
}

#[test]
fn a_revert_says_what_it_left_alone() {
    let made = json!({"revision": 13, "reason": "latency", "documents": [
        {"type": "clusters", "id": "eu-1", "change": "updated"},
    ], "skipped": [{"document": "clusters/eu-2", "field": "labels/tier", "changed_by": [
        {"revision": 12, "at": "2026-05-01T12:00:00Z", "principal": "bob", "reason": "audit"},
    ]}]});
    let stub = Stub::answering(vec![Answer::json(200, &made)]);
    assert_snapshot!(table(&stub, "revert 11 --skip-conflicts --reason latency"), @"
    Revision 13, 1 document: latency
      updated clusters/eu-1
      left as it is: clusters/eu-2 labels/tier, changed since in revision 12 by bob: audit
    ");
    assert_eq!(stub.asked()[0].line, "POST /api/v2/changes/11/revert?skip_conflicts=true");
}

#[test]
fn a_revert_that_conflicts_names_who_and_why() {
    let refusal = json!({"error": "revert_conflict", "message": "Later changes are in the way.", "violations": [
        {"document": "clusters/eu-2", "pointer": "/labels/tier", "code": "revert_conflict",
            "message": "was changed again in revision 12 by bob (audit)"},
    ]});
    let stub = Stub::answering(vec![Answer::json(409, &refusal)]);
    assert_snapshot!(fails(cli(&stub.url, "revert 11"), 1), @"
    error: Later changes are in the way; add --skip-conflicts to leave these as they are, and take the rest back (409 revert_conflict)
      clusters/eu-2 /labels/tier: was changed again in revision 12 by bob (audit)
    ");
}

#[test]
fn a_document_and_a_poll_as_they_were() {
    let stub = Stub::answering(vec![Answer::json(200, &json!({"id": "eu-1"}))]);
    succeeds(cli(&stub.url, "cluster get eu-1 --revision 12"));
    let asked = stub.asked();
    assert_eq!(asked[0].line, "GET /clusters/eu-1?revision=12");
    assert_eq!(asked[0].header("authorization"), Some(format!("Bearer {WRITE_TOKEN}").as_str()));

    let stub = Stub::answering(vec![Answer::json(200, &json!({"inputs": []}))]);
    succeeds(cli(&stub.url, "flux eu-1.example namespaces --at 2026-05-01T12:00:00+02:00"));
    assert_eq!(
        stub.asked()[0].line,
        "GET /api/v2/flux/clusters/eu-1.example/namespaces?at=2026-05-01T10%3A00%3A00Z"
    );
    let said = fails(cli("http://127.0.0.1:1", "flux eu-1 --at yesterday"), 2);
    assert!(said.contains("how long ago: 90m, 2h, 3d, 1w"), "{said}");
}

#[test]
fn an_explanation_is_a_table() {
    let changed =
        json!({"revision": 12, "at": "2026-05-01T12:00:00Z", "principal": "alice", "reason": "CVE"});
    let explained = json!({"cluster": "eu-1", "revision": 14, "inputs": [{
        "type": "platform_components", "id": "grafana", "fields": [
            {"path": "source.oci_tag", "value": "1.1", "from": "override", "document": "clusters/eu-1",
                "field": "platform_components/grafana/oci_tag",
                "overrode": {"value": "1.0", "from": "catalog"}, "changed": changed},
            {"path": "source.oci_url", "value": "oci://r", "from": "profile", "document": "profiles/edge",
                "field": "platform_components/grafana/oci_url",
                "overrode": {"value": "oci://q", "from": "profile", "document": "profiles/base"},
                "changed": {"not_after": 9}},
            {"path": "enabled", "value": true, "from": "default", "changed": {"before_history": true}},
            {"path": "on_remove", "value": "keep", "from": "catalog", "changed": {"not_after": 9}},
        ],
    }]});
    let stub = Stub::answering(vec![Answer::json(200, &explained)]);
    assert_snapshot!(table(&stub, "explain eu-1 component grafana"), @"
    FIELD           VALUE    FROM                    OVERRODE                         REVISION  CHANGED
    source.oci_tag  1.1      override clusters/eu-1  1.0 (catalog)                    12        2026-05-01T12:00:00Z by alice: CVE
    source.oci_url  oci://r  profile profiles/edge   oci://q (profile profiles/base)  -         before revision 9
    enabled         true     default                 -                                -         before the history begins
    on_remove       keep     catalog                 -                                -         before revision 9
    ");
    assert_eq!(stub.asked()[0].line, "GET /api/v2/explain/eu-1/platform_components/grafana");
}

#[test]
fn a_server_that_only_reads_knows_dns_names_alone() {
    let refusal = json!({"error": "read_only", "message": "This server runs with API_MODE=read-only."});
    let stub = Stub::answering(vec![Answer::json(404, &refusal)]);
    let said = fails(cli(&stub.url, "flux eu-1 namespaces"), 1);
    assert_eq!(
        said,
        "error: this server only reads, and knows clusters by their DNS names alone: give that of eu-1, or ask a server \
         with API_MODE=crud\n"
    );
    assert_eq!(stub.asked()[0].line, "GET /clusters/eu-1");
}
