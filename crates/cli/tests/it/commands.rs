//! Every command of the book's CLI chapter as it is written there, and its siblings, against the
//! real server with the demo fleet.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use crate::server::Server;
use crate::stub::{ended, fails, succeeds};

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
    for unknown in ["nope", "nope.example"] {
        let said = server.refused(&format!("flux {unknown}"));
        assert!(
            said.starts_with("error: no cluster, and no deleted one, has the id or DNS name nope"),
            "{said}"
        );
    }
    let said = server.refused("flux demo-cluster-01 nope");
    assert!(said.contains("no type called nope") && said.contains("rolebindings"), "{said}");
}

#[test]
fn a_deleted_cluster_is_known_by_its_id_until_its_tombstone_goes() {
    let server = Server::start();
    let deleted = ended(server.cli("cluster delete demo-cluster-01"));
    assert_eq!(deleted.code, Some(0));
    assert_eq!(
        deleted.stderr,
        "demo-cluster-01 loses 3 namespaces, 3 components, 2 rolebindings.\nrevision 2\n"
    );
    assert_eq!(server.ok("flux demo-cluster-01 namespaces"), json!({"inputs": []}));
    server.ok("tombstone purge demo-cluster-01");
    let said = server.refused("flux demo-cluster-01");
    assert!(said.contains("has the id or DNS name demo-cluster-01; "), "{said}");
}

#[test]
fn a_release_is_set_by_flags_for_all_clusters_and_for_one() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let values = folder.path().join("values.yaml");
    fs::write(&values, "replicas: 2\n").unwrap();
    let updated = server.ok("component update podinfo --release-timeout 15m --crds CreateReplace");
    assert_eq!(updated["release"], json!({"timeout": "15m", "crds": "CreateReplace"}));
    let assign = "component assign podinfo --cluster demo-cluster-01";
    let reference = |cluster: Value| cluster["platform_components"][2].clone();
    let all = format!(
        "--release-name pod --target-namespace pods --suspend true --values-file {}",
        values.display()
    );
    assert_eq!(
        reference(server.ok(&format!("{assign} {all}")))["release"],
        json!({"name": "pod", "target_namespace": "pods", "suspend": true, "values": {"replicas": 2}})
    );
    let polled = server.ok("flux demo-cluster-01 components")["inputs"][2]["release"].clone();
    assert_eq!((&polled["timeout"], &polled["suspend"]), (&json!("15m"), &json!(true)));
    let kept = reference(
        server.ok(&format!("{assign} --suspend false --unset release.name --unset release.values")),
    );
    assert_eq!(kept["release"], json!({"target_namespace": "pods", "suspend": false}));
    assert!(reference(server.ok(&format!("{assign} --unset release"))).get("release").is_none());
    assert!(
        server
            .ok("component update podinfo --unset release.timeout --unset release.crds")
            .get("release")
            .is_none()
    );
}

#[test]
fn overrides_are_seen_in_the_table_of_a_cluster() {
    let server = Server::start();
    let assign = |id: &str, flags: &str| {
        server.ok(&format!("component assign {id} --cluster demo-cluster-01 {flags}"))
    };
    assign("podinfo", "--enabled false");
    assign("traefik", "--oci-tag v1.0.0-1 --on-remove keep");
    let shown = server.shown("cluster get demo-cluster-01 -o table");
    let component = |line: &str| shown.lines().any(|shown| shown.ends_with(line));
    assert!(component(" cert-manager") && component(" podinfo (disabled)"), "{shown}");
    assert!(component(" traefik (oci_tag v1.0.0-1, on_remove keep)"), "{shown}");
    assert!(server.shown("cluster list -o table").contains("3 (1 disabled)"));
}

#[test]
fn patches_outlive_a_reference_until_they_are_removed() {
    let server = Server::start();
    let unassign = "component unassign podinfo --cluster demo-cluster-01";
    assert!(server.ok(unassign)["patches"].get("podinfo").is_some());
    let said = server.refused("component delete podinfo");
    let expected = "error: platform_components/podinfo is still referred to by clusters/demo-cluster-01; \
                    remove these references first, patches included, or add --force to remove them with it \
                    (409 referenced)\n";
    assert_eq!(said, expected);
    let patch = "component patch podinfo --cluster demo-cluster-01";
    server.refused(&format!("{patch} --set replicaCount=3"));
    let patched = server.ok(&format!("{patch} --unset replicaCount"));
    assert!(patched["patches"]["podinfo"].get("replicaCount").is_none());
    let unassigned = server.ok(&format!("{unassign} --with-patches"));
    assert!(unassigned["patches"].get("podinfo").is_none());
    assert_eq!(server.ok(&format!("{unassign} --with-patches")), unassigned);
    server.ok("component delete podinfo");
    server.refused(&format!("{unassign} --with-patches"));
}

#[test]
fn a_patch_is_taken_as_it_was_typed_or_as_it_stands_in_a_file() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    fs::write(&file, "<h1>\n\ta=b, -c\n").unwrap();
    let mut patch = server.cli("component patch podinfo --cluster demo-cluster-01 --unset ui.color");
    for pair in ["replicaCount=-1", "a==b=c,d={e}", "lines=1\n2\n", "empty=", "--dashed=-"] {
        patch.arg(format!("--set={pair}"));
    }
    patch.args(["--set", "minus=--set", "--set-file", &format!("ui.page={}", file.display())]);
    let expected = json!({
        "replicaCount": "-1", "a": "=b=c,d={e}", "lines": "1\n2\n", "empty": "", "--dashed": "-",
        "minus": "--set", "ui.message": "Hello from patches", "ui.page": "<h1>\n\ta=b, -c\n",
    });
    let refused = server.cli("component patch podinfo --cluster demo-cluster-01 --set-file a=nowhere");
    assert!(fails(refused, 2).contains("--set-file"));
    assert_eq!(succeeds(patch)["patches"]["podinfo"], expected);
}

#[test]
fn violations_are_shown_with_their_places() {
    let server = Server::start();
    let said = server.refused("cluster create Bad_Name --dns a..b --environment nowhere");
    assert!(said.contains("\n  /id: ") && said.contains("\n  /cluster_dns: "), "{said}");
    let said = server.refused("namespace assign teem --cluster demo-cluster-01");
    let expected = "error: The document is not valid (400 invalid)\n  /namespaces/3/id: namespaces/teem does not exist\n";
    assert_eq!(said, expected, "the only one is said once");
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
