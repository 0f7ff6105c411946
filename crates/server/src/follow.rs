//! Following the store: reads what was committed since, applies it, and confirms that what is
//! served is the head. Nothing here answers a request.

use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_merge::Fleet;
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{Entry, READER_VERSION};
use flux_resourceset_store::{CONFIRM, Changes, Error, ErrorKind, Position, Snapshot, Store, StoreId};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::seen::Seen;
use crate::view::{Head, Moment, Mute, View};

/// How many entries are asked for at once.
const PAGE: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between two confirmations, however generous MAX_STALENESS is.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// After a write of this process, before the store is asked for others'.
const OWN_WRITES: Duration = Duration::from_millis(10);
/// A store that takes longer than this to answer counts as away.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// Why the head could not be reached.
#[derive(Debug)]
pub(crate) enum Behind {
    /// Try again.
    Away(Error),
    /// Not again, unless a person says so.
    Mute(Mute),
}

impl From<Error> for Behind {
    fn from(error: Error) -> Self {
        let code = match error.kind {
            ErrorKind::Unavailable | ErrorKind::Unknown | ErrorKind::NotFound | ErrorKind::Invalid => {
                return Behind::Away(error);
            }
            ErrorKind::Replaced => "store_diverged",
            ErrorKind::Corrupt => "store_corrupt",
            ErrorKind::TooNew => "store_too_new",
        };
        let at_once = error.kind == ErrorKind::Replaced;
        Behind::Mute(Mute { code, sentence: sentence(&error.message), at_once })
    }
}

fn sentence(message: &str) -> String {
    format!("This server stopped following its store: {}.", message.trim_end_matches('.'))
}

/// Loads the head of `store` as a whole.
pub(crate) async fn load(store: Arc<dyn Store>, rules: Rules) -> Result<Head, Behind> {
    let confirmed = Moment::now();
    let snapshot = answered(store.load(None)).await?;
    let (id, position) = (snapshot.store, snapshot.position);
    Ok(Head { fleet: fleet(snapshot, rules).await.map_err(Behind::Mute)?, position, store, id, confirmed })
}

/// The fleet of `snapshot`.
pub(crate) async fn fleet(snapshot: Snapshot, rules: Rules) -> Result<Fleet, Mute> {
    let revision = snapshot.position.revision;
    let fleet = spawn_blocking(move || {
        let documents = snapshot.documents.into_iter();
        let documents = documents.map(|stored| (stored.key, stored.revision, stored.body));
        Fleet::load(rules, revision, documents).map_err(|error| unreadable(revision, error))
    });
    fleet.await.unwrap_or_else(|panic| Err(unreadable(revision, panic)))
}

/// Brings `view` to the head of its store. It is swapped once, at the end: what lies between was the
/// head at no time that we could confirm.
pub(crate) async fn catch_up(view: &View) -> Result<(), Behind> {
    let Some(head) = view.now().head().cloned() else { return Ok(()) };
    let known = head.position;
    let head = match to_head(head.clone()).await? {
        Reached::Head(head) => *head,
        Reached::Diverged(theirs) => return Err(Behind::Mute(diverged(known, theirs))),
        Reached::Forgotten => beyond(&head).await?,
    };
    if head.position == known {
        view.confirm(known, head.confirmed);
    } else {
        view.take(&head).await;
    }
    Ok(())
}

/// Where the entries after a position lead.
pub(crate) enum Reached {
    Head(Box<Head>),
    /// The store's head is this one, and its history another.
    Diverged(Position),
    /// The history begins later.
    Forgotten,
}

/// `head` with all that was committed after it.
pub(crate) async fn to_head(mut head: Head) -> Result<Reached, Behind> {
    loop {
        let asked = Moment::now();
        match answered(head.store.changes_since(head.position, PAGE)).await? {
            Changes::Entries(entries) => {
                let last = entries.len() < PAGE;
                if !entries.is_empty() {
                    head = applied(head, entries).await?;
                }
                if last {
                    return Ok(Reached::Head(Box::new(Head { confirmed: asked, ..head })));
                }
            }
            Changes::Diverged(theirs) => return Ok(Reached::Diverged(theirs)),
            Changes::Forgotten(_) => return Ok(Reached::Forgotten),
        }
    }
}

/// The head of a store whose history begins after `seen`: all that can be told is that it is that store, and
/// that it went on.
async fn beyond(seen: &Head) -> Result<Head, Behind> {
    let head = load(Arc::clone(&seen.store), seen.fleet.rules().clone()).await?;
    let seen = Seen { store: seen.id, position: seen.position };
    if head.id == seen.store && head.position.revision > seen.position.revision {
        return Ok(head);
    }
    Err(Behind::Mute(another(seen, head.id, head.position)))
}

/// Refuses `head`, unless its store's history holds what was `seen`.
pub(crate) async fn holds(head: &Head, seen: Seen) -> Result<(), Behind> {
    let refused = |theirs| Err(Behind::Mute(another(seen, head.id, theirs)));
    if head.id != seen.store || head.position.revision < seen.position.revision {
        return refused(head.position);
    }
    match answered(head.store.changes_since(seen.position, 1)).await? {
        Changes::Diverged(theirs) => refused(theirs),
        // Where it begins later, it went on.
        Changes::Entries(_) | Changes::Forgotten(_) => Ok(()),
    }
}

/// Refuses a store in the place of the one that is followed: what it holds may look like the other's, where
/// it was restored from a backup.
async fn same_store(view: &View) -> Result<(), Behind> {
    let Some(head) = view.now().head().cloned() else { return Ok(()) };
    let (id, position) = answered(head.store.head()).await?;
    if id == head.id {
        return Ok(());
    }
    Err(Behind::Mute(another(Seen { store: head.id, position: head.position }, id, position)))
}

/// `head` with `entries` applied; not confirmed any later than `head` was. On a thread of its own, since
/// a large change would keep polls waiting for this one.
pub(crate) async fn applied(head: Head, entries: Vec<Entry>) -> Result<Head, Behind> {
    let revision = head.position.revision;
    let work = spawn_blocking(move || entries.iter().try_fold(head, |head, entry| apply(&head, entry)));
    work.await.unwrap_or_else(|panic| Err(unreadable(revision + 1, panic))).map_err(Behind::Mute)
}

fn apply(head: &Head, entry: &Entry) -> Result<Head, Mute> {
    let revision = entry.revision;
    if entry.change_set.min_reader > READER_VERSION {
        let why = format!(
            "revision {revision} needs a release that reads version {}; this one reads {READER_VERSION}",
            entry.change_set.min_reader
        );
        return Err(Mute { code: "store_too_new", sentence: sentence(&why), at_once: false });
    }
    let fleet = head.fleet.apply(revision, &entry.change_set.documents);
    let fleet = fleet.map_err(|error| unreadable(revision, error))?;
    Ok(head.then(fleet, Position { revision, entry: entry.change_set.entry }))
}

fn unreadable(revision: u64, why: impl std::fmt::Display) -> Mute {
    let why = format!("revision {revision} holds what this release cannot serve: {why}");
    Mute { code: "store_unreadable", sentence: sentence(&why), at_once: false }
}

fn diverged(ours: Position, theirs: Position) -> Mute {
    let why = format!(
        "its history is not the one seen before (revision {} here, {} there; a restored backup looks like this); put back the store that belongs here, {CONFIRM}",
        ours.revision, theirs.revision
    );
    Mute { code: "store_diverged", sentence: sentence(&why), at_once: true }
}

fn another(seen: Seen, id: StoreId, theirs: Position) -> Mute {
    if id == seen.store {
        return diverged(seen.position, theirs);
    }
    let why = format!(
        "it is another store than the one seen before (revision {} here, {} there; a restored backup looks like this); put back the store that belongs here, {CONFIRM}",
        seen.position.revision, theirs.revision
    );
    Mute { code: "store_diverged", sentence: sentence(&why), at_once: true }
}

/// What to do where it is not known what was seen before, for the reason `doubt`.
pub(crate) fn doubtful(doubt: &str) -> Mute {
    let sentence = format!(
        "This server does not follow its store yet: {doubt}, so it is not known whether the store went back in time; \
         look at what it would change and confirm it: `flux-resourceset-cli confirm`, at the URL of this server."
    );
    Mute { code: "snapshot_damaged", sentence, at_once: true }
}

/// The answer to `question`; a store that takes too long counts as away.
pub(crate) async fn answered<T>(question: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = || Error::new(ErrorKind::Unavailable, "the store did not answer in time");
    timeout(LONGEST_ANSWER, question).await.unwrap_or_else(|_| Err(late()))
}

/// Pauses between attempts, ever longer.
#[derive(Debug)]
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Self {
        Pauses(FIRST_PAUSE)
    }

    pub(crate) async fn pause(&mut self, longest: Duration) {
        sleep(self.0.min(longest)).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// Keeps `view` at the head whenever it is not mute. A question is asked at least four times within
/// `max_staleness`, so that one lost answer costs no poll.
pub(crate) async fn follow(view: &View, max_staleness: Duration) -> ! {
    let longest = (max_staleness / 4).min(LONGEST_WAIT);
    let mut pauses = Pauses::new();
    let mut identified: Option<Instant> = None;
    let mut away: Option<Instant> = None;
    loop {
        view.unmuted().await;
        // Whose it is seldom changes, and every commit wakes us.
        let due = identified.is_none_or(|at| at.elapsed() >= longest);
        match look(view, due).await {
            Ok(()) => {
                identified = identified.filter(|_| !due).or_else(|| Some(Instant::now()));
                pauses = Pauses::new();
                if let Some(since) = away.take().filter(|_| view.now().mute().is_none()) {
                    tracing::info!("the store is read again, after {} seconds", since.elapsed().as_secs());
                }
                wait_for_change(view, longest).await;
            }
            Err(error) => {
                away = away.or_else(|| Some(Instant::now()));
                note_trouble(view, &error);
                pauses.pause(longest).await;
            }
        }
    }
}

/// Asks the store once, and is mute where that is what follows; whose it is, where that is `due`.
async fn look(view: &View, due: bool) -> Result<(), Error> {
    let _turn = view.following().await;
    if view.now().mute().is_some() {
        return Ok(());
    }
    let same = if due { same_store(view).await } else { Ok(()) };
    let looked = match same {
        Ok(()) => catch_up(view).await,
        other => other,
    };
    match looked {
        Ok(()) => Ok(()),
        Err(Behind::Away(error)) => Err(error),
        Err(Behind::Mute(mute)) => {
            tracing::error!(code = mute.code, "{}", mute.sentence);
            view.mute(&mute);
            Ok(())
        }
    }
}

/// Logs what keeps the store away, once for each new reason.
pub(crate) fn note_trouble(view: &View, error: &Error) {
    let sentence = describe(error);
    if view.trouble(&sentence) {
        tracing::warn!("the store cannot be read, trying again: {sentence}");
    }
}

/// The error and everything behind it.
pub(crate) fn describe(error: &Error) -> String {
    let mut text = error.message.clone();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Returns when another process may have written, or it is time to ask anyway.
async fn wait_for_change(view: &View, longest: Duration) {
    let until = Instant::now() + longest;
    loop {
        let state = view.now().as_ref().clone();
        if state.mute().is_some() {
            return;
        }
        let Some(head) = state.head() else { return sleep_until(until).await };
        // Elapsed or woken: both mean to ask again, unless it was this process that wrote, which serves that itself.
        let changed = async {
            head.store.wait(head.position.revision).await;
            drop(view.committing().await);
        };
        let is_late = timeout_at(until, changed).await.is_err();
        let newer = view.now().head().is_some_and(|now| now.goes_on_from(head));
        if is_late || !newer {
            return;
        }
        // While this process writes, the next commit tells of others anyway.
        sleep(OWN_WRITES).await;
    }
}
