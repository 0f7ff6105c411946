//! `change`: many operations from a file, all or nothing; and how any change set is shown.

use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::document;
use crate::error::{Error, printable};
use crate::output::Shown;
use crate::paint::View;
use crate::plan_text::counted;
use crate::request;
use crate::writer::Writer;
use crate::writing::Writing;

/// How many documents a person is told by name.
const NAMED: usize = 20;

#[derive(Args)]
pub(crate) struct Change {
    /// JSON or YAML (`-` is stdin): `changes` with a list of operations, or the list alone
    #[arg(short, long, value_name = "FILE")]
    file: String,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

pub(crate) fn run(client: &Client<'_>, change: &Change) -> Result<Shown, Error> {
    let change_set = read(&change.file)?;
    Writer::new(client, &change.writing).send(&request::change(change_set)).map(shown)
}

/// The change set in a file.
pub(crate) fn read(path: &str) -> Result<Value, Error> {
    let wrong = |problem: String| Error::Usage(format!("{}: {problem}", printable(path)));
    let text = document::read_text(path).map_err(wrong)?;
    match document::parse_value(&text).map_err(wrong)? {
        Value::Array(changes) => Ok(json!({ "changes": changes })),
        object @ Value::Object(_) => Ok(object),
        _ => Err(wrong("it holds no change set; write `changes:` and a list of operations".into())),
    }
}

/// What became of a change set.
pub(crate) fn shown(made: Value) -> Shown {
    let names = documents(&made).into_iter().map(|(_, name)| name).collect();
    let text = text(&made);
    Shown::text(made, names, move |view: View| {
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        format!("{}\n{rest}", view.paint.bold(first))
    })
}

/// What happened to which document.
fn documents(made: &Value) -> Vec<(String, String)> {
    let part = |document: &Value, key: &str| {
        document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let listed = made.get("documents").and_then(Value::as_array).into_iter().flatten();
    listed.map(|one| (part(one, "change"), format!("{}/{}", part(one, "type"), part(one, "id")))).collect()
}

fn text(made: &Value) -> String {
    let revision = made.get("revision").map(Value::to_string).unwrap_or_default();
    let documents = documents(made);
    let reason = made.get("reason").and_then(Value::as_str).filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(": {}", printable(reason))).unwrap_or_default();
    let mut text = match documents.len() {
        0 => format!("Nothing changed; the fleet is at revision {revision}.\n"),
        count => format!("Revision {revision}, {}{reason}\n", counted(count as u64, "document")),
    };
    for (change, name) in documents.iter().take(NAMED) {
        text.push_str(&format!("  {} {}\n", printable(change), printable(name)));
    }
    if documents.len() > NAMED {
        text.push_str(&format!("  and {} more\n", documents.len() - NAMED));
    }
    for skipped in made.get("skipped").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(&format!("  {}\n", skipped_line(skipped)));
    }
    text
}

/// A field that a revert left alone, and who changed it since.
fn skipped_line(skipped: &Value) -> String {
    let part = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(text)) => printable(text),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let by = skipped.get("changed_by").and_then(Value::as_array).into_iter().flatten().map(|entry| {
        let reason = part(entry, "reason");
        let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
        format!("revision {} by {}{reason}", part(entry, "revision"), part(entry, "principal"))
    });
    let by = by.collect::<Vec<_>>().join(", ");
    format!("left as it is: {} {}, changed since in {by}", part(skipped, "document"), part(skipped, "field"))
}
