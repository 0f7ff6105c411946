//! A fleet operated from the terminal, against the real server: looked at before it is changed, changed
//! together, braked, taken back.

use std::fs;

use serde_json::{Value, json};

use crate::server::Server;
use crate::stub::{Ended, ended, succeeds};

impl Server {
    fn run(&self, arguments: &str) -> Ended {
        ended(self.cli(arguments))
    }

    /// The demo fleet and three clusters of the eu, one of them protected.
    fn with_clusters() -> Self {
        let server = Server::start();
        for (id, environment) in [("eu-1", "dev"), ("eu-2", "dev"), ("eu-3", "prod")] {
            let create = format!(
                "cluster create {id} --dns {id}.example --environment {environment} --label region=eu"
            );
            succeeds(server.cli(&create));
        }
        server
    }

    fn tag(&self, cluster: &str) -> Value {
        let polled = succeeds(self.cli(&format!("flux {cluster} components")));
        polled["inputs"].as_array().unwrap().iter().find(|input| input["id"] == "podinfo").unwrap()["source"]
            ["oci_tag"]
            .clone()
    }
}

#[test]
fn what_was_planned_is_what_happens() {
    let server = Server::with_clusters();
    let assign = "component assign podinfo --select 'region=eu,environment notin (prod)' --oci-tag 6.0.0";
    let planned = server.run(&format!("{assign} --plan -o json"));
    assert_eq!(planned.code, Some(3), "{}", planned.stderr);
    let plan: Value = serde_json::from_str(&planned.stdout).unwrap();
    assert_eq!(plan["effects"][0]["clusters"], json!(["eu-1", "eu-2"]));
    let digest = plan["digest"].as_str().unwrap();
    let made = succeeds(server.cli(&format!("{assign} --plan-digest {digest} --reason 'more of it'")));
    assert_eq!(made["documents"].as_array().unwrap().len(), 2);
    assert_eq!(server.tag("eu-2"), "6.0.0");
    assert_eq!(server.run(&format!("{assign} --plan")).code, Some(0), "it is done already");
    // A catalog change does not reach them now, and says so.
    let hidden = server.run("component update podinfo --oci-tag 7.0.0 --plan -o table").stdout;
    assert!(
        hidden.contains("not reached: 2 clusters override source.oci_tag of component podinfo"),
        "{hidden}"
    );
    let diff = server.run("component update podinfo --oci-tag 7.0.0 --whatif demo-cluster-01 -o table");
    assert_eq!(diff.code, Some(3));
    assert!(diff.stdout.contains("-    oci_tag: latest\n+    oci_tag: \"7.0.0\""), "{}", diff.stdout);
}

#[test]
fn a_protected_cluster_is_not_emptied_by_accident() {
    let server = Server::with_clusters();
    succeeds(server.cli("component assign podinfo --select region=eu"));
    let unassign = "component unassign podinfo --select region=eu";
    let refused = server.run(unassign);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("  --allow-removals 3\n"), "{}", refused.stderr);
    assert_eq!(server.run(&format!("{unassign} --allow-removals 2")).code, Some(1));
    assert_eq!(server.run(&format!("{unassign} --allow-removals 3")).code, Some(0));
    let held = server.run("cluster delete eu-3");
    assert!(held.stderr.contains("eu-3 is held: it keeps what it has."), "{}", held.stderr);
    succeeds(server.cli("tombstone restore eu-3"));
}

#[test]
fn the_brake_holds_until_it_is_lifted() {
    let server = Server::with_clusters();
    let freeze = "freeze create --id incident-42 --select region=eu --reason 'etcd is slow'";
    let planned = server.run(&format!("{freeze} --plan -o table"));
    assert_eq!(planned.code, Some(3));
    let line = "3 clusters are frozen, so nothing reaches them:\n    eu-1, eu-2, eu-3\n";
    assert!(planned.stdout.contains(line), "{}", planned.stdout);
    assert_eq!(server.run(freeze).stderr, "3 clusters are frozen: eu-1, eu-2, eu-3\nrevision 5\n");
    let none = server.run("freeze create --select region=moon --reason why --plan");
    assert!(none.stderr.contains("add --allow-empty (400 invalid)"), "{}", none.stderr);
    assert!(none.stderr.ends_with("/selector: `region=moon` selects no cluster\n"), "{}", none.stderr);
    let assigned = server.run("component assign podinfo --cluster eu-1");
    assert_eq!(assigned.code, Some(0));
    assert_eq!(assigned.stderr, "eu-1 is frozen by incident-42: etcd is slow\nrevision 6\n");
    let polled = server.run("flux eu-1 components");
    assert_eq!(polled.stderr.matches("is frozen").count(), 1, "{}", polled.stderr);
    assert!(polled.stderr.contains("; `freeze lift incident-42` lifts it (503 frozen"), "{}", polled.stderr);
    let lifted = server.run("freeze lift incident-42");
    assert!(lifted.stderr.contains("+ 1 cluster gets component podinfo\n    eu-1"), "{}", lifted.stderr);
    assert_eq!(server.tag("eu-1"), "latest");
}

#[test]
fn a_write_says_which_revision_it_made() {
    let server = Server::start();
    let says = |arguments: &str, expected: &str| {
        let ended = server.run(arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), expected), "{arguments}");
    };
    says("namespace create a --cluster demo-cluster-01", "revision 2\n");
    says("namespace create a --cluster demo-cluster-01", "");
    says("component assign podinfo --cluster demo-cluster-01 --oci-tag 9", "revision 3\n");
    says("component assign podinfo --cluster demo-cluster-01", "");
    says("component patch podinfo --cluster demo-cluster-01 --set a.b=1", "revision 4\n");
    says("component patch podinfo --cluster demo-cluster-01 --set a.b=1", "");
    says("namespace unassign a --cluster demo-cluster-01", "revision 5\n");
    says("namespace delete a", "revision 6\n");
    says("namespace create a -o name", "");
    says("component unassign podinfo --select environment=dev", "");
    says("namespace list", "");
    says("rolebinding create 'system:a' --role view --group g", "revision 9\n");
    says("rolebinding delete 'system:a'", "revision 10\n");
}

#[test]
fn a_change_is_explained_and_taken_back() {
    let server = Server::start();
    succeeds(server.cli("component update podinfo --oci-tag 6.5.0 --reason CVE-2026-1234"));
    let history = succeeds(server.cli("history --type component --id podinfo"));
    assert_eq!((&history[0]["revision"], &history[0]["reason"]), (&json!(2), &json!("CVE-2026-1234")));
    let explained = server.run("explain demo-cluster-01 component podinfo -o table").stdout;
    let line = explained.lines().find(|line| line.starts_with("source.oci_tag")).unwrap();
    assert!(line.contains("6.5.0") && line.ends_with("by writer: CVE-2026-1234"), "{explained}");
    assert_eq!(server.run("revert 2 --plan").code, Some(3));
    succeeds(server.cli("revert 2"));
    assert_eq!(server.tag("demo-cluster-01"), "latest");
    let before = succeeds(server.cli("flux demo-cluster-01 components --revision 2"));
    assert_eq!(before["inputs"][2]["source"]["oci_tag"], "6.5.0");
}

#[test]
fn a_fleet_goes_into_a_file_and_comes_back() {
    let server = Server::with_clusters();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.yaml");
    let file = path.display();
    succeeds(server.cli(&format!("export {file}")));
    assert_eq!(server.run(&format!("diff -f {file}")).code, Some(0));
    assert_eq!(server.run(&format!("validate -f {file}")).code, Some(0));
    succeeds(server.cli(&format!("apply -f {file} --source git --take")));
    assert_eq!(server.run(&format!("diff -f {file} --source git --prune")).code, Some(0));
    let edited = fs::read_to_string(&path).unwrap().replacen("oci_tag: latest", "oci_tag: v2", 1);
    fs::write(&path, edited).unwrap();
    assert_eq!(server.run(&format!("diff -f {file} --source git")).code, Some(3));
    succeeds(server.cli("component update cert-manager --oci-tag v3 --reason hotfix"));
    let disputed = server.run(&format!("apply -f {file} --source git"));
    assert_eq!(disputed.code, Some(1));
    assert!(disputed.stderr.contains("add --take") && !disputed.stderr.contains("take=true"));
    let looked = server.run(&format!("diff -f {file} --source git -o table"));
    assert_eq!(looked.code, Some(3));
    assert!(looked.stdout.contains("others have a say in 1 document"), "{}", looked.stdout);
    assert!(!looked.stdout.contains("source git owns"), "it owns what it owned: {}", looked.stdout);
    assert!(disputed.stderr.contains("fleet.yaml /platform_components/0"), "{}", disputed.stderr);
    assert!(disputed.stderr.contains("hotfix"), "{}", disputed.stderr);
}
