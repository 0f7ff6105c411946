//! A cluster: its identity, what it refers to, and where it differs from the catalog.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::component::{Delivery, OnRemove, check_release};
use crate::patch_key::{check_helm_keys, check_substitute_keys};
use crate::violation::Violation;
use crate::{Body, DnsName, PLATFORM_COMPONENTS, Rules, Unreadable};

/// A cluster's values for one component, by patch key.
pub type Patches = BTreeMap<String, String>;

/// A reference to a catalog entry, with what this cluster overrides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ComponentReference {
    /// The component's id.
    pub id: String,
    /// `None`: what the catalog says, else true.
    pub enabled: Option<bool>,
    /// `None`: the catalog's.
    pub oci_tag: Option<String>,
    /// `None`: the catalog's.
    pub component_path: Option<String>,
    /// `None`: the catalog's.
    pub on_remove: Option<OnRemove>,
    /// Merged into the catalog's, key by key at every depth.
    #[serde(default)]
    pub release: Body,
}

/// A reference to a definition of any other type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reference {
    /// The definition's id.
    pub id: String,
    /// `None`: the definition's.
    pub on_remove: Option<OnRemove>,
    /// What stands for the definition's properties here, each whole.
    #[serde(flatten)]
    pub overrides: Body,
}

/// A cluster as the merge reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// DNS-1123 label; immutable. Left out of a create, it is the `cluster_name`.
    pub id: String,
    /// DNS-1123 label.
    pub cluster_name: String,
    /// As written; compared through [`crate::DnsName`].
    pub cluster_dns: String,
    /// Former DNS names under which it still polls, as written.
    pub aliases: Vec<String>,
    /// One of [`Rules::environments`].
    pub environment: String,
    /// Kubernetes labels; `environment` and `id` are never among them.
    pub labels: BTreeMap<String, String>,
    /// In the order in which they are answered.
    pub platform_components: Vec<ComponentReference>,
    /// By the type's plural, in the order in which they are answered.
    pub references: BTreeMap<String, Vec<Reference>>,
    /// By component id.
    pub patches: BTreeMap<String, Patches>,
}

#[derive(Deserialize)]
struct Identity {
    id: String,
    cluster_name: String,
    cluster_dns: String,
    #[serde(default)]
    aliases: Vec<String>,
    environment: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    platform_components: Vec<ComponentReference>,
    #[serde(default)]
    patches: BTreeMap<String, Patches>,
}

impl Cluster {
    /// `types` are the plurals of the types that it may refer to.
    pub(crate) fn parse(mut body: Body, types: &[String]) -> Result<Self, Unreadable> {
        let mut references = BTreeMap::new();
        for plural in types {
            if let Some(list) = body.remove(plural) {
                references.insert(plural.clone(), read(list)?);
            }
        }
        let written: Identity = read(body.into())?;
        Ok(Cluster {
            id: written.id,
            cluster_name: written.cluster_name,
            cluster_dns: written.cluster_dns,
            aliases: written.aliases,
            environment: written.environment,
            labels: written.labels,
            platform_components: written.platform_components,
            references,
            patches: written.patches,
        })
    }

    /// What selectors compare: a label, `environment` or `id`.
    pub fn label(&self, key: &str) -> Option<&str> {
        match key {
            "environment" => Some(&self.environment),
            "id" => Some(&self.id),
            _ => self.labels.get(key).map(String::as_str),
        }
    }

    /// Every DNS name under which it polls, as written.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.cluster_dns.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// What JSON Schema cannot say of a cluster by itself.
    pub(crate) fn check(&self, rules: &Rules) -> Vec<Violation> {
        let mut found = Vec::new();
        if !rules.environments.contains(&self.environment) {
            let allowed = rules.environments.join(", ");
            let message =
                format!("`{}` is not one of this fleet's environments: {allowed}", self.environment);
            found.push(Violation::new("/environment", "environment", message));
        }
        let mut names = BTreeSet::from([DnsName::new(&self.cluster_dns)]);
        for (at, alias) in self.aliases.iter().enumerate() {
            if !names.insert(DnsName::new(alias)) {
                let message = format!("`{alias}` is a DNS name of this cluster already");
                found.push(Violation::new(format!("/aliases/{at}"), "repeated", message));
            }
        }
        let components = self.platform_components.iter().map(|reference| reference.id.as_str());
        found.extend(repeated(PLATFORM_COMPONENTS, components));
        for (plural, references) in &self.references {
            found.extend(repeated(plural, references.iter().map(|reference| reference.id.as_str())));
        }
        found
    }

    /// What is wrong with this cluster's release and patches for the component `id`, which is delivered by `delivery`.
    pub fn check_delivery(&self, id: &str, delivery: Delivery) -> Vec<Violation> {
        let mut found = Vec::new();
        let references = self.platform_components.iter().enumerate();
        for (at, reference) in references.filter(|(_, reference)| reference.id == id) {
            let pointer = format!("/{PLATFORM_COMPONENTS}/{at}/release");
            found.extend(check_release(&reference.release, delivery, &pointer));
        }
        if let Some(patches) = self.patches.get(id) {
            let pointer = format!("/patches/{id}");
            found.extend(match delivery {
                Delivery::Helm => check_helm_keys(patches.keys().map(String::as_str), &pointer),
                Delivery::Kustomize => check_substitute_keys(patches.keys().map(String::as_str), &pointer),
            });
        }
        found
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Unreadable> {
    serde_json::from_value(value).map_err(|error| Unreadable(error.to_string()))
}

fn repeated<'a>(plural: &str, ids: impl Iterator<Item = &'a str>) -> Vec<Violation> {
    let mut first = BTreeMap::new();
    let mut found = Vec::new();
    for (at, id) in ids.enumerate() {
        if let Some(earlier) = first.get(id) {
            let message = format!("`{id}` is already listed at /{plural}/{earlier}");
            found.push(Violation::new(format!("/{plural}/{at}/id"), "repeated", message));
        } else {
            first.insert(id, at);
        }
    }
    found
}
