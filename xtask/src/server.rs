//! Our server as a process: on a free port, with a store in a temporary folder, ended when dropped.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::Programs;

pub(crate) const READ_TOKEN: &str = "demo-read-token";
pub(crate) const WRITE_TOKEN: &str = "demo-write-token";
/// Short, since how long a start takes is measured by it.
const PAUSE: Duration = Duration::from_millis(2);

/// A running server.
pub(crate) struct Server {
    process: Child,
    address: String,
}

/// How a server is to be started.
pub(crate) struct Settings<'a> {
    /// `crud` or `read-only`.
    pub(crate) mode: &'a str,
    /// Its URL.
    pub(crate) database: &'a str,
    /// What fills the store if it is empty.
    pub(crate) seed: Option<&'a Path>,
    pub(crate) listen: &'a str,
    /// Where its log goes, behind what stands there.
    pub(crate) log: &'a Path,
    /// How long it may take until it is ready.
    pub(crate) patience: Duration,
}

impl Server {
    /// Starts the server on `listen` with its store in `folder`, seeded from `seed` if the store is empty,
    /// and returns when it is ready. Its log goes to `folder/server.log`.
    pub(crate) fn start(programs: &Programs, folder: &Path, listen: &str, seed: &Path) -> Result<Self> {
        Self::start_with(
            programs,
            &Settings {
                mode: "crud",
                database: &sqlite(&folder.join("fleet.db")),
                seed: Some(seed),
                listen,
                log: &folder.join("server.log"),
                patience: Duration::from_secs(30),
            },
        )
    }

    /// Starts the server and returns when it is ready.
    pub(crate) fn start_with(programs: &Programs, settings: &Settings<'_>) -> Result<Self> {
        let log = File::options().create(true).append(true).open(settings.log)?;
        let written = log.metadata()?.len();
        let mut command = Command::new(&programs.server);
        command
            .env_clear()
            .env("API_MODE", settings.mode)
            .env("DATABASE_URL", settings.database)
            .env("AUTH_TOKEN", READ_TOKEN)
            .env("CRUD_AUTH_TOKEN", WRITE_TOKEN)
            .env("LISTEN_ADDR", settings.listen);
        command.envs(settings.seed.map(|seed| ("SEED_FILE", seed)));
        let process = command.stdin(Stdio::null()).stderr(log).spawn();
        let process = process.with_context(|| format!("{} does not start", programs.server.display()))?;
        let mut server = Server { process, address: String::new() };
        server.address = server.announced(settings.log, written)?;
        server.wait_until_ready(settings.patience)?;
        Ok(server)
    }

    /// `127.0.0.1:<port>`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The address that this start's first lines announce.
    fn announced(&mut self, log: &Path, written: u64) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let text = std::fs::read(log)?;
            let text = String::from_utf8_lossy(text.get(written as usize..).unwrap_or_default()).into_owned();
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let address = lines.filter_map(|line| line.split_once("listening on ")).next();
            if let Some(address) = address.and_then(|(_, rest)| rest.split_whitespace().next()) {
                return Ok(address.to_owned());
            }
            if Instant::now() > deadline || self.process.try_wait()?.is_some() {
                bail!("the server did not start:\n{text}");
            }
            thread::sleep(PAUSE);
        }
    }

    fn wait_until_ready(&mut self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && self.process.try_wait()?.is_none() {
            if ureq::get(format!("{}/ready", self.url())).call().is_ok() {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        bail!("the server is not ready after {} s; its log says why", patience.as_secs())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its own drain is not this one's business: the store is durable, and nobody polls any more.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The URL of a store in a SQLite file, which is made where there is none.
pub(crate) fn sqlite(file: &Path) -> String {
    format!("sqlite://{}?mode=rwc", file.display())
}
