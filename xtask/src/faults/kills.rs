//! kill -9 at random moments, of processes that poll, write, start or catch up.

use anyhow::{Context, Result};
use flux_resourceset_postgres_server::{Server, Stop};

use super::stage::Stage;
use super::{Round, postgres};

/// Two that write and two that read, so that there is always somebody who goes on.
const PROCESSES: [(&str, &str); 4] =
    [("crud-1", "crud"), ("crud-2", "crud"), ("reader-1", "read-only"), ("reader-2", "read-only")];

pub(super) fn sqlite(round: &mut Round<'_>) -> Result<()> {
    let stage = Stage::set(round.program, None, &PROCESSES)?;
    kill_again_and_again(round, &stage, |_| Ok(()))
}

/// The database's server is killed, too.
pub(super) fn on_postgres(round: &mut Round<'_>) -> Result<()> {
    let Some(database) = postgres(&[])? else { return Ok(()) };
    let name = database.new_database()?;
    let stage = Stage::set(round.program, Some(&database.url_with_password(&name)), &PROCESSES)?;
    kill_again_and_again(round, &stage, |round| {
        if round.random.below(5) == 0 {
            restart(round, &database)?;
        }
        Ok(())
    })
}

fn restart(round: &mut Round<'_>, database: &Server) -> Result<()> {
    let how = if round.random.below(3) == 0 { Stop::Fast } else { Stop::Immediate };
    database.stop(how)?;
    // Sometimes for longer than MAX_STALENESS.
    let longest = if round.random.below(4) == 0 { 4000 } else { 300 };
    round.random.pause(longest);
    database.start_again()?;
    Ok(())
}

fn kill_again_and_again(
    round: &mut Round<'_>,
    stage: &Stage,
    mut also: impl FnMut(&mut Round<'_>) -> Result<()>,
) -> Result<()> {
    let load = stage.load();
    for _ in 0..round.rounds {
        round.random.pause(500);
        let lineage = round.random.one_of(&stage.lineages).context("there is no process")?;
        lineage.kill()?;
        also(round)?;
        round.random.pause(150);
        lineage.start()?;
    }
    stage.wait_until_ready()?;
    load.wait_for_writes()?;
    let seen = load.stop()?;
    stage.judge(&seen)
}
