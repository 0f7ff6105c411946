//! Every answer that is not a success: its status, its stable code, the text for the client and,
//! apart from it, the text for the log. The one place where errors of other kinds become these.

use std::fmt::Display;

use flux_resourceset_merge::{NoAnswer, NoList, Refusal};
use flux_resourceset_model::Violation;
use flux_resourceset_model::change::Key;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::answer::{Answer, json_answer};

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
    PreconditionFailed,
    PayloadTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    UnprocessableContent,
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
            Status::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Status::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Status::UriTooLong => StatusCode::URI_TOO_LONG,
            Status::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Status::UnprocessableContent => StatusCode::UNPROCESSABLE_ENTITY,
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
    message: String,
    /// What only the log may say.
    for_log: Option<String>,
    violations: Vec<Violation>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(crate) fn new(status: Status, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        ApiError { status, code, message, for_log: None, violations: Vec::new(), headers: Vec::new() }
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
        self.for_log = Some(for_log.to_string());
        self
    }

    pub(crate) fn violating(mut self, violations: Vec<Violation>) -> Self {
        self.violations = violations;
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

    pub(crate) fn log_text(&self) -> String {
        match &self.for_log {
            Some(more) => format!("{}: {} ({more})", self.code, self.message),
            None => format!("{}: {}", self.code, self.message),
        }
    }

    pub(crate) fn into_answer(self, request_id: &str) -> Answer {
        let mut body = json!({ "error": self.code, "message": self.message, "request_id": request_id });
        if !self.violations.is_empty() {
            body["violations"] = self.violations.iter().map(violation_json).collect();
        }
        let mut answer: Response<_> = json_answer(self.status.into(), body.to_string());
        answer.headers_mut().extend(self.headers);
        answer
    }
}

fn violation_json(violation: &Violation) -> Value {
    let mut value = json!({
        "pointer": violation.pointer, "code": violation.code, "message": violation.message,
    });
    if let Some(document) = &violation.document {
        value["document"] = document.to_string().into();
    }
    value
}

pub(crate) fn no_such_document(key: &Key) -> ApiError {
    ApiError::not_found(format!("{key} does not exist."))
}

/// The answer to a write that the checks refuse.
pub(crate) fn refused(refusal: Refusal) -> ApiError {
    let status = match &refusal {
        Refusal::NotFound(_) => Status::NotFound,
        Refusal::Invalid(_) => Status::BadRequest,
        Refusal::Exists(_) | Refusal::Referenced { .. } | Refusal::Conflict(_) => Status::Conflict,
    };
    let message = sentence(&refusal);
    let violations = refusal.violations().to_vec();
    ApiError::new(status, refusal.code(), message).violating(violations)
}

/// Why a poll has no answer.
pub(crate) fn unanswered(reason: NoAnswer) -> ApiError {
    let code = match reason {
        NoAnswer::UnknownCluster => "unknown_cluster",
        NoAnswer::UnknownType => "unknown_type",
    };
    ApiError::new(Status::NotFound, code, sentence(&reason))
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

/// `text` as a sentence: libraries write clauses, some of which begin with a document's name.
fn sentence(text: &impl Display) -> String {
    let text = text.to_string();
    let named = text.split(' ').next().is_some_and(|word| word.contains('/'));
    let mut chars = text.chars();
    let first = chars.next().map(|first| if named { first.into() } else { first.to_uppercase().to_string() });
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), chars.as_str())
}
