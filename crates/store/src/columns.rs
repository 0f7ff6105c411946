//! How revisions, counts and operations stand in a database's columns, for every backend that has one.

use flux_resourceset_model::change::Operation;
use serde::Deserialize;

use crate::{Error, ErrorKind};

/// No log comes near the largest integer of a column, so what lies beyond is as good as it.
pub(crate) fn number(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

/// A limit or an amount, as [`number`] has a revision.
pub(crate) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// `operations` as the log holds them.
pub(crate) fn json(operations: &[Operation]) -> Result<String, Error> {
    serde_json::to_string(operations).map_err(|source| {
        Error::new(ErrorKind::Invalid, "an operation cannot be written as JSON").caused_by(source)
    })
}

/// What [`json`] wrote.
pub(crate) fn operations(text: &str) -> Result<Vec<Operation>, Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    // What was accepted from a client stands a few levels deeper here.
    json.disable_recursion_limit();
    Vec::deserialize(&mut json).map_err(|source| {
        let sentence = "the log holds an operation that this software did not write: restore a backup";
        Error::new(ErrorKind::Corrupt, sentence).caused_by(source)
    })
}
