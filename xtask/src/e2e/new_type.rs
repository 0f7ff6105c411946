//! A resource type that comes while everything runs: registered, created, assigned, applied, evolved and taken away,
//! with the server of the beginning.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{DNS, World, cluster, same};
use crate::fleet::Fleet;
use crate::kubectl::{CONFIG_MAPS, OWNED};
use crate::manifests::examples;
use crate::member::SOON;
use crate::wait::wait_until;

const POLICIES: &str = "networkpolicies.networking.k8s.io";
const ASSIGNED: &str = "clusters/demo-cluster-01/network_policies";

/// The seed's own, unchanged.
const SEED: &str = include_str!("../../../data/network_policy.yaml");

pub(super) fn new_type(world: &World) -> Result<()> {
    let fleet = world.fleet(&json!({
        "clusters": [cluster(json!({"environment": "prod", "labels": {"zone": "inner"}, "namespaces": [{"id": "monitoring"}]}))],
        "namespaces": [{"id": "monitoring"}]
    }))?;
    let kubectl = world.kubectl();
    world.join(&fleet)?;
    fleet.refused("POST", "network_policies", &policy("early", &json!([])), 404)?;

    fleet.register(SEED)?;
    for id in ["allow-monitoring", "deny-all"] {
        let rules = if id == "deny-all" { json!([]) } else { json!([rule("prometheus", 9090)]) };
        fleet.write("POST", "network_policies", &policy(id, &rules))?;
    }
    let keep = json!({"on_remove": "keep"});
    fleet.write("PATCH", "network_policies/deny-all", &keep)?;
    let assign = |id: &str| json!({"update": format!("clusters/*/network_policies/{id}"), "select": "zone=inner", "body": {}});
    let changes =
        json!({"reason": "who may reach what", "changes": [assign("allow-monitoring"), assign("deny-all")]});
    fleet.write("POST", "api/v2/changes", &changes)?;

    let printed = fleet.cli(&["resource_type", "manifests", "network_policies"])?;
    let apply = |manifests: &str| -> Result<()> {
        kubectl.apply(&world.manifests.printed(&world.scene, manifests, &fleet.url(), DNS)?)?;
        world.poll()
    };
    apply(&printed)?;
    let begun = kubectl.list(CONFIG_MAPS, &["-l", &format!("{OWNED}=network-policies")])?;
    ensure!(begun.len() == 2, "as they are printed, the manifests make {begun:?}");
    apply(&filled_in(&printed)?)?;
    wait_until("what the manifests began with is gone", SOON, || {
        let left = kubectl.list(CONFIG_MAPS, &["-l", &format!("{OWNED}=network-policies")])?;
        // What is to be kept is kept from the beginning.
        ensure!(left.len() == 1, "{} are left", left.len());
        Ok(())
    })?;
    let allowing = kubectl.existing(POLICIES, "monitoring", "allow-monitoring")?;
    same("what the policy lets in", &allowing["spec"], &spec(&json!([ingress("prometheus", 9090)])))?;
    let denying = kubectl.existing(POLICIES, "monitoring", "deny-all")?;
    same(
        "what the other lets in",
        &denying["spec"],
        &json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
    )?;

    let two = json!({"ingress_rules": [rule("prometheus", 9091), rule("yes", 443)]});
    fleet.write("PATCH", "network_policies/allow-monitoring", &two)?;
    world.poll()?;
    let changed = kubectl.existing(POLICIES, "monitoring", "allow-monitoring")?;
    let both = json!([ingress("prometheus", 9091), ingress("yes", 443)]);
    same("what the policy lets in by now", &changed["spec"], &spec(&both))?;
    same("its uid", &changed["metadata"]["uid"], &allowing["metadata"]["uid"])?;

    evolve(&fleet)?;
    world.poll()?;
    let tightened = kubectl.existing(POLICIES, "monitoring", "allow-monitoring")?;
    same("the generation under the new schema", &tightened["metadata"]["generation"], &json!(2))?;

    for id in ["allow-monitoring", "deny-all"] {
        let (plan, _) = fleet.confirmed("DELETE", &format!("{ASSIGNED}/{id}"), &Value::Null)?;
        ensure!(plan.to_string().contains(id), "the plan does not name {id}: {plan}");
    }
    world.poll()?;
    wait_until("what was unassigned is gone", SOON, || {
        kubectl.absent(POLICIES, "monitoring", "allow-monitoring")
    })?;
    let kept = kubectl.existing(POLICIES, "monitoring", "deny-all")?;
    same("the uid of what is kept", &kept["metadata"]["uid"], &denying["metadata"]["uid"])?;

    fleet.refused("DELETE", "resource_types/network_policies", &Value::Null, 409)?;
    for path in
        ["network_policies/allow-monitoring", "network_policies/deny-all", "resource_types/network_policies"]
    {
        fleet.write("DELETE", path, &Value::Null)?;
    }
    fleet.refused("GET", "network_policies", &Value::Null, 404).map(drop)
}

/// A stricter schema is refused as long as a document breaks it, and comes in one change set with what that becomes.
fn evolve(fleet: &Fleet) -> Result<()> {
    fleet.write("POST", "network_policies", &policy("old", &json!([{"from_namespace": "legacy"}])))?;
    let mut stricter = fleet.write("PATCH", "resource_types/network_policies", &json!({}))?;
    stricter["apiVersion"] = json!("v2");
    let items =
        stricter.pointer_mut("/schema/properties/ingress_rules/items").context("the seed's schema")?;
    items["required"] = json!(["from_namespace", "port"]);
    let refusal = fleet.refused("PUT", "resource_types/network_policies", &stricter, 409)?;
    ensure!(refusal.to_string().contains("old"), "the refusal does not name the document: {refusal}");
    let changes = json!({"reason": "every rule names a port", "changes": [
        {"update": "resource_types/network_policies", "body": stricter},
        {"patch": "network_policies/old", "body": {"ingress_rules": [rule("legacy", 80)]}}
    ]});
    fleet.write("POST", "api/v2/changes", &changes)?;
    let broken = json!({"ingress_rules": [{"port": 80}]});
    fleet.refused("PATCH", "network_policies/old", &broken, 400)?;
    fleet.write("DELETE", "network_policies/old", &Value::Null).map(drop)
}

/// The printed manifests with the Kubernetes object that `deploy/examples` has.
fn filled_in(printed: &str) -> Result<String> {
    const TEMPLATE: &str = "resourcesTemplate: |\n";
    let example = fs::read_to_string(examples().join("network-policies/resourceset.yaml"))?;
    let (before, _) = printed.split_once(TEMPLATE).context("what is printed has no template")?;
    let (_, object) = example.split_once(TEMPLATE).context("the example has no template")?;
    Ok([before, TEMPLATE, object].concat())
}

fn policy(id: &str, rules: &Value) -> Value {
    json!({"id": id, "target_namespace": "monitoring", "ingress_rules": rules})
}

fn rule(from: &str, port: u16) -> Value {
    json!({"from_namespace": from, "port": port})
}

fn ingress(from: &str, port: u16) -> Value {
    json!({
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": from}}}],
        "ports": [{"port": port, "protocol": "TCP"}]
    })
}

fn spec(ingress: &Value) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress})
}
