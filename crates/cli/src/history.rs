//! `history` and `revert`: who changed what, when and why, and how to take it back.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::Client;
use crate::error::{Error, printable};
use crate::output::Shown;
use crate::paint::View;
use crate::types::HISTORY_COLUMNS;
use crate::writer::Writer;
use crate::writing::Writing;
use crate::{change, moment, registered, request, unified};

/// The largest page that the API gives.
const PAGE: usize = 1000;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct History {
    #[command(subcommand)]
    command: Option<HistoryCommand>,

    #[command(flatten)]
    filter: Filter,
}

#[derive(Subcommand)]
pub(crate) enum HistoryCommand {
    /// Show one change: its operations, and each document before and after
    #[command(after_help = "Example:\n  flux-resourceset-cli history show 12")]
    Show {
        /// Revision that it made
        revision: u64,
    },
}

#[derive(Args)]
pub(crate) struct Filter {
    /// Only changes of this type, such as cluster, component or namespace
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,

    /// Only changes of the document with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// Only what changed this cluster, its profiles, or anything that it or they refer to now
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,

    /// Only changes by this principal
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,

    /// Not before this time, such as 2026-05-01T12:00:00Z, or so long ago, such as 2h or 3d
    #[arg(long, value_name = "TIME", value_parser = moment::read)]
    from: Option<String>,

    /// Not after this time
    #[arg(long, value_name = "TIME", value_parser = moment::read)]
    until: Option<String>,

    /// At most so many, the newest first
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
}

#[derive(Args)]
pub(crate) struct Revert {
    /// Revision to take back
    revision: u64,

    /// Leave alone what was changed again since, and list it
    #[arg(long)]
    skip_conflicts: bool,

    #[command(flatten)]
    writing: Writing,
}

pub(crate) fn run(client: &Client<'_>, history: &History) -> Result<Shown, Error> {
    match &history.command {
        None => list(client, &history.filter),
        Some(HistoryCommand::Show { revision }) => show(client, *revision),
    }
}

pub(crate) fn revert(client: &Client<'_>, revert: &Revert) -> Result<Shown, Error> {
    let write = request::revert(revert.revision, revert.skip_conflicts);
    Writer::new(client, &revert.writing).send(&write).map(change::shown)
}

/// As many pages as the limit takes.
fn list(client: &Client<'_>, filter: &Filter) -> Result<Shown, Error> {
    let kind = filter.kind.as_deref().map(|kind| registered::plural(client, kind)).transpose()?;
    let mut entries: Vec<Value> = Vec::new();
    loop {
        let wanted = (filter.limit - entries.len()).min(PAGE);
        if wanted == 0 {
            break;
        }
        let before = entries.last().and_then(|last| last.get("revision")).and_then(Value::as_u64);
        let page = request::history()
            .with_some("type", kind.as_ref())
            .with_some("id", filter.id.as_ref())
            .with_some("cluster", filter.cluster.as_ref())
            .with_some("principal", filter.principal.as_ref())
            .with_some("from", filter.from.as_ref())
            .with_some("until", filter.until.as_ref())
            .with_some("before", before)
            .with("limit", wanted);
        let page = client.array(&page)?;
        let last = page.len() < wanted;
        entries.extend(page.into_iter().take(wanted));
        if last {
            break;
        }
    }
    Ok(Shown::list(HISTORY_COLUMNS, entries))
}

/// The whole entry: its documents come in pages.
fn show(client: &Client<'_>, revision: u64) -> Result<Shown, Error> {
    let mut answer = client.send(&request::history_entry(revision))?;
    let total = usize::try_from(answer.total.unwrap_or_default()).unwrap_or(usize::MAX);
    while let Some(Value::Array(documents)) = answer.body.get_mut("documents") {
        if documents.len() >= total {
            break;
        }
        let mut page = client.body(&request::history_entry(revision).with("offset", documents.len()))?;
        match page.get_mut("documents") {
            Some(Value::Array(more)) if !more.is_empty() => documents.append(more),
            _ => break,
        }
    }
    let entry = answer.body;
    let names = documents(&entry).map(name).collect();
    let json = entry.clone();
    Ok(Shown::text(json, names, move |view| text(&entry, revision, view)))
}

fn documents(entry: &Value) -> impl Iterator<Item = &Value> {
    entry.get("documents").and_then(Value::as_array).into_iter().flatten()
}

fn part(value: &Value, key: &str) -> String {
    printable(value.get(key).and_then(Value::as_str).unwrap_or_default())
}

fn name(document: &Value) -> String {
    format!("{}/{}", part(document, "type"), part(document, "id"))
}

fn text(entry: &Value, revision: u64, view: View) -> String {
    let because = match part(entry, "reason").as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    let headline =
        format!("Revision {revision}, {} by {}{because}", part(entry, "at"), part(entry, "principal"));
    let mut text = view.paint.bold(&headline) + "\n";
    for operation in entry.get("operations").and_then(Value::as_array).into_iter().flatten() {
        let select = match part(operation, "select").as_str() {
            "" => String::new(),
            select => format!(" where {select}"),
        };
        text.push_str(&format!("  {} {}{select}\n", part(operation, "verb"), part(operation, "target")));
    }
    for document in documents(entry) {
        let side = |key| document.get(key).cloned().unwrap_or_default();
        let (from, to) = (format!("{} before", name(document)), format!("{} after", name(document)));
        text.push_str(&unified::diff(&from, &to, &side("before"), &side("after"), view.paint));
    }
    text
}
