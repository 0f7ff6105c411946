//! `cargo xtask bench plan`: what planning costs beside answering, at the size that the product promises.

use anyhow::{Context, Result, ensure};
use flux_resourceset_merge::{Fleet, Plan, Prepared, plan};
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{Key, Operation, Verb};
use serde_json::{Value, json};

use super::{in_ms, median, timed};

const CLUSTERS: usize = 10_000;
const COMPONENTS: usize = 20;
/// In the catalog, and no cluster's before the benchmark.
const NEW: &str = "new-component";
const ROUNDS: usize = 9;

pub(crate) fn run() -> Result<()> {
    let fleet = fleet()?;
    println!("{CLUSTERS} clusters, {COMPONENTS} components each; one thread, medians of {ROUNDS} rounds");
    let names: Vec<String> = (0..COMPONENTS).map(component_id).collect();
    let one = catalog_change(&fleet, &names[..1])?;
    let all = catalog_change(&fleet, &names)?;
    let (assigned, preparing) = timed(|| assign_to_all(&fleet))?;
    let [mut answering, mut one_times, mut all_times, mut assign_times] = [(); 4].map(|()| Vec::new());
    // In turn, so that what slows the machine down slows all of them.
    for _ in 0..ROUNDS {
        answering.push(timed(|| answer_all(&fleet))?.1);
        one_times.push(timed(|| planned(&fleet, &one, CLUSTERS))?.1);
        assign_times.push(timed(|| planned(&fleet, &assigned, CLUSTERS))?.1);
        all_times.push(timed(|| planned(&fleet, &all, CLUSTERS))?.1);
    }
    let base = median(answering);
    println!("every platform-components answer, rendered once:     {}", in_ms(base));
    for (what, times) in [
        ("plan of a change to 1 catalog entry:                  ", one_times),
        ("plan of a change to all 20 catalog entries at once:   ", all_times),
        ("plan of assigning a component to every cluster:       ", assign_times),
    ] {
        let time = median(times);
        println!("{what}{}  ratio {:.2}", in_ms(time), time.as_secs_f64() / base.as_secs_f64());
    }
    println!("preparing that assignment (once), checks included:    {}", in_ms(preparing));
    one_revision(&fleet, &assigned)
}

/// Whether the assignment is one change set, and leads to one revision.
fn one_revision(fleet: &Fleet, assigned: &Prepared) -> Result<()> {
    let documents = &assigned.documents;
    ensure!(documents.len() == CLUSTERS, "{} documents", documents.len());
    let (next, time) = timed(|| Ok(fleet.apply(fleet.revision() + 1, documents)?))?;
    println!(
        "following it: 1 change set of {CLUSTERS} documents, revision {} -> {}: {}",
        fleet.revision(),
        next.revision(),
        in_ms(time)
    );
    Ok(())
}

fn component_id(n: usize) -> String {
    format!("component-{n:02}")
}

/// Half of the clusters in prod; each overrides one component's tag, another's values, and patches a third.
fn fleet() -> Result<Fleet> {
    let clusters = (0..CLUSTERS).map(|n| {
        let id = format!("cluster-{n:05}");
        let references = (0..COMPONENTS).map(|at| match at {
            3 => json!({"id": component_id(at), "oci_tag": "1.0.1"}),
            4 => json!({"id": component_id(at), "release": {"values": {"replicas": n % 5}}}),
            _ => json!({"id": component_id(at)}),
        });
        let body = json!({
            "id": id, "cluster_name": id, "cluster_dns": format!("{id}.k8s.example.com"),
            "environment": if n % 2 == 0 { "prod" } else { "dev" }, "labels": {"region": format!("r{}", n % 10)},
            "platform_components": references.collect::<Vec<_>>(), "namespaces": [{"id": "monitoring"}],
            "patches": {component_id(5): {"replicaCount": "3", "ingress.host": format!("{id}.example.com")}}
        });
        (Key::new("clusters", id), body)
    });
    let component = |id: String| {
        let body = json!({
            "id": id, "component_path": format!("charts/{id}"), "component_version": "1.0.0",
            "oci_url": "oci://registry.example.com/charts", "oci_tag": "1.0.0",
            "release": {"values": {"image": {"repository": format!("registry.example.com/{id}")}, "replicas": 2}}
        });
        (Key::new("platform_components", id), body)
    };
    let catalog = (0..COMPONENTS).map(component_id).chain([NEW.to_owned()]).map(component);
    let namespace = (Key::new("namespaces", "monitoring"), json!({"id": "monitoring"}));
    let documents = catalog.chain([namespace]).chain(clusters);
    let documents = documents.map(|(key, body)| (key, 1, body.to_string().into_bytes()));
    Ok(Fleet::load(Rules::default(), 1, documents)?)
}

fn catalog_change(fleet: &Fleet, ids: &[String]) -> Result<Prepared> {
    let change = json!({"oci_tag": "1.1.0"});
    let patch =
        |id: &String| Operation::new(Verb::Patch, Key::new("platform_components", id), Some(change.clone()));
    Ok(fleet.prepare(&ids.iter().map(patch).collect::<Vec<_>>())?)
}

fn assign_to_all(fleet: &Fleet) -> Result<Prepared> {
    let every = Key::new("clusters", Operation::EVERY);
    let assign = Operation::new(Verb::Update, every, Some(Value::Object(Default::default())));
    let assign = Operation { select: Some(String::new()), ..assign.on("platform_components", NEW) };
    Ok(fleet.prepare(&[assign])?)
}

fn planned(fleet: &Fleet, prepared: &Prepared, clusters: usize) -> Result<Plan> {
    let plan = plan(fleet, &prepared.after, prepared.documents.iter().map(|document| &document.key));
    ensure!(plan.clusters == clusters, "the plan is of {} clusters", plan.clusters);
    Ok(plan)
}

fn answer_all(fleet: &Fleet) -> Result<usize> {
    let mut bytes = 0;
    let mut answer = Vec::new();
    for n in 0..CLUSTERS {
        answer.clear();
        let dns = format!("cluster-{n:05}.k8s.example.com");
        fleet.answer(&dns, "platform-components", &mut answer).with_context(|| dns)?;
        bytes += answer.len();
    }
    Ok(bytes)
}
