//! A SQLite file that is exchanged under running servers: for an older backup of itself, or for another store.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Round;
use super::lineage::Lineage;
use super::stage::{Stage, log_at};
use super::workload::Workload;
use crate::server::sqlite;

/// The side files of a SQLite database.
const SIDES: [&str; 3] = ["", "-wal", "-shm"];
/// Until something has been written and polled.
const A_WHILE: Duration = Duration::from_millis(700);

pub(super) fn by_a_backup(round: &mut Round<'_>) -> Result<()> {
    again_and_again(round, |stage| {
        backup(&stage.folder.path().join("store.db"), &stage.folder.path().join("other.db"))
    })
}

pub(super) fn by_another_store(round: &mut Round<'_>) -> Result<()> {
    let program = round.program;
    again_and_again(round, |stage| {
        let other = stage.folder.path().join("other.db");
        let seed = stage.folder.path().join("other.json");
        fs::write(&seed, Workload { clusters: 6 }.seed().to_string())?;
        let (url, seed) = (sqlite(&other), seed.display().to_string());
        let variables = [("DATABASE_URL", url.as_str()), ("SEED_FILE", seed.as_str())];
        let maker = Lineage::new(program, stage.folder.path(), "maker", "crud", &variables)?;
        maker.start()?;
        maker.wait_until_ready()?;
        maker.kill()
    })
}

fn again_and_again(round: &mut Round<'_>, make: impl Fn(&Stage) -> Result<()>) -> Result<()> {
    for _ in 0..round.some() {
        once(round, &make)?;
    }
    Ok(())
}

/// Each process is mute until it is confirmed, through a restart too, and goes on from there.
fn once(round: &mut Round<'_>, make: impl Fn(&Stage) -> Result<()>) -> Result<()> {
    let processes = [("crud", "crud"), ("reader-1", "read-only"), ("reader-2", "read-only")];
    let stage = Stage::set(round.program, None, &processes)?;
    let load = stage.load();
    thread::sleep(A_WHILE);
    make(&stage)?;
    thread::sleep(A_WHILE);
    round.random.pause(300);
    let store = stage.folder.path().join("store.db");
    exchange(&store, &stage.folder.path().join("other.db"), &stage.folder.path().join("old.db"))?;
    let restarted = round.random.one_of(&stage.lineages).context("there is no process")?;
    restarted.kill()?;
    restarted.start()?;
    stage.wait_until("store_diverged")?;
    restarted.kill()?;
    restarted.start()?;
    restarted.wait_until("store_diverged")?;
    let seen = load.stop()?;
    let old = log_at(&sqlite(&stage.folder.path().join("old.db")))?;
    stage.judge_by(old, 1, &seen)?;
    confirmed(&stage, &sqlite(&store))
}

/// Has each process confirmed, and judges what they say from then on by what is in the store by then.
pub(super) fn confirmed(stage: &Stage, database: &str) -> Result<()> {
    let begins = log_at(database)?.last().map_or(0, |entry| entry.revision);
    stage.lineages.iter().try_for_each(Lineage::confirm)?;
    let load = stage.load();
    thread::sleep(A_WHILE);
    stage.wait_until_ready()?;
    let first = stage.lineages.first().context("there is no process")?;
    first.kill()?;
    first.start()?;
    stage.wait_until_ready()?;
    load.wait_for_writes()?;
    let seen = load.stop()?;
    stage.judge_by(log_at(database)?, begins, &seen)
}

/// A backup of a store that is written to, as SQLite makes one.
pub(super) fn backup(store: &Path, copy: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(store)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute("VACUUM INTO ?1", [copy.display().to_string()])?;
    Ok(())
}

/// Puts `other` in the place of `store`, which goes to `old` with all that belongs to it.
pub(super) fn exchange(store: &Path, other: &Path, old: &Path) -> Result<()> {
    for side in SIDES {
        let from = with(store, side);
        if from.exists() {
            fs::rename(&from, with(old, side))?;
        }
    }
    ensure!(!store.exists(), "the old store is still there");
    for side in SIDES.iter().rev() {
        let from = with(other, side);
        if from.exists() {
            fs::rename(&from, with(store, side))?;
        }
    }
    Ok(())
}

fn with(path: &Path, side: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(side);
    name.into()
}
