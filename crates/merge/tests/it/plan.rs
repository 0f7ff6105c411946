//! What a plan promises: it says what comparing every answer before and after says, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_merge::{EffectKind, Fleet, Plan, Prepared, plan, plan_of};
use flux_resourceset_model::change::{Key, Operation, Verb};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::history::{History, documents, operation, operations, profile_operation};
use crate::naive::{self, Documents};

const TYPES: [(&str, &str); 3] = [
    ("namespaces", "namespaces"),
    ("platform_components", "platform-components"),
    ("rolebindings", "rolebindings"),
];

/// By cluster, type and input; the order of inputs and a cluster's entry in the list have no input.
type Changes = BTreeMap<(String, String, String), (Value, Value)>;

pub(crate) fn planned(before: &Fleet, prepared: &Prepared) -> Plan {
    plan(before, &prepared.after, prepared.documents.iter().map(|document| &document.key))
}

/// As many of `operations` as can be made together.
pub(crate) fn accepted(fleet: &Fleet, operations: Vec<Operation>) -> Option<(Vec<Operation>, Prepared)> {
    let mut together: Vec<Operation> = Vec::new();
    let mut last = None;
    for operation in operations {
        together.push(operation);
        match fleet.prepare(&together) {
            Ok(prepared) => last = Some(prepared),
            Err(_) => drop(together.pop()),
        }
    }
    last.map(|prepared| (together, prepared))
}

/// The documents of which answers are made where nobody is frozen and what is held is back.
pub(crate) fn seen_through(fleet: &Fleet) -> Documents {
    let mut documents = documents(fleet);
    let tombstones = std::mem::take(documents.get_mut("tombstones").unwrap());
    documents.get_mut("freezes").unwrap().clear();
    for (id, tombstone) in tombstones {
        if tombstone["held"] == true {
            documents.get_mut("clusters").unwrap().insert(id, tombstone["cluster"].clone());
        }
    }
    documents
}

fn inputs(documents: &Documents, cluster: &str, path: &str) -> Vec<Value> {
    let dns = documents["clusters"].get(cluster).map(|cluster| cluster["cluster_dns"].as_str().unwrap());
    let answer = dns.and_then(|dns| naive::answer(documents, dns, path));
    answer.map(|answer| answer["inputs"].as_array().unwrap().clone()).unwrap_or_default()
}

fn id_of(input: &Value) -> String {
    input["id"].as_str().unwrap().to_owned()
}

/// Every answer before compared with every answer after.
fn brute_force(before: &Documents, after: &Documents) -> Changes {
    let mut changes = Changes::new();
    let mut note = |cluster: &str, kind: &str, input: &str, was: Value, is: Value| {
        if was != is {
            changes.insert((cluster.into(), kind.into(), input.into()), (was, is));
        }
    };
    let clusters: BTreeSet<_> = before["clusters"].keys().chain(after["clusters"].keys()).collect();
    for cluster in clusters {
        let entry = |documents: &Documents| {
            documents["clusters"].get(cluster).map_or(Value::Null, |cluster| {
                json!({"id": cluster["id"], "cluster_name": cluster["cluster_name"],
                    "cluster_dns": cluster["cluster_dns"], "environment": cluster["environment"]})
            })
        };
        note(cluster, "clusters", "", entry(before), entry(after));
        for (kind, path) in TYPES {
            let [was, is] = [before, after].map(|documents| inputs(documents, cluster, path));
            let find = |list: &[Value], id: &str| {
                list.iter().find(|input| id_of(input) == id).cloned().unwrap_or_default()
            };
            for id in was.iter().chain(&is).map(id_of).collect::<BTreeSet<_>>() {
                note(cluster, kind, &id, find(&was, &id), find(&is, &id));
            }
            let stays = |list: &[Value], other: &[Value]| {
                let ids = list.iter().map(id_of).filter(|id| other.iter().any(|input| id_of(input) == *id));
                Value::from(ids.collect::<Vec<_>>())
            };
            note(cluster, kind, "", stays(&was, &is), stays(&is, &was));
        }
    }
    changes
}

/// What people are told of a change: the kind of effect, its fields, and what becomes of the objects.
type Told = (&'static str, BTreeMap<String, (Value, Value)>, Value);

fn told(kind: &str, input: &str, was: &Value, is: &Value) -> Told {
    let mut fields = BTreeMap::new();
    match (was.is_null(), is.is_null()) {
        (false, false) if was.is_array() => {
            fields.insert("inputs".to_owned(), (was.clone(), is.clone()));
        }
        (false, false) => leaves("", Some(was), Some(is), &mut fields),
        (true, _) => {
            leaves("", None, Some(is), &mut fields);
            fields.retain(|path, (_, to)| {
                let own = !path.starts_with("cluster.")
                    && path != "id"
                    && (!input.is_empty() || path == "environment");
                own && ![json!(""), json!([]), json!({})].contains(to)
            });
        }
        (false, true) => {}
    }
    let keep = if is.is_null() && kind != "clusters" { was["on_remove"].clone() } else { Value::Null };
    (told_kind(was, is), fields, keep)
}

/// In the words of DESIGN, read off the inputs as they are answered.
fn told_kind(was: &Value, is: &Value) -> &'static str {
    let helm = |input: &Value| input["delivery"] == "helm";
    let release = |input: &Value, field: &str| match &input["release"][field] {
        Value::Null if helm(input) => input["id"].clone(),
        said => said.clone(),
    };
    let differ = |of: &dyn Fn(&Value) -> Value| of(was) != of(is);
    if is.is_null() {
        "remove"
    } else if was.is_null() {
        "install"
    } else if was.is_array() {
        "reorder"
    } else if was["enabled"] == true && is["enabled"] == false {
        "disable"
    } else if was.get("environment") != is.get("environment")
        || was["delivery"] != is["delivery"]
        || (helm(was) && differ(&|input| input["component_path"].clone()))
        || (helm(was) && differ(&|input| release(input, "name")))
        || (was.get("delivery").is_some() && differ(&|input| release(input, "target_namespace")))
    {
        "replace"
    } else if was["enabled"] == false && is["enabled"] == true {
        "enable"
    } else {
        "change"
    }
}

/// Every path at which the two differ. The histories' keys need no quotes but for dots and slashes.
fn leaves(
    path: &str,
    was: Option<&Value>,
    is: Option<&Value>,
    fields: &mut BTreeMap<String, (Value, Value)>,
) {
    let object = |value: Option<&Value>| match value {
        None => Some(BTreeMap::new()),
        Some(Value::Object(object)) => Some(object.clone().into_iter().collect()),
        Some(_) => None,
    };
    let below: Option<BTreeSet<String>> = match (object(was), object(is)) {
        (Some(was), Some(is)) => Some(was.keys().chain(is.keys()).cloned().collect()),
        _ => None,
    };
    match below {
        Some(keys) if !keys.is_empty() => {
            for key in keys {
                let step = match (key.contains('.'), path.is_empty()) {
                    (true, _) => format!("{path}[\"{key}\"]"),
                    (false, true) => key.clone(),
                    (false, false) => format!("{path}.{key}"),
                };
                let at = |value: Option<&Value>| value.and_then(|value| value.get(&key)).cloned();
                leaves(&step, at(was).as_ref(), at(is).as_ref(), fields);
            }
        }
        _ if was == is => {}
        _ => {
            let [was, is] = [was, is].map(|value| value.cloned().unwrap_or_default());
            fields.insert(path.to_owned(), (was, is));
        }
    }
}

/// The plan, cluster by cluster, as whoever reads its JSON gets it.
fn ungrouped(plan: &Plan) -> BTreeMap<(String, String, String), Told> {
    const KINDS: [&str; 7] = ["remove", "disable", "replace", "install", "enable", "change", "reorder"];
    let json = serde_json::to_value(plan).unwrap();
    let mut all = BTreeMap::new();
    for effect in json["effects"].as_array().unwrap() {
        let text = |field: &str| effect[field].as_str().unwrap().to_owned();
        let kind = KINDS.into_iter().find(|kind| effect["effect"] == *kind).unwrap();
        assert_eq!(effect["destructive"], KINDS[..3].contains(&kind), "{effect}");
        let fields: BTreeMap<_, _> = (effect["fields"].as_array().unwrap().iter())
            .map(|field| {
                (field["path"].as_str().unwrap().to_owned(), (field["from"].clone(), field["to"].clone()))
            })
            .collect();
        assert_eq!(fields.len(), effect["fields"].as_array().unwrap().len(), "a path twice: {effect}");
        let clusters: Vec<_> =
            effect["clusters"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert!(
            clusters.is_sorted() && effect["count"] == clusters.len() && !clusters.is_empty(),
            "{effect}"
        );
        for cluster in clusters {
            let told = (kind, fields.clone(), effect["on_remove"].clone());
            let twice = all.insert((cluster.to_owned(), text("type"), text("input")), told);
            assert!(twice.is_none(), "two effects on one input: {effect}");
        }
    }
    all
}

/// Clusters with a destructive effect, protected ones of them, and those with an emptied answer.
fn destroyed(before: &Documents, after: &Documents, changes: &Changes) -> [BTreeSet<String>; 3] {
    let destructive = changes
        .iter()
        .filter(|(_, (was, is))| ["remove", "disable", "replace"].contains(&told_kind(was, is)));
    let clusters: BTreeSet<String> = destructive.clone().map(|((cluster, ..), _)| cluster.clone()).collect();
    let is_prod = |documents: &Documents, cluster: &String| {
        documents["clusters"].get(cluster).is_some_and(|cluster| cluster["environment"] == "prod")
    };
    // A cluster that leaves an environment's list was protected there, or it was not.
    let protected = destructive.clone().filter(|((cluster, kind, _), _)| {
        is_prod(before, cluster) || (kind != "clusters" && is_prod(after, cluster))
    });
    let protected = protected.map(|((cluster, ..), _)| cluster.clone()).collect();
    let emptied = before["clusters"].keys().filter(|cluster| {
        let became_empty = TYPES.iter().any(|(_, path)| {
            !inputs(before, cluster, path).is_empty() && inputs(after, cluster, path).is_empty()
        });
        became_empty || after["clusters"].is_empty()
    });
    let emptied = emptied.cloned().collect();
    [clusters, protected, emptied]
}

/// Whom a freeze of the fleet after holds, of those with changes.
fn frozen(fleet: &Fleet, after: &Documents, changes: &Changes) -> BTreeMap<String, Vec<String>> {
    let affected: BTreeSet<&String> = changes.keys().map(|(cluster, ..)| cluster).collect();
    let freezes = &documents(fleet)["freezes"];
    let held = freezes.iter().map(|(freeze, document)| {
        let clusters = affected.iter().filter(|cluster| {
            let cluster = after["clusters"].get(**cluster);
            cluster.is_some_and(|cluster| naive::selects(document["selector"].as_str().unwrap(), cluster))
        });
        (freeze.clone(), clusters.map(|cluster| (*cluster).clone()).collect::<Vec<_>>())
    });
    held.filter(|(_, clusters)| !clusters.is_empty()).collect()
}

/// For each changed definition and cluster: the fields that would change if the cluster said nothing.
fn hidden(before: &Documents, after: &Documents) -> BTreeSet<(String, String, String, String)> {
    let mut found = BTreeSet::new();
    for (kind, path) in TYPES {
        for (id, definition) in before[kind]
            .iter()
            .filter(|(id, definition)| after[kind].get(*id).is_some_and(|after| after != *definition))
        {
            let _ = definition;
            let bare = |documents: &Documents| {
                let mut documents = documents.clone();
                let nobody = json!({"id": "x", "cluster_name": "x", "cluster_dns": "x", "environment": "x", kind: [{"id": id}]});
                documents.insert("clusters".into(), BTreeMap::from([("x".to_owned(), nobody)]));
                documents.get_mut("profiles").unwrap().clear();
                inputs(&documents, "x", path).pop().unwrap()
            };
            let mut fields = BTreeMap::new();
            leaves("", Some(&bare(before)), Some(&bare(after)), &mut fields);
            for cluster in before["clusters"].keys() {
                for path in untouched(before, after, cluster, path, id, &fields) {
                    found.insert((cluster.clone(), kind.into(), id.clone(), path));
                }
            }
        }
    }
    found
}

/// For each changed profile and cluster that has it before and after: the fields that would change if
/// nobody but the profile said anything.
fn hidden_of_profiles(before: &Documents, after: &Documents) -> BTreeSet<(String, String, String, String)> {
    let mut found = BTreeSet::new();
    for (profile, was) in &before["profiles"] {
        let Some(now) = after["profiles"].get(profile).filter(|now| *now != was) else { continue };
        for (kind, path) in TYPES {
            for id in before[kind].keys() {
                let stated = |layer: &Value| {
                    let mut list = layer[kind].as_array().into_iter().flatten();
                    list.find(|reference| reference["id"] == **id).cloned().unwrap_or(json!({"id": id}))
                };
                if [was, now].iter().any(|layer| stated(layer)["exclude"] == true) {
                    continue;
                }
                let bare = |documents: &Documents, layer: &Value| {
                    let mut documents = documents.clone();
                    documents.get_mut("profiles").unwrap().clear();
                    let nobody = json!({"id": "x", "cluster_name": "x", "cluster_dns": "x", "environment": "x",
                        kind: [stated(layer)], "patches": layer["patches"]});
                    documents.insert("clusters".into(), BTreeMap::from([("x".to_owned(), nobody)]));
                    inputs(&documents, "x", path).pop()
                };
                let (Some(one), Some(other)) = (bare(before, was), bare(after, now)) else { continue };
                let mut fields = BTreeMap::new();
                leaves("", Some(&one), Some(&other), &mut fields);
                let speaks = |layer: &Value| {
                    layer[kind].as_array().into_iter().flatten().any(|reference| reference["id"] == **id)
                        || (kind == "platform_components"
                            && (layer["patches"].get(id).is_some()
                                || layer["unset_patches"].get(id).is_some()))
                };
                if !speaks(was) && !speaks(now) {
                    continue;
                }
                let has = |documents: &Documents, cluster: &String| {
                    documents["clusters"].get(cluster).is_some_and(|cluster| {
                        naive::profiles(documents, cluster).iter().any(|one| one["id"] == **profile)
                    })
                };
                for cluster in before["clusters"].keys().filter(|id| has(before, id) && has(after, id)) {
                    let untouched = untouched(before, after, cluster, path, id, &fields);
                    found.extend(
                        untouched
                            .into_iter()
                            .map(|path| (format!("{profile} {cluster}"), kind.into(), id.clone(), path)),
                    );
                }
            }
        }
    }
    found
}

/// Which of `fields` do not change in the cluster's input, which it has before and after.
fn untouched(
    before: &Documents,
    after: &Documents,
    cluster: &str,
    path: &str,
    id: &str,
    fields: &BTreeMap<String, (Value, Value)>,
) -> Vec<String> {
    let find = |documents| inputs(documents, cluster, path).into_iter().find(|input| id_of(input) == *id);
    let (Some(was), Some(is)) = (find(before), find(after)) else { return Vec::new() };
    let mut own = BTreeMap::new();
    leaves("", Some(&was), Some(&is), &mut own);
    let touches = |path: &str| {
        own.keys().any(|own| {
            let (long, short) = if own.len() > path.len() { (&own[..], path) } else { (path, &own[..]) };
            long == short || long.starts_with(&format!("{short}.")) || long.starts_with(&format!("{short}["))
        })
    };
    fields.keys().filter(|path| !touches(path)).cloned().collect()
}

fn ungrouped_hidden(plan: &Plan, of_profiles: bool) -> BTreeSet<(String, String, String, String)> {
    let groups =
        plan.hidden.iter().filter(|hidden| hidden.profile.is_some() == of_profiles).flat_map(|hidden| {
            let fields = hidden.fields.iter().map(|field| &field.path);
            fields.flat_map(|path| {
                hidden
                    .clusters
                    .iter()
                    .map(|cluster| match &hidden.profile {
                        Some(profile) => format!("{profile} {cluster}"),
                        None => cluster.clone(),
                    })
                    .map(|cluster| (cluster, hidden.kind.clone(), hidden.input.clone(), path.clone()))
            })
        });
    groups.collect()
}

/// Clusters that have everything, so that there is something to take away, and to put in another order.
fn full_fleet() -> Vec<Operation> {
    let create =
        |plural: &str, id: &str, body: Value| Operation::new(Verb::Create, Key::new(plural, id), Some(body));
    let component = |id| {
        create(
            "platform_components",
            id,
            json!({"component_path": "q", "oci_url": "oci://registry/x", "oci_tag": "1.0.0"}),
        )
    };
    let cluster = |id: &str, environment: &str| {
        let body = json!({
            "cluster_name": id, "cluster_dns": format!("{id}.example.com"), "environment": environment,
            "aliases": [format!("old-{id}.example.com")],
            "platform_components": [{"id": "a"}, {"id": "b", "oci_tag": "v1"}, {"id": "c", "enabled": false}],
            "namespaces": [{"id": "n1"}, {"id": "n2"}], "rolebindings": [{"id": "r1"}]
        });
        create("clusters", id, body)
    };
    let mut all = ["a", "b", "c"].map(component).to_vec();
    all.extend(["n1", "n2"].map(|id| create("namespaces", id, json!({}))));
    all.push(create("rolebindings", "r1", json!({"role": "view"})));
    all.extend([cluster("c1", "dev"), cluster("c2", "prod"), cluster("c3", "dev")]);
    all
}

/// What is often done to such a fleet.
fn daily_operation() -> BoxedStrategy<Operation> {
    let of =
        |plural: &'static str, ids: Vec<&'static str>| select(ids).prop_map(move |id| Key::new(plural, id));
    let cluster = move || of("clusters", vec!["c1", "c2", "c3"]);
    let component = move || of("platform_components", vec!["a", "b", "c"]);
    let said = select(vec![
        json!({"enabled": false}),
        json!({"enabled": true}),
        json!({"enabled": null, "on_remove": "keep"}),
        json!({"oci_tag": "v2"}),
        json!({"oci_tag": "latest"}),
        json!({"component_path": "p1"}),
        json!({"release": {"name": "other"}}),
        json!({"release": {"target_namespace": "n1", "values": {"x": null}}}),
        json!({"release": {"values": {"x": {"y": 1}}}}),
    ]);
    let order = (Just(vec!["a", "b", "c"]).prop_shuffle(), 0..4_usize).prop_map(|(mut ids, count)| {
        ids.truncate(count);
        json!({"platform_components": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()})
    });
    let of_cluster = select(vec![
        json!({"namespaces": [{"id": "n2"}]}),
        json!({"namespaces": []}),
        json!({"namespaces": [{"id": "n2"}, {"id": "n1"}]}),
        json!({"aliases": []}),
        json!({"environment": "dev"}),
        json!({"patches": {"a": {"x": "1"}}}),
        json!({"cluster_dns": "new.example.com"}),
    ]);
    let update = |key: Key, body: Value| Operation::new(Verb::Update, key, Some(body));
    prop_oneof![
        3 => (cluster(), order).prop_map(move |(key, body)| update(key, body)),
        3 => (cluster(), of_cluster).prop_map(move |(key, body)| update(key, body)),
        4 => (cluster(), select(vec!["a", "b", "c"]), said.clone()).prop_map(|(key, id, body)| {
            Operation::new(Verb::Patch, key, Some(body)).on("platform_components", id)
        }),
        4 => (component(), said).prop_map(|(key, body)| Operation::new(Verb::Patch, key, Some(body))),
        1 => (component(), Just(json!({"delivery": "kustomize"}))).prop_map(move |(key, body)| update(key, body)),
        1 => cluster().prop_map(|key| Operation::new(Verb::Delete, key, None)),
        1 => of("tombstones", vec!["c1", "c2", "c3"]).prop_map(|key| Operation::new(Verb::Delete, key, None)),
        3 => profile_operation(),
        5 => operation(),
    ]
    .boxed()
}

fn histories() -> BoxedStrategy<Vec<Operation>> {
    let full = prop::collection::vec(daily_operation(), 0..12).prop_map(|more| {
        let mut all = full_fleet();
        all.extend(more);
        all
    });
    prop_oneof![1 => operations(), 3 => full].boxed()
}

fn writes(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(daily_operation(), count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_what_comparing_every_answer_says(
        operations in histories(), more in writes(1..7),
    ) {
        let fleet = History::after(&operations).fleet;
        let Some((_, prepared)) = accepted(&fleet, more) else { return Ok(()) };
        let plan = planned(&fleet, &prepared);
        let (before, after) = (seen_through(&fleet), seen_through(&prepared.after));
        let changes = brute_force(&before, &after);
        let expected: BTreeMap<_, _> = changes
            .iter()
            .map(|(key, (was, is))| (key.clone(), told(&key.1, &key.2, was, is)))
            .collect();
        prop_assert_eq!(ungrouped(&plan), expected);

        let affected: BTreeSet<_> = changes.keys().map(|(cluster, ..)| cluster).collect();
        prop_assert_eq!(plan.clusters, affected.len());
        let counts = destroyed(&before, &after, &changes).map(|clusters| clusters.len());
        let destructive = plan.destructive;
        prop_assert_eq!([destructive.clusters, destructive.protected, destructive.emptied], counts);
        let held: BTreeMap<_, _> = plan.frozen.iter().map(|held| (held.freeze.clone(), held.clusters.clone())).collect();
        prop_assert_eq!(held, frozen(&prepared.after, &after, &changes));
        prop_assert_eq!(ungrouped_hidden(&plan, false), hidden(&before, &after));
        prop_assert_eq!(ungrouped_hidden(&plan, true), hidden_of_profiles(&before, &after));
    }

    #[test]
    fn digests_are_equal_exactly_where_effects_are(
        operations in histories(), one in writes(1..4), between in daily_operation(), other in writes(1..4),
    ) {
        let fleet = History::after(&operations).fleet;
        let mut later = History { fleet: fleet.clone() };
        let _refused = later.write(&[between]);
        let of = |fleet: &Fleet, operations: &[Operation]| {
            let (_, prepared) = accepted(fleet, operations.to_vec())?;
            let changes = brute_force(&seen_through(fleet), &seen_through(&prepared.after));
            Some((planned(fleet, &prepared).digest, changes))
        };
        let reversed: Vec<_> = one.iter().rev().cloned().collect();
        let plans = [of(&fleet, &one), of(&later.fleet, &one), of(&fleet, &other), of(&fleet, &reversed)];
        let plans: Vec<_> = plans.into_iter().flatten().collect();
        for (digest, changes) in &plans {
            for (other, others) in &plans {
                prop_assert_eq!(digest == other, changes == others, "{:?} {:?}", changes, others);
            }
        }
    }

    #[test]
    fn a_plan_of_some_clusters_is_that_part_of_the_whole(
        operations in histories(), more in writes(1..7),
    ) {
        let fleet = History::after(&operations).fleet;
        let Some((_, prepared)) = accepted(&fleet, more) else { return Ok(()) };
        let whole = planned(&fleet, &prepared);
        for id in ["c1", "c2", "c3", "nobody"] {
            let keys = prepared.documents.iter().map(|document| &document.key);
            let alone = plan_of(&fleet, &prepared.after, keys, |cluster| cluster == id);
            let cut = whole.of_cluster(id);
            // Of as many clusters each, the order of what is said last differs.
            let sorted = |plan: &Plan| {
                let mut texts: Vec<_> = plan.effects.iter().map(|effect| serde_json::to_string(effect).unwrap()).collect();
                texts.extend(plan.hidden.iter().map(|hidden| serde_json::to_string(hidden).unwrap()));
                texts.extend(plan.warnings.iter().map(|warning| serde_json::to_string(warning).unwrap()));
                texts.sort();
                texts
            };
            prop_assert_eq!(sorted(&alone), sorted(&cut));
            prop_assert_eq!((alone.clusters, alone.destructive), (cut.clusters, cut.destructive));
            prop_assert_eq!(alone.frozen, cut.frozen);
        }
    }
}

#[test]
fn the_changes_reach_what_they_are_meant_to() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    let strategy = (histories(), writes(1..7));
    for _ in 0..400 {
        let (operations, more) = strategy.new_tree(&mut runner).unwrap().current();
        let fleet = History::after(&operations).fleet;
        let Some((_, prepared)) = accepted(&fleet, more) else { continue };
        let plan = serde_json::to_value(planned(&fleet, &prepared)).unwrap();
        let mut reach = |what: &str| *reached.entry(what.to_owned()).or_default() += 1;
        for effect in plan["effects"].as_array().unwrap() {
            reach(effect["effect"].as_str().unwrap());
            if effect["type"] == "clusters" {
                reach(&format!("clusters {}", effect["effect"].as_str().unwrap()));
            }
        }
        for warning in plan["warnings"].as_array().unwrap() {
            reach(warning["code"].as_str().unwrap());
        }
        for part in ["hidden", "frozen"] {
            plan[part].as_array().unwrap().iter().for_each(|_| reach(part));
        }
        for count in ["protected", "emptied"] {
            if plan["destructive"][count] != 0 {
                reach(count);
            }
        }
    }
    let needed = [
        "remove",
        "disable",
        "replace",
        "install",
        "enable",
        "change",
        "reorder",
        "clusters remove",
        "clusters install",
        "clusters change",
        "hidden",
        "frozen",
        "protected",
        "emptied",
        "held",
        "alias_removed",
        "name_freed",
        "namespace_first",
        "keep_too_late",
        "latest",
        "namespace_missing",
        "protection_lost",
        "role_changed",
    ];
    let missing: Vec<_> = needed.into_iter().filter(|what| !reached.contains_key(*what)).collect();
    assert!(missing.is_empty(), "{missing:?} of {reached:?}");
}

const FLEET: &str = r#"{
    "clusters": [
        {"cluster_name": "eu-1", "cluster_dns": "eu-1.example.com", "environment": "prod",
            "platform_components": [{"id": "cert-manager"}, {"id": "grafana"}, {"id": "ingress", "on_remove": "keep"}],
            "namespaces": [{"id": "monitoring"}, {"id": "old"}], "rolebindings": [{"id": "admins"}]},
        {"cluster_name": "eu-2", "cluster_dns": "eu-2.example.com", "environment": "prod",
            "platform_components": [{"id": "grafana", "oci_tag": "1.0.9"}, {"id": "overlay"}]},
        {"cluster_name": "us-1", "cluster_dns": "us-1.example.com", "environment": "dev", "aliases": ["old.example.com"],
            "platform_components": [{"id": "cert-manager"}, {"id": "grafana"}, {"id": "ingress", "enabled": false}]},
        {"cluster_name": "us-2", "cluster_dns": "us-2.example.com", "environment": "dev", "namespaces": [{"id": "old"}]}
    ],
    "platform_components": [
        {"id": "cert-manager", "component_path": "cert-manager", "oci_url": "oci://registry/charts", "oci_tag": "1.0.0"},
        {"id": "grafana", "component_path": "grafana", "oci_url": "oci://registry/charts", "oci_tag": "1.0.0",
            "release": {"target_namespace": "monitoring"}},
        {"id": "ingress", "component_path": "ingress", "oci_url": "oci://registry/charts", "oci_tag": "1.0.0"},
        {"id": "overlay", "component_path": "core", "oci_url": "oci://registry/x", "oci_tag": "1.0.0", "delivery": "kustomize"}
    ],
    "namespaces": [{"id": "monitoring"}, {"id": "old"}],
    "rolebindings": [{"id": "admins", "role": "view"}]
}"#;

/// The plan of `asked`, written as in a change set, on [`FLEET`]: each entry of its lists on a line.
#[track_caller]
fn shown(asked: &[(Verb, &str, Value)]) -> String {
    let fleet = Fleet::from_json(FLEET).unwrap();
    let operations: Vec<_> = asked
        .iter()
        .map(|(verb, target, body)| {
            let (key, part) = Operation::parse_target(target).unwrap();
            let body = (*verb != Verb::Delete).then(|| body.clone());
            Operation { part, ..Operation::new(*verb, key, body) }
        })
        .collect();
    let prepared = fleet.prepare(&operations).unwrap();
    let mut plan = planned(&fleet, &prepared);
    plan.confirmation = plan.confirmation(2);
    let Value::Object(plan) = serde_json::to_value(&plan).unwrap() else { unreachable!() };
    let lines = plan.iter().filter(|(field, _)| *field != "digest").map(|(field, value)| match value {
        Value::Array(entries) => {
            format!("{field}:\n{}", entries.iter().map(|entry| format!("  {entry}\n")).collect::<String>())
        }
        value => format!("{field}: {value}\n"),
    });
    lines.collect()
}

#[test]
fn a_plan_shows_every_kind_of_effect() {
    let asked = [
        (Verb::Patch, "platform_components/grafana", json!({"oci_tag": "1.1.0"})),
        (Verb::Patch, "platform_components/cert-manager", json!({"release": {"name": "certs"}})),
        (Verb::Delete, "clusters/eu-1/platform_components/ingress", Value::Null),
        (
            Verb::Update,
            "clusters/eu-2",
            json!({"platform_components": [{"id": "overlay"}, {"id": "grafana", "oci_tag": "1.0.9"}]}),
        ),
        (
            Verb::Patch,
            "clusters/us-1/platform_components/ingress",
            json!({"enabled": null, "oci_tag": "latest"}),
        ),
        (Verb::Patch, "clusters/us-1/platform_components/grafana", json!({"enabled": false})),
        (Verb::Update, "clusters/us-2/platform_components/grafana", json!({})),
        (Verb::Delete, "clusters/us-2/namespaces/old", Value::Null),
        (Verb::Patch, "rolebindings/admins", json!({"role": "edit"})),
        (
            Verb::Create,
            "clusters/us-3",
            json!({"cluster_name": "us-3", "cluster_dns": "us-3.example.com", "environment": "dev"}),
        ),
        (Verb::Create, "freezes/sunday", json!({"selector": "id=us-1", "reason": "nobody is here"})),
    ];
    insta::assert_snapshot!(shown(&asked), @r#"
    clusters: 5
    confirmation:
      "it removes, disables or replaces something on 3 clusters; the limit is 2"
      "it removes, disables or replaces something on 1 cluster of a protected environment"
      "it leaves an answer without any inputs, where there were some, on 1 cluster"
    destructive: {"clusters":3,"emptied":1,"protected":1}
    effects:
      {"clusters":["eu-1","us-1"],"count":2,"destructive":true,"effect":"replace","fields":[{"from":null,"path":"release.name","to":"certs"}],"input":"cert-manager","type":"platform_components"}
      {"clusters":["us-2"],"count":1,"destructive":true,"effect":"remove","fields":[],"input":"old","on_remove":"delete","type":"namespaces"}
      {"clusters":["us-1"],"count":1,"destructive":true,"effect":"disable","fields":[{"from":true,"path":"enabled","to":false},{"from":"1.0.0","path":"source.oci_tag","to":"1.1.0"}],"input":"grafana","type":"platform_components"}
      {"clusters":["eu-1"],"count":1,"destructive":true,"effect":"remove","fields":[],"input":"ingress","on_remove":"keep","type":"platform_components"}
      {"clusters":["us-3"],"count":1,"destructive":false,"effect":"install","fields":[{"from":null,"path":"environment","to":"dev"}],"input":"","type":"clusters"}
      {"clusters":["us-2"],"count":1,"destructive":false,"effect":"install","fields":[{"from":null,"path":"cluster_env_enabled","to":false},{"from":null,"path":"component_path","to":"grafana"},{"from":null,"path":"component_version","to":"latest"},{"from":null,"path":"delivery","to":"helm"},{"from":null,"path":"enabled","to":true},{"from":null,"path":"on_remove","to":"delete"},{"from":null,"path":"release.target_namespace","to":"monitoring"},{"from":null,"path":"source.oci_tag","to":"1.1.0"},{"from":null,"path":"source.oci_url","to":"oci://registry/charts"}],"input":"grafana","type":"platform_components"}
      {"clusters":["us-1"],"count":1,"destructive":false,"effect":"enable","fields":[{"from":false,"path":"enabled","to":true},{"from":"1.0.0","path":"source.oci_tag","to":"latest"}],"input":"ingress","type":"platform_components"}
      {"clusters":["eu-2"],"count":1,"destructive":false,"effect":"reorder","fields":[{"from":["grafana","overlay"],"path":"inputs","to":["overlay","grafana"]}],"input":"","type":"platform_components"}
      {"clusters":["eu-1"],"count":1,"destructive":false,"effect":"change","fields":[{"from":"1.0.0","path":"source.oci_tag","to":"1.1.0"}],"input":"grafana","type":"platform_components"}
      {"clusters":["eu-1"],"count":1,"destructive":false,"effect":"change","fields":[{"from":"view","path":"role","to":"edit"}],"input":"admins","type":"rolebindings"}
    frozen:
      {"clusters":["us-1"],"count":1,"freeze":"sunday","reason":"nobody is here"}
    hidden:
      {"clusters":["eu-2"],"count":1,"fields":[{"from":"1.0.0","path":"source.oci_tag","to":"1.1.0"}],"input":"grafana","type":"platform_components"}
    revision: 1
    warnings:
      {"clusters":["us-1"],"code":"freezes","count":1,"message":"is frozen by sunday: polls get 503, so it keeps what it has"}
      {"clusters":["eu-1"],"code":"role_changed","count":1,"message":"admins: the role changes, so Kubernetes deletes the binding and makes it anew: a moment without it"}
      {"clusters":["us-1"],"code":"latest","count":1,"message":"ingress: no version is named, so each cluster installs the latest that it finds, whenever it looks"}
      {"clusters":["us-2"],"code":"namespace_missing","count":1,"message":"grafana: goes into the namespace monitoring, which is none of the cluster's"}
      {"clusters":["us-1"],"code":"namespace_missing","count":1,"message":"ingress: goes into the namespace ingress, which is none of the cluster's"}
    "#);
}

#[test]
fn a_plan_warns_of_what_is_likely_not_meant() {
    let asked = [
        (Verb::Update, "clusters/eu-1", json!({"namespaces": [], "environment": "dev"})),
        (Verb::Patch, "platform_components/ingress", json!({"on_remove": "keep"})),
        (Verb::Delete, "clusters/us-1/platform_components/ingress", Value::Null),
        (Verb::Update, "clusters/us-1", json!({"aliases": []})),
        (Verb::Patch, "platform_components/overlay", json!({"component_path": "core/next"})),
        (Verb::Delete, "clusters/eu-2", Value::Null),
        (Verb::Delete, "clusters/us-2", Value::Null),
    ];
    insta::assert_snapshot!(shown(&asked), @r#"
    clusters: 4
    confirmation:
      "it removes, disables or replaces something on 3 clusters; the limit is 2"
      "it removes, disables or replaces something on 1 cluster of a protected environment"
      "it leaves an answer without any inputs, where there were some, on 2 clusters"
    destructive: {"clusters":3,"emptied":2,"protected":1}
    effects:
      {"clusters":["eu-1","us-2"],"count":2,"destructive":true,"effect":"remove","fields":[],"input":"old","on_remove":"delete","type":"namespaces"}
      {"clusters":["us-2"],"count":1,"destructive":true,"effect":"remove","fields":[],"input":"","type":"clusters"}
      {"clusters":["eu-1"],"count":1,"destructive":true,"effect":"replace","fields":[{"from":"prod","path":"environment","to":"dev"}],"input":"","type":"clusters"}
      {"clusters":["eu-1"],"count":1,"destructive":true,"effect":"remove","fields":[],"input":"monitoring","on_remove":"delete","type":"namespaces"}
      {"clusters":["us-1"],"count":1,"destructive":true,"effect":"remove","fields":[],"input":"ingress","on_remove":"delete","type":"platform_components"}
      {"clusters":["eu-1"],"count":1,"destructive":false,"effect":"change","fields":[{"from":"prod","path":"cluster.environment","to":"dev"}],"input":"cert-manager","type":"platform_components"}
      {"clusters":["eu-1"],"count":1,"destructive":false,"effect":"change","fields":[{"from":"prod","path":"cluster.environment","to":"dev"}],"input":"grafana","type":"platform_components"}
      {"clusters":["eu-1"],"count":1,"destructive":false,"effect":"change","fields":[{"from":"prod","path":"cluster.environment","to":"dev"}],"input":"ingress","type":"platform_components"}
      {"clusters":["eu-2"],"count":1,"destructive":false,"effect":"change","fields":[{"from":"core","path":"component_path","to":"core/next"}],"input":"overlay","type":"platform_components"}
      {"clusters":["eu-1"],"count":1,"destructive":false,"effect":"change","fields":[{"from":"prod","path":"cluster.environment","to":"dev"}],"input":"admins","type":"rolebindings"}
    frozen:
    hidden:
      {"clusters":["eu-1"],"count":1,"fields":[{"from":"delete","path":"on_remove","to":"keep"}],"input":"ingress","type":"platform_components"}
    revision: 1
    warnings:
      {"clusters":["eu-1"],"code":"namespace_first","count":1,"message":"namespaces/monitoring goes, and grafana stays in it: Kubernetes deletes what grafana has there"}
      {"clusters":["us-1"],"code":"keep_too_late","count":1,"message":"platform_components/ingress: on_remove is set to keep only now, which Flux has not seen: the objects are deleted; set it first, and remove it when the clusters have polled"}
      {"clusters":["eu-1"],"code":"protection_lost","count":1,"message":"goes from the protected environment prod to dev, where a delete is not held first"}
      {"clusters":["eu-2"],"code":"held","count":1,"message":"is deleted and held: polls get 410, so the cluster keeps what it has until it is restored or wiped"}
      {"clusters":["us-1"],"code":"alias_removed","count":1,"message":"old.example.com is given up: polls under it get 404, and another cluster may take it"}
      {"clusters":["eu-2"],"code":"path_changed","count":1,"message":"overlay: its folder changes from core to core/next: objects that only the old one has are deleted"}
    "#);
}

#[test]
fn what_changes_no_answer_has_the_empty_plans_digest() {
    let fleet = Fleet::from_json(FLEET).unwrap();
    let labels =
        Operation::new(Verb::Patch, Key::new("clusters", "eu-1"), Some(json!({"labels": {"tier": "edge"}})));
    let plan = planned(&fleet, &fleet.prepare(&[labels]).unwrap());
    assert_eq!((plan.clusters, plan.effects.len(), plan.warnings.len()), (0, 0, 0));
    assert_eq!(plan.digest, planned(&fleet, &fleet.prepare(&[]).unwrap()).digest);
    assert_eq!(plan.confirmation(0), Vec::<String>::new());
}

#[test]
fn the_last_cluster_to_leave_empties_the_list() {
    let mut history = History { fleet: Fleet::from_json(FLEET).unwrap() };
    for id in ["eu-1", "eu-2", "us-1"] {
        history.write(&[Operation::new(Verb::Delete, Key::new("clusters", id), None)]).unwrap();
    }
    for id in ["eu-1", "eu-2"] {
        let wipe = Operation::new(Verb::Update, Key::new("tombstones", id), Some(json!({"held": null})));
        history.write(&[wipe]).unwrap();
    }
    let bare = Operation::new(Verb::Update, Key::new("clusters", "us-2"), Some(json!({"namespaces": []})));
    history.write(&[bare]).unwrap();
    let delete = Operation::new(Verb::Delete, Key::new("clusters", "us-2"), None);
    let plan = planned(&history.fleet, &history.fleet.prepare(&[delete]).unwrap());
    assert_eq!((plan.destructive.clusters, plan.destructive.emptied), (1, 1));
}

#[test]
fn what_flux_uninstalls_for_is_a_replacement() {
    let kind = |component: &str, change: Value| {
        let fleet = Fleet::from_json(FLEET).unwrap();
        let key = Key::new("platform_components", component);
        let prepared = fleet.prepare(&[Operation::new(Verb::Patch, key, Some(change))]).unwrap();
        planned(&fleet, &prepared).effects.first().map(|effect| effect.effect)
    };
    let (replaced, changed) = (Some(EffectKind::Replace), Some(EffectKind::Change));
    for (component, change, expected) in [
        ("ingress", json!({"component_path": "ingress-nginx"}), replaced),
        ("ingress", json!({"delivery": "kustomize"}), replaced),
        ("ingress", json!({"release": {"name": "front"}}), replaced),
        ("ingress", json!({"release": {"name": "ingress", "target_namespace": "ingress"}}), changed),
        ("ingress", json!({"release": {"target_namespace": "front"}}), replaced),
        ("ingress", json!({"oci_url": "oci://elsewhere/charts"}), changed),
        // Where none is said, a Kustomization's objects are where they say themselves.
        ("overlay", json!({"release": {"target_namespace": "overlay"}}), replaced),
        ("overlay", json!({"component_path": "core/next"}), changed),
    ] {
        assert_eq!(kind(component, change.clone()), expected, "{component} {change}");
    }
}
