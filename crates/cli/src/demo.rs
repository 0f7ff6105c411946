//! `demo`: the demo's workflows in one command each; other spellings of what the groups do.

use clap::{Args, Subcommand};

use crate::client::Client;
use crate::error::Error;
use crate::flux;
use crate::key_value::KeyValue;
use crate::namespace::NamespaceFields;
use crate::output::Shown;
use crate::patches::{self, PatchKeys};
use crate::reference::{self, CreateDefinition, OnRemove};
use crate::request::AsOf;
use crate::target::Target;
use crate::types::NAMESPACE;
use crate::writer::Writer;
use crate::writing::Writing;

#[derive(Subcommand)]
pub(crate) enum Demo {
    /// Add a namespace to a cluster
    #[command(
        after_help = "Example:\n  flux-resourceset-cli demo add-namespace demo-cluster-01 demo-runtime --label team=platform --annotation owner=you"
    )]
    AddNamespace(AddNamespace),
    /// Patch one component of a cluster
    #[command(
        after_help = "Example:\n  flux-resourceset-cli demo patch-component demo-cluster-01 podinfo --set replicaCount=3 --set ui.message=\"Hello\" --set ui.color=\"#3b82f6\""
    )]
    PatchComponent(PatchComponent),
    /// Show the namespaces that a cluster polls
    #[command(
        after_help = "Example:\n  flux-resourceset-cli demo flux-namespaces demo-cluster-01.k8s.example.com"
    )]
    FluxNamespaces {
        /// DNS name or id of the cluster
        cluster_dns: String,
    },
}

#[derive(Args)]
pub(crate) struct AddNamespace {
    /// Id of the cluster
    cluster_id: String,

    /// Id of the namespace
    namespace: String,

    /// Label of the namespace (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<KeyValue>,

    /// Annotation of the namespace (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<KeyValue>,

    #[command(flatten)]
    writing: Writing,
}

#[derive(Args)]
pub(crate) struct PatchComponent {
    /// Id of the cluster
    cluster_id: String,

    /// Id of the component
    component_id: String,

    #[command(flatten)]
    keys: PatchKeys,

    #[command(flatten)]
    writing: Writing,
}

pub(crate) fn run(client: &Client<'_>, command: &Demo) -> Result<Shown, Error> {
    match command {
        Demo::AddNamespace(add) => add_namespace(client, add),
        Demo::PatchComponent(patch) => {
            let writer = Writer::new(client, &patch.writing);
            patches::patch(&writer, &Target::one(&patch.cluster_id), &patch.component_id, &patch.keys)
        }
        Demo::FluxNamespaces { cluster_dns } => {
            flux::one(client, cluster_dns, NAMESPACE.flux_path, &AsOf::default())
        }
    }
}

fn add_namespace(client: &Client<'_>, add: &AddNamespace) -> Result<Shown, Error> {
    let fields = NamespaceFields {
        label: add.label.clone(),
        annotation: add.annotation.clone(),
        on_remove: OnRemove::default(),
    };
    let writer = Writer::new(client, &add.writing);
    reference::create(&writer, &NAMESPACE, &CreateDefinition::new(&add.namespace, fields, &add.cluster_id))
}
