//! `cargo xtask bench polls`: how many polls a second, beside nginx with the same answers as files, and beside
//! ourselves with a hundred times as many clusters.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::client::Client;
use super::fleet::{self, PATHS};
use super::nginx::{NGINX, Nginx};
use super::row::{Goal, Row};
use super::stores::Stores;
use super::wrk::{self, Round, Side, WRK, Wrk};
use super::{median, missing};

const CLUSTERS: usize = 1_000;
const MANY: usize = 100_000;
/// Many and short, so that all sides meet whatever else the machine does.
const ROUNDS: usize = 31;
const SECONDS: u32 = 1;
const BESIDE_NGINX: Goal = Goal::AtLeast(1.0, "x");
const MANY_BESIDE_FEW: Goal = Goal::AtLeast(0.8, "x");

pub(super) fn run(stores: &Stores) -> Result<Vec<Row>> {
    let what = [format!("polls/s, {CLUSTERS} clusters"), format!("polls/s, {MANY} clusters")];
    let goals = [BESIDE_NGINX, MANY_BESIDE_FEW];
    if let Some(why) = missing(&[WRK, NGINX])? {
        return Ok(what.into_iter().zip(goals).map(|(what, goal)| Row::skipped(what, goal, &why)).collect());
    }
    let folder = stores.folder("polls")?;
    let logs = ["few.log", "many.log"].map(|name| folder.join(name));
    let few = stores.serve(&stores.read_only(CLUSTERS)?, "read-only", &logs[0])?;
    let bytes = as_files(few.address(), &folder.join("files"))?;
    let nginx = Nginx::start(&folder)?;
    same_answers(few.address(), nginx.address())?;
    println!(
        "{CLUSTERS} clusters: nginx and we give the same {} answers, of {bytes:.0?} bytes by type",
        CLUSTERS * 3
    );
    let many = stores.serve(&stores.read_only(MANY)?, "read-only", &logs[1])?;
    let sides = [
        Side { address: few.address(), pid: few.pid(), clusters: CLUSTERS, log: &logs[0] },
        Side { address: nginx.address(), pid: nginx.pid(), clusters: CLUSTERS, log: nginx.log() },
        Side { address: many.address(), pid: many.pid(), clusters: MANY, log: &logs[1] },
    ];
    let rounds = alternating(&Wrk::new(&folder)?, &sides)?;
    let of = |side: usize, pick: fn(&Round) -> f64| {
        median(rounds.iter().map(|round| pick(&round[side])).collect::<Vec<_>>())
    };
    let [few, nginx, many] = [0, 1, 2].map(|side| {
        format!("{:.0}/s, {:.1} us of processor each", of(side, |it| it.rate), of(side, |it| it.cpu_us))
    });
    let ratio = |one: usize, other: usize| {
        median(rounds.iter().map(|round| round[one].rate / round[other].rate).collect())
    };
    let [of_few, of_many] = what;
    let (nginx, beside) = (format!("nginx: {nginx}"), format!("with {CLUSTERS} clusters: {few}"));
    Ok(vec![
        Row::measured(of_few, BESIDE_NGINX, few, nginx, ratio(0, 1)),
        Row::measured(of_many, MANY_BESIDE_FEW, many, beside, ratio(2, 0)),
    ])
}

/// Each side once in each round, and in every other one backwards.
fn alternating(wrk: &Wrk, sides: &[Side<'_>; 3]) -> Result<Vec<[Round; 3]>> {
    println!("{}, {ROUNDS} alternating rounds of {SECONDS} s each, the three types in turn", wrk::HOW);
    for side in sides {
        wrk.round(side, 1, 0)?;
    }
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let ask = |side: usize| wrk.round(&sides[side], SECONDS, round * 1_000_003);
        let [one, two, three] = match round % 2 {
            0 => [ask(0)?, ask(1)?, ask(2)?],
            _ => {
                let backwards = [ask(2)?, ask(1)?, ask(0)?];
                [backwards[2], backwards[1], backwards[0]]
            }
        };
        rounds.push([one, two, three]);
    }
    Ok(rounds)
}

/// Writes every answer as a file where its path leads; how many bytes one has on average, by type.
fn as_files(address: &str, root: &Path) -> Result<[f64; 3]> {
    let mut client = Client::connect(address)?;
    let mut bytes = [0; 3];
    for n in 0..CLUSTERS {
        let folder = root.join("api/v2/flux/clusters").join(fleet::dns(n));
        fs::create_dir_all(&folder)?;
        for (path, bytes) in PATHS.iter().zip(&mut bytes) {
            let (status, answer) = client.poll(&fleet::dns(n), path)?;
            ensure!(status.contains(" 200 "), "{status}");
            *bytes += answer.len();
            fs::write(folder.join(path), answer)?;
        }
    }
    Ok(bytes.map(|bytes| bytes as f64 / CLUSTERS as f64))
}

fn same_answers(one: &str, other: &str) -> Result<()> {
    let [mut one, mut other] = [Client::connect(one)?, Client::connect(other)?];
    for n in 0..CLUSTERS {
        for path in PATHS {
            let [ours, theirs] = [&mut one, &mut other].map(|client| client.poll(&fleet::dns(n), path));
            let ((status, ours), (their_status, theirs)) = (ours?, theirs?);
            ensure!(status.contains(" 200 ") && their_status.contains(" 200 "), "{status} {their_status}");
            ensure!(ours == theirs, "the {path} of {} differ", fleet::dns(n));
        }
    }
    Ok(())
}
