//! The way of a write: checked against the current Fleet, planned, committed if the store's head is
//! still that Fleet's, swapped in. One at a time in this process; other processes are met by the commit.

use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_merge::{Fleet, Plan, Prepared};
use flux_resourceset_model::Body;
use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, EntryId, Key, Operation, Part};
use flux_resourceset_store::{Changes, Committed, Error, ErrorKind, Position};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::error::{ApiError, refused};
use crate::follow::{self, Behind, Pauses};
use crate::guard::{self, Confirmation};
use crate::precondition::{EntityTag, Precondition};
use crate::view::{Head, Moment, Mute, View};

/// How often a write is checked anew because the head moved under it.
const TRIES: usize = 16;
/// How many commits may end unsaid before nothing more is tried.
const DOUBTS: usize = 3;
/// How long a commit of unknown outcome is looked for.
const LOOK_FOR: Duration = Duration::from_secs(10);
/// After this a commit counts as one of unknown outcome, so that it does not hold up all others.
const LONGEST_COMMIT: Duration = Duration::from_secs(30);

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
    fn of(before: Head, entry: Entry) -> Box<Self> {
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

/// The one writer of this process.
pub(crate) struct Writer {
    view: Arc<View>,
    /// On how many clusters a write may destroy something without being confirmed.
    removal_limit: usize,
    turn: Mutex<()>,
}

impl Writer {
    pub(crate) fn new(view: Arc<View>, removal_limit: usize) -> Self {
        Writer { view, removal_limit, turn: Mutex::new(()) }
    }

    /// Writes, in a task of its own: whoever asked may go away meanwhile, and the commit still ends
    /// with the Fleet swapped in.
    pub(crate) async fn write(self: &Arc<Self>, ask: Ask) -> Result<Outcome, ApiError> {
        let writer = Arc::clone(self);
        let task = tokio::spawn(async move {
            let _turn = writer.turn.lock().await;
            writer.write_in_turn(&ask).await
        });
        task.await
            .unwrap_or_else(|error| Err(ApiError::internal(format_args!("the write ended early: {error}"))))
    }

    /// Returns when no write is under way.
    pub(crate) async fn idle(&self) {
        drop(self.turn.lock().await);
    }

    async fn write_in_turn(&self, ask: &Ask) -> Result<Outcome, ApiError> {
        let id = EntryId(Uuid::new_v4().as_u128());
        let mut doubt: Option<Doubt> = None;
        for _ in 0..TRIES {
            let attempt = self.attempt(ask, id, &mut doubt).await;
            if let Ok(Some(outcome)) = attempt {
                return Ok(outcome);
            }
            // An error is no news of a commit before it: in doubt the log decides what is said.
            let Some(open) = &doubt else {
                attempt?;
                continue;
            };
            match look_for(open, id).await? {
                Trace::Ours(entry) => return Ok(self.found(&open.before, *entry).await),
                Trace::Never => {
                    doubt = None;
                    attempt?;
                    self.catch_up().await?;
                }
                Trace::None if attempt.is_err() || open.times >= DOUBTS => return Err(unknown(&open.error)),
                Trace::None => {}
            }
        }
        Err(doubt.map_or_else(contended, |open| unknown(&open.error)))
    }

    /// One try: what came of it, or `None` where it takes another one.
    async fn attempt(
        &self,
        ask: &Ask,
        id: EntryId,
        doubt: &mut Option<Doubt>,
    ) -> Result<Option<Outcome>, ApiError> {
        let head = self.view.now().writable()?.clone();
        if doubt.as_ref().is_some_and(|doubt| doubt.before.position != head.position) {
            // The log has gone on: first what stands in the doubtful commit's place, be it ours.
            return Ok(None);
        }
        match checked(&head, ask, self.removal_limit).await {
            Ok(Checked::Changes { operations, prepared, next }) => {
                match self.commit(&head, change_set(ask, id, operations, *prepared), *next).await? {
                    Committing::Done(entry) => return Ok(Some(Outcome::Done(Done::of(head, entry)))),
                    Committing::Moved => self.catch_up().await?,
                    Committing::Unknown(error) => *doubt = Some(Doubt::again(doubt.take(), head, error)),
                }
            }
            Ok(Checked::Nothing(outcome)) if self.is_head(&head).await? => return Ok(Some(outcome)),
            Err(refusal) if self.is_head(&head).await? => return Err(refusal),
            // Said of a revision that is past: another process wrote meanwhile.
            Ok(Checked::Nothing(_)) | Err(_) => {}
        }
        Ok(None)
    }

    /// The answer to a write whose entry was found in the log: it is stored, whatever else fails now.
    async fn found(&self, before: &Head, entry: Entry) -> Outcome {
        if let Err(error) = self.catch_up().await {
            tracing::warn!("a write is stored and not yet served here: {}", error.log_text());
        }
        Outcome::Done(Done::of(before.clone(), entry))
    }

    /// Commits on top of `head`; `next` is the fleet with the change set.
    async fn commit(&self, head: &Head, change_set: ChangeSet, next: Fleet) -> Result<Committing, ApiError> {
        let asked = Moment::now();
        let commit = head.store.commit(head.position, vec![change_set]);
        match timeout(LONGEST_COMMIT, commit).await.unwrap_or_else(|_| Err(unsaid())) {
            Ok(Committed::Done(entries)) => {
                let entry = entries.into_iter().next();
                let entry =
                    entry.ok_or_else(|| ApiError::internal("the store committed without an entry"))?;
                self.take(head, &entry, next, asked).await;
                Ok(Committing::Done(entry))
            }
            Ok(Committed::Conflict(_)) => Ok(Committing::Moved),
            Err(error) if error.kind == ErrorKind::Unknown => {
                tracing::warn!("a commit's outcome is unknown, looking for it: {}", follow::describe(&error));
                Ok(Committing::Unknown(error))
            }
            Err(error) if error.kind == ErrorKind::Invalid => {
                Err(ApiError::internal(follow::describe(&error)))
            }
            Err(error) => Err(self.behind(error.into())),
        }
    }

    /// Swaps in what was just committed: nobody else can have written between. Where that fails, polls
    /// end and the log says why; the write is stored all the same.
    async fn take(&self, head: &Head, entry: &Entry, next: Fleet, asked: Moment) {
        if next.revision() == entry.revision {
            let position = Position { revision: entry.revision, entry: entry.change_set.entry };
            return self.view.take(&Head { fleet: next, position, confirmed: asked, ..head.clone() }).await;
        }
        match follow::applied(head.clone(), vec![entry.clone()]).await {
            Ok(next) => self.view.take(&Head { confirmed: asked, ..next }).await,
            Err(behind) => drop(self.behind(behind)),
        }
    }

    async fn catch_up(&self) -> Result<(), ApiError> {
        follow::catch_up(&self.view).await.map_err(|behind| self.behind(behind))
    }

    /// Whether `head` still is the store's: no commit says so where nothing is to be written.
    async fn is_head(&self, head: &Head) -> Result<bool, ApiError> {
        self.catch_up().await?;
        Ok(self.view.now().writable()?.position == head.position)
    }

    fn behind(&self, behind: Behind) -> ApiError {
        match behind {
            Behind::Away(error) => store_unavailable(&error),
            Behind::Mute(mute) => self.stop(&mute),
        }
    }

    fn stop(&self, mute: &Mute) -> ApiError {
        tracing::error!(code = mute.code, "{}", mute.sentence);
        self.view.mute(mute);
        ApiError::unavailable(mute.code, mute.sentence.as_str())
    }
}

fn store_unavailable(error: &Error) -> ApiError {
    let message = "The store cannot be written now and nothing was changed: try again.";
    ApiError::passing("store_unavailable", message).logged(follow::describe(error))
}

fn contended() -> ApiError {
    ApiError::passing("contended", "Other writers were faster each time: try again.")
}

fn unknown(error: &Error) -> ApiError {
    let message =
        "The store did not say whether it took this write: look at the document before trying again.";
    ApiError::unavailable("outcome_unknown", message).logged(follow::describe(error))
}

fn unsaid() -> Error {
    Error::new(ErrorKind::Unknown, "the store did not say in time whether it took a commit")
}

/// How one attempt to commit ended.
enum Committing {
    Done(Entry),
    /// The head is another one; nothing was written.
    Moved,
    Unknown(Error),
}

/// That a commit of this write may have been done, or may still be, without our being told.
struct Doubt {
    /// What each such commit was made on top of. It holds only there, so the next entry decides.
    before: Head,
    /// The store's last word.
    error: Error,
    times: usize,
}

impl Doubt {
    fn again(earlier: Option<Doubt>, head: Head, error: Error) -> Self {
        match earlier {
            Some(doubt) => Doubt { error, times: doubt.times + 1, ..doubt },
            None => Doubt { before: head, error, times: 1 },
        }
    }
}

enum Checked {
    /// Nothing is to be stored, which is what came of it.
    Nothing(Outcome),
    Changes {
        operations: Vec<Operation>,
        prepared: Box<Prepared>,
        /// The fleet that everyone who follows the store will make of it.
        next: Box<Fleet>,
    },
}

/// [`check`] on a thread of its own: a change of the catalog concerns every cluster, and polls go on meanwhile.
async fn checked(head: &Head, ask: &Ask, removal_limit: usize) -> Result<Checked, ApiError> {
    let (head, ask) = (head.clone(), ask.clone());
    let work = spawn_blocking(move || check(&head, &ask, removal_limit));
    work.await.unwrap_or_else(|panic| Err(ApiError::internal(panic)))
}

/// What `ask` would change in `head`, if it may. Pure.
fn check(head: &Head, ask: &Ask, removal_limit: usize) -> Result<Checked, ApiError> {
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
    let next = head.fleet.apply(head.position.revision + 1, &prepared.documents);
    let next = next.map_err(|error| ApiError::internal(format_args!("cannot be followed: {error}")))?;
    Ok(Checked::Changes { operations, prepared: Box::new(prepared), next: Box::new(next) })
}

impl Condition {
    fn check(&self, fleet: &Fleet) -> Result<(), ApiError> {
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

fn change_set(ask: &Ask, entry: EntryId, operations: Vec<Operation>, prepared: Prepared) -> ChangeSet {
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

/// What the log shows of a doubtful commit.
enum Trace {
    /// It is stored.
    Ours(Box<Entry>),
    /// Another entry stands in its place, so it was not stored and never will be.
    Never,
    /// Nothing yet. It may still be under way.
    None,
}

/// Looks at the place that the commit in doubt would have taken.
async fn look_for(doubt: &Doubt, id: EntryId) -> Result<Trace, ApiError> {
    let until = Instant::now() + LOOK_FOR;
    let mut pauses = Pauses::new();
    loop {
        match trace(&doubt.before, id).await {
            Ok(trace) => return Ok(trace),
            Err(error) if Instant::now() < until => {
                tracing::warn!("still looking for a commit: {}", follow::describe(&error));
                pauses.pause(LOOK_FOR).await;
            }
            Err(error) => return Err(unknown(&error)),
        }
    }
}

async fn trace(before: &Head, id: EntryId) -> Result<Trace, Error> {
    let changes = follow::answered(before.store.changes_since(before.position, 1)).await?;
    // Another history shows nothing of ours.
    let Changes::Entries(entries) = changes else { return Ok(Trace::None) };
    Ok(match entries.into_iter().next() {
        Some(entry) if entry.change_set.entry == id => Trace::Ours(Box::new(entry)),
        Some(_) => Trace::Never,
        None => Trace::None,
    })
}

#[cfg(test)]
mod tests;
