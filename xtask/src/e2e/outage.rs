//! Our server away, or the manifests lost: nothing may be deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::{DNS, World, installed, small_fleet};
use crate::kubectl::{
    CONFIG_MAPS, FLUX_SYSTEM, KUSTOMIZATIONS, Kubectl, NAMESPACES, PROVIDERS, RESOURCE_SETS, ready, text,
};
use crate::member::{self, SOON, not_ready, reconcile};
use crate::wait::wait_until;

/// As long as Flux's backoff may make it after an outage of a minute or two.
const BY_ITSELF: Duration = Duration::from_secs(180);

pub(super) fn server_stopped(world: &World) -> Result<()> {
    let mut fleet = small_fleet(world, "dev")?;
    world.join(&fleet)?;
    installed(world.kubectl(), &["podinfo"])?;
    let kubectl = world.kubectl();
    let before = kubectl.owned()?;
    ensure!(before.len() == 6, "there should be 6 objects, not {before:?}");

    fleet.stop();
    reconcile(kubectl, PROVIDERS, |provider| not_ready(provider, ""))?;
    reconcile(kubectl, RESOURCE_SETS, ready)?;
    unchanged(kubectl, &before)?;

    kubectl.delete(NAMESPACES, "", "red")?;
    wait_until("red is gone", SOON, || kubectl.absent(NAMESPACES, "", "red"))?;
    kubectl.delete(CONFIG_MAPS, FLUX_SYSTEM, "values-podinfo-demo-cluster-01")?;
    reconcile(kubectl, RESOURCE_SETS, ready)?;
    kubectl.existing(NAMESPACES, "", "red")?;
    kubectl.existing(CONFIG_MAPS, FLUX_SYSTEM, "values-podinfo-demo-cluster-01")?;
    let after = kubectl.owned()?;
    ensure!(after.keys().eq(before.keys()), "{after:?} is not what was there");
    ensure!(after["Namespace -/blue"] == before["Namespace -/blue"], "what nobody touched was made anew");

    fleet.resume(&world.scene)?;
    fleet.cli(&["namespace", "assign", "green", "--cluster=demo-cluster-01"])?;
    wait_until("the cluster goes on by itself", BY_ITSELF, || {
        kubectl.existing(NAMESPACES, "", "green").map(drop)
    })
}

pub(super) fn provider_made_anew(world: &World) -> Result<()> {
    let mut fleet = small_fleet(world, "dev")?;
    world.join(&fleet)?;
    installed(world.kubectl(), &["podinfo"])?;
    let kubectl = world.kubectl();
    let before = kubectl.owned()?;

    fleet.stop();
    kubectl.run(&["delete", PROVIDERS, "--all", "-n", FLUX_SYSTEM, "--timeout=60s"])?;
    member::providers(&world.home(), &world.plane, &fleet.url(), DNS)?;
    reconcile(kubectl, PROVIDERS, |provider| {
        not_ready(provider, "")?;
        ensure!(provider["status"]["lastExportedRevision"].is_null(), "the provider has exported something");
        Ok(())
    })?;
    // Twice: the second time there is no doubt that the first has seen the new providers.
    for _ in 0..2 {
        reconcile(kubectl, RESOURCE_SETS, |_| Ok(()))?;
        unchanged(kubectl, &before)?;
    }
    reconcile(kubectl, RESOURCE_SETS, |set| not_ready(set, "DependencyNotReady"))?;
    unchanged(kubectl, &before)?;

    fleet.resume(&world.scene)?;
    wait_until("everything is ready again by itself", BY_ITSELF, || {
        for kind in [PROVIDERS, RESOURCE_SETS] {
            kubectl.list(kind, &[])?.iter().try_for_each(ready)?;
        }
        Ok(())
    })?;
    unchanged(kubectl, &before)
}

pub(super) fn manifests_lost(world: &World) -> Result<()> {
    let fleet = small_fleet(world, "dev")?;
    let kubectl = world.kubectl();
    member::token(kubectl)?;
    let identity = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "cluster-identity", "namespace": FLUX_SYSTEM},
        "data": {"CLUSTER_NAME": "demo-cluster-01", "CLUSTER_DNS": DNS, "ENVIRONMENT": "dev",
                 "INTERNAL_API_URL": fleet.url()}
    });
    kubectl.apply(&identity.to_string())?;
    world.registry.push(&world.scene, "gitops", "before", &world.manifests.files()?)?;
    kubectl.apply(&source(world, "before"))?;
    let flux = world.manifests.build(&world.scene, "flux")?;
    // The folder with `insecure: true` instead, and an artifact where a fleet has a Git repository.
    let flux =
        flux.replace("./deploy/providers", "./deploy/loopback").replace("GitRepository", "OCIRepository");
    kubectl.apply(&flux)?;
    applied(world, "before")?;
    world.poll()?;
    installed(kubectl, &["podinfo"])?;
    let objects = kubectl.owned()?;
    let manifests = uids(world)?;
    ensure!(manifests.len() == 6, "there should be 3 providers and 3 ResourceSets, not {}", manifests.len());

    world.registry.push(&world.scene, "gitops", "after", &emptied())?;
    kubectl.apply(&source(world, "after"))?;
    applied(world, "after")?;
    for name in ["loopback", "resourcesets"] {
        kubectl.existing(CONFIG_MAPS, "default", name)?;
    }
    world.poll()?;
    ensure!(uids(world)? == manifests, "the Kustomizations deleted what they lost");
    unchanged(kubectl, &objects)?;

    kubectl.run(&[
        "delete",
        KUSTOMIZATIONS,
        "-n",
        FLUX_SYSTEM,
        "-l",
        "!resourceset.fluxcd.controlplane.io/name",
    ])?;
    world.poll()?;
    ensure!(uids(world)? == manifests, "the deleted Kustomizations took the manifests along");
    unchanged(kubectl, &objects)
}

/// Fails unless what ResourceSets made is what it was `before`, nothing gone, new or made anew.
fn unchanged(kubectl: &Kubectl, before: &BTreeMap<String, String>) -> Result<()> {
    let now = kubectl.owned()?;
    let gone: Vec<_> =
        before.iter().filter(|(name, uid)| now.get(*name) != Some(uid)).map(|(name, _)| name).collect();
    ensure!(gone.is_empty(), "deleted: {gone:?}");
    ensure!(now.len() == before.len(), "there is more than there was: {now:?}");
    Ok(())
}

/// The uids of the providers and ResourceSets.
fn uids(world: &World) -> Result<Vec<String>> {
    let objects = world.kubectl().list(&format!("{PROVIDERS},{RESOURCE_SETS}"), &[])?;
    if let Some(going) = objects.iter().find(|object| !object["metadata"]["deletionTimestamp"].is_null()) {
        bail!("{} is being deleted", going["metadata"]["name"]);
    }
    Ok(objects.iter().map(|object| text(&object["metadata"]["uid"])).collect())
}

/// What the folders hold after somebody's slip: something, but not what they held.
fn emptied() -> Vec<(String, String)> {
    let marker = |name: &str| -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
    };
    ["loopback", "resourcesets"]
        .map(|name| (format!("deploy/{name}/marker.yaml"), marker(name).to_string()))
        .to_vec()
}

fn source(world: &World, tag: &str) -> String {
    json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository",
        "metadata": {"name": "flux-system", "namespace": FLUX_SYSTEM},
        "spec": {"interval": "10m", "url": world.registry.url("gitops"), "insecure": true, "ref": {"tag": tag}}
    })
    .to_string()
}

/// Waits until the product's Kustomizations have applied the artifact `tag`.
fn applied(world: &World, tag: &str) -> Result<()> {
    for name in ["flux-resourceset-providers", "flux-resourceset-resourcesets"] {
        wait_until(format!("{name} has applied `{tag}`"), SOON, || {
            let object = world.kubectl().existing(KUSTOMIZATIONS, FLUX_SYSTEM, name)?;
            ready(&object)?;
            let revision = text(&object["status"]["lastAppliedRevision"]);
            ensure!(revision.starts_with(&format!("{tag}@")), "it is at {revision}");
            Ok(())
        })?;
    }
    Ok(())
}
