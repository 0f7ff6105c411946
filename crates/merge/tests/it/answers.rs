//! The specification's own examples, answer by answer.

use flux_resourceset_merge::{Fleet, FleetFilter, NoList};

fn fleet(text: &str) -> Fleet {
    Fleet::from_json(text).unwrap()
}

#[track_caller]
fn pretty(fleet: &Fleet, dns: &str, path: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(&fleet.answer_text(dns, path).unwrap()).unwrap();
    serde_json::to_string_pretty(&answer).unwrap()
}

#[test]
fn the_merge_example_of_the_specification() {
    let fleet = fleet(
        r#"{
        "clusters": [{
            "cluster_name": "us-east-prod-01", "cluster_dns": "us-east-prod-01.k8s.example.com", "environment": "prod",
            "platform_components": [
                {"id": "cert-manager", "enabled": true, "oci_tag": null, "component_path": null},
                {"id": "grafana", "enabled": true, "oci_tag": "v1.0.0-1", "component_path": "observability/grafana/17.1.0"}
            ],
            "patches": {"grafana": {"GRAFANA_REPLICAS": "3"}}
        }],
        "platform_components": [
            {"_id": "cert-manager", "component_path": "core/cert-manager/1.14.0", "oci_url": "oci://registry/repo", "oci_tag": "v1.0.0", "depends_on": []},
            {"_id": "grafana", "component_path": "observability/grafana/17.0.0", "oci_url": "oci://registry/repo", "oci_tag": "v1.0.0", "depends_on": ["cert-manager"]}
        ]}"#,
    );
    insta::assert_snapshot!(pretty(&fleet, "us-east-prod-01.k8s.example.com", "platform-components"));
}

#[test]
fn every_field_of_the_schema_is_in_every_input() {
    let fleet = fleet(
        r#"{
        "clusters": [{"cluster_name": "c", "cluster_dns": "c.example.com", "environment": "dev",
            "namespaces": [{"id": "bare"}, {"id": "gone"}, {"id": "full", "on_remove": "keep"}],
            "rolebindings": [{"id": "r"}]}],
        "namespaces": [{"id": "bare"}, {"id": "full", "labels": {"a": "b"}, "annotations": {"c": "d"}}],
        "rolebindings": [{"id": "r", "role": "view"}]
        }"#,
    );
    insta::assert_snapshot!(pretty(&fleet, "C.example.com.", "namespaces"));
    insta::assert_snapshot!(pretty(&fleet, "c.example.com", "rolebindings"));
}

fn many(count: usize) -> Fleet {
    let clusters: Vec<_> = (0..count)
        .map(|n| {
            let environment = if n % 2 == 0 { "dev" } else { "prod" };
            serde_json::json!({"cluster_name": format!("c{n}"), "cluster_dns": format!("c{n}.example.com"), "environment": environment})
        })
        .collect();
    fleet(&serde_json::json!({"clusters": clusters}).to_string())
}

#[track_caller]
fn listed(fleet: &Fleet, filter: &FleetFilter) -> Vec<String> {
    let mut out = Vec::new();
    fleet.clusters(filter, &mut out).unwrap();
    let list: serde_json::Value = serde_json::from_slice(&out).unwrap();
    list["inputs"].as_array().unwrap().iter().map(|input| input["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn shards_hold_every_cluster_once_whatever_the_fleet() {
    let whole = listed(&many(100), &FleetFilter::default());
    let shard = |fleet: &Fleet, text: &str| {
        listed(fleet, &FleetFilter { shard: Some(text.parse().unwrap()), ..Default::default() })
    };
    let mut shards: Vec<_> = (1..=3).flat_map(|k| shard(&many(100), &format!("{k}/3"))).collect();
    shards.sort();
    assert_eq!(shards, whole);
    let smaller = shard(&many(50), "1/3");
    assert!(smaller.iter().all(|id| shard(&many(100), "1/3").contains(id)));
    for wrong in ["0/3", "4/3", "1", "1/0", "a/b", "1/3/5", "-1/3", "+1/+3", "/", "1/"] {
        assert!(wrong.parse::<flux_resourceset_merge::Shard>().is_err(), "{wrong}");
    }
}

#[test]
fn a_list_that_flux_would_cut_says_how_to_split_it() {
    let refused = many(10_001).clusters(&FleetFilter::default(), &mut Vec::new()).unwrap_err();
    insta::assert_snapshot!(refused);
    let part = FleetFilter { environment: Some("dev".into()), ..Default::default() };
    assert_eq!(listed(&many(8_000), &part).len(), 4_000);
}

#[test]
fn a_doubtful_list_is_not_answered_as_empty() {
    let empty = Fleet::empty(Default::default());
    let mut out = Vec::new();
    assert_eq!(empty.clusters(&FleetFilter::default(), &mut out), Err(NoList::NothingWritten));
    let fleet = many(3);
    let environment = |name: &str| FleetFilter { environment: Some(name.into()), ..Default::default() };
    assert_eq!(fleet.clusters(&environment("qa"), &mut out), Err(NoList::NoMatch));
    let unknown = fleet.clusters(&environment("Prod"), &mut out).unwrap_err();
    assert_eq!(unknown.to_string(), "`Prod` is not one of this fleet's environments: dev, qa, uat, prod");
    assert!(out.is_empty());
}
