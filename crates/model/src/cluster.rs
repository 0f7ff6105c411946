//! A cluster: its identity, what it refers to, and where it differs from the catalog.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use litemap::LiteMap;

use crate::expiry::Expiry;
use crate::fields::{Fields, Kept};
use crate::layer::Layer;
use crate::violation::Violation;
use crate::{Body, DnsName, PLATFORM_COMPONENTS, Rules, Unreadable};

/// A cluster as the merge reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// DNS-1123 label; immutable. Left out of a create, it is the `cluster_name`.
    pub id: Arc<str>,
    /// DNS-1123 label.
    pub cluster_name: Arc<str>,
    /// As written; compared through [`crate::DnsName`].
    pub cluster_dns: Arc<str>,
    /// Former DNS names under which it still polls, as written.
    pub aliases: Box<[Box<str>]>,
    /// One of [`Rules::environments`].
    pub environment: Arc<str>,
    /// Kubernetes labels; `environment` and `id` are never among them.
    pub labels: LiteMap<Arc<str>, Arc<str>>,
    /// What it was reported to run, as written; `None` where nobody said.
    pub kubernetes_version: Option<Box<str>>,
    /// What it says itself, over what its profiles say.
    pub layer: Layer,
    /// Until when each of its references stands that is meant to stand for a time only.
    pub expiring: Box<[Expiry]>,
}

impl Cluster {
    /// `types` are the plurals of the types that it may refer to; what stays as it is `kept` from what it was.
    pub(crate) fn read(
        fields: &Fields<'_>,
        types: &[String],
        kept: Kept<'_, Cluster>,
    ) -> Result<Self, Unreadable> {
        let text = |name| fields.required::<Box<str>>(name).map(Arc::from);
        let labels: BTreeMap<Box<str>, Box<str>> = fields.or_default("labels")?;
        let id = text("id")?;
        let name: Box<str> = fields.required("cluster_name")?;
        Ok(Cluster {
            cluster_name: if *name == *id { Arc::clone(&id) } else { name.into() },
            id,
            cluster_dns: text("cluster_dns")?,
            aliases: fields.or_default("aliases")?,
            environment: text("environment")?,
            labels: LiteMap::from_sorted_store_unchecked(
                labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            ),
            kubernetes_version: fields.optional::<Option<_>>("kubernetes_version")?.flatten(),
            layer: Layer::read(fields, types, kept.map(|known| &known.layer))?,
            expiring: expiring(fields, types)?,
        })
    }

    /// What selectors compare: a label, `environment` or `id`.
    pub fn label(&self, key: &str) -> Option<&str> {
        match key {
            "environment" => Some(&self.environment),
            "id" => Some(&self.id),
            _ => self.labels.get(key).map(|value| &**value),
        }
    }

    /// Every DNS name under which it polls, as written.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.cluster_dns).chain(self.aliases.iter().map(|alias| &**alias))
    }

    /// What JSON Schema cannot say of a cluster by itself.
    pub(crate) fn check(&self, body: &Body, rules: &Rules) -> Vec<Violation> {
        let mut found = Vec::new();
        if !rules.environments.iter().any(|one| **one == *self.environment) {
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

/// Until when the references in the document stand that say so.
fn expiring(fields: &Fields<'_>, types: &[String]) -> Result<Box<[Expiry]>, Unreadable> {
    let mut found = Vec::new();
    for plural in types.iter().map(String::as_str).chain([PLATFORM_COMPONENTS]) {
        // Hardly any does.
        if fields.text(plural).is_some_and(|list| list.contains("expires")) {
            let references: Vec<Body> = fields.or_default(plural)?;
            let expiries = references.iter().filter_map(|one| Expiry::parse(one.get("expires")?.as_str()?));
            found.extend(expiries);
        }
    }
    Ok(found.into())
}
