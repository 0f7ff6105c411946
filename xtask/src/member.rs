//! A real cluster that phones home to a fleet: it has the product's providers and ResourceSets, and is asked to poll
//! at once instead of waiting for its interval.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::kubectl::{
    BINDINGS, CONFIG_MAPS, FLUX_SYSTEM, HELM_RELEASES, HELM_REPOSITORIES, KUSTOMIZATIONS, Kubectl,
    NAMESPACES, OCI_REPOSITORIES, OWNED, PROVIDERS, RESOURCE_SETS, readiness, ready, text,
};
use crate::manifests::Manifests;
use crate::scene::Scene;
use crate::server::READ_TOKEN;
use crate::wait::wait_until;

pub(crate) const SOON: Duration = Duration::from_secs(90);
const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";

/// How the providers and ResourceSets of a cluster are made.
pub(crate) struct Home<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) manifests: &'a Manifests,
    /// Whether the providers poll every ten seconds by themselves, instead of every five minutes.
    pub(crate) quick: bool,
}

/// Gives the cluster its token, providers and ResourceSets, and waits until it has polled.
pub(crate) fn join(home: &Home<'_>, plane: &ControlPlane, url: &str, dns: &str) -> Result<()> {
    token(&plane.kubectl)?;
    providers(home, plane, url, dns)?;
    plane.kubectl.apply(&home.manifests.resource_sets(home.scene)?)?;
    poll(&plane.kubectl)
}

/// The Secret that the providers name.
pub(crate) fn token(kubectl: &Kubectl) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "internal-api-token", "namespace": FLUX_SYSTEM},
        "stringData": {"token": READ_TOKEN}
    });
    kubectl.apply(&secret.to_string())
}

/// The providers alone.
pub(crate) fn providers(home: &Home<'_>, plane: &ControlPlane, url: &str, dns: &str) -> Result<()> {
    plane.kubectl.apply(&home.manifests.providers(home.scene, url, dns, home.quick)?)
}

/// Has every provider poll and then every ResourceSet apply, and waits until both have, with success.
pub(crate) fn poll(kubectl: &Kubectl) -> Result<()> {
    for kind in [PROVIDERS, RESOURCE_SETS] {
        reconcile(kubectl, kind, ready)?;
    }
    Ok(())
}

/// Asks every object of the kind in flux-system to be reconciled, and waits until its controller has and `expected` holds.
pub(crate) fn reconcile(
    kubectl: &Kubectl,
    kind: &str,
    expected: impl Fn(&Value) -> Result<()>,
) -> Result<()> {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let request = format!("request-{}", REQUESTS.fetch_add(1, Ordering::Relaxed));
    let annotation = format!("{REQUESTED}={request}");
    kubectl.run(&["annotate", kind, "--all", "-n", FLUX_SYSTEM, "--overwrite", &annotation])?;
    wait_until(format!("{kind} have been reconciled"), SOON, || {
        let objects = kubectl.list(kind, &[])?;
        ensure!(!objects.is_empty(), "there are no {kind}");
        for object in &objects {
            let handled = text(&object["status"]["lastHandledReconcileAt"]);
            if handled != request {
                let name = text(&object["metadata"]["name"]);
                bail!("{name} is still at {handled:?}, Ready is {}", readiness(object));
            }
            expected(object)?;
        }
        Ok(())
    })
}

/// An error unless the object says that it is not ready, for this reason if one is given.
pub(crate) fn not_ready(object: &Value, reason: &str) -> Result<()> {
    let found = readiness(object);
    ensure!(found.starts_with(&format!("False {reason}")), "Ready is {found}");
    Ok(())
}

/// Takes everything of the product away again, and every namespace that came by it.
pub(crate) fn leave(kubectl: &Kubectl) -> Result<()> {
    // What made objects before the objects: else they would come back.
    let makers = [KUSTOMIZATIONS, RESOURCE_SETS].join(",");
    delete_all(kubectl, &makers)?;
    // While those wait for what they made: a namespace takes seconds to go, too.
    delete_extra_namespaces(kubectl)?;
    are_gone(kubectl, &makers)?;
    let made = [HELM_RELEASES, OCI_REPOSITORIES, HELM_REPOSITORIES, PROVIDERS].join(",");
    delete_all(kubectl, &made)?;
    are_gone(kubectl, &made)?;
    kubectl.run(&["delete", CONFIG_MAPS, "--all", "-n", FLUX_SYSTEM])?;
    kubectl.run(&["delete", BINDINGS, "-l", OWNED])?;
    // Helm may have made another until now.
    delete_extra_namespaces(kubectl)?;
    wait_until("the namespaces are gone", SOON, || {
        let left = extra_namespaces(kubectl)?;
        ensure!(left.is_empty(), "left: {}", left.join(", "));
        Ok(())
    })
}

fn delete_all(kubectl: &Kubectl, kinds: &str) -> Result<()> {
    kubectl.run(&["delete", kinds, "--all", "-A", "--wait=false", "--ignore-not-found"]).map(drop)
}

fn are_gone(kubectl: &Kubectl, kinds: &str) -> Result<()> {
    wait_until(format!("all {kinds} are gone"), SOON, || {
        let left = kubectl.list(kinds, &[])?;
        ensure!(left.is_empty(), "{} left, the first {}", left.len(), left[0]["metadata"]);
        Ok(())
    })
}

fn delete_extra_namespaces(kubectl: &Kubectl) -> Result<()> {
    let extra = extra_namespaces(kubectl)?;
    if extra.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = extra.iter().map(String::as_str).collect();
    kubectl
        .run(&[&["delete", NAMESPACES, "--wait=false", "--ignore-not-found"], &names[..]].concat())
        .map(drop)
}

/// The namespaces that neither Kubernetes nor Flux is in.
fn extra_namespaces(kubectl: &Kubectl) -> Result<Vec<String>> {
    let all = kubectl.list(NAMESPACES, &[])?;
    let names = all.iter().map(|object| text(&object["metadata"]["name"]));
    Ok(names.filter(|name| name != "default" && name != FLUX_SYSTEM && !name.starts_with("kube-")).collect())
}
