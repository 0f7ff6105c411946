//! What a write is refused for, and what an accepted one leaves behind.

use flux_resourceset_merge::{Fleet, Refusal};
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{DocumentChange, Key, Operation, Verb};
use serde_json::{Value, json};

use crate::history::History;

const BASE: &str = r#"{
    "clusters": [{"cluster_name": "c", "cluster_dns": "c.example.com", "environment": "dev",
        "platform_components": [{"id": "cert-manager"}, {"id": "grafana"}], "namespaces": [{"id": "n"}],
        "patches": {"grafana": {"a.b": "1"}}}],
    "platform_components": [
        {"id": "cert-manager", "component_path": "cert-manager", "oci_url": "https://charts.example.com"},
        {"id": "grafana", "component_path": "grafana", "oci_url": "oci://registry/repo", "depends_on": ["cert-manager"]},
        {"id": "overlay", "component_path": "core/x", "oci_url": "oci://registry/repo", "delivery": "kustomize"}],
    "namespaces": [{"id": "n"}]
}"#;

fn operation(verb: Verb, path: &str, body: Value) -> Operation {
    let (kind, id) = path.split_once('/').unwrap();
    let body = (verb != Verb::Delete).then_some(body);
    Operation::new(verb, Key::new(kind, id), body)
}

#[track_caller]
fn refused(operations: &[Operation]) -> String {
    let refusal = Fleet::from_json(BASE).unwrap().prepare(operations).unwrap_err();
    let lines = refusal.violations().iter().map(|violation| format!("\n{violation}"));
    format!("{}: {refusal}{}", refusal.code(), lines.collect::<String>())
}

#[track_caller]
fn written(operations: &[Operation]) -> String {
    let changes = Fleet::from_json(BASE).unwrap().prepare(operations).unwrap().documents;
    let lines = changes.iter().map(|DocumentChange { key, body }| {
        let body = body.as_ref().map_or("gone".into(), |body| String::from_utf8_lossy(body).into_owned());
        format!("{key}: {body}\n")
    });
    lines.collect()
}

#[test]
fn references_must_exist() {
    let cluster = json!({"platform_components": [{"id": "nope"}], "namespaces": [{"id": "m"}], "patches": {"nope": {}, "typo": {}}});
    insta::assert_snapshot!(refused(&[operation(Verb::Update, "clusters/c", cluster)]), @"
    invalid: the document is not valid: 4 violations
    /platform_components/0/id: platform_components/nope does not exist (reference)
    /patches/nope: platform_components/nope does not exist (reference)
    /patches/typo: platform_components/typo does not exist (reference)
    /namespaces/0/id: namespaces/m does not exist (reference)
    ");
    let component = json!({"depends_on": ["nope"]});
    insta::assert_snapshot!(refused(&[operation(Verb::Patch, "platform_components/grafana", component)]), @"
    invalid: the document is not valid: /depends_on/0: platform_components/nope does not exist (reference)
    /depends_on/0: platform_components/nope does not exist (reference)
    ");
    let component = json!({"requires": {"nope": ">=1"}});
    insta::assert_snapshot!(refused(&[operation(Verb::Patch, "platform_components/grafana", component)]), @"
    invalid: the document is not valid: /requires/nope: platform_components/nope does not exist (reference)
    /requires/nope: platform_components/nope does not exist (reference)
    ");
}

#[test]
fn a_dependency_must_be_there_enabled_and_delivered_alike() {
    let without = json!({"platform_components": [{"id": "grafana"}]});
    insta::assert_snapshot!(refused(&[operation(Verb::Update, "clusters/c", without)]), @"
    invalid: the document is not valid: /platform_components/0: grafana depends on cert-manager, which this cluster does not have (dependency_missing)
    /platform_components/0: grafana depends on cert-manager, which this cluster does not have (dependency_missing)
    ");
    let disabled =
        json!({"platform_components": [{"id": "cert-manager", "enabled": false}, {"id": "grafana"}]});
    insta::assert_snapshot!(refused(&[operation(Verb::Update, "clusters/c", disabled)]), @"
    invalid: the document is not valid: /platform_components/1: grafana depends on cert-manager, which is disabled here (dependency_disabled)
    /platform_components/1: grafana depends on cert-manager, which is disabled here (dependency_disabled)
    ");
    let across = json!({"depends_on": ["overlay"]});
    let both = json!({"platform_components": [{"id": "overlay"}, {"id": "grafana"}]});
    insta::assert_snapshot!(refused(&[
        operation(Verb::Patch, "platform_components/grafana", across),
        operation(Verb::Update, "clusters/c", both),
    ]), @"
    invalid: the document is not valid: change 1: clusters/c/platform_components/1: grafana depends on overlay, which is delivered the other way; Flux cannot wait across (dependency_delivery)
    change 1: clusters/c/platform_components/1: grafana depends on overlay, which is delivered the other way; Flux cannot wait across (dependency_delivery)
    ");
    insta::assert_snapshot!(refused(&[operation(
        Verb::Patch,
        "platform_components/cert-manager",
        json!({"enabled": false})
    )]), @"
    conflict: the change does not fit the fleet: clusters/c/platform_components/1: grafana depends on cert-manager, which is disabled here (dependency_disabled)
    clusters/c/platform_components/1: grafana depends on cert-manager, which is disabled here (dependency_disabled)
    ");
}

#[test]
fn components_never_wait_for_each_other() {
    let back = json!({"depends_on": ["grafana"]});
    insta::assert_snapshot!(refused(&[operation(Verb::Patch, "platform_components/cert-manager", back)]), @"
    invalid: the document is not valid: /depends_on/0: components would wait for each other for ever: cert-manager -> grafana -> cert-manager (dependency_cycle)
    /depends_on/0: components would wait for each other for ever: cert-manager -> grafana -> cert-manager (dependency_cycle)
    ");
}

#[test]
fn patch_keys_and_release_fit_the_delivery() {
    let kustomize = json!({"delivery": "kustomize", "depends_on": []});
    insta::assert_snapshot!(refused(&[operation(Verb::Patch, "platform_components/grafana", kustomize)]), @"
    conflict: the change does not fit the fleet: clusters/c/patches/grafana/a.b: `a.b` is no substitution variable (letters, digits and underscores, not starting with a digit), which is what patches are under delivery kustomize (patch_key)
    clusters/c/patches/grafana/a.b: `a.b` is no substitution variable (letters, digits and underscores, not starting with a digit), which is what patches are under delivery kustomize (patch_key)
    ");
    let overlay = json!({"platform_components": [{"id": "overlay", "oci_tag": "1 .x", "release": {"values": {"a": 1}}}],
        "patches": {"overlay": {"A_B": "1", "a.b": "2"}}});
    insta::assert_snapshot!(refused(&[operation(Verb::Update, "clusters/c", overlay)]), @"
    invalid: the document is not valid: 3 violations
    /platform_components/0/oci_tag: `1 .x` is no tag of an OCI artifact: letters, digits, `_`, `.` and `-` (version)
    /platform_components/0/release/values: `values` is for Helm releases; this component's delivery is kustomize (delivery)
    /patches/overlay/a.b: `a.b` is no substitution variable (letters, digits and underscores, not starting with a digit), which is what patches are under delivery kustomize (patch_key)
    ");
}

#[test]
fn one_release_belongs_to_one_component() {
    let release = json!({"release": {"name": "cert-manager", "target_namespace": "cert-manager"}});
    insta::assert_snapshot!(refused(&[operation(Verb::Patch, "platform_components/grafana", release)]), @"
    conflict: the change does not fit the fleet: clusters/c/platform_components/1/release: grafana and cert-manager would both be the release cert-manager in namespace cert-manager (release_taken)
    clusters/c/platform_components/1/release: grafana and cert-manager would both be the release cert-manager in namespace cert-manager (release_taken)
    ");
}

#[test]
fn a_dns_name_stays_with_its_cluster() {
    let taken = json!({"cluster_name": "d", "cluster_dns": "C.Example.com.", "environment": "dev"});
    insta::assert_snapshot!(refused(&[operation(Verb::Create, "clusters/d", taken.clone())]), @"
    conflict: the change does not fit the fleet: /cluster_dns: `C.Example.com.` belongs to clusters/c; a DNS name never passes from one cluster to another unnoticed (dns_taken)
    /cluster_dns: `C.Example.com.` belongs to clusters/c; a DNS name never passes from one cluster to another unnoticed (dns_taken)
    ");
    let delete = operation(Verb::Delete, "clusters/c", Value::Null);
    insta::assert_snapshot!(refused(&[delete.clone(), operation(Verb::Create, "clusters/d", taken)]), @"
    conflict: the change does not fit the fleet: change 1: clusters/d/cluster_dns: `C.Example.com.` belongs to tombstones/c; a DNS name never passes from one cluster to another unnoticed (dns_taken)
    change 1: clusters/d/cluster_dns: `C.Example.com.` belongs to tombstones/c; a DNS name never passes from one cluster to another unnoticed (dns_taken)
    ");
    let elsewhere = json!({"cluster_name": "c", "cluster_dns": "new.example.com", "environment": "dev"});
    insta::assert_snapshot!(refused(&[delete.clone(), operation(Verb::Create, "clusters/c", elsewhere)]), @"
    conflict: the change does not fit the fleet: change 1: clusters/c/id: a deleted cluster with this id still answers as c.example.com; create it with that DNS name, or delete tombstones/c first (tombstone)
    change 1: clusters/c/id: a deleted cluster with this id still answers as c.example.com; create it with that DNS name, or delete tombstones/c first (tombstone)
    ");
    let back = json!({"cluster_name": "c", "cluster_dns": "c.example.com", "environment": "dev"});
    insta::assert_snapshot!(written(&[delete, operation(Verb::Create, "clusters/c", back)]), @r#"clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c"}"#);
}

#[test]
fn a_changed_dns_name_leaves_an_alias() {
    let renamed = |dns: &str| operation(Verb::Patch, "clusters/c", json!({"cluster_dns": dns}));
    insta::assert_snapshot!(written(&[renamed("d.example.com")]), @r#"clusters/c: {"aliases":["c.example.com"],"cluster_dns":"d.example.com","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{"grafana":{"a.b":"1"}},"platform_components":[{"id":"cert-manager"},{"id":"grafana"}]}"#);
    insta::assert_snapshot!(written(&[renamed("d.example.com"), renamed("C.example.com")]), @r#"clusters/c: {"aliases":["d.example.com"],"cluster_dns":"C.example.com","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{"grafana":{"a.b":"1"}},"platform_components":[{"id":"cert-manager"},{"id":"grafana"}]}"#);
    insta::assert_snapshot!(written(&[renamed("C.EXAMPLE.com.")]), @r#"clusters/c: {"cluster_dns":"C.EXAMPLE.com.","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{"grafana":{"a.b":"1"}},"platform_components":[{"id":"cert-manager"},{"id":"grafana"}]}"#);
    let mut history = History { fleet: Fleet::from_json(BASE).unwrap() };
    history.write(&[renamed("d.example.com")]).unwrap();
    let polled = |fleet: &Fleet, dns: &str| fleet.answer_text(dns, "namespaces").ok();
    assert_eq!(polled(&history.fleet, "c.example.com"), polled(&history.fleet, "d.example.com"));
    let taken = json!({"cluster_name": "d", "cluster_dns": "C.Example.com.", "environment": "dev"});
    let taken = history.write(&[operation(Verb::Create, "clusters/d", taken)]).unwrap_err();
    insta::assert_snapshot!(taken, @"the change does not fit the fleet: /cluster_dns: `C.Example.com.` belongs to clusters/c; a DNS name never passes from one cluster to another unnoticed (dns_taken)");
    history.write(&[operation(Verb::Delete, "clusters/c", Value::Null)]).unwrap();
    assert_eq!(polled(&history.fleet, "c.example.com").unwrap(), r#"{"inputs":[]}"#);
    // Whoever comes back over the tombstone polls under the old names too.
    let back = json!({"cluster_name": "c", "cluster_dns": "d.example.com", "environment": "dev"});
    history.write(&[operation(Verb::Create, "clusters/c", back)]).unwrap();
    assert!(polled(&history.fleet, "c.example.com").is_some());
    history.write(&[operation(Verb::Patch, "clusters/c", json!({"aliases": null}))]).unwrap();
    assert!(polled(&history.fleet, "c.example.com").is_none());
}

#[test]
fn a_dns_name_is_given_up_and_taken_in_two_changes() {
    let cluster = |id: &str, aliases: Value| json!({"id": id, "cluster_name": id, "cluster_dns": format!("{id}.example.com"), "environment": "prod", "aliases": aliases});
    let file = json!({"clusters": [cluster("a", json!([])), cluster("z", json!(["moves.example.com"]))]});
    let mut history = History { fleet: Fleet::from_json(&file.to_string()).unwrap() };
    let gives = operation(Verb::Patch, "clusters/z", json!({"aliases": null}));
    let takes = operation(Verb::Patch, "clusters/a", json!({"aliases": ["moves.example.com"]}));
    let at_once = history.write(&[gives.clone(), takes.clone()]).unwrap_err();
    insta::assert_snapshot!(at_once.violations()[0], @"change 1: clusters/a/aliases/0: `moves.example.com` belongs to clusters/z; a DNS name never passes from one cluster to another unnoticed (dns_taken)");
    history.write(&[gives]).unwrap();
    history.write(&[takes]).unwrap();
    // Followers apply what was committed in whatever order its documents stand.
    let changes = |names: [&'static str; 2]| {
        let change = |(id, alias): (&str, &str)| {
            let body = cluster(id, json!([alias])).to_string().into_bytes();
            DocumentChange { key: Key::new("clusters", id), body: Some(body) }
        };
        ["a", "z"].into_iter().zip(names).map(change).collect::<Vec<_>>()
    };
    let there = history.fleet.apply(9, &changes(["one.example.com", "two.example.com"])).unwrap();
    for names in
        [["two.example.com", "one.example.com"], ["two.example.com", "three"], ["three", "one.example.com"]]
    {
        assert!(there.apply(10, &changes(names)).is_ok(), "{names:?}");
    }
    assert!(there.apply(10, &changes(["same.example.com", "same.example.com"])).is_err());
}

#[test]
fn a_freeze_stays_as_it_is_until_it_is_lifted() {
    let freeze = |reason: &str| json!({"selector": "environment=dev", "reason": reason});
    let mut history = History { fleet: Fleet::from_json(BASE).unwrap() };
    history.write(&[operation(Verb::Create, "freezes/f", freeze("bad"))]).unwrap();
    history.write(&[operation(Verb::Update, "freezes/f", freeze("bad"))]).unwrap();
    let edited = operation(Verb::Update, "freezes/f", freeze("other"));
    insta::assert_snapshot!(history.write(std::slice::from_ref(&edited)).unwrap_err(), @"the change does not fit the fleet: a freeze stays as it is until it is lifted; put on another one beside it (immutable)");
    let moved = operation(Verb::Patch, "clusters/c", json!({"environment": "qa"}));
    assert!(history.write(&[edited, moved.clone()]).is_err());
    let again = operation(Verb::Create, "freezes/f", freeze("bad"));
    let lifted = operation(Verb::Delete, "freezes/f", Value::Null);
    assert!(history.write(&[lifted.clone(), moved.clone(), again]).is_err());
    history.write(&[lifted, moved]).unwrap();
}

#[test]
fn a_protected_cluster_is_held_before_it_is_wiped() {
    let mut history = History { fleet: Fleet::from_json(BASE).unwrap() };
    history.write(&[operation(Verb::Patch, "clusters/c", json!({"environment": "prod"}))]).unwrap();
    let before = history.fleet.clone();
    let list = |fleet: &Fleet| {
        let mut out = Vec::new();
        fleet.clusters(&Default::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    history.write(&[operation(Verb::Delete, "clusters/c", Value::Null)]).unwrap();
    insta::assert_snapshot!(history.fleet.answer_text("c.example.com", "namespaces").unwrap_err(), @"the cluster c was deleted and is held");
    assert_eq!(list(&history.fleet), list(&before));
    let delete = operation(Verb::Delete, "namespaces/n", Value::Null);
    insta::assert_snapshot!(history.write(std::slice::from_ref(&delete)).unwrap_err(), @"namespaces/n is still referred to by tombstones/c; remove the references first, or delete it with force=true");
    let mut forced = History { fleet: history.fleet.clone() };
    forced.write(&[Operation { force: true, ..delete }]).unwrap();
    let restored = |fleet: &Fleet| {
        serde_json::from_slice::<Value>(&fleet.get(&Key::new("tombstones", "c")).unwrap().body()).unwrap()["cluster"].clone()
    };
    assert_eq!(restored(&forced.fleet)["namespaces"], json!([]));
    let body = restored(&history.fleet);
    history.write(&[operation(Verb::Create, "clusters/c", body)]).unwrap();
    assert_eq!(
        history.fleet.answer_text("c.example.com", "namespaces"),
        before.answer_text("c.example.com", "namespaces")
    );
    history.write(&[operation(Verb::Delete, "clusters/c", Value::Null)]).unwrap();
    history.write(&[operation(Verb::Update, "tombstones/c", json!({"held": null}))]).unwrap();
    assert_eq!(history.fleet.answer_text("c.example.com", "namespaces").unwrap(), r#"{"inputs":[]}"#);
    assert_eq!(list(&history.fleet), r#"{"inputs":[]}"#);
}

#[test]
fn what_is_frozen_stays_on_the_list_as_it_is() {
    let freeze =
        operation(Verb::Create, "freezes/f", json!({"selector": "environment=dev,tier!=x", "reason": "bad"}));
    let mut history = History { fleet: Fleet::from_json(BASE).unwrap() };
    history.write(&[freeze]).unwrap();
    insta::assert_snapshot!(history.fleet.answer_text("c.example.com", "namespaces").unwrap_err(), @"the cluster is frozen by f: bad");
    let mut refused = |operation: Operation| history.write(&[operation]).unwrap_err().to_string();
    insta::assert_snapshot!([
        refused(operation(Verb::Delete, "clusters/c", Value::Null)),
        refused(operation(Verb::Patch, "clusters/c", json!({"environment": "qa"}))),
        refused(operation(Verb::Patch, "clusters/c", json!({"labels": {"tier": "x"}}))),
    ].join("\n"), @"
    the change does not fit the fleet: it would leave the fleet list; the cluster is frozen by freezes/f: lift that first (frozen)
    the change does not fit the fleet: its entry in the fleet list would change; the cluster is frozen by freezes/f: lift that first (frozen)
    the change does not fit the fleet: /labels: it would no longer be selected by `environment=dev,tier!=x`; the cluster is frozen by freezes/f: lift that first (frozen)
    ");
    history.write(&[operation(Verb::Patch, "clusters/c", json!({"namespaces": []}))]).unwrap();
    history.write(&[operation(Verb::Delete, "freezes/f", Value::Null)]).unwrap();
    assert_eq!(history.fleet.answer_text("c.example.com", "namespaces").unwrap(), r#"{"inputs":[]}"#);
}

#[test]
fn parts_are_written_where_they_are() {
    let part = |verb, cluster: &str, field: &str, id: &str, body: Value| {
        let body = (!body.is_null()).then_some(body);
        Operation::new(verb, Key::new("clusters", cluster), body).on(field, id)
    };
    let components = "platform_components";
    insta::assert_snapshot!(written(&[part(Verb::Update, "c", components, "cert-manager", json!({"oci_tag": "v2", "enabled": null}))]), @r#"clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{"grafana":{"a.b":"1"}},"platform_components":[{"id":"cert-manager","oci_tag":"v2"},{"id":"grafana"}]}"#);
    insta::assert_snapshot!(written(&[part(Verb::Update, "c", components, "grafana", json!({"id": "grafana", "oci_tag": "v2"}))]), @r#"clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{"grafana":{"a.b":"1"}},"platform_components":[{"id":"cert-manager"},{"id":"grafana","oci_tag":"v2"}]}"#);
    insta::assert_snapshot!(written(&[part(Verb::Delete, "c", components, "grafana", Value::Null), part(Verb::Delete, "c", "patches", "grafana", Value::Null)]), @r#"clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{},"platform_components":[{"id":"cert-manager"}]}"#);
    insta::assert_snapshot!(written(&[part(Verb::Update, "c", "patches", "grafana", json!({"new": "1", "a.b": null}))]), @r#"clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{"grafana":{"new":"1"}},"platform_components":[{"id":"cert-manager"},{"id":"grafana"}]}"#);
    insta::assert_snapshot!(refused(&[part(Verb::Patch, "c", "rolebindings", "r", json!({}))]), @"not_found: clusters/c/rolebindings/r does not exist");
    insta::assert_snapshot!(refused(&[part(Verb::Update, "c", "namespaces", "gone", json!({}))]), @"
    invalid: the document is not valid: /namespaces/1/id: namespaces/gone does not exist (reference)
    /namespaces/1/id: namespaces/gone does not exist (reference)
    ");
    insta::assert_snapshot!(refused(&[part(Verb::Update, "c", "labels", "x", json!({}))]), @"not_found: clusters/c/labels/x does not exist");
    insta::assert_snapshot!(refused(&[part(Verb::Update, "c", components, "grafana", json!({"id": "other"}))]), @"
    invalid: the document is not valid: /id: the id of clusters/c/platform_components/grafana cannot be changed (id)
    /id: the id of clusters/c/platform_components/grafana cannot be changed (id)
    ");
    insta::assert_snapshot!(refused(&[part(Verb::Update, "c", components, "grafana", json!({"oci_tag": 7}))]), @r#"
    invalid: the document is not valid: /platform_components/1/oci_tag: 7 is not a string; write "7" (type)
    /platform_components/1/oci_tag: 7 is not a string; write "7" (type)
    "#);
}

#[test]
fn many_clusters_are_one_operation() {
    let every = |verb, select: &str, body: Value| {
        let operation = Operation::new(verb, Key::new("clusters", "*"), (!body.is_null()).then_some(body));
        Operation { select: Some(select.into()), ..operation.on("platform_components", "grafana") }
    };
    insta::assert_snapshot!(written(&[every(Verb::Patch, "environment=dev", json!({"oci_tag": "v2"}))]), @r#"clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{"grafana":{"a.b":"1"}},"platform_components":[{"id":"cert-manager"},{"id":"grafana","oci_tag":"v2"}]}"#);
    insta::assert_snapshot!(written(&[every(Verb::Delete, "", Value::Null)]), @r#"clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{"grafana":{"a.b":"1"}},"platform_components":[{"id":"cert-manager"}]}"#);
    insta::assert_snapshot!(refused(&[every(Verb::Patch, "environment=prod", json!({}))]), @"
    invalid: the document is not valid: /select: `environment=prod` selects no cluster; allow_empty lets that be (no_match)
    /select: `environment=prod` selects no cluster; allow_empty lets that be (no_match)
    ");
    insta::assert_snapshot!(refused(&[every(Verb::Patch, "environment=", json!({}))]), @"
    invalid: the document is not valid: /select: `environment=` selects no cluster; allow_empty lets that be (no_match)
    /select: `environment=` selects no cluster; allow_empty lets that be (no_match)
    ");
    insta::assert_snapshot!(refused(&[every(Verb::Patch, "a b", json!({}))]), @"
    invalid: the document is not valid: /select: at character 3: expected =, ==, !=, in, notin, > or <, a comma or the end (selector)
    /select: at character 3: expected =, ==, !=, in, notin, > or <, a comma or the end (selector)
    ");
    insta::assert_snapshot!(refused(&[every(Verb::Create, "", json!({}))]), @"
    invalid: the document is not valid: /select: a create names its document; update appends what a selected cluster lacks (selector)
    /select: a create names its document; update appends what a selected cluster lacks (selector)
    ");
    insta::assert_snapshot!(refused(&[Operation { select: None, ..every(Verb::Patch, "", json!({})) }]), @"
    invalid: the document is not valid: /select: `*` needs a selector; an empty one selects every cluster (missing_field)
    /select: `*` needs a selector; an empty one selects every cluster (missing_field)
    ");
    insta::assert_snapshot!(refused(&[
        every(Verb::Patch, "a b", json!({})),
        operation(Verb::Patch, "namespaces/gone", json!({})),
        operation(Verb::Create, "namespaces/n", json!({})),
        operation(Verb::Patch, "namespaces/n", json!({"labels": {"a": "b"}})),
        operation(Verb::Create, "clusters/d", json!({"cluster_name": "d", "cluster_dns": "d.example.com", "environment": "dev", "namespaces": [{"id": "gone"}]})),
        every(Verb::Patch, "", json!({"oci_tag": 7})),
        operation(Verb::Delete, "platform_components/grafana", Value::Null),
    ]), @r#"
    invalid: the document is not valid: 6 violations
    change 0: /select: at character 3: expected =, ==, !=, in, notin, > or <, a comma or the end (selector)
    change 1: namespaces/gone: namespaces/gone does not exist (not_found)
    change 2: namespaces/n: namespaces/n exists already; update it with PUT or PATCH (exists)
    change 5: clusters/c/platform_components/1/oci_tag: 7 is not a string; write "7" (type)
    change 6: platform_components/grafana: platform_components/grafana is still referred to by clusters/c; remove the references first, or delete it with force=true (referenced)
    change 4: clusters/d/namespaces/0/id: namespaces/gone does not exist (reference)
    "#);
    let unselected = Operation { allow_empty: true, ..every(Verb::Patch, "environment=prod", json!({})) };
    insta::assert_snapshot!(written(&[unselected]), @"");
}

#[test]
fn a_deleted_cluster_leaves_a_tombstone_and_an_empty_answer() {
    let mut history = History { fleet: Fleet::from_json(BASE).unwrap() };
    history.write(&[operation(Verb::Delete, "clusters/c", Value::Null)]).unwrap();
    assert_eq!(history.fleet.answer_text("c.example.com", "namespaces").unwrap(), r#"{"inputs":[]}"#);
    history.write(&[operation(Verb::Delete, "tombstones/c", Value::Null)]).unwrap();
    assert!(history.fleet.answer_text("c.example.com", "namespaces").is_err());
}

#[test]
fn what_is_referred_to_goes_only_by_force() {
    let delete = operation(Verb::Delete, "platform_components/cert-manager", Value::Null);
    insta::assert_snapshot!(refused(std::slice::from_ref(&delete)), @"referenced: platform_components/cert-manager is still referred to by clusters/c, platform_components/grafana; remove the references first, or delete it with force=true");
    insta::assert_snapshot!(written(&[Operation { force: true, ..delete }]), @r#"
    clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c","namespaces":[{"id":"n"}],"patches":{"grafana":{"a.b":"1"}},"platform_components":[{"id":"grafana"}]}
    platform_components/cert-manager: gone
    platform_components/grafana: {"component_path":"grafana","depends_on":[],"id":"grafana","oci_url":"oci://registry/repo"}
    "#);
}

#[test]
fn put_replaces_fields_and_patch_merges() {
    let put = json!({"patches": {"grafana": {"c": "2"}}, "namespaces": null});
    insta::assert_snapshot!(written(&[operation(Verb::Update, "clusters/c", put)]), @r#"clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c","patches":{"grafana":{"c":"2"}},"platform_components":[{"id":"cert-manager"},{"id":"grafana"}]}"#);
    let patch = json!({"patches": {"grafana": {"c": "2", "a.b": null}}, "namespaces": null});
    insta::assert_snapshot!(written(&[operation(Verb::Patch, "clusters/c", patch)]), @r#"clusters/c: {"cluster_dns":"c.example.com","cluster_name":"c","environment":"dev","id":"c","patches":{"grafana":{"c":"2"}},"platform_components":[{"id":"cert-manager"},{"id":"grafana"}]}"#);
}

#[test]
fn documents_are_created_once_and_only_existing_ones_change() {
    insta::assert_snapshot!(refused(&[operation(Verb::Create, "namespaces/n", json!({}))]), @"exists: namespaces/n exists already; update it with PUT or PATCH");
    insta::assert_snapshot!(refused(&[operation(Verb::Update, "namespaces/m", json!({}))]), @"not_found: namespaces/m does not exist");
    insta::assert_snapshot!(refused(&[operation(Verb::Update, "namespaces/n", json!({"id": "m"}))]), @"
    invalid: the document is not valid: /id: the id of namespaces/n cannot be changed (id)
    /id: the id of namespaces/n cannot be changed (id)
    ");
    insta::assert_snapshot!(refused(&[operation(Verb::Update, "namespaces/n", json!([]))]), @"
    invalid: the document is not valid: a document is a JSON object (type)
    a document is a JSON object (type)
    ");
}

#[test]
fn an_answer_that_flux_would_not_read_is_refused() {
    let namespaces: Vec<_> = (0..10_001).map(|n| json!({"id": format!("n{n}")})).collect();
    let mut operations: Vec<_> = namespaces
        .iter()
        .map(|body| {
            operation(Verb::Create, &format!("namespaces/{}", body["id"].as_str().unwrap()), body.clone())
        })
        .collect();
    operations.push(operation(Verb::Update, "clusters/c", json!({"namespaces": namespaces})));
    insta::assert_snapshot!(refused(&operations), @"
    invalid: the document is not valid: change 10001: clusters/c/namespaces: the cluster would get 10001 inputs; Flux takes 10000 and drops the rest unsaid (answer_too_large)
    change 10001: clusters/c/namespaces: the cluster would get 10001 inputs; Flux takes 10000 and drops the rest unsaid (answer_too_large)
    ");
    let large = json!({"release": {"values": {"x": "y".repeat(950_000)}}});
    insta::assert_snapshot!(refused(&[operation(Verb::Patch, "platform_components/grafana", large)]), @"
    conflict: the change does not fit the fleet: clusters/c/platform_components: the cluster's answer would have 950717 bytes; Flux takes 921600 (answer_too_large)
    clusters/c/platform_components: the cluster's answer would have 950717 bytes; Flux takes 921600 (answer_too_large)
    ");
}

#[test]
fn what_a_newer_release_wrote_survives_and_nothing_else_is_taken() {
    let stored = json!({"id": "n", "labels": {}, "quota": {"cpu": 3}});
    let document = (Key::new("namespaces", "n"), 1, stored.to_string().into_bytes());
    let fleet = Fleet::load(Rules::default(), 1, [document]).unwrap();
    let changes =
        fleet.prepare(&[operation(Verb::Update, "namespaces/n", json!({"labels": {"a": "b"}}))]).unwrap();
    assert_eq!(
        changes.documents[0].body.as_deref(),
        Some(&br#"{"id":"n","labels":{"a":"b"},"quota":{"cpu":3}}"#[..])
    );
    let typo = fleet.prepare(&[operation(Verb::Update, "namespaces/n", json!({"lables": {}}))]);
    assert!(matches!(typo, Err(Refusal::Invalid(violations)) if violations[0].pointer == "/lables"));
}

#[test]
fn a_patch_leaves_what_it_does_not_name_as_a_newer_release_wrote_it() {
    let stored = json!({"id": "n", "quota": {"a": null, "l": [{"x": null}]}});
    let document = (Key::new("namespaces", "n"), 1, stored.to_string().into_bytes());
    let fleet = Fleet::load(Rules::default(), 1, [document]).unwrap();
    let changes = fleet
        .prepare(&[operation(Verb::Patch, "namespaces/n", json!({"labels": {"a": "b", "c": null}}))])
        .unwrap();
    let body = String::from_utf8_lossy(changes.documents[0].body.as_deref().unwrap()).into_owned();
    insta::assert_snapshot!(body, @r#"{"id":"n","labels":{"a":"b"},"quota":{"a":null,"l":[{"x":null}]}}"#);
}

#[test]
fn a_patch_finds_the_room_that_values_leave() {
    let values = json!({"release": {"values": {"a": "flat", "b": null}}});
    insta::assert_snapshot!(refused(&[operation(Verb::Patch, "platform_components/grafana", values)]), @"
    conflict: the change does not fit the fleet: clusters/c/patches/grafana/a.b: `a.b` needs an object where `release.values` have a string (patch_key)
    clusters/c/patches/grafana/a.b: `a.b` needs an object where `release.values` have a string (patch_key)
    ");
    let beside = json!({"release": {"values": {"a": {"c": 1}}}});
    insta::assert_snapshot!(written(&[operation(Verb::Patch, "platform_components/grafana", beside)]), @r#"platform_components/grafana: {"component_path":"grafana","depends_on":["cert-manager"],"id":"grafana","oci_url":"oci://registry/repo","release":{"values":{"a":{"c":1}}}}"#);
}

#[test]
fn an_answer_is_measured_as_the_cluster_stores_it() {
    let values = json!({"release": {"values": {"x": "<".repeat(400_000)}}});
    insta::assert_snapshot!(refused(&[operation(Verb::Patch, "platform_components/grafana", values)]), @"
    conflict: the change does not fit the fleet: 2 violations
    clusters/c/platform_components/1: its patches and values take up to 2400522 bytes in a ConfigMap; Kubernetes takes 1048576 (too_large)
    clusters/c/platform_components: the cluster would store its answer in 2400717 bytes (`<`, `>` and `&` take six); it can store 1400000 (answer_too_large)
    ");
}

#[test]
fn versions_are_such_as_flux_reads() {
    let branch = json!({"platform_components": [{"id": "cert-manager", "oci_tag": "main"}, {"id": "grafana", "oci_tag": "latest"}]});
    insta::assert_snapshot!(refused(&[
        operation(Verb::Update, "clusters/c", branch),
        operation(Verb::Patch, "platform_components/grafana", json!({"oci_tag": "v1.0.0_build", "component_version": "main"})),
    ]), @"
    invalid: the document is not valid: 3 violations
    change 1: platform_components/grafana/oci_tag: `v1.0.0_build` is no version of a chart: write 1.2.3, v1.2.3-1, or a range such as ~1.2 or >=1.2 <2 (version)
    change 0: clusters/c/platform_components/0/oci_tag: `main` is no version of a chart: write 1.2.3, v1.2.3-1, or a range such as ~1.2 or >=1.2 <2 (version)
    change 0: clusters/c/platform_components/1/oci_tag: `main` is no version of a chart: write 1.2.3, v1.2.3-1, or a range such as ~1.2 or >=1.2 <2 (version)
    ");
}

#[test]
fn every_component_depending_on_all_before_it_is_checked_in_no_time() {
    let ids: Vec<_> = (0..300).map(|n| format!("c{n}")).collect();
    let create = |n: usize| {
        let body = json!({"component_path": "p", "oci_url": "oci://registry/x", "depends_on": &ids[..n]});
        operation(Verb::Create, &format!("platform_components/{}", ids[n]), body)
    };
    let operations: Vec<_> = (0..ids.len()).map(create).collect();
    assert_eq!(Fleet::empty(Rules::default()).prepare(&operations).unwrap().documents.len(), 300);
}

#[test]
fn a_fleet_that_never_held_a_cluster_has_no_list() {
    let mut history = History::new();
    history.write(&[operation(Verb::Create, "namespaces/n", json!({}))]).unwrap();
    assert!(history.fleet.clusters(&Default::default(), &mut Vec::new()).is_err());
    let cluster = json!({"cluster_name": "c", "cluster_dns": "c.example.com", "environment": "dev"});
    history.write(&[operation(Verb::Create, "clusters/c", cluster)]).unwrap();
    history.write(&[operation(Verb::Delete, "clusters/c", Value::Null)]).unwrap();
    let mut out = Vec::new();
    history.fleet.clusters(&Default::default(), &mut out).unwrap();
    assert_eq!(out, br#"{"inputs":[]}"#);
}

#[test]
fn the_deepest_cluster_can_be_deleted() {
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!({"x": inner}));
    let cluster = |depth| {
        let references = json!([{"id": "cert-manager", "release": {"values": nested(depth)}}]);
        json!({"cluster_name": "d", "cluster_dns": "d.example.com", "environment": "dev", "platform_components": references})
    };
    let mut history = History { fleet: Fleet::from_json(BASE).unwrap() };
    let create = |depth| operation(Verb::Create, "clusters/d", cluster(depth));
    assert!(history.write(&[create(200)]).is_err());
    let deepest = (0..200).rev().find(|depth| history.write(&[create(*depth)]).is_ok()).unwrap();
    assert!(deepest > 90, "{deepest}");
    history.write(&[operation(Verb::Delete, "clusters/d", Value::Null)]).unwrap();
}

#[test]
fn what_was_wrong_before_does_not_block_what_has_nothing_to_do_with_it() {
    let cluster =
        json!({"id": "c", "cluster_name": "c", "cluster_dns": "c.example.com", "environment": "staging"});
    let document = (Key::new("clusters", "c"), 1, cluster.to_string().into_bytes());
    let fleet = Fleet::load(Rules::default(), 1, [document]).unwrap();
    assert!(fleet.prepare(&[operation(Verb::Patch, "clusters/c", json!({"node_count": 3}))]).is_ok());
    assert!(fleet.prepare(&[operation(Verb::Patch, "clusters/c", json!({"environment": "stage"}))]).is_err());
}

#[test]
fn documents_that_no_answer_may_be_made_from_are_not_loaded() {
    let load = |documents: &[(&str, Value)]| {
        let documents = documents.iter().map(|(path, body)| {
            let (kind, id) = path.split_once('/').unwrap();
            (Key::new(kind, id), 1, body.to_string().into_bytes())
        });
        Fleet::load(Rules::default(), 1, documents).unwrap_err().to_string()
    };
    let cluster = |id: &str| json!({"id": id, "cluster_name": id, "cluster_dns": "c.example.com", "environment": "dev", "namespaces": [{"id": "n"}]});
    insta::assert_snapshot!(
        [
            load(&[("network_policies/x", json!({"id": "x"}))]),
            load(&[("clusters/c", cluster("c"))]),
            load(&[
                ("namespaces/n", json!({"id": "n"})),
                ("clusters/c", cluster("c")),
                ("clusters/d", cluster("d"))
            ]),
            load(&[("clusters/c", json!({"id": "c"}))]),
            load(&[("clusters/c", json!([]))]),
        ]
        .join("\n"), @"
    network_policies/x: this release does not know the type; a newer one wrote it
    clusters/c: refers to namespaces/n, which does not exist
    clusters/d: the DNS name c.example.com is held by clusters/c already
    clusters/c: missing field `cluster_name`
    clusters/c: is not a JSON object: invalid type: sequence, expected a map at line 1 column 0
    ");
}
