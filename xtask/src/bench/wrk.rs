//! wrk, which loads a server with polls: one thread, kept-alive connections, the next request when the last is
//! answered. A round in which anything but 200 came back is no measurement.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::cpu::CpuTime;
use crate::server::READ_TOKEN;

const SCRIPT: &str = include_str!("polls.lua");
/// The program, and its package.
pub(super) const WRK: (&str, &str) = ("wrk", "wrk");
pub(super) const HOW: &str = "wrk -t1 -c16";

/// The script that says what is asked, as a file.
pub(super) struct Wrk {
    script: PathBuf,
}

/// What one round came to.
#[derive(Clone, Copy)]
pub(super) struct Round {
    pub(super) polls: u64,
    pub(super) rate: f64,
    /// Of the server, for one poll.
    pub(super) cpu_us: f64,
}

/// Who is asked.
pub(super) struct Side<'a> {
    pub(super) address: &'a str,
    pub(super) pid: u32,
    pub(super) clusters: usize,
    /// Emptied after each round: a million lines would otherwise reach the disk in the middle of the next.
    pub(super) log: &'a Path,
}

impl Wrk {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let script = folder.join("polls.lua");
        std::fs::write(&script, SCRIPT)?;
        Ok(Wrk { script })
    }

    /// Loads `side` for so many seconds; `from` says where among its clusters it begins.
    pub(super) fn round(&self, side: &Side<'_>, seconds: u32, from: usize) -> Result<Round> {
        let before = CpuTime::of(side.pid)?;
        let output = Command::new("wrk")
            .args(["-t1", "-c16", &format!("-d{seconds}s"), "-s"])
            .arg(&self.script)
            .arg(format!("http://{}", side.address))
            .args(["--", &side.clusters.to_string(), READ_TOKEN, &from.to_string()])
            .output()
            .context("wrk does not start")?;
        let spent = CpuTime::of(side.pid)?.since(before);
        std::fs::OpenOptions::new().write(true).open(side.log)?.set_len(0)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(measured) = text.lines().find_map(|line| line.strip_prefix("measured ")) else {
            bail!("wrk failed ({}): {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
        };
        let numbers = measured.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        let [polls, microseconds, _bytes, refused, broken, _p99] = numbers[..] else {
            bail!("wrk says {measured}");
        };
        ensure!(
            polls > 0 && refused == 0 && broken == 0,
            "{refused} polls got no 200, {broken} broke: {text}"
        );
        let rate = polls as f64 / (microseconds as f64 / 1e6);
        Ok(Round { polls, rate, cpu_us: spent.as_secs_f64() * 1e6 / polls as f64 })
    }
}
