//! What a fleet's data becomes on a cluster.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{World, cluster, installed, same};
use crate::demo;
use crate::kubectl::{
    BINDINGS, CONFIG_MAPS, FLUX_SYSTEM, HELM_RELEASES, HELM_REPOSITORIES, NAMESPACES, text,
};
use crate::member::SOON;
use crate::wait::wait_until;

pub(super) fn demo_fleet(world: &World) -> Result<()> {
    let fleet = world.fleet(&demo::seed()?)?;
    for id in ["cert-manager", "traefik", "podinfo"] {
        let url = json!({"oci_url": world.charts.url()});
        fleet.write("PATCH", &format!("platform_components/{id}"), &url)?;
    }
    let podinfo = json!({"depends_on": ["traefik"], "component_version": "1.0.0"});
    fleet.write("PATCH", "platform_components/podinfo", &podinfo)?;
    fleet.write(
        "PATCH",
        "namespaces/podinfo",
        &json!({"annotations": {"example.com/owner": "team: \"a\""}}),
    )?;
    world.join(&fleet)?;
    namespaces(world)?;
    bindings(world)?;
    repositories_and_values(world)?;
    releases(world)?;
    installed(world.kubectl(), &["cert-manager", "traefik", "podinfo"])?;

    let before = world.kubectl().existing(BINDINGS, "", "dev-readers")?;
    let robot = json!({"kind": "ServiceAccount", "name": "deployer", "namespace": "podinfo"});
    fleet.write("PATCH", "rolebindings/dev-readers", &json!({"role": "edit", "subjects": [robot]}))?;
    world.poll()?;
    let after = world.kubectl().existing(BINDINGS, "", "dev-readers")?;
    same("the changed role", &after["roleRef"]["name"], &json!("edit"))?;
    same("a service account as subject", &after["subjects"], &json!([robot]))?;
    // A binding's role is immutable: it can only have been made anew.
    ensure!(before["metadata"]["uid"] != after["metadata"]["uid"], "the binding is still the old one");
    Ok(())
}

fn namespaces(world: &World) -> Result<()> {
    for id in ["cert-manager", "traefik", "podinfo"] {
        let namespace = world.kubectl().existing(NAMESPACES, "", id)?;
        same("a namespace's label", &namespace["metadata"]["labels"]["app"], &json!(id))?;
    }
    let podinfo = world.kubectl().existing(NAMESPACES, "", "podinfo")?;
    let owner = &podinfo["metadata"]["annotations"]["example.com/owner"];
    same("a namespace's annotation", owner, &json!("team: \"a\""))
}

fn bindings(world: &World) -> Result<()> {
    for (id, role, group) in
        [("platform-admins", "cluster-admin", "platform-team"), ("dev-readers", "view", "developers")]
    {
        let binding = world.kubectl().existing(BINDINGS, "", id)?;
        same("a binding's role", &binding["roleRef"]["name"], &json!(role))?;
        let subjects = json!([{"kind": "Group", "name": group, "apiGroup": "rbac.authorization.k8s.io"}]);
        same("a binding's subjects", &binding["subjects"], &subjects)?;
    }
    Ok(())
}

fn repositories_and_values(world: &World) -> Result<()> {
    for id in ["cert-manager", "traefik", "podinfo"] {
        let repository = world.kubectl().existing(HELM_REPOSITORIES, FLUX_SYSTEM, &format!("charts-{id}"))?;
        same("a repository's URL", &repository["spec"]["url"], &json!(world.charts.url()))?;
    }
    let data = |id: &str| -> Result<Value> {
        let name = format!("values-{id}-demo-cluster-01");
        Ok(world.kubectl().existing(CONFIG_MAPS, FLUX_SYSTEM, &name)?["data"].clone())
    };
    let podinfo = json!({"replicaCount": "2", "ui.color": "#2f855a", "ui.message": "Hello from patches"});
    same("podinfo's patches", &data("podinfo")?, &podinfo)?;
    let traefik = json!({"deployment.replicas": "1", "service.type": "ClusterIP"});
    same("traefik's patches", &data("traefik")?, &traefik)?;
    let values: Value = serde_json::from_str(&text(&data("cert-manager")?["values.yaml"]))?;
    same("cert-manager's values", &values, &json!({"crds": {"enabled": true}}))
}

fn releases(world: &World) -> Result<()> {
    let spec = |id: &str| -> Result<Value> {
        let name = format!("platform-{id}");
        Ok(world.kubectl().existing(HELM_RELEASES, FLUX_SYSTEM, &name)?["spec"].clone())
    };
    let podinfo = spec("podinfo")?;
    same("podinfo's chart", &podinfo["chart"]["spec"]["chart"], &json!("podinfo"))?;
    same("podinfo's version", &podinfo["chart"]["spec"]["version"], &json!("1.0.0"))?;
    same("podinfo's dependencies", &podinfo["dependsOn"], &json!([{"name": "platform-traefik"}]))?;
    let from = |key: &str| {
        json!({
            "kind": "ConfigMap", "name": "values-podinfo-demo-cluster-01", "valuesKey": key, "targetPath": key
        })
    };
    let expected = json!([from("replicaCount"), from("ui.color"), from("ui.message")]);
    same("podinfo's valuesFrom", &podinfo["valuesFrom"], &expected)?;
    let traefik = spec("traefik")?;
    // The catalog says `latest`, which for a chart is no version at all.
    ensure!(traefik["chart"]["spec"]["version"].as_str().is_none_or(|version| version == "*"), "{traefik}");
    ensure!(traefik["dependsOn"].is_null(), "traefik depends on {}", traefik["dependsOn"]);
    Ok(())
}

pub(super) fn many_namespaces(world: &World) -> Result<()> {
    let namespaces: Vec<_> = (0..150).map(|number| json!({"id": format!("team-{number:03}")})).collect();
    let fleet = world.fleet(
        &json!({"clusters": [cluster(json!({"namespaces": namespaces}))], "namespaces": namespaces}),
    )?;
    world.join(&fleet)?;
    wait_until("there are 150 namespaces", SOON, || {
        let all = world.kubectl().list(NAMESPACES, &[])?;
        let names: Vec<_> = all.iter().map(|object| text(&object["metadata"]["name"])).collect();
        let there = (0..150).filter(|number| names.contains(&format!("team-{number:03}"))).count();
        ensure!(there == 150, "{there} of them");
        Ok(())
    })
}
