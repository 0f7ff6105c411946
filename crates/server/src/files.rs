//! The whole fleet as a file, and files that belong to a source, applied.

use flux_resourceset_merge::{Disputed, Document, Files, Fleet};
use flux_resourceset_model::Violation;
use flux_resourceset_model::change::{DocumentChange, Key, Operation};
use flux_resourceset_store::Store;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Answer, json_answer};
use crate::changes::what_became;
use crate::error::{ApiError, Status};
use crate::follow;
use crate::past;
use crate::reason;
use crate::time::rfc3339;
use crate::view::Head;
use crate::write::Planned;

/// The revision that an answer is made from.
pub(crate) const REVISION: HeaderName = HeaderName::from_static("x-revision");

/// The whole fleet of `head`.
pub(crate) fn export(head: &Head) -> Answer {
    let mut out = Vec::new();
    head.fleet.export(&mut out);
    let mut answer = json_answer(StatusCode::OK, out);
    answer.headers_mut().insert(REVISION, HeaderValue::from(head.position.revision));
    answer
}

/// Files to be applied with their reason, as `POST /api/v2/apply` takes them.
pub(crate) struct ApplyRequest {
    pub(crate) reason: Option<String>,
    pub(crate) files: Files,
}

impl ApplyRequest {
    /// # Errors
    /// Everything that is wrong with the form of `body`, each with its pointer into it.
    pub(crate) fn parse(body: Value) -> Result<Self, ApiError> {
        let mut wrong = Vec::new();
        let mut files = Files { documents: Value::Null, source: None, prune: false, take: false };
        let mut reason = None;
        let Value::Object(fields) = body else {
            return Err(refused(vec![Violation::new("", "type", "is not a JSON object")]));
        };
        for (field, value) in fields {
            let rule = match (field.as_str(), value) {
                ("reason" | "source", Value::Null) => Ok(()),
                ("documents", documents) => {
                    files.documents = documents;
                    Ok(())
                }
                ("source", Value::String(source)) => {
                    files.source = Some(source);
                    Ok(())
                }
                ("reason", Value::String(text)) => reason::check(&text).map(|checked| reason = checked),
                ("prune", Value::Bool(prune)) => {
                    files.prune = prune;
                    Ok(())
                }
                ("take", Value::Bool(take)) => {
                    files.take = take;
                    Ok(())
                }
                ("reason" | "source", _) => Err("is not a string"),
                ("prune" | "take", _) => Err("is not true or false"),
                _ => Err("is not a field here; known are documents, prune, reason, source, take"),
            };
            wrong.extend(rule.err().map(|rule| Violation::new(format!("/{field}"), "format", rule)));
        }
        if files.documents.is_null() {
            wrong.push(Violation::new("/documents", "missing_field", "`documents` is required"));
        }
        if wrong.is_empty() { Ok(ApplyRequest { reason, files }) } else { Err(refused(wrong)) }
    }
}

fn refused(wrong: Vec<Violation>) -> ApiError {
    ApiError::bad_request("invalid", "The files cannot be applied.").violating(wrong)
}

/// Why files are not applied.
pub(crate) enum NotApplied {
    Invalid(Vec<Violation>),
    Disputed(Vec<Disputed>),
}

/// What it takes to apply `files` to `fleet`.
pub(crate) fn operations(fleet: &Fleet, files: &Files) -> Result<Vec<Operation>, NotApplied> {
    let applied = fleet.apply_files(files).map_err(NotApplied::Invalid)?;
    if applied.disputed.is_empty() {
        Ok(applied.operations)
    } else {
        Err(NotApplied::Disputed(applied.disputed))
    }
}

impl NotApplied {
    pub(crate) fn into_error(self) -> ApiError {
        match self {
            NotApplied::Invalid(wrong) => {
                refused(wrong.into_iter().map(|violation| violation.under("/documents")).collect())
            }
            NotApplied::Disputed(disputed) => {
                let message =
                    "Others have a say in documents that the files would change; take=true takes them over.";
                let violations = disputed.iter().map(|one| of(one, String::new()));
                ApiError::new(Status::Conflict, "changed_since", message).violating(violations.collect())
            }
        }
    }

    /// The same with who changed each document last, when and why, as `store` knows it.
    pub(crate) async fn named(self, store: &dyn Store) -> ApiError {
        let NotApplied::Disputed(disputed) = &self else { return self.into_error() };
        match named(disputed, store).await {
            Ok(violations) => self.into_error().violating(violations),
            Err(error) => error,
        }
    }
}

/// What is in the way of each of `disputed`, with who changed it last, when and why, as `store` knows it.
pub(crate) async fn named(disputed: &[Disputed], store: &dyn Store) -> Result<Vec<Violation>, ApiError> {
    let mut violations = Vec::new();
    for one in disputed {
        let versions = follow::answered(store.versions(&one.key, None, 1)).await;
        let versions = versions.map_err(past::unreadable)?;
        let last = versions.first().map(|version| {
            let what = if version.body.is_some() { "last changed" } else { "deleted" };
            let why = version.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let (by, revision, at) = (&version.principal, version.revision, rfc3339(version.at));
            format!("; {what} by {by} in revision {revision} at {at}{why}")
        });
        violations.push(of(one, last.unwrap_or_default()));
    }
    Ok(violations)
}

fn of(disputed: &Disputed, last: String) -> Violation {
    let what = match &disputed.owner {
        Some(owner) => format!("belongs to the source {owner}"),
        None => {
            "was written by somebody else since this source was last applied, or never belonged to it".into()
        }
    };
    Violation::new("", "changed_since", format!("{what}{last}")).of(disputed.key.clone())
}

/// The plan of an apply that takes everything over, with every document that it would change, and those
/// in which others have a say.
pub(crate) fn answer_plan(planned: &Planned, disputed: &[Violation]) -> Result<Answer, ApiError> {
    let mut plan = serde_json::to_value(&planned.plan).map_err(ApiError::internal)?;
    let parsed = |body: Option<&[u8]>| body.map(serde_json::from_slice::<Value>).transpose();
    let document = |change: &DocumentChange| {
        let before = planned.before.get(&change.key);
        Ok(json!({
            "type": change.key.kind, "id": change.key.id,
            "change": what_became(before.is_some(), change),
            "before": parsed(before.map(Document::body).as_deref())?,
            "after": parsed(change.body.as_deref())?,
        }))
    };
    let documents: Result<Vec<Value>, serde_json::Error> = planned.documents.iter().map(document).collect();
    plan["documents"] = documents.map_err(ApiError::internal)?.into();
    let in_the_way = |one: &Violation| {
        let document = one.document.as_ref().map(Key::to_string);
        json!({"document": document, "message": one.message})
    };
    plan["disputed"] = disputed.iter().map(in_the_way).collect();
    Ok(json_answer(StatusCode::OK, plan.to_string()))
}
