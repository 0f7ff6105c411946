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
        let mut wanted = exported(&History::after(&to).fleet);
        // What is deleted or frozen is so by what was done here, not by a file.
        wanted.as_object_mut().unwrap().retain(|plural, _| plural != "tombstones" && plural != "freezes");
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
    assert!(!history.fleet.source("git").unwrap().documents["namespaces"].contains_key("there"));
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
fn a_hotfix_is_seen_whatever_was_applied_in_between() {
    let mut history = History::new();
    applied(&mut history, &files(namespaces(&["a", "b"])));
    let hotfix = json!({"labels": {"hot": "fix"}});
    history.write(&[Operation::new(Verb::Update, Key::new("namespaces", "a"), Some(hotfix))]).unwrap();
    applied(&mut history, &files(json!({"namespaces": [{"id": "b", "labels": {"x": "y"}}]})));
    let again = applied(&mut history, &files(namespaces(&["a", "b"])));
    assert_eq!(again.disputed.iter().map(|one| one.key.to_string()).collect::<Vec<_>>(), ["namespaces/a"]);
}

#[test]
fn tombstones_come_with_a_deletion_or_into_an_empty_fleet() {
    let cluster =
        json!({"id": "k", "cluster_name": "k", "cluster_dns": "k.example.com", "environment": "dev"});
    let tombstone = |id: &str| {
        let mut kept = cluster.clone();
        kept["id"] = id.into();
        kept["cluster_dns"] = format!("{id}.example.com").into();
        json!({"id": id, "cluster_dns": format!("{id}.example.com"), "cluster": kept})
    };
    let mut history = History::new();
    applied(&mut history, &files(json!({"clusters": [cluster]})));
    let gone = files(json!({"tombstones": [tombstone("k")]}));
    insta::assert_snapshot!(lines(&applied(&mut history, &Files { prune: true, ..gone.clone() })), @"delete clusters/k");
    assert_eq!(history.fleet.answer_text("k.example.com", PATHS[0]).unwrap(), r#"{"inputs":[]}"#);
    assert_eq!(applied(&mut history, &gone), Applied::default());
    let never = history.fleet.apply_files(&files(json!({"tombstones": [tombstone("never")]}))).unwrap_err();
    insta::assert_snapshot!(never[0], @"/tombstones/0: no such cluster was ever here; a tombstone is made by deleting its cluster (tombstone)");
    let mut odd = tombstone("k");
    odd["held"] = true.into();
    odd["cluster"]["cluster_dns"] = "other.example.com".into();
    odd["cluster"]["environment"] = 7.into();
    let operation = Operation::new(Verb::Create, Key::new("tombstones", "k"), Some(odd));
    let refused = History::new().fleet.prepare(&[operation]).unwrap_err();
    insta::assert_snapshot!(refused.violations().iter().map(|one| format!("{one}\n")).collect::<String>(), @r#"
    `environment`: invalid type: integer `7`, expected a string (unreadable)
    /cluster/cluster_dns: its `cluster_dns` is another one than the tombstone's (tombstone)
    /cluster/environment: 7 is not a string; write "7" (type)
    "#);
    let edit = json!({"cluster_dns": "other.example.com"});
    let operation = Operation::new(Verb::Patch, Key::new("tombstones", "k"), Some(edit));
    insta::assert_snapshot!(history.write(&[operation]).unwrap_err(), @"the change does not fit the fleet: /cluster_dns: a tombstone says what its cluster was, and stays so (immutable)");
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
