//! What a component requires of the cluster that installs it: other components, and a version of Kubernetes.

use std::collections::BTreeMap;

use flux_resourceset_model::{Cluster, Component, Delivery, Version, VersionRange, Violation};

use crate::check::{Assigned, cycle};
use crate::fleet::Fleet;
use crate::input::ComponentInput;

/// What an answer says of an unset version.
pub(crate) const LATEST: &str = "latest";

/// What Flux is told to install: a chart's version, or the version of a folder of overlays.
pub(crate) fn version_of<'a>(input: &ComponentInput<'a>) -> &'a str {
    match (input.source.oci_tag, input.delivery) {
        (LATEST, _) | (_, Delivery::Kustomize) => input.component_version,
        (tag, Delivery::Helm) => tag,
    }
}

/// Whether what `input` requires can be judged: of each that cannot, what stands in the way.
pub(crate) fn unjudged<'a>(
    cluster: &'a Cluster,
    catalog: &'a Component,
    other: impl Fn(&str) -> Option<&'a str>,
) -> Vec<String> {
    let id = &catalog.id;
    let mut found = Vec::new();
    for (needed, range) in &catalog.requires {
        if let Some(version) = other(needed).filter(|version| Version::parse(version).is_none()) {
            found.push(format!(
                "{id} requires {needed} {range}; its version `{version}` cannot be compared with that"
            ));
        }
    }
    if let (Some(range), Some(version)) = (&catalog.kubernetes, &cluster.kubernetes_version)
        && Version::parse(version).is_none()
    {
        found.push(format!("{id} needs Kubernetes {range}; `{version}` cannot be compared with that"));
    }
    found
}

/// What `one` requires and its cluster, of which all are `assigned`, does not have. What cannot be compared
/// is no violation, and neither is what is required of what is disabled.
pub(crate) fn requirements(
    fleet: &Fleet,
    cluster: &Cluster,
    assigned: &BTreeMap<&str, &Assigned<'_>>,
    one: &Assigned<'_>,
) -> Vec<Violation> {
    if !one.input.enabled {
        return Vec::new();
    }
    let id = one.input.id;
    let judge = |(needed, range): (&String, &String)| {
        let Some(other) = assigned.get(needed.as_str()) else {
            // What does not exist is said of the catalog.
            fleet.component(needed)?;
            return Some(format!("{id} requires {needed} {range}, which this cluster does not have"));
        };
        if !other.input.enabled {
            return Some(format!("{id} requires {needed} {range}, which is disabled here"));
        }
        let version = Version::parse(version_of(&other.input))?;
        let lies_within = range.parse::<VersionRange>().ok()?.contains(&version);
        (!lies_within).then(|| format!("{id} requires {needed} {range}; this cluster has {version}"))
    };
    let others = one.catalog.is.requires.iter().filter_map(judge);
    let mut found: Vec<_> = others.map(|message| Violation::new("", "requires", message)).collect();
    found.extend(kubernetes(cluster, one.catalog.is));
    found
}

fn kubernetes(cluster: &Cluster, catalog: &Component) -> Option<Violation> {
    let version = Version::parse(cluster.kubernetes_version.as_deref()?)?;
    let range = catalog.kubernetes.as_deref()?;
    // What a distribution appends is no pre-release of Kubernetes.
    let lies_within = range.parse::<VersionRange>().ok()?.contains(&version.core());
    let message = format!("{} needs Kubernetes {range}; this cluster runs {version}", catalog.id);
    (!lies_within).then(|| Violation::new("", "kubernetes", message))
}

/// Components that require each other: no order would ever install them one by one.
pub(crate) fn requirement_cycle(fleet: &Fleet, component: &Component) -> Option<Violation> {
    let cycle = cycle(fleet, component, |component| component.requires.keys().collect())?;
    let first = cycle.get(1).copied().unwrap_or_default();
    let message = format!("components would require each other: {}", cycle.join(" -> "));
    Some(Violation::new(format!("/requires/{first}"), "requirement_cycle", message))
}
