//! A plan beside what the real Flux then does: one change set with every kind of effect, on two clusters.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::objects::Objects;
use super::promise::Promise;
use super::{DNS, World, installed, same};
use crate::control_plane::{ControlPlane, Controller};
use crate::fleet::Fleet;
use crate::kubectl::{HELM_RELEASES, Kubectl, ready, text};
use crate::member::{self, SOON};
use crate::wait::wait_until;

const OTHER_DNS: &str = "demo-cluster-02.k8s.example.com";
const CLUSTERS: [&str; 2] = ["demo-cluster-01", "demo-cluster-02"];

pub(super) fn plan_kept(world: &World) -> Result<()> {
    let fleet = fleet(world)?;
    let second = ControlPlane::start(&world.scene, &world.tools, "planned", &Controller::CHARTS)?;
    member::join(&world.home(), &second, &fleet.url(), OTHER_DNS)?;
    member::join(&world.home(), &world.plane, &fleet.url(), DNS)?;
    let planes = [world.kubectl(), &second.kubectl];
    installed(planes[0], &["upgraded", "patched", "retired", "paused", "renamed", "moved", "quiet"])?;
    installed(planes[1], &["upgraded", "retired", "quiet"])?;
    let before = [Objects::of(planes[0])?, Objects::of(planes[1])?];

    let change = change(world);
    let plan = fleet.planned("POST", "api/v2/changes", &change)?;
    for (kubectl, objects) in planes.iter().zip(&before) {
        member::poll(kubectl)?;
        objects.unchanged(kubectl)?;
    }
    covers_everything(&plan)?;
    let (confirmed, _) = fleet.confirmed("POST", "api/v2/changes", &change)?;
    same("the digest of the plan to confirm", &confirmed["digest"], &plan["digest"])?;

    for kubectl in planes {
        member::poll(kubectl)?;
    }
    for ((kubectl, objects), id) in planes.iter().zip(&before).zip(CLUSTERS) {
        kept(&Promise::of(&plan, id), kubectl, objects, id)?;
    }
    // Nothing that was only slow to come.
    for ((kubectl, objects), id) in planes.iter().zip(&before).zip(CLUSTERS) {
        member::poll(kubectl)?;
        kept(&Promise::of(&plan, id), kubectl, objects, id)?;
    }
    Ok(())
}

fn fleet(world: &World) -> Result<Fleet> {
    let component = |id: &str| {
        let mut component = world.component(id);
        component["oci_tag"] = json!("1.0.0");
        component
    };
    let catalog =
        ["upgraded", "patched", "retired", "paused", "renamed", "moved", "quiet", "sleeping"].map(component);
    let ids = |ids: &[&str]| -> Vec<Value> { ids.iter().map(|id| json!({"id": id})).collect() };
    let mut components = ids(&["upgraded", "patched", "retired", "paused", "renamed", "moved", "quiet"]);
    components.push(json!({"id": "sleeping", "enabled": false}));
    let patches = json!({"replicaCount": "2"});
    world.fleet(&json!({
        "clusters": [
            {
                "id": CLUSTERS[0], "cluster_name": CLUSTERS[0], "cluster_dns": DNS,
                "environment": "prod", "labels": {"region": "eu"},
                "platform_components": components,
                "namespaces": ids(&["plain", "doomed", "precious", "labelled"]),
                "rolebindings": ids(&["readers", "admins"]),
                "patches": {"patched": patches, "retired": patches, "quiet": patches}
            },
            {
                "id": CLUSTERS[1], "cluster_name": CLUSTERS[1], "cluster_dns": OTHER_DNS,
                "environment": "dev", "labels": {"region": "us"},
                "platform_components": [
                    {"id": "upgraded", "oci_tag": "1.0.0"}, {"id": "retired"}, {"id": "quiet"}
                ],
                "namespaces": ids(&["plain", "labelled"]), "rolebindings": ids(&["admins"])
            }
        ],
        "platform_components": catalog,
        "namespaces": [
            {"id": "plain"}, {"id": "doomed"}, {"id": "precious", "on_remove": "keep"}, {"id": "labelled"}
        ],
        "rolebindings": [
            {"id": "readers", "role": "view", "subjects": []}, {"id": "admins", "role": "admin", "subjects": []}
        ]
    }))
}

fn change(world: &World) -> Value {
    let part = |field: &str, id: &str| format!("clusters/{}/{field}/{id}", CLUSTERS[0]);
    json!({"reason": "every kind of effect", "changes": [
        {"patch": "platform_components/upgraded", "body": {"oci_tag": "2.0.0"}},
        {"patch": part("patches", "patched"), "body": {"replicaCount": "3"}},
        {"create": "platform_components/arrival", "body": world.component("arrival")},
        {"update": "clusters/*/platform_components/arrival", "select": "region in (eu, ap)", "body": {}},
        {"delete": "clusters/*/platform_components/retired", "select": "environment=prod"},
        {"patch": part("platform_components", "paused"), "body": {"enabled": false}},
        {"patch": part("platform_components", "sleeping"), "body": {"enabled": null}},
        {"patch": part("platform_components", "renamed"), "body": {"release": {"name": "other-name"}}},
        {"patch": part("platform_components", "moved"), "body": {"release": {"target_namespace": "elsewhere"}}},
        {"delete": part("namespaces", "doomed")},
        {"delete": part("namespaces", "precious")},
        {"patch": "namespaces/labelled", "body": {"labels": {"tier": "gold"}}},
        {"patch": "rolebindings/readers", "body": {"role": "edit"}},
        {"patch": format!("clusters/{}", CLUSTERS[1]), "body": {"namespaces": [{"id": "labelled"}, {"id": "plain"}]}},
        {"create": "namespaces/fresh", "body": {}},
        {"update": "clusters/*/namespaces/fresh", "select": "environment!=prod", "body": {}}
    ]})
}

/// Every kind of effect is in the plan, each of the clusters that it should be of, and no other.
fn covers_everything(plan: &Value) -> Result<()> {
    let clusters =
        |value: &Value| value["clusters"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let effects = plan["effects"].as_array().into_iter().flatten();
    let found: BTreeSet<_> = effects
        .map(|effect| {
            (
                text(&effect["effect"]),
                text(&effect["type"]),
                text(&effect["input"]),
                clusters(effect).join(" "),
            )
        })
        .collect();
    let [first, second] = CLUSTERS;
    let both = CLUSTERS.join(" ");
    let expected = [
        ("remove", "platform_components", "retired", first),
        ("remove", "namespaces", "doomed", first),
        ("remove", "namespaces", "precious", first),
        ("disable", "platform_components", "paused", first),
        ("replace", "platform_components", "renamed", first),
        ("replace", "platform_components", "moved", first),
        ("install", "platform_components", "arrival", first),
        ("install", "namespaces", "fresh", second),
        ("enable", "platform_components", "sleeping", first),
        ("change", "platform_components", "upgraded", first),
        ("change", "platform_components", "patched", first),
        ("change", "namespaces", "labelled", &both),
        ("change", "rolebindings", "readers", first),
        ("reorder", "namespaces", "", second),
    ];
    let expected: BTreeSet<_> = expected
        .map(|(effect, kind, input, clusters)| {
            (effect.to_owned(), kind.to_owned(), input.to_owned(), clusters.to_owned())
        })
        .into();
    ensure!(found == expected, "the plan's effects are {found:?}");
    let hidden = &plan["hidden"][0];
    same("the component that an override hides", &hidden["input"], &json!("upgraded"))?;
    ensure!(clusters(hidden) == [second], "it is hidden on {:?}", clusters(hidden));
    Ok(())
}

/// Waits until all that was promised has happened on the cluster, and nothing else.
pub(super) fn kept(promise: &Promise<'_>, kubectl: &Kubectl, before: &Objects, id: &str) -> Result<()> {
    let promised = promise.fates(before)?;
    wait_until(format!("{id} is as planned"), SOON, || {
        let found = before.fates(&Objects::of(kubectl)?);
        let broken: Vec<_> = promised.iter().filter(|(name, fate)| found.get(*name) != Some(fate)).collect();
        let more: Vec<_> = found.iter().filter(|(name, _)| !promised.contains_key(*name)).collect();
        ensure!(broken.is_empty(), "promised and not so: {broken:?}");
        ensure!(more.is_empty(), "happened and never promised: {more:?}");
        promise.shown(kubectl)?;
        kubectl.list(HELM_RELEASES, &[])?.iter().try_for_each(ready)
    })
}
