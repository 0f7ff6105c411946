//! A poll as Flux makes it, judged by the contract, and the difference between two of them in words.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The inputs of one answer, by id.
pub(crate) type Inputs = BTreeMap<String, Value>;

/// Polls `path` of the cluster `dns` and judges the answer as Flux Operator would.
pub(crate) fn poll(url: &str, token: &str, dns: &str, path: &str) -> Result<Inputs> {
    let url = format!("{url}/api/v2/flux/clusters/{dns}/{path}");
    let request = ureq::get(&url)
        .config()
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .header("Accept", "application/json")
        .header("User-Agent", "flux-operator/v0.58.1")
        .header("Authorization", format!("Bearer {token}"));
    let body = request.call().with_context(|| format!("GET {url}"))?.body_mut().read_to_vec()?;
    if let Err(violations) = flux_resourceset_contract_tests::check(&body) {
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        bail!("Flux would refuse the answer of {url}: {}", lines.join("; "));
    }
    let answer: Value = serde_json::from_slice(&body)?;
    let inputs = answer["inputs"].as_array().into_iter().flatten();
    Ok(inputs.map(|input| (input["id"].as_str().unwrap_or_default().to_owned(), input.clone())).collect())
}

/// What changed between two answers, a line each.
pub(crate) fn differences(before: &Inputs, after: &Inputs) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, input) in before {
        match after.get(id) {
            Some(now) => compare(&format!("{id}: "), "", input, now, &mut lines),
            None => lines.push(format!("{id}: is gone")),
        }
    }
    let new = after.keys().filter(|id| !before.contains_key(*id));
    lines.extend(new.map(|id| format!("{id}: is new")));
    lines
}

fn compare(prefix: &str, path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            lines.push(format!("{prefix}{path} {before} -> {after}"));
        }
        return;
    };
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) => compare(prefix, &path, old, new, lines),
            (Some(old), None) => lines.push(format!("{prefix}{path} {old} -> (absent)")),
            (None, Some(new)) => lines.push(format!("{prefix}{path} (absent) -> {new}")),
            (None, None) => {}
        }
    }
}
