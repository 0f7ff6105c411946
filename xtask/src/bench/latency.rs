//! `cargo xtask bench latency`: how long polls take at half of the rate that is possible, with and without somebody
//! who writes all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use super::client::Client;
use super::fleet;
use super::row::{Goal, Row};
use super::stores::Stores;
use super::wrk::{Side, WRK, Wrk};
use super::{median, missing, open_loop, percentile};

const CLUSTERS: usize = 10_000;
const CONNECTIONS: usize = 16;
/// Many and short, so that both sides meet whatever else the machine does.
const ROUNDS: usize = 31;
const ROUND: Duration = Duration::from_secs(1);
const GOAL: Goal = Goal::AtMost(3.0, "x");

pub(super) fn run(stores: &Stores) -> Result<Vec<Row>> {
    let what = format!("poll p99 at half the top rate, {CLUSTERS} clusters, one client writing");
    if let Some(why) = missing(&[WRK])? {
        return Ok(vec![Row::skipped(what, GOAL, why)]);
    }
    let folder = stores.folder("latency")?;
    let store = stores.copy(CLUSTERS, &folder)?;
    let log = folder.join("server.log");
    let server = stores.serve(&store, "crud", &log)?;
    let side = Side { address: server.address(), pid: server.pid(), clusters: CLUSTERS, log: &log };
    let wrk = Wrk::new(&folder)?;
    let top = median((0..3).map(|n| Ok(wrk.round(&side, 3, n * 10_007)?.rate)).collect::<Result<Vec<_>>>()?);
    let rate = top / 2.0;
    println!(
        "top rate by wrk: {top:.0}/s; at {rate:.0}/s, {CONNECTIONS} connections, {ROUNDS} alternating rounds"
    );
    let (mut quiet, mut busy, mut ratios, mut writes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let without = || at_rate(server.address(), rate);
        let with = || while_writing(server.address(), round, || at_rate(server.address(), rate));
        let (without, (with, count)) = if round % 2 == 0 {
            (without()?, with()?)
        } else {
            let with = with()?;
            (without()?, with)
        };
        quiet.push(without);
        busy.push(with);
        ratios.push(with.as_secs_f64() / without.as_secs_f64());
        writes.push(count);
    }
    let [quiet, busy] = [quiet, busy].map(|times| median::<Duration>(times).as_secs_f64() * 1000.0);
    println!("the writing client made {:.0} writes/s", median(writes));
    let [quiet, busy] = [quiet, busy].map(|time| format!("{time:.2} ms"));
    Ok(vec![Row::measured(what, GOAL, busy, format!("without writes: {quiet}"), median(ratios))])
}

/// The 99th percentile of polls sent at `rate`.
fn at_rate(address: &str, rate: f64) -> Result<Duration> {
    let mut times = open_loop::times(address, CONNECTIONS, rate, ROUND, CLUSTERS)?;
    Ok(percentile(&mut times, 0.99))
}

/// Does `work` while one client writes without a pause; how many writes a second it made.
fn while_writing<T>(address: &str, round: usize, work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut client = Client::connect(address)?;
            let (start, mut writes) = (Instant::now(), 0_usize);
            while !over.load(Ordering::Relaxed) {
                // Never what a document says already: that would be no write.
                let patch = json!({"node_count": (round + 1) * 1_000_000 + writes});
                client.patch(&fleet::id(writes % CLUSTERS), &patch)?;
                writes += 1;
            }
            Ok::<_, anyhow::Error>(writes as f64 / start.elapsed().as_secs_f64())
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        let writes = writer.join().ok().context("the writing client panicked")?;
        Ok((done?, writes?))
    })
}
