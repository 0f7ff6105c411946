//! A protected cluster that is deleted: held, brought back, and in the end let go.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::objects::Objects;
use super::{World, installed, same, small_fleet, through_refusals};
use crate::kubectl::{CONFIG_MAPS, NAMESPACES};
use crate::member::SOON;
use crate::wait::wait_until;

const CLUSTER: &str = "clusters/demo-cluster-01";
const TOMBSTONE: &str = "api/v2/tombstones/demo-cluster-01";

pub(super) fn held(world: &World) -> Result<()> {
    let fleet = small_fleet(world, "prod")?;
    world.join(&fleet)?;
    let kubectl = world.kubectl();
    installed(kubectl, &["podinfo"])?;
    let before = Objects::of(kubectl)?;

    // Nothing needs to be confirmed, since nothing is destroyed.
    let deleted = fleet.write("DELETE", CLUSTER, &Value::Null)?;
    through_refusals(world, "410", &before)?;
    let restored = fleet.write("POST", &format!("{TOMBSTONE}/restore"), &Value::Null)?;
    same("the restored cluster", &restored, &deleted)?;
    for _ in 0..2 {
        world.poll()?;
        before.unchanged(kubectl)?;
    }
    // It is not only answered: it follows again.
    fleet.write("PUT", &format!("{CLUSTER}/namespaces/green"), &json!({}))?;
    world.poll()?;
    kubectl.existing(NAMESPACES, "", "green")?;

    fleet.write("DELETE", CLUSTER, &Value::Null)?;
    let (plan, _) = fleet.confirmed("POST", &format!("{TOMBSTONE}/wipe"), &Value::Null)?;
    same("the clusters that are emptied", &plan["destructive"]["emptied"], &json!(1))?;
    world.poll()?;
    wait_until("nothing that a ResourceSet made is left", SOON, || {
        let left: Vec<_> = kubectl.owned()?.into_keys().collect();
        ensure!(left.is_empty(), "left: {}", left.join(", "));
        kubectl.absent(CONFIG_MAPS, "podinfo", "podinfo-echo")
    })
}
