//! `cargo xtask bench`: the one place where speed is measured. Each benchmark is a file of its own; what several
//! of them need stands here.

mod client;
mod cpu;
mod fleet;
mod latency;
mod layers;
mod machine;
mod memory;
mod nginx;
mod open_loop;
mod page;
mod plans;
mod plot;
mod polls;
mod postgres;
mod row;
mod start;
mod stores;
mod types;
mod visible;
mod writes;
mod wrk;

use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::machine::Machine;
use self::row::{Row, table};
use self::stores::Stores;
use crate::workspace::{Programs, cargo, run as run_command};

/// What can be measured.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub(crate) enum Bench {
    /// Polls a second, beside nginx with the same answers as files, and with a hundred times as many clusters
    Polls,
    /// Memory after a million polls, and what one more cluster adds
    Memory,
    /// Durable writes a second, beside a bare loop of one-row transactions
    Writes,
    /// From a write until another process shows it
    Visible,
    /// A start, beside reading and parsing all that is stored
    Start,
    /// How long polls take while somebody writes all the time
    Latency,
    /// Plans of changes that touch every cluster
    Plan,
    /// Polls of a type registered at run time beside those of a built-in one
    Types,
    /// A fleet with profiles beside the same fleet without
    Layers,
}

const ALL: [Bench; 9] = [
    Bench::Polls,
    Bench::Memory,
    Bench::Writes,
    Bench::Visible,
    Bench::Start,
    Bench::Latency,
    Bench::Plan,
    Bench::Types,
    Bench::Layers,
];

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Bench::Polls => "polls",
            Bench::Memory => "memory",
            Bench::Writes => "writes",
            Bench::Visible => "visible",
            Bench::Start => "start",
            Bench::Latency => "latency",
            Bench::Plan => "plan",
            Bench::Types => "types",
            Bench::Layers => "layers",
        }
    }

    /// What is measured against a goal is returned.
    fn measure(self, stores: &Stores) -> Result<Vec<Row>> {
        match self {
            Bench::Polls => polls::run(stores),
            Bench::Memory => memory::run(stores),
            Bench::Writes => writes::run(stores),
            Bench::Visible => visible::run(stores),
            Bench::Start => start::run(stores),
            Bench::Latency => latency::run(stores),
            Bench::Plan => plans::run().map(|()| Vec::new()),
            Bench::Types => types::run(&stores.programs).map(|()| Vec::new()),
            Bench::Layers => layers::run(&stores.programs).map(|()| Vec::new()),
        }
    }
}

pub(crate) fn run(only: Option<Bench>) -> Result<()> {
    if cfg!(debug_assertions) {
        let again = ["run", "--release", "--package", "xtask", "--", "bench"];
        return run_command(cargo().args(again).args(only.map(Bench::name)));
    }
    let folder = tempfile::tempdir()?;
    let stores = Stores::new(Programs::build_release()?, folder.path());
    let (machine, before) = (Machine::this()?, machine::load()?);
    println!("{machine}; load average {before}\n{}", fleet::MIX);
    let mut rows = Vec::new();
    for bench in ALL.into_iter().filter(|bench| only.is_none_or(|only| only == *bench)) {
        println!("\n{}:", bench.name());
        rows.extend(bench.measure(&stores).with_context(|| format!("bench {}", bench.name()))?);
    }
    let machine = format!("{machine}; load average {before} at the start, {} at the end", machine::load()?);
    if !rows.is_empty() {
        println!("\n{machine}\n\n{}", table(&rows));
    }
    if only.is_none() {
        page::write(&rows, &machine)?;
    }
    Ok(())
}

/// A program by its name: of `PATH`, or where Debian puts what mostly root runs.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()))
}

/// Why a benchmark that needs these programs of these packages of Debian is not made; with `REQUIRE_TOOLS` set
/// that fails it.
fn missing(needed: &[(&str, &str)]) -> Result<Option<String>> {
    let missing = needed.iter().filter(|(name, _)| program(name).is_none());
    let packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    let why = format!("apt-get install {}", packages.join(" "));
    ensure!(packages.is_empty() || env::var_os("REQUIRE_TOOLS").is_none(), "{why}");
    Ok((!packages.is_empty()).then_some(why))
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let outcome = work()?;
    Ok((outcome, start.elapsed()))
}

fn median<T: PartialOrd + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The time that so large a share of `times` does not exceed.
fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let at = (times.len() as f64 * share).ceil() as usize;
    times.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

fn in_ms(time: Duration) -> String {
    format!("{:8.1} ms", time.as_secs_f64() * 1000.0)
}

/// The memory of a process, in KiB.
fn resident(process: u32) -> Result<usize> {
    let status = Path::new("/proc").join(process.to_string()).join("status");
    let text =
        std::fs::read_to_string(&status).context("how much memory a process has is read from /proc")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
