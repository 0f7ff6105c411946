//! `flux`: what clusters poll, exactly as the API answers them.

use clap::Args;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::document;
use crate::error::Error;
use crate::moment;
use crate::output::{Section, Shown};
use crate::registered;
use crate::request::{self, AsOf};
use crate::types::{CLUSTER, Column, DEFINITIONS, INPUT_COLUMNS};

#[derive(Args)]
pub(crate) struct Flux {
    /// Id or DNS name of a cluster; without it, the list of the fleet
    cluster: Option<String>,

    /// One type only, such as platform-components, namespaces or rolebindings
    #[arg(value_name = "TYPE")]
    kind: Option<String>,

    /// As it was at this revision (needs the write token)
    #[arg(long, value_name = "REVISION", requires = "cluster")]
    revision: Option<u64>,

    /// As it was at this time, such as 2026-05-01T12:00:00Z, or so long ago, such as 2h or 3d
    #[arg(long, value_name = "TIME", requires = "cluster", conflicts_with = "revision")]
    #[arg(value_parser = moment::read)]
    at: Option<String>,
}

pub(crate) fn run(client: &Client<'_>, flux: &Flux) -> Result<Shown, Error> {
    let as_of = AsOf { revision: flux.revision, at: flux.at.clone() };
    match (&flux.cluster, &flux.kind) {
        (None, _) => Ok(answer(CLUSTER.input_columns, client.body(&request::fleet())?)),
        (Some(cluster), None) => everything(client, cluster, &as_of),
        (Some(cluster), Some(kind)) => one(client, cluster, kind, &as_of),
    }
}

/// What a cluster, by id or DNS name, polls under a Flux path now.
pub(crate) fn polled(client: &Client<'_>, cluster: &str, flux_path: &str) -> Result<Value, Error> {
    client.inputs(&dns(client, cluster)?, flux_path, &AsOf::default())
}

/// The answer for one type, unchanged.
pub(crate) fn one(client: &Client<'_>, cluster: &str, kind: &str, as_of: &AsOf) -> Result<Shown, Error> {
    let known = registered::polled(client, kind)?;
    let path = known.map_or(kind, |kind| kind.flux_path);
    let columns = known.map_or(INPUT_COLUMNS, |kind| kind.input_columns);
    let inputs = client.inputs(&dns(client, cluster)?, path, as_of);
    Ok(answer(columns, inputs.map_err(|error| retold(error, cluster, path, as_of))?))
}

/// The answers for all types, by the types' names.
fn everything(client: &Client<'_>, cluster: &str, as_of: &AsOf) -> Result<Shown, Error> {
    let dns = dns(client, cluster)?;
    let mut answers = Map::new();
    let mut sections = Vec::new();
    let registered = registered::learnt(client)?;
    for kind in DEFINITIONS.into_iter().chain(registered.iter().map(|one| &one.kind)) {
        let answer = match client.inputs(&dns, kind.flux_path, as_of) {
            // It may be one that was not there yet.
            Err(error) if !as_of.is_now() && error.code() == Some("unknown_type") => continue,
            answer => answer.map_err(|error| retold(error, cluster, kind.flux_path, as_of))?,
        };
        sections.push(section(kind.flux_path, kind.input_columns, &answer));
        answers.insert(kind.flux_path.into(), answer);
    }
    Ok(Shown::sections(Value::Object(answers), sections))
}

fn answer(columns: &'static [Column], answer: Value) -> Shown {
    let section = section("inputs", columns, &answer);
    Shown::sections(answer, vec![section])
}

fn section(title: &str, columns: &'static [Column], answer: &Value) -> Section {
    let rows = answer.get("inputs").and_then(Value::as_array).cloned().unwrap_or_default();
    Section { title: title.into(), columns, rows }
}

/// A refusal in the words of the command line, which named the cluster as `cluster`.
fn retold(error: Error, cluster: &str, flux_path: &str, as_of: &AsOf) -> Error {
    match error.code() {
        // It may be one that was not there yet.
        Some("unknown_cluster") if !as_of.is_now() => error,
        Some("unknown_cluster") => Error::Failed(format!(
            "no cluster, and no deleted one, has the id or DNS name {cluster}; \
             `cluster list` and `tombstone list` show all"
        )),
        Some("unknown_type") => Error::Failed(format!(
            "clusters poll no type called {flux_path}; name one such as {}, or of `resource_type list`",
            DEFINITIONS.map(|kind| kind.flux_path).join(", ")
        )),
        _ => error,
    }
}

/// The DNS name of a cluster, or of a deleted one, that is named by it or by its id. Ids have no
/// dots.
fn dns(client: &Client<'_>, cluster: &str) -> Result<String, Error> {
    if cluster.contains('.') {
        return Ok(cluster.into());
    }
    let found = match client.get(CLUSTER.plural, cluster) {
        Err(refusal) if refusal.code() == Some("read_only") => {
            return Err(Error::Failed(format!(
                "this server only reads, and knows clusters by their DNS names alone: give that of {cluster}, or ask a \
                 server with API_MODE=crud"
            )));
        }
        Err(missing) if missing.has_status(404) => {
            client.tombstones()?.into_iter().find(|tombstone| document::id(tombstone) == Some(cluster))
        }
        found => Some(found?.body),
    };
    let dns = found.as_ref().and_then(|found| found.get("cluster_dns")?.as_str());
    // A DNS name may have one label only.
    Ok(dns.unwrap_or(cluster).into())
}
