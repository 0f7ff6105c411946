//! What goes, and what stays.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{World, cluster, installed};
use crate::kubectl::{BINDINGS, CONFIG_MAPS, FLUX_SYSTEM, HELM_RELEASES, HELM_REPOSITORIES, NAMESPACES};
use crate::member::SOON;
use crate::wait::wait_until;

const CLUSTER: &str = "clusters/demo-cluster-01";

pub(super) fn removal(world: &World) -> Result<()> {
    let mut patched = cluster(json!({
        "platform_components": [{"id": "one"}, {"id": "two"}],
        "namespaces": [{"id": "plain"}, {"id": "precious"}, {"id": "last"}],
        "rolebindings": [{"id": "readers"}],
        "patches": {"one": {"replicaCount": "2"}, "two": {"replicaCount": "2"}}
    }));
    patched["environment"] = json!("prod");
    let fleet = world.fleet(&json!({
        "clusters": [patched],
        "platform_components": [world.component("one"), world.component("two")],
        "namespaces": [{"id": "plain"}, {"id": "precious", "on_remove": "keep"}, {"id": "last"}],
        "rolebindings": [{"id": "readers", "role": "view", "subjects": []}]
    }))?;
    let kubectl = world.kubectl();
    kubectl.apply(&by_hand(NAMESPACE))?;
    kubectl.apply(&by_hand(BINDING))?;
    world.join(&fleet)?;
    installed(kubectl, &["one", "two"])?;
    let precious = uid(&kubectl.existing(NAMESPACES, "", "precious")?);

    let one = format!("{CLUSTER}/platform_components/one");
    fleet.confirmed("PATCH", &one, &json!({"enabled": false}))?;
    world.poll()?;
    component_is_gone(world, "one")?;
    installed(kubectl, &["two"])?;
    kubectl.existing(CONFIG_MAPS, "two", "two-echo")?;

    for id in ["plain", "precious"] {
        fleet.confirmed("DELETE", &format!("{CLUSTER}/namespaces/{id}"), &Value::Null)?;
    }
    world.poll()?;
    is_gone(world, NAMESPACES, "", "plain")?;
    ensure!(uid(&kubectl.existing(NAMESPACES, "", "precious")?) == precious, "it was made anew");

    // In prod it is only held, until somebody says that it may go.
    fleet.write("DELETE", CLUSTER, &Value::Null)?;
    fleet.confirmed("POST", "api/v2/tombstones/demo-cluster-01/wipe", &Value::Null)?;
    world.poll()?;
    component_is_gone(world, "two")?;
    is_gone(world, NAMESPACES, "", "last")?;
    is_gone(world, BINDINGS, "", "readers")?;
    wait_until("nothing that a ResourceSet made is left but what is kept", SOON, || {
        let left: Vec<_> = kubectl.owned()?.into_keys().collect();
        ensure!(left == ["Namespace -/precious"], "left: {}", left.join(", "));
        Ok(())
    })?;
    ensure!(uid(&kubectl.existing(NAMESPACES, "", "precious")?) == precious, "what is kept was made anew");
    kubectl.existing(NAMESPACES, "", "by-hand")?;
    kubectl.existing(BINDINGS, "", "by-hand")?;
    kubectl.delete(BINDINGS, "", "by-hand")
}

const NAMESPACE: (&str, &str) = ("v1", "Namespace");
const BINDING: (&str, &str) = ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding");

/// An object that the product knows nothing of.
fn by_hand((version, kind): (&str, &str)) -> String {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "by-hand"}});
    if kind == BINDING.1 {
        object["roleRef"] =
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    }
    object.to_string()
}

fn component_is_gone(world: &World, id: &str) -> Result<()> {
    is_gone(world, HELM_RELEASES, FLUX_SYSTEM, &format!("platform-{id}"))?;
    is_gone(world, HELM_REPOSITORIES, FLUX_SYSTEM, &format!("charts-{id}"))?;
    is_gone(world, CONFIG_MAPS, FLUX_SYSTEM, &format!("values-{id}-demo-cluster-01"))?;
    // What the chart made, too: the release was uninstalled, not just forgotten.
    is_gone(world, CONFIG_MAPS, id, &format!("{id}-echo"))
}

fn is_gone(world: &World, kind: &str, namespace: &str, name: &str) -> Result<()> {
    wait_until(format!("{kind} {name} is gone"), SOON, || world.kubectl().absent(kind, namespace, name))
}

fn uid(object: &Value) -> String {
    crate::kubectl::text(&object["metadata"]["uid"])
}
