//! Writes over a store that keeps silent, fails or is late exactly when the test says so. There is no
//! follower here, so every question to the store is one that the write itself asks.

use std::collections::VecDeque;
use std::sync::Mutex as Locked;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use flux_resourceset_merge::Fleet;
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{Key, Operation, Verb};
use flux_resourceset_store::{
    Beginning, EntryDetail, LogQuery, MemoryStore, Past, Position, Record, Restored, Snapshot, Step, Store,
    StoreId, Stored, Version,
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::*;
use crate::guard::Confirmation;
use crate::write::change_set;

/// What becomes of one commit. One that the test says nothing of is done.
#[derive(Clone, Copy)]
enum Fate {
    /// Stored, and not said.
    Unsaid,
    /// Not stored, and not said.
    Lost,
    /// Somebody else's is stored in its place, and not said.
    Overtaken,
    /// Never answered, and stored after so many seconds whether anybody waits or not.
    Late(u64),
    /// Never answered, never stored.
    Hangs,
    Conflicts,
    Fails(ErrorKind),
}

struct Scripted {
    inner: MemoryStore,
    commits: Locked<VecDeque<Fate>>,
    /// Whether each of the next reads succeeds; all after them do.
    reads: Locked<VecDeque<bool>>,
    /// How many change sets each commit had.
    groups: Arc<Locked<Vec<usize>>>,
}

fn silent() -> Error {
    Error::new(ErrorKind::Unknown, "the test says nothing")
}

#[async_trait]
impl Store for Scripted {
    async fn head(&self) -> Result<(StoreId, Position), Error> {
        self.inner.head().await
    }

    async fn load(&self, at: Option<u64>) -> Result<Snapshot, Error> {
        self.inner.load(at).await
    }

    async fn commit(&self, expected: Position, change_sets: Vec<ChangeSet>) -> Result<Committed, Error> {
        let fate = self.commits.lock().unwrap().pop_front();
        self.groups.lock().unwrap().push(change_sets.len());
        match fate {
            None => return self.inner.commit(expected, change_sets).await,
            Some(Fate::Unsaid) => drop(self.inner.commit(expected, change_sets).await?),
            Some(Fate::Lost) => {}
            Some(Fate::Overtaken) => drop(self.inner.commit(expected, vec![others()]).await?),
            Some(Fate::Late(seconds)) => {
                let inner = self.inner.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    inner.commit(expected, change_sets).await
                });
                std::future::pending().await
            }
            Some(Fate::Hangs) => std::future::pending().await,
            Some(Fate::Conflicts) => return Ok(Committed::Conflict(expected)),
            Some(Fate::Fails(kind)) => return Err(Error::new(kind, "the test says that the disk is full")),
        }
        Err(silent())
    }

    async fn changes_since(&self, seen: Position, limit: usize) -> Result<Changes, Error> {
        if self.reads.lock().unwrap().pop_front() == Some(false) {
            return Err(Error::new(ErrorKind::Unavailable, "the test says that it is away"));
        }
        self.inner.changes_since(seen, limit).await
    }

    async fn log(&self, query: &LogQuery) -> Result<Vec<Record>, Error> {
        self.inner.log(query).await
    }

    async fn entry(&self, revision: u64, offset: usize, limit: usize) -> Result<Past<EntryDetail>, Error> {
        self.inner.entry(revision, offset, limit).await
    }

    async fn read_at(&self, key: &Key, revision: u64) -> Result<Past<Option<Stored>>, Error> {
        self.inner.read_at(key, revision).await
    }

    async fn versions(&self, key: &Key, below: Option<u64>, limit: usize) -> Result<Vec<Version>, Error> {
        self.inner.versions(key, below, limit).await
    }

    async fn revision_at(&self, at: i64) -> Result<Option<u64>, Error> {
        self.inner.revision_at(at).await
    }

    async fn history_begins(&self) -> Result<u64, Error> {
        self.inner.history_begins().await
    }

    async fn forget(&self, before: i64) -> Result<u64, Error> {
        self.inner.forget(before).await
    }

    async fn beginning(&self) -> Result<Beginning, Error> {
        self.inner.beginning().await
    }

    async fn restore(&self, steps: mpsc::Receiver<Step>) -> Result<Restored, Error> {
        self.inner.restore(steps).await
    }

    async fn wait(&self, seen: u64) {
        self.inner.wait(seen).await;
    }
}

fn create(id: &str) -> Operation {
    Operation::new(Verb::Create, Key::new("namespaces", id), Some(json!({"id": id})))
}

fn ask() -> Ask {
    ask_for("x")
}

fn ask_for(id: &'static str) -> Ask {
    Ask {
        wanted: Arc::new(move |_| Ok(vec![create(id)])),
        condition: None,
        confirmation: Confirmation::default(),
        since: None,
        principal: "write".into(),
        reason: None,
        request_id: "test".into(),
    }
}

fn others() -> ChangeSet {
    let operations = vec![create("other")];
    let prepared = Fleet::empty(Rules::default()).prepare(&operations).unwrap();
    change_set(&ask(), EntryId(7), operations, prepared)
}

/// A writer of an empty fleet.
struct Writing {
    writer: Arc<Writer>,
    inner: MemoryStore,
    /// How many change sets each commit had.
    groups: Arc<Locked<Vec<usize>>>,
}

impl Writing {
    fn over(commits: &[Fate], reads: &[bool]) -> Self {
        let (inner, groups) = (MemoryStore::new(), Arc::default());
        let store = Scripted {
            inner: inner.clone(),
            commits: Locked::new(commits.iter().copied().collect()),
            reads: Locked::new(reads.iter().copied().collect()),
            groups: Arc::clone(&groups),
        };
        let view = Arc::new(View::default());
        view.follow_anew(&Head {
            fleet: Fleet::empty(Rules::default()),
            position: Position::START,
            store: Arc::new(store),
            id: StoreId(1),
            confirmed: Moment::now(),
        });
        Writing { writer: Arc::new(Writer::new(view, 10)), inner, groups }
    }
}

/// The code of a write's answer, or `written` with the revision.
fn told(answer: Answered) -> String {
    match answer {
        Ok(Outcome::Done(done)) => format!("written {}", done.revision()),
        Ok(Outcome::Planned(_)) => "planned".to_owned(),
        Err(error) => error.code.to_owned(),
    }
}

struct Tried {
    /// What each write was [`told`].
    said: Vec<String>,
    /// How many change sets each commit had.
    groups: Vec<usize>,
    /// How many entries the log has at last.
    entries: u64,
}

/// Writes all of `asks` at once.
async fn write_all(asks: Vec<Ask>, commits: &[Fate], reads: &[bool]) -> Tried {
    write_later(asks.into_iter().map(|ask| (0, ask)).collect(), commits, reads).await
}

/// Writes each of `asks` after so many seconds.
async fn write_later(asks: Vec<(u64, Ask)>, commits: &[Fate], reads: &[bool]) -> Tried {
    let Writing { writer, inner, groups } = Writing::over(commits, reads);
    let view = Arc::clone(&writer.view);
    let writes: Vec<_> = asks
        .into_iter()
        .map(|(seconds, ask)| {
            let writer = Arc::clone(&writer);
            tokio::spawn(async move {
                if seconds > 0 {
                    sleep(Duration::from_secs(seconds)).await;
                }
                writer.write(ask).await
            })
        })
        .collect();
    let mut said = Vec::new();
    for write in writes {
        said.push(told(write.await.unwrap()));
    }
    sleep(Duration::from_secs(600)).await;
    if said.iter().all(|said| said.starts_with("written")) {
        assert!(writer.ahead.lock().await.is_none(), "nobody goes on from it");
    }
    let entries = inner.head().await.unwrap().1.revision;
    let served = view.now().head().unwrap().clone();
    let Snapshot { position, documents: stored, .. } =
        inner.load(Some(served.position.revision)).await.unwrap();
    assert_eq!(served.position, position);
    assert!(stored.iter().all(|one| served.fleet.get(&one.key).is_some_and(|it| *it.body() == one.body)));
    assert_eq!(served.fleet.len("namespaces"), stored.len());
    if reads.is_empty() && said.iter().all(|said| said.starts_with("written")) {
        assert_eq!(view.now().head().unwrap().fleet.revision(), entries);
    }
    let groups = groups.lock().unwrap().clone();
    Tried { said, groups, entries }
}

async fn write(commits: &[Fate], reads: &[bool]) -> (String, u64) {
    let Tried { mut said, entries, .. } = write_all(vec![ask()], commits, reads).await;
    (said.remove(0), entries)
}

const IDS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

#[tokio::test(start_paused = true)]
async fn those_that_wait_together_are_committed_together() {
    let tried = write_all(IDS.map(ask_for).to_vec(), &[], &[]).await;
    let expected: Vec<_> = (1..=8).map(|revision| format!("written {revision}")).collect();
    assert_eq!((tried.said, tried.entries), (expected, 8));
    // All of them wait before the first has its turn, as tasks of one thread go.
    assert_eq!(tried.groups, [8]);
}

#[tokio::test(start_paused = true)]
async fn each_of_a_group_is_checked_on_what_the_one_before_leaves() {
    let panics = Ask { wanted: Arc::new(|_| panic!("in a check")), ..ask() };
    let plans =
        Ask { confirmation: Confirmation { plan_only: true, ..Confirmation::default() }, ..ask_for("y") };
    let sees = Ask {
        wanted: Arc::new(|fleet| {
            assert!(fleet.get(&Key::new("namespaces", "x")).is_some());
            Ok(vec![create("z")])
        }),
        ..ask()
    };
    let tried = write_all(vec![ask(), ask(), panics, plans, sees], &[], &[]).await;
    assert_eq!(tried.said, ["written 1", "exists", "internal", "planned", "written 2"]);
    assert_eq!((tried.groups, tried.entries), (vec![2], 2));
}

#[tokio::test(start_paused = true)]
async fn the_next_group_is_checked_while_one_is_committed_and_anew_where_that_fails() {
    use Fate::{Fails, Hangs, Late, Lost};
    let started = Instant::now();
    for (fates, said, checks) in [
        (&[Late(10)][..], ["written 1", "written 2"], &[(1, true)][..]),
        (
            &[Hangs, Fails(ErrorKind::Unavailable)],
            ["outcome_unknown", "written 1"],
            &[(1, true), (30, false)],
        ),
        // What was in doubt before it was stored after all, and so is what came on top.
        (&[Lost, Lost, Late(31), Late(5)], ["outcome_unknown", "written 2"], &[(1, true)]),
    ] {
        let (begun, checked) = (started.elapsed().as_secs(), Arc::new(Locked::new(Vec::new())));
        let noted = Arc::clone(&checked);
        let sees = Ask {
            wanted: Arc::new(move |fleet| {
                let is_there = fleet.get(&Key::new("namespaces", "x")).is_some();
                noted.lock().unwrap().push((started.elapsed().as_secs() - begun, is_there));
                Ok(vec![create("z")])
            }),
            ..ask()
        };
        let tried = write_later(vec![(0, ask()), (1, sees)], fates, &[]).await;
        assert_eq!((tried.said, &**checked.lock().unwrap()), (said.map(String::from).to_vec(), checks));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_checked_on_a_group_that_came_otherwise_is_checked_anew() {
    use Fate::{Hangs, Overtaken};
    let other = Ask {
        wanted: Arc::new(|_| {
            let body = json!({"id": "other", "labels": {"not": "stored"}});
            Ok(vec![Operation::new(Verb::Create, Key::new("namespaces", "other"), Some(body))])
        }),
        ..ask()
    };
    // While it hangs the third is checked on what the two leave. Then somebody else's entry takes the first
    // one's place, and the second has the revision that it was to have.
    let asks = vec![(0, other), (0, ask_for("x")), (1, ask_for("z"))];
    let tried = write_later(asks, &[Hangs, Overtaken], &[]).await;
    assert_eq!(
        (tried.said, tried.entries),
        (["exists", "written 2", "written 3"].map(String::from).to_vec(), 3)
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_in_doubt_is_found_whole_or_made_anew_whole() {
    use Fate::{Conflicts, Lost, Overtaken, Unsaid};
    let three = || vec![ask_for("a"), ask_for("b"), ask_for("a")];
    for (fates, said, entries) in [
        (&[Unsaid][..], ["written 1", "written 2", "exists"], 2),
        (&[Lost, Unsaid], ["written 1", "written 2", "exists"], 2),
        (&[Overtaken], ["written 2", "written 3", "exists"], 3),
        (&[Conflicts], ["written 1", "written 2", "exists"], 2),
        (&[Lost; 3], ["outcome_unknown"; 3], 0),
    ] {
        let tried = write_all(three(), fates, &[]).await;
        assert_eq!((tried.said, tried.entries), (said.map(String::from).to_vec(), entries));
    }
}

#[tokio::test(start_paused = true)]
async fn who_wants_nothing_stored_is_answered_while_nothing_can_be() {
    let plans =
        |id| Ask { confirmation: Confirmation { plan_only: true, ..Confirmation::default() }, ..ask_for(id) };
    let asks = vec![plans("a"), ask_for("b"), plans("c")];
    let tried = write_all(asks, &[Fate::Fails(ErrorKind::Unavailable)], &[]).await;
    // The last was planned on top of what was not stored.
    assert_eq!(tried.said, ["planned", "store_unavailable", "store_unavailable"]);
}

#[tokio::test(start_paused = true)]
async fn more_than_one_group_is_answered_too() {
    let ids: Vec<&'static str> = (0..150).map(|n| &*Box::leak(format!("n-{n}").into_boxed_str())).collect();
    let tried = write_all(ids.into_iter().map(ask_for).collect(), &[], &[]).await;
    assert_eq!((tried.groups, tried.entries), (vec![64, 64, 22], 150));
    let many = |from: usize| Ask {
        wanted: Arc::new(move |_| Ok((from..from + 600).map(|n| create(&format!("m-{n}"))).collect())),
        ..ask()
    };
    let tried = write_all(vec![many(0), many(600), many(1200)], &[], &[]).await;
    assert_eq!(
        (tried.said, tried.groups),
        (["written 1", "written 2", "written 3"].map(String::from).to_vec(), vec![2, 1])
    );
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_stored_later_was_never_called_undone() {
    use Fate::{Hangs, Late};
    assert_eq!(write(&[Late(150), Hangs, Hangs], &[]).await, ("outcome_unknown".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_stored_late_is_found() {
    use Fate::{Hangs, Late};
    assert_eq!(write(&[Late(35), Hangs], &[]).await, ("written 1".into(), 1));
    assert_eq!(write(&[Late(35), Late(5)], &[]).await, ("written 1".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_found_is_written_whatever_fails_then() {
    assert_eq!(write(&[Fate::Unsaid], &[true, false]).await, ("written 1".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_in_doubt_does_not_say_that_nothing_was_changed() {
    use Fate::{Conflicts, Fails, Lost};
    for second in [ErrorKind::Unavailable, ErrorKind::Invalid, ErrorKind::Corrupt] {
        assert_eq!(write(&[Lost, Fails(second)], &[]).await, ("outcome_unknown".into(), 0), "{second:?}");
    }
    let catching_up_fails = [true, false, true];
    assert_eq!(write(&[Lost, Conflicts], &catching_up_fails).await, ("outcome_unknown".into(), 0));
    assert_eq!(write(&[Lost; 3], &[]).await, ("outcome_unknown".into(), 0));
    assert_eq!(write(&[Fails(ErrorKind::Unavailable)], &[]).await, ("store_unavailable".into(), 0));
}

#[tokio::test(start_paused = true)]
async fn another_entry_in_its_place_ends_the_doubt() {
    use Fate::{Fails, Lost, Overtaken, Unsaid};
    let away = Fails(ErrorKind::Unavailable);
    assert_eq!(write(&[Overtaken], &[]).await, ("written 2".into(), 2));
    assert_eq!(write(&[Overtaken, away], &[]).await, ("store_unavailable".into(), 1));
    assert_eq!(write(&[Lost, Overtaken, Unsaid], &[]).await, ("written 2".into(), 2));
    // A second doubt is about the place that the second commit would have taken.
    assert_eq!(write(&[Overtaken, Lost, away], &[]).await, ("outcome_unknown".into(), 1));
}

/// A group that is checked anew may be too much for one commit when nobody comes after it.
#[tokio::test(start_paused = true)]
async fn who_is_set_aside_when_checked_anew_is_answered() {
    let checked = Arc::new(AtomicUsize::new(0));
    let grows = Ask {
        wanted: Arc::new(move |_| {
            let many = if checked.fetch_add(1, Ordering::Relaxed) == 0 { 1 } else { GROUP_DOCUMENTS };
            Ok((0..many).map(|n| create(&format!("m-{n}"))).collect())
        }),
        ..ask()
    };
    let writing = write_all(vec![grows, ask_for("b"), ask_for("c")], &[Fate::Conflicts], &[]);
    let tried = timeout(Duration::from_secs(24 * 3600), writing).await.expect("a day is enough");
    assert_eq!(tried.said, ["written 1", "written 2", "written 3"]);
}

/// What a newer release wrote on top of it ends following, and not polls at once.
#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_polled_though_following_ended_meanwhile() {
    let Writing { writer, .. } = Writing::over(&[Fate::Late(5)], &[]);
    let muted = Arc::clone(&writer.view);
    tokio::spawn(async move {
        sleep(Duration::from_secs(10)).await;
        muted.mute(&Mute { code: "store_unreadable", sentence: "why".into(), at_once: false });
    });
    let Ok(Outcome::Done(done)) = writer.write(ask()).await else { panic!("it is stored") };
    let state = writer.view.now();
    let polled =
        state.servable(Moment::now(), Duration::from_secs(60)).map(|served| served.position.revision);
    assert_eq!((done.revision(), polled.ok()), (1, Some(1)));
}

/// Nothing of it was tried, so that nothing of it need be known.
#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_begun() {
    let Writing { writer, groups, .. } = Writing::over(&[Fate::Late(5)], &[]);
    let write = |id| {
        let writer = Arc::clone(&writer);
        async move { told(writer.write(ask_for(id)).await) }
    };
    let stored = tokio::spawn(write("a"));
    sleep(Duration::from_secs(1)).await;
    let checked_meanwhile = tokio::spawn(write("b"));
    sleep(Duration::from_secs(1)).await;
    timeout(Duration::from_secs(1), write("c")).await.unwrap_err();
    assert_eq!(
        (stored.await.unwrap(), checked_meanwhile.await.unwrap()),
        ("written 1".into(), "written 2".into())
    );
    writer.idle().await;
    assert_eq!(*groups.lock().unwrap(), [1, 1]);
}
