//! A write: what is asked and on what conditions, whether it may be made of a Fleet, and what came of it.
//! How writes are stored is in `writer.rs`.

use std::sync::Arc;

use flux_resourceset_merge::{Fleet, Plan, Prepared};
use flux_resourceset_model::Body;
use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, EntryId, Key, Operation, Part};

use crate::error::{ApiError, refused};
use crate::guard::{self, Confirmation};
use crate::precondition::{EntityTag, Precondition};
use crate::view::Head;

/// What a request asks for, once it is known of which fleet: made anew for every head that it is checked against.
pub(crate) type Wanted = Arc<dyn Fn(&Fleet) -> Result<Vec<Operation>, ApiError> + Send + Sync>;

/// A write as asked, with who asks and on what conditions.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) wanted: Wanted,
    pub(crate) condition: Option<Condition>,
    pub(crate) confirmation: Confirmation,
    /// Says what the plan is between, where it is not what the write itself changes.
    pub(crate) since: Option<guard::Since>,
    pub(crate) principal: Arc<str>,
    pub(crate) reason: Option<String>,
    pub(crate) request_id: String,
}

/// What a document, or a part of one, must be for the write to happen.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) key: Key,
    pub(crate) part: Option<Part>,
    /// Whether the write may make what is not there.
    pub(crate) creates: bool,
    pub(crate) precondition: Precondition,
}

/// What came of a write.
pub(crate) enum Outcome {
    /// Nothing: only the plan was asked for.
    Planned(Box<Planned>),
    Done(Box<Done>),
}

/// A write as it would be done.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) before: Fleet,
    pub(crate) documents: Vec<DocumentChange>,
}

/// A write as done.
pub(crate) struct Done {
    /// What it was made on top of.
    pub(crate) before: Head,
    pub(crate) operations: Vec<Operation>,
    /// `None` where there was nothing to change.
    pub(crate) entry: Option<Entry>,
}

impl Done {
    pub(crate) fn of(before: Head, entry: Entry) -> Box<Self> {
        Box::new(Done { before, operations: entry.change_set.operations.clone(), entry: Some(entry) })
    }

    /// The document `key` as it is now, or where it is gone as it was last, and the revision that wrote it.
    pub(crate) fn document(&self, key: &Key) -> Result<(Vec<u8>, u64), ApiError> {
        let written = self.entry.as_ref().and_then(|entry| {
            let change = entry.change_set.documents.iter().find(|change| change.key == *key)?;
            Some((change.body.clone()?, entry.revision))
        });
        let before = || {
            let document = self.before.fleet.get(key)?;
            Some((document.body().into_owned(), document.revision()))
        };
        written.or_else(before).ok_or_else(|| ApiError::internal("a write left no document and met none"))
    }

    /// The revision that the fleet has with it.
    pub(crate) fn revision(&self) -> u64 {
        self.entry.as_ref().map_or(self.before.position.revision, |entry| entry.revision)
    }
}

/// Whether a write may be made.
pub(crate) enum Checked {
    /// Nothing is to be stored, which is what came of it.
    Nothing(Outcome),
    Changes {
        change_set: Box<ChangeSet>,
        /// The fleet that everyone who follows the store will make of it.
        next: Box<Fleet>,
    },
}

/// What `ask` would change in `head`, if it may, as the entry `id`. Pure.
pub(crate) fn check(head: &Head, ask: &Ask, id: EntryId, removal_limit: usize) -> Result<Checked, ApiError> {
    if let Some(condition) = &ask.condition {
        condition.check(&head.fleet)?;
    }
    let operations = (ask.wanted)(&head.fleet)?;
    let prepared = head.fleet.prepare(&operations).map_err(refused)?;
    if let Some(plan) = guard::judge(&head.fleet, &operations, &prepared, ask, removal_limit)? {
        let planned = Planned { plan, before: head.fleet.clone(), documents: prepared.documents };
        return Ok(Checked::Nothing(Outcome::Planned(Box::new(planned))));
    }
    if prepared.documents.is_empty() {
        let done = Done { before: head.clone(), operations, entry: None };
        return Ok(Checked::Nothing(Outcome::Done(Box::new(done))));
    }
    // What nobody could follow must never be stored.
    let next = prepared.next(&head.fleet);
    let next = next.map_err(|error| ApiError::internal(format_args!("cannot be followed: {error}")))?;
    let change_set = change_set(ask, id, operations, prepared);
    Ok(Checked::Changes { change_set: Box::new(change_set), next: Box::new(next) })
}

impl Condition {
    fn check(&self, fleet: &Fleet) -> Result<(), ApiError> {
        if self.precondition == Precondition::default() {
            return Ok(());
        }
        let document = fleet.get(&self.key);
        let tag = document.and_then(|document| match &self.part {
            None => Some(EntityTag::of(document.revision(), &document.body())),
            Some(part) => {
                let part = fleet.part(&self.key, part)?;
                Some(EntityTag::of(document.revision(), &bytes_of(&part)))
            }
        });
        // What is not there, and will not be, is 404 whatever its tag was to be (RFC 9110, 13.2.1).
        let may_be_made = self.creates && (self.part.is_none() || document.is_some());
        if tag.is_some() || may_be_made {
            self.precondition.check(tag.as_ref())?;
        }
        Ok(())
    }
}

/// A part as it is answered and tagged.
pub(crate) fn bytes_of(part: &Body) -> Vec<u8> {
    serde_json::to_vec(part).unwrap_or_default()
}

pub(crate) fn change_set(
    ask: &Ask,
    entry: EntryId,
    operations: Vec<Operation>,
    prepared: Prepared,
) -> ChangeSet {
    ChangeSet {
        entry,
        principal: ask.principal.to_string(),
        reason: ask.reason.clone(),
        request_id: ask.request_id.clone(),
        operations,
        documents: prepared.documents,
        min_reader: prepared.min_reader,
    }
}
