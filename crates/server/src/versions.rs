//! Walking the versions of documents back, a page at a time, for those who ask who changed something.
//! One request looks at so many versions and at no more, however long the history is.

use flux_resourceset_model::Body;
use flux_resourceset_model::change::Key;
use flux_resourceset_store::{Store, Version};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::follow;
use crate::past::unreadable;
use crate::time::rfc3339;

/// How many versions are asked for at once.
const PAGE: usize = 32;
/// How many versions one request looks at.
const MOST: usize = 10_000;

/// One request's way back through the history.
pub(crate) struct Walk<'a> {
    store: &'a dyn Store,
    left: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(store: &'a dyn Store) -> Self {
        Walk::of(store, MOST)
    }

    /// One that looks at so many versions at most.
    pub(crate) fn of(store: &'a dyn Store, left: usize) -> Self {
        Walk { store, left }
    }

    /// How many versions it may still look at.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Shows `see` the versions of `key` below the revision `below`, newest first, until it has seen
    /// enough. False where the walk ended before that and before the first version.
    pub(crate) async fn back(
        &mut self,
        key: &Key,
        mut below: Option<u64>,
        mut see: impl FnMut(&Version, Option<&Body>) -> bool,
    ) -> Result<bool, ApiError> {
        while self.left > 0 {
            let page = self.left.min(PAGE);
            let versions = follow::answered(self.store.versions(key, below, page)).await;
            let versions = versions.map_err(unreadable)?;
            // A question that finds nothing is work too.
            self.left -= versions.len().max(1);
            for version in &versions {
                if see(version, body(version)?.as_ref()) {
                    return Ok(true);
                }
            }
            if versions.len() < page {
                return Ok(true);
            }
            below = versions.last().map(|version| version.revision);
        }
        Ok(false)
    }
}

fn body(version: &Version) -> Result<Option<Body>, ApiError> {
    let parsed = version.body.as_deref().map(serde_json::from_slice).transpose();
    parsed.map_err(ApiError::internal)
}

/// Who wrote a version, when and why.
pub(crate) fn author(version: &Version) -> Value {
    json!({
        "revision": version.revision, "at": rfc3339(version.at),
        "principal": version.principal, "reason": version.reason,
    })
}

#[cfg(test)]
mod tests {
    use flux_resourceset_model::change::{ChangeSet, DocumentChange, EntryId, READER_VERSION};
    use flux_resourceset_store::{MemoryStore, Position};

    use super::*;

    async fn written(times: u64) -> MemoryStore {
        let store = MemoryStore::new();
        let change_set = |n: u64| ChangeSet {
            entry: EntryId(u128::from(n)),
            principal: "writer".into(),
            reason: None,
            request_id: "test".into(),
            operations: Vec::new(),
            documents: vec![DocumentChange {
                key: Key::new("namespaces", "n"),
                body: Some(format!("{{\"id\":\"n\",\"n\":{n}}}").into_bytes()),
            }],
            min_reader: READER_VERSION,
        };
        store.commit(Position::START, (1..=times).map(change_set).collect()).await.unwrap();
        store
    }

    #[tokio::test]
    async fn a_walk_goes_back_page_by_page_and_ends_when_it_has_seen_enough() {
        let (store, key) = (written(100).await, Key::new("namespaces", "n"));
        for (left, below, enough, (oldest, newest), whole) in [
            (MOST, None, 0, (1, 100), true),
            (MOST, Some(51), 0, (1, 50), true),
            (MOST, None, 60, (60, 100), true),
            (40, None, 0, (61, 100), false),
            (40, None, 61, (61, 100), true),
        ] {
            let mut walk = Walk { store: &store, left };
            let mut revisions = Vec::new();
            let ended = walk.back(&key, below, |version, body| {
                revisions.push(version.revision);
                assert_eq!(body.unwrap()["n"], version.revision);
                version.revision == enough
            });
            assert_eq!(ended.await.unwrap(), whole, "{left} {below:?} {enough}");
            assert_eq!(revisions, (oldest..=newest).rev().collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn what_finds_nothing_is_work_too() {
        let store = written(1).await;
        let mut walk = Walk { store: &store, left: 2 };
        let nothing = Key::new("namespaces", "none");
        for whole in [true, true, false] {
            assert_eq!(walk.back(&nothing, None, |_, _| false).await.unwrap(), whole);
        }
    }
}
