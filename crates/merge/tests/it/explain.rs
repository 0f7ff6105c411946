//! What is said about where an answer's fields come from: laws over random fleets, and a scene.

use std::collections::BTreeMap;

use flux_resourceset_merge::{
    ExplainedField, ExplainedInput, Field, Fleet, LastChange, LastChanges, NoExplanation, Origin,
};
use flux_resourceset_model::change::{Key, Operation, Verb};
use flux_resourceset_model::{Body, Rules};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::history::{History, PATHS, documents, operations, stored};
use crate::naive;

/// The keys that `path` was made of.
fn keys(path: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('[') {
            let mut read = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
            keys.push(read.next().unwrap().unwrap());
            rest = &quoted[read.byte_offset() + 1..];
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            keys.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    keys
}

/// The input that `fields` are said to be.
pub(crate) fn rebuilt(fields: &[ExplainedField]) -> Value {
    let mut whole = json!({});
    for field in fields {
        let place = keys(&field.path).into_iter().fold(&mut whole, |value, key| &mut value[key]);
        assert_eq!(*place, Value::Null, "{} is said twice", field.path);
        *place = field.value.clone();
    }
    whole
}

fn body(fleet: &Fleet, key: &Key) -> Body {
    serde_json::from_slice(&fleet.get(key).unwrap().body()).unwrap()
}

/// `fleet` without what stands at `field` of `document`, if that leaves a document that can be read.
fn without(fleet: &Fleet, document: &Key, field: &Field) -> Option<Fleet> {
    let mut body = Value::Object(body(fleet, document));
    let (last, above) = field.steps().split_last().unwrap();
    let place = above.iter().fold(&mut body, |value, step| match value {
        Value::Array(items) => items.iter_mut().find(|item| item["id"] == **step).unwrap(),
        value => &mut value[step],
    });
    place.as_object_mut().unwrap().remove(last).unwrap();
    let mut documents = stored(fleet);
    let one = documents.iter_mut().find(|(key, ..)| key == document).unwrap();
    one.2 = body.to_string().into_bytes();
    Fleet::load(Rules::default(), fleet.revision(), documents).ok()
}

fn explained(fleet: &Fleet, cluster: &str, kind: &str, input: &str) -> Vec<ExplainedField> {
    fleet.explain(cluster, Some(kind), Some(input)).unwrap().remove(0).fields
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fields_explained_are_the_answer(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        let mut documents = documents(&fleet);
        // What would be answered were nothing held or frozen.
        documents.get_mut("freezes").unwrap().clear();
        for (id, tombstone) in documents["tombstones"].clone() {
            if tombstone["held"] == true {
                documents.get_mut("clusters").unwrap().insert(id, tombstone["cluster"].clone());
            }
        }
        for (id, cluster) in &documents["clusters"] {
            let everything = fleet.explain(id, None, None).unwrap();
            let mut answered = 0;
            for path in PATHS {
                let answer = naive::answer(&documents, cluster["cluster_dns"].as_str().unwrap(), path).unwrap();
                let of_type = fleet.explain(id, Some(path), None).unwrap();
                let inputs: Vec<_> = of_type.iter().map(|input| rebuilt(&input.fields)).collect();
                prop_assert_eq!(json!({"inputs": inputs}), answer);
                prop_assert!(everything[answered..].starts_with(&of_type));
                answered += of_type.len();
            }
            prop_assert_eq!(answered, everything.len());
        }
    }

    #[test]
    fn each_value_stands_where_it_is_said_to(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        for id in fleet.subjects() {
            let fields = fleet.explain(id, None, None).unwrap().into_iter().flat_map(|input| input.fields);
            for ExplainedField { path, value, from, document, field, overrode } in fields {
                let body = body(&fleet, &document);
                let stands = field.value(&document.kind, &body);
                let expected = (from != Origin::Default).then_some(&value);
                prop_assert_eq!(stands, expected, "{}", path);
                let definition = matches!(document.kind.as_str(), "platform_components" | "namespaces" | "rolebindings");
                match from {
                    Origin::Catalog | Origin::Definition => prop_assert!(definition),
                    Origin::Cluster | Origin::Patch | Origin::Override => prop_assert!(!definition),
                    Origin::Profile => prop_assert_eq!(&document.kind, "profiles"),
                    Origin::Default => {}
                }
                prop_assert!(overrode.is_none() || matches!(from, Origin::Override | Origin::Patch | Origin::Profile), "{}", path);
            }
        }
    }

    #[test]
    fn without_its_source_a_field_is_what_that_overrode(operations in operations()) {
        let fleet = History::after(&operations).fleet;
        for id in fleet.subjects() {
            for ExplainedInput { kind, id: input, fields } in fleet.explain(id, None, None).unwrap() {
                // A reference without its id refers to nothing.
                let said = fields.iter().filter(|field| field.path != "id");
                for field in said.filter(|field| !matches!(field.from, Origin::Cluster | Origin::Default)) {
                    // Without it a document may be none any more, or profiles may disagree that it goes over.
                    let Some(fleet) = without(&fleet, &field.document, &field.field) else {
                        let required = ["component_path", "source.oci_url", "role"].contains(&field.path.as_str());
                        prop_assert!(required || fleet.profiles_of(id).count() > 1);
                        continue;
                    };
                    let now = explained(&fleet, id, &kind, &input);
                    let whole = rebuilt(&now);
                    let value = keys(&field.path).iter().try_fold(&whole, |value, key| value.get(key));
                    let same = now.iter().find(|other| other.path == field.path);
                    match &field.overrode {
                        Some(overrode) => {
                            prop_assert_eq!(value, Some(&overrode.value), "{}", field.path);
                            let below = |path: &str| path.starts_with(&field.path);
                            let layers = overrode.value.is_object() && fleet.profiles_of(id).next().is_some();
                            prop_assert!(layers || now.iter().filter(|other| below(&other.path)).all(|other| other.from == overrode.from));
                        }
                        None => prop_assert!(same.is_none_or(|same| same.from == Origin::Default), "{:?}", same),
                    }
                }
            }
        }
    }

    #[test]
    fn the_last_change_of_a_field_is_where_its_value_came_up(operations in operations(), cut in 0_u64..20) {
        let mut history = History::new();
        let mut versions: BTreeMap<Key, Vec<(u64, Option<Body>)>> = BTreeMap::new();
        for operation in &operations {
            let Ok(documents) = history.write(std::slice::from_ref(operation)) else { continue };
            for document in documents {
                let body = document.body.map(|body| serde_json::from_slice(&body).unwrap());
                versions.entry(document.key).or_default().push((history.fleet.revision(), body));
            }
        }
        for id in history.fleet.subjects() {
            for ExplainedField { document, field, .. } in
                history.fleet.explain(id, None, None).unwrap().into_iter().flat_map(|input| input.fields)
            {
                let mut since = None;
                let mut earlier = None;
                let known = &versions[&document];
                // What was forgotten: all but the last version up to the cut.
                let first = known.iter().rposition(|(revision, _)| *revision <= cut).unwrap_or(0);
                for (revision, body) in &known[first..] {
                    let state = body.as_ref().map(|body| field.value(&document.kind, body));
                    if earlier.as_ref() != Some(&state) {
                        since = Some(*revision);
                    }
                    earlier = Some(state);
                }
                let expected = since.filter(|since| *since > cut).map_or(LastChange::BeforeHistory, LastChange::At);
                let mut walk = LastChanges::new(&document.kind, [field.clone()]);
                let mut done = false;
                for (revision, body) in known[first..].iter().rev() {
                    prop_assert!(!done);
                    done = walk.feed(*revision, body.as_ref());
                    if done {
                        break;
                    }
                }
                prop_assert_eq!(walk.finish(cut), [(field, expected)]);
            }
        }
    }
}

const SCENE: &str = r#"{
    "clusters": [{"cluster_name": "eu-1", "cluster_dns": "eu-1.example.com", "environment": "prod",
        "platform_components": [{"id": "grafana", "oci_tag": "v2", "on_remove": "keep",
            "release": {"values": {"ui": "flat", "image": {"tag": "x"}}}}],
        "namespaces": [{"id": "n", "on_remove": "keep"}],
        "patches": {"grafana": {"ui.color": "red"}}}],
    "platform_components": [{"id": "grafana", "component_path": "grafana", "oci_url": "oci://registry/repo",
        "oci_tag": "v1", "release": {"timeout": "5m", "values": {"ui": {"color": "blue"}, "image": {"tag": null, "pull": []}}}}],
    "namespaces": [{"id": "n", "labels": {"example.com/team": "x"}}]
}"#;

fn table(inputs: &[ExplainedInput]) -> String {
    let lines = inputs.iter().flat_map(|input| &input.fields).map(|explained| {
        let ExplainedField { path, value, from, document, field, overrode } = explained;
        let overrode =
            overrode.as_ref().map(|overrode| format!(" over {} ({:?})", overrode.value, overrode.from));
        format!("{path}: {value} ({from:?}) {document} {field}{}\n", overrode.unwrap_or_default())
    });
    lines.collect()
}

#[test]
fn every_field_says_who_said_it() {
    let fleet = Fleet::from_json(SCENE).unwrap();
    insta::assert_snapshot!(table(&fleet.explain("eu-1", None, None).unwrap()), @r#"
    cluster.dns: "eu-1.example.com" (Cluster) clusters/eu-1 cluster_dns
    cluster.environment: "prod" (Cluster) clusters/eu-1 environment
    cluster.name: "eu-1" (Cluster) clusters/eu-1 cluster_name
    cluster_env_enabled: false (Default) platform_components/grafana cluster_env_enabled
    component_path: "grafana" (Catalog) platform_components/grafana component_path
    component_version: "latest" (Default) platform_components/grafana component_version
    delivery: "helm" (Default) platform_components/grafana delivery
    depends_on: [] (Default) platform_components/grafana depends_on
    enabled: true (Default) platform_components/grafana enabled
    id: "grafana" (Cluster) clusters/eu-1 platform_components/grafana/id
    on_remove: "keep" (Override) clusters/eu-1 platform_components/grafana/on_remove
    patches["ui.color"]: "red" (Patch) clusters/eu-1 patches/grafana/ui.color
    release.timeout: "5m" (Catalog) platform_components/grafana release/timeout
    release.values.image.pull: [] (Catalog) platform_components/grafana release/values/image/pull
    release.values.image.tag: "x" (Override) clusters/eu-1 platform_components/grafana/release/values/image/tag over null (Catalog)
    release.values.ui: "flat" (Override) clusters/eu-1 platform_components/grafana/release/values/ui over {"color":"blue"} (Catalog)
    source.oci_tag: "v2" (Override) clusters/eu-1 platform_components/grafana/oci_tag over "v1" (Catalog)
    source.oci_url: "oci://registry/repo" (Catalog) platform_components/grafana oci_url
    annotations: {} (Default) namespaces/n annotations
    cluster.dns: "eu-1.example.com" (Cluster) clusters/eu-1 cluster_dns
    cluster.environment: "prod" (Cluster) clusters/eu-1 environment
    cluster.name: "eu-1" (Cluster) clusters/eu-1 cluster_name
    id: "n" (Cluster) clusters/eu-1 namespaces/n/id
    labels["example.com/team"]: "x" (Definition) namespaces/n labels/example.com~1team
    on_remove: "keep" (Override) clusters/eu-1 namespaces/n/on_remove
    "#);
    let field = fleet.explain("eu-1", Some("platform-components"), Some("grafana")).unwrap().remove(0);
    let tag = field.fields.iter().find(|field| field.path == "source.oci_tag").unwrap();
    insta::assert_snapshot!(serde_json::to_string(tag).unwrap(), @r#"{"path":"source.oci_tag","value":"v2","from":"override","document":"clusters/eu-1","field":"platform_components/grafana/oci_tag","overrode":{"value":"v1","from":"catalog","document":"platform_components/grafana"}}"#);
}

#[test]
fn patches_that_are_all_unset_are_nobodys() {
    let fleet = Fleet::from_json(
        r#"{
        "clusters": [{"cluster_name": "eu-1", "cluster_dns": "eu-1.example.com", "environment": "prod",
            "platform_components": [{"id": "grafana"}], "unset_patches": {"grafana": ["ui"]}}],
        "profiles": [{"id": "base", "selector": "", "patches": {"grafana": {"ui": "flat"}}}],
        "platform_components": [{"id": "grafana", "component_path": "grafana", "oci_url": "oci://registry/repo"}]
    }"#,
    );
    let fields = explained(&fleet.unwrap(), "eu-1", "platform-components", "grafana");
    let patches = fields.into_iter().find(|field| field.path == "patches").unwrap();
    assert_eq!((patches.from, patches.value, patches.overrode), (Origin::Default, json!({}), None));
}

#[test]
fn a_held_cluster_is_explained_by_its_tombstone() {
    let mut history = History { fleet: Fleet::from_json(SCENE).unwrap() };
    history.write(&[Operation::new(Verb::Delete, Key::new("clusters", "eu-1"), None)]).unwrap();
    insta::assert_snapshot!(table(&history.fleet.explain("eu-1", Some("namespaces"), None).unwrap()), @r#"
    annotations: {} (Default) namespaces/n annotations
    cluster.dns: "eu-1.example.com" (Cluster) tombstones/eu-1 cluster/cluster_dns
    cluster.environment: "prod" (Cluster) tombstones/eu-1 cluster/environment
    cluster.name: "eu-1" (Cluster) tombstones/eu-1 cluster/cluster_name
    id: "n" (Cluster) tombstones/eu-1 cluster/namespaces/n/id
    labels["example.com/team"]: "x" (Definition) namespaces/n labels/example.com~1team
    on_remove: "keep" (Override) tombstones/eu-1 cluster/namespaces/n/on_remove
    "#);
}

#[test]
fn what_is_not_there_is_not_explained() {
    let fleet = Fleet::from_json(SCENE).unwrap();
    let refused = |cluster, kind, input| fleet.explain(cluster, kind, input).unwrap_err();
    assert_eq!(refused("eu-2", None, None), NoExplanation::UnknownCluster("eu-2".into()));
    assert_eq!(refused("eu-1", Some("clusters"), None), NoExplanation::UnknownType("clusters".into()));
    assert_eq!(refused("eu-1", Some("namespaces"), Some("m")), NoExplanation::UnknownInput("m".into()));
    assert_eq!(fleet.explain("eu-1", Some("rolebindings"), None), Ok(Vec::new()));
}
