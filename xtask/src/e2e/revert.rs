//! Taking a change back after it has happened.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::objects::{Fate, Objects};
use super::{World, installed, same, small_fleet};
use crate::member::SOON;
use crate::wait::wait_until;

/// What the change takes away. The component's own namespace was made by Helm, and stays.
const REMOVED: [&str; 6] = [
    "ClusterRoleBinding -/readers",
    "ConfigMap flux-system/values-podinfo-demo-cluster-01",
    "ConfigMap podinfo/podinfo-echo",
    "HelmRelease flux-system/platform-podinfo",
    "HelmRepository flux-system/charts-podinfo",
    "Namespace -/red",
];

pub(super) fn revert(world: &World) -> Result<()> {
    let fleet = small_fleet(world, "prod")?;
    world.join(&fleet)?;
    let kubectl = world.kubectl();
    installed(kubectl, &["podinfo"])?;
    let before = Objects::of(kubectl)?;

    let change = json!({"reason": "spring cleaning", "changes": [
        {"delete": "clusters/demo-cluster-01/platform_components/podinfo"},
        {"delete": "clusters/demo-cluster-01/patches/podinfo"},
        {"delete": "clusters/demo-cluster-01/rolebindings/readers"},
        // The definition, too: it must be back before the reference to it.
        {"delete": "namespaces/red", "force": true}
    ]});
    let (_, changed) = fleet.confirmed("POST", "api/v2/changes", &change)?;
    // Somebody else's, later and of the same documents: it stays when the change is undone.
    let label = json!({"labels": {"team": "blue"}});
    fleet.write("PATCH", "clusters/demo-cluster-01", &label)?;
    world.poll()?;
    let removed = REMOVED.map(|name| (name.to_owned(), Fate::Gone)).into();
    wait_until("what was unassigned is gone", SOON, || {
        let fates = before.fates(&Objects::of(kubectl)?);
        ensure!(fates == removed, "it is {fates:?}");
        Ok(())
    })?;

    let revert = format!("api/v2/changes/{}/revert", changed["revision"]);
    let reverted = fleet.write("POST", &revert, &Value::Null)?;
    same("what the revert leaves out", &reverted["skipped"], &json!([]))?;
    let patched = fleet.write("PATCH", "clusters/demo-cluster-01", &json!({}))?;
    same("the label that came in between", &patched["labels"], &label["labels"])?;
    world.poll()?;
    installed(kubectl, &["podinfo"])?;
    let anew = REMOVED.map(|name| (name.to_owned(), Fate::Anew)).into();
    wait_until("all of it is back, and nothing else was touched", SOON, || {
        let now = Objects::of(kubectl)?;
        let fates = before.fates(&now);
        ensure!(fates == anew, "it is {fates:?}");
        let (was, is) = (before.written(), now.written());
        REMOVED.iter().try_for_each(|name| same(name, &is[name], &was[name]))
    })
}
