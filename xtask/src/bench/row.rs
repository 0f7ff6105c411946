//! One line of the table of goals: what was measured, beside what, and whether that is enough.

use std::fmt;

/// What is to be reached.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    AtLeast(f64, &'static str),
    AtMost(f64, &'static str),
}

/// One goal and what became of it.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) goal: Goal,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Measured {
        /// What was measured, and what of the peer.
        ours: String,
        peer: String,
        /// In the goal's unit.
        value: f64,
    },
    /// Why not.
    Skipped(String),
}

impl Row {
    pub(super) fn measured(
        what: impl Into<String>,
        goal: Goal,
        ours: impl Into<String>,
        peer: impl Into<String>,
        value: f64,
    ) -> Self {
        let row = Row {
            what: what.into(),
            goal,
            outcome: Outcome::Measured { ours: ours.into(), peer: peer.into(), value },
        };
        println!("{row}");
        row
    }

    pub(super) fn skipped(what: impl Into<String>, goal: Goal, why: impl Into<String>) -> Self {
        let row = Row { what: what.into(), goal, outcome: Outcome::Skipped(why.into()) };
        println!("{row}");
        row
    }

    /// What was measured against the goal, and the verdict.
    pub(super) fn verdict(&self) -> (String, &'static str) {
        match &self.outcome {
            Outcome::Measured { value, .. } => {
                (self.goal.amount(*value), if self.goal.is_met(*value) { "met" } else { "missed" })
            }
            Outcome::Skipped(_) => ("-".into(), "SKIPPED"),
        }
    }
}

impl Goal {
    fn unit(self) -> &'static str {
        let (Goal::AtLeast(_, unit) | Goal::AtMost(_, unit)) = self;
        unit
    }

    fn amount(self, value: f64) -> String {
        let digits = if value.abs() >= 100.0 { 0 } else { 2 };
        format!("{value:.digits$} {}", self.unit())
    }

    /// How far it is reached: 1 is the goal, more is better.
    pub(super) fn reached(self, value: f64) -> f64 {
        match self {
            Goal::AtLeast(least, _) => value / least,
            Goal::AtMost(most, _) => most / value,
        }
    }

    fn is_met(self, value: f64) -> bool {
        self.reached(value) >= 1.0
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, bound, unit) = match *self {
            Goal::AtLeast(bound, unit) => ("at least", bound, unit),
            Goal::AtMost(bound, unit) => ("at most", bound, unit),
        };
        let digits = if bound.fract() == 0.0 && bound >= 1.0 && unit != "x" { 0 } else { 1 };
        write!(f, "{word} {bound:.digits$} {unit}")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, verdict) = self.verdict();
        match &self.outcome {
            Outcome::Measured { ours, peer, .. } => {
                write!(f, "=> {}: {ours}; {peer}: {value} ({}): {verdict}", self.what, self.goal)
            }
            Outcome::Skipped(why) => write!(f, "=> {}: SKIPPED: {why}", self.what),
        }
    }
}

/// The rows as a table of Markdown.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table = String::from("| what | measured | beside | | goal | |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let (value, verdict) = row.verdict();
        let (ours, peer) = match &row.outcome {
            Outcome::Measured { ours, peer, .. } => (ours.as_str(), peer.as_str()),
            Outcome::Skipped(why) => (why.as_str(), ""),
        };
        let Row { what, goal, .. } = row;
        table.push_str(&format!("| {what} | {ours} | {peer} | {value} | {goal} | {verdict} |\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(goal: Goal, value: f64) -> (String, &'static str) {
        Row::measured("x", goal, "a", "b", value).verdict()
    }

    #[test]
    fn a_goal_is_met_at_its_bound_and_missed_beyond_it() {
        assert_eq!(verdict(Goal::AtLeast(1.0, "x"), 1.0), ("1.00 x".into(), "met"));
        assert_eq!(verdict(Goal::AtLeast(1.0, "x"), 0.99), ("0.99 x".into(), "missed"));
        assert_eq!(verdict(Goal::AtMost(64.0, "MiB"), 64.0), ("64.00 MiB".into(), "met"));
        assert_eq!(verdict(Goal::AtMost(250.0, "ms"), 251.2), ("251 ms".into(), "missed"));
    }

    #[test]
    fn what_was_skipped_is_neither() {
        assert_eq!(Row::skipped("x", Goal::AtLeast(1.0, "x"), "no wrk").verdict().1, "SKIPPED");
    }
}
