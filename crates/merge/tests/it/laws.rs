//! The laws of DESIGN: each holds for every fleet that any history of writes can reach.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_merge::{Fleet, NoAnswer};
use flux_resourceset_model::change::{Operation, Verb};
use flux_resourceset_model::{Rules, Violation};
use proptest::prelude::*;
use serde_json::Value;

use crate::history::{
    DNS_NAMES, History, PATHS, cluster_operation, documents, operation, operations, stored,
};
use crate::naive::{self, SELECTORS};

type Answers = BTreeMap<(&'static str, &'static str), Option<String>>;

fn answers(fleet: &Fleet) -> Answers {
    let asked = DNS_NAMES.into_iter().flat_map(|dns| PATHS.map(|path| (dns, path)));
    asked.map(|(dns, path)| ((dns, path), fleet.answer_text(dns, path).ok())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_equals_the_naive_reference(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        let documents = documents(&fleet);
        for ((dns, path), answer) in answers(&fleet) {
            let answer = answer.map(|text| serde_json::from_str::<Value>(&text).unwrap());
            prop_assert_eq!(answer, naive::answer(&documents, dns, path), "{} {}", dns, path);
        }
    }

    #[test]
    fn an_answer_walked_is_the_answer_written(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        for ((dns, path), answer) in answers(&fleet) {
            let walked = fleet.answer_inputs(dns, path).ok();
            let walked = walked.map(|inputs| format!("{{\"inputs\":{}}}", serde_json::to_string(&inputs).unwrap()));
            prop_assert_eq!(walked, answer, "{} {}", dns, path);
        }
    }

    #[test]
    fn every_answer_satisfies_the_contract(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        for answer in answers(&fleet).into_values().flatten() {
            let judged = flux_resourceset_contract_tests::check(answer.as_bytes());
            prop_assert!(judged.is_ok(), "{:?}\n{}", judged, answer);
        }
        let mut list = Vec::new();
        if fleet.clusters(&Default::default(), &mut list).is_ok() {
            prop_assert!(flux_resourceset_contract_tests::check(&list).is_ok());
        }
    }

    #[test]
    fn a_change_to_one_cluster_changes_no_others_answer(operations in operations(), change in cluster_operation()) {
        let mut history = History::after(&operations);
        let before = answers(&history.fleet);
        let was = documents(&history.fleet);
        let Ok(changes) = history.write(&[change]) else { return Ok(()) };
        let documents = documents(&history.fleet);
        // A name that it gave up was its own.
        let tables = [&was, &documents].map(|all| [&all["clusters"], &all["tombstones"]]).concat();
        let of = |id: &str| tables.iter().filter_map(|table| table.get(id)).collect::<Vec<_>>();
        let own: Vec<_> = changes.iter().flat_map(|change| of(&change.key.id)).collect();
        for ((dns, path), answer) in answers(&history.fleet) {
            if !own.iter().any(|document| naive::polls_as(document, dns)) {
                prop_assert_eq!(&answer, &before[&(dns, path)], "{} {}", dns, path);
            }
        }
    }

    #[test]
    fn an_override_wins_exactly_where_it_is_not_null(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        let documents = documents(&fleet);
        for cluster in documents["clusters"].values() {
            let Ok(answer) = fleet.answer_text(cluster["cluster_dns"].as_str().unwrap(), PATHS[0]) else {
                continue;
            };
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let flat = naive::flattened(&documents, cluster);
            for (at, reference) in flat["platform_components"].as_array().into_iter().flatten().enumerate() {
                let catalog = &documents["platform_components"][reference["id"].as_str().unwrap()];
                let input = &answer["inputs"][at];
                for (field, answered, unset) in [
                    ("component_path", &input["component_path"], Value::Null),
                    ("oci_tag", &input["source"]["oci_tag"], "latest".into()),
                    ("enabled", &input["enabled"], true.into()),
                    ("on_remove", &input["on_remove"], "delete".into()),
                ] {
                    let expected = match (&reference[field], &catalog[field]) {
                        (Value::Null, Value::Null) => &unset,
                        (Value::Null, catalog) => catalog,
                        (own, _) => own,
                    };
                    prop_assert_eq!(answered, expected, "{}", field);
                }
            }
        }
    }

    #[test]
    fn applying_a_change_set_equals_building_anew(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        let anew = Fleet::load(Rules::default(), fleet.revision(), stored(&fleet)).expect("no dangling reference");
        prop_assert_eq!(documents(&anew), documents(&fleet));
        prop_assert_eq!(answers(&anew), answers(&fleet));
        for (key, _, _) in stored(&fleet) {
            prop_assert!(anew.referrers(&key) == fleet.referrers(&key), "{}", key);
        }
        for selector in SELECTORS {
            let selector = selector.parse().unwrap();
            prop_assert!(anew.selected_by(&selector).eq(fleet.selected_by(&selector)), "{:?}", selector);
        }
        prop_assert_eq!(anew.expiring(), fleet.expiring());
    }

    #[test]
    fn operations_together_leave_what_they_leave_one_by_one(operations in operations(), more in prop::collection::vec(operation(), 1..5)) {
        let base = History::after(&operations).fleet;
        let mut steps = History { fleet: base.clone() };
        if more.iter().any(|operation| steps.write(std::slice::from_ref(operation)).is_err()) {
            return Ok(());
        }
        // A name that moves, and a freeze that is lifted and put on again, are seen in between.
        let together = base.prepare(&more);
        let apart = |one: &Violation| ["dns_taken", "frozen"].contains(&one.code);
        if together.as_ref().is_err_and(|refusal| refusal.violations().iter().any(apart)) {
            return Ok(());
        }
        let mut together = History { fleet: base };
        together.write(&more).expect("each alone was right");
        prop_assert_eq!(documents(&together.fleet), documents(&steps.fleet));
    }

    #[test]
    fn a_write_of_what_is_stored_changes_nothing(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        for (key, _, body) in stored(&fleet).into_iter().filter(|(key, ..)| key.kind != "tombstones") {
            let body = serde_json::from_slice(&body).unwrap();
            let same = Operation::new(Verb::Update, key.clone(), Some(body));
            prop_assert_eq!(fleet.prepare(&[same]).map(|prepared| prepared.documents), Ok(Vec::new()), "{}", key);
        }
    }
}

#[test]
fn the_histories_reach_what_they_are_meant_to() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut kinds = BTreeSet::new();
    let (mut inputs, mut tombstones, mut refused, mut accepted) = (0, 0, 0, 0);
    for _ in 0..200 {
        let operations = operations().new_tree(&mut runner).unwrap().current();
        let mut history = History::new();
        for operation in &operations {
            match history.write(std::slice::from_ref(operation)) {
                Ok(_) => accepted += 1,
                Err(_) => refused += 1,
            }
        }
        tombstones += history.fleet.len("tombstones");
        for (held, document) in
            documents(&history.fleet)["tombstones"].values().map(|body| (body["held"] == true, body))
        {
            kinds.insert(if held { "held" } else { "wiped" });
            kinds.extend((document["cluster"]["aliases"] != Value::Null).then_some("alias of a tombstone"));
        }
        for dns in DNS_NAMES {
            kinds.extend(match history.fleet.answer_text(dns, PATHS[0]) {
                Err(NoAnswer::Frozen { .. }) => Some("frozen"),
                Err(NoAnswer::Held(_)) => Some("polled while held"),
                Ok(answer) if !answer.contains(dns) && answer.contains("\"id\"") => {
                    Some("polled by an alias")
                }
                _ => None,
            });
        }
        inputs += answers(&history.fleet)
            .into_values()
            .flatten()
            .filter(|answer| answer.contains("\"id\""))
            .count();
    }
    let reached = format!(
        "{inputs} answers with inputs, {tombstones} tombstones, {accepted} accepted, {refused} refused"
    );
    let expected =
        ["alias of a tombstone", "frozen", "held", "polled by an alias", "polled while held", "wiped"];
    assert_eq!(kinds, BTreeSet::from(expected));
    assert!(inputs > 100 && tombstones > 10 && accepted > 1000 && refused > 500, "{reached}");
}
