//! How much processor time a process, or the whole machine, took.

use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel's unit of it, the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// What a process took since it began, or the machine: unlike a rate, a process's does not depend on what else
/// the machine does.
#[derive(Clone, Copy)]
pub(super) struct CpuTime(Duration);

impl CpuTime {
    pub(super) fn of(pid: u32) -> Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program stands in brackets, and may hold anything.
        let (_, fields) = text.rsplit_once(')').context("/proc tells no times")?;
        CpuTime::sum(fields.split_whitespace().skip(11).take(2))
    }

    /// All processes and the kernel, on all processors.
    pub(super) fn of_machine() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let fields =
            text.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("/proc tells no times")?;
        let mut fields = fields.split_whitespace();
        // user, nice, system; idle and waiting for a disk are no work; interrupts.
        let working = fields.by_ref().take(3).collect::<Vec<_>>();
        CpuTime::sum(working.into_iter().chain(fields.skip(2).take(2)))
    }

    fn sum<'a>(ticks: impl Iterator<Item = &'a str>) -> Result<Self> {
        let ticks = ticks.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
        Ok(CpuTime(TICK * ticks))
    }

    pub(super) fn since(self, before: Self) -> Duration {
        self.0.saturating_sub(before.0)
    }
}
