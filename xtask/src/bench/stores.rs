//! SQLite stores of fleets of several sizes, each made once in a run: by our server, from a seed file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::fleet;
use crate::server::{Server, Settings, sqlite};
use crate::workspace::Programs;

/// How long a server may take to fill a store, or to read one.
const PATIENCE: Duration = Duration::from_secs(600);

/// The programs, and the stores that were made so far.
pub(super) struct Stores {
    pub(super) programs: Programs,
    folder: PathBuf,
}

impl Stores {
    pub(super) fn new(programs: Programs, folder: &Path) -> Self {
        Stores { programs, folder: folder.into() }
    }

    /// A folder of its own for one benchmark.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The store of a fleet of so many clusters. Nobody writes to it: see [`copy`](Self::copy).
    pub(super) fn of(&self, clusters: usize) -> Result<PathBuf> {
        let file = self.folder.join(format!("fleet-{clusters}.db"));
        if !file.exists() {
            let unfinished = file.with_extension("unfinished");
            self.fill(&sqlite(&unfinished), clusters)?;
            settle(&unfinished)?;
            fs::rename(unfinished, &file)?;
        }
        Ok(file)
    }

    /// Fills the empty store at the URL `database`.
    pub(super) fn fill(&self, database: &str, clusters: usize) -> Result<()> {
        println!("filling a store with {clusters} clusters ...");
        let seed = self.folder.join("seed.json");
        fleet::write_seed(clusters, &seed)?;
        self.start(database, "crud", Some(&seed), &self.folder.join("seed.log"))?;
        fs::remove_file(seed)?;
        Ok(())
    }

    /// The URL of that store, to be read.
    pub(super) fn read_only(&self, clusters: usize) -> Result<String> {
        Ok(sqlite(&self.of(clusters)?))
    }

    /// The URL of a copy of that store in `folder`, to be written to.
    pub(super) fn copy(&self, clusters: usize, folder: &Path) -> Result<String> {
        let copy = folder.join(format!("fleet-{clusters}.db"));
        fs::copy(self.of(clusters)?, &copy)?;
        Ok(sqlite(&copy))
    }

    /// A server on the store at the URL `database`, whose log goes to `log`.
    pub(super) fn serve(&self, database: &str, mode: &str, log: &Path) -> Result<Server> {
        self.start(database, mode, None, log)
    }

    fn start(&self, database: &str, mode: &str, seed: Option<&Path>, log: &Path) -> Result<Server> {
        let listen = "127.0.0.1:0";
        Server::start_with(
            &self.programs,
            &Settings { mode, database, seed, listen, log, patience: PATIENCE },
        )
    }
}

/// Works the write-ahead log into the file, so that the file alone is the store.
fn settle(file: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
