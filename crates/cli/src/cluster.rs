//! `cluster`: the clusters of the fleet.

use clap::{Args, Subcommand};

use crate::client::Client;
use crate::document::{Document, set};
use crate::error::Error;
use crate::key_value::{KeyValue, merge_into};
use crate::output::Shown;
use crate::resource::{self, Create, Delete, Fields, Get, List, Update};
use crate::types::CLUSTER;

#[derive(Subcommand)]
pub(crate) enum Cluster {
    /// List all clusters
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli cluster list\n  flux-resourceset-cli cluster list --filter environment=prod -o name"
    )]
    List(List),
    /// Show one cluster
    #[command(after_help = "Example:\n  flux-resourceset-cli cluster get demo-cluster-01")]
    Get(Get),
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
    /// Delete a cluster, which uninstalls everything from it
    ///
    /// A tombstone stays: what polls under its DNS name gets an empty answer until `tombstone purge`.
    #[command(after_help = "Example:\n  flux-resourceset-cli cluster delete demo-cluster-02")]
    Delete(Delete),
}

#[derive(Args, Default, PartialEq)]
pub(crate) struct ClusterFields {
    /// Name of the cluster; a new cluster's is its id unless given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// DNS name under which it polls; a cluster keeps it for life
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
        Cluster::List(list) => resource::list(client, &CLUSTER, list),
        Cluster::Get(get) => resource::get(client, &CLUSTER, get),
        Cluster::Create(create) => create_cluster(client, create),
        Cluster::Update(update) => resource::update(client, &CLUSTER, update),
        Cluster::Delete(delete) => resource::delete(client, &CLUSTER, delete),
    }
}

fn create_cluster(client: &Client<'_>, create: &Create<ClusterFields>) -> Result<Shown, Error> {
    let (id, mut document) = create.document(&CLUSTER)?;
    document.entry("cluster_name").or_insert_with(|| id.clone().into());
    Ok(Shown::document(resource::ensure(client, &CLUSTER, &id, &document)?))
}
