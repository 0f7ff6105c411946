//! What was asked and answered while things broke, as the judge takes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_model::change::Key;

/// A poll that was answered by 200, or by 304 to the tag of these bytes. Times are since the scenario began.
#[derive(Debug, Clone)]
pub(super) struct Poll {
    /// A process and its restarts.
    pub(super) lineage: usize,
    pub(super) cluster: usize,
    /// Before it was sent.
    pub(super) start: Duration,
    /// After the answer was there.
    pub(super) end: Duration,
    pub(super) body: Arc<[u8]>,
}

/// A write.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) lineage: usize,
    pub(super) number: u64,
    /// What it changes.
    pub(super) keys: Vec<Key>,
    pub(super) outcome: Outcome,
}

/// What was said of a write.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// It is stored, under this revision; said at this time.
    Done { revision: u64, at: Duration },
    /// Nothing was changed, with this code.
    Refused(String),
    /// Nothing, or that it is not known.
    Unknown,
}

impl Write {
    /// Whether it was said to be stored.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done { .. })
    }
}

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) polls: Vec<Poll>,
    pub(super) writes: Vec<Write>,
    /// How often polls were not answered, by the code that they got instead.
    pub(super) unanswered: BTreeMap<String, usize>,
    /// Answers that a cluster of the fleet must never get.
    pub(super) wrong: Vec<String>,
}

impl Seen {
    pub(super) fn add(&mut self, other: Seen) {
        self.polls.extend(other.polls);
        self.writes.extend(other.writes);
        for (code, times) in other.unanswered {
            *self.unanswered.entry(code).or_default() += times;
        }
        self.wrong.extend(other.wrong);
    }

    /// How many writes were said to be stored.
    pub(super) fn acknowledged(&self) -> usize {
        self.writes.iter().filter(|write| write.is_done()).count()
    }

    /// What was seen, in a line.
    pub(super) fn summary(&self) -> String {
        let codes = self.unanswered.iter().map(|(code, times)| format!(", {times} x {code}"));
        let mut writes: BTreeMap<&str, usize> = BTreeMap::new();
        for write in &self.writes {
            *writes
                .entry(match &write.outcome {
                    Outcome::Done { .. } => continue,
                    Outcome::Refused(code) => code,
                    Outcome::Unknown => "unknown",
                })
                .or_default() += 1;
        }
        let others = writes.iter().map(|(code, times)| format!(", {times} x {code}"));
        format!(
            "{} polls answered{}; {} writes done{}",
            self.polls.len(),
            codes.collect::<String>(),
            self.acknowledged(),
            others.collect::<String>()
        )
    }
}
