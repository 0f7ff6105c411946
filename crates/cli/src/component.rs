//! `component`: the catalog of platform components, which clusters have them, and their patches.

use clap::{Args, Subcommand};

use crate::client::Client;
use crate::document::{self, Document, FileDocument, edit_object, set};
use crate::error::Error;
use crate::key_value::{KeyValue, merge_into};
use crate::output::Shown;
use crate::patches::{self, PatchKeys};
use crate::reference::{self, Assign, CreateDefinition, OnRemove, UnassignComponent};
use crate::remarks::{Reference, Remarks};
use crate::resource::{self, DeleteDefinition, Fields, Get, List, Update};
use crate::target::Target;
use crate::types::COMPONENT;
use crate::writer::Writer;
use crate::writing::Writing;

#[derive(Subcommand)]
pub(crate) enum Component {
    /// List the catalog
    #[command(after_help = "Example:\n  flux-resourceset-cli component list")]
    List(List),
    /// Show one catalog component
    #[command(after_help = "Example:\n  flux-resourceset-cli component get cert-manager")]
    Get(Get),
    /// Create a catalog component, then attach it to a cluster or a profile
    ///
    /// Run again, it finds what it made and succeeds. A component that exists with other values than
    /// the ones given is an error.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli component create cert-manager --component-path core/cert-manager/1.14.0 --component-version 1.14.0 --oci-url oci://registry.example/platform-components --oci-tag v1.0.0 --delivery kustomize --cluster demo-cluster-01\n  flux-resourceset-cli component create grafana --component-path grafana --oci-url oci://registry.example/charts --requires 'cert-manager=>=1.12 <2' --kubernetes '>=1.28' --profile edge"
    )]
    Create(CreateDefinition<ComponentFields>),
    /// Change a catalog component, for every cluster that has it
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli component update cert-manager --component-version 1.15.0 --values-file values.yaml\n  flux-resourceset-cli component update cert-manager --oci-tag v1.0.0-1 --plan\n  flux-resourceset-cli component update cert-manager --oci-tag v1.0.0-1 --whatif demo-cluster-01\n  flux-resourceset-cli component update grafana --requires 'cert-manager=>=1.14' --unset kubernetes"
    )]
    Update(Update<ComponentFields>),
    /// Delete a catalog component
    #[command(after_help = "Example:\n  flux-resourceset-cli component delete cert-manager")]
    Delete(DeleteDefinition),
    /// Attach a component to clusters or a profile, or change what they override of it
    ///
    /// What is not named stays as it is, and what is not overridden is what profiles, or else the catalog,
    /// say. Helm values given here are merged over theirs. --exclude takes out what profiles give.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli component assign cert-manager --cluster demo-cluster-01\n  flux-resourceset-cli component assign cert-manager --cluster demo-cluster-01 --oci-tag v1.0.0-1\n  flux-resourceset-cli component assign cert-manager --cluster demo-cluster-01 --suspend true\n  flux-resourceset-cli component assign cert-manager --cluster demo-cluster-01 --oci-tag v1.0.0-1 --note 'bug 4711' --expires 2027-01-31\n  flux-resourceset-cli component assign cert-manager --cluster demo-cluster-01 --exclude\n  flux-resourceset-cli component assign cert-manager --profile edge --oci-tag v1.0.0-1 --plan\n  flux-resourceset-cli component assign cert-manager --select 'environment=prod,region in (eu,us)' --oci-tag v1.0.0-1 --plan"
    )]
    Assign(Assign<ComponentReference>),
    /// Detach a component from clusters or a profile, which uninstalls it there
    ///
    /// What a profile gives a cluster is not detached from the cluster but excluded (`component assign
    /// --exclude`); to detach what is excluded gives it back. The cluster's patches of it stay, for the day it is attached again, unless --with-patches
    /// removes them; as long as they are there, `component delete` needs --force. A component that is
    /// in the catalog but not attached is left so, with success. One that is not in the catalog at
    /// all is an error.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli component unassign cert-manager --cluster demo-cluster-01\n  flux-resourceset-cli component unassign cert-manager --cluster demo-cluster-01 --with-patches\n  flux-resourceset-cli component unassign cert-manager --select region=eu --allow-removals 3"
    )]
    Unassign(UnassignComponent),
    /// Change a component's values on one cluster, in a profile, or on all clusters that a selector matches
    ///
    /// For a component delivered by Helm a key is the path of a value, as for `helm --set`; for one
    /// delivered by Kustomize it is the name of a substitution variable. Values are strings; keys that
    /// are not named stay.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli component patch podinfo --cluster demo-cluster-01 --set replicaCount=3\n  flux-resourceset-cli component patch podinfo --cluster demo-cluster-01 --unset ui.color\n  flux-resourceset-cli component patch podinfo --profile edge --set replicaCount=2\n  flux-resourceset-cli component patch podinfo --cluster demo-cluster-01 --unset-profile replicaCount\n  flux-resourceset-cli component patch podinfo --select tier=1 --set replicaCount=3 --reason 'more load'"
    )]
    Patch(Patch),
}

#[derive(Args)]
pub(crate) struct Patch {
    /// Its id
    id: String,

    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    keys: PatchKeys,

    #[command(flatten)]
    writing: Writing,
}

/// The catalog's fields.
#[derive(Args, Default, PartialEq)]
pub(crate) struct ComponentFields {
    /// Chart name, or path in the artifact
    #[arg(long, value_name = "PATH")]
    component_path: Option<String>,

    /// Upstream version; absent means latest
    #[arg(long, value_name = "VERSION")]
    component_version: Option<String>,

    /// Helm repository or OCI registry
    #[arg(long, value_name = "URL")]
    oci_url: Option<String>,

    /// Tag of the chart or artifact; absent means latest
    #[arg(long, value_name = "TAG")]
    oci_tag: Option<String>,

    /// Whether the cluster's environment is appended to the path
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    cluster_env_enabled: Option<bool>,

    /// Components that must be healthy first (repeatable or comma-separated)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    depends_on: Vec<String>,

    /// Component that must be there too, with a range of versions: cert-manager='>=1.12 <2' (repeatable)
    #[arg(long, value_name = "ID=RANGE")]
    requires: Vec<KeyValue>,

    /// Versions of Kubernetes that it runs on, such as '>=1.28'
    #[arg(long, value_name = "RANGE")]
    kubernetes: Option<String>,

    /// Whether clusters get it unless they say otherwise
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    enabled: Option<bool>,

    /// How it is delivered
    #[arg(long, value_name = "helm|kustomize", value_parser = ["helm", "kustomize"], hide_possible_values = true)]
    delivery: Option<String>,

    #[command(flatten)]
    release: Release,

    #[command(flatten)]
    on_remove: OnRemove,
}

/// How Flux installs it, which the catalog says for all clusters and a reference for one.
#[derive(Args, Default, PartialEq)]
pub(crate) struct Release {
    /// Name of its Helm release; absent means the id
    #[arg(long, value_name = "NAME")]
    release_name: Option<String>,

    /// Namespace it is installed in; absent means the id (Helm) or none (Kustomize)
    #[arg(long, value_name = "NAMESPACE")]
    target_namespace: Option<String>,

    /// Replace the Helm values set here before by those of a JSON or YAML file (`-` is stdin)
    #[arg(long, value_name = "FILE", value_parser = document::read_file)]
    values_file: Option<FileDocument>,

    /// How long Flux waits for it to be healthy, such as 90s or 15m
    #[arg(long, value_name = "DURATION")]
    release_timeout: Option<String>,

    /// Whether Flux leaves it as it is now, neither upgrading nor correcting it
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    suspend: Option<bool>,

    /// What installing and upgrading the chart does with its CRDs
    #[arg(long, value_name = "POLICY", value_parser = ["Create", "CreateReplace", "Skip"])]
    crds: Option<String>,
}

/// What a cluster or profile can go back to the layers below with. A mistyped field would be a silent success.
const OVERRIDES: [&str; 13] = [
    "enabled",
    "oci_tag",
    "component_path",
    "on_remove",
    "release",
    "release.name",
    "release.target_namespace",
    "release.values",
    "release.timeout",
    "release.suspend",
    "release.crds",
    "note",
    "expires",
];

/// What a reference overrides.
#[derive(Args, Default, PartialEq)]
pub(crate) struct ComponentReference {
    /// Whether it is installed there
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    enabled: Option<bool>,

    /// Tag there, before that of profiles and the catalog
    #[arg(long, value_name = "TAG")]
    oci_tag: Option<String>,

    /// Path there, before that of profiles and the catalog
    #[arg(long, value_name = "PATH")]
    component_path: Option<String>,

    /// Go back to the value of this field that profiles or the catalog have (repeatable)
    #[arg(long, value_name = "FIELD", value_parser = OVERRIDES)]
    unset: Vec<String>,

    #[command(flatten)]
    release: Release,

    #[command(flatten)]
    on_remove: OnRemove,

    #[command(flatten)]
    remarks: Remarks,
}

impl Reference for ComponentReference {
    fn remarks(&self) -> &Remarks {
        &self.remarks
    }
}

impl Fields for ComponentFields {
    fn apply(&self, document: &mut Document) {
        set(document, "component_path", self.component_path.as_ref());
        set(document, "component_version", self.component_version.as_ref());
        set(document, "oci_url", self.oci_url.as_ref());
        set(document, "oci_tag", self.oci_tag.as_ref());
        set(document, "cluster_env_enabled", self.cluster_env_enabled.as_ref());
        set(document, "depends_on", Some(&self.depends_on).filter(|ids| !ids.is_empty()));
        merge_into(document, "requires", &self.requires, &[]);
        set(document, "kubernetes", self.kubernetes.as_ref());
        set(document, "enabled", self.enabled.as_ref());
        set(document, "delivery", self.delivery.as_ref());
        self.release.apply(document);
        self.on_remove.apply(document);
    }
}

impl Release {
    /// Sets keys of the release and leaves its others; the values are replaced whole.
    fn apply(&self, document: &mut Document) {
        if *self == Release::default() {
            return;
        }
        edit_object(document, "release", |release| {
            set(release, "name", self.release_name.as_ref());
            set(release, "target_namespace", self.target_namespace.as_ref());
            set(release, "values", self.values_file.as_ref().map(|file| &file.0));
            set(release, "timeout", self.release_timeout.as_ref());
            set(release, "suspend", self.suspend.as_ref());
            set(release, "crds", self.crds.as_ref());
        });
    }
}

impl Fields for ComponentReference {
    fn apply(&self, reference: &mut Document) {
        self.unset.iter().for_each(|field| document::unset(reference, field));
        self.apply_set(reference);
        self.remarks.apply(reference);
    }

    fn merge_patch(&self) -> Document {
        let mut patch = Document::new();
        self.unset.iter().for_each(|field| document::clear(&mut patch, field));
        self.apply_set(&mut patch);
        self.remarks.say(&mut patch);
        patch
    }
}

impl ComponentReference {
    fn apply_set(&self, reference: &mut Document) {
        set(reference, "enabled", self.enabled.as_ref());
        set(reference, "oci_tag", self.oci_tag.as_ref());
        set(reference, "component_path", self.component_path.as_ref());
        self.release.apply(reference);
        self.on_remove.apply(reference);
    }
}

pub(crate) fn run(client: &Client<'_>, command: &Component) -> Result<Shown, Error> {
    match command {
        Component::List(list) => resource::list(client, &COMPONENT, list, None),
        Component::Get(get) => resource::get(client, &COMPONENT, get),
        Component::Create(create) => {
            reference::create(&Writer::new(client, &create.create.writing), &COMPONENT, create)
        }
        Component::Update(update) => {
            resource::update(&Writer::new(client, &update.writing), &COMPONENT, update)
        }
        Component::Delete(delete) => {
            resource::delete_definition(&Writer::new(client, &delete.writing), &COMPONENT, delete)
        }
        Component::Assign(assign) => {
            reference::assign(&Writer::new(client, &assign.writing), &COMPONENT, assign)
        }
        Component::Unassign(command) => {
            let writer = Writer::new(client, &command.unassign.writing);
            reference::unassign_component(&writer, command)
        }
        Component::Patch(patch) => {
            let writer = Writer::new(client, &patch.writing);
            patches::patch(&writer, &patch.target, &patch.id, &patch.keys)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_values_file_replaces_the_values_and_nothing_else_of_the_release() {
        let mut component = json!({"release": {"name": "kept", "values": {"a": 1}}});
        let values = json!({"b": null}).as_object().unwrap().clone();
        let release = Release { values_file: Some(FileDocument(values)), ..Default::default() };
        release.apply(component.as_object_mut().unwrap());
        assert_eq!(component, json!({"release": {"name": "kept", "values": {"b": null}}}));
    }

    #[test]
    fn as_a_merge_patch_what_goes_is_null() {
        let fields = ComponentReference {
            unset: vec!["oci_tag".into(), "release.name".into()],
            release: Release { suspend: Some(true), ..Default::default() },
            ..Default::default()
        };
        assert_eq!(
            serde_json::Value::Object(fields.merge_patch()),
            json!({"oci_tag": null, "release": {"name": null, "suspend": true}})
        );
    }

    #[test]
    fn a_reference_keeps_what_is_not_named() {
        let mut reference =
            json!({"id": "a", "oci_tag": "1", "component_path": "p", "release": {"name": "n"}});
        let fields = ComponentReference {
            enabled: Some(false),
            unset: vec!["component_path".into(), "release.name".into()],
            release: Release { suspend: Some(true), ..Default::default() },
            ..Default::default()
        };
        fields.apply(reference.as_object_mut().unwrap());
        assert_eq!(
            reference,
            json!({"id": "a", "oci_tag": "1", "enabled": false, "release": {"suspend": true}})
        );
    }
}
