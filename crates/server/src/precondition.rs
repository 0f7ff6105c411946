//! Entity tags and the conditions made of them (RFC 9110, 13). A document's tag is the revision that
//! wrote it, so it is strong and changes with every write of that document and no other.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::error::{ApiError, Status};

pub(crate) fn etag(revision: u64) -> HeaderValue {
    // Digits in quotes are always a valid header value.
    HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// A list of tags, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    List(Vec<Tag>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    weak: bool,
    opaque: String,
}

/// What a request says the document must or must not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Precondition {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

impl Precondition {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        Ok(Precondition {
            if_match: tags(headers, header::IF_MATCH)?,
            if_none_match: tags(headers, header::IF_NONE_MATCH)?,
        })
    }

    /// Whether the client already has the document at `revision`. Tags are compared weakly, as a cache does.
    pub(crate) fn is_unmodified(&self, revision: u64) -> bool {
        matches(self.if_none_match.as_ref(), Some(revision), true) == Some(true)
    }

    /// Whether the document at `revision`, or its absence, is what the client said it must be.
    pub(crate) fn check(&self, revision: Option<u64>) -> Result<(), ApiError> {
        let now =
            revision.map_or("it does not exist".into(), |revision| format!("its ETag is \"{revision}\""));
        if matches(self.if_match.as_ref(), revision, false) == Some(false) {
            return Err(failed(format!("The document is not the one that If-Match names: {now}.")));
        }
        if matches(self.if_none_match.as_ref(), revision, true) == Some(true) {
            return Err(failed(format!("The document is one that If-None-Match excludes: {now}.")));
        }
        Ok(())
    }

    /// `If-Match` alone: what a read is bound to beside [`is_unmodified`](Self::is_unmodified).
    pub(crate) fn check_match(&self, revision: u64) -> Result<(), ApiError> {
        Precondition { if_match: self.if_match.clone(), if_none_match: None }.check(Some(revision))
    }
}

fn failed(message: String) -> ApiError {
    ApiError::new(Status::PreconditionFailed, "precondition_failed", message)
}

fn matches(tags: Option<&Tags>, revision: Option<u64>, weak_too: bool) -> Option<bool> {
    let tags = tags?;
    let Some(revision) = revision else { return Some(false) };
    let opaque = revision.to_string();
    Some(match tags {
        Tags::Any => true,
        Tags::List(list) => list.iter().any(|tag| tag.opaque == opaque && (weak_too || !tag.weak)),
    })
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>, ApiError> {
    let mut list = Vec::new();
    let mut any = false;
    let mut present = false;
    for value in headers.get_all(&name) {
        present = true;
        let parsed = value.to_str().ok().and_then(parse);
        match parsed {
            Some(Tags::Any) => any = true,
            Some(Tags::List(tags)) => list.extend(tags),
            None => {
                let message = format!("The header {name} holds no list of entity tags such as \"12\".");
                return Err(ApiError::bad_request("malformed_header", message));
            }
        }
    }
    Ok(present.then_some(if any { Tags::Any } else { Tags::List(list) }))
}

fn parse(text: &str) -> Option<Tags> {
    let mut rest = text.trim();
    if rest == "*" {
        return Some(Tags::Any);
    }
    let mut list = Vec::new();
    while !rest.is_empty() {
        let weak = rest.starts_with("W/");
        let opened = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (opaque, after) = opened.split_once('"')?;
        list.push(Tag { weak, opaque: opaque.to_owned() });
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    (!list.is_empty()).then_some(Tags::List(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: HeaderName, value: &'static str) -> Result<Precondition, ApiError> {
        Precondition::of(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
    }

    #[test]
    fn if_match() {
        for (value, revision, holds) in [
            ("\"7\"", Some(7), true),
            ("\"6\", \"7\"", Some(7), true),
            ("\"6\"", Some(7), false),
            ("W/\"7\"", Some(7), false),
            ("*", Some(7), true),
            ("*", None, false),
            ("\"7\"", None, false),
        ] {
            let condition = given(header::IF_MATCH, value).unwrap();
            assert_eq!(condition.check(revision).is_ok(), holds, "{value} {revision:?}");
        }
        assert!(Precondition::default().check(None).is_ok());
    }

    #[test]
    fn if_none_match() {
        for (value, revision, unmodified) in [
            ("\"7\"", 7, true),
            ("W/\"7\"", 7, true),
            ("\"6\",\"7\"", 7, true),
            ("*", 7, true),
            ("\"6\"", 7, false),
        ] {
            let condition = given(header::IF_NONE_MATCH, value).unwrap();
            assert_eq!(condition.is_unmodified(revision), unmodified, "{value}");
            assert_eq!(condition.check(Some(revision)).is_err(), unmodified, "{value}");
            assert!(condition.check(None).is_ok());
        }
    }

    #[test]
    fn what_is_no_tag_is_refused_and_never_passed_over() {
        for value in ["7", "\"7", "\"7\" \"8\"", "", "*, \"7\"", "w/\"7\""] {
            assert_eq!(given(header::IF_MATCH, value).unwrap_err().code, "malformed_header", "{value}");
        }
    }
}
