//! Why a store could not do what was asked, classed by what the caller can do about it.

use std::error::Error as StdError;

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again later: it is away, locked, full or read-only. Nothing was written.
    Unavailable,
    /// A commit was sent and its outcome is not known: look for its entry id in the log.
    Unknown,
    /// A person must act: what is there is damaged or was not written by this software.
    Corrupt,
    /// Another store stands where this one was opened: nothing that it holds may be followed.
    Replaced,
    /// A newer release must run: the store says that this one may not read it.
    TooNew,
    /// The revision asked for is above the head, or before the history begins.
    NotFound,
    /// The caller broke the contract of [`commit`](crate::Store::commit): a bug. Nothing was written.
    Invalid,
}

/// A store's failure: one sentence for people, and the driver's own error behind it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the caller can do.
    pub kind: ErrorKind,
    /// One sentence that names the store and what is wrong.
    pub message: String,
    /// The driver's error, for the log; its type is no part of this interface.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a driver's error behind it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// The same error with what caused it.
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}
