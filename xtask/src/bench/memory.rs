//! `cargo xtask bench memory`: what a server process holds after a million polls, and what one more cluster adds.

use anyhow::Result;

use super::row::{Goal, Row};
use super::stores::Stores;
use super::wrk::{Side, WRK, Wrk};
use super::{fleet, missing, resident};

const CLUSTERS: usize = 10_000;
const MORE: usize = 100_000;
const POLLS: u64 = 1_000_000;
const IN_ALL: Goal = Goal::AtMost(64.0, "MiB");
const ONE_MORE: Goal = Goal::AtMost(4.0, "KiB");

pub(super) fn run(stores: &Stores) -> Result<Vec<Row>> {
    let what = [format!("resident, {CLUSTERS} clusters, after a million polls"), "one more cluster".into()];
    if let Some(why) = missing(&[WRK])? {
        return Ok(what
            .into_iter()
            .zip([IN_ALL, ONE_MORE])
            .map(|(what, goal)| Row::skipped(what, goal, &why))
            .collect());
    }
    let body = (0..CLUSTERS).map(|n| fleet::cluster(n).to_string().len()).sum::<usize>() / CLUSTERS;
    println!("the document of one cluster: {body} bytes on average");
    let (few, many) = (after_polls(stores, CLUSTERS)?, after_polls(stores, MORE)?);
    let each = (many as f64 - few as f64) / (MORE - CLUSTERS) as f64;
    let [in_all, one_more] = what;
    Ok(vec![
        Row::measured(in_all, IN_ALL, in_mib(few), "what a pod requests: 64 MiB", few as f64 / 1024.0),
        Row::measured(
            one_more,
            ONE_MORE,
            format!("from {} to {}", in_mib(few), in_mib(many)),
            format!("its document: {:.2} KiB", body as f64 / 1024.0),
            each,
        ),
    ])
}

/// In KiB.
fn after_polls(stores: &Stores, clusters: usize) -> Result<usize> {
    let folder = stores.folder("memory")?;
    let log = folder.join(format!("{clusters}.log"));
    let server = stores.serve(&stores.read_only(clusters)?, "read-only", &log)?;
    let started = resident(server.pid())?;
    let side = Side { address: server.address(), pid: server.pid(), clusters, log: &log };
    let wrk = Wrk::new(&folder)?;
    let mut polls = 0;
    while polls < POLLS {
        polls += wrk.round(&side, 5, polls as usize)?.polls;
    }
    let after = resident(server.pid())?;
    println!("{clusters} clusters: {} when ready, {} after {polls} polls", in_mib(started), in_mib(after));
    Ok(after)
}

fn in_mib(kib: usize) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}
