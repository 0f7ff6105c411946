//! `cargo xtask bench visible`: how long after it was sent a write is in the answers of another process.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::client::Client;
use super::postgres::Postgres;
use super::row::{Goal, Row};
use super::stores::Stores;
use super::{fleet, percentile};

const CLUSTERS: usize = 1_000;
const WRITES: usize = 300;
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(30);

pub(super) fn run(stores: &Stores) -> Result<Vec<Row>> {
    let folder = stores.folder("visible")?;
    let store = stores.copy(CLUSTERS, &folder)?;
    let writer = stores.serve(&store, "crud", &folder.join("writer.log"))?;
    let reader = stores.serve(&store, "read-only", &folder.join("reader.log"))?;
    let sqlite = between("SQLite", Goal::AtMost(1000.0, "ms"), writer.address(), reader.address())?;
    drop((writer, reader));
    Ok(vec![sqlite, on_postgres(stores, &folder)?])
}

fn on_postgres(stores: &Stores, folder: &Path) -> Result<Row> {
    let goal = Goal::AtMost(250.0, "ms");
    let postgres = match Postgres::start(&[]) {
        Ok(postgres) => postgres,
        Err(missing) => return Ok(Row::skipped(what("PostgreSQL"), goal, missing.to_string())),
    };
    let url = postgres.database()?;
    stores.fill(&url, CLUSTERS)?;
    let writer = stores.serve(&url, "crud", &folder.join("postgres-writer.log"))?;
    let reader = stores.serve(&url, "read-only", &folder.join("postgres-reader.log"))?;
    between("PostgreSQL", goal, writer.address(), reader.address())
}

fn what(database: &str) -> String {
    format!("write to visible in another process, p99, {database}")
}

/// From a write to one process on a database until a poll of another one shows it.
fn between(database: &str, goal: Goal, writer: &str, reader: &str) -> Result<Row> {
    let [mut writer, mut reader] = [Client::connect(writer)?, Client::connect(reader)?];
    let mut times = Vec::new();
    for n in 0..WRITES {
        // At any moment between two look-ups, not always right after one.
        thread::sleep(Duration::from_millis(n as u64 * 37 % 211));
        times.push(seen(&mut writer, &mut reader, n)?);
    }
    let [half, most] = [0.5, 0.99].map(|share| percentile(&mut times, share).as_secs_f64() * 1000.0);
    Ok(Row::measured(
        what(database),
        goal,
        format!("{most:.0} ms"),
        format!("p50: {half:.0} ms, of {WRITES} writes"),
        most,
    ))
}

fn seen(writer: &mut Client, reader: &mut Client, n: usize) -> Result<Duration> {
    let (cluster, said) = (n * 7 % CLUSTERS, format!("{}", 1_000_000 + n));
    let start = Instant::now();
    writer.patch(&fleet::id(cluster), &json!({"patches": {"cert-manager": {"replicaCount": said}}}))?;
    let word = format!("\"replicaCount\":\"{said}\"");
    loop {
        let (status, answer) = reader.poll(&fleet::dns(cluster), "platform-components")?;
        ensure!(status.contains(" 200 "), "{status}");
        if answer.windows(word.len()).any(|part| part == word.as_bytes()) {
            return Ok(start.elapsed());
        }
        ensure!(start.elapsed() < LONGEST, "a write is not seen by another process after {LONGEST:?}");
        thread::sleep(PAUSE);
    }
}
