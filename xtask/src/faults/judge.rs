//! The judge: it knows every committed revision and what was answered, and says what must not have been. Apart from
//! all that breaks things, and itself tested: it objects to histories that are forged.

mod log;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use super::committed::{Committed, Held};
use super::seen::{Outcome, Poll, Seen};

/// Everything in `seen` that breaks what is promised, a sentence each.
pub(super) fn judge(committed: &Committed, seen: &Seen, max_staleness: Duration) -> Vec<String> {
    let mut wrong = seen.wrong.clone();
    log::judge(committed, &seen.writes, &mut wrong);
    let known = Known::of(committed, seen);
    let mut lineages: BTreeMap<usize, Lineage> = BTreeMap::new();
    for write in &seen.writes {
        if let Outcome::Done { revision, at } = write.outcome {
            lineages.entry(write.lineage).or_default().acknowledged.push((at, revision));
        }
    }
    for poll in &seen.polls {
        lineages.entry(poll.lineage).or_default().polls.push(poll);
    }
    for lineage in lineages.into_values() {
        lineage.judge(committed, &known, max_staleness, &mut wrong);
    }
    wrong
}

/// Since when, at the latest, the head was at least which revision: somebody was told so.
struct Known(Vec<(Duration, u64)>);

impl Known {
    fn of(committed: &Committed, seen: &Seen) -> Self {
        let done = seen.writes.iter().filter_map(|write| match write.outcome {
            Outcome::Done { revision, at } => Some((at, revision)),
            _ => None,
        });
        let polled = seen.polls.iter().filter_map(|poll| {
            let (first, _) = committed.held(poll.cluster, &poll.body).first()?;
            Some((poll.end, *first))
        });
        let mut known: Vec<_> = done.chain(polled).collect();
        known.sort_unstable();
        let mut highest = 0;
        for (_, revision) in &mut known {
            highest = highest.max(*revision);
            *revision = highest;
        }
        Known(known)
    }

    /// What the head was at least at `time`.
    fn at(&self, time: Duration) -> u64 {
        let later = self.0.partition_point(|(known, _)| *known <= time);
        later.checked_sub(1).and_then(|at| self.0.get(at)).map_or(0, |(_, revision)| *revision)
    }
}

/// What a process and its restarts said.
#[derive(Default)]
struct Lineage<'a> {
    polls: Vec<&'a Poll>,
    acknowledged: Vec<(Duration, u64)>,
}

/// The revision below which an answer must not be, and why.
#[derive(Clone, Copy)]
struct Bound {
    revision: u64,
    why: &'static str,
}

impl Lineage<'_> {
    /// Each answer is taken to be of the lowest revision that it may be of: that leaves the most room to those
    /// after it, so that where there is none for one of them, there is none at all.
    fn judge(
        mut self,
        committed: &Committed,
        known: &Known,
        max_staleness: Duration,
        wrong: &mut Vec<String>,
    ) {
        self.polls.sort_by_key(|poll| poll.start);
        self.acknowledged.sort_unstable();
        let mut acknowledged = self.acknowledged.iter().peekable();
        // Answers that were there, and those that were on their way meanwhile.
        let mut open: BinaryHeap<Reverse<(Duration, u64)>> = BinaryHeap::new();
        let (mut answered, mut promised) = (0, 0);
        for poll in self.polls {
            while let Some((_, revision)) = acknowledged.next_if(|(at, _)| *at <= poll.start) {
                promised = promised.max(*revision);
            }
            while let Some(Reverse((_, revision))) = open.peek().filter(|it| it.0.0 <= poll.start) {
                answered = answered.max(*revision);
                open.pop();
            }
            let head = poll.start.checked_sub(max_staleness).map_or(0, |time| known.at(time));
            let bounds = [
                Bound { revision: answered, why: "went back: it had answered from revision" },
                Bound { revision: promised, why: "forgot a write: it had acknowledged revision" },
                Bound { revision: head, why: "was stale: MAX_STALENESS before, the head was at least" },
            ];
            match lowest(committed.held(poll.cluster, &poll.body), &bounds) {
                Ok(revision) => open.push(Reverse((poll.end, revision))),
                Err(why) => wrong.push(format!(
                    "process {} at {:.3} s, cluster {}: {why}: {}",
                    poll.lineage,
                    poll.start.as_secs_f64(),
                    poll.cluster,
                    String::from_utf8_lossy(&poll.body)
                )),
            }
        }
    }
}

/// The lowest revision at which the answer held and that no bound excludes.
fn lowest(held: &[Held], bounds: &[Bound]) -> Result<u64, String> {
    let Some((_, last)) = held.last() else {
        return Err("it was answered what no committed revision answers".into());
    };
    let lowest = bounds.iter().map(|bound| bound.revision).max().unwrap_or_default();
    let possible = held.iter().find(|(_, last)| *last >= lowest);
    possible.map(|(first, _)| lowest.max(*first)).ok_or_else(|| {
        let broken = bounds.iter().filter(|bound| bound.revision > *last);
        let broken = broken.map(|bound| format!("it {} {}", bound.why, bound.revision));
        format!("from revision {last}, {}", broken.collect::<Vec<_>>().join("; "))
    })
}
