//! `profile`: the layers between the catalog and the clusters that each selects. What a profile refers to and
//! patches is written as that of clusters is, with `--profile` instead of `--cluster`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Client;
use crate::document::{self, Document, set};
use crate::error::Error;
use crate::output::{Section, Shown};
use crate::request;
use crate::resource::{self, Create, Delete, Fields, Get, List, Update};
use crate::types::{CLUSTER, PROFILE};
use crate::writer::Writer;

#[derive(Subcommand)]
pub(crate) enum Profile {
    /// List the profiles, in the order in which they are laid over each other: the highest last
    #[command(after_help = "Example:\n  flux-resourceset-cli profile list")]
    List(List),
    /// Show one profile
    #[command(after_help = "Example:\n  flux-resourceset-cli profile get edge")]
    Get(Get),
    /// Create a profile: whatever it refers to and patches, all clusters that it selects get
    ///
    /// Run again, it finds what it made and succeeds. A profile that exists with other values than the
    /// ones given is an error.
    ///
    /// What it gives stands in the file, or is added with `component assign ID --profile PROFILE`,
    /// `component patch ID --profile PROFILE --set KEY=VALUE` and `namespace assign ID --profile PROFILE`.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli profile create edge --selector 'environment=prod,region in (eu,us)' --priority 10\n  flux-resourceset-cli profile create -f edge.yaml --plan\n\nAn edge.yaml, with what a cluster can carry:\n  id: edge\n  selector: region=edge\n  priority: 10\n  platform_components:\n  - id: podinfo\n    oci_tag: 6.9.2\n  - id: traefik\n    exclude: true\n  namespaces: [{id: podinfo}]\n  patches:\n    podinfo: {replicaCount: \"1\"}"
    )]
    Create(Create<ProfileFields>),
    /// Change a profile, for every cluster that it selects
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli profile update edge --priority 20 --plan\n  flux-resourceset-cli profile update edge -f edge.yaml\n  flux-resourceset-cli profile update edge --unset unset_patches.podinfo"
    )]
    Update(Update<ProfileFields>),
    /// Delete a profile: its clusters lose what only it gives
    #[command(after_help = "Example:\n  flux-resourceset-cli profile delete edge --plan")]
    Delete(Delete),
    /// List the clusters that a profile selects
    #[command(after_help = "Example:\n  flux-resourceset-cli profile clusters edge -o name")]
    Clusters {
        /// Its id
        id: String,
    },
}

#[derive(Args, Default, PartialEq)]
pub(crate) struct ProfileFields {
    /// Label selector of its clusters; `environment` and `id` are labels too, and '' is all of them
    #[arg(long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// Of two profiles of a cluster the one of higher priority goes over the other; absent means 0
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i64>,

    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl Fields for ProfileFields {
    fn apply(&self, document: &mut Document) {
        set(document, "selector", self.selector.as_ref());
        set(document, "priority", self.priority.as_ref());
        set(document, "description", self.description.as_ref());
    }
}

pub(crate) fn run(client: &Client<'_>, command: &Profile) -> Result<Shown, Error> {
    match command {
        Profile::List(list) => {
            let profiles = client.list(PROFILE.plural, &list.filter, None)?;
            Ok(Shown::sections(Value::Array(profiles.clone()), vec![section(profiles)]))
        }
        Profile::Get(get) => resource::get(client, &PROFILE, get),
        Profile::Create(create) => {
            let (id, wanted) = create.document(&PROFILE)?;
            let writer = Writer::new(client, &create.writing);
            Ok(Shown::document(resource::ensure(&writer, &PROFILE, &id, &wanted)?))
        }
        Profile::Update(update) => resource::update(&Writer::new(client, &update.writing), &PROFILE, update),
        Profile::Delete(delete) => {
            let request = request::delete(PROFILE.plural, &delete.id, false);
            Ok(Shown::document(Writer::new(client, &delete.writing).send(&request)?))
        }
        Profile::Clusters { id } => {
            let request = request::list(CLUSTER.plural, &[], None).with("profile", id);
            Ok(Shown::list(CLUSTER.columns, client.array(&request)?))
        }
    }
}

/// The profiles of one cluster.
pub(crate) fn of_cluster(client: &Client<'_>, cluster: &str) -> Result<Shown, Error> {
    let request = request::list(PROFILE.plural, &[], None).with("cluster", cluster);
    let mut profiles = client.array(&request)?;
    // For programs too: the order is what is asked for.
    sort(&mut profiles);
    Ok(Shown::sections(Value::Array(profiles.clone()), vec![section(profiles)]))
}

/// Profiles for people, in the order in which they are laid.
fn section(mut profiles: Vec<Value>) -> Section {
    sort(&mut profiles);
    let rows = profiles.iter().map(row).collect();
    Section { title: String::new(), columns: PROFILE.columns, rows }
}

/// The order in which profiles are laid over each other: the lowest first.
pub(crate) fn sort(profiles: &mut [Value]) {
    profiles.sort_by_key(|profile| (priority(profile), document::id(profile).unwrap_or_default().to_owned()));
}

fn priority(profile: &Value) -> i64 {
    profile.get("priority").and_then(Value::as_i64).unwrap_or_default()
}

/// A profile in the words of a line: how much it says, not what.
fn row(profile: &Value) -> Value {
    let fields = || profile.as_object().into_iter().flatten();
    let references: usize = fields().filter_map(|(_, value)| Some(value.as_array()?.len())).sum();
    let patches = profile.get("patches").and_then(Value::as_object).into_iter().flatten();
    let patches: usize = patches.filter_map(|(_, keys)| Some(keys.as_object()?.len())).sum();
    let selector = match profile.get("selector").and_then(Value::as_str).unwrap_or_default() {
        "" => "(all clusters)",
        selector => selector,
    };
    json!({
        "id": profile.get("id"),
        "priority": priority(profile),
        "selector": selector,
        "references": references,
        "patches": patches,
        "description": profile.get("description"),
    })
}
