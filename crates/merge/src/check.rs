//! What must hold between documents, checked where a write could have broken it.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    CLUSTERS, Cluster, Component, ComponentReference, Delivery, PLATFORM_COMPONENTS, ResourceType, Violation,
};
use serde_json::Value;

use crate::fleet::Fleet;
use crate::input::ComponentInput;
use crate::{MAX_ANSWER_BYTES, MAX_INPUTS};

/// What is wrong between the documents of `after` that was not so in `before`, each violation with its
/// document. `touched` are the documents written; what refers to a `broken` one is not reported again.
pub(crate) fn check(
    before: &Fleet,
    after: &Fleet,
    touched: &BTreeSet<Key>,
    broken: &BTreeSet<Key>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for key in touched.iter().filter(|key| key.kind == PLATFORM_COMPONENTS) {
        if let Some(component) = after.component(&key.id) {
            found.extend(
                catalog(after, component, broken).into_iter().map(|violation| violation.of(key.clone())),
            );
        }
    }
    for id in affected(after, touched) {
        let Some(cluster) = after.cluster(&id) else { continue };
        let mut wrong = cluster_violations(after, cluster, broken);
        if !wrong.is_empty()
            && let Some(cluster) = before.cluster(&id)
        {
            // What was stored before a rule existed never blocks what has nothing to do with it.
            let known = cluster_violations(before, cluster, broken);
            wrong.retain(|violation| !known.contains(violation));
        }
        let key = Key::new(CLUSTERS, &id);
        found.extend(wrong.into_iter().map(|violation| violation.of(key.clone())));
    }
    found
}

/// The clusters whose answers the documents `touched` have a part in.
fn affected(after: &Fleet, touched: &BTreeSet<Key>) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for key in touched {
        if key.kind == CLUSTERS {
            ids.insert(key.id.clone());
        }
        let referrers = after.referrers(key).filter(|referrer| referrer.kind == CLUSTERS);
        ids.extend(referrers.map(|referrer| referrer.id.clone()));
    }
    ids
}

fn catalog(fleet: &Fleet, component: &Component, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, id) in component.depends_on.iter().enumerate() {
        let pointer = format!("/depends_on/{at}");
        if fleet.component(id).is_none() && !broken.contains(&Key::new(PLATFORM_COMPONENTS, id)) {
            found.push(Violation::new(
                pointer,
                "reference",
                format!("`{id}` is not in {PLATFORM_COMPONENTS}"),
            ));
        } else if let Some(way) = way(fleet, id, &component.id) {
            let message = format!("components would wait for each other for ever: {} -> {way}", component.id);
            found.push(Violation::new(pointer, "dependency_cycle", message));
        }
    }
    found
}

/// The way along `depends_on` from one component to another, if there is one.
fn way(fleet: &Fleet, from: &str, to: &str) -> Option<String> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        if id == to {
            let mut path = vec![to];
            while let Some(earlier) = path.last().and_then(|last| came_from.get(last)) {
                path.push(earlier);
                if *earlier == from {
                    break;
                }
            }
            path.reverse();
            return Some(path.join(" -> "));
        }
        for next in fleet.component(id).into_iter().flat_map(|component| &component.depends_on) {
            if next != from && !came_from.contains_key(next.as_str()) {
                came_from.insert(next, id);
                open.push(next);
            }
        }
    }
    None
}

fn cluster_violations(fleet: &Fleet, cluster: &Cluster, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let mut found = references(fleet, cluster, broken);
    for (at, reference) in cluster.platform_components.iter().enumerate() {
        if let Some(catalog) = fleet.component(&reference.id) {
            let pointer = format!("/{PLATFORM_COMPONENTS}/{at}");
            found.extend(dependencies(fleet, cluster, reference, catalog, &pointer));
            found.extend(artifact_tag(reference, catalog, &pointer));
            found.extend(values_size(cluster, reference, catalog, &pointer));
        }
    }
    let assigned = cluster.platform_components.iter().map(|reference| reference.id.as_str());
    let ids: BTreeSet<_> = assigned.chain(cluster.patches.keys().map(String::as_str)).collect();
    for id in ids {
        if let Some(component) = fleet.component(id) {
            found.extend(cluster.check_delivery(id, component.delivery));
        }
    }
    found.extend(shared_releases(fleet, cluster));
    let polled = fleet.types().iter().filter(|kind| kind.flux_path().is_some());
    found.extend(polled.filter_map(|kind| answer_size(fleet, cluster, kind)));
    found
}

fn references(fleet: &Fleet, cluster: &Cluster, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let components = cluster.platform_components.iter().map(|reference| &reference.id).enumerate();
    let mut targets: Vec<_> = components
        .map(|(at, id)| (format!("/{PLATFORM_COMPONENTS}/{at}/id"), Key::new(PLATFORM_COMPONENTS, id)))
        .collect();
    targets.extend(
        cluster.patches.keys().map(|id| (format!("/patches/{id}"), Key::new(PLATFORM_COMPONENTS, id))),
    );
    for (plural, references) in &cluster.references {
        let ids = references.iter().map(|reference| &reference.id).enumerate();
        targets.extend(ids.map(|(at, id)| (format!("/{plural}/{at}/id"), Key::new(plural, id))));
    }
    let missing = targets.into_iter().filter(|(_, key)| fleet.get(key).is_none() && !broken.contains(key));
    missing
        .map(|(pointer, key)| {
            Violation::new(pointer, "reference", format!("`{}` is not in {}", key.id, key.kind))
        })
        .collect()
}

fn enabled(reference: &ComponentReference, catalog: &Component) -> bool {
    reference.enabled.or(catalog.enabled).unwrap_or(true)
}

/// A component waits for ever for one that its cluster does not install, or installs the other way.
fn dependencies(
    fleet: &Fleet,
    cluster: &Cluster,
    reference: &ComponentReference,
    catalog: &Component,
    pointer: &str,
) -> Vec<Violation> {
    if !enabled(reference, catalog) {
        return Vec::new();
    }
    let judge = |needed: &String| {
        let id = &reference.id;
        let other = cluster.platform_components.iter().find(|other| other.id == *needed);
        let Some(other) = other else {
            return Some((
                "dependency_missing",
                format!("{id} depends on {needed}, which this cluster does not have"),
            ));
        };
        let needed_catalog = fleet.component(needed)?;
        if !enabled(other, needed_catalog) {
            return Some((
                "dependency_disabled",
                format!("{id} depends on {needed}, which is disabled here"),
            ));
        }
        (needed_catalog.delivery != catalog.delivery).then(|| {
            let message = format!(
                "{id} depends on {needed}, which is delivered the other way; Flux cannot wait across"
            );
            ("dependency_delivery", message)
        })
    };
    let found = catalog.depends_on.iter().filter_map(judge);
    found.map(|(code, message)| Violation::new(pointer, code, message)).collect()
}

/// A component's patches (each as written and escaped) and values share one ConfigMap.
fn values_size(
    cluster: &Cluster,
    reference: &ComponentReference,
    catalog: &Component,
    pointer: &str,
) -> Option<Violation> {
    const MAX_CONFIG_MAP_BYTES: usize = 1024 * 1024;
    const BYTES_FOR_A_KEY: usize = 512;
    let input = ComponentInput::merge(cluster, reference, catalog);
    let patches: usize = input.patches.values().map(|value| 2 * value.len() + BYTES_FOR_A_KEY).sum();
    let values = input.release.get("values").map_or(0, |values| values.to_string().len());
    let message = format!(
        "its patches and values take up to {} bytes in a ConfigMap; Kubernetes takes {MAX_CONFIG_MAP_BYTES}",
        patches + values
    );
    (patches + values > MAX_CONFIG_MAP_BYTES).then(|| Violation::new(pointer, "too_large", message))
}

/// Two HelmReleases of one name and namespace would upgrade each other for ever.
fn shared_releases(fleet: &Fleet, cluster: &Cluster) -> Vec<Violation> {
    let mut first: BTreeMap<(String, String), &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, reference) in cluster.platform_components.iter().enumerate() {
        let catalog = fleet.component(&reference.id);
        let Some(catalog) = catalog.filter(|catalog| catalog.delivery == Delivery::Helm) else { continue };
        let input = ComponentInput::merge(cluster, reference, catalog);
        let text = |key: &str| input.release.get(key).and_then(Value::as_str).unwrap_or(input.id).to_owned();
        let place = (text("target_namespace"), text("name"));
        if let Some(other) = first.get(&place) {
            let message = format!(
                "{} and {other} would both be the release {} in namespace {}",
                input.id, place.1, place.0
            );
            found.push(Violation::new(
                format!("/{PLATFORM_COMPONENTS}/{at}/release"),
                "release_taken",
                message,
            ));
        } else {
            first.insert(place, &reference.id);
        }
    }
    found
}

/// An overlay's artifact is fetched by tag, so the effective tag must be one.
fn artifact_tag(reference: &ComponentReference, catalog: &Component, pointer: &str) -> Option<Violation> {
    let tag = reference.oci_tag.as_deref().or(catalog.oci_tag.as_deref())?;
    let first = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let lawful = tag.starts_with(first) && tag.chars().all(|c| first(c) || c == '.' || c == '-');
    let message = format!("`{tag}` is no tag of an OCI artifact: letters, digits, `_`, `.` and `-`");
    (catalog.delivery == Delivery::Kustomize && !lawful)
        .then(|| Violation::new(format!("{pointer}/oci_tag"), "format", message))
}

fn answer_size(fleet: &Fleet, cluster: &Cluster, kind: &ResourceType) -> Option<Violation> {
    let (bytes, inputs) = fleet.size(cluster, kind);
    let message = if inputs > MAX_INPUTS {
        format!("the cluster would get {inputs} inputs; Flux takes {MAX_INPUTS} and drops the rest unsaid")
    } else if bytes > MAX_ANSWER_BYTES {
        format!("the cluster's answer would have {bytes} bytes; Flux takes {MAX_ANSWER_BYTES}")
    } else {
        return None;
    };
    Some(Violation::new(format!("/{}", kind.plural()), "answer_too_large", message))
}
