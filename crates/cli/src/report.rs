//! `report`: what somebody should look at from time to time.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::explain::{overridden, text, value};
use crate::output::Shown;
use crate::request::{self, Request};
use crate::types::{self, EXCEPTION_COLUMNS};
use crate::{registered, table};

/// How many the API is asked for at once.
const PAGE: usize = 1000;

#[derive(Subcommand)]
pub(crate) enum Report {
    /// Show where clusters say something else than their profiles, the oldest first (needs the write token)
    ///
    /// And what was meant to stand for a time only: --expired shows what stands longer than that. Nothing
    /// changes by itself because of a date.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli report exceptions\n  flux-resourceset-cli report exceptions --profile edge --type component --input podinfo\n  flux-resourceset-cli report exceptions --expired --select environment=prod -o yaml"
    )]
    Exceptions(Exceptions),
}

#[derive(Args)]
pub(crate) struct Exceptions {
    /// Only those of this cluster
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,

    /// Only those of clusters that this profile selects
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,

    /// Only those of clusters that match this label selector
    #[arg(long, value_name = "SELECTOR")]
    select: Option<String>,

    /// Only those of this type, such as component or namespace
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,

    /// Only those of the input with this id
    #[arg(long, value_name = "ID")]
    input: Option<String>,

    /// Only those that this principal put there
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,

    /// Only those that have expired, or with `=false` only others
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    expired: Option<bool>,

    /// At most so many, the oldest first; absent means all
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

pub(crate) fn run(client: &Client<'_>, command: &Report) -> Result<Shown, Error> {
    match command {
        Report::Exceptions(exceptions) => Ok(shown(all(client, exceptions)?)),
    }
}

/// As many pages as there are, or as the limit takes.
fn all(client: &Client<'_>, exceptions: &Exceptions) -> Result<Vec<Value>, Error> {
    let kind = exceptions.kind.as_deref().map(|kind| registered::plural(client, kind)).transpose()?;
    let limit = exceptions.limit.unwrap_or(usize::MAX);
    let mut found: Vec<Value> = Vec::new();
    while found.len() < limit {
        let wanted = (limit - found.len()).min(PAGE);
        let page = asked(exceptions, kind.as_deref()).with("limit", wanted).with("offset", found.len());
        let (page, total) = client.page(&page)?;
        // A page may be smaller than what was asked for.
        let last = page.is_empty() || total.is_some_and(|total| (found.len() + page.len()) as u64 >= total);
        found.extend(page.into_iter().take(wanted));
        if last {
            break;
        }
    }
    Ok(found)
}

fn asked(exceptions: &Exceptions, kind: Option<&str>) -> Request {
    request::exceptions()
        .with_some("cluster", exceptions.cluster.as_ref())
        .with_some("profile", exceptions.profile.as_ref())
        .with_some("type", kind)
        .with_some("input", exceptions.input.as_ref())
        .with_some("principal", exceptions.principal.as_ref())
        .with_some("expired", exceptions.expired)
        .with_some("label_selector", exceptions.select.as_ref())
}

/// Their names are the clusters that they are on.
fn shown(exceptions: Vec<Value>) -> Shown {
    let clusters: BTreeSet<_> = exceptions.iter().map(|one| text(one, "cluster").to_owned()).collect();
    let rows: Vec<_> = exceptions.iter().map(row).collect();
    let names = clusters.into_iter().collect();
    Shown::text(Value::Array(exceptions), names, move |view| {
        table::rows(EXCEPTION_COLUMNS, &rows, view.paint)
    })
}

/// An exception in the words of a line.
fn row(exception: &Value) -> Value {
    let changed = exception.get("changed").unwrap_or(&Value::Null);
    let kind = text(exception, "type");
    let noun = types::definition(kind).map_or(kind, |kind| kind.singular);
    let expired = exception.get("expired") == Some(&Value::Bool(true));
    let expires = exception.get("expires").and_then(Value::as_str);
    json!({
        "since": since(changed),
        "cluster": exception.get("cluster"),
        "input": format!("{noun} {}", text(exception, "input")),
        "path": exception.get("path"),
        "value": value(exception.get("value").unwrap_or(&Value::Null)),
        "instead": exception.get("instead").filter(|instead| !instead.is_null()).map(overridden),
        "by": changed.get("principal"),
        "expires": expires.map(|date| if expired { format!("{date} (expired)") } else { date.to_owned() }),
        "note": exception.get("note"),
    })
}

/// Since which day it stands; what is older than the history was there when it begins.
fn since(changed: &Value) -> String {
    if let Some(at) = changed.get("at").and_then(Value::as_str) {
        return at.split('T').next().unwrap_or(at).to_owned();
    }
    match changed.get("not_after").and_then(Value::as_u64) {
        Some(revision) => format!("before revision {revision}"),
        None => "before the history".into(),
    }
}
