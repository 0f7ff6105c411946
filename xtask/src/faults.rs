//! `cargo xtask faults`: real servers under load while everything around them breaks, and a judge who knows every
//! committed revision and sees every answer. Each scenario is a function; what several of them need stands apart.

mod client;
mod committed;
mod crowd;
mod disk;
mod failover;
mod gate;
mod judge;
mod kills;
mod lineage;
mod load;
mod paused;
mod random;
mod replaced;
mod seen;
mod stage;
mod versions;
mod workload;

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use flux_resourceset_postgres_server::{Programs as PostgresPrograms, Server};

use self::random::Random;
use crate::workspace::Programs;

/// How often something is broken in CI.
const CI_ROUNDS: u32 = 24;

/// What each scenario is given.
struct Round<'a> {
    /// The server's program.
    program: &'a Path,
    /// How often it may break something.
    rounds: u32,
    random: Random,
}

type Scenario = (&'static str, fn(&mut Round<'_>) -> Result<()>);

const SCENARIOS: [Scenario; 14] = [
    ("kills-sqlite", kills::sqlite),
    ("kills-postgres", kills::on_postgres),
    ("replaced-backup", replaced::by_a_backup),
    ("replaced-other", replaced::by_another_store),
    ("paused-reader", paused::reader),
    ("disk-limited", disk::limited),
    ("disk-full", disk::full),
    ("disk-locked", disk::locked),
    ("failover-lagging", failover::to_a_lagging_standby),
    ("failover-empty", failover::to_an_empty_server),
    ("connection-cut", failover::cut),
    ("newer-release", versions::newer),
    ("idle-connections", crowd::idle),
    ("all-at-once", crowd::all_at_once),
];

impl Round<'_> {
    /// How often what takes seconds is done.
    fn some(&self) -> u32 {
        self.rounds.div_ceil(CI_ROUNDS)
    }
}

/// What is asked for.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only scenarios whose name contains one of these
    only: Vec<String>,
    /// How often something is broken in each
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// What decides when; without it, the time of day
    #[arg(long)]
    seed: Option<u64>,
}

impl Options {
    /// What CI has the time for.
    pub(crate) fn of_ci() -> Self {
        Options { only: Vec::new(), rounds: CI_ROUNDS, seed: None }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let programs = Programs::build()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = options.seed.unwrap_or(now.as_secs());
    let wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|only| name.contains(only.as_str()));
    let chosen: Vec<_> = SCENARIOS.iter().filter(|(name, _)| wanted(name)).collect();
    ensure!(!chosen.is_empty(), "no scenario has such a name; there are {}", names());
    let mut failed = Vec::new();
    for (name, scenario) in chosen {
        println!("{name} ({} rounds, --seed {seed}) ...", options.rounds);
        let start = Instant::now();
        let random = Random::from_seed(seed);
        let outcome = scenario(&mut Round { program: &programs.server, rounds: options.rounds, random });
        match outcome {
            Ok(()) => println!("{name}: held, in {:.0} s", start.elapsed().as_secs_f32()),
            Err(error) => {
                println!("{name}: FAILED (--seed {seed}): {error:#}");
                failed.push(*name);
            }
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn names() -> String {
    SCENARIOS.map(|(name, _)| name).join(", ")
}

/// A PostgreSQL server that makes durable what it commits, with `settings`; `None`, with a word, where there are no
/// programs for it.
fn postgres(settings: &[&str]) -> Result<Option<Server>> {
    match PostgresPrograms::find() {
        Ok(programs) => Server::start(&programs, settings).map(Some).context("PostgreSQL does not start"),
        Err(missing) if std::env::var_os("REQUIRE_TOOLS").is_some() => Err(anyhow!(missing)),
        Err(missing) => {
            println!("SKIPPED: {missing}");
            Ok(None)
        }
    }
}
