//! The same part of many clusters changed at once: one change set over what a selector matches.

use serde_json::{Value, json};

use crate::change;
use crate::document::Document;
use crate::error::Error;
use crate::output::Shown;
use crate::request;
use crate::target::{Layer, Selected};
use crate::types::CLUSTER;
use crate::writer::Writer;

/// An operation on one part of each selected cluster.
pub(crate) struct Operation<'a> {
    pub(crate) verb: &'a str,
    pub(crate) field: &'a str,
    pub(crate) id: &'a str,
    pub(crate) body: Option<Document>,
    /// Whether it may be that none of them has the part.
    pub(crate) may_miss: bool,
}

/// All of them for all of these clusters, and `others`, or nothing. Shows what became of it.
pub(crate) fn change(
    writer: &Writer<'_>,
    selected: Selected<'_>,
    operations: Vec<Operation<'_>>,
    others: Vec<Value>,
) -> Result<Shown, Error> {
    let operations = operations.into_iter().map(|operation| operation.json(selected));
    let changes: Vec<_> = operations.chain(others).collect();
    match writer.send(&request::change(json!({ "changes": changes }))) {
        Err(missing) if missing.has_status(405) || missing.code() == Some("unknown_route") => {
            Err(Error::Failed(
                "this server knows no selectors; name the clusters one by one with --cluster".into(),
            ))
        }
        done => done.map(change::shown),
    }
}

impl<'a> Operation<'a> {
    pub(crate) fn write(verb: &'a str, field: &'a str, id: &'a str, body: Document) -> Self {
        Operation { verb, field, id, body: Some(body), may_miss: false }
    }

    pub(crate) fn delete(field: &'a str, id: &'a str) -> Self {
        Operation { verb: "delete", field, id, body: None, may_miss: false }
    }

    fn json(self, selected: Selected<'_>) -> Value {
        let target = Layer { kind: &CLUSTER, id: "*" }.part(self.field, self.id).target();
        let mut operation = Document::new();
        operation.insert(self.verb.into(), target.into());
        operation.insert("select".into(), selected.selector.into());
        if selected.allow_empty || self.may_miss {
            operation.insert("allow_empty".into(), true.into());
        }
        if let Some(body) = self.body {
            operation.insert("body".into(), Value::Object(body));
        }
        Value::Object(operation)
    }
}
