//! SQLite's many result codes in the few classes of [`ErrorKind`], each with what a person can do.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::{Error, ErrorKind};

/// What went wrong inside a transaction, before it is known as an error of a certain file.
#[derive(Debug)]
pub(super) enum Failure {
    /// Refused by this crate.
    Refused(Error),
    /// Refused by SQLite before anything was made durable.
    Driver(rusqlite::Error),
    /// Refused by SQLite while it made a commit durable.
    Commit(rusqlite::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Refused(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Driver(error)
    }
}

impl Failure {
    /// A failure of class `kind` that `sentence` explains.
    pub(super) fn new(kind: ErrorKind, sentence: impl Into<String>) -> Self {
        Failure::Refused(Error::new(kind, sentence))
    }

    /// The error of the store at `path`.
    pub(super) fn of(self, path: &Path) -> Error {
        let (kind, sentence, source) = match self {
            Failure::Refused(Error { kind, message, source }) => {
                return Error { kind, message: format!("{}: {message}", path.display()), source };
            }
            Failure::Driver(source) => {
                let (kind, sentence) = class(&source);
                (kind, sentence, source)
            }
            Failure::Commit(source) => {
                let (kind, sentence) = class_of_commit(&source);
                (kind, sentence, source)
            }
        };
        Error::new(kind, format!("{}: {sentence}", path.display())).caused_by(source)
    }
}

fn class(error: &rusqlite::Error) -> (ErrorKind, &'static str) {
    use ErrorKind::{Corrupt, Invalid, Unavailable};
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (Unavailable, "the disk is full and nothing was written: make room"),
        Some(ErrorCode::ReadOnly) => {
            // SQLite opens such a file for reading, and never tries again.
            (
                Unavailable,
                "the file or its folder is read-only and nothing was written: make both writable, and restart this process if they were not when it started",
            )
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            (Unavailable, "another process keeps the file locked: wait for it or end it")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            (Unavailable, "the file cannot be opened: check that its folder exists and may be written")
        }
        Some(ErrorCode::SystemIoFailure) => (Unavailable, "the disk failed to read or write: check it"),
        Some(ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted | ErrorCode::OperationAborted) => {
            (Unavailable, "the work was not finished, memory may be short: try again")
        }
        Some(ErrorCode::TooBig) => (Invalid, "a document is larger than SQLite can hold"),
        Some(ErrorCode::NotADatabase) => (Corrupt, "the file is not a SQLite database: check the path"),
        Some(ErrorCode::DatabaseCorrupt) => {
            (Corrupt, "the file is damaged: keep a copy of it and restore a backup")
        }
        _ => {
            (Corrupt, "the file holds what this software does not write: check the path or restore a backup")
        }
    }
}

/// A disk that fails under a commit may have taken all of it.
fn class_of_commit(error: &rusqlite::Error) -> (ErrorKind, &'static str) {
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) => (
            ErrorKind::Unknown,
            "the disk failed during a commit, which may or may not be in the log: check the disk",
        ),
        _ => class(error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[track_caller]
    fn check(code: i32, before: ErrorKind, during: ErrorKind) {
        let error = || rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let path = Path::new("fleet.db");
        let failed = Failure::Driver(error()).of(path);
        assert_eq!(failed.kind, before);
        assert!(failed.message.starts_with("fleet.db: ") && failed.source.is_some(), "{failed:?}");
        assert_eq!(Failure::Commit(error()).of(path).kind, during);
    }

    #[test]
    fn only_a_disk_failing_under_a_commit_is_unknown() {
        check(ffi::SQLITE_IOERR_FSYNC, ErrorKind::Unavailable, ErrorKind::Unknown);
        check(ffi::SQLITE_IOERR_WRITE, ErrorKind::Unavailable, ErrorKind::Unknown);
        check(ffi::SQLITE_FULL, ErrorKind::Unavailable, ErrorKind::Unavailable);
        check(ffi::SQLITE_BUSY, ErrorKind::Unavailable, ErrorKind::Unavailable);
        check(ffi::SQLITE_READONLY_DBMOVED, ErrorKind::Unavailable, ErrorKind::Unavailable);
        check(ffi::SQLITE_CORRUPT, ErrorKind::Corrupt, ErrorKind::Corrupt);
        check(ffi::SQLITE_NOTADB, ErrorKind::Corrupt, ErrorKind::Corrupt);
        check(ffi::SQLITE_ERROR, ErrorKind::Corrupt, ErrorKind::Corrupt);
    }
}
