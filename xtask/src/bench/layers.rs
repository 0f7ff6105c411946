//! `cargo xtask bench layers`: a fleet with profiles beside the same fleet without, in which each cluster says
//! itself what its profiles gave it. Polls and memory of a server process of each, and the plan of a profile's edit.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flux_resourceset_merge::{Fleet, plan};
use flux_resourceset_model::change::{Key, Operation, Verb};
use flux_resourceset_model::{CLUSTERS, PROFILES, Rules};
use serde_json::{Value, json};

use super::client::Client;
use super::{in_ms, median, resident, timed};
use crate::server::Server;
use crate::workspace::Programs;

const FLEET: usize = 10_000;
const PATHS: [&str; 3] = ["platform-components", "namespaces", "rolebindings"];
const TIERS: usize = 5;
const REGIONS: usize = 40;
const TEAMS: usize = 150;
/// With the four environments and the one for all.
const ALL_PROFILES: usize = 200;
/// The profile that is edited, and how many clusters it is for.
const EDITED: (&str, usize) = ("environment-prod", 5_000);
/// Many and short, so that both sides meet whatever else the machine does.
const ROUNDS: usize = 61;
const ROUND: Duration = Duration::from_millis(250);
const PLANS: usize = 9;

pub(crate) fn run(programs: &Programs) -> Result<()> {
    let documents = documents();
    let (layered, loading) = timed(|| load(&documents))?;
    let documents = flattened(&layered)?;
    let (flat, loading_flat) = timed(|| load(&documents))?;
    ensure!(layered.len(PROFILES) == ALL_PROFILES && flat.len(PROFILES) == 0, "not the fleets meant");
    let bytes = same_answers(&layered, &flat)?;
    println!(
        "{FLEET} clusters, {ALL_PROFILES} profiles, {} combinations of them; {} with words of their own; \
         all answers {} MB",
        combinations(&layered),
        (0..FLEET).filter(|n| !own_words(*n).is_empty()).count(),
        bytes / 1_000_000
    );
    println!("loading, layered and flattened:         {} {}", in_ms(loading), in_ms(loading_flat));
    rendering(&layered, &flat)?;
    edits(&layered, &flat)?;
    servers(programs, &layered, &flat)
}

/// Whether every cluster is answered the same bytes of every type by both; how many bytes.
fn same_answers(layered: &Fleet, flat: &Fleet) -> Result<usize> {
    let (mut bytes, mut inputs) = (0, [0; 3]);
    for n in 0..FLEET {
        for (path, inputs) in PATHS.iter().zip(&mut inputs) {
            let [one, other] = [layered, flat].map(|fleet| fleet.answer_text(&dns(n), path));
            let one = one?;
            ensure!(one == other?, "the {path} of {} differ", dns(n));
            bytes += one.len();
            *inputs += layered.answer_inputs(&dns(n), path)?.len();
        }
    }
    println!("inputs of a cluster, by type: {:.1?}", inputs.map(|count| count as f64 / FLEET as f64));
    Ok(bytes)
}

fn combinations(fleet: &Fleet) -> usize {
    let ids = |n| fleet.profiles_of(&id(n)).map(|profile| profile.id.as_str()).collect::<Vec<_>>();
    (0..FLEET).map(ids).collect::<std::collections::BTreeSet<_>>().len()
}

fn rendering(layered: &Fleet, flat: &Fleet) -> Result<()> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for _ in 0..PLANS {
        one.push(timed(|| answer(layered, 0..FLEET))?.1);
        other.push(timed(|| answer(flat, 0..FLEET))?.1);
    }
    let [one, other] = [one, other].map(median);
    let ratio = one.as_secs_f64() / other.as_secs_f64();
    println!("every answer, layered and flattened:    {} {}  ratio {ratio:.2}", in_ms(one), in_ms(other));
    Ok(())
}

fn answer(fleet: &Fleet, clusters: impl Iterator<Item = usize>) -> Result<usize> {
    let (mut bytes, mut out) = (0, Vec::new());
    for n in clusters {
        for path in PATHS {
            out.clear();
            fleet.answer(&dns(n), path, &mut out)?;
            bytes += out.len();
        }
    }
    Ok(bytes)
}

/// What an edit of one profile costs, and for comparison that of the same change to every cluster it is for.
fn edits(layered: &Fleet, flat: &Fleet) -> Result<()> {
    let profile = Operation::new(Verb::Update, Key::new(PROFILES, EDITED.0), None);
    let every = Operation::new(Verb::Update, Key::new(CLUSTERS, Operation::EVERY), None);
    let every = Operation { select: Some("environment=prod".into()), ..every };
    let says = |of: &Operation, kind: &str, id: &str, body: Value| Operation {
        body: Some(body),
        ..of.clone().on(kind, id)
    };
    let tag = |of: &Operation| says(of, "platform_components", &component_id(9), json!({"oci_tag": "1.2.0"}));
    let patch = says(&profile, "patches", &component_id(1), json!({"log.level": "trace"}));
    let new = [("platform_components", "new-component"), ("namespaces", "new-namespace")];
    let new = new.map(|(kind, id)| says(&profile, kind, id, json!({})));
    for (what, fleet, operations) in [
        ("a profile's oci_tag:           ", layered, &[tag(&profile)][..]),
        ("a profile's patch:             ", layered, &[patch]),
        ("a profile's two new references:", layered, &new),
        ("flattened, the oci_tag on each:", flat, &[tag(&every)]),
    ] {
        edit(what, fleet, operations)?;
    }
    Ok(())
}

fn edit(what: &str, fleet: &Fleet, operations: &[Operation]) -> Result<()> {
    let selected = || (0..FLEET).filter(|n| environment(*n) == "prod");
    let [mut preparing, mut planning, mut applying, mut answering] = [(); 4].map(|()| Vec::new());
    for _ in 0..PLANS {
        answering.push(timed(|| answer(fleet, selected()))?.1);
        let (prepared, time) = timed(|| Ok(fleet.prepare(operations)?))?;
        preparing.push(time);
        let keys = || prepared.documents.iter().map(|document| &document.key);
        let (plan, time) = timed(|| Ok(plan(fleet, &prepared.after, keys())))?;
        planning.push(time);
        ensure!(plan.clusters == EDITED.1, "the plan of {what} is of {} clusters", plan.clusters);
        applying.push(timed(|| Ok(fleet.apply(fleet.revision() + 1, &prepared.documents)?))?.1);
    }
    let [preparing, planning, applying, answering] = [preparing, planning, applying, answering].map(median);
    println!(
        "{what} plan {}, its {} clusters answered {}, ratio {:.2}; prepare {}, apply {}",
        in_ms(planning),
        EDITED.1,
        in_ms(answering),
        planning.as_secs_f64() / answering.as_secs_f64(),
        in_ms(preparing),
        in_ms(applying)
    );
    Ok(())
}

/// A server process, and who polls it.
struct Side {
    client: Client,
    server: Server,
}

/// Both as server processes.
fn servers(programs: &Programs, layered: &Fleet, flat: &Fleet) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut servers = Vec::new();
    for (name, fleet) in [("layered", layered), ("flattened", flat)] {
        let home = folder.path().join(name);
        fs::create_dir(&home)?;
        let seed = home.join("seed.json");
        let mut file = Vec::new();
        fleet.export(&mut file);
        fs::write(&seed, &file)?;
        // What seeding leaves behind in a process is not what serving takes.
        drop(Server::start(programs, &home, "127.0.0.1:0", &seed)?);
        let start = Instant::now();
        let server = Server::start(programs, &home, "127.0.0.1:0", &seed)?;
        let (took, size) = (in_ms(start.elapsed()), in_mb(file.len() / 1024));
        println!("{name}: {size} as a file; started on its store in {took}");
        servers.push(server);
    }
    // A connection on which nobody asks is closed.
    let side = |server: Server| Ok(Side { client: Client::connect(server.address())?, server });
    let mut sides = servers.into_iter().map(side).collect::<Result<Vec<_>>>()?;
    let before = residents(&sides)?;
    let polls = polls(&mut sides)?;
    let after = residents(&sides)?;
    println!(
        "polls a second, layered and flattened:  {:>8.0} {:>8.0}  ratio {:.2}",
        polls.rates[0], polls.rates[1], polls.ratio
    );
    for (when, [layered, flat]) in [("start", before), ("polls", after)] {
        let ratio = layered as f64 / flat as f64;
        println!(
            "resident after the {when}, both:           {} {}  ratio {ratio:.2}",
            in_mb(layered),
            in_mb(flat)
        );
    }
    Ok(())
}

struct Polls {
    /// A second, of each side: medians.
    rates: [f64; 2],
    /// The median of those of the rounds.
    ratio: f64,
}

fn polls(sides: &mut [Side]) -> Result<Polls> {
    let [mut layered, mut flat, mut ratios] = [(); 3].map(|()| Vec::new());
    for round in 0..ROUNDS {
        let whose = |n: usize| (dns((n + round * 331) % FLEET), PATHS[n % PATHS.len()]);
        let mut rates = [0.0; 2];
        // Each is first in every other round.
        for at in [round % 2, (round + 1) % 2] {
            rates[at] = sides[at].client.round(ROUND, whose)?;
        }
        layered.push(rates[0]);
        flat.push(rates[1]);
        ratios.push(rates[0] / rates[1]);
    }
    let [layered, flat, ratio] = [layered, flat, ratios].map(median);
    Ok(Polls { rates: [layered, flat], ratio })
}

fn residents(sides: &[Side]) -> Result<[usize; 2]> {
    Ok([resident(sides[0].server.pid())?, resident(sides[1].server.pid())?])
}

fn in_mb(kilobytes: usize) -> String {
    format!("{:.1} MB", kilobytes as f64 / 1024.0)
}

fn load(documents: &[(Key, Value)]) -> Result<Fleet> {
    let documents = documents.iter().map(|(key, body)| (key.clone(), 1, body.to_string().into_bytes()));
    Ok(Fleet::load(Rules::default(), 1, documents)?)
}

/// The same without profiles.
fn flattened(fleet: &Fleet) -> Result<Vec<(Key, Value)>> {
    let mut flat = Vec::new();
    for kind in fleet.types().iter().filter(|kind| kind.plural() != PROFILES) {
        for (id, document) in fleet.list(kind.plural()) {
            let body = match kind.plural() {
                CLUSTERS => fleet.effective(id).context("a cluster that is listed")?.into(),
                _ => serde_json::from_slice(&document.body())?,
            };
            flat.push((Key::new(kind.plural(), id), body));
        }
    }
    Ok(flat)
}

fn id(n: usize) -> String {
    format!("cluster-{n:05}")
}

fn dns(n: usize) -> String {
    format!("{}.k8s.example.com", id(n))
}

fn component_id(n: usize) -> String {
    format!("component-{n:02}")
}

fn environment(n: usize) -> &'static str {
    ["prod", "dev", "prod", "qa", "prod", "uat", "prod", "dev"][n % 8]
}

/// One of `count`, spread so that hardly two clusters have the same of everything: what they could share is
/// little, and so this is the hard case.
fn spread(n: usize, salt: u64, count: usize) -> usize {
    let mixed =
        (n as u64 ^ salt << 32).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ mixed >> 31).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) as usize % count
}

fn documents() -> Vec<(Key, Value)> {
    let definition = |kind: &str, id: String, more: Value| {
        let mut body = more;
        body["id"] = id.as_str().into();
        (Key::new(kind, id), body)
    };
    let labels =
        json!({"labels": {"managed-by": "platform"}, "annotations": {"contact": "platform@example.com"}});
    let components = (0..20).map(component_id).chain(["own-component", "new-component"].map(String::from));
    let mut documents: Vec<_> = components.map(component).collect();
    let teams = (0..TEAMS).flat_map(|n| [format!("team-{n:03}"), format!("team-{n:03}-ci")]);
    let namespaces = (0..8).map(|n| format!("platform-{n}")).chain(["new-namespace".to_owned()]).chain(teams);
    documents.extend(namespaces.map(|id| definition("namespaces", id, labels.clone())));
    let roles = ["admins", "environment", "region"].map(String::from);
    let roles = roles.into_iter().chain((0..TEAMS).map(|n| format!("team-{n:03}")));
    documents.extend(roles.map(|id| {
        let subjects = json!([{"kind": "Group", "name": format!("{id}@example.com")}]);
        definition("rolebindings", id, json!({"role": "view", "subjects": subjects}))
    }));
    documents.extend(profiles());
    documents.extend((0..FLEET).map(cluster));
    documents
}

fn component(id: String) -> (Key, Value) {
    let body = json!({
        "id": id, "component_path": format!("charts/{id}"), "component_version": "1.0.0",
        "oci_url": "oci://registry.example.com/charts", "oci_tag": "1.0.0",
        "release": {"values": {"image": {"repository": format!("registry.example.com/{id}")}, "replicas": 2}}
    });
    (Key::new("platform_components", id), body)
}

fn ids(ids: impl IntoIterator<Item = String>) -> Vec<Value> {
    ids.into_iter().map(|id| json!({"id": id})).collect()
}

fn components(numbers: std::ops::Range<usize>) -> Vec<Value> {
    ids(numbers.map(component_id))
}

/// 20 components, 10 namespaces and 4 role bindings for each cluster, by five profiles. Regions and tiers have
/// the same priority and speak of the same component.
fn profiles() -> Vec<(Key, Value)> {
    let mut profiles = vec![base()];
    profiles.extend(["dev", "qa", "uat", "prod"].map(of_environment));
    profiles.extend((0..TIERS).map(of_tier));
    profiles.extend((0..REGIONS).map(of_region));
    profiles.extend((0..TEAMS).map(of_team));
    profiles
        .into_iter()
        .map(|body| (Key::new(PROFILES, body["id"].as_str().unwrap_or_default()), body))
        .collect()
}

fn base() -> Value {
    json!({
        "id": "base", "selector": "", "platform_components": components(0..8),
        "namespaces": ids((0..4).map(|n| format!("platform-{n}"))), "rolebindings": [{"id": "admins"}],
        "patches": {component_id(0): {"replicaCount": "2", "log.level": "info"}}
    })
}

fn of_environment(name: &str) -> Value {
    let mut components = components(8..12);
    components
        .push(json!({"id": component_id(0), "oci_tag": if name == "prod" { "1.0.0" } else { "1.1.0" }}));
    components
        .push(json!({"id": component_id(2), "release": {"values": {"image": {"pullPolicy": "Always"}}}}));
    json!({
        "id": format!("environment-{name}"), "selector": format!("environment={name}"), "priority": 20,
        "platform_components": components, "namespaces": [{"id": "platform-4"}, {"id": "platform-5"}],
        "rolebindings": [{"id": "environment"}],
        "patches": {component_id(1): {"log.level": if name == "prod" { "warn" } else { "debug" }}}
    })
}

fn of_tier(n: usize) -> Value {
    let mut components = components(12..15);
    components.push(json!({"id": component_id(3), "release": {"values": {"replicas": n + 1}}}));
    json!({
        "id": format!("tier-{n}"), "selector": format!("tier={n}"), "priority": 10,
        "platform_components": components, "namespaces": [{"id": "platform-6"}]
    })
}

fn of_region(n: usize) -> Value {
    let mut components = components(15..17);
    components
        .push(json!({"id": component_id(3), "release": {"values": {"zone": format!("region-{n:02}a")}}}));
    let domain = format!("region-{n:02}.example.com");
    json!({
        "id": format!("region-{n:02}"), "selector": format!("region=region-{n:02}"), "priority": 10,
        "platform_components": components, "namespaces": [{"id": "platform-7"}],
        "rolebindings": [{"id": "region"}],
        "patches": {component_id(4): {"ingress.domain": domain, "registry": format!("registry.{domain}")}}
    })
}

fn of_team(n: usize) -> Value {
    let team = format!("team-{n:03}");
    json!({
        "id": team, "selector": format!("team={team}"), "priority": 30,
        "platform_components": components(17..20), "namespaces": [{"id": team}, {"id": format!("{team}-ci")}],
        "rolebindings": [{"id": team}], "patches": {component_id(17): {"owner": team}}
    })
}

fn cluster(n: usize) -> (Key, Value) {
    let id = id(n);
    let mut body = json!({
        "id": id, "cluster_name": id, "cluster_dns": dns(n), "environment": environment(n),
        "labels": {
            "tier": spread(n, 1, TIERS).to_string(), "region": format!("region-{:02}", spread(n, 2, REGIONS)),
            "team": format!("team-{:03}", spread(n, 3, TEAMS))
        }
    });
    own_words(n).into_iter().for_each(|(field, value)| body[field] = value);
    (Key::new(CLUSTERS, id), body)
}

/// What one cluster in four says itself.
fn own_words(n: usize) -> Vec<(&'static str, Value)> {
    let references = "platform_components";
    let tag = || json!({"id": component_id(5), "oci_tag": "1.0.1", "note": "waits for a fix", "expires": "2031-01-31"});
    match n % 50 {
        3 | 13 | 23 | 33 | 43 => vec![(references, json!([tag()]))],
        7 | 17 | 27 => vec![("patches", json!({component_id(4): {"ingress.host": dns(n)}}))],
        9 => vec![(references, json!([{"id": component_id(6), "exclude": true}]))],
        19 => vec![(references, json!([{"id": component_id(3), "release": {"values": {"replicas": 9}}}]))],
        29 => vec![("unset_patches", json!({component_id(0): ["log.level"]}))],
        39 => vec![(references, json!([{"id": "own-component"}, {"id": component_id(7), "enabled": false}]))],
        _ => Vec::new(),
    }
}
