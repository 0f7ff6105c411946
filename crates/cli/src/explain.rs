//! `explain`: where each value that a cluster gets comes from, and who put it there.

use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::output::{Section, Shown};
use crate::types::EXPLAIN_COLUMNS;
use crate::{registered, request};

#[derive(Args)]
pub(crate) struct Explain {
    /// Id of the cluster
    cluster: String,

    /// One type only, such as component, namespace or rolebinding
    #[arg(value_name = "TYPE")]
    kind: Option<String>,

    /// One input of that type only
    input: Option<String>,
}

pub(crate) fn run(client: &Client<'_>, explain: &Explain) -> Result<Shown, Error> {
    let kind = explain.kind.as_deref().map(|kind| registered::plural(client, kind)).transpose()?;
    let answer =
        client.body(&request::explain(&explain.cluster, kind.as_deref(), explain.input.as_deref()))?;
    let inputs = answer.get("inputs").and_then(Value::as_array);
    let sections = inputs.into_iter().flatten().map(section).collect();
    Ok(Shown::sections(answer, sections))
}

fn section(input: &Value) -> Section {
    let fields = input.get("fields").and_then(Value::as_array);
    let title = format!("{} {}", text(input, "type"), text(input, "id"));
    Section { title, columns: EXPLAIN_COLUMNS, rows: fields.into_iter().flatten().map(row).collect() }
}

/// A field in the words of a line.
fn row(field: &Value) -> Value {
    let changed = field.get("changed").unwrap_or(&Value::Null);
    let overrode = field.get("overrode").filter(|overrode| !overrode.is_null()).map(overridden);
    json!({
        "field": field.get("path"),
        "value": value(field.get("value").unwrap_or(&Value::Null)),
        "from": origin(field),
        "overrode": overrode,
        "revision": changed.get("revision"),
        "changed": when(changed),
    })
}

/// A value that another goes over, and whose it is.
pub(crate) fn overridden(overrode: &Value) -> String {
    let from = match text(overrode, "from") {
        // There may be several; of the others the input itself says which.
        "profile" => origin(overrode),
        from => from.to_owned(),
    };
    format!("{} ({from})", value(overrode.get("value").unwrap_or(&Value::Null)))
}

/// What says something, and in which document.
fn origin(said: &Value) -> String {
    format!("{} {}", text(said, "from"), text(said, "document")).trim_end().to_owned()
}

fn when(changed: &Value) -> Option<String> {
    if changed.get("before_history").and_then(Value::as_bool) == Some(true) {
        return Some("before the history begins".into());
    }
    // Where it was looked for no further back.
    if let Some(revision) = changed.get("not_after").and_then(Value::as_u64) {
        return Some(format!("before revision {revision}"));
    }
    let at = changed.get("at")?.as_str()?;
    let because = match text(changed, "reason") {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    Some(format!("{at} by {}{because}", text(changed, "principal")))
}

pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A string as it is, anything else as JSON, so that `1` and `"1"` in an object stay apart.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
