//! The seed file: an empty store's first documents, checked whole and committed as one change set.
//! What it must hold is the merge's to say; this reads it and names it in errors.

use std::path::Path;

use flux_resourceset_merge::{Fleet, PreparedFile};
use flux_resourceset_model::change::{ChangeSet, EntryId};
use uuid::Uuid;

use crate::json;

/// Why a seed file cannot be used: one line, or one and a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SeedError(String);

/// The change set that fills an empty `fleet` with what the file at `path` holds.
pub(crate) fn change_set(path: &Path, fleet: &Fleet) -> Result<ChangeSet, SeedError> {
    let wrong = |what: String| SeedError(format!("SEED_FILE {}: {what}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let value = json::parse(&text).map_err(|error| wrong(format!("is not valid JSON: {error}")))?;
    let prepared = fleet.prepare_file(&value);
    let PreparedFile { operations, documents, min_reader } = prepared.map_err(|violations| {
        let lines: String = violations.iter().map(|violation| format!("\n  {violation}")).collect();
        wrong(format!("is refused and nothing was stored; violations: {}{lines}", violations.len()))
    })?;
    Ok(ChangeSet {
        entry: EntryId(Uuid::new_v4().as_u128()),
        principal: "seed".into(),
        reason: None,
        request_id: Uuid::new_v4().to_string(),
        operations,
        documents,
        min_reader,
    })
}
