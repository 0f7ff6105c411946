//! A server and its restarts: one process after another with the same `SNAPSHOT_FILE`. What each of them says binds
//! the next.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::client::{Client, Reply};
use super::workload;
use crate::workspace::run;

/// How long anything may take that must happen in the end, on a machine that has much to do.
pub(super) const FOREVER: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// How its processes are started.
pub(super) struct Lineage {
    pub(super) name: String,
    /// `crud` or `read-only`.
    pub(super) mode: &'static str,
    program: PathBuf,
    /// What is its own: its snapshot, its log.
    folder: PathBuf,
    variables: Vec<(String, String)>,
    /// The most files that it may have open.
    pub(super) files: Option<u32>,
    /// Nobody else's, so that an answer by whoever has its port next is none of its answers.
    token: String,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    process: Option<Child>,
    address: Option<SocketAddr>,
}

impl Lineage {
    /// One that is not started yet.
    pub(super) fn new(
        program: &Path,
        folder: &Path,
        name: &str,
        mode: &'static str,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let token = format!("{name}-{}", std::process::id());
        let running = Mutex::default();
        let program = program.into();
        Ok(Lineage { name: name.into(), mode, program, folder, variables, files: None, token, running })
    }

    /// Sets a variable of processes that are started from now on.
    pub(super) fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.into(), value.into()));
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the next process and returns once it listens; what it answers then is its business.
    pub(super) fn start(&self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let written = usize::try_from(log.metadata()?.len())?;
        let mut command = self.command();
        command.env_clear().current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.env("API_MODE", self.mode).env("LISTEN_ADDR", "127.0.0.1:0").env("SNAPSHOT_FILE", "snapshot");
        command.env("AUTH_TOKEN", self.read_token()).env("CRUD_AUTH_TOKEN", self.write_token());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut process = command.spawn().with_context(|| format!("{} does not start", self.name))?;
        match self.announced(&mut process, written) {
            Ok(address) => *self.running() = Running { process: Some(process), address: Some(address) },
            Err(error) => {
                let _gone = process.kill();
                let _reaped = process.wait();
                return Err(error);
            }
        }
        Ok(())
    }

    /// The shell's own word keeps a limit on file sizes from ending the process: it is an error of its writes then.
    /// The process ends with this one, however that ends.
    fn command(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        let files = self.files.map(|files| format!("ulimit -n {files}; ")).unwrap_or_default();
        let script = format!("trap '' XFSZ; {files}exec setpriv --pdeathsig KILL \"$0\"");
        command.arg("-c").arg(script).arg(&self.program);
        command
    }

    fn announced(&self, process: &mut Child, written: usize) -> Result<SocketAddr> {
        let deadline = Instant::now() + FOREVER;
        loop {
            let text = fs::read(self.log_file())?;
            let text = String::from_utf8_lossy(text.get(written..).unwrap_or_default()).into_owned();
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some((_, rest)) = whole.filter_map(|line| line.split_once("listening on ")).next() {
                let address = rest.split_whitespace().next().unwrap_or_default();
                return address.parse().with_context(|| format!("{} listens at {address}", self.name));
            }
            if Instant::now() > deadline || process.try_wait()?.is_some() {
                bail!("{} did not start:\n{text}", self.name);
            }
            thread::sleep(PAUSE);
        }
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// All that its processes logged.
    pub(super) fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.log_file())?).into_owned())
    }

    /// Where it listens, while it does.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.running().address
    }

    pub(super) fn pid(&self) -> Result<u32> {
        let running = self.running();
        running.process.as_ref().map(Child::id).with_context(|| format!("{} does not run", self.name))
    }

    /// Sends it a signal, by its name.
    pub(super) fn signal(&self, signal: &str) -> Result<()> {
        run(Command::new("kill").arg(format!("-{signal}")).arg(self.pid()?.to_string()))
    }

    /// Has it stand still, and returns once all of its threads do: one that has to wait for a processor hears of it late,
    /// and until then the others go on.
    pub(super) fn pause(&self) -> Result<()> {
        self.signal("STOP")?;
        self.wait_for("stand still", || stands_still(self.pid()?))
    }

    /// Returns once it `does` what it is to do.
    fn wait_for(&self, what: &str, does: impl Fn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + FOREVER;
        while !does()? {
            ensure!(Instant::now() < deadline, "{} does not {what}", self.name);
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Ends it as a machine does that fails: with whatever is under way.
    pub(super) fn kill(&self) -> Result<()> {
        let mut running = self.running();
        running.address = None;
        if let Some(mut process) = running.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// How it ended, by itself.
    pub(super) fn ended(&self) -> Result<ExitStatus> {
        let deadline = Instant::now() + FOREVER;
        let taken = self.running().process.take();
        let mut process = taken.with_context(|| format!("{} does not run", self.name))?;
        loop {
            if let Some(status) = process.try_wait()? {
                self.running().address = None;
                return Ok(status);
            }
            if Instant::now() > deadline {
                let _gone = process.kill();
                let _reaped = process.wait();
                bail!("{} did not end by itself", self.name);
            }
            thread::sleep(PAUSE);
        }
    }

    pub(super) fn read_token(&self) -> String {
        format!("read-{}", self.token)
    }

    fn write_token(&self) -> String {
        format!("write-{}", self.token)
    }

    /// The first lines of a poll.
    pub(super) fn poll(&self, cluster: usize) -> String {
        let path = workload::path(cluster);
        format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {}\r\n", self.read_token())
    }

    /// The first lines of a request that may do everything.
    pub(super) fn request(&self, method: &str, path: &str) -> String {
        let token = self.write_token();
        format!(
            "{method} {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        )
    }

    /// What it answers to a poll of the first cluster now.
    pub(super) fn polled(&self) -> Option<Reply> {
        Client::default().ask(self.address()?, &self.poll(0), "")
    }

    /// The revision that it serves; 0 where it says none.
    pub(super) fn revision(&self) -> u64 {
        let ready = self
            .address()
            .and_then(|address| Client::default().ask(address, &self.request("GET", "/ready"), ""));
        ready.and_then(|reply| reply.json()["revision"].as_u64()).unwrap_or_default()
    }

    /// Returns once it serves what came after `revision`.
    pub(super) fn wait_until_past(&self, revision: u64) -> Result<()> {
        self.wait_for(&format!("come past revision {revision}"), || Ok(self.revision() > revision))
    }

    /// Returns once polls are answered.
    pub(super) fn wait_until_ready(&self) -> Result<()> {
        self.wait_until("200")
    }

    /// Returns once a poll is answered with this code, or this status.
    pub(super) fn wait_until(&self, code: &str) -> Result<()> {
        let deadline = Instant::now() + FOREVER;
        loop {
            let answered = self.polled().map_or_else(|| "nothing".into(), |reply| reply.code());
            if answered == code {
                return Ok(());
            }
            let late = Instant::now() > deadline;
            ensure!(!late, "{} answers polls with {answered}, not {code}:\n{}", self.name, self.last_lines());
            thread::sleep(4 * PAUSE);
        }
    }

    /// Returns once polls are answered; confirms what the store holds where it is mute with this code.
    pub(super) fn wait_until_told(&self, mute: &str) -> Result<()> {
        if self.polled().is_some_and(|reply| reply.code() == mute) {
            self.confirm()?;
        }
        self.wait_until_ready()
    }

    fn last_lines(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Confirms what its store holds, as a person does who has seen the plan.
    pub(super) fn confirm(&self) -> Result<()> {
        let address = self.address().with_context(|| format!("{} does not run", self.name))?;
        let request = self.request("POST", "/api/v2/confirm");
        let ask =
            |head: &str| Client::default().ask(address, head, "").context("no answer to a confirmation");
        let shown = ask(&request)?;
        ensure!(shown.status == 428, "{} shows no plan: {} {}", self.name, shown.status, shown.json());
        // Others write meanwhile, and must not keep a person out.
        thread::sleep(10 * PAUSE);
        let plan = shown.json();
        let digest = plan["plan"]["digest"].as_str().unwrap_or_default();
        let asked = ask(&format!("{request}If-Plan: {digest}\r\n"))?;
        ensure!(asked.status == 200, "{} was not confirmed: {} {}", self.name, asked.status, asked.json());
        Ok(())
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        let _gone = self.kill();
    }
}

/// Whether every thread of the process `pid` is stopped.
fn stands_still(pid: u32) -> Result<bool> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that is gone does nothing any more.
        let Ok(stat) = fs::read_to_string(thread?.path().join("stat")) else { continue };
        // The name of the thread stands in brackets, and may hold anything.
        let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
        if state != Some('T') {
            return Ok(false);
        }
    }
    Ok(true)
}
