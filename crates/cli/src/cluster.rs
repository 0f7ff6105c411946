//! `cluster`: the clusters of the fleet.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::Client;
use crate::document::{Document, set};
use crate::error::{Error, printable};
use crate::key_value::{KeyValue, merge_into};
use crate::output::Shown;
use crate::plan::Plan;
use crate::plan_text::counted;
use crate::resource::{self, Create, Delete, Fields, Get, List, Update};
use crate::types::{self, CLUSTER};
use crate::writer::{Writer, say};
use crate::{profile, request};

#[derive(Subcommand)]
pub(crate) enum Cluster {
    /// List all clusters
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli cluster list\n  flux-resourceset-cli cluster list --filter environment=prod -o name\n  flux-resourceset-cli cluster list --select 'environment=prod,region in (eu,us)'\n  flux-resourceset-cli cluster list --profile edge"
    )]
    List(ListClusters),
    /// Show one cluster
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli cluster get demo-cluster-01\n  flux-resourceset-cli cluster get demo-cluster-01 --effective\n  flux-resourceset-cli cluster get demo-cluster-01 --revision 12"
    )]
    Get(GetCluster),
    /// List the profiles of a cluster in the order in which they are laid over the catalog: the highest last
    #[command(after_help = "Example:\n  flux-resourceset-cli cluster profiles demo-cluster-01")]
    Profiles {
        /// Its id
        id: String,
    },
    /// Create a cluster
    ///
    /// Run again, it finds what it made and succeeds. A cluster that exists with other values than
    /// the ones given is an error.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli cluster create demo-cluster-02 --dns demo-cluster-02.k8s.example.com --environment dev --label region=eu\n  flux-resourceset-cli cluster create -f cluster.yaml"
    )]
    Create(Create<ClusterFields>),
    /// Change a cluster
    #[command(
        after_help = "Example:\n  flux-resourceset-cli cluster update demo-cluster-02 --environment qa --remove-label region"
    )]
    Update(Update<ClusterUpdate>),
    /// Delete a cluster, which uninstalls everything from it; a protected one (prod) is held first
    ///
    /// A tombstone stays: what polls under its DNS name gets an empty answer until `tombstone purge`.
    /// In a protected environment the tombstone holds the cluster as it is, until
    /// `tombstone wipe` uninstalls everything or `tombstone restore` brings it back.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli cluster delete demo-cluster-02\n  flux-resourceset-cli cluster delete demo-cluster-02 --plan"
    )]
    Delete(Delete),
}

#[derive(Args)]
pub(crate) struct ListClusters {
    #[command(flatten)]
    list: List,

    /// Only those that match this label selector; `environment` and `id` are labels too
    #[arg(long, value_name = "SELECTOR")]
    select: Option<String>,

    /// Only those that this profile selects
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
}

#[derive(Args)]
pub(crate) struct GetCluster {
    #[command(flatten)]
    get: Get,

    /// With its profiles worked in: the document that would get the same without them
    #[arg(long, conflicts_with = "revision")]
    effective: bool,
}

#[derive(Args, Default, PartialEq)]
pub(crate) struct ClusterFields {
    /// Name of the cluster; a new cluster's is its id unless given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// DNS name under which it polls; where it changes, the old one stays as an alias
    #[arg(long, value_name = "DNS")]
    dns: Option<String>,

    /// Tier: dev, qa, uat or prod, unless the API is set up with others
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,

    /// Label of the cluster (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<KeyValue>,

    /// Number of its nodes
    #[arg(long, value_name = "COUNT")]
    node_count: Option<u32>,

    /// Image of its machines
    #[arg(long, value_name = "IMAGE")]
    vm_image: Option<String>,

    /// Its k0s version
    #[arg(long, value_name = "VERSION")]
    k0s_version: Option<String>,

    /// Its Kubernetes version
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<String>,
}

#[derive(Args, Default, PartialEq)]
pub(crate) struct ClusterUpdate {
    #[command(flatten)]
    fields: ClusterFields,

    /// Take this label away (repeatable)
    #[arg(long, value_name = "KEY")]
    remove_label: Vec<String>,
}

impl Fields for ClusterFields {
    fn apply(&self, document: &mut Document) {
        set(document, "cluster_name", self.name.as_ref());
        set(document, "cluster_dns", self.dns.as_ref());
        set(document, "environment", self.environment.as_ref());
        merge_into(document, "labels", &self.label, &[]);
        set(document, "node_count", self.node_count.as_ref());
        set(document, "vm_image", self.vm_image.as_ref());
        set(document, "k0s_version", self.k0s_version.as_ref());
        set(document, "kubernetes_version", self.kubernetes_version.as_ref());
    }
}

impl Fields for ClusterUpdate {
    fn apply(&self, document: &mut Document) {
        merge_into(document, "labels", &[], &self.remove_label);
        self.fields.apply(document);
    }
}

pub(crate) fn run(client: &Client<'_>, command: &Cluster) -> Result<Shown, Error> {
    match command {
        Cluster::List(list) => {
            let profile = list.profile.as_deref().map(|id| ("profile", id));
            resource::list_of(client, &CLUSTER, &list.list, list.select.as_deref(), profile)
        }
        Cluster::Get(get) if get.effective => effective(client, get.get.id()),
        Cluster::Get(get) => resource::get(client, &CLUSTER, &get.get),
        Cluster::Profiles { id } => profile::of_cluster(client, id),
        Cluster::Create(create) => create_cluster(&Writer::new(client, &create.writing), create),
        Cluster::Update(update) => resource::update(&Writer::new(client, &update.writing), &CLUSTER, update),
        Cluster::Delete(delete) => delete_cluster(&Writer::new(client, &delete.writing), &delete.id),
    }
}

/// The document with its profiles worked in; says which these are.
fn effective(client: &Client<'_>, id: &str) -> Result<Shown, Error> {
    let answer = client.send(&request::effective(id))?;
    if let Some(profiles) = answer.profiles {
        let ids = profiles.split(',').map(str::trim).collect::<Vec<_>>().join(", ");
        say(&format!("{} with its profiles, the highest last: {}\n", printable(id), printable(&ids)));
    }
    Ok(Shown::document(answer.body))
}

fn create_cluster(writer: &Writer<'_>, create: &Create<ClusterFields>) -> Result<Shown, Error> {
    let (id, mut document) = create.document(&CLUSTER)?;
    document.entry("cluster_name").or_insert_with(|| id.clone().into());
    Ok(Shown::document(resource::ensure(writer, &CLUSTER, &id, &document)?))
}

/// Says what the cluster loses before it does, and whether it is only held after.
fn delete_cluster(writer: &Writer<'_>, id: &str) -> Result<Shown, Error> {
    let write = request::delete(CLUSTER.plural, id, false);
    if !writer.writing.is_preview() && writer.client.check_plans().is_ok() {
        let lost = lost(&writer.plan(&write)?, id);
        if !lost.is_empty() {
            say(&format!("{} loses {lost}.\n", printable(id)));
        }
    }
    let deleted = writer.send(&write)?;
    let tombstone = writer.client.body(&request::get_tombstone(id)).unwrap_or_default();
    if tombstone.get("held").and_then(Value::as_bool) == Some(true) {
        say(&format!(
            "{id} is held: it keeps what it has. `tombstone wipe {id}` uninstalls it, `tombstone restore {id}` \
             brings the cluster back.\n",
            id = printable(id)
        ));
    }
    Ok(Shown::document(deleted))
}

/// How many inputs of each type the cluster will lose.
fn lost(plan: &Plan, id: &str) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for effect in plan.effects_on(id).filter(|e| e.effect == "remove" && e.kind != CLUSTER.plural) {
        *counts.entry(&effect.kind).or_default() += 1;
    }
    let name = |kind: &str| types::definition(kind).map_or_else(|| printable(kind), |k| k.singular.into());
    counts.into_iter().map(|(kind, count)| counted(count, &name(kind))).collect::<Vec<_>>().join(", ")
}
