//! A disk that takes no more, or nothing at all, and a file that somebody else has locked.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::Round;
use super::stage::{MAX_STALENESS, Stage};
use crate::server::sqlite;
use crate::workspace::run;

const PROCESSES: [(&str, &str); 3] = [("crud-1", "crud"), ("crud-2", "crud"), ("reader", "read-only")];

/// A limit on the size of files, which needs no disk of its own: a write in the middle of a commit fails.
pub(super) fn limited(round: &mut Round<'_>) -> Result<()> {
    let stage = Stage::set(round.program, None, &PROCESSES)?;
    let load = stage.load();
    let log = stage.folder.path().join("store.db-wal");
    for _ in 0..round.some() * 2 {
        round.random.pause(500);
        let size = fs::metadata(&log)?.len() + round.random.below(50_000);
        for lineage in stage.lineages.iter() {
            limit(lineage.pid()?, &size.to_string())?;
        }
        round.random.pause(1500);
        for lineage in stage.lineages.iter() {
            limit(lineage.pid()?, "unlimited")?;
        }
        stage.wait_until_ready()?;
        load.wait_for_writes()?;
    }
    let seen = load.stop()?;
    stage.judge(&seen)
}

/// The softer of the two limits, which may be raised again.
fn limit(pid: u32, bytes: &str) -> Result<()> {
    run(Command::new("prlimit").arg(format!("--pid={pid}")).arg(format!("--fsize={bytes}:")))
}

/// A file system of a few megabytes, which is filled to its last byte, and then is read-only.
pub(super) fn full(round: &mut Round<'_>) -> Result<()> {
    let Some(disk) = Disk::mounted()? else {
        println!("SKIPPED: no file system may be mounted here; run it as root");
        return Ok(());
    };
    let stage = Stage::set(round.program, Some(&sqlite(&disk.path().join("store.db"))), &PROCESSES)?;
    let load = stage.load();
    let ballast = disk.path().join("ballast");
    for turn in 0..round.some() {
        round.random.pause(500);
        fill(&ballast)?;
        thread::sleep(MAX_STALENESS);
        // One of them must start while it can write nothing.
        if turn % 2 == 0 {
            let lineage = round.random.one_of(&stage.lineages).context("there is no process")?;
            lineage.kill()?;
            lineage.start()?;
            round.random.pause(1000);
        }
        fs::remove_file(&ballast)?;
        stage.wait_until_ready()?;
        load.wait_for_writes()?;
    }
    // It cannot become so while somebody writes.
    stage.lineages.iter().try_for_each(|lineage| lineage.kill())?;
    disk.remount("ro")?;
    stage.lineages.iter().try_for_each(|lineage| lineage.start())?;
    thread::sleep(MAX_STALENESS);
    disk.remount("rw")?;
    // Who was started on a read-only disk refuses writes until it is started again: SQLite never tries again.
    stage.wait_until_ready()?;
    stage.lineages.iter().try_for_each(|lineage| lineage.kill())?;
    stage.lineages.iter().try_for_each(|lineage| lineage.start())?;
    stage.wait_until_ready()?;
    load.wait_for_writes()?;
    let seen = load.stop()?;
    // What the disk said is what the servers must have met.
    ensure!(seen.writes.iter().any(|write| !write.is_done()), "no write failed on a disk that was full");
    stage.judge(&seen)
}

/// Writes until nothing more fits.
fn fill(ballast: &Path) -> Result<()> {
    let mut file = File::create(ballast)?;
    let mut block = 64 * 1024;
    while block > 0 {
        if file.write_all(&vec![0; block]).is_err() {
            block /= 2;
        }
    }
    Ok(())
}

/// A small file system in memory.
struct Disk(TempDir);

impl Disk {
    /// `None` where this process may mount none.
    fn mounted() -> Result<Option<Self>> {
        let folder = TempDir::new()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m,mode=700", "faults"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        Ok(mounted.then_some(Disk(folder)))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, how: &str) -> Result<()> {
        run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.path()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// Another process holds the write lock of the file for longer than our servers wait for it.
pub(super) fn locked(round: &mut Round<'_>) -> Result<()> {
    let stage = Stage::set(round.program, None, &PROCESSES)?;
    let load = stage.load();
    let mut other = rusqlite::Connection::open(stage.folder.path().join("store.db"))?;
    other.busy_timeout(Duration::from_secs(10))?;
    for _ in 0..round.some() {
        round.random.pause(500);
        let transaction = other.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
        round.random.pause(8000);
        transaction.rollback()?;
        stage.wait_until_ready()?;
        load.wait_for_writes()?;
    }
    drop(other);
    let seen = load.stop()?;
    stage.judge(&seen)
}
