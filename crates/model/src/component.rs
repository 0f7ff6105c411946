//! A platform component of the catalog: the defaults that every cluster which refers to it inherits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::version::check_version;
use crate::version_range::VersionRange;
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
    /// Components that a cluster which installs this one must install too, each with the range of versions
    /// that go with it. Default: none.
    #[serde(default)]
    pub requires: BTreeMap<String, String>,
    /// The versions of Kubernetes that it runs on; `None`: any.
    pub kubernetes: Option<String>,
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
        if self.delivery == Delivery::Helm && self.oci_tag.as_deref().is_none_or(|tag| tag == "latest") {
            let version = self.component_version.as_deref().unwrap_or("latest");
            found.extend(check_version(version, self.delivery, "/component_version"));
        }
        found.extend(self.oci_tag.as_deref().and_then(|tag| check_version(tag, self.delivery, "/oci_tag")));
        found.extend(check_release(&self.release, self.delivery, "/release"));
        let requires = self.requires.iter().map(|(id, range)| (format!("/requires/{id}"), range));
        let ranges = requires.chain(self.kubernetes.iter().map(|range| ("/kubernetes".to_owned(), range)));
        found.extend(ranges.filter_map(|(pointer, range)| {
            let error = range.parse::<VersionRange>().err()?;
            Some(Violation::new(
                pointer,
                "version_range",
                format!("`{range}` is no range of versions: {error}"),
            ))
        }));
        found
    }
}

/// What is wrong with `release` under `delivery`; `pointer` is where it stands.
pub(crate) fn check_release(release: &Body, delivery: Delivery, pointer: &str) -> Vec<Violation> {
    const HELM_ONLY: [&str; 3] = ["name", "values", "crds"];
    let misplaced =
        release.keys().filter(|key| delivery != Delivery::Helm && HELM_ONLY.contains(&key.as_str()));
    let misplaced = misplaced.map(|key| {
        let message = format!("`{key}` is for Helm releases; this component's delivery is kustomize");
        Violation::new(format!("{pointer}/{key}"), "delivery", message)
    });
    let timeout = release.get("timeout").and_then(|timeout| timeout.as_str());
    let timeout =
        timeout.filter(|text| seconds(text).is_some_and(|seconds| !(1.0..=86_400.0).contains(&seconds)));
    let timeout = timeout.map(|text| {
        let message = format!(
            "`{text}` is not between 1s and 24h; a duration that overflows stops Flux for every release"
        );
        Violation::new(format!("{pointer}/timeout"), "out_of_range", message)
    });
    misplaced.chain(timeout).collect()
}

/// How long a duration in Go's spelling is; `None` where it is none, which the schema says.
fn seconds(duration: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = duration;
    while let Some(end) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let (number, behind) = rest.split_at(end);
        let behind_unit = behind.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &behind[..behind.len() - behind_unit.len()];
        let factor = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            _ => 3600.0,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = behind_unit;
    }
    rest.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_timeout_is_one_that_go_can_hold() {
        let judged = |text: &str| {
            let release = Body::from_iter([("timeout".to_owned(), json!(text))]);
            check_release(&release, Delivery::Kustomize, "/release").len()
        };
        for lawful in ["5", "h", "1s", "90s", "5m", "1h30m", "24h", "1500ms", "0.5h"] {
            assert_eq!(judged(lawful), 0, "{lawful}");
        }
        for wrong in ["0s", "10ms", "99999999999h", "25h", "24h1s"] {
            assert_eq!(judged(wrong), 1, "{wrong}");
        }
    }
}
