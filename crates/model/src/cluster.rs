//! A cluster: its identity, what it refers to, and where it differs from the catalog.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::expiry::Expiry;
use crate::layer::{Layer, read};
use crate::violation::Violation;
use crate::{Body, DnsName, PLATFORM_COMPONENTS, Rules, Unreadable};

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
    /// What it was reported to run, as written; `None` where nobody said.
    pub kubernetes_version: Option<Box<str>>,
    /// What it says itself, over what its profiles say.
    pub layer: Layer,
    /// Until when each of its references stands that is meant to stand for a time only.
    pub expiring: Box<[Expiry]>,
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
    kubernetes_version: Option<Box<str>>,
}

impl Cluster {
    /// `types` are the plurals of the types that it may refer to.
    pub(crate) fn parse(mut body: Body, types: &[String]) -> Result<Self, Unreadable> {
        let expiring = expiring(&body, types);
        let layer = Layer::take(&mut body, types)?;
        let written: Identity = read(body.into())?;
        Ok(Cluster {
            id: written.id,
            cluster_name: written.cluster_name,
            cluster_dns: written.cluster_dns,
            aliases: written.aliases,
            environment: written.environment,
            labels: written.labels,
            kubernetes_version: written.kubernetes_version,
            layer,
            expiring,
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
    pub(crate) fn check(&self, body: &Body, rules: &Rules) -> Vec<Violation> {
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
        found.extend(self.layer.check(body));
        found
    }
}

/// Until when the references in the document `body` stand that say so.
fn expiring(body: &Body, types: &[String]) -> Box<[Expiry]> {
    let plurals = types.iter().map(String::as_str).chain([PLATFORM_COMPONENTS]);
    let references =
        plurals.flat_map(|plural| body.get(plural).and_then(Value::as_array).into_iter().flatten());
    references.filter_map(|reference| Expiry::parse(reference.get("expires")?.as_str()?)).collect()
}
