//! How much processor time a process took: unlike a rate, it does not depend on what else the machine does.

use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel's unit of it, the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// What a process took since it began.
#[derive(Clone, Copy)]
pub(super) struct CpuTime(Duration);

impl CpuTime {
    pub(super) fn of(pid: u32) -> Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program stands in brackets, and may hold anything.
        let (_, fields) = text.rsplit_once(')').context("/proc tells no times")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        Ok(CpuTime(TICK * ticks.sum::<Result<u32, _>>()?))
    }

    pub(super) fn since(self, before: Self) -> Duration {
        self.0.saturating_sub(before.0)
    }
}
