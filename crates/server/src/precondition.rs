//! Entity tags and the conditions made of them (RFC 9110, 13). A document's tag is the revision that
//! wrote it and a digest of its body. The revision alone would name another document once a backup is
//! restored or a store is filled anew; the digest alone would not change with a change that is undone.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::digest::digest;
use crate::error::{ApiError, Status};

/// The entity tag of a document or an answer, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityTag(String);

impl EntityTag {
    pub(crate) fn of(revision: u64, body: &[u8]) -> Self {
        EntityTag(format!("{revision}-{}", digest(body)))
    }

    /// Of what Flux is answered, which depends on more than one document.
    pub(crate) fn of_answer(digest: &str) -> Self {
        EntityTag(digest.to_owned())
    }

    /// The same as a weak tag: of what may be sent in several encodings.
    pub(crate) fn weak_header(&self) -> HeaderValue {
        HeaderValue::try_from(["W/\"", &self.0, "\""].concat()).unwrap_or(HeaderValue::from_static("W/\"\""))
    }

    /// As the value of `ETag`.
    pub(crate) fn header(&self) -> HeaderValue {
        // Digits and a dash in quotes are always a valid header value.
        HeaderValue::from_str(&format!("\"{}\"", self.0)).unwrap_or(HeaderValue::from_static("\"\""))
    }
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

    /// Whether the client already has the document `now`. Tags are compared weakly, as a cache does.
    pub(crate) fn is_unmodified(&self, now: &EntityTag) -> bool {
        matches(self.if_none_match.as_ref(), Some(now), true) == Some(true)
    }

    /// Whether the document `now`, or its absence, is what the client said it must be.
    pub(crate) fn check(&self, now: Option<&EntityTag>) -> Result<(), ApiError> {
        let is = now.map_or("it does not exist".into(), |tag| format!("its ETag is \"{}\"", tag.0));
        if matches(self.if_match.as_ref(), now, false) == Some(false) {
            return Err(failed(format!("The document is not the one that If-Match names: {is}.")));
        }
        if matches(self.if_none_match.as_ref(), now, true) == Some(true) {
            return Err(failed(format!("The document is one that If-None-Match excludes: {is}.")));
        }
        Ok(())
    }

    /// `If-Match` alone: what a read is bound to beside [`is_unmodified`](Self::is_unmodified).
    pub(crate) fn check_match(&self, now: &EntityTag) -> Result<(), ApiError> {
        Precondition { if_match: self.if_match.clone(), if_none_match: None }.check(Some(now))
    }
}

fn failed(message: String) -> ApiError {
    ApiError::new(Status::PreconditionFailed, "precondition_failed", message)
}

fn matches(tags: Option<&Tags>, now: Option<&EntityTag>, weak_too: bool) -> Option<bool> {
    let tags = tags?;
    let Some(now) = now else { return Some(false) };
    Some(match tags {
        Tags::Any => true,
        Tags::List(list) => list.iter().any(|tag| tag.opaque == now.0 && (weak_too || !tag.weak)),
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
                let message = format!(
                    "The header {name} holds no list of entity tags such as \"12-3fa9c2d1b0e4a7c6\"."
                );
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

    fn tag(text: &str) -> EntityTag {
        EntityTag(text.into())
    }

    #[test]
    fn a_tag_names_one_document_of_one_history() {
        let header = |revision, body: &[u8]| EntityTag::of(revision, body).header();
        assert_eq!(header(17, b"{}"), "\"17-1349cde127705c16\"");
        assert_ne!(header(17, b"{}"), header(17, b"[]"));
        assert_ne!(header(17, b"{}"), header(18, b"{}"));
    }

    #[test]
    fn if_match() {
        for (value, now, holds) in [
            ("\"7-a\"", Some("7-a"), true),
            ("\"6-a\", \"7-a\"", Some("7-a"), true),
            ("\"6-a\"", Some("7-a"), false),
            ("\"7-b\"", Some("7-a"), false),
            ("\"7\"", Some("7-a"), false),
            ("W/\"7-a\"", Some("7-a"), false),
            ("*", Some("7-a"), true),
            ("*", None, false),
            ("\"7-a\"", None, false),
        ] {
            let condition = given(header::IF_MATCH, value).unwrap();
            assert_eq!(condition.check(now.map(tag).as_ref()).is_ok(), holds, "{value} {now:?}");
        }
        assert!(Precondition::default().check(None).is_ok());
    }

    #[test]
    fn if_none_match() {
        for (value, now, unmodified) in [
            ("\"7-a\"", "7-a", true),
            ("W/\"7-a\"", "7-a", true),
            ("\"6-a\",\"7-a\"", "7-a", true),
            ("*", "7-a", true),
            ("\"6-a\"", "7-a", false),
            ("\"7\"", "7-a", false),
        ] {
            let condition = given(header::IF_NONE_MATCH, value).unwrap();
            assert_eq!(condition.is_unmodified(&tag(now)), unmodified, "{value}");
            assert_eq!(condition.check(Some(&tag(now))).is_err(), unmodified, "{value}");
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
