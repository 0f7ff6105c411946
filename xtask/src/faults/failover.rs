//! PostgreSQL failed over: to a standby that lags, or to a server that is empty; and its connections cut in the
//! middle of what they carry. Our servers reach it through a gate, as they would through an address that moves.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flux_resourceset_postgres_server::Stop;

use super::gate::Gate;
use super::replaced::confirmed;
use super::stage::{MAX_STALENESS, Stage, log_at};
use super::{Round, postgres};

const PROCESSES: [(&str, &str); 3] = [("crud-1", "crud"), ("crud-2", "crud"), ("reader", "read-only")];

/// What the standby had not got yet is not answered any more, and nothing else is, until somebody confirms.
pub(super) fn to_a_lagging_standby(round: &mut Round<'_>) -> Result<()> {
    for _ in 0..round.some() {
        let Some(primary) = postgres(&[])? else { return Ok(()) };
        let database = primary.new_database()?;
        let gate = Gate::before(primary.port())?;
        let url = gate.url(&primary.url_with_password(&database), primary.port());
        let stage = Stage::set(round.program, Some(&url), &PROCESSES)?;
        let standby = primary.standby(&[])?;
        let load = stage.load();
        round.random.pause(1500);
        standby.run_sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''")?;
        standby.run_sql("postgres", "SELECT pg_reload_conf()")?;
        // It gets nothing from now on.
        thread::sleep(Duration::from_millis(500));
        load.wait_for_writes()?;
        primary.stop(Stop::Immediate)?;
        standby.promote()?;
        gate.lead_to(standby.port());
        stage.wait_until("store_diverged")?;
        let restarted = round.random.one_of(&stage.lineages).context("there is no process")?;
        restarted.kill()?;
        restarted.start()?;
        restarted.wait_until("store_diverged")?;
        let seen = load.stop()?;
        primary.start_again()?;
        let old = log_at(&primary.url(&database))?;
        let new = log_at(&standby.url(&database))?;
        ensure!(new.len() < old.len(), "the standby did not lag");
        stage.judge_by(old, 1, &seen)?;
        confirmed(&stage, &standby.url(&database))?;
    }
    Ok(())
}

/// An empty database in the place of the store is no store, and none is made of it; the store itself is found again.
pub(super) fn to_an_empty_server(round: &mut Round<'_>) -> Result<()> {
    let (Some(server), Some(empty)) = (postgres(&[])?, postgres(&[])?) else { return Ok(()) };
    let database = server.new_database()?;
    empty.new_database()?;
    // The password is another there, and trusted is whoever comes through the socket alone.
    let password = server.password();
    empty.run_sql("postgres", &format!("ALTER ROLE postgres PASSWORD '{password}'"))?;
    let gate = Gate::before(server.port())?;
    let url = gate.url(&server.url_with_password(&database), server.port());
    let stage = Stage::set(round.program, Some(&url), &PROCESSES)?;
    let load = stage.load();
    for _ in 0..round.some() {
        round.random.pause(800);
        gate.lead_to(empty.port());
        let lineage = round.random.one_of(&stage.lineages).context("there is no process")?;
        lineage.kill()?;
        lineage.start()?;
        thread::sleep(MAX_STALENESS);
        round.random.pause(1000);
        for lineage in stage.lineages.iter() {
            let status = lineage.polled().map(|reply| reply.status);
            ensure!(status == Some(503), "{} answers {status:?} beside an empty database", lineage.name);
        }
        let tables = empty.run_sql("d0", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")?;
        ensure!(tables.trim() == "0", "a store was made in the empty database");
        gate.lead_to(server.port());
        // Who met the empty one is mute until it is confirmed that the store is there again.
        for lineage in stage.lineages.iter() {
            lineage.wait_until_told("store_diverged")?;
        }
        load.wait_for_writes()?;
    }
    let seen = load.stop()?;
    stage.judge_by(log_at(&server.url(&database))?, 1, &seen)
}

/// After so many bytes, either way, every connection is cut.
pub(super) fn cut(round: &mut Round<'_>) -> Result<()> {
    let Some(server) = postgres(&[])? else { return Ok(()) };
    let database = server.new_database()?;
    let gate = Gate::before(server.port())?;
    let url = gate.url(&server.url_with_password(&database), server.port());
    let stage = Stage::set(round.program, Some(&url), &PROCESSES)?;
    let load = stage.load();
    for _ in 0..round.rounds {
        gate.cut_after(1 + round.random.below(20_000));
        gate.wait_until_cut()?;
        // Half of the time the next one cuts who comes back.
        if round.random.below(2) == 0 {
            stage.wait_until_ready()?;
            load.wait_for_writes()?;
        }
    }
    stage.wait_until_ready()?;
    load.wait_for_writes()?;
    let seen = load.stop()?;
    stage.judge_by(log_at(&server.url(&database))?, 1, &seen)
}
