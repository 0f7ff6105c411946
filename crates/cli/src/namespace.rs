//! `namespace`: definitions of namespaces, and which clusters have them.

use clap::{Args, Subcommand};

use crate::client::Client;
use crate::document::Document;
use crate::error::Error;
use crate::key_value::{KeyValue, merge_into};
use crate::output::Shown;
use crate::reference::{self, Assign, CreateDefinition, OnRemove, ReferenceFields, Unassign};
use crate::resource::{self, DeleteDefinition, Fields, Get, List, Update};
use crate::types::NAMESPACE;
use crate::writer::Writer;

#[derive(Subcommand)]
pub(crate) enum Namespace {
    /// List all namespace definitions
    #[command(after_help = "Example:\n  flux-resourceset-cli namespace list")]
    List(List),
    /// Show one namespace definition
    #[command(after_help = "Example:\n  flux-resourceset-cli namespace get cert-manager")]
    Get(Get),
    /// Create a namespace definition, then attach it to a cluster or a profile
    ///
    /// Run again, it finds what it made and succeeds. A definition that exists with other labels or
    /// annotations than the ones given is an error.
    #[command(
        after_help = "Example:\n  flux-resourceset-cli namespace create team-sandbox --cluster demo-cluster-01 --label team=sandbox --annotation owner=platform"
    )]
    Create(CreateDefinition<NamespaceFields>),
    /// Change a namespace definition, for every cluster that has it
    #[command(
        after_help = "Example:\n  flux-resourceset-cli namespace update team-sandbox --label team=platform --remove-annotation owner"
    )]
    Update(Update<NamespaceUpdate>),
    /// Delete a namespace definition
    #[command(after_help = "Example:\n  flux-resourceset-cli namespace delete team-sandbox")]
    Delete(DeleteDefinition),
    /// Attach a namespace to a cluster, to a profile, or to all clusters that a selector matches
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli namespace assign team-sandbox --cluster demo-cluster-01\n  flux-resourceset-cli namespace assign team-sandbox --profile edge\n  flux-resourceset-cli namespace assign team-sandbox --cluster demo-cluster-01 --exclude --note 'until the audit' --expires 2027-01-31\n  flux-resourceset-cli namespace assign team-sandbox --select 'environment=prod,region in (eu,us)' --plan"
    )]
    Assign(Assign<ReferenceFields>),
    /// Detach a namespace from a cluster, from a profile, or from all clusters that a selector matches
    ///
    /// A namespace that is defined but not attached is left so, with success. One that is not
    /// defined at all is an error.
    #[command(
        after_help = "Example:\n  flux-resourceset-cli namespace unassign team-sandbox --cluster demo-cluster-01"
    )]
    Unassign(Unassign),
}

#[derive(Args, Default, PartialEq)]
pub(crate) struct NamespaceFields {
    /// Label of the namespace (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<KeyValue>,

    /// Annotation of the namespace (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) annotation: Vec<KeyValue>,

    #[command(flatten)]
    pub(crate) on_remove: OnRemove,
}

#[derive(Args, Default, PartialEq)]
pub(crate) struct NamespaceUpdate {
    #[command(flatten)]
    fields: NamespaceFields,

    /// Take this label away (repeatable)
    #[arg(long, value_name = "KEY")]
    remove_label: Vec<String>,

    /// Take this annotation away (repeatable)
    #[arg(long, value_name = "KEY")]
    remove_annotation: Vec<String>,
}

impl Fields for NamespaceFields {
    fn apply(&self, document: &mut Document) {
        merge_into(document, "labels", &self.label, &[]);
        merge_into(document, "annotations", &self.annotation, &[]);
        self.on_remove.apply(document);
    }
}

impl Fields for NamespaceUpdate {
    fn apply(&self, document: &mut Document) {
        merge_into(document, "labels", &[], &self.remove_label);
        merge_into(document, "annotations", &[], &self.remove_annotation);
        self.fields.apply(document);
    }
}

pub(crate) fn run(client: &Client<'_>, command: &Namespace) -> Result<Shown, Error> {
    match command {
        Namespace::List(list) => resource::list(client, &NAMESPACE, list, None),
        Namespace::Get(get) => resource::get(client, &NAMESPACE, get),
        Namespace::Create(create) => {
            reference::create(&Writer::new(client, &create.create.writing), &NAMESPACE, create)
        }
        Namespace::Update(update) => {
            resource::update(&Writer::new(client, &update.writing), &NAMESPACE, update)
        }
        Namespace::Delete(delete) => {
            resource::delete_definition(&Writer::new(client, &delete.writing), &NAMESPACE, delete)
        }
        Namespace::Assign(assign) => {
            reference::assign(&Writer::new(client, &assign.writing), &NAMESPACE, assign)
        }
        Namespace::Unassign(unassign) => {
            reference::unassign(&Writer::new(client, &unassign.writing), &NAMESPACE, unassign)
        }
    }
}
