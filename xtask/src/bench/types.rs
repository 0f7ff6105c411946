//! `cargo xtask bench types`: how many polls a second a type that was registered at run time gets beside
//! a built-in one of the same shape, over HTTP, from a server process of its own.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::median;
use crate::server::Server;
use crate::workspace::Programs;

const CLUSTERS: usize = 1000;
const REFERENCES: usize = 10;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(1);
const BUILT_IN: &str = "namespaces";
const REGISTERED: &str = "areas";

pub(crate) fn run(programs: &Programs) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let seed = folder.path().join("fleet.json");
    std::fs::write(&seed, fleet().to_string())?;
    let server = Server::start(programs, folder.path(), "127.0.0.1:0", &seed)?;
    let mut client = Client::connect(server.address())?;
    let answers = [BUILT_IN, REGISTERED].map(|path| client.poll(&dns(0), path));
    let [built_in, registered] = answers;
    ensure!(built_in?.1 == registered?.1, "the two types do not answer the same");
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(client.round(ROUND, |n| (dns(n % CLUSTERS), BUILT_IN))?);
        other.push(client.round(ROUND, |n| (dns(n % CLUSTERS), REGISTERED))?);
    }
    let [one, other] = [one, other].map(median);
    println!(
        "{CLUSTERS} clusters, {REFERENCES} references of each type; one connection, medians of {ROUNDS} rounds"
    );
    println!("polls a second of a built-in type:     {one:>8.0}");
    println!("polls a second of a registered type:   {other:>8.0}  ratio {:.2}", other / one);
    Ok(())
}

/// Both types have the same properties, and every cluster refers to as many of each.
fn fleet() -> Value {
    let text = |max| json!({"type": "object", "additionalProperties": {"type": "string", "maxLength": max}});
    let definition = |n: usize| json!({"id": format!("x{n}"), "labels": {"team": "a", "tier": "1"}, "annotations": {"note": "b"}});
    let definitions: Vec<_> = (0..REFERENCES).map(definition).collect();
    let references: Vec<_> = (0..REFERENCES).map(|n| json!({"id": format!("x{n}")})).collect();
    let cluster = |n: usize| {
        let id = format!("cluster-{n:04}");
        json!({
            "id": id, "cluster_name": id, "cluster_dns": dns(n), "environment": "dev",
            BUILT_IN: references, REGISTERED: references
        })
    };
    json!({
        "resource_types": [{
            "kind": "area", "apiVersion": "v1",
            "schema": {"type": "object", "properties": {"labels": text(63), "annotations": text(1000)}}
        }],
        BUILT_IN: definitions, REGISTERED: definitions,
        "clusters": (0..CLUSTERS).map(cluster).collect::<Vec<_>>()
    })
}

fn dns(n: usize) -> String {
    format!("cluster-{n:04}.k8s.example.com")
}
