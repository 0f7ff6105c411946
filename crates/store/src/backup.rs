//! A whole store as one stream of bytes, the same for every backend: JSON lines, of which the first says what
//! follows, and the last how much of it there was and what its bytes add up to.

mod line;
mod read;
mod write;

pub use line::Header;
pub use read::{Reader, restore};
pub use write::write;

use std::io;

use crate::{Error, Position};

/// How much of a backup is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The last revision that was written or read.
    pub revision: u64,
    /// The revision that it ends with.
    pub of: u64,
}

/// Why there is no backup, or why one is not used: one line for people.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What the store says.
    #[error("{0}")]
    Store(#[from] Error),
    /// While the store was read its oldest entries were forgotten, those that were to be read next. The next
    /// attempt starts from where the history begins now.
    #[error("the oldest entries of the history were forgotten while they were read: run it again")]
    Overtaken,
    /// Another store, or an older state of this one, took its place while it was read.
    #[error("another store, or an older one, took the place of this one while it was read: run it again")]
    Replaced,
    /// The backup's bytes cannot be written or read.
    #[error("{0}")]
    Bytes(#[from] io::Error),
    /// It is no backup, or is not as it was written; the line, counted from 1, and what is wrong there.
    #[error("line {0}: {1}")]
    Damaged(u64, String),
    /// The store already holds something, up to this position.
    #[error(
        "the store is at revision {} already, and a restore never overwrites: name an empty database, or a file that does not exist",
        .0.revision
    )]
    NotEmpty(Position),
}
