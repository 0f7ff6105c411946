//! What outlives this process (`SNAPSHOT_FILE`): how far the store's head was seen, and the last fleet.
//! Apart from the two files' forms: here is when they are written, and what is concluded from them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Locked, PoisonError};
use std::time::Duration;

use flux_resourceset_store::{Position, Snapshot, StoreId};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::seen::{self, Seen, SeenFile};
use crate::snapshot::{self, beside};
use crate::view::View;

/// Where it is noted how far the head was seen, beside the snapshot.
const SEEN: &str = "-seen";
/// How often it is looked whether there is something to be saved.
const TICK: Duration = Duration::from_secs(1);
/// Between two snapshots lies at least this, and so many times what the last one took: saving a fleet that
/// changes without pause takes a small part of the disk and of one core, however large it is.
const LEAST_PAUSE: Duration = Duration::from_secs(5);
const PAUSE_PER_SAVE: u32 = 20;

/// The files of one process.
#[derive(Debug)]
pub(crate) struct Memory {
    path: PathBuf,
    file: Arc<SeenFile>,
    /// What the file says, durably.
    seen: Mutex<Option<Seen>>,
    /// Held while a snapshot is written.
    saving: Arc<Mutex<()>>,
    saved: Locked<Saved>,
    /// Why each of the two files could not be written the last time.
    troubles: Locked<Troubles>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Saved {
    /// What the snapshot is of.
    pub(crate) of: Option<Seen>,
    /// When this process wrote it.
    pub(crate) at: Option<Instant>,
    took: Duration,
}

#[derive(Debug, Default)]
struct Troubles {
    seen: Option<String>,
    snapshot: Option<String>,
}

/// What was found at the start.
#[derive(Debug, Default)]
pub(crate) struct Recalled {
    /// The furthest that anybody was answered from or told of; `None`: nothing was.
    pub(crate) seen: Option<Seen>,
    /// A fleet on the way there, or the last one.
    pub(crate) snapshot: Option<Snapshot>,
    /// Why it is not known what was seen.
    pub(crate) doubt: Option<String>,
}

impl Memory {
    /// Opens, or makes, what stands at `path`.
    ///
    /// # Errors
    /// A sentence, where a person must act first.
    pub(crate) fn open(path: &Path) -> Result<(Self, Recalled), String> {
        let beside = beside(path, SEEN);
        let wrong = |path: &Path, why: &str| format!("SNAPSHOT_FILE: {} {why}", path.display());
        // First, so that nothing is made beside another program's file.
        let snapshot = match snapshot::read(path) {
            Ok(snapshot) => Ok(snapshot),
            Err(snapshot::Unread::Foreign) => return Err(wrong(path, FOREIGN)),
            Err(snapshot::Unread::Damaged) => Err("is damaged, or another release wrote it".to_owned()),
            Err(snapshot::Unread::Io(error)) => Err(format!("cannot be read: {error}")),
        };
        let (file, seen) = SeenFile::open(&beside).map_err(|unread| match unread {
            seen::Unread::InUse => wrong(&beside, "is in use: give each process a file of its own"),
            seen::Unread::Io(error) => wrong(&beside, &format!("cannot be opened: {error}")),
            seen::Unread::Foreign | seen::Unread::Damaged => wrong(&beside, FOREIGN),
        })?;
        // A name is durable once its folder is; the file says nothing yet.
        snapshot::sync_folder(path).map_err(|error| wrong(path, &format!("cannot be kept: {error}")))?;
        let recalled = recalled(path, seen.ok(), snapshot);
        let of = recalled.snapshot.as_ref().map(|one| Seen { store: one.store, position: one.position });
        let memory = Memory {
            path: path.to_owned(),
            file: Arc::new(file),
            seen: Mutex::new(recalled.seen),
            saving: Arc::default(),
            saved: Locked::new(Saved { of, ..Saved::default() }),
            troubles: Locked::default(),
        };
        Ok((memory, recalled))
    }

    /// Notes that the head was seen at `position`, durably where that can be: an answer from there comes
    /// after this. Those who saw the same at once wait for one write; who comes later than it, for none.
    pub(crate) async fn saw(&self, store: StoreId, position: Position) {
        let mut known = self.seen.lock().await;
        let covers = |known: &Seen| known.store == store && known.position.revision >= position.revision;
        if !known.as_ref().is_some_and(covers) {
            self.write(&mut known, Seen { store, position }, SeenFile::write).await;
        }
    }

    /// Notes that a person took `position` for the head, whatever was seen before.
    pub(crate) async fn accept(&self, store: StoreId, position: Position) {
        let mut known = self.seen.lock().await;
        self.write(&mut known, Seen { store, position }, SeenFile::rewrite).await;
    }

    async fn write(
        &self,
        known: &mut Option<Seen>,
        seen: Seen,
        write: fn(&SeenFile, Seen) -> io::Result<()>,
    ) {
        let file = Arc::clone(&self.file);
        let written = done(spawn_blocking(move || write(&file, seen)).await);
        if written.is_ok() {
            *known = Some(seen);
        }
        let what = "how far the store was seen cannot be noted beside SNAPSHOT_FILE, so that after a restart a store that went \
                    back in time may not be recognized";
        note(&mut self.troubles().seen, written, what);
    }

    /// Writes the fleet of `view`, where the snapshot is of another one.
    pub(crate) async fn save(&self, view: &View) {
        let turn = Arc::clone(&self.saving).lock_owned().await;
        let Some(head) = view.now().head().cloned() else { return };
        let of = Seen { store: head.id, position: head.position };
        if self.saved().of == Some(of) {
            return;
        }
        let (path, begun) = (self.path.clone(), Instant::now());
        let write = move || {
            // Until it is done, whether anybody waits for it or was told to end.
            let _turn = turn;
            snapshot::write(&path, &head.fleet, head.id, head.position)
        };
        let written = done(spawn_blocking(write).await);
        let took = begun.elapsed();
        let at = Some(Instant::now());
        match &written {
            Ok(()) => *self.saved_mut() = Saved { of: Some(of), at, took },
            Err(_) => self.saved_mut().took = took,
        }
        note(
            &mut self.troubles().snapshot,
            written,
            "SNAPSHOT_FILE cannot be written, so that the next start has an older one",
        );
    }

    /// Keeps the snapshot close behind the fleet of `view`, for as long as it is let run.
    pub(crate) async fn keep(&self, view: &View) -> ! {
        loop {
            sleep(TICK).await;
            let before = self.saved().of;
            self.save(view).await;
            let saved = self.saved();
            if saved.of != before || self.is_failing() {
                sleep(LEAST_PAUSE.max(saved.took * PAUSE_PER_SAVE)).await;
            }
        }
    }

    pub(crate) fn saved(&self) -> Saved {
        *self.saved_mut()
    }

    /// Whether one of the files could not be written the last time.
    pub(crate) fn is_failing(&self) -> bool {
        let troubles = self.troubles();
        troubles.seen.is_some() || troubles.snapshot.is_some()
    }

    fn saved_mut(&self) -> std::sync::MutexGuard<'_, Saved> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn troubles(&self) -> std::sync::MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const FOREIGN: &str = "is no file of this server: name another one, or move it away";

/// What follows from what the two files say. What was seen is decided by the small one alone: the snapshot
/// may be older, or of what was followed before a person confirmed something else.
fn recalled(path: &Path, seen: Option<Option<Seen>>, snapshot: Result<Option<Snapshot>, String>) -> Recalled {
    let is_there = !matches!(snapshot, Ok(None));
    let snapshot = snapshot.unwrap_or_else(|why| {
        tracing::error!("SNAPSHOT_FILE: {} {why}: it is not used, and will be written anew", path.display());
        None
    });
    match seen {
        Some(Some(seen)) => {
            let snapshot = snapshot.filter(|snapshot| snapshot.store == seen.store);
            Recalled { seen: Some(seen), snapshot, doubt: None }
        }
        Some(None) if !is_there => Recalled::default(),
        unknown => {
            let what = if unknown.is_some() { "is gone" } else { "is damaged, or another release wrote it" };
            let doubt = format!("{} {what}", beside(path, SEEN).display());
            Recalled { seen: None, snapshot, doubt: Some(doubt) }
        }
    }
}

fn done(ended: Result<io::Result<()>, tokio::task::JoinError>) -> Result<(), String> {
    ended.map_err(|panic| panic.to_string())?.map_err(|error| error.to_string())
}

/// Logs what cannot be written, once for each new reason, and that it can again.
fn note(known: &mut Option<String>, written: Result<(), String>, what: &str) {
    let trouble = written.err();
    if let Some(why) = trouble.as_ref().filter(|_| *known != trouble) {
        tracing::error!("{what}: {why}");
    }
    if trouble.is_none() && known.is_some() {
        tracing::info!("what SNAPSHOT_FILE is for is written again");
    }
    *known = trouble;
}

#[cfg(test)]
mod tests {
    use flux_resourceset_merge::Fleet;
    use flux_resourceset_model::Rules;
    use flux_resourceset_model::change::EntryId;
    use flux_resourceset_store::MemoryStore;

    use super::*;
    use crate::view::{Head, Moment};

    const STORE: StoreId = StoreId(3);

    fn at(revision: u64) -> Position {
        Position { revision, entry: EntryId(u128::from(revision)) }
    }

    fn view(revision: u64) -> View {
        let view = View::default();
        view.follow_anew(&Head {
            fleet: Fleet::empty(Rules::default()),
            position: at(revision),
            store: Arc::new(MemoryStore::new()),
            id: STORE,
            confirmed: Moment::now(),
        });
        view
    }

    fn seen(recalled: &Recalled) -> Option<u64> {
        recalled.seen.map(|seen| seen.position.revision)
    }

    fn snapshot(recalled: &Recalled) -> Option<u64> {
        recalled.snapshot.as_ref().map(|snapshot| snapshot.position.revision)
    }

    #[tokio::test]
    async fn what_was_seen_only_rises_until_a_person_says_otherwise() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("snapshot");
        let (memory, first) = Memory::open(&path).unwrap();
        assert_eq!((seen(&first), snapshot(&first), &first.doubt), (None, None, &None));
        for (revision, expected) in [(3, 3), (2, 3), (5, 5)] {
            memory.saw(STORE, at(revision)).await;
            assert_eq!(memory.seen.lock().await.unwrap().position, at(expected));
        }
        memory.save(&view(4)).await;
        drop(memory);
        let (memory, again) = Memory::open(&path).unwrap();
        assert_eq!((seen(&again), snapshot(&again), &again.doubt), (Some(5), Some(4), &None));
        memory.accept(StoreId(4), at(1)).await;
        drop(memory);
        let again = Memory::open(&path).unwrap().1;
        assert_eq!((seen(&again), snapshot(&again)), (Some(1), None), "the snapshot is of another store");
    }

    #[tokio::test]
    async fn where_it_is_not_known_what_was_seen_there_is_doubt() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("snapshot");
        let beside = beside(&path, SEEN);
        let (memory, _) = Memory::open(&path).unwrap();
        memory.saw(STORE, at(5)).await;
        memory.save(&view(5)).await;
        drop(memory);
        let (whole, record) = (std::fs::read(&path).unwrap(), std::fs::read(&beside).unwrap());
        // Without the snapshot, or with a damaged one, it is known all the same.
        for damaged in [None, Some(&whole[..40])] {
            let _ = std::fs::remove_file(&path);
            if let Some(damaged) = damaged {
                std::fs::write(&path, damaged).unwrap();
            }
            let recalled = Memory::open(&path).unwrap().1;
            assert_eq!((seen(&recalled), snapshot(&recalled), &recalled.doubt), (Some(5), None, &None));
        }
        std::fs::write(&path, &whole).unwrap();
        let longer = [&record[..], b"x"].concat();
        for damaged in [&record[..0], &record[..20], &longer] {
            std::fs::write(&beside, damaged).unwrap();
            let (memory, recalled) = Memory::open(&path).unwrap();
            assert_eq!((seen(&recalled), snapshot(&recalled)), (None, Some(5)));
            assert!(recalled.doubt.is_some());
            memory.accept(STORE, at(6)).await;
            drop(memory);
            assert_eq!(seen(&Memory::open(&path).unwrap().1), Some(6), "a person has decided");
        }
    }

    /// At the end of a process the last snapshot is written where another one may be under way.
    #[tokio::test]
    async fn a_snapshot_that_nobody_waits_for_any_more_is_still_written_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("snapshot");
        let (memory, _) = Memory::open(&path).unwrap();
        // What is written there waits for somebody to read it.
        let pipe = folder.path().join("snapshot.tmp");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let given_up = tokio::time::timeout(Duration::from_millis(20), memory.save(&view(4))).await;
        assert!(given_up.is_err() && memory.saving.try_lock().is_err());
        let next = tokio::time::timeout(Duration::from_millis(20), memory.save(&view(5))).await;
        assert!(next.is_err());
        drop(std::fs::File::open(&pipe).unwrap());
        drop(memory.saving.lock().await);
        std::fs::remove_file(&pipe).unwrap();
        memory.save(&view(5)).await;
        assert_eq!(memory.saved().of.map(|of| of.position), Some(at(5)));
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("fleet.db");
        std::fs::write(&path, "SQLite format 3\0".repeat(100)).unwrap();
        let why = Memory::open(&path).unwrap_err();
        assert!(why.starts_with("SNAPSHOT_FILE") && why.contains("no file of this server"), "{why}");
        let why = Memory::open(folder.path()).unwrap_err();
        assert!(why.contains("no file of this server"), "a folder: {why}");
        let nowhere = folder.path().join("none/snapshot");
        assert!(Memory::open(&nowhere).unwrap_err().contains("cannot be opened"));
    }
}
