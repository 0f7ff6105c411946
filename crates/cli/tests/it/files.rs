//! The fleet in files: exported, compared, applied, checked.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stub::{Answer, Ended, Stub, cli, ended, fails, succeeds};

/// A folder with two files, and the path of it.
fn folder() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), "clusters:\n- id: eu-1\n  environment: dev\n").unwrap();
    fs::write(folder.path().join("b.json"), r#"{"clusters": [{"id": "eu-2"}], "namespaces": []}"#).unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    (folder, path)
}

fn fleet() -> Value {
    json!({"clusters": [{"id": "eu-1", "labels": {"n": "1"}}], "namespaces": [{"id": "on"}]})
}

#[test]
fn an_export_is_a_file_or_a_stream() {
    let (folder, path) = folder();
    let export = |arguments: &str| {
        let stub = Stub::answering(vec![Answer::json(200, &fleet())]);
        let ended = ended(cli(&stub.url, arguments));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        assert_eq!(stub.asked()[0].line, "GET /api/v2/export");
        ended.stdout
    };
    assert_eq!(serde_json::from_str::<Value>(&export("export")).unwrap(), fleet());
    assert_snapshot!(export("export -o yaml"), @r#"
    clusters:
    - id: eu-1
      labels:
        "n": "1"
    namespaces:
    - id: "on"
    "#);
    let counted: Value = serde_json::from_str(&export(&format!("export {path}/out.yml"))).unwrap();
    assert_eq!(counted, json!({"clusters": 1, "namespaces": 1}));
    assert_eq!(fs::read_to_string(folder.path().join("out.yml")).unwrap(), export("export -o yaml"));
    assert!(fails(cli("http://127.0.0.1:1", "export -o table"), 2).contains("-o json or -o yaml"));
}

#[test]
fn files_are_applied_as_one() {
    let (_folder, path) = folder();
    let made = json!({"revision": 3, "documents": []});
    let stub = Stub::answering(vec![Answer::json(200, &made)]);
    let line = format!("apply -f {path} --source git --prune --take --reason weekly");
    assert_eq!(succeeds(cli(&stub.url, &line)), made);
    let asked = stub.asked();
    assert_eq!(asked[0].line, "POST /api/v2/apply");
    assert_eq!(
        asked[0].body,
        json!({"source": "git", "prune": true, "take": true, "documents": {
            "clusters": [{"id": "eu-1", "environment": "dev"}, {"id": "eu-2"}], "namespaces": []}})
    );
    assert_eq!(asked[0].header("x-change-reason"), Some("weekly"));
}

#[test]
fn what_somebody_else_changed_is_named_where_it_stands() {
    let (_folder, path) = folder();
    let refusal = json!({"error": "changed_since", "message": "Somebody else changed documents.", "violations": [
        {"document": "clusters/eu-2", "pointer": "", "code": "changed_since",
            "message": "was changed in revision 12 by bob (audit)"},
        {"document": "clusters/eu-9", "pointer": "", "code": "changed_since", "message": "was changed"},
    ]});
    let stub = Stub::answering(vec![Answer::json(409, &refusal)]);
    let said = fails(cli(&stub.url, &format!("apply -f {path} --source git")), 1).replace(&path, "fleet");
    assert_snapshot!(said, @"
    error: Somebody else changed documents; export and merge these first, or add --take to make them what the files say (409 changed_since)
      fleet/b.json /clusters/0: was changed in revision 12 by bob (audit)
      clusters/eu-9: was changed
    ");
}

#[test]
fn a_diff_shows_documents_and_effects() {
    let (_folder, path) = folder();
    let planned = json!({"digest": "d1", "clusters": 1, "effects": [
        {"effect": "install", "type": "namespaces", "input": "team", "count": 1, "clusters": ["eu-1"]},
    ], "documents": [
        {"type": "sources", "id": "git", "change": "updated", "before": {"documents": {}},
            "after": {"documents": {"clusters": {"eu-1": "d"}, "namespaces": {"team": "d"}}}},
        {"type": "sources", "id": "other", "change": "updated", "before": {"documents": {"clusters": {"eu-1": "c"}}},
            "after": {"documents": {"clusters": {"eu-1": "d"}}}},
        {"type": "clusters", "id": "eu-1", "change": "updated",
            "before": {"id": "eu-1"}, "after": {"id": "eu-1", "namespaces": [{"id": "team"}]}},
    ]});
    let stub = Stub::answering(vec![Answer::json(200, &json!([])), Answer::json(200, &planned)]);
    let Ended { code, stdout, .. } = ended(cli(&stub.url, &format!("diff -f {path} -o table")));
    assert_eq!(code, Some(3));
    assert_snapshot!(stdout, @"
    1 cluster changes; nothing is destroyed.
    + 1 cluster gets namespace team
        eu-1
    --- clusters/eu-1 now
    +++ clusters/eu-1 then
    @@ -1 +1,3 @@
     id: eu-1
    +namespaces:
    +- id: team
    source git owns 2 documents then
    digest d1
    ");
    let asked = stub.asked();
    assert_eq!(asked[1].line, "POST /api/v2/apply?plan=true");
    assert_eq!(asked[1].body["source"], Value::Null);
}

#[test]
fn a_diff_shows_what_others_have_a_say_in() {
    let (_folder, path) = folder();
    let planned = json!({"digest": "d1", "effects": [], "disputed": [
        {"document": "clusters/eu-1", "message": "belongs to the source other"},
        {"document": "clusters/eu-2", "message": "was written by somebody else\u{1b}[2J"},
    ]});
    let knows_plans = Answer::json(200, &json!([]));
    let stub = Stub::answering(vec![knows_plans, Answer::json(200, &planned)]);
    let Ended { code, stdout, .. } = ended(cli(&stub.url, &format!("diff -f {path} --source git -o table")));
    assert_eq!(code, Some(3));
    assert_snapshot!(stdout, @r"
    No cluster's answer changes.
    others have a say in 2 documents, so that `apply` needs --take:
        clusters/eu-1: belongs to the source other
        clusters/eu-2: was written by somebody else\u{1b}[2J
    digest d1
    ");
}

#[test]
fn a_change_set_is_json_or_yaml_or_its_list_alone() {
    let (folder, path) = folder();
    let changes = json!([{"delete": "namespaces/old", "force": true}]);
    for (name, text) in [
        ("c.json", json!({ "changes": changes }).to_string()),
        ("c.yaml", "changes:\n- delete: namespaces/old\n  force: true\n".to_owned()),
        ("l.yaml", "- {delete: namespaces/old, force: true}\n".to_owned()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
        let stub = Stub::answering(vec![Answer::json(200, &json!({"revision": 2, "documents": []}))]);
        succeeds(cli(&stub.url, &format!("change -f {path}/{name}")));
        assert_eq!(stub.asked()[0].body, json!({ "changes": changes }));
    }
    let said = fails(cli("http://127.0.0.1:1", &format!("change -f {path}/nowhere")), 2);
    assert!(said.contains("nowhere: No such file"), "{said}");
}

#[test]
fn files_that_cannot_be_read_are_wrong_usage() {
    let (_folder, path) = folder();
    for command in ["apply --source git", "diff", "validate"] {
        let said = fails(cli("http://127.0.0.1:1", &format!("{command} -f {path}/nowhere")), 2);
        assert!(said.contains("nowhere: No such file"), "{said}");
    }
}

#[test]
fn files_are_checked_without_a_server() {
    let (folder, path) = folder();
    let validate = |flags: &str| cli("", &format!("validate -f {path} {flags}"));
    fs::write(
        folder.path().join("a.yaml"),
        "clusters:\n- id: eu-1\n  cluster_name: eu-1\n  cluster_dns: eu-1.example\n  environment: test\n",
    )
    .unwrap();
    fs::write(folder.path().join("b.json"), r#"{"namespaces": [{"id": "a"}, {"id": "b"}]}"#).unwrap();
    let mut command = validate("--environments dev,test");
    command.env_clear();
    assert_eq!(succeeds(command), json!({"clusters": 1, "namespaces": 2}));
    let reference = "clusters:\n- id: eu-3\n  cluster_name: eu-3\n  cluster_dns: eu-3.example\n  environment: dev\n  namespaces: [{id: nope}]\n";
    fs::write(folder.path().join("c.yml"), reference).unwrap();
    let said = fails(validate("--environments dev,test"), 1);
    assert!(said.contains("c.yml /clusters/0/namespaces/0/id: namespaces/nope does not exist"), "{said}");
    succeeds(validate("--environments dev,test --partial"));
    // What a component needs may be given by a profile that is elsewhere.
    let component = |id: &str| format!("- id: {id}\n  component_path: p\n  oci_url: https://r.example\n");
    let needs = format!(
        "platform_components:\n{}  depends_on: [b]\n  requires: {{b: '>=1'}}\n{}clusters:\n- id: eu-4\n  cluster_name: eu-4\n  \
         cluster_dns: eu-4.example\n  environment: dev\n  platform_components: [{{id: a}}]\n",
        component("a"),
        component("b"),
    );
    fs::write(folder.path().join("c.yml"), needs).unwrap();
    let said = fails(validate("--environments dev,test"), 1);
    assert!(said.contains("a depends on b") && said.contains("a requires b >=1"), "{said}");
    succeeds(validate("--environments dev,test --partial"));
    let more =
        "---\nclusters:\n- id: eu-1\n  cluster_dns: a..b\n---\nnamespaces:\n- id: n\n  labels: {a b: c}\n";
    fs::write(folder.path().join("c.yml"), more).unwrap();
    assert_snapshot!(fails(validate(""), 1).replace(&path, "fleet"), @r#"
    error: 3 mistakes in the files
      fleet/a.yaml /clusters/0/environment: `test` is not one of this fleet's environments: dev, qa, uat, prod
      fleet/c.yml (document 1) /clusters/0/id: `eu-1` is already the id of fleet/a.yaml /clusters/0
      fleet/c.yml (document 2) /namespaces/0/labels/a b: the key "a b" is not a Kubernetes qualified name: `name` or `dns.prefix/name`, the name of at most 63 letters, digits, `-`, `_` and `.`
    "#);
}
