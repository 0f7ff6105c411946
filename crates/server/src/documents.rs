//! Reading and writing documents: one implementation for every resource type.

use bytes::Bytes;
use flux_resourceset_merge::Fleet;
use flux_resourceset_model::change::{Key, Operation, Part, Verb};
use flux_resourceset_model::{Body, CLUSTERS, ResourceType};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::answer::{Answer, json_answer};
use crate::error::{ApiError, no_such_document, no_such_part};
use crate::percent;
use crate::precondition::{EntityTag, Precondition};
use crate::query::Query;
use crate::routes::path_of;
use crate::selection::{self, Selection};
use crate::write::{Done, bytes_of};

pub(crate) const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
/// The freezes that hold the cluster which an answer is about.
const FROZEN: HeaderName = HeaderName::from_static("x-frozen");
/// The profiles that are worked into a cluster's document.
const WORKED_IN: HeaderName = HeaderName::from_static("x-profiles");

/// The documents of `kind` that match every filter of `query`, as a bare array.
pub(crate) fn list(fleet: &Fleet, kind: &ResourceType, query: &Query) -> Result<Answer, ApiError> {
    let (limit, offset) = (query.count("limit")?.unwrap_or(usize::MAX), query.count("offset")?.unwrap_or(0));
    let selection = Selection::of(fleet, kind, query)?;
    let others = selection::parameters(kind).iter().map(|(name, _)| *name).chain(["limit", "offset"]);
    let others: Vec<_> = others.collect();
    let filters: Vec<_> = query.pairs().filter(|(name, _)| !others.contains(name)).collect();
    let (mut total, mut listed) = (0_usize, 0_usize);
    let mut out = vec![b'['];
    for (id, document) in fleet.list(kind.plural()) {
        if !selection.has(fleet, id) {
            continue;
        }
        if !filters.is_empty() && !matches(&document.body(), &filters)? {
            continue;
        }
        if total >= offset && listed < limit {
            if listed > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&document.body());
            listed += 1;
        }
        total += 1;
    }
    out.push(b']');
    let mut answer = json_answer(StatusCode::OK, out);
    answer.headers_mut().insert(TOTAL, HeaderValue::from(total));
    Ok(answer)
}

fn matches(body: &[u8], filters: &[(&str, &str)]) -> Result<bool, ApiError> {
    let document: Value = serde_json::from_slice(body).map_err(ApiError::internal)?;
    Ok(filters.iter().all(|(field, wanted)| match document.get(field) {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Bool(flag)) => wanted.parse() == Ok(*flag),
        Some(Value::Number(number)) => number.to_string().as_str() == *wanted,
        _ => false,
    }))
}

/// One document, or 304 where the client has it already.
pub(crate) fn read(fleet: &Fleet, key: &Key, precondition: &Precondition) -> Result<Answer, ApiError> {
    let document = fleet.get(key).ok_or_else(|| no_such_document(key))?;
    answered(Bytes::from(document.body().into_owned()), document.revision(), precondition)
}

/// A cluster's document with its profiles worked into it, and which these are, the lowest first.
pub(crate) fn read_effective(
    fleet: &Fleet,
    key: &Key,
    precondition: &Precondition,
) -> Result<Answer, ApiError> {
    let document = fleet.get(key).ok_or_else(|| no_such_document(key))?;
    let body = fleet.effective(&key.id).ok_or_else(|| no_such_document(key))?;
    let mut answer = answered(bytes_of(&body).into(), document.revision(), precondition)?;
    name(fleet.profiles_of(&key.id).map(|profile| profile.id.as_str()), WORKED_IN, &mut answer);
    Ok(answer)
}

fn one(status: StatusCode, body: Bytes, revision: u64) -> Answer {
    let tag = EntityTag::of(revision, &body);
    let mut answer = json_answer(status, body);
    answer.headers_mut().insert(header::ETAG, tag.header());
    answer
}

/// A part of a document, or 304 where the client has it already.
pub(crate) fn read_part(
    fleet: &Fleet,
    key: &Key,
    part: &Part,
    precondition: &Precondition,
) -> Result<Answer, ApiError> {
    let document = fleet.get(key).ok_or_else(|| no_such_document(key))?;
    let found = fleet.part(key, part).ok_or_else(|| no_such_part(key, part))?;
    let body = bytes_of(&found);
    answered(Bytes::from(body), document.revision(), precondition)
}

pub(crate) fn answered(body: Bytes, revision: u64, precondition: &Precondition) -> Result<Answer, ApiError> {
    let tag = EntityTag::of(revision, &body);
    precondition.check_match(&tag)?;
    if precondition.is_unmodified(&tag) {
        let mut unmodified = json_answer(StatusCode::NOT_MODIFIED, Bytes::new());
        unmodified.headers_mut().remove(header::CONTENT_TYPE);
        unmodified.headers_mut().insert(header::ETAG, tag.header());
        return Ok(unmodified);
    }
    Ok(one(StatusCode::OK, body, revision))
}

/// The id that a document to be created says it has. Without one the checks say all that is missing.
pub(crate) fn id_of_new(kind: &ResourceType, body: &Value) -> String {
    body.as_object().and_then(|body| kind.id_of_new(body)).unwrap_or_default()
}

/// What is answered to a write of one document, or of a part of one.
pub(crate) fn answer_write(
    kind: &ResourceType,
    operation: &Operation,
    done: &Done,
) -> Result<Answer, ApiError> {
    let (body, revision) = done.document(&operation.key)?;
    let Some(part) = &operation.part else {
        return Ok(match operation.verb {
            Verb::Create => created(kind, &operation.key.id, body.into(), revision),
            Verb::Update | Verb::Patch => one(StatusCode::OK, body.into(), revision),
            // No tag: there is no document any more that it could stand for.
            Verb::Delete => json_answer(StatusCode::OK, body),
        });
    };
    let before = done.before.fleet.part(&operation.key, part);
    let document: Body = serde_json::from_slice(&body).map_err(ApiError::internal)?;
    let after = kind.part(&document, part).cloned();
    let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    match after {
        Some(after) => Ok(one(status, bytes_of(&after).into(), revision)),
        None => Ok(json_answer(StatusCode::OK, bytes_of(&before.unwrap_or_default()))),
    }
}

/// A document that was not there before.
fn created(kind: &ResourceType, id: &str, body: Bytes, revision: u64) -> Answer {
    let mut answer = one(StatusCode::CREATED, body, revision);
    let location = format!("{}/{}", path_of(kind), percent::encode_segment(id));
    if let Ok(location) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// Says on an answer about one cluster that it is frozen, and by what.
pub(crate) fn say_frozen(fleet: &Fleet, key: &Key, answer: &mut Answer) {
    let Some(cluster) = fleet.subject(&key.id).filter(|_| key.kind == CLUSTERS) else { return };
    name(fleet.freezes_of(cluster).map(|freeze| freeze.id.as_str()), FROZEN, answer);
}

/// Names `ids` in `header`, where there are any.
fn name<'a>(ids: impl Iterator<Item = &'a str>, header: HeaderName, answer: &mut Answer) {
    let ids: Vec<_> = ids.collect();
    if let Ok(value) = HeaderValue::from_str(&ids.join(","))
        && !ids.is_empty()
    {
        answer.headers_mut().insert(header, value);
    }
}
