//! Charts, from the data to the object that they render.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{DNS, World, cluster, echo, installed, same};
use crate::control_plane::{ControlPlane, Controller};
use crate::kubectl::{
    CONFIG_MAPS, FLUX_SYSTEM, HELM_RELEASES, HELM_REPOSITORIES, Kubectl, readiness, ready, text,
};
use crate::member::{self, SOON};
use crate::wait::wait_until;

pub(super) fn whole_chain(world: &World) -> Result<()> {
    let mut component = world.component("podinfo");
    component["release"] = json!({"values": {"hosts": ["a.example.com", "b.example.com"], "tls": true}});
    let fleet = world.fleet(&json!({
        "clusters": [cluster(json!({"platform_components": [{"id": "podinfo"}]}))],
        "platform_components": [component]
    }))?;
    world.join(&fleet)?;
    installed(world.kubectl(), &["podinfo"])?;
    let expected = json!({
        "hosts": ["a.example.com", "b.example.com"], "tls": true, "replicaCount": 1,
        "ui": {"message": "from the chart"}
    });
    same("what the chart got", &echo(world.kubectl(), "podinfo", "podinfo")?.1, &expected)?;

    fleet.cli(&[
        "component",
        "patch",
        "podinfo",
        "--cluster=demo-cluster-01",
        "--set=replicaCount=3",
        "--set=ui.message=Hello, world",
    ])?;
    world.poll()?;
    let expected = json!({
        "hosts": ["a.example.com", "b.example.com"], "tls": true, "replicaCount": 3,
        "ui": {"message": "Hello, world"}
    });
    wait_until("the patch is in the rendered object", SOON, || {
        same("what the chart got", &echo(world.kubectl(), "podinfo", "podinfo")?.1, &expected)
    })
}

pub(super) fn depends_on(world: &World) -> Result<()> {
    let mut first = world.component("first");
    // A version that the repository does not have: `first` cannot be installed yet.
    first["component_version"] = json!("9.9.9");
    let mut second = world.component("second");
    second["depends_on"] = json!(["first"]);
    let fleet = world.fleet(&json!({
        // In the other order, so that the order of the document proves nothing.
        "clusters": [cluster(json!({"platform_components": [{"id": "second"}, {"id": "first"}]}))],
        "platform_components": [first, second]
    }))?;
    world.join(&fleet)?;
    let kubectl = world.kubectl();
    wait_until("`second` waits for `first`", SOON, || {
        let second = kubectl.existing(HELM_RELEASES, FLUX_SYSTEM, "platform-second")?;
        member::not_ready(&second, "DependencyNotReady")
    })?;
    kubectl.absent(CONFIG_MAPS, "second", "second-echo")?;

    fleet.write("PATCH", "platform_components/first", &json!({"component_version": "1.0.0"}))?;
    world.poll()?;
    installed(kubectl, &["first", "second"])?;
    let deployed = |id: &str| -> Result<String> {
        let release = kubectl.existing(HELM_RELEASES, FLUX_SYSTEM, &format!("platform-{id}"))?;
        Ok(text(&release["status"]["history"][0]["firstDeployed"]))
    };
    let (first, second) = (deployed("first")?, deployed("second")?);
    ensure!(first <= second, "`first` was installed at {first}, `second` at {second}");
    Ok(())
}

pub(super) fn oci_tag_of_one_cluster(world: &World) -> Result<()> {
    let other_dns = "demo-cluster-02.k8s.example.com";
    let mut other = cluster(json!({"platform_components": [{"id": "podinfo"}]}));
    for (field, value) in
        [("id", "demo-cluster-02"), ("cluster_name", "demo-cluster-02"), ("cluster_dns", other_dns)]
    {
        other[field] = json!(value);
    }
    let fleet = world.fleet(&json!({
        "clusters": [cluster(json!({"platform_components": [{"id": "podinfo"}]})), other],
        "platform_components": [world.component("podinfo")]
    }))?;
    let second = ControlPlane::start(&world.scene, &world.tools, "second", &Controller::CHARTS)?;
    member::join(&world.home(), &second, &fleet.url(), other_dns)?;
    member::join(&world.home(), &world.plane, &fleet.url(), DNS)?;
    for kubectl in [world.kubectl(), &second.kubectl] {
        installed(kubectl, &["podinfo"])?;
        ensure!(echo(kubectl, "podinfo", "podinfo")?.0 == "podinfo 1.0.0");
    }
    let before = second.kubectl.existing(HELM_RELEASES, FLUX_SYSTEM, "platform-podinfo")?;

    fleet.cli(&["component", "assign", "podinfo", "--cluster=demo-cluster-01", "--oci-tag=2.0.0"])?;
    world.poll()?;
    member::poll(&second.kubectl)?;
    wait_until("the cluster has the other chart", SOON, || {
        let chart = echo(world.kubectl(), "podinfo", "podinfo")?.0;
        ensure!(chart == "podinfo 2.0.0", "it has {chart}");
        Ok(())
    })?;
    let after = second.kubectl.existing(HELM_RELEASES, FLUX_SYSTEM, "platform-podinfo")?;
    for field in ["uid", "generation"] {
        same("the other cluster's release", &after["metadata"][field], &before["metadata"][field])?;
    }
    ensure!(echo(&second.kubectl, "podinfo", "podinfo")?.0 == "podinfo 1.0.0", "the other cluster moved too");
    Ok(())
}

pub(super) fn takeover(world: &World) -> Result<()> {
    let kubectl = world.kubectl();
    kubectl.run(&["create", "namespace", "legacy"])?;
    let first_deployed = installed_by_hand(world)?;
    let object = kubectl.existing(CONFIG_MAPS, "legacy", "old-name-echo")?;

    let mut component = world.component("podinfo");
    component["release"] = json!({"name": "old-name", "target_namespace": "legacy"});
    component["component_version"] = json!("2.0.0");
    let fleet = world.fleet(&json!({
        "clusters": [cluster(json!({"platform_components": [{"id": "podinfo"}]}))],
        "platform_components": [component]
    }))?;
    world.join(&fleet)?;
    installed(kubectl, &["podinfo"])?;
    let release = kubectl.existing(HELM_RELEASES, FLUX_SYSTEM, "platform-podinfo")?;
    let latest = &release["status"]["history"][0];
    same("the revision after the first one, made by hand,", &latest["version"], &json!(2))?;
    same("when it was first deployed", &latest["firstDeployed"], &first_deployed)?;
    ensure!(echo(kubectl, "legacy", "old-name")?.0 == "podinfo 2.0.0", "the chart was not upgraded");
    let now = kubectl.existing(CONFIG_MAPS, "legacy", "old-name-echo")?;
    same("the object that the old release made", &now["metadata"]["uid"], &object["metadata"]["uid"])
}

/// A release that is in Helm's storage, in its own namespace, and known to no HelmRelease: what `helm install` leaves.
///
/// Helm's own library writes it, by way of a HelmRelease that is then suspended, which makes its deletion leave
/// everything where it is.
/// Returns when that was.
fn installed_by_hand(world: &World) -> Result<Value> {
    let kubectl = world.kubectl();
    kubectl.apply(
        &json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository",
            "metadata": {"name": "by-hand", "namespace": FLUX_SYSTEM},
            "spec": {"interval": "30m", "url": world.charts.url()}
        })
        .to_string(),
    )?;
    let release = |suspend: bool| {
        json!({
            "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": {"name": "by-hand", "namespace": FLUX_SYSTEM},
            "spec": {
                "interval": "30m", "releaseName": "old-name", "suspend": suspend,
                "targetNamespace": "legacy", "storageNamespace": "legacy",
                "chart": {"spec": {
                    "chart": "podinfo", "version": "1.0.0",
                    "sourceRef": {"kind": "HelmRepository", "name": "by-hand"}
                }}
            }
        })
        .to_string()
    };
    kubectl.apply(&release(false))?;
    let installed = wait_until("the release is installed by hand", SOON, || {
        let release = kubectl.existing(HELM_RELEASES, FLUX_SYSTEM, "by-hand")?;
        ready(&release).map(|()| release)
    })?;
    kubectl.apply(&release(true))?;
    kubectl.delete(HELM_RELEASES, FLUX_SYSTEM, "by-hand")?;
    gone(kubectl, HELM_RELEASES, "by-hand")?;
    kubectl.delete(HELM_REPOSITORIES, FLUX_SYSTEM, "by-hand")?;
    kubectl.existing("secrets", "legacy", "sh.helm.release.v1.old-name.v1")?;
    Ok(installed["status"]["history"][0]["firstDeployed"].clone())
}

fn gone(kubectl: &Kubectl, kind: &str, name: &str) -> Result<()> {
    wait_until(format!("{name} is gone"), SOON, || match kubectl.get(kind, FLUX_SYSTEM, name)? {
        Some(object) => anyhow::bail!("it is there, Ready is {}", readiness(&object)),
        None => Ok(()),
    })
}
