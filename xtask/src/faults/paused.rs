//! A reader that stands still for longer than MAX_STALENESS, as on a machine that was suspended, while much is
//! written.

use std::thread;

use anyhow::{Context, Result};

use super::Round;
use super::stage::{MAX_STALENESS, Stage};

pub(super) fn reader(round: &mut Round<'_>) -> Result<()> {
    let stage = Stage::set(
        round.program,
        None,
        &[("crud", "crud"), ("paused", "read-only"), ("reader", "read-only")],
    )?;
    let load = stage.load();
    let paused = stage.lineages.get(1).context("there is no reader")?;
    let mut pauses = Vec::new();
    for _ in 0..round.some() {
        round.random.pause(400);
        paused.pause()?;
        let from = stage.start.elapsed();
        thread::sleep(MAX_STALENESS);
        round.random.pause(3000);
        pauses.push((from, stage.start.elapsed()));
        paused.signal("CONT")?;
        paused.wait_until_ready()?;
    }
    load.wait_for_writes()?;
    let mut seen = load.stop()?;
    // What was asked meanwhile was heard afterwards, and answered as if it had been asked then.
    for poll in seen.polls.iter_mut().filter(|poll| poll.lineage == 1) {
        let during = pauses.iter().find(|(from, until)| (*from..*until).contains(&poll.start));
        poll.start = during.map_or(poll.start, |(_, until)| *until);
    }
    stage.judge(&seen)
}
