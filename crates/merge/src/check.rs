//! What must hold between documents, checked where a write could have broken it.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    Body, CLUSTERS, Cluster, Component, ComponentReference, Delivery, DnsName, FREEZES, Layer, PATCHES,
    PLATFORM_COMPONENTS, PROFILES, Profile, RESOURCE_TYPES, Reference, ResourceType, TOMBSTONES,
    UNSET_PATCHES, Violation, check_helm_keys, check_helm_values, check_version, length_in_go,
};
use serde_json::Value;

use crate::answer::AnswerSize;
use crate::clash::Clash;
use crate::fleet::Fleet;
use crate::input::{ComponentInput, InputSource};
use crate::layered::Said;
use crate::list::Listed;
use crate::requirement::{requirement_cycle, requirements};
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
    found.extend(profiles(before, after, touched, broken));
    let mut elsewhere = Elsewhere::default();
    for key in affected(before, after, touched) {
        let Some(cluster) = after.subject(&key.id) else { continue };
        after.clashes(&key.id).for_each(|clash| elsewhere.clash(clash, &key.id));
        let mut wrong = cluster_violations(after, cluster, broken);
        if !wrong.is_empty()
            && let Some(cluster) = before.subject(&key.id)
        {
            // What was stored before a rule existed never blocks what has nothing to do with it.
            let known = cluster_violations(before, cluster, broken);
            wrong.retain(|violation| !known.contains(violation));
        }
        let place = if key.kind == TOMBSTONES { "/cluster" } else { "" };
        for violation in wrong {
            if violation.document.is_some() {
                elsewhere.add(violation, &key.id);
            } else {
                found.push(violation.under(place).of(key.clone()));
            }
        }
    }
    found.extend(elsewhere.violations(after, touched));
    for key in touched.iter().filter(|key| is_subject(before, key)) {
        found.extend(frozen(before, after, key).map(|violation| violation.of(key.clone())));
    }
    found
}

/// Every field of which profiles say different things of some cluster, and nothing decides.
pub(crate) fn clashes(fleet: &Fleet) -> Vec<Violation> {
    let mut found = Elsewhere::default();
    for id in fleet.subjects() {
        fleet.clashes(id).for_each(|clash| found.clash(clash, id));
    }
    found.violations(fleet, &BTreeSet::new()).collect()
}

/// What is wrong with clusters and stands in their profiles: said once, with the clusters.
#[derive(Default)]
struct Elsewhere {
    found: BTreeMap<Violation, Vec<String>>,
    clashes: BTreeMap<Clash, Vec<String>>,
}

impl Elsewhere {
    fn add(&mut self, violation: Violation, cluster: &str) {
        self.found.entry(violation).or_default().push(cluster.into());
    }

    fn clash(&mut self, clash: &Clash, cluster: &str) {
        self.clashes.entry(clash.clone()).or_default().push(cluster.into());
    }

    fn violations(self, after: &Fleet, touched: &BTreeSet<Key>) -> impl Iterator<Item = Violation> {
        let found = self.found.into_iter().map(|(violation, clusters)| {
            let message = format!("{} (on {})", violation.message, named_clusters(&clusters));
            Violation { message, ..violation }
        });
        let clashes = self.clashes.into_iter().map(|(clash, clusters)| {
            // Where somebody is writing, if it is one of the two.
            let keys = clash.profiles.each_ref().map(|id| Key::new(PROFILES, id));
            let [first, second] = &keys;
            let key = if touched.contains(second) && !touched.contains(first) { second } else { first };
            let layer = after.profile(&key.id).map(|profile| &profile.layer);
            let message = format!(
                "{} on {}; let a profile of higher priority or the clusters say it, or take one of the two out",
                clash.sentence(),
                named_clusters(&clusters)
            );
            let pointer = layer.map(|layer| clash.pointer(layer)).unwrap_or_default();
            Violation::new(pointer, "profiles_disagree", message).of(key.clone())
        });
        found.collect::<Vec<_>>().into_iter().chain(clashes.collect::<Vec<_>>())
    }
}

/// How many clusters, and which.
pub(crate) fn named_clusters(clusters: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<_> = clusters.iter().take(SHOWN).map(String::as_str).collect();
    let more = format!("{} more", clusters.len().saturating_sub(SHOWN));
    if clusters.len() > SHOWN {
        names.push(&more);
    }
    let count = if clusters.len() == 1 { "1 cluster".into() } else { format!("{} clusters", clusters.len()) };
    format!("{count}: {}", names.join(", "))
}

/// What is wrong with profiles by themselves, written or made so by what they refer to.
fn profiles(
    before: &Fleet,
    after: &Fleet,
    touched: &BTreeSet<Key>,
    broken: &BTreeSet<Key>,
) -> Vec<Violation> {
    let referrers = touched
        .iter()
        .chain(&of_types(after, touched))
        .flat_map(|key| after.referrers(key).cloned())
        .collect::<Vec<_>>();
    let keys: BTreeSet<&Key> = touched.iter().chain(&referrers).filter(|key| key.kind == PROFILES).collect();
    let mut found = Vec::new();
    for key in keys {
        let judge = |fleet: &Fleet| {
            fleet
                .profile(&key.id)
                .map(|profile| profile_violations(fleet, profile, broken))
                .unwrap_or_default()
        };
        let mut wrong = judge(after);
        if !wrong.is_empty() {
            let known = judge(before);
            wrong.retain(|violation| !known.contains(violation));
        }
        found.extend(wrong.into_iter().map(|violation| violation.of(key.clone())));
    }
    found
}

fn profile_violations(fleet: &Fleet, profile: &Profile, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let layer = &profile.layer;
    let mut found = references(fleet, layer, broken);
    found.extend(deliveries(fleet, layer));
    found.extend(versions(fleet, layer));
    for (plural, references) in &layer.references {
        for (at, reference) in references.iter().enumerate() {
            let said = Said { top: reference, below: None };
            let wrong = overrides(fleet, plural, said).into_iter();
            found.extend(wrong.map(|violation| violation.under(&Layer::pointer(plural, at))));
        }
    }
    found
}

/// The documents of the types among `touched`: what their type says of them is in them.
fn of_types(after: &Fleet, touched: &BTreeSet<Key>) -> Vec<Key> {
    let types = touched.iter().filter(|key| key.kind == RESOURCE_TYPES);
    types.flat_map(|key| after.list(&key.id).map(|(id, _)| Key::new(&key.id, id))).collect()
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
    for (id, _) in after.list(PROFILES) {
        let key = Key::new(PROFILES, id);
        let own = |fleet: &Fleet| {
            let within = format!("/{}/", kind.plural());
            of(fleet, &key).into_iter().filter(|one| one.pointer.starts_with(&within)).collect()
        };
        judge(key.clone(), own(after), own(before));
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
    fleet.subject(id).is_some_and(|one| one.layer.references.contains_key(plural))
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

/// What is said instead of a definition must leave it as its type wants it; by pointers into the reference.
fn overrides(fleet: &Fleet, plural: &str, said: Said<'_, Reference>) -> Vec<Violation> {
    let Some(kind) = fleet.resource_type(plural) else { return Vec::new() };
    let reference = said.merged();
    let own = reference.overrides.iter().filter(|(field, _)| kind.overridable().contains(*field));
    let own: Body = own.map(|(field, value)| (field.clone(), value.clone())).collect();
    if own.is_empty() {
        return Vec::new();
    }
    let Some(document) = fleet.get(&Key::new(plural, &reference.id)) else { return Vec::new() };
    let definition = document.to_body();
    let mut whole = definition.clone();
    whole.extend(own);
    let mut wrong = kind.validate(&whole, fleet.rules());
    if !wrong.is_empty() {
        // What is wrong with the definition itself is said of that.
        let known = kind.validate(&definition, fleet.rules());
        wrong.retain(|violation| !known.contains(violation));
    }
    wrong
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

/// The clusters, held ones too, whose answers the documents `touched` have a part in, by themselves or in
/// a profile: the documents that they stand in.
fn affected(before: &Fleet, after: &Fleet, touched: &BTreeSet<Key>) -> BTreeSet<Key> {
    let of_types = of_types(after, touched);
    let referrers = touched.iter().chain(&of_types).flat_map(|key| after.referrers(key));
    let keys: BTreeSet<&Key> = touched.iter().chain(referrers).collect();
    let profiles = keys.iter().filter(|key| key.kind == PROFILES);
    let selected = profiles.flat_map(|key| {
        // Who is no longer selected gets something else, too.
        let selected = [before, after].map(|fleet| audience(fleet, &key.id));
        let place = |id: &str| {
            let kind = if after.cluster(id).is_some() { CLUSTERS } else { TOMBSTONES };
            Key::new(kind, id)
        };
        selected.into_iter().flatten().map(place).collect::<Vec<_>>()
    });
    let selected: Vec<Key> = selected.collect();
    keys.into_iter().chain(&selected).filter(|key| is_subject(after, key)).cloned().collect()
}

/// The clusters, held ones too, that the profile `id` is for.
pub(crate) fn audience<'a>(fleet: &'a Fleet, id: &str) -> impl Iterator<Item = &'a str> {
    fleet.profile(id).into_iter().flat_map(|profile| fleet.selected_by(&profile.selector))
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
    for id in component.requires.keys() {
        if fleet.component(id).is_none() && !broken.contains(&Key::new(PLATFORM_COMPONENTS, id)) {
            let message = format!("{PLATFORM_COMPONENTS}/{id} does not exist");
            found.push(Violation::new(format!("/requires/{id}"), "reference", message));
        }
    }
    found.extend(requirement_cycle(fleet, component));
    if let Some(cycle) = cycle(fleet, component, |component| component.depends_on.iter().collect()) {
        let first = component.depends_on.iter().position(|id| cycle.get(1).is_some_and(|next| next == id));
        let pointer = format!("/depends_on/{}", first.unwrap_or_default());
        let message = format!("components would wait for each other for ever: {}", cycle.join(" -> "));
        found.push(Violation::new(pointer, "dependency_cycle", message));
    }
    found
}

/// A way along what components `need` from one back to itself. Every component is looked at once.
pub(crate) fn cycle<'a>(
    fleet: &'a Fleet,
    component: &'a Component,
    need: impl Fn(&'a Component) -> Vec<&'a String>,
) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = vec![component];
    while let Some(from) = open.pop() {
        for next in need(from) {
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
    let mut found = references(fleet, &cluster.layer, broken);
    found.extend(versions(fleet, &cluster.layer));
    let Some(components) = fleet.resource_type(PLATFORM_COMPONENTS) else { return found };
    let assigned: Vec<Assigned<'_>> = fleet
        .sources(cluster, components, |_| true)
        .filter_map(|source| Assigned::of(cluster, source))
        .collect();
    let by_id: BTreeMap<_, _> = assigned.iter().map(|one| (one.input.id, one)).collect();
    for one in &assigned {
        let mut wrong = dependencies(fleet, &by_id, one);
        wrong.extend(requirements(fleet, cluster, &by_id, one));
        if !wrong.is_empty() {
            found.extend(Place::of(fleet, cluster, PLATFORM_COMPONENTS, one.input.id).all(wrong));
        }
        found.extend(values(fleet, cluster, one));
    }
    found.extend(deliveries(fleet, &cluster.layer));
    found.extend(overridden(fleet, cluster));
    found.extend(shared_releases(fleet, cluster, &assigned));
    let polled = fleet.types().iter().filter(|kind| kind.flux_path().is_some());
    found.extend(polled.filter_map(|kind| answer_size(fleet, cluster, kind)));
    found
}

/// A component that a cluster gets.
pub(crate) struct Assigned<'a> {
    pub(crate) catalog: &'a Component,
    pub(crate) input: ComponentInput<'a>,
}

impl<'a> Assigned<'a> {
    fn of(cluster: &'a Cluster, source: InputSource<'a>) -> Option<Self> {
        let InputSource::Component(said, patches, catalog) = source else { return None };
        Some(Assigned { catalog, input: ComponentInput::merge(cluster, said, patches, catalog) })
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

fn references(fleet: &Fleet, layer: &Layer, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let targets = layer.targets().filter(|target| seen.insert(*target));
    let missing = targets.map(|(plural, id)| Key::new(plural, id));
    let missing = missing.filter(|key| fleet.get(key).is_none() && !broken.contains(key));
    let said = |key: Key| {
        let message = format!("{key} does not exist");
        places(layer, &key)
            .into_iter()
            .map(move |pointer| Violation::new(pointer, "reference", message.clone()))
    };
    missing.flat_map(said).collect()
}

/// Everywhere that `layer` speaks of `key`.
fn places(layer: &Layer, key: &Key) -> Vec<String> {
    let mut pointers = Vec::new();
    let mut referred = |at: usize, id: &str| {
        let here = (id == key.id).then(|| format!("{}/id", Layer::pointer(&key.kind, at)));
        pointers.extend(here);
    };
    if key.kind != PLATFORM_COMPONENTS {
        let references = layer.references.get(&key.kind).into_iter().flatten();
        references.enumerate().for_each(|(at, one)| referred(at, &one.id));
        return pointers;
    }
    layer.platform_components.iter().enumerate().for_each(|(at, one)| referred(at, &one.id));
    let of_keys = [
        (PATCHES, layer.patches.contains_key(&key.id)),
        (UNSET_PATCHES, layer.unset_patches.contains_key(&key.id)),
    ];
    let spoken_of = of_keys.into_iter().filter(|(_, spoken_of)| *spoken_of);
    pointers.extend(spoken_of.map(|(field, _)| format!("/{field}/{}", key.id)));
    pointers
}

/// What is wrong with what `layer` says of components, by how they are delivered.
fn deliveries(fleet: &Fleet, layer: &Layer) -> Vec<Violation> {
    let referred = layer.platform_components.iter().map(|reference| &reference.id);
    let ids: BTreeSet<&String> = referred.chain(layer.patches.keys()).collect();
    let known = ids.into_iter().filter_map(|id| Some((id, fleet.component(id)?)));
    known.flat_map(|(id, component)| layer.check_delivery(id, component.delivery)).collect()
}

/// What is wrong with what the cluster says instead of definitions, over its profiles.
fn overridden(fleet: &Fleet, cluster: &Cluster) -> Vec<Violation> {
    let mut found = Vec::new();
    for kind in fleet.types().iter().filter(|kind| !kind.overridable().is_empty()) {
        for source in fleet.sources(cluster, kind, |_| true) {
            let InputSource::Definition(said, _) = source else { continue };
            // What a profile says by itself is judged there.
            let Some(at) = cluster.layer.position(kind.plural(), &said.top.id) else { continue };
            let wrong = overrides(fleet, kind.plural(), said).into_iter();
            found.extend(wrong.map(|violation| violation.under(&Layer::pointer(kind.plural(), at))));
        }
    }
    found
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
    let found = one.catalog.depends_on.iter().filter_map(judge);
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
    let keys = || input.patches.keys().map(String::as_str);
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
    let patches: usize = input.patches.values().map(|value| 2 * value.len() + BYTES_FOR_A_KEY).sum();
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

/// A layer's own versions must be such for what installs them; the catalog's are judged with the catalog.
fn versions(fleet: &Fleet, layer: &Layer) -> Vec<Violation> {
    let judge = |(at, reference): (usize, &ComponentReference)| {
        let catalog = fleet.component(&reference.id)?;
        let installed = match (reference.oci_tag.as_deref()?, catalog.delivery) {
            ("latest", Delivery::Helm) => catalog.component_version.as_deref()?,
            (tag, _) => tag,
        };
        let pointer = format!("{}/oci_tag", Layer::pointer(PLATFORM_COMPONENTS, at));
        check_version(installed, catalog.delivery, &pointer)
    };
    layer.platform_components.iter().enumerate().filter_map(judge).collect()
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
