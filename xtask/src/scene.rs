//! The temporary folder of a run and the processes in it. Whatever way the run ends, by Ctrl-C or killed outright,
//! its processes end and the folder goes: a small shell outside the terminal's process group sees to that.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Reads until its stdin ends, which it does with us. By then a run that ended well has ended this shell too.
const EXECUTOR: &str =
    "cat >/dev/null; for pid in $(ls \"$1/pids\"); do kill -9 \"$pid\"; done; rm -rf \"$1\"";

/// The folder of a run. Must outlive the processes in it.
pub(crate) struct Scene {
    executor: Child,
    folder: TempDir,
}

impl Scene {
    pub(crate) fn open() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("flux-resourceset-").tempdir()?;
        for name in ["pids", "logs", "tmp"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let executor = Command::new("sh")
            .args(["-c", EXECUTOR, "sh"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("sh does not start")?;
        Ok(Scene { executor, folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new folder in the scene's.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder().join(name);
        fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
        Ok(folder)
    }

    /// A program with nothing of our environment but the PATH: no proxy, no credentials, and the scene as its home.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder())
            .env("TMPDIR", self.folder().join("tmp"))
            .current_dir(self.folder())
            .stdin(Stdio::null());
        command
    }

    /// Starts `command` in the background; what it says goes to `logs/<name>.log`.
    pub(crate) fn start(&self, name: &str, command: &mut Command) -> Result<Process> {
        let log = self.log(name);
        let file = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} does not start", command.get_program().display()))?;
        Ok(Process { mark: Some(self.mark(child.id())?), child })
    }

    /// Makes the executor responsible for a process that was started by other means.
    pub(crate) fn mark(&self, pid: u32) -> Result<Mark> {
        let file = self.folder().join("pids").join(pid.to_string());
        File::create(&file)?;
        Ok(Mark(file))
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder().join("logs").join(format!("{name}.log"))
    }

    /// How far each log has come.
    pub(crate) fn logged(&self) -> Logged {
        let logs = fs::read_dir(self.folder().join("logs")).into_iter().flatten().flatten();
        logs.map(|entry| entry.path())
            .map(|log| (log.clone(), fs::read(&log).map_or(0, |text| text.len())))
            .collect()
    }

    /// The last complaints in each log since then, for whoever looks into a failure.
    pub(crate) fn complaints(&self, since: &Logged, lines: usize) -> Vec<String> {
        let mut found = Vec::new();
        for log in self.logged().keys() {
            let name = log.file_stem().unwrap_or_default().to_string_lossy();
            let bytes = fs::read(log).unwrap_or_default();
            let start = since.get(log).copied().unwrap_or_default().min(bytes.len());
            let text = String::from_utf8_lossy(&bytes[start..]);
            let complaints: Vec<_> = text.lines().filter(|line| is_complaint(line)).collect();
            let last = complaints.len().saturating_sub(lines);
            found.extend(complaints[last..].iter().map(|line| format!("{name}: {line}")));
        }
        found
    }
}

/// The length of each log at some moment.
pub(crate) type Logged = BTreeMap<PathBuf, usize>;

impl Drop for Scene {
    fn drop(&mut self) {
        let _gone = self.executor.kill();
        let _reaped = self.executor.wait();
    }
}

fn is_complaint(line: &str) -> bool {
    // What an installation by hand, without a FluxInstance, is told at every reconciliation.
    if line.contains("no flux instances found") {
        return false;
    }
    ["\"level\":\"error\"", " ERROR ", " WARN ", "panic:", "\"level\":\"fatal\""]
        .iter()
        .any(|sign| line.contains(sign))
}

/// Says that a process is this run's. Given up before the process is reaped, so it never names somebody else's.
pub(crate) struct Mark(PathBuf);

impl Drop for Mark {
    fn drop(&mut self) {
        let _removed = fs::remove_file(&self.0);
    }
}

/// A process in the background, ended when dropped.
pub(crate) struct Process {
    mark: Option<Mark>,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        self.mark.take();
        let _reaped = self.child.wait();
    }
}

/// Ports that were free a moment ago, all different.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
