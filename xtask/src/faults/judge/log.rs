//! What the log must hold, by what was said of each write.

use std::collections::{BTreeSet, HashMap};

use flux_resourceset_model::change::{DocumentChange, Entry, EntryId, Key};

use super::Committed;
use crate::faults::seen::{Outcome, Write};
use crate::faults::workload::{number_in, reason};

pub(super) fn judge(committed: &Committed, writes: &[Write], wrong: &mut Vec<String>) {
    sequence(&committed.entries, wrong);
    let mut by_reason: HashMap<&str, Vec<&Entry>> = HashMap::new();
    for entry in committed.entries.iter().filter(|entry| entry.revision > committed.begins) {
        by_reason.entry(entry.change_set.reason.as_deref().unwrap_or_default()).or_default().push(entry);
    }
    for write in writes {
        let entries = by_reason.remove(reason(write.number).as_str()).unwrap_or_default();
        stored(write, &entries, wrong);
    }
    for entry in by_reason.into_values().flatten() {
        wrong.push(format!("revision {} is nobody's write", entry.revision));
    }
}

/// One revision after the other, each entry once.
fn sequence(entries: &[Entry], wrong: &mut Vec<String>) {
    let mut ids = BTreeSet::from([EntryId::NIL]);
    for (expected, entry) in (1..).zip(entries) {
        if entry.revision != expected {
            wrong.push(format!("revision {} stands where {expected} belongs", entry.revision));
        }
        if !ids.insert(entry.change_set.entry) {
            wrong.push(format!("the entry id of revision {} is there twice, or nil", entry.revision));
        }
    }
}

fn stored(write: &Write, entries: &[&Entry], wrong: &mut Vec<String>) {
    let number = write.number;
    let mut object =
        |what: String| wrong.push(format!("write {number}, to process {}, {what}", write.lineage));
    if entries.len() > 1 {
        object(format!("is stored {} times", entries.len()));
    }
    for entry in entries {
        if !is_whole(number, &write.keys, &entry.change_set.documents) {
            object(format!("is stored by halves, as revision {}", entry.revision));
        }
    }
    let stored = entries.iter().map(|entry| entry.revision).collect::<Vec<_>>();
    match &write.outcome {
        Outcome::Done { revision, .. } if stored.is_empty() => {
            object(format!("was acknowledged as revision {revision}, and is lost"))
        }
        Outcome::Done { revision, .. } if !stored.contains(revision) => {
            object(format!("was acknowledged as revision {revision}, and is {stored:?}"))
        }
        Outcome::Refused(code) if !stored.is_empty() => {
            object(format!("was refused ({code}), and is stored as revision {stored:?}"))
        }
        _ => {}
    }
}

/// Whether these are all documents of the write, each as it left them.
fn is_whole(number: u64, keys: &[Key], documents: &[DocumentChange]) -> bool {
    let expected: BTreeSet<_> = keys.iter().collect();
    let found: BTreeSet<_> = documents.iter().map(|document| &document.key).collect();
    let numbered = |document: &DocumentChange| document.body.as_deref().and_then(number_in) == Some(number);
    found == expected && documents.iter().all(numbered)
}
