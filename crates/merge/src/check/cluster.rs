//! What a cluster gets, its profiles worked in, and what Flux would choke on there.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    Cluster, Component, Delivery, Layer, PATCHES, PLATFORM_COMPONENTS, PROFILES, ResourceType, Violation,
    check_helm_keys, check_helm_values, length_in_go,
};
use serde_json::Value;

use crate::check::layer::{deliveries, overrides, references, versions};
use crate::fleet::Fleet;
use crate::input::{ClusterBlock, ComponentInput, InputSource, Target};
use crate::layered::Said;
use crate::requirement::requirements;
use crate::scope::Scope;
use crate::{MAX_ANSWER_BYTES, MAX_INPUTS};

/// What a provider's status may take: etcd's limit of 1.5 MiB for one object, less what else is in it.
const MAX_STATUS_BYTES: usize = 1_400_000;

/// How many bytes Go makes of one at most.
const LONGEST_IN_GO: usize = 6;

/// What is wrong with what is in `scope`.
pub(super) fn cluster_violations(
    fleet: &Fleet,
    cluster: &Cluster,
    broken: &BTreeSet<Key>,
    scope: &Scope<'_>,
) -> Vec<Violation> {
    let mut found = references(fleet, &cluster.layer, broken);
    if let Some(components) = fleet.resource_type(PLATFORM_COMPONENTS)
        && scope.holds_some(PLATFORM_COMPONENTS)
    {
        found.extend(component_violations(fleet, cluster, components, scope));
    }
    found.extend(overridden(fleet, cluster, scope));
    let polled = fleet.types().iter().filter(|kind| kind.flux_path().is_some());
    let polled = polled.filter(|kind| scope.holds_some(kind.plural()));
    found.extend(polled.filter_map(|kind| answer_size(fleet, cluster, kind)));
    found
}

fn component_violations(
    fleet: &Fleet,
    cluster: &Cluster,
    components: &ResourceType,
    scope: &Scope<'_>,
) -> Vec<Violation> {
    let in_scope = |id: &str| scope.holds(PLATFORM_COMPONENTS, id);
    // Patches have no part in what components are to each other.
    let alone = scope.is_of_patches();
    let assigned: Vec<Assigned<'_>> = fleet
        .sources(cluster, components, |id| !alone || in_scope(id))
        .filter_map(|source| Assigned::of(cluster, source))
        .collect();
    let mut found = match alone {
        true => Vec::new(),
        false => together(fleet, cluster, &assigned),
    };
    let assigned = assigned.iter().filter(|one| in_scope(one.input.id));
    found.extend(assigned.flat_map(|one| values(fleet, cluster, one)));
    found.extend(deliveries(fleet, &cluster.layer, in_scope));
    found
}

/// What is wrong with components beside each other: all of them, since it may be what another one needs that
/// changes.
fn together(fleet: &Fleet, cluster: &Cluster, assigned: &[Assigned<'_>]) -> Vec<Violation> {
    let mut found = versions(fleet, &cluster.layer);
    let by_id: BTreeMap<_, _> = assigned.iter().map(|one| (one.input.id, one)).collect();
    for one in assigned {
        let mut wrong = dependencies(fleet, &by_id, one);
        wrong.extend(requirements(fleet, cluster, &by_id, one));
        if !wrong.is_empty() {
            found.extend(Place::of(fleet, cluster, PLATFORM_COMPONENTS, one.input.id).all(wrong));
        }
    }
    found.extend(shared_releases(fleet, cluster, assigned));
    found
}

/// A component that a cluster gets.
pub(crate) struct Assigned<'a> {
    pub(crate) catalog: Target<'a, Component>,
    pub(crate) input: ComponentInput<'a>,
}

impl<'a> Assigned<'a> {
    fn of(cluster: &'a Cluster, source: InputSource<'a>) -> Option<Self> {
        let InputSource::Component(said, patches, catalog) = source else { return None };
        let input = ComponentInput::merge(ClusterBlock::of(cluster), said, patches, catalog.is);
        Some(Assigned { catalog, input })
    }
}

/// Where what a cluster gets stands: in its own document, or in the highest of its profiles that speaks of it.
struct Place {
    document: Option<Key>,
    pointer: String,
}

impl Place {
    fn of(fleet: &Fleet, cluster: &Cluster, plural: &str, id: &str) -> Self {
        Self::found(fleet, cluster, |layer| layer.position(plural, id).map(|at| Layer::pointer(plural, at)))
    }

    fn of_patches(fleet: &Fleet, cluster: &Cluster, id: &str) -> Self {
        Self::found(fleet, cluster, |layer| layer.patches.get(id).map(|_| format!("/{PATCHES}/{id}")))
    }

    fn of_overrides(fleet: &Fleet, cluster: &Cluster, plural: &str, id: &str) -> Self {
        Self::found(fleet, cluster, |layer| {
            let at = layer
                .references
                .get(plural)?
                .iter()
                .position(|one| *one.id == *id && !one.overrides.is_empty());
            at.map(|at| Layer::pointer(plural, at))
        })
    }

    fn found(fleet: &Fleet, cluster: &Cluster, within: impl Fn(&Layer) -> Option<String>) -> Self {
        if let Some(pointer) = within(&cluster.layer) {
            return Place { document: None, pointer };
        }
        let mut profiles = fleet.profiles_of(&cluster.id).rev();
        let found = profiles.find_map(|profile| Some((profile, within(&profile.layer)?)));
        match found {
            Some((profile, pointer)) => Place { document: Some(Key::new(PROFILES, &profile.id)), pointer },
            None => Place { document: None, pointer: String::new() },
        }
    }

    fn all<'a>(
        &'a self,
        wrong: impl IntoIterator<Item = Violation> + 'a,
    ) -> impl Iterator<Item = Violation> + 'a {
        wrong.into_iter().map(|violation| {
            let violation = violation.under(&self.pointer);
            Violation { document: self.document.clone(), ..violation }
        })
    }
}

/// What is wrong with what the cluster says instead of definitions, and with what its layers say together.
/// What a profile says by itself is judged there.
fn overridden(fleet: &Fleet, cluster: &Cluster, scope: &Scope<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let overridable = fleet.types().iter().filter(|kind| !kind.overridable().is_empty());
    for kind in overridable.filter(|kind| scope.holds_some(kind.plural())) {
        let plural = kind.plural();
        let mut profiles: BTreeMap<&str, usize> = BTreeMap::new();
        let layers = fleet.profiles_of(&cluster.id).map(|profile| &profile.layer);
        layers
            .flat_map(|layer| overriding(layer, plural))
            .for_each(|id| *profiles.entry(id).or_default() += 1);
        let own: BTreeSet<&str> = overriding(&cluster.layer, plural).collect();
        let several = |id: &str| own.contains(id) || profiles.get(id).is_some_and(|count| *count > 1);
        for source in fleet.sources(cluster, kind, several) {
            let InputSource::Definition(said, _) = source else { continue };
            let mut wrong = overrides(fleet, plural, said);
            if !wrong.is_empty() {
                let alone = said_alone(fleet, cluster, plural, source.id());
                wrong.retain(|violation| !alone.contains(violation));
                found.extend(Place::of_overrides(fleet, cluster, plural, source.id()).all(wrong));
            }
        }
    }
    found
}

/// What `layer` says something of instead of definitions of the type `plural`.
fn overriding<'a>(layer: &'a Layer, plural: &str) -> impl Iterator<Item = &'a str> {
    let references = layer.references.get(plural).into_iter().flatten();
    references.filter(|reference| !reference.overrides.is_empty()).map(|reference| &*reference.id)
}

/// What is wrong with what each of the cluster's profiles says of `id` by itself.
fn said_alone(fleet: &Fleet, cluster: &Cluster, plural: &str, id: &str) -> Vec<Violation> {
    let references =
        fleet.profiles_of(&cluster.id).filter_map(|profile| profile.layer.references.get(plural));
    let of_id = references.flatten().filter(|reference| *reference.id == *id);
    of_id.flat_map(|top| overrides(fleet, plural, Said { top, below: None })).collect()
}

/// A component waits for ever for one that its cluster does not install, or installs the other way.
fn dependencies(
    fleet: &Fleet,
    assigned: &BTreeMap<&str, &Assigned<'_>>,
    one: &Assigned<'_>,
) -> Vec<Violation> {
    if !one.input.enabled {
        return Vec::new();
    }
    let judge = |needed: &String| {
        let id = one.input.id;
        let Some(other) = assigned.get(needed.as_str()) else {
            // What does not exist is said of the catalog.
            fleet.component(needed)?;
            return Some((
                "dependency_missing",
                format!("{id} depends on {needed}, which this cluster does not have"),
            ));
        };
        if !other.input.enabled {
            return Some((
                "dependency_disabled",
                format!("{id} depends on {needed}, which is disabled here"),
            ));
        }
        (other.input.delivery != one.input.delivery).then(|| {
            let message = format!(
                "{id} depends on {needed}, which is delivered the other way; Flux cannot wait across"
            );
            ("dependency_delivery", message)
        })
    };
    let found = one.catalog.is.depends_on.iter().filter_map(judge);
    found.map(|(code, message)| Violation::new("", code, message)).collect()
}

/// What a component's patches and values do to each other: they share one ConfigMap, and a patch must
/// find room where the values leave it.
fn values(fleet: &Fleet, cluster: &Cluster, one: &Assigned<'_>) -> Vec<Violation> {
    const MAX_CONFIG_MAP_BYTES: usize = 1024 * 1024;
    const BYTES_FOR_A_KEY: usize = 512;
    let input = &one.input;
    if input.delivery != Delivery::Helm {
        return Vec::new();
    }
    let values = input.release.get("values").unwrap_or(&Value::Null);
    let patches = input.patches.to_map();
    let keys = || patches.keys().map(String::as_str);
    let mut wrong = check_helm_values(keys(), values, "");
    // Each layer alone is judged by itself; put over each other keys may still be in each other's way.
    let has = |layer: &Layer| layer.patches.contains_key(input.id);
    let profiles = fleet.profiles_of(&cluster.id).filter(|profile| has(&profile.layer)).count();
    if profiles + usize::from(has(&cluster.layer)) > 1 {
        wrong.extend(check_helm_keys(keys(), ""));
    }
    let mut found: Vec<_> = match wrong.is_empty() {
        true => Vec::new(),
        false => Place::of_patches(fleet, cluster, input.id).all(wrong).collect(),
    };
    // Each patch stands there as written and escaped.
    let patches: usize = patches.values().map(|value| 2 * value.len() + BYTES_FOR_A_KEY).sum();
    let is_catalog_entrys =
        matches!(&input.release, Cow::Borrowed(release) if std::ptr::eq(*release, &one.catalog.is.release));
    // Of most clusters the values are a part of what the catalog has ready, and small.
    let longest = patches + one.catalog.ready.len() * LONGEST_IN_GO;
    if is_catalog_entrys && longest <= MAX_CONFIG_MAP_BYTES {
        return found;
    }
    let bytes = patches + length_in_go(values.to_string().as_bytes());
    if bytes > MAX_CONFIG_MAP_BYTES {
        let message = format!(
            "its patches and values take up to {bytes} bytes in a ConfigMap; Kubernetes takes {MAX_CONFIG_MAP_BYTES}"
        );
        let place = Place::of(fleet, cluster, PLATFORM_COMPONENTS, input.id);
        found.extend(place.all([Violation::new("", "too_large", message)]));
    }
    found
}

/// Two HelmReleases of one name and namespace would upgrade each other for ever.
fn shared_releases(fleet: &Fleet, cluster: &Cluster, assigned: &[Assigned<'_>]) -> Vec<Violation> {
    let mut first: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut found = Vec::new();
    for Assigned { input, .. } in assigned.iter().filter(|one| one.input.delivery == Delivery::Helm) {
        let text = |key: &str| input.release.get(key).and_then(Value::as_str).unwrap_or(input.id);
        let place = (text("target_namespace"), text("name"));
        // A component that is listed twice is said to be.
        if let Some(other) = first.get(&place).filter(|other| **other != input.id) {
            let message = format!(
                "{} and {other} would both be the release {} in namespace {}",
                input.id, place.1, place.0
            );
            let violation = Violation::new("/release", "release_taken", message);
            found.extend(Place::of(fleet, cluster, PLATFORM_COMPONENTS, input.id).all([violation]));
        } else {
            first.insert(place, input.id);
        }
    }
    found
}

fn answer_size(fleet: &Fleet, cluster: &Cluster, kind: &ResourceType) -> Option<Violation> {
    let (answer, inputs) = fleet.full_answer(cluster, kind);
    let bytes = answer.len();
    // Seldom is it large enough to be counted character by character.
    let stored = if bytes * LONGEST_IN_GO > MAX_STATUS_BYTES { length_in_go(&answer) } else { bytes };
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
