//! `resource_type`: the types that the fleet registered, and the manifests that each begins with.

use clap::{Args, Subcommand};
use flux_resourceset_model::{RESOURCE_TYPES, Resource, TypeDefinition, Types};
use serde_json::{Value, json};

use crate::client::Client;
use crate::document::{self, Document, FileDocument};
use crate::error::{Error, printable};
use crate::manifests::{self, Polling};
use crate::output::{Format, Shown};
use crate::request;
use crate::resource::{self, Create, Fields, Get, List};
use crate::types::RESOURCE_TYPE;
use crate::writer::Writer;
use crate::writing::Writing;

#[derive(Subcommand)]
pub(crate) enum ResourceTypes {
    /// List the resource types that the fleet registered
    #[command(after_help = "Example:\n  flux-resourceset-cli resource_type list")]
    List(List),
    /// Show one resource type, with its schema
    #[command(after_help = "Example:\n  flux-resourceset-cli resource_type get network_policies -o yaml")]
    Get(Get),
    /// Register a resource type: from then on the API and this program have it as they have namespaces
    ///
    /// The file is a resource definition: kind, apiVersion, schema (JSON Schema of its documents), and
    /// if wanted plural, flux_path, overridable (what a cluster's reference may override), description.
    #[command(
        after_help = "Example:\n  flux-resourceset-cli resource_type create -f network_policy.yaml --reason 'team network asked for it'"
    )]
    Create(Create<NoFields>),
    /// Change a resource type; documents and references that would break are listed, and nothing changes
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli resource_type update -f network_policy.yaml --plan\n  flux-resourceset-cli resource_type update network_policies --unset overridable"
    )]
    Update(UpdateType),
    /// Delete a resource type of which there are no documents
    #[command(after_help = "Example:\n  flux-resourceset-cli resource_type delete network_policies")]
    Delete(DeleteType),
    /// Print the provider and a ResourceSet to begin with, for one resource type
    ///
    /// The ResourceSet renders as it stands: a ConfigMap with every field of the schema, for each input.
    /// Put the Kubernetes object that you want in its place.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli resource_type manifests network_policies > network-policies.yaml\n  flux-resourceset-cli resource_type manifests network_policies --poll-url https://flux-api.example.com --cluster-dns demo-cluster-01.k8s.example.com"
    )]
    Manifests(Manifests),
}

impl ResourceTypes {
    /// Manifests are YAML, with what they say to people, unless JSON or names are asked for.
    pub(crate) fn format(&self, asked: Option<Format>) -> Option<Format> {
        match (self, asked) {
            (ResourceTypes::Manifests(_), None | Some(Format::Yaml)) => Some(Format::Table),
            _ => asked,
        }
    }
}

/// A definition is whole in its file: no flag sets a field.
#[derive(Args, Default, PartialEq)]
pub(crate) struct NoFields {}

impl Fields for NoFields {
    fn apply(&self, _document: &mut Document) {}
}

#[derive(Args)]
pub(crate) struct UpdateType {
    /// Its plural; may stand in the file instead
    id: Option<String>,

    /// Replace each field that this JSON or YAML file carries (`-` is stdin)
    #[arg(short, long, value_name = "FILE", value_parser = document::read_file)]
    #[arg(required_unless_present = "unset")]
    file: Option<FileDocument>,

    /// Take out a field, so that its default holds (repeatable)
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,

    #[command(flatten)]
    writing: Writing,
}

#[derive(Args)]
pub(crate) struct DeleteType {
    /// Its plural
    id: String,

    #[command(flatten)]
    writing: Writing,
}

#[derive(Args)]
pub(crate) struct Manifests {
    /// Its plural
    id: String,

    /// Base URL under which clusters reach the API; http:// makes the provider insecure
    #[arg(long, value_name = "URL", default_value = "${INTERNAL_API_URL}")]
    poll_url: String,

    /// DNS name of the cluster
    #[arg(long, value_name = "NAME", default_value = "${CLUSTER_DNS}")]
    cluster_dns: String,

    /// Secret with the token, in flux-system
    #[arg(long, value_name = "NAME", default_value = "internal-api-token")]
    secret: String,
}

pub(crate) fn run(client: &Client<'_>, command: &ResourceTypes) -> Result<Shown, Error> {
    let kind = &RESOURCE_TYPE;
    match command {
        ResourceTypes::List(list) => resource::list(client, kind, list, None),
        ResourceTypes::Get(get) => resource::get(client, kind, get),
        ResourceTypes::Create(create) => {
            let (id, wanted) = create.document(kind)?;
            let writer = Writer::new(client, &create.writing);
            Ok(Shown::document(resource::ensure(&writer, kind, &id, &wanted)?))
        }
        ResourceTypes::Update(update) => self::update(&Writer::new(client, &update.writing), update),
        ResourceTypes::Delete(delete) => {
            let request = request::delete(kind.plural, &delete.id, false);
            Ok(Shown::document(Writer::new(client, &delete.writing).send(&request)?))
        }
        ResourceTypes::Manifests(manifests) => self::manifests(client, manifests),
    }
}

fn update(writer: &Writer<'_>, update: &UpdateType) -> Result<Shown, Error> {
    let written = update.file.as_ref().map(|file| file.0.clone()).unwrap_or_default();
    let id = resource::id(&RESOURCE_TYPE, update.id.as_deref(), &written)?;
    let updated = resource::modify(writer, &RESOURCE_TYPE, &id, |document| {
        document.extend(written.clone());
        for field in &update.unset {
            document::unset(document, field);
        }
        Ok(())
    });
    updated.map(Shown::document)
}

fn manifests(client: &Client<'_>, manifests: &Manifests) -> Result<Shown, Error> {
    let definition = definition(client.get(RESOURCE_TYPE.plural, &manifests.id)?.body)?;
    let types = Types::built_in().with(&definition).map_err(|problem| unreadable(&problem.to_string()))?;
    let of = types.of(&definition.plural).ok_or_else(|| unreadable("it is no type"))?;
    let Manifests { poll_url: url, cluster_dns, secret, .. } = manifests;
    let polling = Polling { url, cluster_dns, secret };
    let texts = [manifests::provider(of, &polling), manifests::resource_set(of)];
    let text = texts.join("---\n");
    let items: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| {
        Error::Failed(format!("the manifests are no YAML: {}", printable(&error.to_string())))
    })?;
    let names = items.iter().filter_map(|item| item.pointer("/metadata/name")?.as_str().map(String::from));
    let names = names.collect();
    Ok(Shown::text(json!({"apiVersion": "v1", "kind": "List", "items": items}), names, move |_| text.clone()))
}

/// The document of a resource type, read.
pub(crate) fn definition(document: Value) -> Result<TypeDefinition, Error> {
    let Value::Object(body) = document else { return Err(unreadable("it is no object")) };
    let types = Types::built_in();
    match types.of(RESOURCE_TYPES).map(|kind| kind.parse(body)) {
        Some(Ok(Resource::Type(definition))) => Ok(*definition),
        Some(Err(problem)) => Err(unreadable(&problem.to_string())),
        _ => Err(unreadable("this program knows no resource types")),
    }
}

fn unreadable(problem: &str) -> Error {
    Error::Failed(format!("the API's resource type cannot be read: {}", printable(problem)))
}
