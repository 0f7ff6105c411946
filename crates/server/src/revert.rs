//! Undoing a past change: what undoes it is worked out on every head that it is checked against, and
//! who changed the same since is looked up only for those who must be told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flux_resourceset_merge::{Field, Fleet, PastChange, RevertConflict, Reverted, changed_between};
use flux_resourceset_model::change::{Key, Operation};
use flux_resourceset_model::{Body, FREEZES, Violation};
use flux_resourceset_store::{EntryDetail, Revised, Store};
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::answer::{Answer, json_answer};
use crate::changes::changed;
use crate::error::{ApiError, Status};
use crate::guard::Confirmation;
use crate::history;
use crate::query::Query;
use crate::service::{Notes, Service};
use crate::versions::{Walk, author};
use crate::view::Head;
use crate::write::{Outcome, Wanted};

/// How many later changes the sentence about a field names; the newest ones.
const NAMED: usize = 3;
/// The code of a field that was changed again since.
const CHANGED_SINCE: &str = "changed_since";

impl Service {
    /// Undoes what made the revision `text`.
    pub(crate) async fn revert(
        &self,
        text: &str,
        query: &Query,
        parts: &Parts,
        notes: &Notes,
    ) -> Result<Answer, ApiError> {
        let revision = history::revision(text)?;
        let head = self.view.now().writable()?.clone();
        let revert = Revert::load(&head, revision, query.flag("skip_conflicts")?).await?;
        let mut ask = self.ask(parts, query, notes, revert.wanted())?;
        ask.since = match revert.lifts().filter(|key| head.fleet.get(key).is_some()) {
            Some(freeze) if ask.confirmation != Confirmation::default() => Some(self.since(freeze).await?),
            _ => None,
        };
        ask.confirmation.unnamed = true;
        // Where reasons are required, which change it was is not one.
        if !self.config.require_reason {
            ask.reason = ask.reason.or_else(|| Some(revert.reason()));
        }
        let outcome = self.outcome(ask).await;
        revert.answer(&*head.store, outcome).await
    }
}

/// A past change that is to be undone.
#[derive(Clone)]
struct Revert {
    revision: u64,
    changes: Arc<[PastChange]>,
    /// Whether what was changed again since is left as it is.
    skip_conflicts: bool,
    /// What undoes it in the fleet that it was worked out on last, which is the one that counts.
    found: Arc<Mutex<Reverted>>,
}

impl Revert {
    async fn load(head: &Head, revision: u64, skip_conflicts: bool) -> Result<Self, ApiError> {
        let EntryDetail { documents, .. } = history::load(head, revision, 0, usize::MAX).await?;
        // It may have changed every cluster, and polls go on meanwhile.
        let parsed = spawn_blocking(move || documents.into_iter().map(past_change).collect());
        let changes: Result<_, serde_json::Error> = parsed.await.map_err(ApiError::internal)?;
        let changes = changes.map_err(ApiError::internal)?;
        Ok(Revert { revision, changes, skip_conflicts, found: Arc::default() })
    }

    /// The freeze that this lifts, where that is all that it does.
    fn lifts(&self) -> Option<&Key> {
        match &*self.changes {
            [PastChange { key, before: None, .. }] if key.kind == FREEZES => Some(key),
            _ => None,
        }
    }

    /// Why, where nobody says it.
    fn reason(&self) -> String {
        format!("revert of revision {}", self.revision)
    }

    fn wanted(&self) -> Wanted {
        let revert = self.clone();
        Arc::new(move |fleet: &Fleet| revert.undo(fleet))
    }

    fn undo(&self, fleet: &Fleet) -> Result<Vec<Operation>, ApiError> {
        let found = fleet.revert(&self.changes);
        let (operations, conflicts) = (found.operations.clone(), found.conflicts.len());
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
        if conflicts > 0 && !self.skip_conflicts { Err(conflict(self.revision)) } else { Ok(operations) }
    }

    fn found(&self) -> Reverted {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is answered to what came of it.
    async fn answer(
        &self,
        store: &dyn Store,
        outcome: Result<Outcome, ApiError>,
    ) -> Result<Answer, ApiError> {
        let Reverted { operations, conflicts } = self.found();
        let (mut answer, is_done) = match outcome {
            Err(error) if error.code == conflict(self.revision).code => {
                let found = self.changed_since(store, conflicts).await?;
                return Err(error.violating(found.iter().map(Conflict::violation).collect()));
            }
            Err(error) => return Err(error.naming(&operations)),
            Ok(Outcome::Planned(planned)) => {
                (serde_json::to_value(&planned.plan).map_err(ApiError::internal)?, false)
            }
            Ok(Outcome::Done(done)) => (changed(&done), true),
        };
        let skipped = match self.changed_since(store, conflicts.clone()).await {
            // Whatever cannot be read now, it is done.
            Err(error) if is_done => {
                tracing::warn!(code = error.code, "who changed what a revert left cannot be read");
                let conflicts = conflicts.into_iter();
                conflicts
                    .map(|RevertConflict { document, field }| Conflict {
                        document,
                        field,
                        changed_by: Vec::new(),
                    })
                    .collect()
            }
            skipped => skipped?,
        };
        answer["skipped"] = skipped.iter().map(Conflict::to_json).collect();
        Ok(json_answer(StatusCode::OK, answer.to_string()))
    }

    /// Who changed the fields of `conflicts` since.
    async fn changed_since(
        &self,
        store: &dyn Store,
        conflicts: Vec<RevertConflict>,
    ) -> Result<Vec<Conflict>, ApiError> {
        let mut documents: BTreeMap<Key, Vec<Field>> = BTreeMap::new();
        for RevertConflict { document, field } in conflicts {
            documents.entry(document).or_default().push(field);
        }
        let mut walk = Walk::new(store);
        let mut found = Vec::new();
        for (document, fields) in documents {
            let later = Later::of(&mut walk, &document, self.revision).await?;
            found.extend(fields.into_iter().map(|field| {
                let changed_by = later.touching(&document, &field);
                Conflict { document: document.clone(), field, changed_by }
            }));
        }
        Ok(found)
    }
}

fn past_change(document: Revised) -> Result<PastChange, serde_json::Error> {
    let body = |body: Option<Vec<u8>>| body.map(|body| serde_json::from_slice::<Body>(&body)).transpose();
    let (before, after) = (body(document.before)?, body(document.after)?);
    Ok(PastChange { key: document.key, before, after })
}

/// The versions of a document from the change that is undone on, newest first.
#[derive(Default)]
struct Later {
    versions: Vec<(u64, Option<Body>)>,
    authors: BTreeMap<u64, Value>,
}

impl Later {
    async fn of(walk: &mut Walk<'_>, key: &Key, since: u64) -> Result<Self, ApiError> {
        let mut later = Later::default();
        let seen = walk.back(key, None, |version, body| {
            later.versions.push((version.revision, body.cloned()));
            later.authors.insert(version.revision, author(version));
            version.revision <= since
        });
        // A walk that ended early names those that it met.
        seen.await?;
        Ok(later)
    }

    /// Those that changed `field`, newest first.
    fn touching(&self, key: &Key, field: &Field) -> Vec<Value> {
        let oldest_first = self.versions.iter().rev();
        let versions = oldest_first.map(|(revision, body)| (*revision, body.as_ref()));
        let touched = changed_between(&key.kind, field, versions).into_iter().rev();
        touched.filter_map(|revision| self.authors.get(&revision).cloned()).collect()
    }
}

/// A field that is left as it is, and who made it so.
struct Conflict {
    document: Key,
    field: Field,
    /// Newest first; none where they cannot be read.
    changed_by: Vec<Value>,
}

impl Conflict {
    fn to_json(&self) -> Value {
        json!({"document": self.document.to_string(), "field": self.field, "changed_by": self.changed_by})
    }

    fn violation(&self) -> Violation {
        let steps = self.field.to_string();
        let pointer = if steps.is_empty() { steps } else { format!("/{steps}") };
        let mut names: Vec<_> = self.changed_by.iter().take(NAMED).map(named).collect();
        if let Some(more) = self.changed_by.len().checked_sub(NAMED).filter(|more| *more > 0) {
            names.push(format!("{more} earlier ones"));
        }
        let by = if names.is_empty() { String::new() } else { format!(" by {}", names.join(", ")) };
        Violation::new(pointer, CHANGED_SINCE, format!("was changed since{by}")).of(self.document.clone())
    }
}

/// A later change in words: `revision 12 (writer at 2026-01-31T12:00:00.000Z: upgrade)`.
fn named(change: &Value) -> String {
    let text = |field| change[field].as_str().unwrap_or_default();
    let because = if text("reason").is_empty() { String::new() } else { format!(": {}", text("reason")) };
    format!("revision {} ({} at {}{because})", change["revision"], text("principal"), text("at"))
}

fn conflict(revision: u64) -> ApiError {
    let message = format!(
        "Nothing was changed, since fields that revision {revision} changed were changed again later; with skip_conflicts=true those stay as they are and the rest is undone."
    );
    ApiError::new(Status::Conflict, "revert_conflict", message)
}
