//! A platform component of the catalog: the defaults that every cluster which refers to it inherits.

use serde::{Deserialize, Serialize};

use crate::violation::Violation;
use crate::{Body, Unreadable};

/// How Flux installs a component. Default: Helm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// A chart, by a HelmRelease.
    #[default]
    Helm,
    /// A folder of overlays in an OCI artifact, by a Kustomization.
    Kustomize,
}

/// What becomes of an input's objects when the input goes. Default: they are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRemove {
    /// Flux deletes them.
    #[default]
    Delete,
    /// They stay in the cluster, no longer managed.
    Keep,
}

/// A catalog entry. Absent fields are absent: their defaults are applied by the merge.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Component {
    /// DNS-1123 label of at most 53 characters.
    pub id: String,
    /// Chart name (Helm) or folder within the artifact (Kustomize).
    pub component_path: String,
    /// Upstream version; absent is answered as `latest`.
    pub component_version: Option<String>,
    /// Where charts or artifacts come from: `https://`, `http://` or `oci://`.
    pub oci_url: String,
    /// Chart or artifact version; absent is answered as `latest`.
    pub oci_tag: Option<String>,
    /// Whether the environment is appended to the path of overlays. Default: false.
    pub cluster_env_enabled: Option<bool>,
    /// Components that must be ready first. Default: none.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// Whether it is installed where a cluster does not say. Default: true.
    pub enabled: Option<bool>,
    /// How it is installed. Default: Helm.
    #[serde(default)]
    pub delivery: Delivery,
    /// What becomes of its objects when it goes. Default: delete.
    pub on_remove: Option<OnRemove>,
    /// Release name, target namespace, values, timeout, suspend, CRD policy. Default: `{}`.
    #[serde(default)]
    pub release: Body,
}

impl Component {
    pub(crate) fn parse(body: Body) -> Result<Self, Unreadable> {
        serde_json::from_value(body.into()).map_err(|error| Unreadable(error.to_string()))
    }

    /// What JSON Schema cannot say of a catalog entry.
    pub(crate) fn check(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        if self.delivery == Delivery::Kustomize && !self.oci_url.starts_with("oci://") {
            let message =
                "delivery kustomize reads overlays from an OCI artifact: oci_url must start with oci://";
            found.push(Violation::new("/oci_url", "delivery", message));
        }
        found.extend(check_release(&self.release, self.delivery, "/release"));
        found
    }
}

/// Whether every key of `release` means something under `delivery`; `pointer` is where it stands.
pub(crate) fn check_release(release: &Body, delivery: Delivery, pointer: &str) -> Vec<Violation> {
    const HELM_ONLY: [&str; 3] = ["name", "values", "crds"];
    if delivery == Delivery::Helm {
        return Vec::new();
    }
    let misplaced = release.keys().filter(|key| HELM_ONLY.contains(&key.as_str()));
    misplaced
        .map(|key| {
            let message = format!("`{key}` is for Helm releases; this component's delivery is kustomize");
            Violation::new(format!("{pointer}/{key}"), "delivery", message)
        })
        .collect()
}
