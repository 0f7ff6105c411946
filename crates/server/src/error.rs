//! Every answer that is not a success: its status, its stable code, the text for the client and,
//! apart from it, the text for the log. The one place where errors of other kinds become these.

use std::fmt::Display;

use flux_resourceset_merge::{NoAnswer, NoExplanation, NoList, Plan, Refusal};
use flux_resourceset_model::change::{Key, Operation, Part};
use flux_resourceset_model::{FREEZES, Violation};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::answer::{Answer, json_answer};

/// Seconds after which what passes by itself may have passed.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");
/// How many violations a log line names.
const LOGGED_VIOLATIONS: usize = 10;

/// The statuses of errors. There is no way to write an error that has status 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    Conflict,
    Gone,
    PreconditionFailed,
    PayloadTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    UnprocessableContent,
    PreconditionRequired,
    InternalServerError,
    ServiceUnavailable,
}

impl From<Status> for StatusCode {
    fn from(status: Status) -> Self {
        match status {
            Status::BadRequest => StatusCode::BAD_REQUEST,
            Status::Unauthorized => StatusCode::UNAUTHORIZED,
            Status::Forbidden => StatusCode::FORBIDDEN,
            Status::NotFound => StatusCode::NOT_FOUND,
            Status::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Status::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Status::Conflict => StatusCode::CONFLICT,
            Status::Gone => StatusCode::GONE,
            Status::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Status::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Status::UriTooLong => StatusCode::URI_TOO_LONG,
            Status::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Status::UnprocessableContent => StatusCode::UNPROCESSABLE_ENTITY,
            Status::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Status::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Status::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// An answer that is not a success.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: Status,
    /// What programs compare; never changes once released.
    pub(crate) code: &'static str,
    /// One sentence for the client: what is wrong and what to do.
    message: Box<str>,
    /// What only the log may say.
    for_log: Option<Box<str>>,
    violations: Vec<Violation>,
    /// What the write would do, where it must be confirmed.
    plan: Option<Box<Value>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(crate) fn new(status: Status, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into().into_boxed_str();
        ApiError {
            status,
            code,
            message,
            for_log: None,
            violations: Vec::new(),
            plan: None,
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Status::BadRequest, code, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Status::NotFound, "not_found", message)
    }

    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Status::ServiceUnavailable, code, message)
    }

    /// An [`unavailable`](Self::unavailable) that may be over soon, and says when to ask again.
    pub(crate) fn passing(code: &'static str, message: impl Into<String>) -> Self {
        Self::unavailable(code, message).with_header(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// A fault of ours: the client learns nothing but the request id, the log all of it.
    pub(crate) fn internal(for_log: impl Display) -> Self {
        Self::new(
            Status::InternalServerError,
            "internal",
            "The server failed; its log says more under this request id.",
        )
        .logged(for_log)
    }

    pub(crate) fn logged(mut self, for_log: impl Display) -> Self {
        self.for_log = Some(for_log.to_string().into());
        self
    }

    pub(crate) fn violating(mut self, violations: Vec<Violation>) -> Self {
        self.violations = violations;
        self
    }

    /// Says in each violation that comes from one of `operations` in which document it is: whoever did not
    /// write them knows them by nothing else.
    pub(crate) fn naming(mut self, operations: &[Operation]) -> Self {
        let one = |error: &Self| match error.violations.as_slice() {
            [only] => only.to_string(),
            _ => String::new(),
        };
        let said = one(&self);
        for violation in self.violations.iter_mut().filter(|violation| violation.document.is_none()) {
            let operation = match operations {
                [only] => Some(only),
                _ => violation.change.and_then(|change| operations.get(usize::try_from(change).ok()?)),
            };
            violation.document = operation.map(|operation| operation.key.clone());
        }
        self.violations.iter_mut().for_each(|violation| violation.change = None);
        if !said.is_empty() {
            // Where there is but one, the sentence says it too.
            self.message = self.message.replace(&said, &one(&self)).into();
        }
        self
    }

    /// The same error, as what holds of the fleet at `revision`.
    pub(crate) fn at_revision(mut self, revision: u64) -> Self {
        self.message = format!("At revision {revision}: {}", self.message).into();
        self
    }

    pub(crate) fn planning(mut self, plan: &Plan) -> Self {
        self.plan = serde_json::to_value(plan).ok().map(Box::new);
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Closes the connection: what is left of the request's body would be read as the next request.
    pub(crate) fn closing(self) -> Self {
        self.with_header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// What the log says. Of a refusal the code and the places: its sentences quote what was sent, which
    /// may be a password in the wrong place.
    pub(crate) fn log_text(&self) -> String {
        let mut text = self.code.to_owned();
        if StatusCode::from(self.status).is_server_error() {
            text.push_str(&format!(": {}", self.message));
        }
        for violation in self.violations.iter().take(LOGGED_VIOLATIONS) {
            text.push_str(&format!("; {}", place(violation)));
        }
        if let Some(more) = self.violations.len().checked_sub(LOGGED_VIOLATIONS).filter(|more| *more > 0) {
            text.push_str(&format!("; {more} more"));
        }
        match &self.for_log {
            Some(more) => format!("{text} ({more})"),
            None => text,
        }
    }

    pub(crate) fn into_answer(self, request_id: &str) -> Answer {
        let mut body = json!({ "error": self.code, "message": self.message, "request_id": request_id });
        if !self.violations.is_empty() {
            body["violations"] = self.violations.iter().map(violation_json).collect();
        }
        if let Some(plan) = self.plan {
            body["plan"] = *plan;
        }
        let mut answer: Response<_> = json_answer(self.status.into(), body.to_string());
        answer.headers_mut().extend(self.headers);
        answer
    }
}

/// Where a violation is and its code, without its sentence.
fn place(violation: &Violation) -> String {
    let document = violation.document.as_ref().map(|key| format!("{key} ")).unwrap_or_default();
    format!("{}{} {}", shown(&document), shown(&violation.pointer), violation.code)
}

/// `text`, which somebody sent, for people: on one line, and no longer than a DNS name may be.
fn shown(text: &str) -> String {
    const LONGEST: usize = 253;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

fn violation_json(violation: &Violation) -> Value {
    let mut value = json!({
        "pointer": violation.pointer, "code": violation.code, "message": violation.message,
    });
    if let Some(document) = &violation.document {
        value["document"] = document.to_string().into();
    }
    if let Some(change) = violation.change {
        value["change"] = change.into();
    }
    value
}

pub(crate) fn no_such_document(key: &Key) -> ApiError {
    ApiError::not_found(format!("{key} does not exist."))
}

pub(crate) fn no_such_part(key: &Key, part: &Part) -> ApiError {
    ApiError::not_found(format!("{key}/{}/{} does not exist.", part.field, part.id))
}

/// The answer to a write that the checks refuse.
pub(crate) fn refused(refusal: Refusal) -> ApiError {
    let status = match &refusal {
        Refusal::NotFound(_) => Status::NotFound,
        Refusal::Invalid(_) => Status::BadRequest,
        Refusal::Exists(_) | Refusal::Referenced { .. } | Refusal::Conflict(_) => Status::Conflict,
    };
    let message = match &refusal {
        Refusal::Exists(key) if key.kind == FREEZES => {
            format!("{key} exists already; lift it first, or give this one another id.")
        }
        refusal => sentence(refusal),
    };
    let mut violations = refusal.violations().to_vec();
    // In the order of the changes, whichever check met them first.
    violations.sort_by_key(|violation| violation.change);
    ApiError::new(status, refusal.code(), message).violating(violations)
}

/// Why the poll of `path` by `dns` has no answer; `known` are the paths that there are.
pub(crate) fn unanswered(reason: NoAnswer, dns: &str, path: &str, known: &[&str]) -> ApiError {
    match reason {
        NoAnswer::UnknownCluster => {
            let message = format!("No cluster has the DNS name `{}`.", shown(dns));
            ApiError::new(Status::NotFound, "unknown_cluster", message)
        }
        NoAnswer::UnknownType => {
            let known = known.join(", ");
            let message = format!("No resource type has the path `{}`; there are {known}.", shown(path));
            ApiError::new(Status::NotFound, "unknown_type", message)
        }
        NoAnswer::Held(id) => {
            let message = format!(
                "The cluster {id} was deleted and is held: it keeps what it has until it is restored or wiped at /api/v2/tombstones/{id}."
            );
            ApiError::new(Status::Gone, "held", message)
        }
        NoAnswer::Frozen { freeze, reason } => {
            let message = format!(
                "The cluster is frozen by {freeze} and keeps what it has: {reason}. Delete /api/v2/freezes/{freeze} to lift it."
            );
            ApiError::unavailable("frozen", message)
        }
    }
}

/// Why there is no list of the fleet.
pub(crate) fn unlisted(reason: NoList) -> ApiError {
    let (status, code) = match &reason {
        NoList::NothingWritten => (Status::ServiceUnavailable, "nothing_written"),
        NoList::UnknownEnvironment { .. } => (Status::BadRequest, "invalid_parameter"),
        NoList::NoMatch => (Status::NotFound, "no_match"),
        NoList::TooLarge { .. } => (Status::UnprocessableContent, "too_large"),
    };
    ApiError::new(status, code, sentence(&reason))
}

/// Why there is nothing to explain.
pub(crate) fn unexplained(reason: NoExplanation) -> ApiError {
    let code = match &reason {
        NoExplanation::UnknownType(_) => "unknown_type",
        NoExplanation::UnknownCluster(_) | NoExplanation::UnknownInput(_) => "not_found",
    };
    ApiError::new(Status::NotFound, code, sentence(&reason))
}

/// `text` as a sentence: libraries write clauses, some of which begin with a document's name.
fn sentence(text: &impl Display) -> String {
    let text = text.to_string();
    let named = text.split(' ').next().is_some_and(|word| word.contains('/'));
    let mut chars = text.chars();
    let first = chars.next().map(|first| if named { first.into() } else { first.to_uppercase().to_string() });
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_places_and_no_sentences() {
        let many =
            (0..12).map(|n| Violation::new(format!("/patches/n/k{n}"), "type", "12345 is not a string"));
        let refused = refused(Refusal::Invalid(many.collect()));
        let text = refused.log_text();
        assert!(text.starts_with("invalid; /patches/n/k0 type; /patches/n/k1 type; "), "{text}");
        assert!(text.ends_with("/patches/n/k9 type; 2 more") && !text.contains("12345"), "{text}");
        let away = ApiError::passing("stale", "It is old.").logged("locked");
        assert_eq!(away.log_text(), "stale: It is old. (locked)");
    }

    #[test]
    fn what_was_sent_is_shown_on_one_short_line() {
        assert_eq!(shown("c1.example.com"), "c1.example.com");
        assert_eq!(shown("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shown(&"x".repeat(300)), format!("{}…", "x".repeat(253)));
    }
}
