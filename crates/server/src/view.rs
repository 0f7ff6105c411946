//! What this process knows of the store: the current Fleet, when it was last confirmed to be the
//! store's head, and whether the store is still followed. Read by every poll without a lock.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::{ArcSwap, Guard};
use flux_resourceset_merge::Fleet;
use flux_resourceset_store::{Position, Store};

use crate::error::ApiError;

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
    /// Taken before the question was sent whose answer said that this is the head.
    pub(crate) confirmed: Moment,
}

/// Why the store is followed no further. It stays so until the process is started again.
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
    mute: Option<Mute>,
    /// What hindered the last attempt to read the store, if anything did.
    trouble: Option<String>,
}

impl State {
    /// The Fleet that polls may be answered from at `now`, or why there is none.
    pub(crate) fn servable(&self, now: Moment, max_staleness: Duration) -> Result<&Head, ApiError> {
        if let Some(mute) = self.mute.as_ref().filter(|mute| mute.at_once) {
            return Err(ApiError::unavailable(mute.code, mute.sentence.as_str()));
        }
        let head = self.head.as_ref().ok_or_else(|| self.starting())?;
        let age = now.since(head.confirmed);
        if age <= max_staleness {
            return Ok(head);
        }
        if let Some(mute) = &self.mute {
            return Err(ApiError::unavailable(mute.code, mute.sentence.as_str()));
        }
        let message = format!(
            "What this server knows (revision {}) was last confirmed {} seconds ago, which is more than MAX_STALENESS \
             allows: the store does not answer.",
            head.position.revision,
            age.as_secs()
        );
        Err(self.troubled(ApiError::passing("stale", message)))
    }

    /// The Fleet that documents are read from: the newest known, however long ago it was confirmed.
    pub(crate) fn known(&self) -> Result<&Head, ApiError> {
        self.head.as_ref().ok_or_else(|| self.starting())
    }

    /// The Fleet that a write is checked against; whether it is the head is decided by the commit.
    pub(crate) fn writable(&self) -> Result<&Head, ApiError> {
        match &self.mute {
            Some(mute) => Err(ApiError::unavailable(mute.code, mute.sentence.as_str())),
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

/// The one holder of the [`State`].
#[derive(Default)]
pub(crate) struct View {
    state: ArcSwap<State>,
}

impl View {
    pub(crate) fn now(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// Takes `head`, unless a later revision is known already.
    pub(crate) fn advance(&self, head: &Head) {
        self.state.rcu(|state| {
            let known = state.head.as_ref();
            let same_or_newer = known.is_none_or(|known| known.position.revision <= head.position.revision);
            let mut next = State::clone(state);
            if same_or_newer && state.mute.is_none() {
                next.head = Some(head.clone());
                next.trouble = None;
            }
            next
        });
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

    /// Stops following for good; the first reason stands.
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
            confirmed,
        }
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
