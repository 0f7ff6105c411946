//! Profiles: the laws of layers beside those that every history is held against, and what is refused.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_merge::{Fleet, Refusal};
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{Key, Operation, Verb};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::history::{
    DNS_NAMES, History, PATHS, PROFILES, cluster, documents, operations, profile, profile_operation, stored,
};
use crate::naive::{self, Documents};

const CLUSTERS: [&str; 3] = ["c1", "c2", "c3"];

/// A fleet's file with everything that profiles and clusters may refer to.
fn file(clusters: Vec<Value>, profiles: Vec<Value>) -> Value {
    let named = |ids: &[&str], mut bodies: Vec<Value>| {
        ids.iter().zip(&mut bodies).for_each(|(id, body)| body["id"] = (*id).into());
        bodies
    };
    let mut clusters = named(&CLUSTERS, clusters);
    for (id, cluster) in CLUSTERS.iter().zip(&mut clusters) {
        cluster["cluster_name"] = (*id).into();
        cluster["cluster_dns"] = format!("{id}.example.com").into();
        cluster.as_object_mut().unwrap().remove("aliases");
    }
    let component = |id| json!({"id": id, "component_path": "q", "oci_url": "oci://registry/x"});
    json!({
        "clusters": clusters,
        "profiles": named(&PROFILES, profiles),
        "platform_components": (["a", "b", "c"].map(component)),
        "namespaces": [{"id": "n1"}, {"id": "n2"}],
        "rolebindings": [{"id": "r1", "role": "view"}, {"id": "system:r2", "role": "view"}],
    })
}

fn files() -> impl Strategy<Value = Value> {
    let bodies = (prop::collection::vec(cluster(), 3), prop::collection::vec(profile(), 0..=4));
    bodies.prop_map(|(clusters, profiles)| file(clusters, profiles))
}

fn table(file: &Value, plural: &str) -> BTreeMap<String, Value> {
    let list = file[plural].as_array().unwrap().iter();
    list.map(|body| (body["id"].as_str().unwrap().to_owned(), body.clone())).collect()
}

fn documents_of(file: &Value) -> Documents {
    let mut all: Documents =
        file.as_object().unwrap().keys().map(|plural| (plural.clone(), table(file, plural))).collect();
    all.insert("freezes".into(), BTreeMap::new());
    all.insert("tombstones".into(), BTreeMap::new());
    all
}

/// What a layer says of one reference or the patches of one component, null where a patch is unset.
fn words(layer: &Value, kind: &str, id: &str) -> Option<Value> {
    if kind == "patches" {
        let mut said = json!({});
        for key in layer["unset_patches"][id].as_array().into_iter().flatten() {
            said[key.as_str().unwrap()] = Value::Null;
        }
        let set = layer["patches"][id].as_object().cloned().unwrap_or_default();
        set.into_iter().filter(|(_, value)| !value.is_null()).for_each(|(key, value)| said[key] = value);
        return Some(said).filter(|said| *said != json!({}));
    }
    let mut said = layer[kind].as_array()?.iter().find(|reference| reference["id"] == id)?.clone();
    let fields = said.as_object_mut().unwrap();
    fields.retain(|field, value| field != "id" && !value.is_null() && *value != json!({}));
    fields.entry("exclude").or_insert(false.into());
    Some(said)
}

/// Every path at which the two say different things, and whether neither says an object there.
fn differences(path: &[String], one: &Value, other: &Value, found: &mut Vec<(Vec<String>, bool)>) {
    if let (Value::Object(one), Value::Object(other)) = (one, other) {
        for (key, value) in one {
            if let Some(its) = other.get(key) {
                differences(&[path, std::slice::from_ref(key)].concat(), value, its, found);
            }
        }
    } else if one != other {
        found.push((path.to_vec(), !one.is_object() && !other.is_object()));
    }
}

/// Whether a layer that says `words` decides what is at `path`.
fn decides(words: &Value, path: &[String], scalars: bool) -> bool {
    let mut value = words;
    for key in path {
        match value.as_object() {
            None => return true,
            Some(fields) => match fields.get(key) {
                None => return false,
                Some(below) => value = below,
            },
        }
    }
    scalars || !value.is_object()
}

/// For each cluster every field of which two profiles of one priority say different things, and nothing
/// above decides: by going over every pair.
fn disagreements(documents: &Documents) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let targets: Vec<(&str, &str)> = [
        ("platform_components", vec!["a", "b", "c"]),
        ("patches", vec!["a", "b", "c"]),
        ("namespaces", vec!["n1", "n2"]),
        ("rolebindings", vec!["r1", "system:r2"]),
    ]
    .into_iter()
    .flat_map(|(kind, ids)| ids.into_iter().map(move |id| (kind, id)))
    .collect();
    for (cluster, document) in &documents["clusters"] {
        let profiles = naive::profiles(documents, document);
        let priority = |profile: &Value| profile["priority"].as_i64().unwrap_or(0);
        let unsettled = |kind: &str, id: &str| {
            let mut all: BTreeSet<Vec<String>> = BTreeSet::new();
            for (at, one) in profiles.iter().enumerate() {
                for other in profiles[at + 1..].iter().filter(|other| priority(other) == priority(one)) {
                    let (Some(one_says), Some(other_says)) = (words(one, kind, id), words(other, kind, id))
                    else {
                        continue;
                    };
                    let mut differ = Vec::new();
                    differences(&[], &one_says, &other_says, &mut differ);
                    let higher: Vec<_> = profiles
                        .iter()
                        .filter(|higher| priority(higher) > priority(one))
                        .copied()
                        .chain([document])
                        .collect();
                    differ.retain(|(path, scalars)| {
                        !higher
                            .iter()
                            .filter_map(|layer| words(layer, kind, id))
                            .any(|words| decides(&words, path, *scalars))
                    });
                    all.extend(differ.into_iter().map(|(path, _)| path));
                }
            }
            all
        };
        for (kind, id) in &targets {
            let list = if *kind == "patches" { "platform_components" } else { kind };
            let disputed = unsettled(list, id).contains(&vec!["exclude".to_owned()]);
            let last = profiles
                .iter()
                .copied()
                .chain([document])
                .filter_map(|layer| words(layer, list, id))
                .next_back();
            let excluded = last.is_some_and(|last| last["exclude"] == true);
            // Where the cluster itself takes it out, nobody else has a say.
            let own = words(document, list, id).is_some_and(|own| own["exclude"] == true);
            if own || (excluded && !disputed) {
                continue;
            }
            let fields = unsettled(kind, id).into_iter();
            found.extend(fields.map(|path| {
                let path: Vec<_> =
                    path.iter().map(|step| step.replace('~', "~0").replace('/', "~1")).collect();
                (cluster.clone(), format!("{kind}/{id}/{}", path.join("/")))
            }));
        }
    }
    found
}

/// What a refusal says of profiles that disagree: each cluster and field.
fn refused(refusal: &[flux_resourceset_model::Violation]) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for violation in refusal.iter().filter(|violation| violation.code == "profiles_disagree") {
        let text = &violation.message;
        let (what, clusters) = text.split_once("; let a profile").unwrap().0.rsplit_once(": ").unwrap();
        let field = match what.split_once(" say different things of ") {
            Some((_, rest)) => rest.split_once(": ").unwrap().0.to_owned(),
            None => {
                let rest = what.split_once(" disagree on ").unwrap().1;
                // A role binding's id may have a colon.
                format!("{}/exclude", rest.split_once(": p").unwrap().0)
            }
        };
        found.extend(clusters.split(", ").map(|cluster| (cluster.to_owned(), field.clone())));
    }
    found
}

/// What every cluster gets, each answer by its inputs' ids.
fn unordered(fleet: &Fleet) -> BTreeMap<String, Vec<Value>> {
    let asked = CLUSTERS.into_iter().flat_map(|id| PATHS.map(|path| (id, path)));
    let answer = |(id, path): (&str, &str)| {
        let text = fleet.answer_text(&format!("{id}.example.com"), path).unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        let mut inputs = std::mem::take(answer["inputs"].as_array_mut().unwrap());
        inputs.sort_by_key(|input| input["id"].to_string());
        (format!("{id} {path}"), inputs)
    };
    asked.map(answer).collect()
}

fn answers(fleet: &Fleet) -> Vec<Option<String>> {
    let asked = DNS_NAMES.into_iter().flat_map(|dns| PATHS.map(|path| (dns, path)));
    asked.map(|(dns, path)| fleet.answer_text(dns, path).ok()).collect()
}

fn loaded(file: &Value) -> Result<Fleet, Vec<flux_resourceset_model::Violation>> {
    let empty = Fleet::empty(Rules::default());
    let prepared = empty.prepare_file(file)?;
    Ok(empty.apply(1, &prepared.documents).expect("what is prepared can be followed"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_refused_is_what_every_pair_disagrees_on(file in files()) {
        let expected = disagreements(&documents_of(&file));
        match loaded(&file) {
            Ok(_) => prop_assert_eq!(expected, BTreeSet::new()),
            Err(violations) => {
                // What is wrong with a document alone is said too, and may be all that is.
                let alone = violations.iter().any(|one| ["repeated", "exclude"].contains(&one.code));
                if !alone {
                    prop_assert_eq!(refused(&violations), expected, "{:?}", violations);
                }
            }
        }
    }

    #[test]
    fn between_profiles_of_one_priority_their_names_decide_nothing_but_the_order(file in files()) {
        let Ok(fleet) = loaded(&file) else { return Ok(()) };
        let mut renamed = file;
        for profile in renamed["profiles"].as_array_mut().unwrap() {
            let at = PROFILES.iter().position(|id| profile["id"] == **id).unwrap();
            profile["id"] = PROFILES[PROFILES.len() - 1 - at].into();
        }
        let renamed = loaded(&renamed).expect("a name makes no difference");
        prop_assert_eq!(unordered(&renamed), unordered(&fleet));
    }

    #[test]
    fn the_order_in_which_documents_were_written_never_matters(
        operations in operations(), more in prop::collection::vec(profile_operation(), 0..6), seed in any::<u64>(),
    ) {
        let mut history = History::after(&operations);
        more.iter().for_each(|operation| drop(history.write(std::slice::from_ref(operation))));
        let fleet = history.fleet;
        let mut shuffled = stored(&fleet);
        shuffled.sort_by_key(|(key, ..)| {
            let text = key.to_string();
            text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
        });
        // One document after the other: types first, since they say what the others are.
        let mut built = Fleet::empty(Rules::default());
        let referred = |key: &Key| !["clusters", "tombstones", "profiles"].contains(&key.kind.as_str());
        let (definitions, others): (Vec<_>, Vec<_>) = shuffled.clone().into_iter().partition(|(key, ..)| referred(key));
        let change = |(key, _, body): (Key, u64, Vec<u8>)| flux_resourceset_model::change::DocumentChange { key, body: Some(body) };
        built = built.apply(1, &definitions.into_iter().map(change).collect::<Vec<_>>()).unwrap();
        let mut ways = Vec::new();
        for one in others {
            match built.apply(built.revision() + 1, &[change(one.clone())]) {
                Ok(next) => built = next,
                // Who settles a disagreement may come later.
                Err(_) => ways.push(change(one)),
            }
        }
        let built = built.apply(built.revision() + 1, &ways).unwrap();
        let anew = Fleet::load(Rules::default(), fleet.revision(), shuffled).unwrap();
        prop_assert_eq!(answers(&built), answers(&fleet));
        prop_assert_eq!(answers(&anew), answers(&fleet));
    }

    #[test]
    fn a_profile_that_selects_no_cluster_changes_no_answer(operations in operations(), mut body in profile()) {
        let mut history = History::after(&operations);
        let before = answers(&history.fleet);
        body["selector"] = "tier=nowhere".into();
        let create = Operation::new(Verb::Create, Key::new("profiles", "p9"), Some(body));
        if history.write(&[create]).is_ok() {
            prop_assert_eq!(answers(&history.fleet), before);
        }
    }

    #[test]
    fn a_cluster_with_its_profiles_worked_in_gets_the_same_without_them(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        let flat = stored(&fleet).into_iter().filter(|(key, ..)| key.kind != "profiles");
        let flat = flat.map(|(key, revision, body)| match fleet.effective(&key.id).filter(|_| key.kind == "clusters") {
            Some(effective) => (key, revision, serde_json::to_vec(&effective).unwrap()),
            None => (key, revision, body),
        });
        let flat = Fleet::load(Rules::default(), fleet.revision(), flat).unwrap();
        prop_assert_eq!(answers(&flat), answers(&fleet));
        for (id, cluster) in &documents(&flat)["clusters"] {
            let kind = flat.resource_type("clusters").unwrap();
            prop_assert_eq!(kind.validate(cluster.as_object().unwrap(), &Rules::default()), vec![], "{}", id);
        }
    }

    #[test]
    fn selecting_by_the_index_is_selecting_by_looking_at_everybody(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        for selector in naive::SELECTORS.into_iter().chain(["!tier", "tier!=edge", "id", "id=c1,tier", "tier in (edge,core,edge)", "id in (c3,c1,zz)", "tier>0"]) {
            let selector = selector.parse().unwrap();
            let matches = |id: &&str| {
                let cluster = fleet.subject(id).unwrap();
                flux_resourceset_model::Selector::matches(&selector, |key| cluster.label(key))
            };
            prop_assert!(fleet.selected_by(&selector).eq(fleet.subjects().filter(matches)), "{}", selector);
        }
        for id in fleet.subjects() {
            let all = fleet.list("profiles").filter_map(|(id, _)| fleet.profile(id));
            let mut expected: Vec<_> = all.filter(|profile| profile.matches(fleet.subject(id).unwrap())).collect();
            expected.sort_by_key(|profile| (profile.priority, profile.id.clone()));
            prop_assert!(fleet.profiles_of(id).eq(expected), "{}", id);
        }
    }

    #[test]
    fn without_its_exceptions_a_cluster_gets_what_its_profiles_say(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        for id in CLUSTERS.into_iter().filter(|id| fleet.get(&Key::new("clusters", *id)).is_some()) {
            // A cluster that says nothing itself has none; one that has none says nothing else than its profiles.
            let mut documents = documents(&fleet);
            documents.get_mut("freezes").unwrap().clear();
            let cluster = documents["clusters"][id].clone();
            let mut silent = cluster.clone();
            for field in ["platform_components", "namespaces", "rolebindings", "patches", "unset_patches"] {
                silent.as_object_mut().unwrap().remove(field);
            }
            let dns = cluster["cluster_dns"].as_str().unwrap();
            let said = PATHS.map(|path| naive::answer(&documents, dns, path).unwrap());
            documents.get_mut("clusters").unwrap().insert(id.into(), silent);
            let unsaid = PATHS.map(|path| naive::answer(&documents, dns, path).unwrap());
            let profiled = naive::profiles(&documents, &cluster);
            let speaks = |plural: &str, input: &Value| {
                profiled.iter().any(|profile| {
                    words(profile, plural, input["id"].as_str().unwrap()).is_some()
                        || (plural == "platform_components" && ["patches", "unset_patches"].iter().any(|field| {
                            profile[*field].get(input["id"].as_str().unwrap()).is_some()
                        }))
                })
            };
            let exceptions = fleet.exceptions(id);
            for ((path, said), unsaid) in PATHS.into_iter().zip(&said).zip(&unsaid) {
                let plural = path.replace('-', "_");
                let inputs = |answer: &Value| answer["inputs"].as_array().unwrap().clone();
                for input in inputs(said).iter().chain(&inputs(unsaid)).filter(|input| speaks(&plural, input)) {
                    let find = |answer: &Value| inputs(answer).into_iter().find(|one| one["id"] == input["id"]);
                    let listed = exceptions.iter().any(|one| one.kind == plural && input["id"] == one.input.as_str());
                    let differs = find(said) != find(unsaid);
                    // What a cluster has and profiles only say something about differs by being there.
                    if find(said).is_some() == find(unsaid).is_some() {
                        prop_assert_eq!(listed, differs, "{} {:?} {:?}", input, exceptions, cluster);
                    }
                }
            }
        }
    }
}

#[test]
fn the_files_reach_what_they_are_meant_to() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..2000 {
        let file = files().new_tree(&mut runner).unwrap().current();
        let disagree = disagreements(&documents_of(&file));
        let mut reach = |what| *reached.entry(what).or_default() += 1;
        if loaded(&file).is_ok() {
            reach("accepted");
            let all = documents_of(&file);
            let most = all["clusters"].values().map(|cluster| naive::profiles(&all, cluster).len()).max();
            if most > Some(1) {
                reach("several profiles on one cluster");
            }
        }
        for (_, field) in disagree {
            let what = field.split('/').skip(2).collect::<Vec<_>>();
            match (field.starts_with("patches"), what.as_slice()) {
                (true, _) => reach("patches"),
                (_, ["exclude"]) => reach("exclude"),
                (_, ["release", .., _, _]) => reach("deep in a release"),
                (_, ["oci_tag" | "enabled" | "on_remove" | "component_path"]) => reach("a field"),
                _ => {}
            }
        }
    }
    for what in
        ["accepted", "several profiles on one cluster", "patches", "exclude", "deep in a release", "a field"]
    {
        assert!(reached.get(what).copied().unwrap_or_default() >= 10, "{what}: {reached:?}");
    }
}

const SCENE: &str = r#"{
    "clusters": [
        {"cluster_name": "eu-1", "cluster_dns": "eu-1.example.com", "environment": "prod",
         "labels": {"region": "eu", "tier": "edge"}, "kubernetes_version": "v1.30.4+k0s.0",
         "platform_components": [{"id": "grafana", "oci_tag": "2.0.0"}], "patches": {"grafana": {"replicas": "1"}}},
        {"cluster_name": "us-1", "cluster_dns": "us-1.example.com", "environment": "dev", "labels": {"region": "us"}}
    ],
    "profiles": [
        {"id": "base", "selector": "", "priority": -10, "platform_components": [{"id": "cert-manager"}, {"id": "grafana"}],
         "patches": {"grafana": {"replicas": "2", "theme": "light"}}},
        {"id": "eu", "selector": "region=eu", "namespaces": [{"id": "gdpr"}]},
        {"id": "edge", "selector": "tier=edge", "platform_components": [{"id": "grafana", "oci_tag": "1.5.0"}]}
    ],
    "platform_components": [
        {"id": "cert-manager", "component_path": "cert-manager", "oci_url": "https://charts.example.com", "oci_tag": "1.14.0"},
        {"id": "grafana", "component_path": "grafana", "oci_url": "https://charts.example.com", "oci_tag": "1.0.0"}
    ],
    "namespaces": [{"id": "gdpr"}, {"id": "spare"}]
}"#;

fn scene() -> History {
    let empty = Fleet::empty(Rules::default());
    let prepared = empty.prepare_file(&serde_json::from_str(SCENE).unwrap()).unwrap();
    History { fleet: empty.apply(1, &prepared.documents).unwrap() }
}

fn asked(verb: Verb, target: &str, body: Value) -> Operation {
    let (kind, id) = target.split_once('/').unwrap();
    Operation::new(verb, Key::new(kind, id), Some(body))
}

/// What is said of a write that is refused.
#[track_caller]
fn said(operations: &[Operation]) -> String {
    let refusal: Refusal = scene().fleet.prepare(operations).map(|_| ()).unwrap_err();
    let lines = refusal.violations().iter().map(|violation| format!("{violation}\n"));
    format!("{}\n{}", refusal.code(), lines.collect::<String>())
}

/// What is warned of where a write is allowed.
#[track_caller]
fn warned(operations: &[Operation]) -> String {
    let fleet = scene().fleet;
    let prepared = fleet.prepare(operations).unwrap();
    let plan = crate::plan::planned(&fleet, &prepared);
    let lines = plan.warnings.iter().map(|one| format!("{} {:?}\n", one.message, one.clusters));
    lines.collect()
}

#[test]
fn profiles_that_disagree_are_refused_wherever_that_comes_from() {
    let rival = json!({"selector": "region", "platform_components": [{"id": "grafana", "oci_tag": "3.0.0"}]});
    let create = asked(Verb::Create, "profiles/rival", rival);
    // eu-1 says itself which version it wants; with a second edge cluster nobody decides.
    scene().fleet.prepare(std::slice::from_ref(&create)).unwrap();
    let labels = asked(Verb::Update, "clusters/us-1", json!({"labels": {"region": "us", "tier": "edge"}}));
    insta::assert_snapshot!(said(&[create.clone(), labels]), @r#"
    conflict
    change 0: profiles/rival/platform_components/0/oci_tag: the profiles edge and rival, both of priority 0, say different things of platform_components/grafana/oci_tag: "1.5.0" and "3.0.0" on 1 cluster: us-1; let a profile of higher priority or the clusters say it, or take one of the two out (profiles_disagree)
    "#);
    insta::assert_snapshot!(said(&[
        create,
        asked(Verb::Update, "profiles/edge", json!({"selector": ""})),
        asked(Verb::Update, "profiles/eu", json!({"selector": "", "patches": {"grafana": {"theme": "dark"}}, "namespaces": [{"id": "gdpr", "exclude": true}]})),
        asked(Verb::Create, "profiles/dark", json!({"selector": "", "unset_patches": {"grafana": ["theme"]}, "namespaces": [{"id": "gdpr"}]})),
    ]), @r#"
    conflict
    change 3: profiles/dark/namespaces/0: the profiles dark and eu, both of priority 0, disagree on namespaces/gdpr: dark refers to it and eu takes it out on 2 clusters: eu-1, us-1; let a profile of higher priority or the clusters say it, or take one of the two out (profiles_disagree)
    change 3: profiles/dark/unset_patches/grafana: the profiles dark and eu, both of priority 0, say different things of patches/grafana/theme: no value and "dark" on 2 clusters: eu-1, us-1; let a profile of higher priority or the clusters say it, or take one of the two out (profiles_disagree)
    change 1: profiles/edge/platform_components/0/oci_tag: the profiles edge and rival, both of priority 0, say different things of platform_components/grafana/oci_tag: "1.5.0" and "3.0.0" on 1 cluster: us-1; let a profile of higher priority or the clusters say it, or take one of the two out (profiles_disagree)
    "#);
}

#[test]
fn a_layer_is_judged_by_itself_too() {
    insta::assert_snapshot!(said(&[asked(Verb::Create, "profiles/x", json!({
        "selector": "region in eu", "priority": 1_000_001, "namespaces": [{"id": "gdpr", "note": "why"}],
    }))]), @"
    invalid
    /namespaces/0/note: `note` is not a field here; known are exclude, id, on_remove (unknown_field)
    /priority: 1000001 is greater than the maximum of 1000000 (out_of_range)
    /selector: at character 11: expected `(` and the values (selector)
    ");
    insta::assert_snapshot!(said(&[asked(Verb::Create, "profiles/x", json!({
        "selector": "",
        "platform_components": [{"id": "grafana", "exclude": true, "enabled": false}, {"id": "nope"}, {"id": "nope"}],
        "patches": {"grafana": {"a": "1", "a.b": "2"}}, "unset_patches": {"grafana": ["a"], "gone": ["x"]}
    }))]), @"
    invalid
    /platform_components/0/exclude: what is taken out has no enabled: leave out the one or the other (exclude)
    /platform_components/2/id: `nope` is already listed at /platform_components/1 (repeated)
    /unset_patches/grafana: `a` is set under patches/grafana here: leave one of the two out (repeated)
    /platform_components/1/id: platform_components/nope does not exist (reference)
    /platform_components/2/id: platform_components/nope does not exist (reference)
    /unset_patches/gone: platform_components/gone does not exist (reference)
    /patches/grafana/a.b: `a.b` and `a` set the same value in two ways (patch_key)
    clusters/eu-1/patches/grafana/a.b: `a.b` and `a` set the same value in two ways (patch_key)
    ");
    insta::assert_snapshot!(said(&[asked(Verb::Update, "clusters/eu-1", json!({
        "platform_components": [{"id": "grafana", "expires": "soon"}],
        "patches": {"grafana": {"replicas.max": "3"}}
    }))]), @"
    invalid
    /platform_components/0/expires: `soon` is no date: write 2027-01-31, or a time such as 2027-01-31T18:00:00Z (format)
    /patches/grafana/replicas.max: `replicas.max` and `replicas` set the same value in two ways (patch_key)
    ");
    // Each alone is right; over each other the keys are in each other's way.
    insta::assert_snapshot!(said(&[asked(Verb::Update, "clusters/us-1", json!({
        "patches": {"grafana": {"replicas.max": "3"}}
    }))]), @"
    invalid
    /patches/grafana/replicas.max: `replicas.max` and `replicas` set the same value in two ways (patch_key)
    ");
}

#[test]
fn what_breaks_clusters_is_said_where_it_stands() {
    insta::assert_snapshot!(said(&[
        asked(Verb::Update, "platform_components/grafana", json!({"requires": {"cert-manager": ">=1.15"}, "kubernetes": "<1.30"})),
        asked(Verb::Update, "platform_components/cert-manager", json!({"kubernetes": "nonsense", "requires": {"grafana": "1 - ", "nope": "*"}})),
    ]), @"
    invalid
    change 1: platform_components/cert-manager/kubernetes: `nonsense` is no range of versions: at character 1: `nonsense` is no version: write 1.2.3, 1.2, 1.x or * (version_range)
    change 1: platform_components/cert-manager/requires/grafana: `1 - ` is no range of versions: at character 5: expected a version: 1.2.3, 1.2, 1.x or * (version_range)
    change 1: platform_components/cert-manager/requires/nope: platform_components/nope does not exist (reference)
    change 1: platform_components/cert-manager/requires/grafana: components would require each other: cert-manager -> grafana -> cert-manager (requirement_cycle)
    change 0: platform_components/grafana/requires/cert-manager: components would require each other: grafana -> cert-manager -> grafana (requirement_cycle)
    clusters/eu-1/platform_components/0: grafana requires cert-manager >=1.15; this cluster has 1.14.0 (requires)
    clusters/eu-1/platform_components/0: grafana needs Kubernetes <1.30; this cluster runs v1.30.4+k0s.0 (kubernetes)
    profiles/base/platform_components/1: grafana requires cert-manager >=1.15; this cluster has 1.14.0 (on 1 cluster: us-1) (requires)
    ");
    insta::assert_snapshot!(said(&[
        asked(Verb::Update, "platform_components/grafana", json!({"requires": {"cert-manager": "~1.14"}, "kubernetes": "<1.30"})),
        asked(Verb::Update, "platform_components/cert-manager", json!({"requires": {"grafana": "*"}})),
        asked(Verb::Update, "profiles/base", json!({"platform_components": [{"id": "grafana"}]})),
    ]), @"
    invalid
    change 1: platform_components/cert-manager/requires/grafana: components would require each other: cert-manager -> grafana -> cert-manager (requirement_cycle)
    change 0: platform_components/grafana/requires/cert-manager: components would require each other: grafana -> cert-manager -> grafana (requirement_cycle)
    clusters/eu-1/platform_components/0: grafana requires cert-manager ~1.14, which this cluster does not have (requires)
    clusters/eu-1/platform_components/0: grafana needs Kubernetes <1.30; this cluster runs v1.30.4+k0s.0 (kubernetes)
    change 2: profiles/base/platform_components/0: grafana requires cert-manager ~1.14, which this cluster does not have (on 1 cluster: us-1) (requires)
    ");
}

#[test]
fn what_is_likely_not_meant_is_warned_of() {
    insta::assert_snapshot!(warned(&[
        asked(Verb::Create, "profiles/moon", json!({"selector": "region=moon"})),
        asked(Verb::Create, "profiles/none", json!({"selector": "region", "namespaces": [{"id": "spare", "exclude": true}]})),
        asked(Verb::Update, "profiles/eu", json!({"platform_components": [{"id": "cert-manager", "exclude": true}]})),
        asked(Verb::Update, "clusters/us-1", json!({"namespaces": [{"id": "gdpr", "exclude": true}]})),
    ]), @r#"
    profiles/moon selects no cluster yet: `region=moon` is what it waits for []
    profiles/none takes out namespaces/spare, which no lower profile gives to any of its clusters ["eu-1", "us-1"]
    takes out namespaces/gdpr, which none of its profiles gives ["us-1"]
    "#);
    insta::assert_snapshot!(warned(&[
        asked(Verb::Update, "clusters/us-1", json!({"kubernetes_version": "unknown"})),
        asked(Verb::Update, "platform_components/grafana", json!({"requires": {"cert-manager": ">=1"}, "kubernetes": ">=1.28"})),
        asked(Verb::Update, "platform_components/cert-manager", json!({"oci_tag": "latest"})),
    ]), @r#"
    cert-manager: no version is named, so each cluster installs the latest that it finds, whenever it looks ["eu-1", "us-1"]
    grafana requires cert-manager >=1; its version `latest` cannot be compared with that ["eu-1", "us-1"]
    grafana needs Kubernetes >=1.28; `unknown` cannot be compared with that ["us-1"]
    "#);
}

#[test]
fn the_first_document_that_an_older_release_would_answer_wrongly_says_so() {
    let readers = [
        (asked(Verb::Update, "clusters/us-1", json!({"namespaces": [{"id": "gdpr", "exclude": true}]})), 4),
        (asked(Verb::Update, "clusters/us-1", json!({"unset_patches": {"grafana": ["theme"]}})), 4),
        (
            asked(
                Verb::Update,
                "clusters/us-1",
                json!({"namespaces": [{"id": "gdpr", "note": "a note changes nothing"}]}),
            ),
            1,
        ),
        (asked(Verb::Update, "profiles/eu", json!({"priority": 1})), 4),
        (asked(Verb::Update, "platform_components/grafana", json!({"kubernetes": "*"})), 4),
    ];
    for (operation, reader) in readers {
        assert_eq!(
            scene().fleet.prepare(std::slice::from_ref(&operation)).unwrap().min_reader,
            reader,
            "{operation:?}"
        );
    }
}

#[test]
fn exceptions_say_what_is_said_instead_of_what() {
    let mut history = scene();
    history.write(&[
        asked(Verb::Update, "clusters/eu-1", json!({
            "platform_components": [
                {"id": "grafana", "oci_tag": "2.0.0", "enabled": true, "note": "for the demo", "expires": "2027-01-31"},
                {"id": "cert-manager", "exclude": true}
            ],
            "namespaces": [{"id": "spare", "expires": "2027-02-01T00:00:00Z"}],
            "unset_patches": {"grafana": ["theme"]}
        })),
    ]).unwrap();
    let lines = history
        .fleet
        .exceptions("eu-1")
        .into_iter()
        .map(|one| format!("{}\n", serde_json::to_string(&one).unwrap()));
    insta::assert_snapshot!(lines.collect::<String>(), @r#"
    {"cluster":"eu-1","type":"namespaces","input":"spare","path":"id","value":"spare","expires":"2027-02-01T00:00:00Z"}
    {"cluster":"eu-1","type":"platform_components","input":"cert-manager","path":"exclude","value":true}
    {"cluster":"eu-1","type":"platform_components","input":"grafana","path":"enabled","value":true,"note":"for the demo","expires":"2027-01-31"}
    {"cluster":"eu-1","type":"platform_components","input":"grafana","path":"patches.replicas","value":"1","instead":{"value":"2","from":"profile","document":"profiles/base"},"note":"for the demo","expires":"2027-01-31"}
    {"cluster":"eu-1","type":"platform_components","input":"grafana","path":"source.oci_tag","value":"2.0.0","instead":{"value":"1.5.0","from":"profile","document":"profiles/edge"},"note":"for the demo","expires":"2027-01-31"}
    {"cluster":"eu-1","type":"platform_components","input":"grafana","path":"patches.theme","value":null,"instead":{"value":"light","from":"profile","document":"profiles/base"},"note":"for the demo","expires":"2027-01-31"}
    "#);
    assert_eq!(history.fleet.exceptions("us-1"), []);
    let midnight = 1_801_440_000_000; // 2027-02-01T00:00:00Z
    assert_eq!([midnight - 1, midnight].map(|at| history.fleet.expired(at)), [0, 2]);
    assert_eq!(history.fleet.expiring(), 2);
}

#[test]
fn what_a_cluster_has_other_than_its_profiles_say_is_an_exception_whatever_it_says_of_it() {
    let mut history = scene();
    history
        .write(&[
            asked(Verb::Update, "profiles/edge", json!({
                "platform_components": [{"id": "grafana", "oci_tag": "1.5.0"}, {"id": "cert-manager", "exclude": true}]
            })),
            asked(Verb::Update, "clusters/eu-1", json!({
                "platform_components": [{"id": "cert-manager", "note": "needs it"}],
                "namespaces": [{"id": "gdpr", "expires": "2027-01-31"}],
                "patches": {}
            })),
        ])
        .unwrap();
    let lines = history
        .fleet
        .exceptions("eu-1")
        .into_iter()
        .map(|one| format!("{}\n", serde_json::to_string(&one).unwrap()));
    insta::assert_snapshot!(lines.collect::<String>(), @r#"
    {"cluster":"eu-1","type":"namespaces","input":"gdpr","path":"id","value":"gdpr","expires":"2027-01-31"}
    {"cluster":"eu-1","type":"platform_components","input":"cert-manager","path":"id","value":"cert-manager","note":"needs it"}
    "#);
    // Whatever is counted as expired has its line.
    assert_eq!(history.fleet.expiring(), 1);
}
