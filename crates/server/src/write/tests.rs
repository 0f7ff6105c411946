//! Writes over a store that keeps silent, fails or is late exactly when the test says so. There is no
//! follower here, so every question to the store is one that the write itself asks.

use std::collections::VecDeque;
use std::sync::Mutex as Locked;

use async_trait::async_trait;
use flux_resourceset_merge::Fleet;
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{Key, Verb};
use flux_resourceset_store::{
    Beginning, EntryDetail, LogQuery, MemoryStore, Past, Position, Record, Restored, Snapshot, Step, Store,
    StoreId, Stored, Version,
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::*;

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
    Ask {
        wanted: Arc::new(|_| Ok(vec![create("x")])),
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

/// The code of a write's answer, or `written` with the revision; and how many entries the log has at last.
async fn write(commits: &[Fate], reads: &[bool]) -> (String, u64) {
    let inner = MemoryStore::new();
    let store = Scripted {
        inner: inner.clone(),
        commits: Locked::new(commits.iter().copied().collect()),
        reads: Locked::new(reads.iter().copied().collect()),
    };
    let view = Arc::new(View::default());
    let head = Head {
        fleet: Fleet::empty(Rules::default()),
        position: Position::START,
        store: Arc::new(store),
        id: StoreId(1),
        confirmed: Moment::now(),
    };
    view.follow_anew(&head);
    let said = match Arc::new(Writer::new(view, 10)).write(ask()).await {
        Ok(Outcome::Done(done)) => format!("written {}", done.revision()),
        Ok(Outcome::Planned(_)) => "planned".to_owned(),
        Err(error) => error.code.to_owned(),
    };
    sleep(Duration::from_secs(600)).await;
    (said, inner.head().await.unwrap().1.revision)
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
