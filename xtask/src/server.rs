//! A server of our own as a process: on a free port, with a store in a temporary folder, ended when dropped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::Programs;

pub(crate) const READ_TOKEN: &str = "demo-read-token";
pub(crate) const WRITE_TOKEN: &str = "demo-write-token";

/// A running server in crud mode.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts the server on `listen` with its store in `folder`, seeded from `seed` if the store is empty,
    /// and returns when it is ready. Its log goes to `folder/server.log`.
    pub(crate) fn start(programs: &Programs, folder: &Path, listen: &str, seed: &Path) -> Result<Self> {
        let mut process = Command::new(&programs.server)
            .env_clear()
            .env("API_MODE", "crud")
            .env("DATABASE_URL", format!("sqlite://{}?mode=rwc", folder.join("fleet.db").display()))
            .env("SEED_FILE", seed)
            .env("AUTH_TOKEN", READ_TOKEN)
            .env("CRUD_AUTH_TOKEN", WRITE_TOKEN)
            .env("LISTEN_ADDR", listen)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", programs.server.display()))?;
        let log = process.stderr.take().context("the server's log cannot be read")?;
        let address = announced(log, &folder.join("server.log"))?;
        let server = Server { process, address };
        server.wait_until_ready()?;
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

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if ureq::get(format!("{}/ready", self.url())).call().is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("the server is not ready after 30 s; its log says why")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its own drain is not this one's business: the store is durable, and nobody polls any more.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The address that the log's first lines announce. The rest of the log goes to `file`.
fn announced(log: impl Read + Send + 'static, file: &Path) -> Result<String> {
    let mut copy = File::options().create(true).append(true).open(file)?;
    let (found, address) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            use std::io::Write;
            if let Some((_, address)) = line.split_once("listening on ") {
                let address = address.split_whitespace().next().unwrap_or_default();
                let _received = found.send(address.to_owned());
            }
            let _written = writeln!(copy, "{line}");
        }
    });
    address.recv_timeout(Duration::from_secs(30)).with_context(|| {
        let log = std::fs::read_to_string(file).unwrap_or_default();
        format!("the server did not start:\n{log}")
    })
}
