//! `cargo xtask e2e`: what the product promises, proved on the real Flux. One function for each promise, in order, on
//! one control plane that is swept in between.

mod appearance;
mod charts;
mod examples;
mod freeze;
mod held;
mod layers;
mod new_type;
mod objects;
mod outage;
mod overlays;
mod plan;
mod promise;
mod removal;
mod revert;
mod values;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::chart_repository::ChartRepository;
use crate::control_plane::{ControlPlane, Controller};
use crate::fleet::Fleet;
use crate::kubectl::{
    CONFIG_MAPS, FLUX_SYSTEM, HELM_RELEASES, Kubectl, PROVIDERS, RESOURCE_SETS, readiness, ready, text,
};
use crate::manifests::Manifests;
use crate::member::{self, Home, SOON, not_ready, reconcile};
use crate::oci_registry::OciRegistry;
use crate::scene::Scene;
use crate::tools::Tools;
use crate::wait::wait_until;
use crate::workspace::Programs;

use objects::Objects;

const DNS: &str = "demo-cluster-01.k8s.example.com";

struct Scenario {
    name: &'static str,
    sentence: &'static str,
    prove: fn(&World) -> Result<()>,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "demo_fleet",
        sentence: "the demo fleet's objects appear as the data says, and a changed role arrives",
        prove: appearance::demo_fleet,
    },
    Scenario {
        name: "whole_chain",
        sentence: "a patch by the command line ends in the object that a chart renders, numbers as numbers",
        prove: charts::whole_chain,
    },
    Scenario {
        name: "depends_on",
        sentence: "depends_on holds the order: nothing is installed before what it depends on works",
        prove: charts::depends_on,
    },
    Scenario {
        name: "oci_tag_of_one_cluster",
        sentence: "an oci_tag override moves that cluster alone to another chart version",
        prove: charts::oci_tag_of_one_cluster,
    },
    Scenario {
        name: "takeover",
        sentence: "a release that somebody installed by hand is taken over by an upgrade, not reinstalled",
        prove: charts::takeover,
    },
    Scenario {
        name: "overlays",
        sentence: "an OCI component is pulled, its environment's overlay applied, and a new oci_tag moves it",
        prove: overlays::overlays,
    },
    Scenario {
        name: "removal",
        sentence: "what is disabled, unassigned or decommissioned goes, what is to be kept stays, and nothing else goes",
        prove: removal::removal,
    },
    Scenario {
        name: "plan_kept",
        sentence: "what a plan says happens to the objects of each cluster, effect by effect, and nothing else does",
        prove: plan::plan_kept,
    },
    Scenario {
        name: "freeze",
        sentence: "a frozen cluster keeps every object through a bad change, and after it is undone and the freeze lifted",
        prove: freeze::freeze,
    },
    Scenario {
        name: "revert",
        sentence: "a change that removed objects is taken back, and they are there again as they were",
        prove: revert::revert,
    },
    Scenario {
        name: "held",
        sentence: "a deleted cluster in prod keeps every object, is restored with nothing lost, and empties when wiped",
        prove: held::held,
    },
    Scenario {
        name: "layers",
        sentence: "a cluster gets from profiles what its labels select, the profile's edits, and loses it with a label",
        prove: layers::layers,
    },
    Scenario {
        name: "new_type",
        sentence: "a type that is registered while all runs makes objects, changes, goes and stays as any other",
        prove: new_type::new_type,
    },
    Scenario {
        name: "examples",
        sentence: "the examples of types make what they say, and one cluster's overrides arrive there",
        prove: examples::examples,
    },
    Scenario {
        name: "server_stopped",
        sentence: "without our server nothing is deleted and drift is corrected; afterwards it goes on by itself",
        prove: outage::server_stopped,
    },
    Scenario {
        name: "provider_made_anew",
        sentence: "a provider made anew while our server is away deletes nothing, and recovers by itself",
        prove: outage::provider_made_anew,
    },
    Scenario {
        name: "manifests_lost",
        sentence: "a Flux Kustomization that loses the providers and ResourceSets deletes none of them",
        prove: outage::manifests_lost,
    },
    Scenario {
        name: "hostile_values",
        sentence: "hostile but lawful values arrive exactly",
        prove: values::hostile_values,
    },
    // Last, since 150 namespaces take long to go.
    Scenario {
        name: "many_namespaces",
        sentence: "150 namespaces on one cluster: all 150 are there",
        prove: appearance::many_namespaces,
    },
];

/// What the scenarios share. The scene comes last: it must outlive the processes.
struct World {
    plane: ControlPlane,
    charts: ChartRepository,
    registry: OciRegistry,
    manifests: Manifests,
    programs: Programs,
    tools: Tools,
    scene: Scene,
}

impl World {
    fn start() -> Result<Self> {
        let tools = Tools::ensure()?;
        let programs = Programs::build()?;
        let scene = Scene::open()?;
        let demo = ["cert-manager", "traefik", "podinfo"].map(|name| [(name, "1.0.0"), (name, "2.0.0")]);
        let charts = ChartRepository::serve(&scene.subfolder("charts")?, demo.as_flattened())?;
        Ok(World {
            plane: ControlPlane::start(&scene, &tools, "plane", &Controller::ALL)?,
            charts,
            registry: OciRegistry::start(&scene, &tools)?,
            manifests: Manifests::copy(&scene, &tools)?,
            programs,
            tools,
            scene,
        })
    }

    fn kubectl(&self) -> &Kubectl {
        &self.plane.kubectl
    }

    fn fleet(&self, seed: &Value) -> Result<Fleet> {
        Fleet::start(&self.scene, &self.programs, seed)
    }

    fn home(&self) -> Home<'_> {
        Home { scene: &self.scene, manifests: &self.manifests, quick: false }
    }

    /// The shared control plane becomes the cluster [`DNS`] of the fleet.
    fn join(&self, fleet: &Fleet) -> Result<()> {
        member::join(&self.home(), &self.plane, &fleet.url(), DNS)
    }

    fn poll(&self) -> Result<()> {
        member::poll(self.kubectl())
    }

    /// A catalog entry for the chart `podinfo` of the repository here.
    fn component(&self, id: &str) -> Value {
        json!({"id": id, "component_path": "podinfo", "component_version": "1.0.0", "oci_url": self.charts.url()})
    }
}

/// A cluster called `demo-cluster-01`, with the fields of `more` as well.
fn cluster(more: Value) -> Value {
    let mut cluster = json!({
        "id": "demo-cluster-01", "cluster_name": "demo-cluster-01", "cluster_dns": DNS, "environment": "dev"
    });
    if let (Some(cluster), Value::Object(more)) = (cluster.as_object_mut(), more) {
        cluster.extend(more);
    }
    cluster
}

/// A fleet of this cluster, in `environment`, with a component, two namespaces and a binding; a third namespace that it
/// has not.
fn small_fleet(world: &World, environment: &str) -> Result<Fleet> {
    world.fleet(&json!({
        "clusters": [cluster(json!({
            "environment": environment,
            "platform_components": [{"id": "podinfo"}],
            "namespaces": [{"id": "red"}, {"id": "blue"}],
            "rolebindings": [{"id": "readers"}],
            "patches": {"podinfo": {"replicaCount": "2"}}
        }))],
        "platform_components": [world.component("podinfo")],
        "namespaces": [{"id": "red"}, {"id": "blue"}, {"id": "green"}],
        "rolebindings": [{"id": "readers", "role": "view", "subjects": []}]
    }))
}

/// Has the cluster poll several times, each of which must be refused with `status`, and apply what it has: nothing may
/// come of it.
fn through_refusals(world: &World, status: &str, before: &Objects) -> Result<()> {
    for _ in 0..3 {
        reconcile(world.kubectl(), PROVIDERS, |provider| {
            not_ready(provider, "")?;
            ensure!(readiness(provider).contains(status), "Ready is {}", readiness(provider));
            Ok(())
        })?;
        reconcile(world.kubectl(), RESOURCE_SETS, ready)?;
        before.unchanged(world.kubectl())?;
    }
    Ok(())
}

/// What the chart of a release shows: its name and version, and the values that it got.
fn echo(kubectl: &Kubectl, namespace: &str, release: &str) -> Result<(String, Value)> {
    let object = kubectl.existing(CONFIG_MAPS, namespace, &format!("{release}-echo"))?;
    let values = serde_json::from_str(object["data"]["values.json"].as_str().unwrap_or_default())?;
    Ok((text(&object["data"]["chart"]), values))
}

/// Waits until the HelmReleases of these components are ready.
fn installed(kubectl: &Kubectl, components: &[&str]) -> Result<()> {
    for id in components {
        wait_until(format!("the chart of {id} is installed"), SOON, || {
            ready(&kubectl.existing(HELM_RELEASES, FLUX_SYSTEM, &format!("platform-{id}"))?)
        })?;
    }
    Ok(())
}

/// Fails with both sides unless they are the same.
fn same(what: &str, found: &Value, expected: &Value) -> Result<()> {
    if found != expected {
        bail!("{what} is {found}, not {expected}");
    }
    Ok(())
}

/// Runs the scenarios whose names contain one of `filters`, all where there are none.
pub(crate) fn run(filters: &[String]) -> Result<()> {
    let chosen: Vec<_> = SCENARIOS
        .iter()
        .filter(|scenario| {
            filters.is_empty() || filters.iter().any(|part| scenario.name.contains(part.as_str()))
        })
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        bail!("no scenario is called so; there are {}", names.join(", "));
    }
    let start = Instant::now();
    let mut world = World::start()?;
    println!("control plane with Flux: started after {}", seconds(start.elapsed()));
    let mut failed = 0;
    for (at, scenario) in chosen.iter().enumerate() {
        if !prove(&world, scenario)? {
            failed += 1;
        }
        if at + 1 == chosen.len() {
            break;
        }
        if let Err(error) = member::leave(world.kubectl()) {
            println!("     the control plane is started anew: {error:#}");
            drop(world);
            world = World::start()?;
        }
    }
    println!("\nall of it took {}", seconds(start.elapsed()));
    println!("e2e: {} passed, {failed} failed", chosen.len() - failed);
    if failed > 0 {
        bail!("a promise does not hold; see above");
    }
    Ok(())
}

fn prove(world: &World, scenario: &Scenario) -> Result<bool> {
    print!("test {} ... ", scenario.name);
    io::stdout().flush().context("nobody reads this")?;
    let (start, logged) = (Instant::now(), world.scene.logged());
    let outcome = (scenario.prove)(world);
    println!("{} ({})", if outcome.is_ok() { "ok" } else { "FAILED" }, seconds(start.elapsed()));
    println!("     {}", scenario.sentence);
    let Err(error) = outcome else { return Ok(true) };
    println!("     {error:#}");
    for line in world.scene.complaints(&logged, 5) {
        println!("     | {}", line.chars().take(400).collect::<String>());
    }
    Ok(false)
}

fn seconds(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f32())
}
