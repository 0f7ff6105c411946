//! Profiles from the terminal: made, filled, laid over each other, and what clusters say against them. The
//! real server where it is about what they do; the stub where it is about what the API is asked.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::server::Server;
use crate::stub::{Answer, Ended, Stub, WRITE_TOKEN, cli, ended, fails, succeeds, without_revision};

const BASE: &str = "profile create base --selector '' --priority -10 --description 'what all have'";
const EDGE: &str = "profile create edge --selector environment=dev --priority 10";

impl Server {
    /// The demo fleet, one cluster that refers to nothing, and two profiles for both that say nothing yet.
    fn with_profiles() -> Self {
        let server = Server::start();
        succeeds(server.cli("cluster create eu-1 --dns eu-1.example --environment dev --label region=eu"));
        succeeds(server.cli(BASE));
        succeeds(server.cli(EDGE));
        server
    }

    #[track_caller]
    fn table(&self, arguments: &str) -> String {
        let Ended { code, stdout, stderr } = ended(self.cli(&format!("{arguments} -o table")));
        assert!(matches!(code, Some(0 | 3)), "{stderr}");
        stdout
    }

    fn gets(&self, kind: &str) -> Value {
        let polled = succeeds(self.cli(&format!("flux eu-1 {kind}")));
        polled["inputs"].clone()
    }
}

#[test]
fn a_profiles_life() {
    let server = Server::with_profiles();
    let created = succeeds(server.cli(BASE));
    assert_eq!(
        created,
        json!({"id": "base", "selector": "", "priority": -10, "description": "what all have"}),
        "run again, it changes nothing"
    );
    let said = fails(server.cli("profile create base --selector region=eu"), 1);
    assert!(said.contains("`profile update base`"), "{said}");
    let updated = succeeds(
        server.cli("profile update edge --priority 20 --description far --selector 'region in (eu)'"),
    );
    assert_eq!(updated["priority"], 20);
    assert_eq!(succeeds(server.cli("profile get edge")), updated);
    assert!(succeeds(server.cli("profile update edge --unset description")).get("description").is_none());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("extra.yaml");
    fs::write(
        &path,
        "id: a\nselector: region=eu\nnamespaces: [{id: podinfo}]\npatches: {podinfo: {a.b: '1'}}\n",
    )
    .unwrap();
    succeeds(server.cli(&format!("profile create -f {}", path.display())));
    assert_snapshot!(server.table("profile list"), @"
    ID    PRIORITY  SELECTOR        REFERENCES  PATCHES  DESCRIPTION
    base  -10       (all clusters)  0           0        what all have
    a     0         region=eu       1           1        -
    edge  20        region in (eu)  0           0        -
    ");
    let listed = succeeds(server.cli("profile list"));
    assert_eq!(listed[0]["id"], "a", "for programs, as the API has them");
    assert_eq!(ended(server.cli("profile delete a --plan")).code, Some(3));
    succeeds(server.cli("profile delete a --reason 'no more' --allow-removals 1"));
    assert!(fails(server.cli("profile get a"), 1).contains("404"));
    let history = succeeds(server.cli("history --type profile --id a"));
    assert_eq!((&history[0]["reason"], history.as_array().map(Vec::len)), (&json!("no more"), Some(2)));
    let revert = format!("revert {} --plan", history[0]["revision"]);
    assert!(server.table(&revert).contains("1 cluster gets namespace podinfo"));
}

#[test]
fn what_a_profile_gives_is_written_as_that_of_a_cluster() {
    let server = Server::with_profiles();
    let assigned =
        succeeds(server.cli("component assign podinfo --profile base --oci-tag 6.0.0 --suspend true"));
    let reference = json!({"id": "podinfo", "oci_tag": "6.0.0", "release": {"suspend": true}});
    assert_eq!(assigned["platform_components"], json!([reference]));
    succeeds(server.cli("component assign podinfo --profile base --unset release.suspend"));
    succeeds(server.cli("namespace assign podinfo --profile base --on-remove keep"));
    succeeds(server.cli("rolebinding create runners --role edit --group devs --profile base"));
    let patched =
        succeeds(server.cli("component patch podinfo --profile base --set replicaCount=1 --set a.b=1"));
    assert_eq!(patched["patches"]["podinfo"], json!({"replicaCount": "1", "a.b": "1"}));
    succeeds(server.cli("component patch podinfo --profile edge --set replicaCount=2 --unset-profile a.b"));
    let input = &server.gets("components")[0];
    assert_eq!((&input["id"], &input["source"]["oci_tag"]), (&json!("podinfo"), &json!("6.0.0")));
    assert_eq!(input["patches"], json!({"replicaCount": "2"}));
    assert_eq!(server.gets("namespaces")[0]["on_remove"], "keep");
    assert_eq!(server.gets("rolebindings")[0]["id"], "runners");

    let edge = succeeds(server.cli("component assign podinfo --profile edge --exclude --allow-removals 1"));
    assert_eq!(edge["platform_components"], json!([{"id": "podinfo", "exclude": true}]));
    assert_eq!(server.gets("components"), json!([]));
    let edge = succeeds(server.cli("component assign podinfo --profile edge"));
    assert_eq!(edge["platform_components"], json!([{"id": "podinfo"}]), "to refer to it takes it in again");
    succeeds(server.cli("component unassign podinfo --profile edge --with-patches"));
    let edge = succeeds(server.cli("profile get edge"));
    for field in ["platform_components", "patches", "unset_patches"] {
        assert!(edge.get(field).is_none_or(|left| *left == json!([]) || *left == json!({})), "{edge}");
    }
    assert_eq!(server.gets("components")[0]["patches"], json!({"replicaCount": "1", "a.b": "1"}));
    let said = fails(server.cli("component assign podinfo --profile nope"), 1);
    assert!(said.contains("profiles/nope"), "{said}");
    let said = fails(server.cli("component assign podinfo --profile base --note n"), 2);
    assert!(said.contains("cannot be used with"), "{said}");
}

#[test]
fn a_cluster_says_something_else_than_its_profiles() {
    let server = Server::with_profiles();
    succeeds(server.cli("component assign podinfo --profile base"));
    succeeds(server.cli("component patch podinfo --profile base --set replicaCount=1 --set a.b=1"));
    // What a profile gives can be patched and overridden on the cluster.
    succeeds(server.cli("component patch podinfo --cluster eu-1 --set replicaCount=3"));
    succeeds(server.cli("component patch podinfo --select region=eu --set c=1"));
    let said = fails(server.cli("component patch traefik --cluster eu-1 --set a=1"), 1);
    assert!(said.contains("component traefik is not assigned to cluster eu-1"), "{said}");
    let cluster =
        succeeds(server.cli("component patch podinfo --cluster eu-1 --unset-profile a.b --unset c"));
    assert_eq!(cluster["patches"]["podinfo"], json!({"replicaCount": "3"}));
    assert_eq!(cluster["unset_patches"]["podinfo"], json!(["a.b"]));
    assert_eq!(server.gets("components")[0]["patches"], json!({"replicaCount": "3"}));
    let cluster = succeeds(server.cli("component patch podinfo --cluster eu-1 --set a.b=9"));
    assert_eq!((cluster.get("unset_patches"), &cluster["patches"]["podinfo"]["a.b"]), (None, &json!("9")));
    succeeds(server.cli("component patch podinfo --cluster eu-1 --unset-profile a.b"));
    let cluster = succeeds(server.cli("component patch podinfo --cluster eu-1 --unset a.b"));
    assert!(cluster.get("unset_patches").is_none(), "{cluster}");
    assert_eq!(server.gets("components")[0]["patches"], json!({"replicaCount": "3", "a.b": "1"}));
    let said = fails(server.cli("component patch podinfo --select region=eu --unset-profile a.b"), 2);
    assert!(said.contains("let a profile of higher priority do it"), "{said}");

    let assign = "component assign podinfo --cluster eu-1";
    let noted =
        succeeds(server.cli(&format!("{assign} --oci-tag 6.9.0 --note 'bug 4711' --expires 2027-01-31")));
    let reference = json!({"id": "podinfo", "oci_tag": "6.9.0", "note": "bug 4711", "expires": "2027-01-31"});
    assert_eq!(noted["platform_components"], json!([reference]));
    let said = fails(server.cli(&format!("{assign} --exclude --oci-tag 7")), 2);
    assert!(said.contains("what is taken out has no oci_tag"), "{said}");
    let out = succeeds(server.cli(&format!("{assign} --exclude --allow-removals 1")));
    let reference = json!({"id": "podinfo", "exclude": true, "note": "bug 4711", "expires": "2027-01-31"});
    assert_eq!(out["platform_components"], json!([reference]));
    assert_eq!(server.gets("components"), json!([]));
    let said = fails(server.cli("component patch podinfo --cluster eu-1 --set x=1"), 1);
    assert!(said.contains("is not assigned"), "{said}");
    succeeds(server.cli(&format!("{assign} --unset note --unset expires")));
    let cluster = succeeds(server.cli("cluster get eu-1"));
    assert_eq!(cluster["platform_components"], json!([{"id": "podinfo"}]));
    succeeds(
        server.cli("component assign podinfo --select region=eu --exclude --note why --allow-removals 1"),
    );
    let cluster = succeeds(server.cli("cluster get eu-1"));
    assert_eq!(cluster["platform_components"], json!([{"id": "podinfo", "exclude": true, "note": "why"}]));
    succeeds(server.cli("component assign podinfo --select region=eu --unset note"));
    let Ended { code, stderr, .. } =
        ended(server.cli("component unassign podinfo --cluster eu-1 --with-patches"));
    assert_eq!(code, Some(0));
    assert_eq!(
        without_revision(&stderr),
        "eu-1 still gets component podinfo, from a profile; `component assign podinfo --cluster eu-1 --exclude` takes \
         it out there\n"
    );
    assert!(succeeds(server.cli("cluster get eu-1"))["patches"].get("podinfo").is_none());
    let namespace = "namespace assign podinfo --cluster eu-1 --on-remove keep --note n";
    assert_eq!(succeeds(server.cli(namespace))["namespaces"][0]["note"], "n");
    let namespace = "namespace assign podinfo --cluster eu-1 --unset note --unset on_remove";
    assert_eq!(succeeds(server.cli(namespace))["namespaces"], json!([{"id": "podinfo"}]));
}

#[test]
fn a_registered_type_stands_in_profiles_too() {
    let server = Server::with_type("every_kind");
    succeeds(server.cli(BASE));
    succeeds(server.cli("sample create a --set text=a --profile base"));
    let assigned = succeeds(server.cli("sample assign a --profile base --set count=7"));
    assert_eq!(assigned["samples"], json!([{"id": "a", "count": 7}]));
    let samples = |server: &Server| succeeds(server.cli("flux demo-cluster-01 samples"))["inputs"].clone();
    assert_eq!(samples(&server)[0]["count"], 7);
    for of in ["--cluster demo-cluster-01", "--select environment=dev"] {
        succeeds(server.cli(&format!("sample assign a {of} --set count=8 --note n")));
        let cluster = succeeds(server.cli("cluster get demo-cluster-01"));
        assert_eq!(cluster["samples"], json!([{"id": "a", "count": 8, "note": "n"}]));
        let said = fails(server.cli(&format!("sample assign a {of} --exclude --set count=8")), 2);
        assert!(said.contains("what is taken out has no count"), "{said}");
        succeeds(server.cli(&format!("sample assign a {of} --exclude --allow-removals 1")));
        assert_eq!(samples(&server), json!([]));
        succeeds(server.cli(&format!("sample assign a {of} --unset note")));
    }
    succeeds(server.cli("sample unassign a --profile base --allow-removals 1"));
    assert_eq!(succeeds(server.cli("profile get base"))["samples"], json!([]));
}

#[test]
fn plans_speak_of_profiles() {
    let server = Server::with_profiles();
    assert_snapshot!(server.table("profile create far --selector environment=qa --plan"), @"
    No cluster's answer changes.
    warning: profiles/far selects no cluster yet: `environment=qa` is what it waits for
    digest e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    ");
    succeeds(server.cli("component assign podinfo --profile base --oci-tag 6.0.0"));
    succeeds(server.cli("component assign podinfo --profile edge --oci-tag 6.1.0"));
    let plan = server.table("component assign podinfo --profile base --oci-tag 7.0.0 --plan");
    assert_snapshot!(without_digest(&plan), @"
    No cluster's answer changes, since clusters or higher profiles override what would.
    not reached by profile base: 2 clusters override source.oci_tag of component podinfo
        demo-cluster-01, eu-1
    ");
    let plan = server.table("component assign traefik --profile edge --exclude --plan");
    assert_snapshot!(without_digest(&plan), @"
    No cluster's answer changes.
    warning: profiles/edge takes out platform_components/traefik, which no lower profile gives to any of its clusters (2 clusters)
        demo-cluster-01, eu-1
    ");
    let whatif = server.table("profile update edge --unset platform_components --whatif eu-1");
    assert!(whatif.contains("-    oci_tag: \"6.1.0\"\n+    oci_tag: \"6.0.0\""), "{whatif}");
    let explained = server.table("explain eu-1 component podinfo");
    let line = explained.lines().find(|line| line.starts_with("source.oci_tag")).unwrap();
    let words = line.split("  ").filter(|word| !word.is_empty()).map(str::trim).collect::<Vec<_>>();
    assert_eq!(words[1..4], ["6.1.0", "profile profiles/edge", "6.0.0 (profile profiles/base)"]);
}

fn without_digest(plan: &str) -> String {
    plan.lines().filter(|line| !line.starts_with("digest ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn profiles_that_disagree_are_refused_in_words() {
    let server = Server::with_profiles();
    succeeds(server.cli("component assign podinfo --profile base --oci-tag 6.0.0"));
    succeeds(server.cli("component assign podinfo --profile edge --oci-tag 6.1.0"));
    let said = fails(server.cli("profile update edge --priority -10"), 1);
    assert_snapshot!(said, @r#"
    error: The change does not fit the fleet; let a profile of higher priority or the clusters say it, take it out of one of the two profiles, or give that another priority (`profile update ID --priority N`) (409 conflict)
      /platform_components/0/oci_tag: the profiles base and edge, both of priority -10, say different things of platform_components/podinfo/oci_tag: "6.0.0" and "6.1.0" on 2 clusters: demo-cluster-01, eu-1
    "#);
    // A label can bring it about too.
    succeeds(server.cli("profile create tier --selector tier=1 --priority 10"));
    succeeds(server.cli("component assign podinfo --profile tier --oci-tag 6.2.0"));
    let said = fails(server.cli("cluster update eu-1 --label tier=1"), 1);
    assert!(
        said.contains("profiles/edge /platform_components/0/oci_tag: the profiles edge and tier"),
        "{said}"
    );
    let said = fails(server.cli("component delete podinfo"), 1);
    assert!(said.contains("profiles/base, profiles/edge, profiles/tier; remove these references"), "{said}");
    succeeds(server.cli("profile delete tier"));
    succeeds(server.cli("component create dashboards --component-path d --oci-url oci://r.example/c --requires 'podinfo=>=6.1' --kubernetes '>=1.30' --profile base"));
    let component =
        succeeds(server.cli("component update dashboards --requires 'podinfo=>=6.0' --unset kubernetes"));
    assert_eq!((&component["requires"], component.get("kubernetes")), (&json!({"podinfo": ">=6.0"}), None));
    assert_snapshot!(fails(server.cli("component update dashboards --requires 'podinfo=>=7'"), 1), @"
    error: The change does not fit the fleet (409 conflict)
      profiles/base /platform_components/1: dashboards requires podinfo >=7; this cluster has 6.1.0 (on 2 clusters: demo-cluster-01, eu-1)
    ");
    let said = fails(server.cli("component update dashboards --requires podinfo=soon"), 1);
    assert!(said.contains("/requires/podinfo"), "{said}");
    let component = succeeds(server.cli("component update dashboards --unset requires.podinfo"));
    assert_eq!(component.get("requires"), None);
}

#[test]
fn files_hold_profiles() {
    let server = Server::with_profiles();
    succeeds(server.cli("component assign podinfo --profile base --oci-tag 6.0.0"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.yaml");
    let file = path.display();
    assert_eq!(succeeds(server.cli(&format!("export {file}")))["profiles"], 2);
    assert_eq!(ended(server.cli(&format!("diff -f {file}"))).code, Some(0));
    assert_eq!(succeeds(cli("", &format!("validate -f {file}")))["profiles"], 2);
    succeeds(server.cli(&format!("apply -f {file} --source git --take")));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("6.0.0", "6.2.0")).unwrap();
    let diff = ended(server.cli(&format!("diff -f {file} --source git -o table")));
    assert_eq!(diff.code, Some(3), "{}", diff.stderr);
    assert!(diff.stdout.contains("+++ profiles/base then"), "{}", diff.stdout);
    succeeds(server.cli(&format!("apply -f {file} --source git")));
    assert_eq!(server.gets("components")[0]["source"]["oci_tag"], "6.2.0");

    let more = "---\nprofiles:\n- {id: other, selector: '', priority: -10, platform_components: [{id: podinfo, oci_tag: x}]}\n- {id: wrong, selector: 'a in'}\n";
    fs::write(&path, text.clone() + more).unwrap();
    let said = fails(cli("", &format!("validate -f {file}")), 1);
    assert!(said.contains("fleet.yaml (document 2) /profiles/1/selector"), "{said}");
    fs::write(&path, text + &more.replace("- {id: wrong, selector: 'a in'}\n", "")).unwrap();
    let said = fails(cli("", &format!("validate -f {file}")), 1);
    assert!(said.contains("the profiles base and other, both of priority -10"), "{said}");
    let said = fails(server.cli(&format!("apply -f {file} --source git")), 1);
    assert!(said.contains("(409") && said.contains("fleet.yaml"), "{said}");
}

#[test]
fn whose_profiles_they_are_and_who_gets_them() {
    let profiles = json!([
        {"id": "a", "selector": "", "priority": 5},
        {"id": "b", "selector": "region=eu", "namespaces": [{"id": "n"}, {"id": "m", "exclude": true}],
            "patches": {"x": {"k": "1", "l": "2"}}, "unset_patches": {"x": ["m"]}},
        {"id": "c", "selector": "region=eu", "priority": 5, "description": "far\u{1b}[2J"},
    ]);
    let stub = Stub::answering(vec![Answer::json(200, &profiles)]);
    assert_snapshot!(ended(cli(&stub.url, "cluster profiles eu-1 -o table")).stdout, @r"
    ID  PRIORITY  SELECTOR        REFERENCES  PATCHES  DESCRIPTION
    b   0         region=eu       2           2        -
    a   5         (all clusters)  0           0        -
    c   5         region=eu       0           0        far\u{1b}[2J
    ");
    assert_eq!(stub.asked()[0].line, "GET /profiles?cluster=eu-1");
    let stub = Stub::answering(vec![Answer::json(200, &profiles)]);
    assert_eq!(ended(cli(&stub.url, "cluster profiles eu-1 -o name")).stdout, "b\na\nc\n");
    let stub = Stub::answering(vec![Answer::json(200, &profiles)]);
    assert_eq!(succeeds(cli(&stub.url, "cluster profiles eu-1"))[0], profiles[1], "for programs too");

    for (command, line) in [
        ("profile clusters edge", "GET /clusters?profile=edge"),
        ("cluster list --profile edge", "GET /clusters?profile=edge"),
        (
            "cluster list --profile edge --select tier=1 --filter environment=dev",
            "GET /clusters?label_selector=tier%3D1&environment=dev&profile=edge",
        ),
    ] {
        let stub = Stub::answering(vec![Answer::json(200, &json!([{"id": "eu-1"}]))]);
        assert_eq!(succeeds(cli(&stub.url, command)), json!([{"id": "eu-1"}]));
        assert_eq!(stub.asked()[0].line, line);
    }
    let unknown = json!({"error": "invalid_parameter", "message": "The query parameter `profile` names no profile: nope."});
    let stub = Stub::answering(vec![Answer::json(400, &unknown)]);
    assert!(fails(cli(&stub.url, "profile clusters nope"), 1).contains("names no profile"));
}

#[test]
fn a_cluster_with_its_profiles_worked_in() {
    let cluster = json!({"id": "eu-1", "namespaces": [{"id": "n"}]});
    let stub = Stub::answering(vec![Answer::json(200, &cluster).with("x-profiles", "base,edge")]);
    let Ended { code, stdout, stderr } = ended(cli(&stub.url, "cluster get eu-1 --effective"));
    assert_eq!((code, serde_json::from_str::<Value>(&stdout).unwrap()), (Some(0), cluster.clone()));
    assert_eq!(stderr, "eu-1 with its profiles, the highest last: base, edge\n");
    assert_eq!(stub.asked()[0].line, "GET /clusters/eu-1?effective=true");
    let stub = Stub::answering(vec![Answer::json(200, &cluster)]);
    assert_eq!(succeeds(cli(&stub.url, "cluster get eu-1 --effective")), cluster);
    let said = fails(cli("http://127.0.0.1:1", "cluster get eu-1 --effective --revision 3"), 2);
    assert!(said.contains("cannot be used with"), "{said}");
}

fn exceptions() -> Value {
    let changed = json!({"revision": 3, "at": "2026-05-01T12:00:00Z", "principal": "alice", "reason": "CVE"});
    json!([
        {"cluster": "eu-2", "type": "platform_components", "input": "podinfo", "path": "enabled", "value": false,
            "expired": false, "changed": {"before_history": true}},
        {"cluster": "eu-1", "type": "platform_components", "input": "podinfo", "path": "source.oci_tag",
            "value": "6.0.0", "instead": {"value": "6.1.0", "from": "profile", "document": "profiles/edge"},
            "note": "bug 4711", "expires": "2026-06-30", "expired": true, "changed": changed},
        {"cluster": "eu-1", "type": "samples", "input": "a", "path": "exclude", "value": true,
            "expires": "2027-01-31", "expired": false, "changed": {"not_after": 9}},
    ])
}

#[test]
fn exceptions_are_a_table() {
    let stub = Stub::answering(vec![Answer::json(200, &exceptions()).with("x-total-count", "3")]);
    let line = "report exceptions --cluster eu-1 --profile edge --type component --input podinfo --principal alice \
                --expired --select 'region in (eu)' --limit 10";
    assert_snapshot!(ended(cli(&stub.url, &format!("{line} -o table"))).stdout, @"
    SINCE               CLUSTER  INPUT              PATH            VALUE  INSTEAD                        BY     EXPIRES               NOTE
    before the history  eu-2     component podinfo  enabled         false  -                              -      -                     -
    2026-05-01          eu-1     component podinfo  source.oci_tag  6.0.0  6.1.0 (profile profiles/edge)  alice  2026-06-30 (expired)  bug 4711
    before revision 9   eu-1     samples a          exclude         true   -                              -      2027-01-31            -
    ");
    let asked = stub.asked();
    assert_eq!(
        asked[0].line,
        "GET /api/v2/reports/exceptions?cluster=eu-1&profile=edge&type=platform_components&input=podinfo\
         &principal=alice&expired=true&label_selector=region%20in%20%28eu%29&limit=10&offset=0"
    );
    assert_eq!(asked[0].header("authorization"), Some(format!("Bearer {WRITE_TOKEN}").as_str()));
}

#[test]
fn exceptions_are_json_for_programs_and_clusters_for_scripts() {
    for (format, expected) in [("json", None), ("name", Some("eu-1\neu-2\n"))] {
        let stub = Stub::answering(vec![Answer::json(200, &exceptions()).with("x-total-count", "3")]);
        let Ended { code, stdout, stderr } =
            ended(cli(&stub.url, &format!("report exceptions --expired=false -o {format}")));
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        match expected {
            Some(expected) => assert_eq!(stdout, expected),
            None => assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), exceptions()),
        }
        assert_eq!(stub.asked()[0].line, "GET /api/v2/reports/exceptions?expired=false&limit=1000&offset=0");
    }
    let page =
        |count: u64| json!((0..count).map(|n| json!({"cluster": format!("c{n}")})).collect::<Vec<_>>());
    let stub = Stub::answering(vec![
        Answer::json(200, &page(500)).with("x-total-count", "501"),
        Answer::json(200, &page(1)).with("x-total-count", "501"),
    ]);
    assert_eq!(succeeds(cli(&stub.url, "report exceptions")).as_array().map(Vec::len), Some(501));
    assert!(stub.asked()[1].line.ends_with("?limit=1000&offset=500"));
    let stub = Stub::answering(vec![Answer::json(200, &page(9)).with("x-total-count", "501")]);
    let limited = succeeds(cli(&stub.url, "report exceptions --limit 2"));
    assert_eq!(limited.as_array().map(Vec::len), Some(2));
}
