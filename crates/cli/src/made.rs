//! Which revision a command made, said beside its result, so that it can be looked at and taken back.
//!
//! A write that changes nothing is answered like one that does; the history tells them apart.

use serde_json::Value;

use crate::client::{Answer, Client};
use crate::request::{self, Request};

/// What is known of a write that was answered well.
#[derive(Debug, Clone)]
pub(crate) enum Made {
    /// It made this revision.
    Revision(u64),
    /// It changed nothing.
    Nothing,
    /// What the history has last of this document says it, if it is of this request.
    Ask { kind: String, id: String, request: String },
}

impl Made {
    pub(crate) fn of(write: &Request, status: u16, answer: &Answer) -> Option<Self> {
        if let Some(revision) = answer.body.get("revision").and_then(Value::as_u64) {
            let documents = answer.body.get("documents").and_then(Value::as_array);
            let changed = documents.is_some_and(|documents| !documents.is_empty());
            return Some(if changed { Made::Revision(revision) } else { Made::Nothing });
        }
        match revision(answer) {
            Some(revision) if status == 201 => Some(Made::Revision(revision)),
            _ => {
                let (kind, id) = write.document()?;
                Some(Made::Ask { kind, id, request: answer.request_id.clone()? })
            }
        }
    }

    /// The revision, if it made one and that can be found out.
    pub(crate) fn revision(&self, client: &Client<'_>) -> Option<u64> {
        match self {
            Made::Revision(revision) => Some(*revision),
            Made::Nothing => None,
            Made::Ask { kind, id, request } => {
                let last = request::history().with("type", kind).with("id", id).with("limit", 1);
                let last = client.array(&last).ok()?.into_iter().next()?;
                let is_it = last.get("request_id").and_then(Value::as_str) == Some(request);
                last.get("revision").and_then(Value::as_u64).filter(|_| is_it)
            }
        }
    }
}

/// The revision that wrote the document, by its tag: `"<revision>-<digest>"`.
fn revision(answer: &Answer) -> Option<u64> {
    answer.etag.as_ref()?.trim_matches('"').split_once('-')?.0.parse().ok()
}
