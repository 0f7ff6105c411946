//! The log as people read it: a page of changes, and one change with each document before and after.

use std::fmt::Write;

use flux_resourceset_model::change::{Key, Operation};
use flux_resourceset_model::{CLUSTERS, Layer, PROFILES, RESOURCE_TYPES, Resource, TOMBSTONES};
use flux_resourceset_store::{EntryDetail, LogQuery, Past, Record, Revised};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use crate::answer::{Answer, json_answer};
use crate::documents::TOTAL;
use crate::error::ApiError;
use crate::follow;
use crate::past::{self, cut, unreadable};
use crate::percent;
use crate::query::{Query, invalid};
use crate::time::rfc3339;
use crate::view::Head;

/// Where the changes are.
pub(crate) const PATH: &str = "/api/v2/changes";
/// The most changes, or documents of one, on a page.
pub(crate) const LARGEST_PAGE: usize = 1000;

/// A page of the changes that match every filter of `query`, newest first.
pub(crate) async fn list(head: &Head, query: &Query) -> Result<Answer, ApiError> {
    let limit = page_size(query, 50)?;
    // One more than is shown tells whether there is a next page.
    if let Some(plural) = query.get("type") {
        check_type(head, plural).await?;
    }
    let wanted = LogQuery { limit: limit + 1, ..filter(head, query)? };
    let mut records = follow::answered(head.store.log(&wanted)).await.map_err(unreadable)?;
    let more = records.len() > limit;
    records.truncate(limit);
    let last = records.last().map(|record| record.revision).filter(|_| more);
    let shown: Value = records.iter().map(summary).collect();
    let mut answer = json_answer(StatusCode::OK, shown.to_string());
    if let Some(link) = last.and_then(|last| HeaderValue::from_str(&next(query, last)).ok()) {
        answer.headers_mut().insert(header::LINK, link);
    }
    Ok(answer)
}

pub(crate) fn page_size(query: &Query, default: usize) -> Result<usize, ApiError> {
    let limit = query.count("limit")?.unwrap_or(default);
    let rule = format!("must be a whole number from 1 to {LARGEST_PAGE}");
    Some(limit).filter(|limit| (1..=LARGEST_PAGE).contains(limit)).ok_or_else(|| invalid("limit", &rule))
}

/// Whether there is or was a type with this plural: of one that is gone the history is all that is left.
async fn check_type(head: &Head, plural: &str) -> Result<(), ApiError> {
    if head.fleet.resource_type(plural).is_some() {
        return Ok(());
    }
    let registered = LogQuery {
        kind: Some(RESOURCE_TYPES.to_owned()),
        id: Some(plural.to_owned()),
        limit: 1,
        ..LogQuery::default()
    };
    let found = follow::answered(head.store.log(&registered)).await.map_err(unreadable)?;
    let all: Vec<_> = head.fleet.types().iter().map(|kind| kind.plural()).collect();
    let rule = format!("must be one of {}", all.join(", "));
    (!found.is_empty()).then_some(()).ok_or_else(|| invalid("type", &rule))
}

fn filter(head: &Head, query: &Query) -> Result<LogQuery, ApiError> {
    Ok(LogQuery {
        kind: query.get("type").map(str::to_owned),
        id: query.get("id").map(str::to_owned),
        keys: query.get("cluster").map(|id| concerning(head, id)).unwrap_or_default(),
        principal: query.get("principal").map(str::to_owned),
        from: past::time(query, "from")?,
        until: past::time(query, "until")?,
        below: query.parsed("before", "must be a revision: a whole number from 0 on")?,
        limit: 0,
    })
}

/// Every document that has a say in what the cluster `id` gets, or got last.
fn concerning(head: &Head, id: &str) -> Vec<Key> {
    let mut keys = vec![Key::new(CLUSTERS, id), Key::new(TOMBSTONES, id)];
    let last = || {
        let kind = head.fleet.resource_type(CLUSTERS)?;
        match kind.parse(head.fleet.last_of(id)?.clone()) {
            Ok(Resource::Cluster(cluster)) => Some(cluster),
            _ => None,
        }
    };
    match head.fleet.subject(id) {
        Some(cluster) => keys.extend(referred_to(&cluster.layer)),
        None => keys.extend(last().iter().flat_map(|cluster| referred_to(&cluster.layer))),
    }
    for profile in head.fleet.profiles_of(id) {
        keys.push(Key::new(PROFILES, &profile.id));
        keys.extend(referred_to(&profile.layer));
    }
    keys.sort();
    keys.dedup();
    keys
}

fn referred_to(layer: &Layer) -> impl Iterator<Item = Key> {
    layer.targets().map(|(plural, id)| Key::new(plural, id))
}

/// The `Link` to the page that follows the revision `last`.
fn next(query: &Query, last: u64) -> String {
    let mut link = format!("<{PATH}?");
    for (name, value) in query.pairs().filter(|(name, _)| *name != "before") {
        let _ = write!(link, "{name}={}&", percent::encode_segment(value));
    }
    link + &format!("before={last}>; rel=\"next\"")
}

fn summary(record: &Record) -> Value {
    json!({
        "revision": record.revision,
        "at": rfc3339(record.at),
        "principal": record.principal,
        "reason": record.reason,
        "request_id": record.request_id,
        "operations": record.operations.iter().map(asked).collect::<Value>(),
        "operation_count": record.operation_count,
        "documents": record.documents.iter().map(Key::to_string).collect::<Vec<_>>(),
        "document_count": record.document_count,
    })
}

/// An operation as it was asked.
fn asked(operation: &Operation) -> Value {
    let mut asked = Map::from_iter([
        ("verb".to_owned(), json!(operation.verb)),
        ("target".to_owned(), operation.target().into()),
    ]);
    let optional = [
        ("select", operation.select.clone().map(Value::from)),
        ("allow_empty", operation.allow_empty.then_some(Value::Bool(true))),
        ("force", operation.force.then_some(Value::Bool(true))),
        ("body", operation.body.clone()),
    ];
    for (name, value) in optional {
        asked.extend(value.map(|value| (name.to_owned(), value)));
    }
    asked.into()
}

/// One change, with a page of its documents.
pub(crate) async fn entry(head: &Head, revision: u64, query: &Query) -> Result<Answer, ApiError> {
    let (limit, offset) = (page_size(query, 100)?, query.count("offset")?.unwrap_or(0));
    let detail = load(head, revision, offset, limit).await?;
    let total = detail.record.document_count;
    // A page may hold megabytes, and polls go on meanwhile.
    let written = spawn_blocking(move || whole(&detail)).await.map_err(ApiError::internal)?;
    let mut answer = json_answer(StatusCode::OK, written.map_err(ApiError::internal)?);
    answer.headers_mut().insert(TOTAL, HeaderValue::from(total));
    Ok(answer)
}

fn whole(detail: &EntryDetail) -> Result<String, serde_json::Error> {
    let mut shown = summary(&detail.record);
    shown["operations"] = detail.operations.iter().map(asked).collect();
    shown["documents"] = detail.documents.iter().map(revised).collect::<Result<Value, _>>()?;
    Ok(shown.to_string())
}

fn revised(document: &Revised) -> Result<Value, serde_json::Error> {
    let side = |body: &Option<Vec<u8>>| body.as_deref().map(serde_json::from_slice::<Value>).transpose();
    let Revised { key, before, after } = document;
    Ok(json!({"type": key.kind, "id": key.id, "before": side(before)?, "after": side(after)?}))
}

/// The change that made `revision`, with its documents from `offset` on.
pub(crate) async fn load(
    head: &Head,
    revision: u64,
    offset: usize,
    limit: usize,
) -> Result<EntryDetail, ApiError> {
    let found = follow::answered(head.store.entry(revision, offset, limit)).await;
    match found.map_err(unreadable)? {
        Past::Known(detail) => Ok(detail),
        Past::Forgotten(0) => Err(ApiError::not_found("No change made revision 0: the fleet began with it.")),
        Past::Forgotten(_) => Err(cut(format_args!("the change that made revision {revision}"))),
        Past::Ahead(head) => {
            let message = format!("There is no revision {revision} yet; the head is revision {head}.");
            Err(ApiError::not_found(message))
        }
    }
}

/// The revision in a path.
pub(crate) fn revision(text: &str) -> Result<u64, ApiError> {
    let rule = "The revision in the path must be a whole number.";
    text.parse().map_err(|_| ApiError::bad_request("invalid_parameter", rule))
}
