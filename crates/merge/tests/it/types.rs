//! Types that a fleet registers: the laws hold for them as for those of the release, whenever they come,
//! change and go.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_merge::{Files, Fleet, Origin, PastChange, Refusal};
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{DocumentChange, Key, Operation, Verb};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::explain::rebuilt;
use crate::history::{DNS_NAMES, History, PATHS, PROFILES, documents, operation, operations, stored};
use crate::naive::{self, Documents};
use crate::plan::{accepted, planned, seen_through};

const OWN: [(&str, &str); 2] = [("widgets", "widgets"), ("gadgets", "gadget-list")];
const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

/// The type `widgets` as it is in one of its versions.
fn widgets(version: &str) -> Value {
    let (size, overridable) = match version {
        "v1" => (json!({"type": "integer", "default": 3}), json!(["size", "mode"])),
        "v2" => (json!({"type": "integer", "default": 5}), json!(["size"])),
        _ => (json!({"type": "string", "default": "s"}), json!([])),
    };
    let mut properties = json!({
        "size": size,
        "rules": {"$ref": "#/$defs/rules"},
        "mode": {"type": "string", "maxLength": 9},
    });
    if version == "v2" {
        properties["extra"] = json!({"type": ["string", "null"], "default": "none"});
    }
    json!({
        "kind": "widget", "apiVersion": version, "overridable": overridable,
        "schema": {
            "type": "object", "properties": properties,
            "$defs": {"rules": {"type": "array", "items": {"type": "object"}}},
        },
    })
}

fn gadgets() -> Value {
    json!({
        "kind": "gadget", "apiVersion": "v1", "flux_path": "gadget-list",
        "schema": {"type": "object", "required": ["on"], "properties": {
            "on": {"type": "boolean"}, "of": {"type": "object"}, "any": {"default": {}},
        }},
    })
}

/// What a type's inputs have, where nothing was written, and whether references may override it.
fn fields(kind: &Value) -> Vec<(&'static str, Value, bool)> {
    match (kind["kind"].as_str().unwrap(), kind["apiVersion"].as_str().unwrap()) {
        ("gadget", _) => {
            vec![("on", false.into(), false), ("of", json!({}), false), ("any", json!({}), false)]
        }
        (_, "v1") => vec![("size", 3.into(), true), ("rules", json!([]), false), ("mode", "".into(), true)],
        (_, "v2") => vec![
            ("size", 5.into(), true),
            ("rules", json!([]), false),
            ("mode", "".into(), false),
            ("extra", "none".into(), false),
        ],
        _ => vec![("size", "s".into(), false), ("rules", json!([]), false), ("mode", "".into(), false)],
    }
}

/// The answer as the definition rule gives it, written plainly.
fn answer(documents: &Documents, dns: &str, path: &str) -> Option<Value> {
    let Some((plural, _)) = OWN.into_iter().find(|(_, own)| *own == path) else {
        return naive::answer(documents, dns, path);
    };
    let kind = documents["resource_types"].get(plural)?;
    let known = naive::answer(documents, dns, "namespaces")?;
    let Some(cluster) = documents["clusters"].values().find(|cluster| naive::polls_as(cluster, dns)) else {
        return Some(known);
    };
    // Frozen or not, what is answered is made of the same.
    let cluster = &naive::flattened(documents, cluster);
    let references = cluster[plural].as_array().cloned().unwrap_or_default();
    let inputs = references.iter().map(|reference| {
        let definition = &documents[plural][reference["id"].as_str().unwrap()];
        let first = |field: &str, overridable: bool, default: &Value| {
            let own = Some(&reference[field]).filter(|own| overridable && !own.is_null());
            own.or(Some(&definition[field]).filter(|one| !one.is_null())).unwrap_or(default).clone()
        };
        let mut input = json!({
            "id": reference["id"],
            "on_remove": first("on_remove", true, &"delete".into()),
            "cluster": {"name": cluster["cluster_name"], "dns": cluster["cluster_dns"], "environment": cluster["environment"]},
        });
        for (field, default, overridable) in fields(kind) {
            input[field] = first(field, overridable, &default);
        }
        input
    });
    Some(json!({"inputs": inputs.collect::<Vec<_>>()}))
}

fn paths() -> impl Iterator<Item = &'static str> {
    PATHS.into_iter().chain(OWN.map(|(_, path)| path))
}

fn answers(fleet: &Fleet) -> BTreeMap<(&'static str, &'static str), Option<Value>> {
    let asked = DNS_NAMES.into_iter().flat_map(|dns| paths().map(move |path| (dns, path)));
    let answer = |(dns, path)| {
        let text = fleet.answer_text(dns, path).ok();
        ((dns, path), text.map(|text| serde_json::from_str(&text).unwrap()))
    };
    asked.map(answer).collect()
}

fn exported(fleet: &Fleet) -> Value {
    let mut out = Vec::new();
    fleet.export(&mut out);
    serde_json::from_slice(&out).unwrap()
}

fn key(target: &str) -> Key {
    let (kind, id) = target.split_once('/').unwrap();
    Key::new(kind, id)
}

fn asked(verb: Verb, target: &str, body: Value) -> Operation {
    Operation::new(verb, key(target), Some(body))
}

fn delete(target: &str) -> Operation {
    Operation::new(Verb::Delete, key(target), None)
}

fn on(verb: Verb, cluster: &str, field: &str, id: &str, body: Option<Value>) -> Operation {
    Operation::new(verb, Key::new("clusters", cluster), body).on(field, id)
}

fn widget_body() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({"size": 1, "mode": "a"}),
        json!({"size": null, "rules": [{"x": 1}], "on_remove": "keep"}),
        json!({"size": "large"}),
        json!({"extra": "more"}),
        json!({"mode": "b"}),
    ])
}

fn reference_body() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({"size": 7}),
        json!({"size": 8, "mode": "c", "on_remove": "keep"}),
        json!({"mode": "d"}),
        json!({"mode": "much too long"}),
        json!({"on_remove": "delete", "size": null}),
    ])
}

fn widget_references() -> impl Strategy<Value = Value> {
    let reference = (select(vec!["w1", "w2"]), reference_body(), 0..8).prop_map(|(id, mut body, out)| {
        if out == 0 {
            return json!({"id": id, "exclude": true});
        }
        body["id"] = id.into();
        body
    });
    prop::collection::vec(reference, 0..3).prop_map(Value::Array)
}

/// Something that is done to a profile that refers to widgets.
fn of_profiles() -> BoxedStrategy<Operation> {
    let body = (select(naive::SELECTORS.to_vec()), select(vec![-5, 0, 0, 5]), widget_references());
    let body = body.prop_map(|(selector, priority, widgets)| {
        json!({"selector": selector, "priority": priority, "widgets": widgets})
    });
    let verb = select(vec![Verb::Create, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete]);
    (verb, select(PROFILES.to_vec()), body)
        .prop_map(|(verb, id, body)| {
            let body = (verb != Verb::Delete).then_some(body);
            Operation::new(verb, Key::new("profiles", id), body)
        })
        .boxed()
}

/// Something that is done to a type, to its documents or to what refers to them.
fn of_types() -> BoxedStrategy<Operation> {
    let cluster = || select(vec!["c1", "c2", "c3"]);
    prop_oneof![
        2 => select(VERSIONS.to_vec()).prop_map(|version| asked(Verb::Create, "resource_types/widgets", widgets(version))),
        2 => select(VERSIONS.to_vec()).prop_map(|version| asked(Verb::Update, "resource_types/widgets", widgets(version))),
        1 => Just(asked(Verb::Create, "resource_types/gadgets", gadgets())),
        1 => select(vec!["resource_types/widgets", "resource_types/gadgets"]).prop_map(delete),
        3 => (select(vec!["widgets/w1", "widgets/w2"]), widget_body()).prop_map(|(target, body)| asked(Verb::Create, target, body)),
        2 => (select(vec!["widgets/w1", "widgets/w2"]), widget_body()).prop_map(|(target, body)| asked(Verb::Update, target, body)),
        1 => Just(asked(Verb::Create, "gadgets/g", json!({"on": true, "of": {"a": null, "b": 1}}))),
        1 => (select(vec!["widgets/w1", "widgets/w2", "gadgets/g"]), any::<bool>())
            .prop_map(|(target, force)| Operation { force, ..delete(target) }),
        6 => (cluster(), select(vec!["w1", "w2"]), reference_body(), select(vec![Verb::Update, Verb::Patch]))
            .prop_map(|(cluster, id, body, verb)| on(verb, cluster, "widgets", id, Some(body))),
        1 => cluster().prop_map(|cluster| on(Verb::Update, cluster, "gadgets", "g", Some(json!({})))),
        2 => (cluster(), select(vec!["w1", "w2"])).prop_map(|(cluster, id)| on(Verb::Delete, cluster, "widgets", id, None)),
        1 => cluster().prop_map(|cluster| asked(Verb::Update, &format!("clusters/{cluster}"), json!({"widgets": []}))),
        1 => (cluster(), widget_references())
            .prop_map(|(cluster, widgets)| asked(Verb::Update, &format!("clusters/{cluster}"), json!({"widgets": widgets}))),
        4 => of_profiles(),
    ]
    .boxed()
}

/// A fleet with clusters, one type that comes early, and whatever happens after.
fn history() -> impl Strategy<Value = Vec<Operation>> {
    let more = prop_oneof![2 => of_types(), 1 => operation().boxed()];
    let base = (operations(), prop::collection::vec(more, 0..40), any::<bool>());
    base.prop_map(|(mut all, more, early)| {
        for (at, id) in ["c1", "c2", "c3"].into_iter().enumerate() {
            let body = json!({"cluster_name": id, "cluster_dns": DNS_NAMES[at], "environment": "dev"});
            all.push(asked(Verb::Create, &format!("clusters/{id}"), body));
        }
        if early {
            all.push(asked(Verb::Create, "resource_types/widgets", widgets("v1")));
            all.push(asked(Verb::Create, "widgets/w1", json!({"size": 2})));
            all.push(on(Verb::Update, "c1", "widgets", "w1", Some(json!({"size": 9}))));
        }
        all.extend(more);
        all
    })
}

/// What happens to inputs of the registered types, by comparing every answer before with every one after.
fn brute_force(before: &Documents, after: &Documents) -> BTreeSet<(String, String, String, String)> {
    let mut found = BTreeSet::new();
    let clusters: BTreeSet<_> = before["clusters"].keys().chain(after["clusters"].keys()).collect();
    for (cluster, (plural, path)) in clusters.into_iter().flat_map(|cluster| OWN.map(|own| (cluster, own))) {
        let [was, is] = [before, after].map(|documents| {
            let dns = documents["clusters"].get(cluster).map(|one| one["cluster_dns"].as_str().unwrap());
            let answer = dns.and_then(|dns| answer(documents, dns, path)).unwrap_or_default();
            answer["inputs"].as_array().cloned().unwrap_or_default()
        });
        let by_id = |inputs: &[Value]| -> BTreeMap<String, Value> {
            inputs.iter().map(|input| (input["id"].as_str().unwrap().to_owned(), input.clone())).collect()
        };
        let (was_by, is_by) = (by_id(&was), by_id(&is));
        for id in was_by.keys().chain(is_by.keys()).collect::<BTreeSet<_>>() {
            let effect = match (was_by.get(id), is_by.get(id)) {
                (Some(_), None) => "remove",
                (None, Some(_)) => "install",
                (one, other) if one != other => "change",
                _ => continue,
            };
            found.insert((cluster.clone(), plural.into(), id.clone(), effect.into()));
        }
        let stays = |list: &[Value], other: &BTreeMap<String, Value>| -> Vec<String> {
            let ids = list.iter().map(|input| input["id"].as_str().unwrap().to_owned());
            ids.filter(|id| other.contains_key(id)).collect()
        };
        if stays(&was, &is_by) != stays(&is, &was_by) {
            found.insert((cluster.clone(), plural.into(), String::new(), "reorder".into()));
        }
    }
    found
}

/// Whether each of these fields is what this version of `widgets` wants.
fn fits(version: &str, fields: &Value, reference: bool) -> bool {
    fields.as_object().unwrap().iter().all(|(field, value)| match (field.as_str(), version) {
        ("id" | "on_remove" | "exclude", _) => true,
        ("size", "v3") => !reference && value.is_string(),
        ("size", _) => value.is_i64(),
        ("mode", "v1") => true,
        ("extra", "v2") | ("rules" | "mode", _) => !reference,
        _ => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_equals_the_naive_reference(history in history()) {
        let fleet = History::after(&history).fleet;
        let documents = documents(&fleet);
        for ((dns, path), found) in answers(&fleet) {
            prop_assert_eq!(found, answer(&documents, dns, path), "{} {}", dns, path);
        }
        for (dns, path) in DNS_NAMES.into_iter().flat_map(|dns| paths().map(move |path| (dns, path))) {
            let Ok(text) = fleet.answer_text(dns, path) else { continue };
            let judged = flux_resourceset_contract_tests::check(text.as_bytes());
            prop_assert!(judged.is_ok(), "{:?}\n{}", judged, text);
        }
    }

    #[test]
    fn applying_equals_building_anew_in_any_order(
        history in history(), order in prop::collection::vec(any::<u32>(), 64),
    ) {
        let fleet = History::after(&history).fleet;
        let mut shuffled: Vec<_> = stored(&fleet).into_iter().enumerate().collect();
        shuffled.sort_by_key(|(at, _)| order[at % order.len()]);
        let shuffled = shuffled.into_iter().map(|(_, document)| document);
        let anew = Fleet::load(Rules::default(), fleet.revision(), shuffled).expect("what was followed can be loaded");
        prop_assert_eq!(documents(&anew), documents(&fleet));
        prop_assert_eq!(answers(&anew), answers(&fleet));
        prop_assert_eq!(exported(&anew), exported(&fleet));
        let plurals = |fleet: &Fleet| fleet.types().iter().map(|kind| kind.plural().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(plurals(&anew), plurals(&fleet));
        for (key, _, _) in stored(&fleet) {
            prop_assert!(anew.referrers(&key) == fleet.referrers(&key), "{}", key);
        }
    }

    #[test]
    fn a_plan_is_what_comparing_every_answer_says(
        history in history(), more in prop::collection::vec(prop_oneof![3 => of_types(), 1 => operation().boxed()], 1..7),
    ) {
        let fleet = History::after(&history).fleet;
        let Some((_, prepared)) = accepted(&fleet, more) else { return Ok(()) };
        let plan = planned(&fleet, &prepared);
        let effects = plan.effects.iter().filter(|effect| OWN.iter().any(|(plural, _)| *plural == effect.kind));
        let told: BTreeSet<_> = effects.flat_map(|effect| {
            let kind = serde_json::to_value(effect.effect).unwrap();
            effect.clusters.iter().map(move |cluster| {
                (cluster.clone(), effect.kind.clone(), effect.input.clone(), kind.as_str().unwrap().to_owned())
            })
        }).collect();
        prop_assert_eq!(told, brute_force(&seen_through(&fleet), &seen_through(&prepared.after)));
        // What was prepared is what whoever follows makes of it.
        let followed = fleet.apply(fleet.revision() + 1, &prepared.documents).unwrap();
        prop_assert_eq!(answers(&followed), answers(&prepared.after));
        let registers = prepared.documents.iter().any(|one| one.key.kind == "resource_types" && one.body.is_some());
        prop_assert!(!registers || prepared.min_reader >= 3);
    }

    #[test]
    fn what_is_exported_and_applied_elsewhere_answers_the_same(history in history()) {
        let fleet = History::after(&history).fleet;
        let mut other = History::new();
        let files = Files { documents: exported(&fleet), source: Some("git".into()), prune: false, take: false };
        let applied = other.fleet.apply_files(&files).unwrap();
        other.write(&applied.operations).unwrap();
        prop_assert_eq!(answers(&other.fleet), answers(&fleet));
        prop_assert_eq!(exported(&other.fleet), exported(&fleet));
    }

    #[test]
    fn an_explanation_rebuilds_the_answer(history in history()) {
        let fleet = History::after(&history).fleet;
        let documents = documents(&fleet);
        for (id, cluster) in &documents["clusters"] {
            for (plural, path) in OWN.into_iter().filter(|(plural, _)| fleet.resource_type(plural).is_some()) {
                let flat = naive::flattened(&documents, cluster);
                let references = flat[plural].as_array().cloned().unwrap_or_default();
                let explained = fleet.explain(id, Some(path), None).unwrap();
                prop_assert_eq!(explained.len(), references.len());
                for (input, reference) in explained.iter().zip(&references) {
                    let definition = &documents[plural][reference["id"].as_str().unwrap()];
                    let mut thawed = documents.clone();
                    thawed.get_mut("freezes").unwrap().clear();
                    let all = answer(&thawed, cluster["cluster_dns"].as_str().unwrap(), path).unwrap();
                    let expected = all["inputs"].as_array().unwrap().iter().find(|one| one["id"] == reference["id"]);
                    prop_assert_eq!(Some(&rebuilt(&input.fields)), expected);
                    for (field, _, overridable) in fields(&documents["resource_types"][plural]) {
                        let own = cluster[plural].as_array().into_iter().flatten().find(|one| one["id"] == reference["id"]);
                        let own = own.is_some_and(|own| !own[field].is_null());
                        let from = match (&reference[field], &definition[field]) {
                            (said, _) if overridable && !said.is_null() => if own { Origin::Override } else { Origin::Profile },
                            (_, Value::Null) => Origin::Default,
                            _ => Origin::Definition,
                        };
                        let within = |path: &str| path.split(['.', '[']).next() == Some(field);
                        prop_assert!(input.fields.iter().filter(|one| within(&one.path)).all(|one| one.from == from), "{} {:?}", field, input);
                    }
                }
            }
        }
    }

    #[test]
    fn a_schema_changes_exactly_where_nothing_stored_breaks(history in history(), version in select(VERSIONS.to_vec())) {
        let fleet = History::after(&history).fleet;
        let documents = seen_through(&fleet);
        let Some(kind) = documents["resource_types"].get("widgets") else { return Ok(()) };
        let broken = documents["widgets"].values().any(|one| !fits(version, one, false))
            || documents["clusters"].values().chain(documents["profiles"].values()).flat_map(|cluster| cluster["widgets"].as_array().cloned().unwrap_or_default())
                .any(|reference| !fits(version, &reference, true));
        let changed = fleet.prepare(&[asked(Verb::Update, "resource_types/widgets", widgets(version))]);
        prop_assert_eq!(changed.is_err(), broken && kind["apiVersion"] != version, "{:?}", changed);
        if let Err(refusal) = changed {
            prop_assert!(refusal.violations().iter().all(|one| one.document.is_some()), "{:?}", refusal);
        }
    }

    #[test]
    fn what_is_reverted_at_once_is_as_it_was(history in history(), more in prop::collection::vec(of_types(), 1..6)) {
        let mut history = History::after(&history);
        let Some((_, prepared)) = accepted(&history.fleet, more) else { return Ok(()) };
        let before = history.fleet.clone();
        let past = past(&before, &prepared.documents);
        history.fleet = before.apply(before.revision() + 1, &prepared.documents).unwrap();
        let reverted = history.fleet.revert(&past);
        prop_assert_eq!(&reverted.conflicts, &Vec::new());
        history.write(&reverted.operations).unwrap();
        prop_assert_eq!(documents(&history.fleet), documents(&before));
        prop_assert_eq!(answers(&history.fleet), answers(&before));
    }
}

fn past(before: &Fleet, documents: &[DocumentChange]) -> Vec<PastChange> {
    let body = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap();
    let changes = documents.iter().map(|change| PastChange {
        key: change.key.clone(),
        before: before.get(&change.key).map(|document| body(&document.body())),
        after: change.body.as_deref().map(body),
    });
    changes.collect()
}

/// Three clusters of which two have `w1`, one with a size of its own.
fn scene() -> History {
    let mut history = History::new();
    let cluster = |id: &str, widgets: Value| {
        let body = json!({"cluster_name": id, "cluster_dns": format!("{id}.example.com"), "environment": "dev", "widgets": widgets});
        asked(Verb::Create, &format!("clusters/{id}"), body)
    };
    // A type, its documents and who gets them, in one set.
    history
        .write(&[
            asked(Verb::Create, "resource_types/widgets", widgets("v1")),
            asked(Verb::Create, "widgets/w1", json!({"mode": "a"})),
            cluster("c1", json!([{"id": "w1"}])),
            cluster("c2", json!([{"id": "w1", "size": 9}])),
            cluster("c3", json!([])),
        ])
        .unwrap();
    history
}

fn violations(refusal: &Refusal) -> Vec<String> {
    refusal
        .violations()
        .iter()
        .map(|one| {
            format!(
                "{} {} {}",
                one.document.as_ref().map(Key::to_string).unwrap_or_default(),
                one.pointer,
                one.code
            )
        })
        .collect()
}

#[test]
fn a_new_default_shows_on_every_cluster_that_it_reaches() {
    let history = scene();
    let mut widgets = widgets("v1");
    widgets["schema"]["properties"]["size"]["default"] = 4.into();
    let prepared = history.fleet.prepare(&[asked(Verb::Update, "resource_types/widgets", widgets)]).unwrap();
    let plan = planned(&history.fleet, &prepared);
    let told: Vec<_> = plan
        .effects
        .iter()
        .map(|one| (one.kind.as_str(), one.input.as_str(), one.clusters.clone()))
        .collect();
    assert_eq!(told, [("widgets", "w1", vec!["c1".to_owned()])]);
}

#[test]
fn a_type_in_use_stays() {
    let mut history = scene();
    let refused = history.write(&[delete("resource_types/widgets")]).unwrap_err();
    assert!(
        matches!(refused, Refusal::Referenced { ref by, .. } if *by == [key("widgets/w1")]),
        "{refused:?}"
    );
    let forced = Operation { force: true, ..delete("resource_types/widgets") };
    assert!(matches!(history.write(&[forced]), Err(Refusal::Referenced { .. })));
}

#[test]
fn everything_goes_in_one_set_and_comes_back() {
    let mut history = scene();
    let before = history.fleet.clone();
    let all = [Operation { force: true, ..delete("widgets/w1") }, delete("resource_types/widgets")];
    let documents_gone = history.write(&all).unwrap();
    for (id, cluster) in &documents(&history.fleet)["clusters"] {
        assert_eq!(cluster["widgets"], Value::Null, "{id}: an empty list of what is no type any more");
    }
    let other = History::new();
    let exported = Files { documents: exported(&history.fleet), source: None, prune: false, take: false };
    let elsewhere = other.fleet.apply_files(&exported).unwrap();
    other.fleet.prepare(&elsewhere.operations).unwrap();
    let reverted = history.fleet.revert(&past(&before, &documents_gone));
    history.write(&reverted.operations).unwrap();
    assert_eq!(documents(&history.fleet), documents(&before));
    let made = past(&Fleet::empty(Rules::default()), &{
        let body = |one: (Key, u64, Vec<u8>)| DocumentChange { key: one.0, body: Some(one.2) };
        stored(&before).into_iter().map(body).collect::<Vec<_>>()
    });
    let undone = history.fleet.revert(&made);
    history.write(&undone.operations).unwrap();
    assert!(history.fleet.resource_type("widgets").is_none());
}

#[test]
fn a_second_version_comes_with_the_documents_that_it_needs() {
    let mut history = scene();
    let alone = history.fleet.prepare(&[
        asked(Verb::Update, "widgets/w1", json!({"size": 1})),
        asked(Verb::Update, "resource_types/widgets", widgets("v3")),
    ]);
    // What the same set wrote before it is judged by the type as it will be.
    assert_eq!(
        violations(&alone.unwrap_err()),
        ["widgets/w1 /size type", "clusters/c2 /widgets/0/size unknown_field"]
    );
    history
        .write(&[
            asked(Verb::Update, "resource_types/widgets", widgets("v3")),
            asked(Verb::Update, "widgets/w1", json!({"size": "large"})),
            asked(Verb::Update, "clusters/c2", json!({"widgets": [{"id": "w1"}]})),
        ])
        .unwrap();
    let answer = history.fleet.answer_text("c2.example.com", "widgets").unwrap();
    assert!(answer.contains(r#""size":"large""#), "{answer}");
}

#[test]
fn what_a_held_cluster_says_counts() {
    let mut history = scene();
    history.write(&[asked(Verb::Update, "clusters/c2", json!({"environment": "prod"}))]).unwrap();
    history.write(&[delete("clusters/c2")]).unwrap();
    assert_eq!(documents(&history.fleet)["tombstones"]["c2"]["held"], true);
    let changed = history.write(&[asked(Verb::Update, "resource_types/widgets", widgets("v3"))]);
    assert_eq!(violations(&changed.unwrap_err()), ["tombstones/c2 /cluster/widgets/0/size unknown_field"]);
    // Wiped, it says nothing; once the type is gone and it is held again, no other takes the name.
    history.write(&[asked(Verb::Update, "tombstones/c2", json!({"held": null}))]).unwrap();
    history
        .write(&[Operation { force: true, ..delete("widgets/w1") }, delete("resource_types/widgets")])
        .unwrap();
    history.write(&[asked(Verb::Update, "tombstones/c2", json!({"held": true}))]).unwrap();
    let again = history.write(&[asked(Verb::Create, "resource_types/widgets", widgets("v1"))]);
    assert_eq!(violations(&again.unwrap_err()), [" /plural taken"]);
    Fleet::load(Rules::default(), history.fleet.revision(), stored(&history.fleet)).unwrap();
}

#[test]
fn an_override_is_judged_with_what_it_is_put_over() {
    let mut history = scene();
    let mut kind = widgets("v1");
    kind["schema"]["if"] = json!({"properties": {"mode": {"const": "b"}}, "required": ["mode"]});
    kind["schema"]["then"] = json!({"required": ["rules"]});
    history.write(&[asked(Verb::Update, "resource_types/widgets", kind)]).unwrap();
    let wrong = |body: Value| {
        let refused = history.fleet.prepare(&[on(Verb::Update, "c1", "widgets", "w1", Some(body))]);
        violations(&refused.unwrap_err())
    };
    assert_eq!(wrong(json!({"mode": "b"})), [" /widgets/0/rules missing_field"]);
    assert_eq!(wrong(json!({"mode": "much too long"})), [" /widgets/0/mode too_long"]);
    assert_eq!(wrong(json!({"rules": []})), [" /widgets/0/rules unknown_field"]);
}

#[test]
fn what_profiles_say_together_is_judged_too() {
    let mut history = scene();
    let mut kind = widgets("v1");
    kind["schema"]["not"] = json!({"required": ["size", "mode"]});
    history
        .write(&[
            Operation { force: true, ..delete("widgets/w1") },
            asked(Verb::Update, "resource_types/widgets", kind),
            asked(Verb::Create, "widgets/w2", json!({})),
            asked(
                Verb::Create,
                "profiles/small",
                json!({"selector": "", "widgets": [{"id": "w2", "size": 1}]}),
            ),
        ])
        .unwrap();
    let wrong = |operation: Operation| violations(&history.fleet.prepare(&[operation]).unwrap_err());
    let mode = json!({"selector": "", "priority": 1, "widgets": [{"id": "w2", "mode": "a"}]});
    assert_eq!(wrong(asked(Verb::Create, "profiles/mode", mode.clone())), [" /widgets/0 format"]);
    assert_eq!(
        wrong(on(Verb::Update, "c1", "widgets", "w2", Some(json!({"mode": "a"})))),
        [" /widgets/0 format"]
    );
    // For nobody they come together.
    let mut apart = mode;
    apart["selector"] = "tier".into();
    history.fleet.prepare(&[asked(Verb::Create, "profiles/mode", apart)]).unwrap();
}

#[test]
fn a_path_stays_while_clusters_poll_it() {
    let mut history = scene();
    let mut moved = widgets("v1");
    moved["flux_path"] = "others".into();
    let refused = history.write(&[asked(Verb::Update, "resource_types/widgets", moved.clone())]);
    assert_eq!(violations(&refused.unwrap_err()), [" /flux_path immutable"]);
    history.write(&[Operation { force: true, ..delete("widgets/w1") }]).unwrap();
    history.write(&[asked(Verb::Update, "resource_types/widgets", moved)]).unwrap();
    assert_eq!(history.fleet.answer_text("c1.example.com", "others").unwrap(), r#"{"inputs":[]}"#);
}

#[test]
fn what_is_wrong_with_a_type_is_said_and_breaks_nothing() {
    for schema in
        [json!(7), json!("x"), json!([]), json!({"properties": []}), json!({"properties": 7}), Value::Null]
    {
        let kind = json!({"kind": "widget", "apiVersion": "v1", "schema": schema});
        let refused = History::new().write(&[asked(Verb::Create, "resource_types/widgets", kind.clone())]);
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{schema}");
        assert!(Fleet::empty(Rules::default()).prepare_file(&json!({"resource_types": [kind]})).is_err());
    }
    let mut kind = widgets("v1");
    kind["schema"]["properties"]["id"] = json!({"$ref": "#/$defs/rules"});
    let refused = History::new().write(&[asked(Verb::Create, "resource_types/widgets", kind)]);
    assert_eq!(violations(&refused.unwrap_err()), [" /schema/properties/id reference"]);
}

#[test]
fn the_histories_reach_what_they_are_meant_to() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..40 {
        let fleet = History::after(&history().new_tree(&mut runner).unwrap().current()).fleet;
        let documents = documents(&fleet);
        let kinds = documents["resource_types"].values();
        reached.extend(kinds.map(|kind| kind["apiVersion"].as_str().unwrap().to_owned()));
        for cluster in documents["clusters"].values() {
            for reference in cluster["widgets"].as_array().into_iter().flatten() {
                reached.insert(if reference["size"].is_null() { "plain" } else { "override" }.to_owned());
            }
        }
        reached.extend(fleet.resource_type("gadgets").map(|_| "gadgets".to_owned()));
    }
    assert_eq!(reached, ["gadgets", "override", "plain", "v1", "v2", "v3"].map(String::from).into());
}
