//! What must hold between documents, checked where a write could have broken it.

mod catalog;
mod cluster;
mod elsewhere;
mod layer;

use std::collections::BTreeSet;

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    Body, CLUSTERS, DnsName, FREEZES, PLATFORM_COMPONENTS, PROFILES, RESOURCE_TYPES, TOMBSTONES, Violation,
};

pub(crate) use crate::check::catalog::cycle;
pub(crate) use crate::check::cluster::Assigned;
pub(crate) use crate::check::elsewhere::clashes;

use crate::check::catalog::catalog;
use crate::check::cluster::cluster_violations;
use crate::check::elsewhere::Elsewhere;
use crate::check::layer::profile_violations;
use crate::fleet::Fleet;
use crate::list::Listed;
use crate::rewrite::forget_known;
use crate::scope::Scope;

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
        let was = before.subject(&key.id);
        let scope = match touched.len() {
            1 if touched.contains(&key) => Scope::of_document(was, Some(cluster)),
            _ => Scope::whole(),
        };
        let mut wrong = cluster_violations(after, cluster, broken, &scope);
        if !wrong.is_empty()
            && let Some(was) = was
        {
            // What was stored before a rule existed never blocks what has nothing to do with it.
            let known = cluster_violations(before, was, broken, &scope);
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
        .flat_map(|key| after.referrers(key))
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
            let body = fleet.get(&key).map(|document| document.to_body());
            said_of(fleet, PROFILES, body, kind.plural())
        };
        judge(key.clone(), own(after), own(before));
    }
    for id in after.subjects().filter(|id| refers(after, id, kind.plural())) {
        let key = after.subject_key(id);
        let place = if key.kind == TOMBSTONES { "/cluster" } else { "" };
        let own = |fleet: &Fleet| {
            let cluster = fleet.get(&Key::new(CLUSTERS, id)).map(|document| document.to_body());
            let body = cluster.or_else(|| fleet.last_of(id).cloned());
            let wrong = said_of(fleet, CLUSTERS, body, kind.plural()).into_iter();
            wrong.map(|violation| violation.under(place)).collect()
        };
        judge(key, own(after), own(before));
    }
    found
}

fn refers(fleet: &Fleet, id: &str, plural: &str) -> bool {
    fleet.subject(id).is_some_and(|one| one.layer.references.contains_key(plural))
}

/// What is wrong with what `body`, a document of the type `kind`, says under `plural`.
fn said_of(fleet: &Fleet, kind: &str, body: Option<Body>, plural: &str) -> Vec<Violation> {
    let judged = fleet.resource_type(kind).zip(body);
    let wrong = judged.map(|(kind, body)| kind.validate(&body, fleet.rules())).unwrap_or_default();
    let within = format!("/{plural}/");
    wrong.into_iter().filter(|violation| violation.pointer.starts_with(&within)).collect()
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
    let keys: BTreeSet<Key> = touched.iter().cloned().chain(referrers).collect();
    let profiles = keys.iter().filter(|key| key.kind == PROFILES);
    let selected = profiles.flat_map(|key| {
        // Who is no longer selected gets something else, too.
        let selected = [before, after].map(|fleet| fleet.audience(&key.id));
        selected.into_iter().flatten().map(|id| after.subject_key(id)).collect::<Vec<_>>()
    });
    let selected: Vec<Key> = selected.collect();
    keys.into_iter().chain(selected).filter(|key| is_subject(after, key)).collect()
}

/// Whether `key` is the document in which `fleet` has a cluster.
fn is_subject(fleet: &Fleet, key: &Key) -> bool {
    (key.kind == CLUSTERS || key.kind == TOMBSTONES) && fleet.get(key).is_some()
}
