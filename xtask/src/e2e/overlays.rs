//! Components that are folders of Kustomize overlays inside an OCI artifact.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{DNS, World, cluster, same};
use crate::kubectl::{CONFIG_MAPS, FLUX_SYSTEM, KUSTOMIZATIONS, OCI_REPOSITORIES, ready, text};
use crate::member::{self, SOON};
use crate::wait::wait_until;

pub(super) fn overlays(world: &World) -> Result<()> {
    for tag in ["v1.0.0", "v1.1.0"] {
        world.registry.push(&world.scene, "platform", tag, &artifact(tag))?;
    }
    let mut cluster = cluster(json!({
        "platform_components": [{"id": "settings"}],
        "patches": {"settings": {"GREETING": "say \"hi\""}}
    }));
    cluster["environment"] = json!("prod");
    let fleet = world.fleet(&json!({
        "clusters": [cluster],
        "platform_components": [{
            "id": "settings", "delivery": "kustomize", "cluster_env_enabled": true,
            "component_path": "core/settings/1.14.0", "oci_url": world.registry.url("platform"), "oci_tag": "v1.0.0"
        }]
    }))?;
    member::token(world.kubectl())?;
    member::providers(&world.home(), &world.plane, &fleet.url(), DNS)?;
    world.kubectl().apply(&without_tls(&world.manifests.resource_sets(&world.scene)?)?)?;
    world.poll()?;
    let path =
        world.kubectl().existing(KUSTOMIZATIONS, FLUX_SYSTEM, "platform-settings")?["spec"]["path"].clone();
    same("the path", &path, &json!("./core/settings/1.14.0/prod"))?;
    let data = |release: &str| {
        json!({
            "release": release, "tier": "prod", "cluster": "demo-cluster-01", "greeting": "say \"hi\""
        })
    };
    applied(world, &data("v1.0.0"))?;

    fleet.cli(&["component", "assign", "settings", "--cluster=demo-cluster-01", "--oci-tag=v1.1.0"])?;
    world.poll()?;
    applied(world, &data("v1.1.0"))?;
    let source = world.kubectl().existing(OCI_REPOSITORIES, FLUX_SYSTEM, "platform-settings")?;
    let revision = text(&source["status"]["artifact"]["revision"]);
    ensure!(revision.starts_with("v1.1.0@"), "the artifact's revision is {revision}");
    Ok(())
}

fn applied(world: &World, expected: &Value) -> Result<()> {
    wait_until("the overlay is applied", SOON, || {
        ready(&world.kubectl().existing(KUSTOMIZATIONS, FLUX_SYSTEM, "platform-settings")?)?;
        let found = world.kubectl().existing(CONFIG_MAPS, "default", "settings")?;
        same("what was applied", &found["data"], expected)
    })
}

/// A base, and an overlay for each of two environments.
fn artifact(tag: &str) -> Vec<(String, String)> {
    let kustomization = |fields: Value| {
        let mut file = json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"});
        if let (Some(file), Value::Object(fields)) = (file.as_object_mut(), fields) {
            file.extend(fields);
        }
        file.to_string()
    };
    let settings = |data: Value| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"},
            "data": data
        })
        .to_string()
    };
    let folder = "core/settings/1.14.0";
    let base =
        json!({"release": tag, "tier": "none", "cluster": "${CLUSTER_NAME}", "greeting": "${GREETING}"});
    let mut files = vec![
        (format!("{folder}/base/kustomization.yaml"), kustomization(json!({"resources": ["settings.yaml"]}))),
        (format!("{folder}/base/settings.yaml"), settings(base)),
    ];
    for environment in ["dev", "prod"] {
        let overlay = json!({"resources": ["../base"], "patches": [{"path": "settings.yaml"}]});
        files.push((format!("{folder}/{environment}/kustomization.yaml"), kustomization(overlay)));
        files.push((format!("{folder}/{environment}/settings.yaml"), settings(json!({"tier": environment}))));
    }
    files
}

/// The one line that a registry without TLS needs, and that the product, rightly, does not have.
fn without_tls(resource_sets: &str) -> Result<String> {
    let line = "url: << inputs.source.oci_url | quote >>\n      ref:";
    ensure!(resource_sets.matches(line).count() == 1, "the template of an OCIRepository reads otherwise now");
    Ok(resource_sets.replace(line, &format!("insecure: true\n      {line}")))
}
