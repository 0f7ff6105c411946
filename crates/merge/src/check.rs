//! What must hold between documents, checked where a write could have broken it.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    Body, CLUSTERS, Cluster, Component, ComponentReference, Delivery, DnsName, FREEZES, PLATFORM_COMPONENTS,
    RESOURCE_TYPES, ResourceType, TOMBSTONES, Violation, check_helm_values, check_version, length_in_go,
};
use serde_json::Value;

use crate::answer::AnswerSize;
use crate::fleet::Fleet;
use crate::input::ComponentInput;
use crate::list::Listed;
use crate::rewrite::forget_known;
use crate::{MAX_ANSWER_BYTES, MAX_INPUTS};

/// What a provider's status may take: etcd's limit of 1.5 MiB for one object, less what else is in it.
const MAX_STATUS_BYTES: usize = 1_400_000;

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
    for key in touched.iter().filter(|key| key.kind == RESOURCE_TYPES) {
        found.extend(evolution(before, after, key));
    }
    for key in affected(after, touched) {
        let Some(cluster) = after.subject(&key.id) else { continue };
        let mut wrong = cluster_violations(after, cluster, broken);
        if !wrong.is_empty()
            && let Some(cluster) = before.subject(&key.id)
        {
            // What was stored before a rule existed never blocks what has nothing to do with it.
            let known = cluster_violations(before, cluster, broken);
            wrong.retain(|violation| !known.contains(violation));
        }
        let place = if key.kind == TOMBSTONES { "/cluster" } else { "" };
        found.extend(wrong.into_iter().map(|violation| violation.under(place).of(key.clone())));
    }
    for key in touched.iter().filter(|key| is_subject(before, key)) {
        found.extend(frozen(before, after, key).map(|violation| violation.of(key.clone())));
    }
    found
}

/// What is no longer as its type says, and was before: stored documents, and what clusters, held ones too,
/// say of them. What the same write made of a document before it changed the type is judged here as well.
fn evolution(before: &Fleet, after: &Fleet, key: &Key) -> Vec<Violation> {
    let Some(kind) = after.resource_type(&key.id) else { return Vec::new() };
    let mut found = Vec::new();
    let mut judge = |key: Key, wrong: Vec<Violation>, known: Vec<Violation>| {
        let mut wrong = wrong;
        forget_known(&mut wrong, &known);
        found.extend(wrong.into_iter().map(|violation| violation.of(key.clone())));
    };
    let of = |fleet: &Fleet, key: &Key| {
        let judged = fleet.resource_type(&key.kind).zip(fleet.get(key));
        judged.map(|(kind, document)| kind.validate(&document.to_body(), fleet.rules())).unwrap_or_default()
    };
    for (id, _) in after.list(kind.plural()) {
        let key = Key::new(kind.plural(), id);
        judge(key.clone(), of(after, &key), of(before, &key));
    }
    for id in after.subjects().filter(|id| refers(after, id, kind.plural())) {
        let place = if after.cluster(id).is_some() { CLUSTERS } else { TOMBSTONES };
        let own = |fleet: &Fleet| said_of(fleet, id, kind.plural());
        let within =
            |violation: Violation| violation.under(if place == TOMBSTONES { "/cluster" } else { "" });
        let wrong = own(after).into_iter().map(within).collect();
        judge(Key::new(place, id), wrong, own(before).into_iter().map(within).collect());
    }
    found
}

fn refers(fleet: &Fleet, id: &str, plural: &str) -> bool {
    fleet.subject(id).is_some_and(|one| one.references.contains_key(plural))
}

/// What is wrong with what the cluster `id`, held or not, says under `plural`.
fn said_of(fleet: &Fleet, id: &str, plural: &str) -> Vec<Violation> {
    let body = match fleet.get(&Key::new(CLUSTERS, id)) {
        Some(document) => Some(document.to_body()),
        None => fleet.last_of(id).cloned(),
    };
    let judged = fleet.resource_type(CLUSTERS).zip(body);
    let wrong = judged.map(|(kind, body)| kind.validate(&body, fleet.rules())).unwrap_or_default();
    let within = format!("/{plural}/");
    wrong.into_iter().filter(|violation| violation.pointer.starts_with(&within)).collect()
}

/// What the cluster's references say instead of their definitions must leave these as their type wants them.
fn overrides(fleet: &Fleet, cluster: &Cluster) -> Vec<Violation> {
    let mut found = Vec::new();
    for (plural, references) in &cluster.references {
        let Some(kind) = fleet.resource_type(plural) else { continue };
        for (at, reference) in references.iter().enumerate() {
            let allowed = |field: &String| kind.overridable().contains(field);
            let own = reference.overrides.iter().filter(|(field, _)| allowed(field));
            let own: Body = own.map(|(field, value)| (field.clone(), value.clone())).collect();
            if own.is_empty() {
                continue;
            }
            let Some(document) = fleet.get(&Key::new(plural, &reference.id)) else { continue };
            let definition = document.to_body();
            let mut whole = definition.clone();
            whole.extend(own);
            let mut wrong = kind.validate(&whole, fleet.rules());
            if !wrong.is_empty() {
                // What is wrong with the definition itself is said of that.
                let known = kind.validate(&definition, fleet.rules());
                wrong.retain(|violation| !known.contains(violation));
            }
            found.extend(wrong.into_iter().map(|violation| violation.under(&format!("/{plural}/{at}"))));
        }
    }
    found
}

/// A frozen cluster's entry in the fleet list stays as it is, and only lifting the freeze ends it.
fn frozen(before: &Fleet, after: &Fleet, key: &Key) -> Option<Violation> {
    let was = before.subject(&key.id)?;
    let freeze = before.freezes_of(was).find(|freeze| after.get(&Key::new(FREEZES, &freeze.id)).is_some())?;
    let why = format!("the cluster is frozen by {FREEZES}/{}: lift that first", freeze.id);
    let Some(now) = after.subject(&key.id) else {
        let message = format!("it would leave the fleet list; {why}");
        return Some(Violation::new("", "frozen", message));
    };
    if Listed::from(was) != Listed::from(now) {
        let message = format!("its entry in the fleet list would change; {why}");
        return Some(Violation::new("", "frozen", message));
    }
    let names: BTreeSet<_> = now.dns_names().map(DnsName::new).collect();
    if let Some(given_up) = was.dns_names().find(|name| !names.contains(&DnsName::new(name))) {
        let message = format!("it would no longer poll as {given_up}; {why}");
        return Some(Violation::new("/aliases", "frozen", message));
    }
    if !freeze.holds(now) {
        let message = format!("it would no longer be selected by `{}`; {why}", freeze.selector);
        return Some(Violation::new("/labels", "frozen", message));
    }
    None
}

/// The clusters, held ones too, whose answers the documents `touched` have a part in: the documents
/// that they stand in.
fn affected(after: &Fleet, touched: &BTreeSet<Key>) -> BTreeSet<Key> {
    let of_types = touched.iter().filter(|key| key.kind == RESOURCE_TYPES);
    let of_types = of_types.flat_map(|key| after.list(&key.id).map(|(id, _)| Key::new(&key.id, id)));
    let of_types: Vec<Key> = of_types.collect();
    let referrers = touched.iter().chain(&of_types).flat_map(|key| after.referrers(key));
    touched.iter().chain(referrers).filter(|key| is_subject(after, key)).cloned().collect()
}

/// Whether `key` is the document in which `fleet` has a cluster.
fn is_subject(fleet: &Fleet, key: &Key) -> bool {
    (key.kind == CLUSTERS || key.kind == TOMBSTONES) && fleet.get(key).is_some()
}

fn catalog(fleet: &Fleet, component: &Component, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, id) in component.depends_on.iter().enumerate() {
        if fleet.component(id).is_none() && !broken.contains(&Key::new(PLATFORM_COMPONENTS, id)) {
            let message = format!("{PLATFORM_COMPONENTS}/{id} does not exist");
            found.push(Violation::new(format!("/depends_on/{at}"), "reference", message));
        }
    }
    if let Some(cycle) = cycle(fleet, component) {
        let first = component.depends_on.iter().position(|id| cycle.get(1).is_some_and(|next| next == id));
        let pointer = format!("/depends_on/{}", first.unwrap_or_default());
        let message = format!("components would wait for each other for ever: {}", cycle.join(" -> "));
        found.push(Violation::new(pointer, "dependency_cycle", message));
    }
    found
}

/// A way along `depends_on` from a component back to itself. Every component is looked at once.
fn cycle<'a>(fleet: &'a Fleet, component: &'a Component) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = vec![component];
    while let Some(from) = open.pop() {
        for next in &from.depends_on {
            if *next == component.id {
                let mut path = vec![component.id.as_str(), from.id.as_str()];
                while let Some(earlier) = path.last().and_then(|last| came_from.get(last)) {
                    path.push(earlier);
                }
                path.reverse();
                return Some(path);
            }
            if !came_from.contains_key(next.as_str())
                && let Some(needed) = fleet.component(next)
            {
                came_from.insert(next, &from.id);
                open.push(needed);
            }
        }
    }
    None
}

fn cluster_violations(fleet: &Fleet, cluster: &Cluster, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let mut found = references(fleet, cluster, broken);
    let assigned: BTreeMap<_, _> =
        cluster.platform_components.iter().map(|reference| (reference.id.as_str(), reference)).collect();
    for (at, reference) in cluster.platform_components.iter().enumerate() {
        if let Some(catalog) = fleet.component(&reference.id) {
            let pointer = format!("/{PLATFORM_COMPONENTS}/{at}");
            found.extend(dependencies(fleet, &assigned, reference, catalog, &pointer));
            found.extend(version(reference, catalog, &pointer));
            found.extend(values(cluster, reference, catalog, &pointer));
        }
    }
    let ids: BTreeSet<_> =
        assigned.keys().copied().chain(cluster.patches.keys().map(String::as_str)).collect();
    for id in ids {
        if let Some(component) = fleet.component(id) {
            found.extend(cluster.check_delivery(id, component.delivery));
        }
    }
    found.extend(overrides(fleet, cluster));
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
        .map(|(pointer, key)| Violation::new(pointer, "reference", format!("{key} does not exist")))
        .collect()
}

fn enabled(reference: &ComponentReference, catalog: &Component) -> bool {
    reference.enabled.or(catalog.enabled).unwrap_or(true)
}

/// A component waits for ever for one that its cluster does not install, or installs the other way.
fn dependencies(
    fleet: &Fleet,
    assigned: &BTreeMap<&str, &ComponentReference>,
    reference: &ComponentReference,
    catalog: &Component,
    pointer: &str,
) -> Vec<Violation> {
    if !enabled(reference, catalog) {
        return Vec::new();
    }
    let judge = |needed: &String| {
        let id = &reference.id;
        let Some(other) = assigned.get(needed.as_str()) else {
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

/// What a component's patches and values do to each other: they share one ConfigMap, and a patch must
/// find room where the values leave it.
fn values(
    cluster: &Cluster,
    reference: &ComponentReference,
    catalog: &Component,
    pointer: &str,
) -> Vec<Violation> {
    const MAX_CONFIG_MAP_BYTES: usize = 1024 * 1024;
    const BYTES_FOR_A_KEY: usize = 512;
    if catalog.delivery != Delivery::Helm {
        return Vec::new();
    }
    let input = ComponentInput::merge(cluster, reference, catalog);
    let values = input.release.get("values").unwrap_or(&Value::Null);
    let keys = input.patches.keys().map(String::as_str);
    let mut found = check_helm_values(keys, values, &format!("/patches/{}", reference.id));
    // Each patch stands there as written and escaped.
    let patches: usize = input.patches.values().map(|value| 2 * value.len() + BYTES_FOR_A_KEY).sum();
    let bytes = patches + length_in_go(values.to_string().as_bytes());
    if bytes > MAX_CONFIG_MAP_BYTES {
        let message = format!(
            "its patches and values take up to {bytes} bytes in a ConfigMap; Kubernetes takes {MAX_CONFIG_MAP_BYTES}"
        );
        found.push(Violation::new(pointer, "too_large", message));
    }
    found
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
        // A component that is listed twice is said to be.
        if let Some(other) = first.get(&place).filter(|other| **other != reference.id) {
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

/// A cluster's own version must be one for what installs it; the catalog's is judged with the catalog.
fn version(reference: &ComponentReference, catalog: &Component, pointer: &str) -> Option<Violation> {
    let installed = match (reference.oci_tag.as_deref()?, catalog.delivery) {
        ("latest", Delivery::Helm) => catalog.component_version.as_deref()?,
        (tag, _) => tag,
    };
    check_version(installed, catalog.delivery, &format!("{pointer}/oci_tag"))
}

fn answer_size(fleet: &Fleet, cluster: &Cluster, kind: &ResourceType) -> Option<Violation> {
    let AnswerSize { bytes, stored, inputs } = fleet.size(cluster, kind);
    let message = if inputs > MAX_INPUTS {
        format!("the cluster would get {inputs} inputs; Flux takes {MAX_INPUTS} and drops the rest unsaid")
    } else if bytes > MAX_ANSWER_BYTES {
        format!("the cluster's answer would have {bytes} bytes; Flux takes {MAX_ANSWER_BYTES}")
    } else if stored > MAX_STATUS_BYTES {
        format!(
            "the cluster would store its answer in {stored} bytes (`<`, `>` and `&` take six); it can store {MAX_STATUS_BYTES}"
        )
    } else {
        return None;
    };
    Some(Violation::new(format!("/{}", kind.plural()), "answer_too_large", message))
}
