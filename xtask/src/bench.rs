//! `cargo xtask bench`: the one place where speed is measured. Each benchmark is a file of its own; what several
//! of them need stands here.

mod client;
mod layers;
mod plans;
mod types;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::workspace::{Programs, cargo, run as run_command};

/// What can be measured.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Bench {
    /// Plans of changes that touch every cluster
    Plan,
    /// Polls of a type registered at run time beside those of a built-in one
    Types,
    /// A fleet with profiles beside the same fleet without
    Layers,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Bench::Plan => "plan",
            Bench::Types => "types",
            Bench::Layers => "layers",
        }
    }
}

pub(crate) fn run(only: Option<Bench>) -> Result<()> {
    if cfg!(debug_assertions) {
        let again = ["run", "--release", "--package", "xtask", "--", "bench"];
        return run_command(cargo().args(again).args(only.map(Bench::name)));
    }
    if matches!(only, None | Some(Bench::Plan)) {
        plans::run()?;
    }
    if matches!(only, None | Some(Bench::Types)) {
        types::run(&Programs::build_release()?)?;
    }
    if matches!(only, None | Some(Bench::Layers)) {
        layers::run(&Programs::build_release()?)?;
    }
    Ok(())
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
