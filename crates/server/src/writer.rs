//! The one writer of this process. Requests that wait together are checked one after another, each on what
//! the one before leaves, and committed together if the store's head is still what they were checked against:
//! other processes are met by that commit. While a group is committed, the next one is checked on what it leaves.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex as Locked, PoisonError};
use std::time::Duration;

use flux_resourceset_model::change::{ChangeSet, Entry, EntryId};
use flux_resourceset_store::{Changes, Committed, Error, ErrorKind, Position};
use tokio::sync::{Mutex, MutexGuard, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::error::ApiError;
use crate::follow::{self, Behind, Pauses};
use crate::view::{Head, Moment, Mute, View};
use crate::write::{Ask, Checked, Done, Outcome, check};

/// How often writes are checked anew because the head moved under them.
const TRIES: usize = 16;
/// How many commits may end unsaid before nothing more is tried.
const DOUBTS: usize = 3;
/// How long a commit of unknown outcome is looked for.
const LOOK_FOR: Duration = Duration::from_secs(10);
/// After this a commit counts as one of unknown outcome, so that it does not hold up all others.
const LONGEST_COMMIT: Duration = Duration::from_secs(30);
/// How many writes are committed together.
const LONGEST_GROUP: usize = 64;
/// Once those of a group change so many documents, the others wait for the next one.
const GROUP_DOCUMENTS: usize = 1024;

type Answered = Result<Outcome, ApiError>;

/// A write that waits for its turn.
struct Waiting {
    ask: Ask,
    answer: oneshot::Sender<Answered>,
}

/// The one writer of this process.
pub(crate) struct Writer {
    view: Arc<View>,
    /// On how many clusters a write may destroy something without being confirmed.
    removal_limit: usize,
    waiting: Locked<VecDeque<Waiting>>,
    /// Held while a group is checked, and until it is its turn to be committed: what is there once the group
    /// before it is stored.
    ahead: Mutex<Option<Head>>,
}

impl Writer {
    pub(crate) fn new(view: Arc<View>, removal_limit: usize) -> Self {
        Writer { view, removal_limit, waiting: Locked::default(), ahead: Mutex::default() }
    }

    /// Writes, in a task of its own: whoever asked may go away meanwhile, and the commit still ends
    /// with the Fleet swapped in.
    pub(crate) async fn write(self: &Arc<Self>, ask: Ask) -> Answered {
        let (answer, answered) = oneshot::channel();
        self.waiting(|waiting| waiting.push_back(Waiting { ask, answer }));
        let writer = Arc::clone(self);
        // One task for each that waits, and none ends before nobody waits: who was set aside for the next group may
        // have had its task end before. Who comes late finds nothing to do.
        tokio::spawn(async move {
            loop {
                writer.write_group().await;
                if writer.waiting(|waiting| waiting.is_empty()) {
                    break;
                }
            }
        });
        answered.await.unwrap_or_else(|_| Err(ApiError::internal("the write ended early")))
    }

    /// Returns when no write is under way.
    pub(crate) async fn idle(&self) {
        let _ahead = self.ahead.lock().await;
        drop(self.view.committing().await);
    }

    fn waiting<T>(&self, change: impl FnOnce(&mut VecDeque<Waiting>) -> T) -> T {
        // It holds whole requests whenever it is let go.
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers those that wait, or the first of them.
    async fn write_group(&self) {
        let mut ahead = self.ahead.lock().await;
        let mut group: Vec<Waiting> = self.waiting(|waiting| {
            // Nothing of it is stored: what nobody waits for any more is better not done than done late.
            waiting.retain(|waiting| !waiting.answer.is_closed());
            let longest = waiting.len().min(LONGEST_GROUP);
            waiting.drain(..longest).collect()
        });
        if group.is_empty() {
            return self.forget(&mut ahead);
        }
        let answers = match self.answers(&mut group, ahead).await {
            Ok(answers) => answers,
            Err(error) => group.iter().map(|_| Err(error.clone())).collect(),
        };
        for (waiting, answer) in group.into_iter().zip(answers) {
            // Whoever asked may be gone.
            let _ = waiting.answer.send(answer);
        }
    }

    /// What each of the group is told. Those that are too much for one commit wait again.
    async fn answers(
        &self,
        group: &mut Vec<Waiting>,
        mut ahead: MutexGuard<'_, Option<Head>>,
    ) -> Result<Vec<Answered>, ApiError> {
        let mut head = self.view.now().writable()?.clone();
        if let Some(ahead) = ahead.take().filter(|ahead| ahead.goes_on_from(&head)) {
            head = ahead;
        }
        let mut batch = self.checked(&head, group).await?;
        let committing = self.view.committing().await;
        *ahead = Some(batch.last.clone());
        drop(ahead);
        for _ in 0..TRIES {
            let settled = match batch.change_sets.is_empty() {
                true => self.is_head(&head).await.map(|is_head| is_head.then(Vec::new)),
                false => self.settled(&head, &batch).await,
            };
            match settled {
                Ok(Some(entries)) => {
                    drop(committing);
                    if let Ok(mut ahead) = self.ahead.try_lock() {
                        self.forget(&mut ahead);
                    }
                    return Ok(batch.answers(entries));
                }
                // Said of a revision that is past, or never came: it is asked again of what is there.
                Ok(None) => head = self.view.now().writable()?.clone(),
                Err(error) => return Ok(self.failed(&head, batch, &error).await),
            }
            batch = self.checked(&head, group).await?;
        }
        Err(contended())
    }

    /// Lets go what a group left where that is no more than what is stored: while others write, an old fleet would
    /// take memory for nobody.
    fn forget(&self, ahead: &mut Option<Head>) {
        let state = self.view.now();
        ahead.take_if(|ahead| state.head().is_none_or(|head| !ahead.goes_on_from(head)));
    }

    /// The group, one after another on `head`, on a thread of its own: a change of the catalog concerns every
    /// cluster, and polls go on meanwhile. Whoever it is too much for waits again.
    async fn checked(&self, head: &Head, group: &mut Vec<Waiting>) -> Result<Batch, ApiError> {
        let (head, removal_limit) = (head.clone(), self.removal_limit);
        let asks: Vec<_> = group.iter().map(|waiting| waiting.ask.clone()).collect();
        let work = spawn_blocking(move || Batch::of(head, &asks, removal_limit));
        let batch = work.await.map_err(ApiError::internal)?;
        self.waiting(|waiting| {
            for later in group.drain(batch.verdicts.len()..).rev() {
                waiting.push_front(later);
            }
        });
        Ok(batch)
    }

    /// The entries of the batch, once they are stored; `None` where they are not, since the head is another one.
    async fn settled(&self, head: &Head, batch: &Batch) -> Result<Option<Vec<Entry>>, ApiError> {
        let mut doubt: Option<Error> = None;
        let asked = Moment::now();
        for doubts in 1.. {
            let tried = match self.view.now().writable() {
                Ok(_) => self.commit(head, batch).await,
                Err(error) => Err(error),
            };
            let tried = match tried {
                Ok(Committing::Done(entries)) => return Ok(Some(entries)),
                Ok(Committing::Moved) => self.catch_up().await,
                Ok(Committing::Unknown(error)) => {
                    doubt = Some(error);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            // An error is no news of a commit before it: in doubt the log decides what is said.
            let Some(open) = &doubt else { return tried.map(|()| None) };
            match look_for(head, batch).await? {
                Trace::Ours(entries) => {
                    // They are stored, whatever else fails now; and what is acknowledged is served from here on.
                    self.take(batch, asked).await;
                    return Ok(Some(entries));
                }
                Trace::Never => {
                    tried?;
                    return self.catch_up().await.map(|()| None);
                }
                Trace::None if tried.is_err() || doubts >= DOUBTS => return Err(unknown(open)),
                Trace::None => {}
            }
        }
        Ok(None)
    }

    /// What the group is told where its commit ended with `error`: who wanted nothing stored, and was judged
    /// on what is stored, is told what came of that.
    async fn failed(&self, head: &Head, batch: Batch, error: &ApiError) -> Vec<Answered> {
        let is_head = matches!(self.is_head(head).await, Ok(true));
        let mut depends = false;
        let answers = batch.verdicts.into_iter().map(|verdict| match verdict {
            Verdict::Said(answer) if is_head && !depends => answer,
            Verdict::Said(_) => Err(error.clone()),
            Verdict::Written { .. } => {
                depends = true;
                Err(error.clone())
            }
        });
        answers.collect()
    }

    /// Commits on top of `head`.
    async fn commit(&self, head: &Head, batch: &Batch) -> Result<Committing, ApiError> {
        let asked = Moment::now();
        let commit = head.store.commit(head.position, batch.change_sets.clone());
        match timeout(LONGEST_COMMIT, commit).await.unwrap_or_else(|_| Err(unsaid())) {
            Ok(Committed::Done(entries)) if batch.is_stored_as(&entries) => {
                self.take(batch, asked).await;
                Ok(Committing::Done(entries))
            }
            Ok(Committed::Done(_)) => Err(ApiError::internal("the store committed other entries than asked")),
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

    /// Swaps in what was just committed: nobody else can have written between.
    async fn take(&self, batch: &Batch, asked: Moment) {
        self.view.take(&Head { confirmed: asked, ..batch.last.clone() }).await;
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
    Done(Vec<Entry>),
    /// The head is another one; nothing was written.
    Moved,
    Unknown(Error),
}

/// Writes that were checked together.
struct Batch {
    /// Of each, in their order.
    verdicts: Vec<Verdict>,
    change_sets: Vec<ChangeSet>,
    /// What is there once they are stored.
    last: Head,
}

enum Verdict {
    /// It wants nothing stored, or may not.
    Said(Answered),
    /// It is the change set at this place; with what it was made on top of.
    Written { before: Box<Head>, at: usize },
}

impl Batch {
    fn of(head: Head, asks: &[Ask], removal_limit: usize) -> Self {
        let mut batch = Batch { verdicts: Vec::new(), change_sets: Vec::new(), last: head };
        let mut documents = 0;
        for ask in asks {
            if documents >= GROUP_DOCUMENTS {
                break;
            }
            // Another one each time that it is checked: by its last entry's id a store knows on what the next
            // group was checked, so that id may stand for one content alone.
            let id = EntryId(Uuid::new_v4().as_u128());
            // What is wrong with one must not keep the others from being answered.
            let checked = catch_unwind(AssertUnwindSafe(|| check(&batch.last, ask, id, removal_limit)));
            let checked = checked.unwrap_or_else(|_| Err(ApiError::internal("checking a write panicked")));
            let verdict = match checked {
                Ok(Checked::Nothing(outcome)) => Verdict::Said(Ok(outcome)),
                Err(refusal) => Verdict::Said(Err(refusal)),
                Ok(Checked::Changes { change_set, next }) => {
                    documents += change_set.documents.len();
                    let position = Position { revision: next.revision(), entry: id };
                    let next = batch.last.then(*next, position);
                    let before = Box::new(std::mem::replace(&mut batch.last, next));
                    batch.change_sets.push(*change_set);
                    Verdict::Written { before, at: batch.change_sets.len() - 1 }
                }
            };
            batch.verdicts.push(verdict);
        }
        batch
    }

    /// Whether `entries` are its change sets, each at its place.
    fn is_stored_as(&self, entries: &[Entry]) -> bool {
        ids(entries).eq(self.ids())
            && entries.last().is_some_and(|entry| self.last.position == position_of(entry))
    }

    fn ids(&self) -> impl Iterator<Item = EntryId> {
        self.change_sets.iter().map(|change_set| change_set.entry)
    }

    /// What each is told, once the change sets are stored as `entries`.
    fn answers(self, entries: Vec<Entry>) -> Vec<Answered> {
        let mut entries: Vec<_> = entries.into_iter().map(Some).collect();
        let answers = self.verdicts.into_iter().map(|verdict| match verdict {
            Verdict::Said(answer) => answer,
            Verdict::Written { before, at } => {
                let entry = entries.get_mut(at).and_then(Option::take);
                let entry = entry.ok_or_else(|| ApiError::internal("a write was stored without an entry"))?;
                Ok(Outcome::Done(Done::of(*before, entry)))
            }
        });
        answers.collect()
    }
}

fn position_of(entry: &Entry) -> Position {
    Position { revision: entry.revision, entry: entry.change_set.entry }
}

/// What the log shows of a doubtful commit.
enum Trace {
    /// It is stored, as these entries.
    Ours(Vec<Entry>),
    /// Another entry stands in its place, so it was not stored and never will be.
    Never,
    /// Nothing yet. It may still be under way.
    None,
}

/// Looks at the place that the commit of `batch` on top of `before` would have taken.
async fn look_for(before: &Head, batch: &Batch) -> Result<Trace, ApiError> {
    let until = Instant::now() + LOOK_FOR;
    let mut pauses = Pauses::new();
    loop {
        match trace(before, batch).await {
            Ok(trace) => return Ok(trace),
            Err(error) if Instant::now() < until => {
                tracing::warn!("still looking for a commit: {}", follow::describe(&error));
                pauses.pause(LOOK_FOR).await;
            }
            Err(error) => return Err(unknown(&error)),
        }
    }
}

async fn trace(before: &Head, batch: &Batch) -> Result<Trace, Error> {
    let changes = before.store.changes_since(before.position, batch.change_sets.len());
    // Another history shows nothing of ours.
    let Changes::Entries(entries) = follow::answered(changes).await? else { return Ok(Trace::None) };
    Ok(if batch.is_stored_as(&entries) {
        Trace::Ours(entries)
    } else if ids(&entries).zip(batch.ids()).all(|(known, ours)| known == ours) {
        // All of them are stored, or none is: what shows some, or nothing, has not shown it all.
        Trace::None
    } else {
        Trace::Never
    })
}

fn ids(entries: &[Entry]) -> impl Iterator<Item = EntryId> {
    entries.iter().map(|entry| entry.change_set.entry)
}

#[cfg(test)]
mod tests;
