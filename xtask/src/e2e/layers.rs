//! Profiles: a cluster that says nothing but its labels gets what they select, and loses it with them.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::objects::Objects;
use super::plan::kept;
use super::promise::Promise;
use super::{World, cluster, echo, installed, same};
use crate::kubectl::{Kubectl, NAMESPACES, text};
use crate::member::{self, SOON};
use crate::wait::wait_until;

const ID: &str = "demo-cluster-01";
const CLUSTER: &str = "clusters/demo-cluster-01";

pub(super) fn layers(world: &World) -> Result<()> {
    let fleet = world.fleet(&json!({
        "platform_components": [world.component("podinfo")],
        "namespaces": [{"id": "inner"}, {"id": "outer"}, {"id": "another"}],
        "profiles": [
            {
                "id": "edge", "selector": "tier=edge",
                "platform_components": [{"id": "podinfo", "oci_tag": "1.0.0"}],
                "namespaces": [{"id": "outer"}], "patches": {"podinfo": {"replicaCount": "2"}}
            },
            {"id": "core", "selector": "tier=core", "namespaces": [{"id": "inner"}]}
        ]
    }))?;
    let kubectl = world.kubectl();
    fleet.write("POST", "clusters", &cluster(json!({"environment": "prod", "labels": {"tier": "edge"}})))?;
    world.join(&fleet)?;
    installed(kubectl, &["podinfo"])?;
    shows(kubectl, "podinfo 1.0.0", 2)?;
    kubectl.existing(NAMESPACES, "", "outer")?;
    kubectl.absent(NAMESPACES, "", "inner")?;

    let edit = json!({"reason": "the edge moves on", "changes": [
        {"patch": "profiles/edge/platform_components/podinfo", "body": {"oci_tag": "2.0.0"}},
        {"patch": "profiles/edge/patches/podinfo", "body": {"replicaCount": "3"}},
        {"update": "profiles/edge/namespaces/another", "body": {}}
    ]});
    let before = Objects::of(kubectl)?;
    let plan = fleet.planned("POST", "api/v2/changes", &edit)?;
    does(&plan, ["change platform_components podinfo", "install namespaces another"])?;
    fleet.write("POST", "api/v2/changes", &edit)?;
    happens(kubectl, &plan, &before)?;
    shows(kubectl, "podinfo 2.0.0", 3)?;

    let moved = json!({"labels": {"tier": "core"}});
    let before = Objects::of(kubectl)?;
    fleet.refused("PATCH", CLUSTER, &moved, 428)?;
    member::poll(kubectl)?;
    before.unchanged(kubectl)?;
    let (plan, _) = fleet.confirmed("PATCH", CLUSTER, &moved)?;
    does(
        &plan,
        [
            "install namespaces inner",
            "remove namespaces another",
            "remove namespaces outer",
            "remove platform_components podinfo",
        ],
    )?;
    happens(kubectl, &plan, &before)
}

/// Fails unless the plan has these effects, on the cluster, and no other.
fn does<const N: usize>(plan: &Value, expected: [&str; N]) -> Result<()> {
    let effects = plan["effects"].as_array().into_iter().flatten();
    let mut found: Vec<_> = effects
        .map(|effect| ["effect", "type", "input"].map(|field| text(&effect[field])).join(" "))
        .collect();
    found.sort();
    ensure!(found == expected, "the plan's effects are {found:?}");
    same("how many clusters it changes", &plan["clusters"], &json!(1))
}

/// Has the cluster poll until all that the plan says has happened, and nothing else.
fn happens(kubectl: &Kubectl, plan: &Value, before: &Objects) -> Result<()> {
    let promise = Promise::of(plan, ID);
    for _ in 0..2 {
        member::poll(kubectl)?;
        kept(&promise, kubectl, before, ID)?;
    }
    Ok(())
}

/// Waits until the chart and the value that the profile says are there.
fn shows(kubectl: &Kubectl, chart: &str, replicas: u64) -> Result<()> {
    wait_until(format!("{chart} with {replicas} replicas is there"), SOON, || {
        let (found, values) = echo(kubectl, "podinfo", "podinfo")?;
        same("the chart", &json!(found), &json!(chart))?;
        same("its replicas", &values["replicaCount"], &json!(replicas))
    })
}
