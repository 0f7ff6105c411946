//! `flux`: what clusters poll, exactly as the API answers them.

use clap::Args;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::Error;
use crate::output::{Section, Shown, Table};
use crate::types::{CLUSTER, Column, DEFINITIONS, INPUT_COLUMNS, ResourceType, definition};

#[derive(Args)]
pub(crate) struct Flux {
    /// Id or DNS name of a cluster; without it, the list of the fleet
    cluster: Option<String>,

    /// One type only, such as platform-components, namespaces or rolebindings
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
}

pub(crate) fn run(client: &Client<'_>, flux: &Flux) -> Result<Shown, Error> {
    match (&flux.cluster, &flux.kind) {
        (None, _) => Ok(answer(CLUSTER.input_columns, client.fleet()?)),
        (Some(cluster), None) => everything(client, &dns(client, cluster)?),
        (Some(cluster), Some(kind)) => one(client, &dns(client, cluster)?, kind),
    }
}

/// The answer for one type, unchanged.
pub(crate) fn one(client: &Client<'_>, dns: &str, kind: &str) -> Result<Shown, Error> {
    let known = definition(kind);
    let path = known.map_or(kind, |kind: &ResourceType| kind.flux_path);
    let columns = known.map_or(INPUT_COLUMNS, |kind| kind.input_columns);
    Ok(answer(columns, client.inputs(dns, path)?))
}

/// The answers for all types, by the types' names.
fn everything(client: &Client<'_>, dns: &str) -> Result<Shown, Error> {
    let mut answers = Map::new();
    let mut sections = Vec::new();
    for kind in DEFINITIONS {
        let answer = client.inputs(dns, kind.flux_path)?;
        sections.push(section(kind.flux_path, kind.input_columns, &answer));
        answers.insert(kind.flux_path.into(), answer);
    }
    Ok(Shown { json: Value::Object(answers), table: Table::Sections(sections) })
}

fn answer(columns: &'static [Column], answer: Value) -> Shown {
    let section = section("inputs", columns, &answer);
    Shown { json: answer, table: Table::Sections(vec![section]) }
}

fn section(title: &str, columns: &'static [Column], answer: &Value) -> Section {
    let rows = answer.get("inputs").and_then(Value::as_array).cloned().unwrap_or_default();
    Section { title: title.into(), columns, rows }
}

/// The DNS name of a cluster that is named by it or by its id. Ids have no dots.
fn dns(client: &Client<'_>, cluster: &str) -> Result<String, Error> {
    if cluster.contains('.') {
        return Ok(cluster.into());
    }
    match client.get(CLUSTER.plural, cluster) {
        // A DNS name of one label, or a deleted cluster's: the API says which it knows.
        Err(missing) if missing.has_status(404) => Ok(cluster.into()),
        found => Ok(found?.body.get("cluster_dns").and_then(Value::as_str).unwrap_or(cluster).into()),
    }
}
