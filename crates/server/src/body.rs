//! Reading a request's body: bounded in size and time, of the right type, JSON without repeated keys.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde_json::Value;
use tokio::time::timeout;

use crate::config::Limits;
use crate::error::{ApiError, Status};
use crate::json;

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(crate) const YAML: &str = "application/yaml";

/// How much of a body that is too long is still read, so that its sender gets to see the answer.
const DISCARDED: usize = 16 * 1024 * 1024;
const DISCARDING: Duration = Duration::from_secs(2);

/// How large a body may be, and the setting that says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    bytes: usize,
    setting: &'static str,
}

impl Bound {
    /// Of one document.
    pub(crate) fn document(limits: &Limits) -> Self {
        Bound { bytes: limits.body_bytes, setting: "MAX_BODY_BYTES" }
    }

    /// Of many.
    pub(crate) fn bulk(limits: &Limits) -> Self {
        Bound { bytes: limits.bulk_bytes.max(limits.body_bytes), setting: "MAX_BULK_BYTES" }
    }
}

/// The JSON body of a request whose content type is one of `types`.
pub(crate) async fn read_json(
    headers: &HeaderMap,
    body: Incoming,
    types: &[&str],
    bound: Bound,
    limits: &Limits,
) -> Result<Value, ApiError> {
    if !has_type(headers, types) {
        let message = format!("The body's Content-Type must be {}.", types.join(" or "));
        return Err(ApiError::new(Status::UnsupportedMediaType, "unsupported_media_type", message));
    }
    let waits = headers.contains_key(header::EXPECT);
    let bytes = read(body, bound, limits, waits).await?;
    if has_type(headers, &[YAML]) {
        return parse_yaml(&bytes);
    }
    json::parse(&bytes).map_err(|error| {
        let message = match bytes.is_empty() {
            true => "The body is empty; it must be JSON.".to_owned(),
            false => format!("The body is not valid JSON: {error}."),
        };
        // The sentence may quote a key.
        let place = format_args!("line {} column {}", error.line(), error.column());
        ApiError::bad_request("malformed_json", message).logged(place)
    })
}

fn parse_yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_saphyr::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        // What the library advises is for those who call it.
        let said = first.trim_start_matches("error: ").split([';']).next().unwrap_or_default();
        let said = said.split(", set ").next().unwrap_or_default();
        ApiError::bad_request("malformed_yaml", format!("The body is not valid YAML: {said}."))
            .logged("the library's sentence may quote the body")
    })
}

fn has_type(headers: &HeaderMap, types: &[&str]) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(text) = value.to_str() else { return false };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let known = types.iter().any(|known| known.eq_ignore_ascii_case(essence));
    known && parts.all(|parameter| is_utf8_charset(parameter) || !is_charset(parameter))
}

fn is_charset(parameter: &str) -> bool {
    parameter.get(..8).is_some_and(|name| name.eq_ignore_ascii_case("charset="))
}

fn is_utf8_charset(parameter: &str) -> bool {
    is_charset(parameter) && parameter[8..].trim_matches('"').eq_ignore_ascii_case("utf-8")
}

/// `waits`: the sender sends nothing before it is asked for, so what is too long need not be taken off it.
async fn read(mut body: Incoming, bound: Bound, limits: &Limits, waits: bool) -> Result<Bytes, ApiError> {
    let announced = body.size_hint().lower() > bound.bytes as u64;
    let collected = if announced {
        Err(Stopped::TooLarge)
    } else {
        timeout(limits.body_timeout, collect(&mut body, bound.bytes)).await.unwrap_or(Err(Stopped::TooSlow))
    };
    match collected {
        Ok(bytes) => Ok(bytes),
        Err(Stopped::TooLarge) => {
            if !waits {
                // Whether it ended, failed or went on too long: the answer is the same.
                let _ = timeout(DISCARDING, discard(&mut body)).await;
            }
            let message = format!("The body is larger than {} bytes ({}).", bound.bytes, bound.setting);
            Err(ApiError::new(Status::PayloadTooLarge, "body_too_large", message).closing())
        }
        Err(Stopped::TooSlow) => {
            let message = format!("The body did not arrive within {:?} (BODY_TIMEOUT).", limits.body_timeout);
            Err(ApiError::new(Status::RequestTimeout, "slow_body", message).closing())
        }
        Err(Stopped::Broken(error)) => {
            Err(ApiError::bad_request("broken_body", "The body ended before it was complete.")
                .logged(error)
                .closing())
        }
    }
}

enum Stopped {
    TooLarge,
    TooSlow,
    Broken(hyper::Error),
}

async fn collect(body: &mut Incoming, limit: usize) -> Result<Bytes, Stopped> {
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Stopped::Broken)?.into_data() else { continue };
        if data.len() > limit - collected.len() {
            return Err(Stopped::TooLarge);
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}

async fn discard(body: &mut Incoming) {
    let mut left = DISCARDED;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(less) => left = less,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn content_types() {
        let given = |text: &'static str| {
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))])
        };
        for text in
            ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
        {
            assert!(has_type(&given(text), &[JSON]), "{text}");
        }
        for text in ["text/json", "application/json; charset=latin1", "", "application/merge-patch+json"] {
            assert!(!has_type(&given(text), &[JSON]), "{text}");
        }
        assert!(has_type(&given("application/merge-patch+json"), &[MERGE_PATCH, JSON]));
        assert!(!has_type(&HeaderMap::new(), &[JSON]));
    }
}
