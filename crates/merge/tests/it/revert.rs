//! What undoing a past change leaves: laws over random histories, and scenes that can be read.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_merge::{Field, Fleet, PastChange, RevertConflict, Reverted};
use flux_resourceset_model::change::{DocumentChange, Key, Operation, Verb};
use flux_resourceset_model::{Body, DnsName, Rules};
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
    fleet.get(key).map(|document| serde_json::from_slice(&document.body()).unwrap())
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
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

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
            let between = documents(&undone.fleet);
            if undo(&mut undone, &change).is_some() {
                // A cluster that was deleted and purged at once is deleted again, and leaves its tombstone.
                let expected = kept(documents(&history.fleet), &between);
                prop_assert_eq!(documents(&undone.fleet), expected, "{:?}", act);
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
                prop_assert_eq!(undone.fleet.get(&key).map(|document| document.body().into_owned()), Some(bytes.to_vec()), "{}", key);
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

const SCENE: &str = r#"{
    "clusters": [
        {"cluster_name": "eu-1", "cluster_dns": "eu-1.example.com", "environment": "dev",
            "platform_components": [{"id": "ingress"}, {"id": "grafana", "oci_tag": "v1"}, {"id": "loki"}],
            "namespaces": [{"id": "n"}], "patches": {"grafana": {"ui.color": "red"}}},
        {"cluster_name": "us-1", "cluster_dns": "us-1.example.com", "environment": "prod",
            "platform_components": [{"id": "grafana"}], "aliases": ["old.example.com"]}],
    "platform_components": [
        {"id": "ingress", "component_path": "ingress", "oci_url": "oci://registry/repo"},
        {"id": "grafana", "component_path": "grafana", "oci_url": "oci://registry/repo",
            "release": {"values": {"a": {"b": 1, "c": null}}}},
        {"id": "loki", "component_path": "loki", "oci_url": "oci://registry/repo"}],
    "namespaces": [{"id": "n"}]
}"#;

fn asked(verb: Verb, target: &str, body: Value) -> Operation {
    let (key, part) = Operation::parse_target(target).unwrap();
    Operation { part, ..Operation::new(verb, key, (!body.is_null()).then_some(body)) }
}

fn delete(target: &str) -> Operation {
    Operation { force: true, ..asked(Verb::Delete, target, Value::Null) }
}

fn scene() -> History {
    History { fleet: Fleet::from_json(SCENE).unwrap() }
}

/// Does `operations` in one write.
#[track_caller]
fn does(history: &mut History, operations: &[Operation]) -> Vec<PastChange> {
    perform(history, &Act::Write(operations.to_vec())).expect("it is not refused")
}

/// How `change` is undone, what that leaves, and who is in the way.
fn shown(history: &mut History, change: &[PastChange]) -> String {
    let Reverted { operations, conflicts } = history.fleet.revert(change);
    let mut lines: Vec<String> = operations
        .iter()
        .map(|Operation { verb, body, .. }| {
            format!("{verb:?} {}", body.as_ref().map_or(String::new(), Value::to_string))
        })
        .collect();
    for (line, operation) in lines.iter_mut().zip(&operations) {
        line.insert_str(line.find(' ').unwrap(), &format!(" {}", operation.target()));
        line.truncate(line.trim_end().len());
    }
    lines.extend(
        conflicts.iter().map(|conflict| {
            format!("conflict: {} {}", conflict.document, conflict.field).trim_end().to_owned()
        }),
    );
    match history.write(&operations) {
        Ok(documents) => lines.extend(documents.iter().map(|DocumentChange { key, body }| {
            let body = body.as_ref().map_or("gone".into(), |body| String::from_utf8_lossy(body).into_owned());
            format!("-> {key}: {body}")
        })),
        Err(refusal) => lines.push(format!("-> {refusal}")),
    }
    lines.join("\n")
}

#[test]
fn a_reference_goes_back_to_its_place() {
    let mut history = scene();
    let change = does(
        &mut history,
        &[delete("clusters/eu-1/platform_components/grafana"), delete("clusters/eu-1/patches/grafana")],
    );
    does(
        &mut history,
        &[asked(
            Verb::Update,
            "clusters/eu-1",
            json!({"platform_components": [{"id": "loki"}, {"id": "ingress"}], "node_count": 3}),
        )],
    );
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Update clusters/eu-1/patches/grafana {"ui.color":"red"}
    Update clusters/eu-1/platform_components/grafana {"id":"grafana","oci_tag":"v1"}
    -> clusters/eu-1: {"cluster_dns":"eu-1.example.com","cluster_name":"eu-1","environment":"dev","id":"eu-1","namespaces":[{"id":"n"}],"node_count":3,"patches":{"grafana":{"ui.color":"red"}},"platform_components":[{"id":"loki"},{"id":"ingress"},{"id":"grafana","oci_tag":"v1"}]}
    "#);
}

#[test]
fn what_a_change_appended_or_changed_is_undone_by_parts() {
    let mut history = scene();
    let select = |operation| Operation { select: Some(String::new()), ..operation };
    let change = does(
        &mut history,
        &[
            select(asked(Verb::Update, "clusters/*/platform_components/loki", json!({"oci_tag": "v9"}))),
            select(asked(Verb::Update, "clusters/*/patches/loki", json!({"x": "1"}))),
        ],
    );
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Delete clusters/eu-1/patches/loki
    Update clusters/eu-1/platform_components/loki {"oci_tag":null}
    Update clusters/us-1 {"patches":null}
    Delete clusters/us-1/platform_components/loki
    -> clusters/eu-1: {"cluster_dns":"eu-1.example.com","cluster_name":"eu-1","environment":"dev","id":"eu-1","namespaces":[{"id":"n"}],"patches":{"grafana":{"ui.color":"red"}},"platform_components":[{"id":"ingress"},{"id":"grafana","oci_tag":"v1"},{"id":"loki"}]}
    -> clusters/us-1: {"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]}
    "#);
}

#[test]
fn what_held_only_what_is_undone_is_there_as_it_was_before() {
    let after = |labels: [Value; 3]| {
        let mut history = scene();
        let [_, change, _] = labels.map(|labels| {
            does(&mut history, &[asked(Verb::Update, "clusters/us-1", json!({"labels": labels}))])
        });
        let Reverted { operations, conflicts } = history.fleet.revert(&change);
        assert_eq!(conflicts, []);
        history.write(&operations).unwrap();
        body(&history.fleet, &Key::new("clusters", "us-1")).unwrap().get("labels").cloned()
    };
    let both = || json!({"a": "1", "b": "2"});
    assert_eq!(after([Value::Null, both(), json!({"a": "1"})]), None);
    assert_eq!(after([json!({}), both(), json!({"a": "1"})]), Some(json!({})));
    assert_eq!(after([json!({}), both(), Value::Null]), None);
    assert_eq!(after([Value::Null, both(), json!({})]), Some(json!({})));
    assert_eq!(after([Value::Null, both(), json!({"a": "1", "c": "3"})]), Some(json!({"c": "3"})));
}

#[test]
fn a_list_that_was_turned_turns_back() {
    let mut history = scene();
    let turned = json!({"platform_components": [{"id": "loki"}, {"id": "ingress"}, {"id": "grafana", "oci_tag": "v1"}]});
    let change = does(&mut history, &[asked(Verb::Update, "clusters/eu-1", turned)]);
    let component = json!({"component_path": "x", "oci_url": "oci://registry/repo"});
    does(
        &mut history,
        &[
            asked(Verb::Create, "platform_components/x", component),
            asked(Verb::Update, "clusters/eu-1/platform_components/x", json!({})),
            delete("clusters/eu-1/platform_components/ingress"),
        ],
    );
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Update clusters/eu-1 {"platform_components":[{"id":"grafana","oci_tag":"v1"},{"id":"loki"},{"id":"x"}]}
    -> clusters/eu-1: {"cluster_dns":"eu-1.example.com","cluster_name":"eu-1","environment":"dev","id":"eu-1","namespaces":[{"id":"n"}],"patches":{"grafana":{"ui.color":"red"}},"platform_components":[{"id":"grafana","oci_tag":"v1"},{"id":"loki"},{"id":"x"}]}
    "#);
}

#[test]
fn a_component_deleted_by_force_comes_back_with_all_that_referred_to_it() {
    let mut history = scene();
    does(&mut history, &[delete("clusters/us-1")]);
    let change = does(&mut history, &[delete("platform_components/grafana")]);
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Update clusters/eu-1 {"platform_components":[{"id":"ingress"},{"id":"grafana","oci_tag":"v1"},{"id":"loki"}]}
    Update clusters/eu-1/patches/grafana {"ui.color":"red"}
    Delete tombstones/us-1
    Create tombstones/us-1 {"cluster":{"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]},"cluster_dns":"us-1.example.com","held":true,"id":"us-1"}
    Create platform_components/grafana {"component_path":"grafana","id":"grafana","oci_url":"oci://registry/repo","release":{"values":{"a":{"b":1,"c":null}}}}
    -> clusters/eu-1: {"cluster_dns":"eu-1.example.com","cluster_name":"eu-1","environment":"dev","id":"eu-1","namespaces":[{"id":"n"}],"patches":{"grafana":{"ui.color":"red"}},"platform_components":[{"id":"ingress"},{"id":"grafana","oci_tag":"v1"},{"id":"loki"}]}
    -> platform_components/grafana: {"component_path":"grafana","id":"grafana","oci_url":"oci://registry/repo","release":{"values":{"a":{"b":1,"c":null}}}}
    -> tombstones/us-1: {"cluster":{"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]},"cluster_dns":"us-1.example.com","held":true,"id":"us-1"}
    "#);
}

#[test]
fn what_was_made_together_goes_in_an_order_that_is_possible() {
    let mut history = scene();
    let component = |needs: &[&str]| json!({"component_path": "x", "oci_url": "oci://registry/repo", "depends_on": needs});
    let change = does(
        &mut history,
        &[
            asked(Verb::Create, "platform_components/b", component(&[])),
            asked(Verb::Create, "platform_components/a", component(&["b"])),
            asked(Verb::Create, "platform_components/c", component(&["a", "b"])),
            asked(
                Verb::Create,
                "clusters/x",
                json!({"cluster_name": "x", "cluster_dns": "x", "environment": "dev", "platform_components": [{"id": "b"}]}),
            ),
            asked(Verb::Update, "clusters/eu-1/platform_components/b", json!({})),
        ],
    );
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Delete clusters/x
    Delete clusters/eu-1/platform_components/b
    Delete platform_components/c
    Delete platform_components/a
    Delete platform_components/b
    -> clusters/eu-1: {"cluster_dns":"eu-1.example.com","cluster_name":"eu-1","environment":"dev","id":"eu-1","namespaces":[{"id":"n"}],"patches":{"grafana":{"ui.color":"red"}},"platform_components":[{"id":"ingress"},{"id":"grafana","oci_tag":"v1"},{"id":"loki"}]}
    -> clusters/x: gone
    -> platform_components/a: gone
    -> platform_components/b: gone
    -> platform_components/c: gone
    -> tombstones/x: {"cluster":{"cluster_dns":"x","cluster_name":"x","environment":"dev","id":"x","platform_components":[{"id":"b"}]},"cluster_dns":"x","id":"x"}
    "#);
}

#[test]
fn a_new_name_is_kept_as_an_alias() {
    let mut history = scene();
    let change = does(
        &mut history,
        &[asked(Verb::Patch, "clusters/us-1", json!({"cluster_dns": "us-2.example.com"}))],
    );
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Update clusters/us-1 {"aliases":["old.example.com"],"cluster_dns":"us-1.example.com"}
    -> clusters/us-1: {"aliases":["old.example.com","us-2.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]}
    "#);
}

#[test]
fn holding_wiping_restoring_and_purging_are_undone() {
    let mut history = scene();
    let held = does(&mut history, &[delete("clusters/us-1")]);
    let mut later = History { fleet: history.fleet.clone() };
    insta::assert_snapshot!(shown(&mut later, &held), @r#"
    Create clusters/us-1 {"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]}
    -> clusters/us-1: {"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]}
    -> tombstones/us-1: gone
    "#);

    let wiped = does(&mut history, &[asked(Verb::Update, "tombstones/us-1", json!({"held": null}))]);
    let mut later = History { fleet: history.fleet.clone() };
    insta::assert_snapshot!(shown(&mut later, &wiped), @r#"
    Update tombstones/us-1 {"held":true}
    -> tombstones/us-1: {"cluster":{"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]},"cluster_dns":"us-1.example.com","held":true,"id":"us-1"}
    "#);
    insta::assert_snapshot!(shown(&mut later, &held), @r#"
    Create clusters/us-1 {"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]}
    -> clusters/us-1: {"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]}
    -> tombstones/us-1: gone
    "#);
    let mut later = History { fleet: history.fleet.clone() };
    insta::assert_snapshot!(shown(&mut later, &held), @"conflict: tombstones/us-1 held");

    let restored = perform(&mut history, &Act::Restore("us-1")).unwrap();
    let mut later = History { fleet: history.fleet.clone() };
    insta::assert_snapshot!(shown(&mut later, &restored), @r#"
    Delete clusters/us-1
    Update tombstones/us-1 {"held":null}
    -> clusters/us-1: gone
    -> tombstones/us-1: {"cluster":{"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]},"cluster_dns":"us-1.example.com","id":"us-1"}
    "#);
    insta::assert_snapshot!(shown(&mut later, &wiped), @r#"
    Update tombstones/us-1 {"held":true}
    -> tombstones/us-1: {"cluster":{"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]},"cluster_dns":"us-1.example.com","held":true,"id":"us-1"}
    "#);

    let purged = does(&mut later, &[delete("tombstones/us-1")]);
    insta::assert_snapshot!(shown(&mut later, &purged), @r#"
    Create tombstones/us-1 {"cluster":{"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]},"cluster_dns":"us-1.example.com","held":true,"id":"us-1"}
    -> tombstones/us-1: {"cluster":{"aliases":["old.example.com"],"cluster_dns":"us-1.example.com","cluster_name":"us-1","environment":"prod","id":"us-1","platform_components":[{"id":"grafana"}]},"cluster_dns":"us-1.example.com","held":true,"id":"us-1"}
    "#);
}

#[test]
fn a_cluster_that_was_made_leaves_a_tombstone() {
    let mut history = scene();
    let cluster = |dns: &str| json!({"cluster_name": "x", "cluster_dns": dns, "environment": "prod"});
    let change = does(&mut history, &[asked(Verb::Create, "clusters/x", cluster("x.example.com"))]);
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Delete clusters/x
    -> clusters/x: gone
    -> tombstones/x: {"cluster":{"cluster_dns":"x.example.com","cluster_name":"x","environment":"prod","id":"x"},"cluster_dns":"x.example.com","held":true,"id":"x"}
    "#);
    // Purged and made under another name: the tombstone is what it was.
    let change = does(
        &mut history,
        &[delete("tombstones/x"), asked(Verb::Create, "clusters/x", cluster("y.example.com"))],
    );
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Delete clusters/x
    Delete tombstones/x
    Create tombstones/x {"cluster":{"cluster_dns":"x.example.com","cluster_name":"x","environment":"prod","id":"x"},"cluster_dns":"x.example.com","held":true,"id":"x"}
    -> clusters/x: gone
    -> tombstones/x: {"cluster":{"cluster_dns":"x.example.com","cluster_name":"x","environment":"prod","id":"x"},"cluster_dns":"x.example.com","held":true,"id":"x"}
    "#);
}

#[test]
fn what_was_changed_again_is_a_conflict_and_the_rest_is_undone() {
    let mut history = scene();
    let change = does(
        &mut history,
        &[
            asked(
                Verb::Patch,
                "platform_components/grafana",
                json!({"oci_tag": "v2", "release": {"values": {"a": {"b": 2}, "d": 1}}}),
            ),
            asked(
                Verb::Patch,
                "clusters/eu-1/platform_components/grafana",
                json!({"oci_tag": null, "enabled": true}),
            ),
            asked(Verb::Patch, "clusters/eu-1/platform_components/loki", json!({"oci_tag": "v1"})),
            asked(Verb::Patch, "clusters/eu-1/platform_components/ingress", json!({"enabled": true})),
            asked(Verb::Patch, "clusters/us-1", json!({"labels": {"tier": "edge"}, "node_count": 3})),
            asked(Verb::Create, "namespaces/new", json!({"labels": {"team": "x"}})),
            asked(Verb::Update, "clusters/us-1/namespaces/new", json!({"on_remove": "keep"})),
        ],
    );
    does(
        &mut history,
        &[
            asked(
                Verb::Patch,
                "platform_components/grafana",
                json!({"oci_tag": "v3", "release": {"values": {"a": {"b": 3, "e": 1}}}}),
            ),
            asked(
                Verb::Patch,
                "clusters/eu-1/platform_components/grafana",
                json!({"oci_tag": "v1", "on_remove": "keep"}),
            ),
            delete("clusters/eu-1/platform_components/loki"),
            delete("clusters/eu-1/platform_components/ingress"),
            asked(
                Verb::Patch,
                "clusters/us-1",
                json!({"labels": {"tier": "core", "region": "us"}, "node_count": null}),
            ),
            asked(Verb::Patch, "namespaces/new", json!({"labels": {"region": "us"}})),
            delete("clusters/us-1/namespaces/new"),
            asked(Verb::Update, "clusters/us-1/namespaces/new", json!({})),
        ],
    );
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Update clusters/eu-1/platform_components/grafana {"enabled":null}
    Update platform_components/grafana {"release":{"values":{"a":{"b":3,"c":null,"e":1}}}}
    conflict: clusters/us-1 labels/tier
    conflict: clusters/us-1 namespaces/new/on_remove
    conflict: namespaces/new labels/region
    conflict: platform_components/grafana oci_tag
    conflict: platform_components/grafana release/values/a/b
    -> clusters/eu-1: {"cluster_dns":"eu-1.example.com","cluster_name":"eu-1","environment":"dev","id":"eu-1","namespaces":[{"id":"n"}],"patches":{"grafana":{"ui.color":"red"}},"platform_components":[{"id":"grafana","oci_tag":"v1","on_remove":"keep"}]}
    -> platform_components/grafana: {"component_path":"grafana","id":"grafana","oci_tag":"v3","oci_url":"oci://registry/repo","release":{"values":{"a":{"b":3,"c":null,"e":1}}}}
    "#);
}

#[test]
fn what_was_made_anew_or_removed_since_is_a_conflict() {
    let mut history = scene();
    let removed =
        does(&mut history, &[delete("namespaces/n"), delete("clusters/us-1/platform_components/grafana")]);
    does(
        &mut history,
        &[
            asked(Verb::Create, "namespaces/n", json!({"on_remove": "keep"})),
            asked(Verb::Update, "clusters/eu-1/namespaces/n", json!({})),
            asked(Verb::Update, "clusters/us-1/platform_components/grafana", json!({"enabled": true})),
        ],
    );
    let changed = does(
        &mut history,
        &[asked(Verb::Update, "namespaces/n", json!({"labels": {"a": "b"}, "on_remove": null}))],
    );
    let added =
        does(&mut history, &[asked(Verb::Update, "namespaces/n", json!({"annotations": {"a": "b"}}))]);
    insta::assert_snapshot!(shown(&mut history, &removed), @"
    conflict: clusters/us-1 platform_components/grafana
    conflict: namespaces/n
    ");
    does(&mut history, &[delete("namespaces/n")]);
    insta::assert_snapshot!(shown(&mut history, &changed), @"conflict: namespaces/n");
    insta::assert_snapshot!(shown(&mut history, &added), @"");
}

#[test]
fn what_was_made_and_only_turned_since_is_a_conflict() {
    let mut history = scene();
    let references = |ids: [&str; 2]| json!({"platform_components": ids.map(|id| json!({"id": id}))});
    let mut cluster = references(["loki", "ingress"]);
    for (field, value) in [("cluster_name", "x"), ("cluster_dns", "x"), ("environment", "dev")] {
        cluster[field] = value.into();
    }
    let change = does(&mut history, &[asked(Verb::Create, "clusters/x", cluster)]);
    does(&mut history, &[asked(Verb::Update, "clusters/x", references(["ingress", "loki"]))]);
    insta::assert_snapshot!(shown(&mut history, &change), @"conflict: clusters/x");
}

#[test]
fn what_would_break_a_reference_is_refused_when_it_is_prepared() {
    let mut history = scene();
    let created = does(&mut history, &[asked(Verb::Create, "namespaces/m", json!({}))]);
    let unassigned = does(&mut history, &[delete("clusters/eu-1/namespaces/n")]);
    does(
        &mut history,
        &[delete("namespaces/n"), asked(Verb::Update, "clusters/eu-1/namespaces/m", json!({}))],
    );
    insta::assert_snapshot!(shown(&mut history, &created), @"
    Delete namespaces/m
    -> namespaces/m is still referred to by clusters/eu-1; remove the references first, or delete it with force=true
    ");
    insta::assert_snapshot!(shown(&mut history, &unassigned), @r#"
    Update clusters/eu-1 {"namespaces":[{"id":"n"},{"id":"m"}]}
    -> the document is not valid: /namespaces/0/id: namespaces/n does not exist (reference)
    "#);
}

#[test]
fn what_a_newer_release_wrote_survives_and_sources_are_left_alone() {
    let documents = [
        ("namespaces/n", json!({"id": "n", "quota": {"cpu": null}})),
        (
            "clusters/c",
            json!({"id": "c", "cluster_name": "c", "cluster_dns": "c", "environment": "dev",
            "namespaces": [{"id": "n", "mode": {"x": null}}], "pool": {"size": null}}),
        ),
    ]
    .map(|(path, body)| {
        let (key, _) = Operation::parse_target(path).unwrap();
        (key, 1, body.to_string().into_bytes())
    });
    let mut history = History { fleet: Fleet::load(Rules::default(), 1, documents).unwrap() };
    let mut change = does(
        &mut history,
        &[
            asked(Verb::Update, "namespaces/n", json!({"labels": {"a": "b"}})),
            asked(Verb::Update, "clusters/c/namespaces/n", json!({"on_remove": "keep"})),
            asked(Verb::Update, "clusters/c", json!({"node_count": 1})),
        ],
    );
    let source =
        |digest: &str| json!({"id": "git", "documents": {"namespaces": {"n": digest}}}).as_object().cloned();
    change.push(PastChange { key: Key::new("sources", "git"), before: source("a"), after: source("b") });
    insta::assert_snapshot!(shown(&mut history, &change), @r#"
    Update clusters/c {"node_count":null}
    Update clusters/c/namespaces/n {"on_remove":null}
    Update namespaces/n {"labels":null}
    -> clusters/c: {"cluster_dns":"c","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n","mode":{"x":null}}],"pool":{"size":null}}
    -> namespaces/n: {"id":"n","quota":{"cpu":null}}
    "#);
}
