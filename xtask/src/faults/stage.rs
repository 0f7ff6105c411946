//! Where a scenario takes place: a folder, a store, the processes on it, and the time since it began.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flux_resourceset_model::change::{Entry, READER_VERSION};
use flux_resourceset_store::{Access, PostgresStore, PostgresUrl, SqliteStore, Store};
use tempfile::TempDir;

use super::committed::{Committed, log};
use super::judge::judge;
use super::lineage::Lineage;
use super::load::Load;
use super::seen::Seen;
use super::workload::{Numbers, Workload};
use crate::server::sqlite;

/// Short, so that it passes while something is broken.
pub(super) const MAX_STALENESS: Duration = Duration::from_secs(2);

/// How many wrong answers are told in full.
const TOLD: usize = 10;

/// What a scenario is about.
pub(super) struct Stage {
    pub(super) folder: TempDir,
    /// The URL of the store.
    database: String,
    pub(super) lineages: Arc<Vec<Lineage>>,
    pub(super) workload: Workload,
    pub(super) numbers: Arc<Numbers>,
    pub(super) start: Instant,
}

impl Stage {
    /// Starts a process for each of these names and modes on the empty store at `database`, or on one in a SQLite
    /// file; returns once the fleet is there and each of them answers polls.
    pub(super) fn set(
        program: &Path,
        database: Option<&str>,
        processes: &[(&str, &'static str)],
    ) -> Result<Self> {
        Self::set_for(program, database, processes, Workload { clusters: 6 }, |_| {})
    }

    /// The same, for another fleet and processes that are changed before they are started.
    pub(super) fn set_for(
        program: &Path,
        database: Option<&str>,
        processes: &[(&str, &'static str)],
        workload: Workload,
        change: impl Fn(&mut Lineage),
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        let database = database.map_or_else(|| sqlite(&folder.path().join("store.db")), str::to_owned);
        let seed = folder.path().join("seed.json");
        fs::write(&seed, workload.seed().to_string())?;
        let staleness = format!("{}ms", MAX_STALENESS.as_millis());
        let seed = seed.display().to_string();
        let variables = [
            ("DATABASE_URL", database.as_str()),
            ("SEED_FILE", seed.as_str()),
            ("MAX_STALENESS", staleness.as_str()),
            ("RUST_LOG", "info,flux_resourceset_server::service=warn"),
        ];
        let mut lineages = Vec::new();
        for (name, mode) in processes {
            let mut lineage = Lineage::new(program, folder.path(), name, mode, &variables)?;
            change(&mut lineage);
            lineage.start()?;
            lineages.push(lineage);
        }
        for lineage in &lineages {
            lineage.wait_until_ready()?;
        }
        let (lineages, numbers) = (Arc::new(lineages), Arc::default());
        Ok(Stage { folder, database, lineages, workload, numbers, start: Instant::now() })
    }

    /// Has everybody poll and write from now on.
    pub(super) fn load(&self) -> Load {
        Load::start(&self.lineages, self.workload, &self.numbers, self.start)
    }

    /// Returns once each process answers polls.
    pub(super) fn wait_until_ready(&self) -> Result<()> {
        self.lineages.iter().try_for_each(Lineage::wait_until_ready)
    }

    /// Returns once each process answers polls with this code.
    pub(super) fn wait_until(&self, code: &str) -> Result<()> {
        self.lineages.iter().try_for_each(|lineage| lineage.wait_until(code))
    }

    /// Judges what was seen by the log of the store that is there; all of it but the seed is of these writes.
    pub(super) fn judge(&self, seen: &Seen) -> Result<()> {
        self.judge_by(log_at(&self.database)?, 1, seen)
    }

    /// Judges what was seen by `entries`, of which those up to `begins` were there before.
    pub(super) fn judge_by(&self, entries: Vec<Entry>, begins: u64, seen: &Seen) -> Result<()> {
        println!("    {}; revision {}", seen.summary(), entries.last().map_or(0, |entry| entry.revision));
        // What was never asked or never answered proves nothing.
        ensure!(!seen.polls.is_empty(), "no poll was answered");
        ensure!(seen.acknowledged() > 0, "no write was done");
        let committed = Committed::of(entries, begins, self.workload.clusters)?;
        let mut wrong = judge(&committed, seen, MAX_STALENESS);
        for lineage in self.lineages.iter().filter(|it| it.log().is_ok_and(|log| log.contains("panicked"))) {
            wrong.push(format!("{} panicked", lineage.name));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let names = self.lineages.iter().enumerate().map(|(at, it)| format!("{at} is {}", it.name));
        let names = names.collect::<Vec<_>>().join(", ");
        let told = wrong.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
        anyhow::bail!("{} times what must not be (process {names}):\n{told}", wrong.len())
    }
}

impl Drop for Stage {
    /// Who polls and writes may still know of the processes, after a failure.
    fn drop(&mut self) {
        for lineage in self.lineages.iter() {
            let _gone = lineage.kill();
        }
    }
}

/// The log of the store at a URL.
pub(super) fn log_at(database: &str) -> Result<Vec<Entry>> {
    log_as(database, READER_VERSION)
}

/// The same, as a release reads it that has this version of the documents' rules.
pub(super) fn log_as(database: &str, version: u32) -> Result<Vec<Entry>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store: Box<dyn Store> = match database.strip_prefix("sqlite://") {
            Some(rest) => {
                let file = rest.split('?').next().unwrap_or_default();
                Box::new(SqliteStore::open_for_reader(file, Access::ReadOnly, version).await?)
            }
            None => {
                let url = PostgresUrl::parse(database).ok().context("no URL of PostgreSQL")?;
                Box::new(PostgresStore::open_for_reader(&url, Access::ReadOnly, version).await?)
            }
        };
        log(&*store).await
    })
}
