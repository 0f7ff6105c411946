//! The server's many codes, and lost connections, in the few classes of [`ErrorKind`], each with what a
//! person can do.

use tokio_postgres::error::{Severity, SqlState};

use super::url::PostgresUrl;
use crate::rules::ABSENT;
use crate::{Error, ErrorKind};

/// What went wrong, before it is known as an error of a certain database.
#[derive(Debug)]
pub(super) enum Failure {
    /// Refused by this crate.
    Refused(Error),
    /// There is no store in the database.
    Absent,
    /// Refused by the server, or the way to it was lost, before anything could be made durable.
    Driver(tokio_postgres::Error),
    /// The same, after the server was asked to make something durable.
    Commit(tokio_postgres::Error),
}

/// What the server said, without the details that may repeat a row.
#[derive(Debug, thiserror::Error)]
#[error("{severity}: {message} ({code})")]
struct Said {
    severity: String,
    message: String,
    code: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Refused(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME) => Failure::Absent,
            _ => Failure::Driver(error),
        }
    }
}

impl Failure {
    /// A failure of class `kind` that `sentence` explains.
    pub(super) fn new(kind: ErrorKind, sentence: impl Into<String>) -> Self {
        Failure::Refused(Error::new(kind, sentence))
    }

    /// What `error` means of a statement that makes something durable.
    pub(super) fn of_commit(error: tokio_postgres::Error) -> Self {
        if is_definite(&error) { error.into() } else { Failure::Commit(error) }
    }

    /// The error of the database at `url`.
    pub(super) fn of(self, url: &PostgresUrl) -> Error {
        let place = url.place();
        match self {
            Failure::Refused(Error { kind, message, source }) => {
                Error { kind, message: format!("{place}: {message}"), source }
            }
            Failure::Absent => Error::new(ErrorKind::Unavailable, format!("{place}: {ABSENT}")),
            Failure::Driver(source) => {
                let (kind, sentence) = class(&source);
                caused(Error::new(kind, format!("{place}: {sentence}")), source)
            }
            Failure::Commit(source) => {
                let sentence = "the connection was lost during a commit, which may or may not be in the log";
                caused(Error::new(ErrorKind::Unknown, format!("{place}: {sentence}")), source)
            }
        }
    }
}

fn caused(error: Error, source: tokio_postgres::Error) -> Error {
    match source.as_db_error() {
        None => error.caused_by(source),
        Some(said) => error.caused_by(Said {
            severity: said.severity().into(),
            message: said.message().into(),
            code: said.code().code().into(),
        }),
    }
}

/// Whether a statement that ended so was rolled back. What ends the connection too, or comes from a pooler
/// that lost its own, may have come after the commit.
fn is_definite(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|said| {
        // As the protocol has it: the text is in the server's language.
        said.parsed_severity() == Some(Severity::Error)
            && !matches!(class_of(said.code()), "08" | "57" | "58" | "XX")
            || *said.code() == SqlState::QUERY_CANCELED
    })
}

/// The first two characters; nothing of what is no code.
fn class_of(code: &SqlState) -> &str {
    code.code().get(..2).unwrap_or_default()
}

fn class(error: &tokio_postgres::Error) -> (ErrorKind, &'static str) {
    use ErrorKind::{Corrupt, Invalid, Unavailable};
    let Some(code) = error.code() else {
        return match error.is_closed() {
            true => (Unavailable, "the connection was lost: the server ended or restarts"),
            false if is_untrusted(error) => (
                Unavailable,
                "the server's certificate is of an authority that is not trusted: name a file that holds it in \
                 DATABASE_CA_FILE",
            ),
            false => (
                Unavailable,
                "the server cannot be reached: check that it runs, its address, and its certificate",
            ),
        };
    };
    match code.code() {
        "28000" if asks_for_tls(error) => (
            Unavailable,
            "the server does not let this user in without encryption: add sslmode=require to DATABASE_URL",
        ),
        "3D000" => (Unavailable, "there is no such database: create it"),
        "25006" => (Unavailable, STANDBY),
        "42501" => (Unavailable, "the role may not do this: grant it what the documentation lists"),
        "53100" => (Unavailable, "the server's disk is full and nothing was written: make room"),
        "53300" => (Unavailable, "the server has no connection left: raise max_connections"),
        "55P03" => (Unavailable, "another process keeps the log locked: wait for it or end it"),
        "57014" => (Unavailable, "the server took too long and nothing was written: try again"),
        "22021" | "22P05" => (Invalid, "a text holds a character that PostgreSQL cannot store"),
        "54000" => (Invalid, "a document is larger than PostgreSQL can hold"),
        "XX001" | "XX002" => (Corrupt, "the database is damaged: keep a copy of it and restore a backup"),
        _ => match class_of(code) {
            "28" => (Unavailable, "the server refuses the user or the password: check DATABASE_URL"),
            "53" | "54" => (Unavailable, "the server is short of memory or of something else: see its log"),
            "57" => (Unavailable, "the server ends, starts or recovers: wait for it"),
            "58" => (Unavailable, "the server's disk failed to read or write: check it"),
            "42" | "23" => (Corrupt, FOREIGN),
            _ => (Unavailable, "the server did not do it: see what it said"),
        },
    }
}

/// Whether a line of its pg_hba.conf might let us in with TLS. The code alone does not tell.
fn asks_for_tls(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|said| said.message().ends_with("no encryption"))
}

/// Whether no authority that we trust knows the server's certificate.
fn is_untrusted(error: &tokio_postgres::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        // What an I/O error was made of is not its source.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let said = cause.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if let Some(rustls::Error::InvalidCertificate(why)) = said {
            return *why == rustls::CertificateError::UnknownIssuer;
        }
        next = cause.source();
    }
    false
}

/// A server that follows another: what it holds was the head once.
pub(super) const STANDBY: &str = "the server is a standby, or lets nothing be written, and so cannot tell what the head is: name the primary";
/// What stands in our place and was not made by this software.
pub(super) const FOREIGN: &str =
    "the schema flux_resourceset is not a store of this software and was left as it is: check the database";

/// The refusal of a schema that is not a store.
pub(super) fn foreign() -> Failure {
    Failure::new(ErrorKind::Corrupt, FOREIGN)
}
