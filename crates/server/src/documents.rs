//! Reading and writing documents: one implementation for every resource type.

use bytes::Bytes;
use flux_resourceset_merge::Fleet;
use flux_resourceset_model::ResourceType;
use flux_resourceset_model::change::{Key, Operation, Verb};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::answer::{Answer, json_answer};
use crate::error::{ApiError, no_such_document};
use crate::percent;
use crate::precondition::{EntityTag, Precondition};
use crate::query::Query;
use crate::routes::path_of;
use crate::write::Written;

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// The documents of `kind` that match every filter of `query`, as a bare array.
pub(crate) fn list(fleet: &Fleet, kind: &ResourceType, query: &Query) -> Result<Answer, ApiError> {
    let (limit, offset) = (query.count("limit")?.unwrap_or(usize::MAX), query.count("offset")?.unwrap_or(0));
    let filters: Vec<_> = query.pairs().filter(|(name, _)| *name != "limit" && *name != "offset").collect();
    let (mut total, mut listed) = (0_usize, 0_usize);
    let mut out = vec![b'['];
    for (_, document) in fleet.list(kind.plural()) {
        if !filters.is_empty() && !matches(document.body(), &filters)? {
            continue;
        }
        if total >= offset && listed < limit {
            if listed > 0 {
                out.push(b',');
            }
            out.extend_from_slice(document.body());
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
    let tag = EntityTag::of(document.revision(), document.body());
    precondition.check_match(&tag)?;
    if precondition.is_unmodified(&tag) {
        let mut unmodified = json_answer(StatusCode::NOT_MODIFIED, Bytes::new());
        unmodified.headers_mut().remove(header::CONTENT_TYPE);
        unmodified.headers_mut().insert(header::ETAG, tag.header());
        return Ok(unmodified);
    }
    Ok(one(StatusCode::OK, Bytes::copy_from_slice(document.body()), document.revision()))
}

fn one(status: StatusCode, body: Bytes, revision: u64) -> Answer {
    let tag = EntityTag::of(revision, &body);
    let mut answer = json_answer(status, body);
    answer.headers_mut().insert(header::ETAG, tag.header());
    answer
}

/// The operation that a request asks for. `id` is the path's; a create has it in its body.
pub(crate) fn operation(
    verb: Verb,
    kind: &ResourceType,
    id: Option<&str>,
    body: Option<Value>,
    force: bool,
) -> Operation {
    let id = match id {
        Some(id) => id.to_owned(),
        // Without an id the checks say all that is missing, the id among it.
        None => {
            body.as_ref().and_then(Value::as_object).and_then(|body| kind.id_of_new(body)).unwrap_or_default()
        }
    };
    Operation { force, ..Operation::new(verb, Key::new(kind.plural(), id), body) }
}

/// What is answered to a write that is done.
pub(crate) fn answer_write(kind: &ResourceType, operation: &Operation, written: Written) -> Answer {
    match operation.verb {
        Verb::Create => {
            let mut answer = one(StatusCode::CREATED, written.body, written.revision);
            let location = format!("{}/{}", path_of(kind), percent::encode_segment(&operation.key.id));
            if let Ok(location) = HeaderValue::from_str(&location) {
                answer.headers_mut().insert(header::LOCATION, location);
            }
            answer
        }
        Verb::Update | Verb::Patch => one(StatusCode::OK, written.body, written.revision),
        // No tag: there is no document any more that it could stand for.
        Verb::Delete => json_answer(StatusCode::OK, written.body),
    }
}
