//! Fleets as files: what is exported can be applied, and sources keep out of each other's way.

use flux_resourceset_merge::{Applied, Files, Fleet};
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{Key, Operation, Verb};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::history::{DNS_NAMES, History, PATHS, documents, operations};

fn exported(fleet: &Fleet) -> Value {
    let mut out = Vec::new();
    fleet.export(&mut out);
    serde_json::from_slice(&out).unwrap()
}

fn files(documents: Value) -> Files {
    Files { documents, source: Some("git".into()), prune: false, take: false }
}

/// Applies, and says what was written and what was disputed.
fn applied(history: &mut History, files: &Files) -> Applied {
    let applied = history.fleet.apply_files(files).unwrap();
    if applied.disputed.is_empty() {
        history.write(&applied.operations).unwrap();
    }
    applied
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_and_applied_elsewhere_answers_the_same(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        let mut other = History::new();
        let files = files(exported(&fleet));
        applied(&mut other, &files);
        for (dns, path) in DNS_NAMES.into_iter().flat_map(|dns| PATHS.map(|path| (dns, path))) {
            prop_assert_eq!(fleet.answer_text(dns, path), other.fleet.answer_text(dns, path), "{} {}", dns, path);
        }
        let (mut before, mut after) = (documents(&fleet), documents(&other.fleet));
        before.remove("sources");
        after.remove("sources");
        prop_assert_eq!(before, after);
        prop_assert_eq!(exported(&other.fleet), exported(&fleet));
        prop_assert_eq!(applied(&mut other, &files), Applied::default());
    }

    #[test]
    fn files_are_reached_from_any_fleet(from in operations(), to in operations()) {
        let wanted = exported(&History::after(&to).fleet);
        let mut history = History::after(&from);
        let files = Files { take: true, ..files(wanted.clone()) };
        let operations = history.fleet.apply_files(&files).unwrap().operations;
        if history.write(&operations).is_err() {
            return Ok(());
        }
        let reached = exported(&history.fleet);
        for (plural, documents) in wanted.as_object().unwrap() {
            for document in documents.as_array().unwrap() {
                let found = reached[plural].as_array().unwrap().iter().find(|one| one["id"] == document["id"]);
                let mut found = found.unwrap().clone();
                // A name that was given up stays an alias until it is taken away.
                if found["aliases"] != document["aliases"] {
                    found["aliases"] = document["aliases"].clone();
                    found.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                }
                prop_assert_eq!(&found, document);
            }
        }
    }
}

fn namespaces(ids: &[&str]) -> Value {
    json!({"namespaces": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()})
}

fn lines(applied: &Applied) -> String {
    let operations = applied.operations.iter().filter(|operation| operation.key.kind != "sources");
    let operations = operations.map(|operation| {
        let body = operation.body.as_ref().map(Value::to_string).unwrap_or_default();
        format!("{:?} {} {body}", operation.verb, operation.key).to_lowercase()
    });
    let disputed = applied.disputed.iter().map(|one| format!("disputed {} {:?}", one.key, one.owner));
    operations.chain(disputed).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_source_prunes_what_it_owns_and_nothing_else() {
    let mut history = History::new();
    applied(&mut history, &files(namespaces(&["a", "b"])));
    history
        .write(&[Operation::new(Verb::Create, Key::new("namespaces", "by-hand"), Some(json!({})))])
        .unwrap();
    let fewer = Files { prune: true, ..files(namespaces(&["a"])) };
    insta::assert_snapshot!(lines(&history.fleet.apply_files(&files(namespaces(&["a"]))).unwrap()), @"");
    insta::assert_snapshot!(lines(&applied(&mut history, &fewer)), @"delete namespaces/b");
    assert_eq!(history.fleet.source("git").unwrap().documents["namespaces"].len(), 1);
    assert!(history.fleet.get(&Key::new("namespaces", "by-hand")).is_some());
    insta::assert_snapshot!(lines(&applied(&mut history, &fewer)), @"");
}

#[test]
fn what_others_changed_or_own_is_theirs_until_it_is_taken() {
    let mut history = History::new();
    let by_hand = |verb, id: &str, body: Value| Operation::new(verb, Key::new("namespaces", id), Some(body));
    history.write(&[by_hand(Verb::Create, "there", json!({}))]).unwrap();
    // Brownfield: what is there as the files say it is adopted.
    applied(&mut history, &files(namespaces(&["a", "b", "there"])));
    let labels = json!({"labels": {"x": "y"}});
    history.write(&[by_hand(Verb::Update, "a", labels.clone())]).unwrap();
    history.write(&[Operation::new(Verb::Delete, Key::new("namespaces", "b"), None)]).unwrap();
    history.write(&[by_hand(Verb::Create, "new", labels)]).unwrap();
    let wanted = namespaces(&["a", "b", "new", "there"]);
    insta::assert_snapshot!(lines(&applied(&mut history, &files(wanted.clone()))), @r#"
    update namespaces/a {"labels":null}
    create namespaces/b {"id":"b"}
    update namespaces/new {"labels":null}
    disputed namespaces/a None
    disputed namespaces/b None
    disputed namespaces/new None
    "#);
    let pruning = Files { prune: true, ..files(namespaces(&["there"])) };
    insta::assert_snapshot!(lines(&applied(&mut history, &pruning)), @"
    delete namespaces/a 
    disputed namespaces/a None
    ");
    let other = Files { source: Some("other".into()), ..files(namespaces(&["there"])) };
    insta::assert_snapshot!(lines(&applied(&mut history, &other)), @r#"disputed namespaces/there Some("git")"#);
    insta::assert_snapshot!(lines(&applied(&mut history, &Files { take: true, ..other })), @"");
    assert!(!history.fleet.source("git").unwrap().documents["namespaces"].contains("there"));
    let compared = Files { source: None, ..files(wanted.clone()) };
    insta::assert_snapshot!(lines(&history.fleet.apply_files(&compared).unwrap()), @r#"
    update namespaces/a {"labels":null}
    create namespaces/b {"id":"b"}
    update namespaces/new {"labels":null}
    "#);
    applied(&mut history, &Files { take: true, ..files(wanted.clone()) });
    insta::assert_snapshot!(lines(&applied(&mut history, &files(wanted))), @"");
}

#[test]
fn what_refers_goes_before_what_is_referred_to() {
    let component = |id: &str, needs: Value| json!({"id": id, "component_path": "x", "oci_url": "oci://r/x", "depends_on": needs});
    let all = json!({
        "platform_components": [component("a", json!(["b"])), component("b", json!(["c"])), component("c", json!([]))],
        "clusters": [{"id": "k", "cluster_name": "k", "cluster_dns": "k.example.com", "environment": "dev",
                      "platform_components": [{"id": "c"}]}],
    });
    let mut history = History { fleet: Fleet::empty(Rules::default()) };
    applied(&mut history, &files(all));
    insta::assert_snapshot!(lines(&applied(&mut history, &Files { prune: true, ..files(json!({})) })), @"
    delete clusters/k 
    delete platform_components/a 
    delete platform_components/b 
    delete platform_components/c
    ");
}
