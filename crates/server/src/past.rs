//! The fleet as it was: read from the store's history, for those who operate it.

use flux_resourceset_merge::Fleet;
use flux_resourceset_store::ErrorKind;
use tokio::task::spawn_blocking;

use crate::error::{ApiError, Status};
use crate::follow;
use crate::view::Head;

/// The fleet of `revision`, which is not above the head.
pub(crate) async fn fleet(head: &Head, revision: u64) -> Result<Fleet, ApiError> {
    let snapshot = follow::answered(head.store.load(Some(revision))).await.map_err(|error| {
        if error.kind == ErrorKind::NotFound { cut(revision) } else { unreadable(&error) }
    })?;
    let rules = head.fleet.rules().clone();
    let load = move || {
        let documents = snapshot.documents.into_iter();
        Fleet::load(rules, revision, documents.map(|stored| (stored.key, stored.revision, stored.body)))
    };
    let loaded = spawn_blocking(load).await.map_err(ApiError::internal)?;
    loaded.map_err(ApiError::internal)
}

/// The history no longer reaches back to `revision`.
fn cut(revision: u64) -> ApiError {
    let message = format!("The history no longer reaches back to revision {revision} (HISTORY_DAYS).");
    ApiError::new(Status::NotFound, "history_cut", message)
}

fn unreadable(error: &flux_resourceset_store::Error) -> ApiError {
    let message = "The store cannot be read now: try again.";
    ApiError::passing("store_unavailable", message).logged(follow::describe(error))
}
