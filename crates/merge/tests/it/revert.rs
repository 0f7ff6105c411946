//! What undoing a past change leaves: laws over random histories, and scenes that can be read.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_merge::{Field, Fleet, PastChange, RevertConflict, Reverted};
use flux_resourceset_model::change::{DocumentChange, Key, Operation, Verb};
use flux_resourceset_model::{Body, DnsName};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::history::{History, documents, operation, operations, stored};
use crate::naive::Documents;

const CLUSTERS: [&str; 3] = ["c1", "c2", "c3"];

/// One write, of which the body may depend on what there is.
#[derive(Debug, Clone)]
enum Act {
    Write(Vec<Operation>),
    Restore(&'static str),
}

impl Act {
    fn operations(&self, fleet: &Fleet) -> Vec<Operation> {
        match self {
            Act::Write(operations) => operations.clone(),
            Act::Restore(id) => {
                let tombstone = body(fleet, &Key::new("tombstones", *id));
                let cluster = tombstone.and_then(|tombstone| tombstone.get("cluster").cloned());
                let create = |cluster| Operation::new(Verb::Create, Key::new("clusters", *id), Some(cluster));
                cluster.map(create).into_iter().collect()
            }
        }
    }
}

/// Mostly what changes something: most creates are of what exists already.
fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => prop::collection::vec(operation(), 1..2).prop_map(Act::Write),
        3 => prop::collection::vec(operation(), 2..4).prop_map(Act::Write),
        1 => select(CLUSTERS.to_vec()).prop_map(Act::Restore),
    ]
}

fn body(fleet: &Fleet, key: &Key) -> Option<Body> {
    fleet.get(key).map(|document| serde_json::from_slice(document.body()).unwrap())
}

/// What the log says of a write.
fn past(before: &Fleet, documents: &[DocumentChange]) -> Vec<PastChange> {
    let change = |change: &DocumentChange| PastChange {
        key: change.key.clone(),
        before: body(before, &change.key),
        after: change.body.as_ref().map(|body| serde_json::from_slice(body).unwrap()),
    };
    documents.iter().map(change).collect()
}

/// Does `act`; what it did to documents, `None` where it was refused.
fn perform(history: &mut History, act: &Act) -> Option<Vec<PastChange>> {
    let before = history.fleet.clone();
    let documents = history.write(&act.operations(&before)).ok()?;
    Some(past(&before, &documents))
}

fn undo(history: &mut History, change: &[PastChange]) -> Option<Vec<PastChange>> {
    let before = history.fleet.clone();
    let reverted = before.revert(change);
    assert_eq!(reverted.conflicts, [], "nothing was changed since");
    Some(past(&before, &history.write(&reverted.operations).ok()?))
}

/// What is left on purpose of `after`, which is undone: the tombstones of clusters that it made, and the
/// DNS names that it gave, as aliases.
fn kept(mut before: Documents, after: &Documents) -> Documents {
    for (id, cluster) in &after["clusters"] {
        let [was, is] = [before["clusters"].get(id), Some(cluster)]
            .map(|cluster| cluster.map(|cluster| cluster["cluster_dns"].as_str().unwrap().to_owned()));
        if was.is_none() && !before["tombstones"].contains_key(id) {
            let mut tombstone = json!({"id": id, "cluster_dns": cluster["cluster_dns"], "cluster": cluster});
            if cluster["environment"] == "prod" {
                tombstone["held"] = true.into();
            }
            before.get_mut("tombstones").unwrap().insert(id.clone(), tombstone);
        } else if let (Some(was), Some(is)) = (was, is)
            && DnsName::new(&was) != DnsName::new(&is)
        {
            let cluster = before.get_mut("clusters").unwrap().get_mut(id).unwrap();
            let mut aliases = cluster["aliases"].as_array().cloned().unwrap_or_default();
            if !aliases.iter().any(|alias| DnsName::new(alias.as_str().unwrap()) == DnsName::new(&is)) {
                aliases.push(is.into());
            }
            cluster["aliases"] = aliases.into();
        }
    }
    before
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn undone_at_once_every_document_is_what_it_was(base in operations(), acts in prop::collection::vec(act(), 1..20)) {
        let mut history = History::after(&base);
        for act in &acts {
            let before = documents(&history.fleet);
            let Some(change) = perform(&mut history, act) else { continue };
            let mut undone = History { fleet: history.fleet.clone() };
            if undo(&mut undone, &change).is_some() {
                let expected = kept(before, &documents(&history.fleet));
                prop_assert_eq!(documents(&undone.fleet), expected, "{:?}", act);
            }
        }
    }

    #[test]
    fn undoing_what_was_undone_restores_it(base in operations(), acts in prop::collection::vec(act(), 1..20)) {
        let mut history = History::after(&base);
        for act in &acts {
            let Some(change) = perform(&mut history, act) else { continue };
            let mut undone = History { fleet: history.fleet.clone() };
            let Some(change) = undo(&mut undone, &change) else { continue };
            if undo(&mut undone, &change).is_some() {
                prop_assert_eq!(documents(&undone.fleet), documents(&history.fleet), "{:?}", act);
            }
        }
    }

    #[test]
    fn what_was_changed_since_stays_and_is_said_to(base in operations(), acts in prop::collection::vec(act(), 2..12)) {
        let mut history = History::after(&base);
        let changes: Vec<_> = acts.iter().filter_map(|act| perform(&mut history, act)).collect();
        for change in &changes {
            let expected = judge(change, &history.fleet);
            let Reverted { operations, conflicts } = history.fleet.revert(change);
            prop_assert_eq!(&conflicts, &expected_conflicts(&expected));
            let mut undone = History { fleet: history.fleet.clone() };
            if undone.write(&operations).is_err() {
                continue;
            }
            for (key, path, value) in expected_values(&expected) {
                let now = body(&undone.fleet, key).map(Value::Object);
                // What else becomes of a cluster that goes, or of its names, is `Fleet::prepare`'s own.
                if now.is_some() && path.first().is_none_or(|step| step != "aliases") {
                    prop_assert_eq!(get(now.as_ref(), path), value, "{} {:?}", key, path);
                }
            }
            let touched = |key: &Key| expected.keys().any(|other| other.id == key.id);
            for (key, _, bytes) in stored(&history.fleet).into_iter().filter(|(key, ..)| !touched(key)) {
                prop_assert_eq!(undone.fleet.get(&key).map(|document| document.body()), Some(&bytes[..]), "{}", key);
            }
        }
    }
}

fn expected_conflicts(judged: &BTreeMap<Key, Judged>) -> Vec<RevertConflict> {
    let conflicts = judged.iter().flat_map(|(key, judged)| {
        let conflict = |field| RevertConflict { document: key.clone(), field: Field::new(field) };
        judged.conflicts.iter().map(conflict)
    });
    conflicts.collect()
}

fn expected_values(judged: &BTreeMap<Key, Judged>) -> impl Iterator<Item = (&Key, &Path, Option<&Value>)> {
    judged
        .iter()
        .flat_map(|(key, judged)| judged.values.iter().map(move |(path, value)| (key, path, value.as_ref())))
}

#[test]
fn the_histories_have_what_is_to_be_undone() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut undone, mut refused, mut nothing) = (0, 0, 0);
    let mut conflicts = BTreeMap::<_, usize>::new();
    for _ in 0..200 {
        let base = operations().new_tree(&mut runner).unwrap().current();
        let acts = prop::collection::vec(act(), 2..12).new_tree(&mut runner).unwrap().current();
        let mut history = History::after(&base);
        let changes: Vec<_> = acts.iter().filter_map(|act| perform(&mut history, act)).collect();
        for change in &changes {
            let reverted = history.fleet.revert(change);
            for conflict in reverted.conflicts {
                *conflicts.entry((conflict.document.kind, conflict.field.to_string())).or_default() += 1;
            }
            match history.fleet.prepare(&reverted.operations) {
                Ok(prepared) if prepared.documents.is_empty() => nothing += 1,
                Ok(_) => undone += 1,
                Err(_) => refused += 1,
            }
        }
    }
    let reached = format!("{undone} undone, {refused} refused, {nothing} nothing, {conflicts:#?}");
    assert!(undone > 150 && nothing > 100 && conflicts.len() > 10, "{reached}");
}

/// What undoing one document's change must come to, found without any merging: every address that leads to
/// something in one of its three states is looked at by itself.
struct Judged {
    conflicts: BTreeSet<Path>,
    /// What must stand where; at no steps the whole document.
    values: BTreeMap<Path, Option<Value>>,
}

type Path = Vec<String>;

fn judge(changes: &[PastChange], fleet: &Fleet) -> BTreeMap<Key, Judged> {
    let now = |key: &Key| body(fleet, key);
    let mut judged: BTreeMap<_, _> =
        changes.iter().map(|change| (change.key.clone(), Judged::of(change, now(&change.key)))).collect();
    // A cluster and its tombstone are one.
    for id in CLUSTERS {
        let pair = [Key::new("clusters", id), Key::new("tombstones", id)];
        let conflict = |key: &Key| judged.get(key).is_some_and(|judged| !judged.conflicts.is_empty());
        if pair.iter().all(|key| judged.contains_key(key)) && pair.iter().any(conflict) {
            for key in pair {
                let stays = BTreeMap::from([(Path::new(), now(&key).map(Value::Object))]);
                judged.get_mut(&key).unwrap().values = stays;
            }
        }
    }
    judged
}

impl Judged {
    fn of(change: &PastChange, now: Option<Body>) -> Self {
        let whole = |body: Option<Body>| body.map(Value::Object);
        let (before, after, now) = (whole(change.before.clone()), whole(change.after.clone()), whole(now));
        let mut judged = Judged { conflicts: BTreeSet::new(), values: BTreeMap::new() };
        judged.whole(&[], before.as_ref(), after.as_ref(), now.as_ref());
        // Below a conflict nothing more is said.
        let tops = judged.conflicts.clone();
        let below = |path: &Path| (0..path.len()).any(|end| tops.contains(&path[..end]));
        judged.conflicts.retain(|path| !below(path));
        judged.values.retain(|path, _| !below(path));
        judged
    }

    fn whole(&mut self, path: &[String], before: Option<&Value>, after: Option<&Value>, now: Option<&Value>) {
        let (conflicts, target) = match (before, after, now) {
            (before, after, now) if before == after => (vec![], now),
            (Some(before), Some(after), Some(now)) => return self.fields(path, before, after, now),
            (None, Some(after), Some(now)) if after != now => {
                let mut changed = addresses(&[Some(after), Some(now)], true);
                changed.retain(|path| says(after, path) != says(now, path));
                // A turned list, say.
                let changed = if changed.is_empty() { BTreeSet::from([Path::new()]) } else { changed };
                (changed.into_iter().collect(), Some(now))
            }
            (Some(before), None, Some(now)) if before != now => (vec![Path::new()], Some(now)),
            (Some(before), Some(after), None) => {
                let mut lost = addresses(&[Some(before), Some(after)], true);
                lost.retain(|path| says(before, path).is_some() && says(before, path) != says(after, path));
                (if lost.is_empty() { vec![] } else { vec![Path::new()] }, None)
            }
            _ => (vec![], before),
        };
        self.conflicts.extend(conflicts.into_iter().map(|below| [path, &below].concat()));
        self.values.insert(path.to_vec(), target.cloned());
    }

    fn fields(&mut self, path: &[String], before: &Value, after: &Value, now: &Value) {
        let sides = [Some(before), Some(after), Some(now)];
        for below in addresses(&sides, false) {
            let [before, after, now] = sides.map(|side| get(side, &below));
            let whole = [path, &below].concat();
            match (1..=below.len()).find(|end| is_item(&below[..*end])) {
                Some(end) if end < below.len() => {}
                Some(_) => self.whole(&whole, before, after, now),
                None => {
                    let target = match () {
                        () if before == after || now == before => now,
                        () if now == after => before,
                        () => {
                            self.conflicts.insert(whole.clone());
                            now
                        }
                    };
                    self.values.insert(whole, target.cloned());
                }
            }
        }
    }
}

/// Whether `path` leads to a reference of a cluster, or of the one that a tombstone has.
fn is_item(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(path.as_slice(), ["platform_components" | "namespaces" | "rolebindings", _])
        || matches!(path.as_slice(), ["cluster", "platform_components" | "namespaces" | "rolebindings", _])
}

fn get<'a>(value: Option<&'a Value>, path: &[String]) -> Option<&'a Value> {
    path.iter().enumerate().try_fold(value?, |value, (at, step)| match value {
        Value::Array(items) if is_item(&path[..=at]) => items.iter().find(|item| item["id"] == **step),
        value => value.get(step),
    })
}

/// What stands at one of the [`addresses`]; of a reference, that it does.
fn says<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    get(Some(value), path).map(|value| if is_item(path) { &value["id"] } else { value })
}

/// Where in one of `sides` there is a reference, or what is no object and no list of references;
/// an empty one counts where it is asked for.
fn addresses(sides: &[Option<&Value>], empty: bool) -> BTreeSet<Path> {
    fn gather(path: &Path, value: &Value, empty: bool, found: &mut BTreeSet<Path>) {
        let below = |step: &str| [path.as_slice(), &[step.to_owned()]].concat();
        match value {
            Value::Object(fields) if !fields.is_empty() || !empty => {
                fields.iter().for_each(|(key, value)| gather(&below(key), value, empty, found));
            }
            Value::Array(items) if is_item(&below("x")) && (!items.is_empty() || !empty) => {
                for item in items {
                    let path = below(item["id"].as_str().unwrap());
                    gather(&path, item, empty, found);
                    found.insert(path);
                }
            }
            _ => drop(found.insert(path.clone())),
        }
    }
    let mut found = BTreeSet::new();
    sides.iter().flatten().for_each(|side| gather(&Path::new(), side, empty, &mut found));
    found
}
