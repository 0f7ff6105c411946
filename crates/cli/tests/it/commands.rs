//! Every command of the book's CLI chapter as it is written there, and its siblings, against the
//! real server with the demo fleet.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use crate::server::Server;
use crate::stub::{fails, succeeds};

const DNS: &str = "demo-cluster-01.k8s.example.com";

impl Server {
    #[track_caller]
    fn ok(&self, arguments: &str) -> Value {
        succeeds(self.cli(arguments))
    }

    #[track_caller]
    fn refused(&self, arguments: &str) -> String {
        fails(self.cli(arguments), 1)
    }

    #[track_caller]
    fn shown(&self, arguments: &str) -> String {
        let output = self.cli(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the demo cluster polls, by id.
    fn polled(&self, kind: &str) -> Vec<String> {
        self.shown(&format!("flux {DNS} {kind} -o name")).lines().map(str::to_owned).collect()
    }
}

#[test]
fn the_books_cluster_commands() {
    let server = Server::start();
    assert_eq!(server.ok("cluster list").as_array().unwrap().len(), 1);
    assert_eq!(server.ok("cluster get demo-cluster-01")["cluster_dns"], DNS);
    assert!(server.refused("cluster get nope").contains("404"));
}

#[test]
fn the_books_namespace_commands() {
    let server = Server::start();
    assert_eq!(server.ok("namespace list").as_array().unwrap().len(), 3);
    assert_eq!(server.ok("namespace get cert-manager")["id"], "cert-manager");
    let create = "namespace create team-sandbox --cluster demo-cluster-01 --label team=sandbox --annotation owner=platform";
    let created = server.ok(create);
    assert_eq!(created["labels"], json!({"team": "sandbox"}));
    assert_eq!(server.ok(create), created, "run again, it changes nothing");
    assert!(server.polled("namespaces").contains(&"team-sandbox".to_owned()));
    for _ in 0..2 {
        server.ok("namespace unassign team-sandbox --cluster demo-cluster-01");
        assert!(!server.polled("namespaces").contains(&"team-sandbox".to_owned()));
    }
    for _ in 0..2 {
        server.ok("namespace assign team-sandbox --cluster demo-cluster-01");
        assert_eq!(server.polled("namespaces").iter().filter(|id| *id == "team-sandbox").count(), 1);
    }
}

#[test]
fn the_books_component_commands() {
    let server = Server::start();
    assert_eq!(server.ok("component list").as_array().unwrap().len(), 3);
    assert_eq!(server.ok("component get cert-manager")["id"], "cert-manager");
    // The book's example names one that the demo's catalog holds with other values.
    server.ok("component delete cert-manager --force");
    let create = "component create cert-manager --component-path core/cert-manager/1.14.0 \
                  --component-version 1.14.0 --oci-url oci://registry.example/platform-components \
                  --oci-tag v1.0.0 --cluster demo-cluster-01";
    let created = server.ok(create);
    assert_eq!(created["component_path"], "core/cert-manager/1.14.0");
    assert_eq!(server.ok(create), created, "run again, it changes nothing");
    server.ok("component unassign cert-manager --cluster demo-cluster-01");
    assert!(!server.polled("platform-components").contains(&"cert-manager".to_owned()));
    server.ok("component assign cert-manager --cluster demo-cluster-01");
    assert!(server.polled("platform-components").contains(&"cert-manager".to_owned()));
    let patched = server.ok("component patch podinfo --cluster demo-cluster-01 --set replicaCount=3");
    assert_eq!(patched["patches"]["podinfo"]["replicaCount"], "3");
    assert_eq!(patched["patches"]["podinfo"]["ui.message"], "Hello from patches", "other keys stay");
}

#[test]
fn the_books_demo_commands() {
    let server = Server::start();
    server.ok("demo add-namespace demo-cluster-01 demo-runtime --label team=platform --annotation owner=you");
    let polled = server.ok(&format!("demo flux-namespaces {DNS}"));
    let added =
        polled["inputs"].as_array().unwrap().iter().find(|input| input["id"] == "demo-runtime").unwrap();
    assert_eq!(added["labels"], json!({"team": "platform"}));
    let mut patch = server.cli("demo patch-component demo-cluster-01 podinfo --set replicaCount=3");
    patch.args(["--set", "ui.message=Hello from CLI patch", "--set", "ui.color=#3b82f6"]);
    assert_eq!(
        succeeds(patch)["patches"]["podinfo"],
        json!({"replicaCount": "3", "ui.message": "Hello from CLI patch", "ui.color": "#3b82f6"})
    );
}

#[test]
fn what_differs_is_said_and_nothing_is_changed() {
    let server = Server::start();
    let before = server.ok("component get podinfo");
    let said = server.refused("component create podinfo --oci-tag 9 --cluster demo-cluster-01");
    assert!(said.contains("`component update podinfo`"), "{said}");
    assert!(said.contains("\n  oci_tag: \"latest\" there, \"9\" asked for"), "{said}");
    assert_eq!(server.ok("component get podinfo"), before);
    assert_eq!(server.ok("component create podinfo --cluster demo-cluster-01"), before);
}

#[test]
fn a_mistyped_id_is_no_success() {
    let server = Server::start();
    server.refused("namespace create team --cluster nope");
    server.refused("namespace get team");
    server.refused("namespace unassign teem --cluster demo-cluster-01");
    server.refused("namespace assign teem --cluster demo-cluster-01");
    let said = server.refused("component patch nope --cluster demo-cluster-01 --set a=b");
    assert!(said.contains("`component assign nope --cluster demo-cluster-01`"), "{said}");
}

#[test]
fn a_clusters_life() {
    let server = Server::start();
    let create = "cluster create c2 --dns c2.k8s.example.com --environment dev --label region=eu";
    let created = server.ok(create);
    assert_eq!(created["cluster_name"], "c2");
    assert_eq!(server.ok(create), created);
    let updated =
        server.ok("cluster update c2 --environment qa --label tier=1 --remove-label region --node-count 3");
    assert_eq!((&updated["environment"], &updated["node_count"]), (&json!("qa"), &json!(3)));
    assert_eq!(updated["labels"], json!({"tier": "1"}));
    assert!(server.ok("cluster update c2 --unset node_count").get("node_count").is_none());
    server.ok("cluster delete c2");
    assert_eq!(server.ok("flux c2.k8s.example.com namespaces"), json!({"inputs": []}));
    assert_eq!(server.shown("tombstone list -o name"), "c2\n");
    let heir = "cluster create c3 --dns c2.k8s.example.com --environment dev";
    let said = server.refused(heir);
    assert!(said.contains("409") && said.contains("/cluster_dns"), "{said}");
    server.ok("tombstone purge c2");
    assert_eq!(server.ok("tombstone list"), json!([]));
    server.ok(heir);
}

#[test]
fn a_document_goes_out_and_comes_back() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    for format in ["json", "yaml"] {
        let path = folder.path().join(format);
        let before = server.ok("cluster get demo-cluster-01");
        fs::write(&path, server.shown(&format!("cluster get demo-cluster-01 -o {format}"))).unwrap();
        assert_eq!(server.ok(&format!("cluster create -f {}", path.display())), before);
        let updated = server.ok(&format!("cluster update demo-cluster-01 -f {} --label a=b", path.display()));
        assert_eq!(updated["labels"], json!({"a": "b"}));
        assert_eq!(updated["patches"], before["patches"]);
        server.ok("cluster update demo-cluster-01 --unset labels");
    }
}

#[test]
fn a_components_catalog_entry_and_reference() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let values = folder.path().join("values.yaml");
    fs::write(&values, "replicas: 2\nextra: null\n").unwrap();
    let update = format!(
        "component update podinfo --depends-on traefik,cert-manager --values-file {}",
        values.display()
    );
    let updated = server.ok(&update);
    assert_eq!(updated["depends_on"], json!(["traefik", "cert-manager"]));
    assert_eq!(updated["release"]["values"], json!({"replicas": 2, "extra": null}));
    let reference = |cluster: &Value| cluster["platform_components"].as_array().unwrap()[2].clone();
    let assigned =
        server.ok("component assign podinfo --cluster demo-cluster-01 --oci-tag 6.0.0 --on-remove keep");
    assert_eq!(
        reference(&assigned),
        json!({"id": "podinfo", "enabled": true, "oci_tag": "6.0.0", "on_remove": "keep"})
    );
    let assigned =
        server.ok("component assign podinfo --cluster demo-cluster-01 --unset oci_tag --enabled false");
    assert_eq!(reference(&assigned), json!({"id": "podinfo", "enabled": false, "on_remove": "keep"}));
    let patched = server.ok(
        "component patch traefik --cluster demo-cluster-01 --unset service.type --unset deployment.replicas",
    );
    assert!(patched["patches"].get("traefik").is_none());
}

#[test]
fn a_rolebindings_life() {
    let server = Server::start();
    let create = "rolebinding create runners --role edit --group devs --user ann --service-account ci/runner --cluster demo-cluster-01";
    let created = server.ok(create);
    assert_eq!(server.ok(create), created);
    assert!(server.polled("rolebindings").contains(&"runners".to_owned()));
    let updated = server.ok("rolebinding update runners --group testers");
    assert_eq!(updated["subjects"].as_array().unwrap().len(), 1);
    assert_eq!(server.ok("rolebinding get runners"), updated);
    let said = server.refused("rolebinding delete runners");
    assert!(said.contains("clusters/demo-cluster-01") && said.contains("--force"), "{said}");
    server.ok("rolebinding delete runners --force");
    assert!(!server.polled("rolebindings").contains(&"runners".to_owned()));
    assert_eq!(server.ok("rolebinding list").as_array().unwrap().len(), 2);
}

#[test]
fn what_a_cluster_gets() {
    let server = Server::start();
    let everything = server.ok("flux demo-cluster-01");
    assert_eq!(everything, server.ok(&format!("flux {DNS}")));
    assert_eq!(everything["platform-components"], server.ok("flux demo-cluster-01 components"));
    assert_eq!(everything["rolebindings"]["inputs"].as_array().unwrap().len(), 2);
    assert_eq!(server.ok("flux")["inputs"][0]["cluster_dns"], DNS);
    assert!(server.refused("flux nope").contains(": nope platform-components (404"));
    assert!(server.refused("flux demo-cluster-01 nope").contains(&format!(": {DNS} nope (404")));
}

#[test]
fn violations_are_shown_with_their_places() {
    let server = Server::start();
    let said = server.refused("cluster create Bad_Name --dns a..b --environment nowhere");
    assert!(said.contains("\n  /id: ") && said.contains("\n  /cluster_dns: "), "{said}");
}

#[test]
fn nobodys_write_is_lost() {
    let server = Server::start();
    thread::scope(|scope| {
        for n in 0..8 {
            let server = &server;
            scope.spawn(move || server.ok(&format!("namespace create n{n} --cluster demo-cluster-01")));
        }
    });
    assert_eq!(server.polled("namespaces").len(), 3 + 8);
}
