//! Those who poll and write all the time, whatever happens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::client::{Client, Reply};
use super::lineage::{FOREVER, Lineage};
use super::seen::{Outcome, Poll, Seen, Write};
use super::workload::{Numbers, Workload, change};

/// How many poll each process, and write to it if it takes writes.
const POLLERS: usize = 2;
const WRITERS: usize = 2;
/// Between two requests: two machines' worth of processes share one.
const POLL_PAUSE: Duration = Duration::from_millis(3);
const WRITE_PAUSE: Duration = Duration::from_millis(10);

/// What each of them needs.
#[derive(Clone)]
struct Common {
    lineages: Arc<Vec<Lineage>>,
    workload: Workload,
    numbers: Arc<Numbers>,
    /// When the scenario began.
    start: Instant,
    stop: Arc<AtomicBool>,
    /// How many writes were said to be stored.
    done: Arc<AtomicU64>,
    /// What was said of the last that was not.
    refused: Arc<Mutex<String>>,
}

/// They all.
pub(super) struct Load {
    threads: Vec<JoinHandle<Seen>>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    refused: Arc<Mutex<String>>,
}

impl Load {
    pub(super) fn start(
        lineages: &Arc<Vec<Lineage>>,
        workload: Workload,
        numbers: &Arc<Numbers>,
        start: Instant,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (lineages, numbers) = (Arc::clone(lineages), Arc::clone(numbers));
        let (done, refused) = (Arc::<AtomicU64>::default(), Arc::<Mutex<String>>::default());
        let common = Common {
            lineages,
            workload,
            numbers,
            start,
            stop: Arc::clone(&stop),
            done: Arc::clone(&done),
            refused: Arc::clone(&refused),
        };
        let mut threads = Vec::new();
        for (at, lineage) in common.lineages.iter().enumerate() {
            for nth in 0..POLLERS {
                let common = common.clone();
                threads.push(thread::spawn(move || common.poll(at, nth)));
            }
            for _ in (0..WRITERS).filter(|_| lineage.mode == "crud") {
                let common = common.clone();
                threads.push(thread::spawn(move || common.write(at)));
            }
        }
        Load { threads, stop, done, refused }
    }

    /// Returns once a few more writes are done: they go on.
    pub(super) fn wait_for_writes(&self) -> Result<()> {
        let enough = self.done.load(Ordering::SeqCst) + 5;
        let deadline = Instant::now() + FOREVER;
        while self.done.load(Ordering::SeqCst) < enough {
            if Instant::now() > deadline {
                let refused = self.refused.lock().map(|refused| refused.clone()).unwrap_or_default();
                bail!("no process takes writes any more; the last was answered: {refused}");
            }
            thread::sleep(WRITE_PAUSE);
        }
        Ok(())
    }

    /// Ends them once they have their last answers.
    pub(super) fn stop(mut self) -> Result<Seen> {
        self.stop.store(true, Ordering::SeqCst);
        let mut seen = Seen::default();
        for thread in std::mem::take(&mut self.threads) {
            seen.add(thread.join().map_err(|_| anyhow!("somebody who polls or writes panicked"))?);
        }
        Ok(seen)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Common {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn poll(&self, at: usize, nth: usize) -> Seen {
        let (mut seen, mut client) = (Seen::default(), Client::default());
        let mut known: HashMap<usize, (String, Arc<[u8]>)> = HashMap::new();
        let lineage = &self.lineages[at];
        for turn in nth.. {
            if self.stopped() {
                break;
            }
            thread::sleep(POLL_PAUSE);
            let cluster = turn % self.workload.clusters;
            let Some(address) = lineage.address() else { continue };
            let mut head = lineage.poll(cluster);
            // Each second asks whether it has changed, as Flux does not and caches do.
            let tagged = known.get(&cluster).filter(|_| turn % 4 < 2);
            if let Some((tag, _)) = tagged {
                head.push_str(&format!("If-None-Match: {tag}\r\n"));
            }
            let before = tagged.map(|(_, body)| Arc::clone(body));
            let start = self.start.elapsed();
            let reply = client.ask(address, &head, "");
            let end = self.start.elapsed();
            let poll = |body| Poll { lineage: at, cluster, start, end, body };
            match (reply, before) {
                (None, _) => *seen.unanswered.entry("nothing".into()).or_default() += 1,
                (Some(Reply { status: 200, etag, body }), _) => {
                    let body: Arc<[u8]> = body.into();
                    known.insert(cluster, (etag, Arc::clone(&body)));
                    seen.polls.push(poll(body));
                }
                (Some(Reply { status: 304, .. }), Some(body)) => seen.polls.push(poll(body)),
                (Some(reply), _) => unanswered(&mut seen, at, &reply),
            }
        }
        seen
    }

    fn write(&self, at: usize) -> Seen {
        let (mut seen, mut client) = (Seen::default(), Client::default());
        let lineage = &self.lineages[at];
        while !self.stopped() {
            thread::sleep(WRITE_PAUSE);
            let Some(address) = lineage.address() else { continue };
            let number = self.numbers.next();
            let keys = self.workload.keys(number);
            let body = change(number, &keys).to_string();
            let reply = client.ask(address, &lineage.request("POST", "/api/v2/changes"), &body);
            if let (Some(reply), Ok(mut refused)) =
                (reply.as_ref().filter(|reply| reply.status != 200), self.refused.lock())
            {
                *refused = reply.json().to_string();
            }
            let outcome = outcome(reply, self.start.elapsed());
            let write = Write { lineage: at, number, keys, outcome };
            self.done.fetch_add(u64::from(write.is_done()), Ordering::SeqCst);
            seen.writes.push(write);
        }
        seen
    }
}

/// What no 200 is: an error that passes, or a word that no cluster of the fleet may ever get.
fn unanswered(seen: &mut Seen, at: usize, reply: &Reply) {
    // 401: whoever has the port now is another.
    if !matches!(reply.status, 503 | 401) {
        seen.wrong.push(format!("process {at} answered a poll with {} {}", reply.status, reply.json()));
    }
    *seen.unanswered.entry(reply.code()).or_default() += 1;
}

/// What was said of a write. Only where it says so nothing was changed; what it does not say may be stored.
fn outcome(reply: Option<Reply>, at: Duration) -> Outcome {
    let Some(reply) = reply else { return Outcome::Unknown };
    let revision = reply.json()["revision"].as_u64();
    match (reply.status, revision) {
        (200, Some(revision)) => Outcome::Done { revision, at },
        (200 | 500, _) => Outcome::Unknown,
        _ if reply.code() == "outcome_unknown" => Outcome::Unknown,
        _ => Outcome::Refused(reply.code()),
    }
}
