//! Forged histories: a sound one, to which the judge does not object, and each way to break it, to which it must.

use flux_resourceset_merge::Fleet;
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, EntryId, Key};
use serde_json::{Value, json};

use super::*;
use crate::faults::seen::Write;
use crate::faults::workload::{Workload, dns, reason};

const WORKLOAD: Workload = Workload { clusters: 3 };
const STALENESS: Duration = Duration::from_secs(2);

/// A history, to be forged before it is judged. Write `n` is revision `n + 1`, said at second `n`.
struct History {
    entries: Vec<Entry>,
    seen: Seen,
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn entry(revision: u64, reason: Option<String>, documents: Vec<DocumentChange>) -> Entry {
    let change_set = ChangeSet {
        entry: EntryId(u128::from(revision) + 100),
        principal: "writer".into(),
        reason,
        request_id: "request".into(),
        operations: Vec::new(),
        documents,
        min_reader: 1,
    };
    Entry { revision, at: 0, change_set }
}

fn document(key: Key, body: &Value) -> DocumentChange {
    DocumentChange { key, body: Some(body.to_string().into()) }
}

fn seed() -> Entry {
    let seed = WORKLOAD.seed();
    let list = |kind: &str, id: &str| -> Vec<DocumentChange> {
        let bodies = seed[kind].as_array().unwrap().iter().cloned();
        let documents = bodies.map(|mut body| {
            body["id"] = body[id].clone();
            document(Key::new(kind, body["id"].as_str().unwrap()), &body)
        });
        documents.collect()
    };
    entry(1, None, [list("namespaces", "id"), list("clusters", "cluster_name")].concat())
}

fn written(number: u64) -> Entry {
    let body = |key: &Key| json!({"id": key.id, "labels": {"write": number.to_string()}});
    let documents = WORKLOAD.keys(number).into_iter().map(|key| document(key.clone(), &body(&key)));
    entry(number + 1, Some(reason(number)), documents.collect())
}

fn write(lineage: usize, number: u64) -> Write {
    let outcome = Outcome::Done { revision: number + 1, at: seconds(number as f64) };
    Write { lineage, number, keys: WORKLOAD.keys(number), outcome }
}

/// What the first cluster is answered at a revision of `entries`.
fn answer(entries: &[Entry], revision: u64) -> Vec<u8> {
    let mut fleet = Fleet::empty(Rules::default());
    for entry in entries.iter().filter(|entry| entry.revision <= revision) {
        fleet = fleet.apply(entry.revision, &entry.change_set.documents).unwrap();
    }
    let mut out = Vec::new();
    fleet.answer(&dns(0), "namespaces", &mut out).unwrap();
    out
}

impl History {
    /// Writes 1 to 8 by process 0, each of which process 1 is asked for half a second later.
    fn sound() -> Self {
        let mut history = History { entries: vec![seed()], seen: Seen::default() };
        for number in 1..=8 {
            history.entries.push(written(number));
            history.seen.writes.push(write(0, number));
        }
        for number in 1..=8 {
            history.poll(1, number as f64 + 0.5, number + 1);
        }
        history
    }

    /// `lineage` answers from `revision` at this second.
    fn poll(&mut self, lineage: usize, at: f64, revision: u64) {
        let body = answer(&self.entries, revision).into();
        let (start, end) = (seconds(at), seconds(at + 0.1));
        self.seen.polls.push(Poll { lineage, cluster: 0, start, end, body });
    }

    fn judged(&self) -> Vec<String> {
        let committed = Committed::of(self.entries.clone(), 1, WORKLOAD.clusters).unwrap();
        judge(&committed, &self.seen, STALENESS)
    }

    /// The judge says just one thing, and this is in it.
    #[track_caller]
    fn objected(&self, why: &str) {
        let wrong = self.judged();
        assert!(wrong.len() == 1 && wrong[0].contains(why), "{why}: {wrong:#?}");
    }
}

#[test]
fn a_sound_history_is_sound() {
    let mut history = History::sound();
    // Late, but not too late; of two at once either may be the older.
    history.poll(2, 5.9, 5);
    history.poll(2, 5.95, 6);
    history.poll(2, 5.93, 5);
    history.poll(0, 8.2, 9);
    // Nobody knows whether it is stored.
    for (number, stored) in [(9, true), (10, false)] {
        let entry = Entry { revision: 10, ..written(number) };
        history.entries.extend(stored.then_some(entry));
        history.seen.writes.push(Write { outcome: Outcome::Unknown, ..write(0, number) });
    }
    let refused = Outcome::Refused("store_unavailable".into());
    history.seen.writes.push(Write { outcome: refused, ..write(0, 11) });
    assert_eq!(history.judged(), Vec::<String>::new());
}

#[test]
fn an_answer_of_no_revision() {
    let mut history = History::sound();
    let mixed = String::from_utf8(answer(&history.entries, 3)).unwrap().replace("\"2\"", "\"3\"");
    history.seen.polls[1].body = mixed.into_bytes().into();
    history.objected("no committed revision");
}

#[test]
fn an_answer_of_another_cluster() {
    let mut history = History::sound();
    history.seen.polls[1].cluster = 1;
    history.objected("no committed revision");
}

#[test]
fn an_answer_of_what_was_not_committed() {
    let mut history = History::sound();
    history.entries.push(written(9));
    history.poll(1, 9.0, 10);
    history.entries.pop();
    history.objected("no committed revision");
}

#[test]
fn a_process_that_goes_back() {
    let mut history = History::sound();
    // Fresh enough, and still behind what the same process had said.
    history.poll(1, 8.7, 7);
    history.objected("went back");
}

#[test]
fn a_process_that_goes_back_within_what_its_answers_may_be() {
    let mut history = History::sound();
    // The first cluster gets the same at revisions 4 and 5 of this log, and may have got it from either.
    history.entries.truncate(4);
    history.seen.writes.truncate(3);
    history.seen.polls.clear();
    let other = Key::new("namespaces", "own-1");
    let body = json!({"id": "own-1", "labels": {"write": "4"}});
    history.entries.push(entry(5, Some(reason(4)), vec![document(other.clone(), &body)]));
    history.seen.writes.push(Write { keys: vec![other], ..write(0, 4) });
    history.poll(1, 4.1, 4);
    history.poll(1, 4.3, 5);
    assert_eq!(history.judged(), Vec::<String>::new());
    let body = answer(&history.entries[..5], 5);
    let mut later = |at, cluster, revision: u64| {
        let mut fleet = Fleet::empty(Rules::default());
        for entry in &history.entries[..revision as usize] {
            fleet = fleet.apply(entry.revision, &entry.change_set.documents).unwrap();
        }
        let mut out = Vec::new();
        fleet.answer(&dns(cluster), "namespaces", &mut out).unwrap();
        let (start, end) = (seconds(at), seconds(at + 0.1));
        history.seen.polls.push(Poll { lineage: 1, cluster, start, end, body: out.into() });
    };
    // The other cluster's answer is of revision 5 alone, then again of 4 alone.
    later(4.5, 1, 5);
    later(4.7, 1, 4);
    assert_eq!(body, answer(&history.entries, 4));
    history.objected("went back: it had answered from revision 5");
}

#[test]
fn an_answer_that_is_too_old() {
    let mut history = History::sound();
    history.poll(2, 6.1, 3);
    history.objected("was stale");
    // What another was answered is known, too.
    let mut history = History::sound();
    history.seen.writes.iter_mut().for_each(|write| write.outcome = Outcome::Unknown);
    history.poll(2, 6.7, 3);
    history.objected("was stale");
}

#[test]
fn an_answer_from_before_what_the_process_acknowledged() {
    let mut history = History::sound();
    history.poll(0, 5.2, 5);
    history.objected("it had acknowledged revision 6");
}

#[test]
fn a_gap_and_a_repeat() {
    let mut history = History::sound();
    history.seen.polls.clear();
    history.entries[8].revision = 10;
    history.seen.writes[7].outcome = Outcome::Unknown;
    history.objected("revision 10 stands where 9 belongs");
    history.entries[8].revision = 8;
    history.objected("revision 8 stands where 9 belongs");
}

#[test]
fn an_entry_id_that_is_there_twice() {
    let mut history = History::sound();
    history.entries[5].change_set.entry = history.entries[2].change_set.entry;
    history.objected("entry id of revision 6");
    history.entries[5].change_set.entry = EntryId::NIL;
    history.objected("entry id of revision 6");
}

#[test]
fn half_a_change_set() {
    for damage in [
        (|documents| drop(documents.pop())) as fn(&mut Vec<DocumentChange>),
        |documents| documents[0].body = Some(br#"{"id":"own-0","labels":{"write":"1"}}"#.to_vec()),
        |documents| documents[0].body = None,
    ] {
        let mut history = History::sound();
        history.seen.polls.clear();
        // The seventh changes each document.
        let key = history.entries[7].change_set.documents[0].key.clone();
        assert_eq!(key.id, "own-0");
        damage(&mut history.entries[7].change_set.documents);
        if history.entries[7].change_set.documents[0].body.is_none() {
            // A document that is referred to cannot go: the log itself is refused.
            assert!(Committed::of(history.entries, 1, WORKLOAD.clusters).is_err());
            continue;
        }
        history.objected("is stored by halves");
    }
}

#[test]
fn a_write_that_is_lost() {
    let mut history = History::sound();
    history.entries.pop();
    history.seen.polls.pop();
    history.objected("was acknowledged as revision 9, and is lost");
}

#[test]
fn a_write_that_is_another_revision_than_it_was_told() {
    let mut history = History::sound();
    history.seen.polls.clear();
    history.seen.writes[7].outcome = Outcome::Done { revision: 8, at: seconds(8.0) };
    history.objected("was acknowledged as revision 8, and is [9]");
}

#[test]
fn a_write_that_is_done_twice() {
    for outcome in [Outcome::Unknown, Outcome::Done { revision: 9, at: seconds(8.0) }] {
        let mut history = History::sound();
        history.entries.push(Entry { revision: 10, ..written(8) });
        history.entries[9].change_set.entry = EntryId(999);
        history.seen.writes[7].outcome = outcome;
        history.objected("is stored 2 times");
    }
}

#[test]
fn a_write_that_was_refused_and_is_stored() {
    let mut history = History::sound();
    history.seen.writes[7].outcome = Outcome::Refused("store_unavailable".into());
    history.objected("was refused (store_unavailable), and is stored");
}

#[test]
fn what_nobody_wrote() {
    let mut history = History::sound();
    history.entries.push(written(9));
    history.objected("revision 10 is nobody's write");
}

#[test]
fn an_answer_that_no_cluster_may_get() {
    let mut history = History::sound();
    history.seen.wrong.push("process 0 answered a poll with 404".into());
    history.objected("404");
}
