//! The fleet that is polled while things break, and what is written to it. Each write leaves its number in each
//! document that it changes, and in what is polled, so that every answer tells which revision it is of.

use std::sync::atomic::{AtomicU64, Ordering};

use flux_resourceset_model::change::Key;
use serde_json::{Value, json};

/// A fleet of so many clusters. Each has a namespace of its own, and one that all have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workload {
    pub(super) clusters: usize,
}

impl Workload {
    /// What fills the store first.
    pub(super) fn seed(self) -> Value {
        let clusters = (0..self.clusters).map(|cluster| {
            json!({
                "cluster_name": format!("c{cluster}"), "cluster_dns": dns(cluster), "environment": "dev",
                "namespaces": [{"id": "shared"}, {"id": own(cluster)}],
            })
        });
        let namespaces = (0..self.clusters).map(own).chain([String::from("shared")]);
        json!({
            "clusters": clusters.collect::<Vec<_>>(),
            "namespaces": namespaces.map(|id| json!({"id": id})).collect::<Vec<_>>(),
        })
    }

    /// What the write of this number changes: what one cluster gets, what all get, or each document.
    pub(super) fn keys(self, number: u64) -> Vec<Key> {
        let one = usize::try_from(number).unwrap_or_default() % self.clusters;
        let ids = match number % 4 {
            0 => vec![own(one)],
            1 | 2 => vec![own(one), String::from("shared")],
            _ => (0..self.clusters.min(8)).map(own).chain([String::from("shared")]).collect(),
        };
        ids.into_iter().map(|id| Key::new("namespaces", id)).collect()
    }
}

/// Numbers of writes: none comes twice.
#[derive(Debug, Default)]
pub(super) struct Numbers(AtomicU64);

impl Numbers {
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

pub(super) fn dns(cluster: usize) -> String {
    format!("c{cluster}.example.com")
}

fn own(cluster: usize) -> String {
    format!("own-{cluster}")
}

/// The path that a cluster polls.
pub(super) fn path(cluster: usize) -> String {
    format!("/api/v2/flux/clusters/{}/namespaces", dns(cluster))
}

/// The write of this number, as `POST /api/v2/changes` takes it.
pub(super) fn change(number: u64, keys: &[Key]) -> Value {
    let body = json!({"labels": {"write": number.to_string()}});
    let changes = keys.iter().map(|key| json!({"patch": key.to_string(), "body": body}));
    json!({"reason": reason(number), "changes": changes.collect::<Vec<_>>()})
}

/// By which the log knows the write again.
pub(super) fn reason(number: u64) -> String {
    format!("write {number}")
}

/// The number that a document holds.
pub(super) fn number_in(body: &[u8]) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["labels"]["write"].as_str()?.parse().ok()
}
