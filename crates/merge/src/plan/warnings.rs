//! What a plan warns of: what is allowed and likely not meant, and what somebody must know at 3 a.m.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    Cluster, Delivery, DnsName, FREEZES, Layer, OnRemove, PLATFORM_COMPONENTS, PROFILES, Profile,
    ResourceType,
};
use serde::Serialize;

use crate::fleet::Fleet;
use crate::input::{ComponentInput, Input};
use crate::plan::Warning;
use crate::plan::affected::is_clusters;
use crate::plan::kind::{EffectKind, target_namespace};
use crate::plan::planner::owned;
use crate::plan::rows::{Row, Subject};
use crate::requirement::{LATEST, version_of};

const NAMESPACES: &str = "namespaces";

/// What a warning is about. The gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// A DNS name passes from one cluster to another: who polls under it gets the other's answers.
    NamePasses,
    /// A namespace goes before, or with, a component that is in it.
    NamespaceFirst,
    /// An input goes whose definition is set to keep in the same change, which Flux has not seen yet.
    KeepTooLate,
    /// A cluster leaves the protected environments: from then on it is deleted without being held.
    ProtectionLost,
    /// A cluster is deleted and held.
    Held,
    /// A freeze is put on, and holds a cluster.
    Freezes,
    /// A former DNS name is given up: polls under it get 404.
    AliasRemoved,
    /// A deleted cluster's DNS name becomes free.
    NameFreed,
    /// The folder of a Kustomization changes: what only the old one has is deleted.
    PathChanged,
    /// The role of a binding changes, which makes Kubernetes delete and create it.
    RoleChanged,
    /// A component is installed in whatever version is the latest then.
    Latest,
    /// A component goes into a namespace that the cluster does not get.
    NamespaceMissing,
    /// What a component requires cannot be judged, since a version cannot be compared.
    Unjudged,
    /// A profile selects no cluster.
    ProfileSelectsNone,
    /// What a layer takes out is given by no lower one.
    ExcludesNothing,
}

/// Warnings being gathered, cluster by cluster.
pub(crate) struct Warnings<'a> {
    before: &'a Fleet,
    after: &'a Fleet,
    found: BTreeMap<(WarningCode, String), Vec<&'a str>>,
    /// Whether a namespace of this name can be one of a fleet's.
    lawful: BTreeMap<String, bool>,
    /// The components that require something, each with whom it requires.
    requiring: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Warnings<'a> {
    pub(crate) fn of(before: &'a Fleet, after: &'a Fleet) -> Self {
        let catalog = after.list(PLATFORM_COMPONENTS).filter_map(|(id, _)| after.component(id));
        let requiring = catalog.filter(|one| !one.requires.is_empty() || one.kubernetes.is_some());
        let requiring =
            requiring.map(|one| (one.id.as_str(), one.requires.keys().map(String::as_str).collect()));
        let requiring = requiring.collect();
        Warnings { before, after, found: BTreeMap::new(), lawful: BTreeMap::new(), requiring }
    }

    /// Which of the layers among `changed` do nothing, for whom of the clusters that are `wanted`.
    pub(crate) fn layers(&mut self, changed: &BTreeSet<&'a Key>, wanted: impl Fn(&str) -> bool) {
        for key in changed {
            if let Some(profile) = self.after.profile(&key.id).filter(|_| key.kind == PROFILES) {
                self.profile(profile, &wanted);
            } else if is_clusters(key) && wanted(&key.id) {
                self.excluded_by_cluster(&key.id);
            }
        }
    }

    fn profile(&mut self, profile: &'a Profile, wanted: impl Fn(&str) -> bool) {
        let (id, after) = (&profile.id, self.after);
        let selected: Vec<&str> = after.selected_by(&profile.selector).collect();
        if selected.is_empty() {
            let message = format!(
                "{PROFILES}/{id} selects no cluster yet: `{}` is what it waits for",
                profile.selector
            );
            self.found.entry((WarningCode::ProfileSelectsNone, message)).or_default();
            return;
        }
        for (plural, target) in excluded(&profile.layer) {
            let useful = selected.iter().any(|cluster| {
                let lower = after.profiles_of(cluster).take_while(|lower| lower.priority < profile.priority);
                lower.fold(false, |given, lower| {
                    lower.layer.excludes(plural, target).map_or(given, |out| !out)
                })
            });
            if !useful {
                let message = format!(
                    "{PROFILES}/{id} takes out {plural}/{target}, which no lower profile gives to any of its clusters"
                );
                let clusters: Vec<&str> = selected.iter().copied().filter(|id| wanted(id)).collect();
                if !clusters.is_empty() {
                    self.found.insert((WarningCode::ExcludesNothing, message), clusters);
                }
            }
        }
    }

    fn excluded_by_cluster(&mut self, id: &'a str) {
        let Some(cluster) = self.after.subject(id) else { return };
        let subject = Subject { id, was: self.before.subject(id), now: Some(cluster) };
        let useless = |fleet: &Fleet, plural: &str, target: &str| {
            !fleet.stack(id).is_some_and(|stack| stack.gives(plural, target))
        };
        for (plural, target) in excluded(&cluster.layer) {
            let known = subject.was.is_some_and(|was| was.layer.excludes(plural, target) == Some(true))
                && useless(self.before, plural, target);
            if useless(self.after, plural, target) && !known {
                let message = format!("takes out {plural}/{target}, which none of its profiles gives");
                self.warn(WarningCode::ExcludesNothing, subject, message);
            }
        }
    }

    /// What of the components that `scope` holds cannot be judged now, and was not so before.
    pub(crate) fn requirements(&mut self, subject: Subject<'a>, scope: impl Fn(&str) -> bool) {
        let concerns = |(id, required): (&&'a str, &BTreeSet<&str>)| {
            (scope(id) || required.iter().any(|id| scope(id))).then_some(*id)
        };
        let ids: Vec<&str> = self.requiring.iter().filter_map(concerns).collect();
        if ids.is_empty() {
            return;
        }
        let Some(now) = subject.now else { return };
        let known = subject.was.map(|was| unjudged(self.before, was, &ids)).unwrap_or_default();
        for message in unjudged(self.after, now, &ids) {
            if !known.contains(&message) {
                self.warn(WarningCode::Unjudged, subject, message);
            }
        }
    }

    /// Whom of the clusters that are `wanted` the freezes among `changed` hold that are put on.
    pub(crate) fn freezes(&mut self, changed: &BTreeSet<&Key>, wanted: impl Fn(&str) -> bool) {
        let fleet = self.after;
        let new = fleet.freezes().filter(|freeze| {
            let key = Key::new(FREEZES, &freeze.id);
            changed.contains(&key) && self.before.get(&key).is_none()
        });
        for freeze in new.collect::<Vec<_>>() {
            let message = format!("is frozen by {}: polls get 503, so it keeps what it has", freeze.id);
            let held = fleet
                .subjects()
                .filter(|id| wanted(id) && fleet.subject(id).is_some_and(|now| freeze.holds(now)));
            for id in held {
                let subject = Subject { id, was: self.before.subject(id), now: fleet.subject(id) };
                self.warn(WarningCode::Freezes, subject, message.clone());
            }
        }
    }

    fn warn(&mut self, code: WarningCode, subject: Subject<'a>, message: String) {
        let clusters = self.found.entry((code, message)).or_default();
        if clusters.last() != Some(&subject.id) {
            clusters.push(subject.id);
        }
    }

    /// What becomes of a cluster as such.
    pub(crate) fn cluster(&mut self, subject: Subject<'a>) {
        let id = subject.id;
        if self.before.cluster(id).is_some() && self.after.cluster(id).is_none() && subject.now.is_some() {
            let message = "is deleted and held: polls get 410, so the cluster keeps what it has until it is restored or wiped";
            self.warn(WarningCode::Held, subject, message.into());
        }
        if let (Some(was), Some(now)) = (subject.was, subject.now)
            && self.before.rules().protects(&was.environment)
            && !self.after.rules().protects(&now.environment)
        {
            let message = format!(
                "goes from the protected environment {} to {}, where a delete is not held first",
                was.environment, now.environment
            );
            self.warn(WarningCode::ProtectionLost, subject, message);
        }
        for dns in names(self.before, id) {
            self.name(subject, dns);
        }
    }

    fn name(&mut self, subject: Subject<'a>, dns: &str) {
        let message = match self.after.holder(dns) {
            Some(other) if *other.id() == *subject.id => return,
            Some(other) => {
                let other = other.id();
                let message = format!(
                    "{dns} passes to {other}: whoever polls under it then gets the answers of {other}"
                );
                return self.warn(WarningCode::NamePasses, subject, message);
            }
            None => format!("{dns} is given up: polls under it get 404, and another cluster may take it"),
        };
        let gone = names(self.after, subject.id).next().is_none();
        let code = if gone { WarningCode::NameFreed } else { WarningCode::AliasRemoved };
        self.warn(code, subject, message);
    }

    /// What becomes of those inputs of one type that differ.
    pub(crate) fn inputs(
        &mut self,
        subject: Subject<'a>,
        kind: &ResourceType,
        differ: &[(EffectKind, Row<'a>)],
    ) {
        for (effect, row) in differ {
            self.keep_too_late(subject, *effect, row);
            match (&row.before, &row.after) {
                (before, Some(Input::Component(after))) => {
                    let before = before.as_ref().and_then(component);
                    self.version(subject, before, after);
                    self.namespace_missing(subject, before, after);
                    before.inspect(|before| self.path(subject, before, after));
                }
                (Some(Input::Definition(before)), Some(Input::Definition(after)))
                    if before.field("role") != after.field("role") =>
                {
                    let message = format!(
                        "{}: the role changes, so Kubernetes deletes the binding and makes it anew: a moment without it",
                        row.id
                    );
                    self.warn(WarningCode::RoleChanged, subject, message);
                }
                (Some(before), None)
                    if kind.plural() == NAMESPACES && before.on_remove() == OnRemove::Delete =>
                {
                    self.namespace_first(subject, row.id);
                }
                _ => {}
            }
        }
    }

    fn keep_too_late(&mut self, subject: Subject<'a>, effect: EffectKind, row: &Row<'a>) {
        let goes = matches!(effect, EffectKind::Remove | EffectKind::Disable);
        if !goes || row.before.as_ref().is_none_or(|before| before.on_remove() == OnRemove::Keep) {
            return;
        }
        let [was, is] = [self.before, self.after].map(|fleet| on_remove(fleet, row) == Some(OnRemove::Keep));
        let kept = row.after.as_ref().is_some_and(|after| after.on_remove() == OnRemove::Keep);
        if kept || (is && !was) {
            let message = format!(
                "{}/{}: on_remove is set to keep only now, which Flux has not seen: the objects are deleted; \
                 set it first, and remove it when the clusters have polled",
                row.kind, row.id
            );
            self.warn(WarningCode::KeepTooLate, subject, message);
        }
    }

    fn version(
        &mut self,
        subject: Subject<'a>,
        before: Option<&ComponentInput<'a>>,
        after: &ComponentInput<'a>,
    ) {
        let before = before.filter(|before| before.enabled).map(installed_version);
        if after.enabled && installed_version(after) == LATEST && before != Some(LATEST) {
            let message = format!(
                "{}: no version is named, so each cluster installs the latest that it finds, whenever it looks",
                after.id
            );
            self.warn(WarningCode::Latest, subject, message);
        }
    }

    fn namespace_missing(
        &mut self,
        subject: Subject<'a>,
        before: Option<&ComponentInput<'a>>,
        after: &ComponentInput<'a>,
    ) {
        let was = before.filter(|before| before.enabled).and_then(target_namespace);
        let Some(namespace) = target_namespace(after).filter(|now| after.enabled && was != Some(*now)) else {
            return;
        };
        if !subject.now.is_some_and(|cluster| has_namespace(self.after, cluster, namespace))
            && self.is_lawful_namespace(namespace)
        {
            let message =
                format!("{}: goes into the namespace {namespace}, which is none of the cluster's", after.id);
            self.warn(WarningCode::NamespaceMissing, subject, message);
        }
    }

    /// `kube-system` and its like exist and are never a fleet's own.
    fn is_lawful_namespace(&mut self, name: &str) -> bool {
        if let Some(lawful) = self.lawful.get(name) {
            return *lawful;
        }
        let kind = self.after.resource_type(NAMESPACES);
        let lawful = kind.is_some_and(|kind| kind.check_id(&Key::new(NAMESPACES, name)).is_none());
        self.lawful.insert(name.into(), lawful);
        lawful
    }

    fn path(&mut self, subject: Subject<'a>, before: &ComponentInput<'a>, after: &ComponentInput<'a>) {
        let overlays = before.enabled && after.enabled && after.delivery == Delivery::Kustomize;
        let (was, now) = (folder(before), folder(after));
        if overlays && before.delivery == after.delivery && was != now {
            let message = format!(
                "{}: its folder changes from {was} to {now}: objects that only the old one has are deleted",
                after.id
            );
            self.warn(WarningCode::PathChanged, subject, message);
        }
    }

    /// The namespace `id` goes; who is in it? A cluster that is wiped loses everything at once.
    fn namespace_first(&mut self, subject: Subject<'a>, id: &str) {
        let (Some(was), Some(now)) = (subject.was, subject.now) else { return };
        let [was, now] =
            [(self.before, was), (self.after, now)].map(|(fleet, cluster)| components_in(fleet, cluster, id));
        for component in &now {
            let message = format!(
                "{NAMESPACES}/{id} goes, and {component} stays in it: Kubernetes deletes what {component} has there"
            );
            self.warn(WarningCode::NamespaceFirst, subject, message);
        }
        for component in was.iter().filter(|component| !now.contains(component)) {
            let message = format!(
                "{NAMESPACES}/{id} goes with {component}, which is in it, and nothing says which goes first; \
                 remove {component}, and the namespace when the clusters are without it"
            );
            self.warn(WarningCode::NamespaceFirst, subject, message);
        }
    }

    pub(crate) fn finish(self) -> Vec<Warning> {
        let found = self.found.into_iter().map(|((code, message), clusters)| Warning {
            code,
            message,
            count: clusters.len(),
            clusters: owned(clusters),
        });
        let mut found: Vec<Warning> = found.collect();
        found.sort_by_key(|warning| (warning.code, std::cmp::Reverse(warning.count)));
        found
    }
}

fn component<'a, 'i>(input: &'i Input<'a>) -> Option<&'i ComponentInput<'a>> {
    match input {
        Input::Component(input) => Some(input),
        Input::Definition(_) => None,
    }
}

/// The DNS names that the cluster `id`, deleted or not, holds in `fleet`, each once, as written.
fn names<'a>(fleet: &'a Fleet, id: &str) -> impl Iterator<Item = &'a str> {
    let cluster = fleet.cluster(id).into_iter().flat_map(Cluster::dns_names);
    let tombstone = fleet.tombstone(id).into_iter().flat_map(|tombstone| {
        std::iter::once(&tombstone.cluster_dns).chain(&tombstone.aliases).map(String::as_str)
    });
    let mut seen = BTreeSet::new();
    cluster.chain(tombstone).filter(move |dns| seen.insert(DnsName::new(dns)))
}

/// What the definition of an input says of its removal.
fn on_remove(fleet: &Fleet, row: &Row<'_>) -> Option<OnRemove> {
    if row.kind == PLATFORM_COMPONENTS {
        return fleet.component(row.id)?.on_remove;
    }
    fleet.definition(row.kind, row.id)?.on_remove
}

/// What Flux is told to install: a chart's version, or the tag of an artifact.
fn installed_version<'a>(input: &ComponentInput<'a>) -> &'a str {
    match (input.source.oci_tag, input.delivery) {
        (LATEST, Delivery::Helm) => input.component_version,
        (tag, _) => tag,
    }
}

/// Where a Kustomization finds its overlays.
fn folder(input: &ComponentInput<'_>) -> String {
    let environment = Some(input.cluster.environment).filter(|_| input.cluster_env_enabled);
    environment.map_or_else(|| input.component_path.into(), |end| format!("{}/{end}", input.component_path))
}

fn has_namespace(fleet: &Fleet, cluster: &Cluster, id: &str) -> bool {
    let kind = fleet.resource_type(NAMESPACES);
    kind.is_some_and(|kind| fleet.sources(cluster, kind, |one| one == id).next().is_some())
}

/// What a layer takes out, by the plural of its type and its id.
fn excluded(layer: &Layer) -> Vec<(&str, &str)> {
    let mut out: Vec<_> =
        layer.targets().filter(|(plural, id)| layer.excludes(plural, id) == Some(true)).collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// What `cluster` gets of the components `ids` and cannot be judged.
fn unjudged<'a>(fleet: &'a Fleet, cluster: &'a Cluster, ids: &[&str]) -> Vec<String> {
    let Some(kind) = fleet.resource_type(PLATFORM_COMPONENTS) else { return Vec::new() };
    let enabled: BTreeMap<&str, &str> = fleet
        .inputs(cluster, kind)
        .filter_map(|input| {
            component(&input).filter(|input| input.enabled).map(|input| (input.id, version_of(input)))
        })
        .collect();
    let own = ids.iter().filter(|id| enabled.contains_key(*id)).filter_map(|id| fleet.component(id));
    own.flat_map(|catalog| crate::requirement::unjudged(cluster, catalog, |id| enabled.get(id).copied()))
        .collect()
}

/// The enabled components of `cluster` that are put into the namespace `id`.
fn components_in<'a>(fleet: &'a Fleet, cluster: &'a Cluster, id: &str) -> Vec<&'a str> {
    let kind = fleet.resource_type(PLATFORM_COMPONENTS);
    let inputs = kind.into_iter().flat_map(|kind| fleet.inputs(cluster, kind));
    let inside = inputs.filter(|input| {
        component(input).is_some_and(|input| input.enabled && target_namespace(input) == Some(id))
    });
    inside.map(|input| input.id()).collect()
}
