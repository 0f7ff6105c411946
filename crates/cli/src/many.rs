//! The same part of many clusters changed at once: one change set over what a selector matches.

use serde_json::{Value, json};

use crate::change;
use crate::document::Document;
use crate::error::Error;
use crate::output::Shown;
use crate::request::{self, Part};
use crate::target::Selected;
use crate::writer::Writer;

/// An operation on one part of each selected cluster.
pub(crate) struct Operation<'a> {
    pub(crate) verb: &'a str,
    pub(crate) field: &'a str,
    pub(crate) id: &'a str,
    pub(crate) body: Option<Document>,
}

/// All of them for all of these clusters, or nothing. Shows what became of it.
pub(crate) fn change(
    writer: &Writer<'_>,
    selected: Selected<'_>,
    operations: Vec<Operation<'_>>,
) -> Result<Shown, Error> {
    let changes: Vec<_> = operations.into_iter().map(|operation| operation.json(selected)).collect();
    match writer.send(&request::change(json!({ "changes": changes }))) {
        Err(missing) if missing.has_status(405) || missing.code() == Some("unknown_route") => {
            Err(Error::Failed(
                "this server knows no selectors; name the clusters one by one with --cluster".into(),
            ))
        }
        done => done.map(change::shown),
    }
}

impl Operation<'_> {
    fn json(self, selected: Selected<'_>) -> Value {
        let target = Part { cluster: "*", field: self.field, id: self.id }.target();
        let mut operation = Document::new();
        operation.insert(self.verb.into(), target.into());
        operation.insert("select".into(), selected.selector.into());
        if selected.allow_empty {
            operation.insert("allow_empty".into(), true.into());
        }
        if let Some(body) = self.body {
            operation.insert("body".into(), Value::Object(body));
        }
        Value::Object(operation)
    }
}
