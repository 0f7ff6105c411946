//! What this process knows of the store: the current Fleet, when it was last confirmed to be the
//! store's head, and whether the store is still followed. Read by every poll without a lock.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::{ArcSwap, Guard};
use flux_resourceset_merge::Fleet;
use flux_resourceset_store::{Position, Store, StoreId};
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::error::ApiError;
use crate::memory::Memory;
use crate::start::Files;

/// A point in time on two clocks. The monotonic one may stand still while a machine is suspended,
/// the other may be set; the longer of the two spans is believed, since too old is the safe error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Moment { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    pub(crate) fn since(self, earlier: Moment) -> Duration {
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        monotonic.max(self.wall.duration_since(earlier.wall).unwrap_or_default())
    }
}

/// One revision of the fleet, where it stands in the log, and the store that it came from.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) fleet: Fleet,
    pub(crate) position: Position,
    pub(crate) store: Arc<dyn Store>,
    /// Which store that is.
    pub(crate) id: StoreId,
    /// Taken before the question was sent whose answer said that this is the head.
    pub(crate) confirmed: Moment,
}

impl Head {
    /// What comes after it in the same store; confirmed when this was.
    pub(crate) fn then(&self, fleet: Fleet, position: Position) -> Self {
        Head { fleet, position, store: Arc::clone(&self.store), id: self.id, confirmed: self.confirmed }
    }

    /// Whether it is of the same store as `other`, and later.
    pub(crate) fn goes_on_from(&self, other: &Head) -> bool {
        Arc::ptr_eq(&self.store, &other.store) && self.position.revision > other.position.revision
    }
}

/// What was served before this process was started, as it kept it.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) fleet: Fleet,
    pub(crate) position: Position,
    pub(crate) id: StoreId,
    /// Whether nothing later was served: what is older than that is no answer, not even a stale one.
    pub(crate) is_last: bool,
}

/// What a poll is answered from.
pub(crate) struct Served<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) position: Position,
    /// `None`: it was confirmed in time.
    pub(crate) stale: Option<Stale>,
}

/// How old an answer is that `SERVE_STALE` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// Nobody knows: this process has not reached the store yet.
    Unconfirmed,
    /// So long ago it was confirmed.
    For(Duration),
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stale::Unconfirmed => f.write_str("unconfirmed"),
            Stale::For(age) => write!(f, "{}", age.as_secs()),
        }
    }
}

/// Why the store is followed no further: until a person confirms what it holds where that ended polls at
/// once, else until the process is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mute {
    pub(crate) code: &'static str,
    pub(crate) sentence: String,
    /// Whether polls end at once, not only when the last confirmation is too old.
    pub(crate) at_once: bool,
}

#[derive(Clone, Default)]
pub(crate) struct State {
    head: Option<Head>,
    /// Until there is a head.
    kept: Option<Kept>,
    mute: Option<Mute>,
    /// What hindered the last attempt to read the store, if anything did.
    trouble: Option<String>,
    /// `SERVE_STALE`.
    serve_stale: bool,
}

impl State {
    /// The Fleet that polls may be answered from at `now`, or why there is none.
    pub(crate) fn servable(&self, now: Moment, max_staleness: Duration) -> Result<Served<'_>, ApiError> {
        if let Some(mute) = self.mute.as_ref().filter(|mute| mute.at_once) {
            return Err(mute.error());
        }
        let Some(head) = &self.head else { return self.kept() };
        let age = now.since(head.confirmed);
        let served = |stale| Served { fleet: &head.fleet, position: head.position, stale };
        if age <= max_staleness {
            return Ok(served(None));
        }
        if let Some(mute) = &self.mute {
            return Err(mute.error());
        }
        if self.serve_stale {
            return Ok(served(Some(Stale::For(age))));
        }
        let message = format!(
            "What this server knows (revision {}) was last confirmed {} seconds ago, which is more than MAX_STALENESS \
             allows: the store does not answer.",
            head.position.revision,
            age.as_secs()
        );
        Err(self.troubled(ApiError::passing("stale", message)))
    }

    /// What was served last, where the store was not reached yet and that may be answered.
    fn kept(&self) -> Result<Served<'_>, ApiError> {
        let may = self.serve_stale && self.mute.is_none();
        let kept = self.kept.as_ref().filter(|kept| may && kept.is_last);
        let kept = kept.ok_or_else(|| self.starting())?;
        Ok(Served { fleet: &kept.fleet, position: kept.position, stale: Some(Stale::Unconfirmed) })
    }

    /// What was served last, by this process or by the one before it, and the store that it came from.
    pub(crate) fn last(&self) -> Option<Kept> {
        let head = self.head.as_ref().map(|head| Kept {
            fleet: head.fleet.clone(),
            position: head.position,
            id: head.id,
            is_last: true,
        });
        head.or_else(|| self.kept.clone())
    }

    /// The Fleet that documents are read from: the newest known, however long ago it was confirmed.
    pub(crate) fn known(&self) -> Result<&Head, ApiError> {
        self.head.as_ref().ok_or_else(|| match &self.mute {
            Some(mute) => mute.error(),
            None => self.starting(),
        })
    }

    /// The Fleet that a write is checked against; whether it is the head is decided by the commit.
    pub(crate) fn writable(&self) -> Result<&Head, ApiError> {
        match &self.mute {
            Some(mute) => Err(mute.error()),
            None => self.known(),
        }
    }

    fn starting(&self) -> ApiError {
        self.troubled(ApiError::passing(
            "starting",
            "The store has not been read yet; the log says what hinders it. Try again.",
        ))
    }

    fn troubled(&self, error: ApiError) -> ApiError {
        match &self.trouble {
            Some(trouble) => error.logged(trouble),
            None => error,
        }
    }

    pub(crate) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    pub(crate) fn mute(&self) -> Option<&Mute> {
        self.mute.as_ref()
    }
}

impl Mute {
    pub(crate) fn error(&self) -> ApiError {
        ApiError::unavailable(self.code, self.sentence.as_str())
    }
}

/// The one holder of the [`State`].
#[derive(Default)]
pub(crate) struct View {
    state: ArcSwap<State>,
    /// What outlives this process, where there is such a thing (`SNAPSHOT_FILE`).
    memory: Option<Arc<Memory>>,
    /// The files that the store was opened from.
    files: ArcSwap<Option<Files>>,
    /// Held while the store is asked what is new.
    following: Mutex<()>,
    /// Held while this process commits, until what it wrote is served.
    committing: Mutex<()>,
    confirmed: Notify,
}

impl View {
    pub(crate) fn new(memory: Option<Arc<Memory>>, serve_stale: bool) -> Self {
        let state = ArcSwap::from_pointee(State { serve_stale, ..State::default() });
        View { state, memory, ..View::default() }
    }

    pub(crate) fn now(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    pub(crate) fn memory(&self) -> Option<&Arc<Memory>> {
        self.memory.as_ref()
    }

    /// Takes `head`, unless a later revision is known already. First it is remembered that it was seen:
    /// before anybody is answered from it, or told that it was written.
    pub(crate) async fn take(&self, head: &Head) {
        if let Some(memory) = &self.memory {
            memory.saw(head.id, head.position).await;
        }
        self.advance(head);
    }

    fn advance(&self, head: &Head) {
        self.state.rcu(|state| {
            let known = state.head.as_ref();
            let same_or_newer = known.is_none_or(|known| known.position.revision <= head.position.revision);
            let mut next = State::clone(state);
            match (&state.mute, known) {
                _ if !same_or_newer => {}
                (None, _) => {
                    next.head = Some(head.clone());
                    next.kept = None;
                    next.trouble = None;
                }
                // Where polls go on for a while, whoever is told next that this was written polls no less; nobody
                // polls any longer for it.
                (Some(mute), Some(known)) if !mute.at_once => {
                    next.head = Some(Head { confirmed: known.confirmed, ..head.clone() });
                }
                (Some(_), _) => {}
            }
            next
        });
    }

    pub(crate) fn opened(&self, files: Option<Files>) {
        self.files.store(Arc::new(files));
    }

    /// The files of the store that is, or was, followed.
    pub(crate) fn files(&self) -> Option<Files> {
        **self.files.load()
    }

    /// Notes what was served before this process was started.
    pub(crate) fn keep(&self, kept: Kept) {
        self.state.rcu(|state| State { kept: Some(kept.clone()), ..State::clone(state) });
    }

    /// While this is held, nobody follows the store.
    pub(crate) async fn following(&self) -> MutexGuard<'_, ()> {
        self.following.lock().await
    }

    /// While this is held, nobody else of this process commits.
    pub(crate) async fn committing(&self) -> MutexGuard<'_, ()> {
        self.committing.lock().await
    }

    /// Follows `head` from now on, whatever was followed before, since a person said so. Whoever calls
    /// this sees to it that nobody writes or follows meanwhile: they would go on with what was before.
    pub(crate) fn follow_anew(&self, head: &Head) {
        self.state.rcu(|state| State {
            head: Some(head.clone()),
            serve_stale: state.serve_stale,
            ..State::default()
        });
        self.confirmed.notify_waiters();
    }

    /// Returns when the store may be followed.
    pub(crate) async fn unmuted(&self) {
        loop {
            let confirmed = self.confirmed.notified();
            if self.now().mute().is_none() {
                return;
            }
            confirmed.await;
        }
    }

    /// Notes that `position` was the head at `asked`; nothing where the Fleet has moved on meanwhile.
    pub(crate) fn confirm(&self, position: Position, asked: Moment) {
        self.state.rcu(|state| {
            let mut next = State::clone(state);
            if let Some(head) = next.head.as_mut().filter(|head| head.position == position) {
                if asked.monotonic > head.confirmed.monotonic {
                    head.confirmed = asked;
                }
                next.trouble = None;
            }
            next
        });
    }

    /// Notes why the store could not be read; whether it is news.
    pub(crate) fn trouble(&self, sentence: &str) -> bool {
        let before =
            self.state.rcu(|state| State { trouble: Some(sentence.to_owned()), ..State::clone(state) });
        before.trouble.as_deref() != Some(sentence)
    }

    /// Stops following; the first reason stands.
    pub(crate) fn mute(&self, mute: &Mute) {
        self.state.rcu(|state| {
            let mute = state.mute.clone().or_else(|| Some(mute.clone()));
            State { mute, ..State::clone(state) }
        });
    }
}

#[cfg(test)]
mod tests {
    use flux_resourceset_model::Rules;
    use flux_resourceset_model::change::EntryId;
    use flux_resourceset_store::MemoryStore;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn after(start: Moment, monotonic: u64, wall: u64) -> Moment {
        Moment {
            monotonic: start.monotonic + Duration::from_secs(monotonic),
            wall: start.wall + Duration::from_secs(wall),
        }
    }

    fn head(revision: u64, confirmed: Moment) -> Head {
        Head {
            fleet: Fleet::empty(Rules::default()),
            position: Position { revision, entry: EntryId(u128::from(revision)) },
            store: Arc::new(MemoryStore::new()),
            id: StoreId(1),
            confirmed,
        }
    }

    fn kept(revision: u64, is_last: bool) -> Kept {
        let Head { fleet, position, id, .. } = head(revision, Moment::now());
        Kept { fleet, position, id, is_last }
    }

    fn stale(view: &View, now: Moment) -> Option<Stale> {
        view.now().servable(now, MINUTE).ok()?.stale
    }

    #[test]
    fn only_serve_stale_answers_what_was_not_confirmed_in_time() {
        let start = Moment::now();
        for (serve_stale, known, age) in [(false, Err("starting"), Err("stale")), (true, Ok(2), Ok(3))] {
            let view = View::new(None, serve_stale);
            view.keep(kept(2, true));
            assert_eq!(poll(&view, start), known);
            assert_eq!(stale(&view, start), serve_stale.then_some(Stale::Unconfirmed));
            view.advance(&head(3, start));
            assert_eq!((poll(&view, start), stale(&view, start)), (Ok(3), None));
            let later = after(start, 61, 61);
            assert_eq!(poll(&view, later), age);
            let stale = stale(&view, later).map(|stale| stale.to_string());
            assert_eq!(stale.as_deref(), serve_stale.then_some("61"));
            view.mute(&Mute { code: "x", sentence: "why".into(), at_once: false });
            assert_eq!(poll(&view, later), Err("x"), "what others may serve by now is another answer");
        }
    }

    #[test]
    fn what_is_older_than_what_was_served_is_never_served() {
        let view = View::new(None, true);
        view.keep(kept(2, false));
        assert_eq!(poll(&view, Moment::now()), Err("starting"));
    }

    #[test]
    fn what_a_person_confirmed_is_followed_even_where_it_is_lower() {
        let (view, start) = (View::default(), Moment::now());
        view.advance(&head(3, start));
        view.mute(&Mute { code: "x", sentence: "why".into(), at_once: true });
        assert_eq!(view.now().last().map(|last| last.position.revision), Some(3));
        view.follow_anew(&head(1, start));
        assert_eq!(poll(&view, start), Ok(1));
        view.advance(&head(2, start));
        assert_eq!(poll(&view, start), Ok(2));
    }

    fn poll(view: &View, now: Moment) -> Result<u64, &'static str> {
        let state = view.now();
        state.servable(now, MINUTE).map(|head| head.position.revision).map_err(|error| error.code)
    }

    #[test]
    fn a_poll_is_served_only_from_what_was_confirmed_in_time() {
        let (view, start) = (View::default(), Moment::now());
        assert_eq!(poll(&view, start), Err("starting"));
        view.advance(&head(3, start));
        assert_eq!(poll(&view, after(start, 60, 60)), Ok(3));
        assert_eq!(poll(&view, after(start, 61, 61)), Err("stale"));
        view.confirm(head(3, start).position, after(start, 30, 30));
        assert_eq!(poll(&view, after(start, 90, 90)), Ok(3));
        assert_eq!(poll(&view, after(start, 91, 91)), Err("stale"));
    }

    #[test]
    fn a_suspended_machine_wakes_up_stale() {
        let (view, start) = (View::default(), Moment::now());
        view.advance(&head(3, start));
        assert_eq!(poll(&view, after(start, 1, 86_400)), Err("stale"));
        let clock_set_back = Moment { wall: start.wall - MINUTE, ..after(start, 1, 0) };
        assert_eq!(poll(&view, clock_set_back), Ok(3));
    }

    #[test]
    fn revisions_never_go_back() {
        let (view, start) = (View::default(), Moment::now());
        view.advance(&head(3, start));
        view.advance(&head(2, start));
        assert_eq!(poll(&view, start), Ok(3));
    }

    #[test]
    fn what_was_confirmed_for_another_revision_confirms_nothing() {
        let (view, start) = (View::default(), Moment::now());
        view.advance(&head(3, start));
        view.confirm(head(2, start).position, after(start, 100, 100));
        assert_eq!(poll(&view, after(start, 100, 100)), Err("stale"));
    }

    #[test]
    fn a_divergence_ends_polls_at_once_and_anything_else_by_age() {
        for (at_once, soon) in [(true, Err("x")), (false, Ok(3))] {
            let (view, start) = (View::default(), Moment::now());
            view.advance(&head(3, start));
            view.mute(&Mute { code: "x", sentence: "why".into(), at_once });
            assert_eq!(poll(&view, start), soon);
            assert_eq!(poll(&view, after(start, 61, 61)), Err("x"));
            view.advance(&head(4, after(start, 61, 61)));
            assert_eq!(poll(&view, after(start, 61, 61)), Err("x"));
            assert!(view.now().writable().is_err());
        }
    }
}
