//! The brake: a frozen cluster keeps what it has through a bad change.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::objects::Objects;
use super::{World, installed, small_fleet, through_refusals};

pub(super) fn freeze(world: &World) -> Result<()> {
    let fleet = small_fleet(world, "prod")?;
    world.join(&fleet)?;
    let kubectl = world.kubectl();
    installed(kubectl, &["podinfo"])?;
    let before = Objects::of(kubectl)?;

    let freeze = json!({"id": "incident", "selector": "environment=prod", "reason": "not before Monday"});
    fleet.write("POST", "api/v2/freezes", &freeze)?;
    let bad = json!({"reason": "a bad change", "changes": [
        {"delete": "clusters/demo-cluster-01/platform_components/podinfo"},
        {"delete": "namespaces/red", "force": true},
        {"patch": "rolebindings/readers", "body": {"role": "cluster-admin"}}
    ]});
    let (plan, changed) = fleet.confirmed("POST", "api/v2/changes", &bad)?;
    ensure!(plan["frozen"][0]["freeze"] == "incident", "the plan is silent about the freeze: {plan}");
    through_refusals(world, "503", &before)?;
    let gathered = gathered(&fleet.planned("DELETE", "api/v2/freezes/incident", &Value::Null)?);
    ensure!(gathered == 3, "lifting the freeze should do three things, not {gathered}");

    let revert = format!("api/v2/changes/{}/revert", changed["revision"]);
    fleet.write("POST", &revert, &Value::Null)?;
    let plan = fleet.planned("DELETE", "api/v2/freezes/incident", &Value::Null)?;
    ensure!(self::gathered(&plan) == 0, "the bad change was undone, but lifting would do {plan}");
    through_refusals(world, "503", &before)?;

    fleet.write("DELETE", "api/v2/freezes/incident", &Value::Null)?;
    for _ in 0..2 {
        world.poll()?;
        before.unchanged(kubectl)?;
    }
    Ok(())
}

fn gathered(plan: &Value) -> usize {
    plan["effects"].as_array().map_or(usize::MAX, Vec::len)
}
