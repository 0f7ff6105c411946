//! Resource types, and the commands of those that the fleet registered.

use std::fs;

use serde_json::{Value, json};

use crate::manifests::definition;
use crate::server::Server;
use crate::stub::{Answer, Stub, cli, ended, fails, succeeds};

impl Server {
    fn help(&self, of: &str) -> String {
        let ended = ended(self.cli(&format!("{of} --help")));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        // What every command has is in the help of the others.
        let own = |line: &&str| !line.trim_start().starts_with("[env:");
        format!("===== {of} --help\n{}\n", ended.stdout.lines().filter(own).collect::<Vec<_>>().join("\n"))
    }
}

#[test]
fn a_types_life() {
    let server = Server::start();
    let file = definition("network_policy");
    let create = format!("resource_type create -f {file}");
    let planned = ended(server.cli(&format!("{create} --plan")));
    assert_eq!(planned.code, Some(0), "no cluster changes: {}{}", planned.stdout, planned.stderr);
    let created = succeeds(server.cli(&create));
    assert_eq!(created["id"], "network_policies");
    assert_eq!(succeeds(server.cli(&create)), created, "run again, it changes nothing");
    assert_eq!(succeeds(server.cli("resource_type list")), json!([created]));
    assert_eq!(succeeds(server.cli("resource-type get network_policies")), created);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.yaml");
    fs::write(&path, fs::read_to_string(&file).unwrap() + "overridable: [target_namespace]\n").unwrap();
    let said = fails(server.cli(&format!("resource_type create -f {}", path.display())), 1);
    assert!(said.contains("`resource_type update network_policies`"), "{said}");
    let updated = succeeds(server.cli(&format!("resource_type update -f {}", path.display())));
    assert_eq!(updated["overridable"], json!(["target_namespace"]));
    assert_eq!(succeeds(server.cli("resource_type update network_policies --unset overridable")), created);

    succeeds(server.cli("network_policy create a --set target_namespace=x --set ingress_rules=[]"));
    let said = fails(server.cli("resource_type delete network_policies"), 1);
    assert!(said.contains("delete its documents first") && !said.contains("--force"), "{said}");
    succeeds(server.cli("network_policy delete a"));
    succeeds(server.cli("resource_type delete network_policies"));
    assert!(fails(server.cli("network_policy list"), 2).contains("`resource_type create` registers one"));
}

#[test]
fn the_commands_of_a_registered_type() {
    let server = Server::with_type("every_kind");
    let create = "sample create a --set text=3 --set count=3 --set 'settings={\"depth\": 1}' --set on=true \
                  --set mixed=3 --cluster demo-cluster-01";
    let created = succeeds(server.cli(create));
    let expected =
        json!({"id": "a", "text": "3", "count": 3, "settings": {"depth": 1}, "on": true, "mixed": 3});
    assert_eq!(created, expected);
    assert_eq!(succeeds(server.cli(create)), created, "run again, it changes nothing");
    for name in ["sample", "samples", "all-samples"] {
        assert_eq!(succeeds(server.cli(&format!("{name} get a"))), created);
    }
    assert_eq!(succeeds(server.cli("sample list --filter id=a")), json!([created]));

    let updated = succeeds(server.cli("sample update a --set note=n --unset count --on-remove keep"));
    assert_eq!((&updated["note"], &updated["on_remove"]), (&json!("n"), &json!("keep")));
    assert!(updated.get("count").is_none());

    let reference = |cluster: Value| cluster["samples"][0].clone();
    let assigned =
        succeeds(server.cli("sample assign a --cluster demo-cluster-01 --set count=7 --set list=[x]"));
    assert_eq!(reference(assigned), json!({"id": "a", "count": 7, "list": ["x"]}));
    let assigned = succeeds(
        server.cli("sample assign a --cluster demo-cluster-01 --unset list --set 'settings={a: 1}'"),
    );
    assert_eq!(reference(assigned), json!({"id": "a", "count": 7, "settings": {"a": 1}}));
    succeeds(server.cli(
        "sample assign a --select environment=dev --unset count --set 'settings={b: 2}' --on-remove keep",
    ));
    let assigned = succeeds(server.cli("cluster get demo-cluster-01"));
    assert_eq!(reference(assigned), json!({"id": "a", "settings": {"b": 2}, "on_remove": "keep"}));
    let everything = succeeds(server.cli("flux demo-cluster-01"));
    for name in ["sample", "samples", "all-samples"] {
        assert_eq!(succeeds(server.cli(&format!("flux demo-cluster-01 {name}"))), everything["all-samples"]);
        let explained = succeeds(server.cli(&format!("explain demo-cluster-01 {name}")));
        assert_eq!(explained["inputs"].as_array().map(Vec::len), Some(1));
        assert_ne!(succeeds(server.cli(&format!("history --type {name}"))), json!([]));
    }
    let shown = ended(server.cli("sample update a --set note=other --whatif demo-cluster-01"));
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["before"]["all-samples"][0]["note"], "n");
    assert_eq!(shown["after"]["all-samples"][0]["note"], "other");
    let unassigned = succeeds(server.cli("sample unassign a --cluster demo-cluster-01"));
    assert_eq!(unassigned.get("samples").unwrap_or(&json!([])), &json!([]));
    succeeds(server.cli("sample delete a"));
}

#[test]
fn a_document_comes_from_a_file() {
    let server = Server::with_type("every_kind");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.yaml");
    fs::write(&path, "id: a\ntext: from a file\nlist: [x]\n").unwrap();
    let created = succeeds(server.cli(&format!("sample create -f {} --set count=1", path.display())));
    assert_eq!(created, json!({"id": "a", "text": "from a file", "list": ["x"], "count": 1}));
}

#[test]
fn what_the_schema_does_not_have_is_wrong_usage() {
    let server = Server::with_type("every_kind");
    let said = fails(server.cli("sample create a --set txt=1"), 2);
    assert!(said.contains("txt cannot be set here, only anything, count"), "{said}");
    let said = fails(server.cli("sample create a --set count=many"), 2);
    assert!(said.contains("not of type integer"), "{said}");
    let said = fails(server.cli("sample assign a --cluster c --set note=x"), 2);
    assert!(said.contains("note cannot be set here, only count, list, settings, text"), "{said}");
    let said = fails(server.cli("sample create a --set on_remove=keep"), 2);
    assert!(said.contains("--on-remove"), "{said}");
}

#[test]
fn help_is_made_of_the_schema() {
    let server = Server::with_type("every_kind");
    insta::assert_snapshot!(["sample", "sample create", "sample assign"].map(|of| server.help(of)).concat());
}

#[test]
fn the_table_has_the_properties() {
    let server = Server::with_type("network_policy");
    let rules = r#"[{"from_namespace":"b","port":1}]"#;
    succeeds(
        server
            .cli(&format!("network_policy create a --set target_namespace=x --set 'ingress_rules={rules}'")),
    );
    insta::assert_snapshot!(ended(server.cli("network-policies list -o table")).stdout, @"
    ID  INGRESS RULES  TARGET NAMESPACE  ON REMOVE
    a   1              x                 -
    ");
}

#[test]
fn an_unknown_word_is_met_with_the_types_there_are() {
    let server = Server::with_type("network_policy");
    let said = fails(server.cli("network_polices list"), 2);
    assert!(said.contains("tip:") && said.contains("'network_policies'"), "{said}");
    assert!(
        said.ends_with("Resource types of the fleet: network_policy (`resource_type list`).\n"),
        "{said}"
    );
    // A mistake behind a known word is about that alone.
    let said = fails(server.cli("network_policy lst"), 2);
    assert!(said.contains("'list'") && !said.contains("Resource types"), "{said}");
}

#[test]
fn only_an_unknown_word_asks_for_the_types() {
    let stub = Stub::answering(vec![Answer::json(404, &json!({"error": "unknown_route", "message": "m"}))]);
    assert!(fails(cli(&stub.url, "sample list"), 2).contains("no resource types of its own"));
    assert_eq!(stub.asked()[0].line, "GET /resource_types");
    let nowhere = "http://127.0.0.1:1";
    assert!(fails(cli(nowhere, "cluster lst"), 2).contains("'list'"));
    let said = fails(cli(nowhere, "clustr list"), 1);
    assert!(said.contains("(did you mean `cluster`?)") && said.contains("reached nobody"), "{said}");
    let said = fails(cli("", &format!("sample list --url {nowhere}")), 1);
    assert!(said.contains("GET http://127.0.0.1:1/resource_types"), "{said}");
    assert!(fails(cli("", "sample list"), 2).contains("FLUX_API_URL is not set"));
}

/// A newer server may let types be called what this program calls something else.
#[test]
fn a_type_named_as_a_command_leaves_the_command_alone() {
    let named = |kind: &str, plural: &str| {
        json!({"id": plural, "kind": kind, "apiVersion": "v1", "flux_path": "history", "schema": {
            "type": "object", "properties": {"text": {"type": "string"}},
        }})
    };
    let types = json!([named("cluster", "history"), named("sample", "help"), {"kind": "newer"}]);
    let stub = Stub::answering(vec![Answer::json(200, &types), Answer::json(200, &json!([]))]);
    assert_eq!(succeeds(cli(&stub.url, "sample list")), json!([]));
    assert_eq!(stub.asked()[1].line, "GET /help");
}
