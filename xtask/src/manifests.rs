//! The product's own manifests from `deploy/`, built as a person would, for an API on loopback: an overlay says
//! `insecure: true`, as the demo's does, since there is no TLS here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::scene::Scene;
use crate::tools::Tools;
use crate::workspace::root;

/// The folders of `deploy/` that a cluster gets.
const FOLDERS: [&str; 3] = ["providers", "resourcesets", "flux"];

/// Copies of the manifests, with the overlay for loopback beside them.
pub(crate) struct Manifests {
    folder: PathBuf,
    kustomize: PathBuf,
}

impl Manifests {
    pub(crate) fn copy(scene: &Scene, tools: &Tools) -> Result<Self> {
        let folder = scene.subfolder("deploy")?;
        for name in FOLDERS {
            copy(&root().join("deploy").join(name), &folder.join(name))?;
        }
        fs::create_dir(folder.join("loopback"))?;
        fs::write(folder.join("loopback/kustomization.yaml"), loopback("../providers", "5m"))?;
        fs::create_dir(folder.join("quick"))?;
        fs::write(folder.join("quick/kustomization.yaml"), loopback("../providers", "10s"))?;
        Ok(Manifests { folder, kustomize: tools.kustomize() })
    }

    /// The providers of the cluster `dns`, polling `url`; `quick` ones every ten seconds.
    pub(crate) fn providers(&self, scene: &Scene, url: &str, dns: &str, quick: bool) -> Result<String> {
        let built = self.build(scene, if quick { "quick" } else { "loopback" })?;
        Ok(at(&built, url, dns))
    }

    /// The provider and ResourceSet of `deploy/examples/<name>`, for the cluster `dns` that polls `url`.
    pub(crate) fn example(&self, scene: &Scene, name: &str, url: &str, dns: &str) -> Result<String> {
        copy(&examples().join(name), &self.folder.join(name))?;
        self.overlaid(scene, name, url, dns)
    }

    /// A provider and a ResourceSet as the command line prints them, for the cluster `dns` that polls `url`.
    pub(crate) fn printed(&self, scene: &Scene, manifests: &str, url: &str, dns: &str) -> Result<String> {
        let folder = self.folder.join("printed");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("manifests.yaml"), manifests)?;
        fs::write(folder.join("kustomization.yaml"), "resources: [manifests.yaml]")?;
        self.overlaid(scene, "printed", url, dns)
    }

    fn overlaid(&self, scene: &Scene, base: &str, url: &str, dns: &str) -> Result<String> {
        let overlay = format!("{base}-loopback");
        fs::create_dir_all(self.folder.join(&overlay))?;
        fs::write(
            self.folder.join(&overlay).join("kustomization.yaml"),
            loopback(&format!("../{base}"), "5m"),
        )?;
        Ok(at(&self.build(scene, &overlay)?, url, dns))
    }

    pub(crate) fn resource_sets(&self, scene: &Scene) -> Result<String> {
        self.build(scene, "resourcesets")
    }

    /// The files that a repository would hold, with the overlay for loopback: path and text.
    pub(crate) fn files(&self) -> Result<Vec<(String, String)>> {
        let mut files = Vec::new();
        for name in ["providers", "resourcesets", "loopback"] {
            for entry in fs::read_dir(self.folder.join(name))? {
                let path = entry?.path();
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                files.push((format!("deploy/{name}/{file}"), fs::read_to_string(&path)?));
            }
        }
        Ok(files)
    }

    /// What `kustomize build` makes of a folder.
    pub(crate) fn build(&self, scene: &Scene, folder: &str) -> Result<String> {
        let output = scene
            .command(&self.kustomize)
            .arg("build")
            .arg(self.folder.join(folder))
            .output()
            .context("kustomize does not start")?;
        if !output.status.success() {
            bail!("kustomize build {folder}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The worked examples of types that a fleet registers.
pub(crate) fn examples() -> PathBuf {
    root().join("deploy/examples")
}

/// What Flux's substitution makes of the providers' URLs.
fn at(manifests: &str, url: &str, dns: &str) -> String {
    manifests.replace("${INTERNAL_API_URL}", url).replace("${CLUSTER_DNS}", dns)
}

fn loopback(base: &str, every: &str) -> String {
    serde_json::json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "patches": [{
            "target": {"kind": "ResourceSetInputProvider"},
            "patch": serde_json::json!({
                "apiVersion": "fluxcd.controlplane.io/v1",
                "kind": "ResourceSetInputProvider",
                "metadata": {
                    "name": "every-provider",
                    "annotations": {"fluxcd.controlplane.io/reconcileEvery": every}
                },
                "spec": {"insecure": true}
            }).to_string()
        }]
    })
    .to_string()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{} can't be read", from.display()))? {
        let path = entry?.path();
        fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}
