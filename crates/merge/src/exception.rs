//! Where clusters say something else than their profiles, and what was meant to stand for a time only.

use std::collections::BTreeSet;

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{
    Cluster, Expiry, PATCHES, PLATFORM_COMPONENTS, PROFILES, Profile, ResourceType, UNSET_PATCHES,
};
use serde::Serialize;
use serde_json::Value;

use crate::difference::push_key;
use crate::explain::{ExplainedField, Origin, Overrode, Subject};
use crate::field::Field;
use crate::fleet::Fleet;
use crate::requirement::LATEST;

/// Something that a cluster says for itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exception {
    /// The cluster, held or not.
    pub cluster: String,
    /// The plural of the input's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The input's id.
    pub input: String,
    /// The keys that lead to the field in the input, as plans write them. `exclude` where the cluster takes
    /// out what a profile refers to, `id` where it has what a profile takes out, or has for a time what no
    /// profile gives.
    pub path: String,
    /// What the cluster says; null where it unsets a patch.
    pub value: Value,
    /// What would be answered if it did not; absent where that is what stands for what nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Overrode>,
    /// Why, as its reference says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Until when it was meant to stand, as its reference says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The document in which it stands.
    #[serde(skip)]
    pub document: Key,
    /// Where in that document.
    #[serde(skip)]
    pub field: Field,
}

impl Exception {
    /// From when on it counts as expired; `None`: it is meant to stay.
    pub fn expiry(&self) -> Option<Expiry> {
        Expiry::parse(self.expires.as_deref()?)
    }
}

impl Fleet {
    /// What the cluster `id`, held or not, says other than its profiles, and what of it was meant to stand for
    /// a time only, by type and input.
    pub fn exceptions(&self, id: &str) -> Vec<Exception> {
        let Some(cluster) = self.subject(id) else { return Vec::new() };
        if self.stack(id).is_none() && cluster.expiring.is_empty() {
            return Vec::new();
        }
        let Some(subject) = Subject::of(self, id) else { return Vec::new() };
        let own = Own { fleet: self, cluster, subject };
        let targets: BTreeSet<(&str, &str)> = cluster.layer.targets().collect();
        targets.into_iter().flat_map(|(plural, target)| own.of_input(plural, target)).collect()
    }
}

struct Own<'a> {
    fleet: &'a Fleet,
    cluster: &'a Cluster,
    subject: Subject<'a>,
}

impl Own<'_> {
    fn of_input(&self, plural: &str, id: &str) -> Vec<Exception> {
        let expires = self.remark(plural, id, "expires").is_some();
        let speaks = |profile: &Profile| profile.layer.targets().any(|one| one == (plural, id));
        let profiled = self.fleet.profiles_of(&self.cluster.id).any(speaks);
        if !profiled && !expires {
            return Vec::new();
        }
        if self.cluster.layer.excludes(plural, id) == Some(true) {
            let given = self.fleet.stack(&self.cluster.id).is_some_and(|stack| stack.gives(plural, id));
            return if given || expires { vec![self.excluded(plural, id)] } else { Vec::new() };
        }
        let Some(kind) = self.fleet.resource_type(plural) else { return Vec::new() };
        let explained = self.subject.inputs(kind, Some(id)).into_iter().flat_map(|input| input.fields);
        let own = explained.filter(|field| field.document == self.subject.key && is_own(field));
        let (itself, others): (Vec<_>, Vec<_>) = own.partition(|field| field.path == "id");
        let others = others.into_iter().filter(|field| expires || differs(kind, field));
        let mut found: Vec<Exception> = others.map(|field| self.said(plural, id, field)).collect();
        found.extend(self.unset(plural, id));
        let stack = self.fleet.stack(&self.cluster.id);
        let given = stack.is_some_and(|stack| stack.gives(plural, id));
        let taken_out = stack.is_some_and(|stack| stack.excluded(plural, id));
        // What expires is counted, and so there is a line of it, whatever else it says.
        if taken_out || (expires && (!given || found.is_empty())) {
            found.extend(itself.into_iter().map(|field| self.said(plural, id, field)));
        }
        found
    }

    fn remark(&self, plural: &str, id: &str, name: &str) -> Option<String> {
        let field = self.place(&[plural, id, name]);
        Some(field.value(&self.subject.key.kind, &self.subject.body)?.as_str()?.to_owned())
    }

    fn place(&self, steps: &[&str]) -> Field {
        steps.iter().fold(self.subject.place.clone(), |field, step| field.below(*step))
    }

    fn exception(&self, plural: &str, id: &str, path: &str, value: Value, field: Field) -> Exception {
        Exception {
            cluster: self.cluster.id.to_string(),
            kind: plural.to_owned(),
            input: id.to_owned(),
            path: path.to_owned(),
            value,
            instead: None,
            note: self.remark(plural, id, "note"),
            expires: self.remark(plural, id, "expires"),
            document: self.subject.key.clone(),
            field,
        }
    }

    fn said(&self, plural: &str, id: &str, field: ExplainedField) -> Exception {
        let ExplainedField { path, value, field, overrode, .. } = field;
        Exception { instead: overrode, ..self.exception(plural, id, &path, value, field) }
    }

    fn excluded(&self, plural: &str, id: &str) -> Exception {
        let field = self.place(&[plural, id, "exclude"]);
        self.exception(plural, id, "exclude", true.into(), field)
    }

    /// The patches of profiles that the cluster does not want.
    fn unset(&self, plural: &str, id: &str) -> Vec<Exception> {
        let keys = self.cluster.layer.unset_patches.get(id).filter(|_| plural == PLATFORM_COMPONENTS);
        let given = self.fleet.stack(&self.cluster.id).and_then(|stack| stack.patches.get(id));
        let unset = keys.into_iter().flatten().filter_map(|key| Some((key, given?.get(key)?)));
        let unset = unset.map(|(key, value)| {
            let says =
                |profile: &&Profile| profile.layer.patches.get(id).is_some_and(|set| set.get(key).is_some());
            let profile = self.fleet.profiles_of(&self.cluster.id).rev().find(says);
            let mut path = PATCHES.to_owned();
            push_key(&mut path, key);
            let field = self.place(&[UNSET_PATCHES, id]);
            let instead = profile.map(|profile| Overrode {
                value: value.into(),
                from: Origin::Profile,
                document: Key::new(PROFILES, &profile.id),
            });
            Exception { instead, ..self.exception(plural, id, &path, Value::Null, field) }
        });
        unset.collect()
    }
}

/// Whether something else would be answered if the cluster did not say the field.
fn differs(kind: &ResourceType, field: &ExplainedField) -> bool {
    let ExplainedField { path, value, overrode, .. } = field;
    if let Some(lower) = overrode {
        return lower.value != *value;
    }
    let own = kind.input_fields().iter().find(|(name, _)| name == path).map(|(_, default)| default);
    match path.as_str() {
        "enabled" => *value != true,
        "on_remove" => *value != "delete",
        "source.oci_tag" => value != LATEST,
        "patches" | "release" => value.as_object().is_none_or(|fields| !fields.is_empty()),
        _ => own != Some(value),
    }
}

/// Whether a person would call it an override: what a cluster is called is none.
fn is_own(field: &ExplainedField) -> bool {
    !field.path.starts_with("cluster.") && field.from != Origin::Default
}
