//! The rules again, written as plainly as possible over whole documents: what the merge must equal.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// All documents of a fleet, by plural and id.
pub(crate) type Documents = BTreeMap<String, BTreeMap<String, Value>>;

/// The selectors that a history's freezes and profiles have, and whether each holds for a cluster.
pub(crate) const SELECTORS: [&str; 6] = [
    "environment=prod",
    "id in (c1,c2)",
    "tier notin (edge)",
    "tier,id!=c3",
    "",
    "tier=edge,environment in (dev,prod)",
];

pub(crate) fn selects(selector: &str, cluster: &Value) -> bool {
    let (id, tier) = (cluster["id"].as_str().unwrap(), cluster["labels"]["tier"].as_str());
    match SELECTORS.iter().position(|known| *known == selector).unwrap() {
        0 => cluster["environment"] == "prod",
        1 => id == "c1" || id == "c2",
        2 => tier != Some("edge"),
        3 => tier.is_some() && id != "c3",
        4 => true,
        _ => tier == Some("edge"),
    }
}

/// Whether `document`, a cluster or what is left of one, polls as `dns`.
pub(crate) fn polls_as(document: &Value, dns: &str) -> bool {
    let aliases = [&document["aliases"], &document["cluster"]["aliases"]];
    let aliases = aliases.into_iter().filter_map(Value::as_array).flatten();
    let mut names = aliases.chain([&document["cluster_dns"]]).filter_map(Value::as_str);
    names.any(|name| same_name(name, dns))
}

/// The answer that the specification's tables give, field by field; `None` where there is none.
pub(crate) fn answer(documents: &Documents, dns: &str, path: &str) -> Option<Value> {
    let Some(cluster) = documents["clusters"].values().find(|cluster| polls_as(cluster, dns)) else {
        let tombstone = documents["tombstones"].values().find(|tombstone| polls_as(tombstone, dns))?;
        return (tombstone["held"] != true).then(|| json!({"inputs": []}));
    };
    if documents["freezes"].values().any(|freeze| selects(freeze["selector"].as_str().unwrap(), cluster)) {
        return None;
    }
    let cluster = &flattened(documents, cluster);
    let plural = path.replace('-', "_");
    let references = cluster[&plural].as_array().cloned().unwrap_or_default();
    let inputs = references.iter().filter_map(|reference| {
        let definition = documents[&plural].get(reference["id"].as_str().unwrap())?;
        Some(match path {
            "platform-components" => component(cluster, reference, definition),
            "namespaces" => definition_input(
                cluster,
                reference,
                definition,
                &[("labels", json!({})), ("annotations", json!({}))],
            ),
            _ => definition_input(
                cluster,
                reference,
                definition,
                &[("role", json!("")), ("subjects", json!([]))],
            ),
        })
    });
    Some(json!({"inputs": inputs.collect::<Vec<_>>()}))
}

/// The profiles of `cluster`, the lowest first.
pub(crate) fn profiles<'a>(documents: &'a Documents, cluster: &Value) -> Vec<&'a Value> {
    let matching = |profile: &&Value| selects(profile["selector"].as_str().unwrap(), cluster);
    let mut profiles: Vec<_> =
        documents.get("profiles").into_iter().flat_map(BTreeMap::values).filter(matching).collect();
    profiles.sort_by_key(|profile| (profile["priority"].as_i64().unwrap_or(0), profile["id"].to_string()));
    profiles
}

/// The cluster as it would be written were there no profiles: whole documents, put over each other.
pub(crate) fn flattened(documents: &Documents, cluster: &Value) -> Value {
    let layers: Vec<_> = profiles(documents, cluster).into_iter().chain([cluster]).collect();
    let mut flat = cluster.clone();
    let lists = layers.iter().flat_map(|layer| layer.as_object().unwrap().keys());
    let lists: Vec<_> =
        lists.filter(|field| layers.iter().any(|layer| layer[*field][0]["id"].is_string())).collect();
    for list in lists {
        flat[list] = Value::Array(listed(layers.iter().map(|layer| &layer[list])));
    }
    flat["patches"] = json!({});
    for layer in layers {
        for (id, keys) in layer["unset_patches"].as_object().into_iter().flatten() {
            for key in keys.as_array().unwrap() {
                flat["patches"][id].as_object_mut().map(|patches| patches.remove(key.as_str().unwrap()));
            }
        }
        for (id, patches) in layer["patches"].as_object().into_iter().flatten() {
            let merged = over(first(&[&flat["patches"][id]], json!({})), patches.clone());
            flat["patches"][id] = merged;
        }
    }
    flat.as_object_mut().unwrap().remove("unset_patches");
    flat
}

/// Lists of references, put over each other.
fn listed<'a>(layers: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut merged: BTreeMap<&str, Value> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for reference in layers.filter_map(Value::as_array).flatten() {
        let id = reference["id"].as_str().unwrap();
        let one = merged.entry(id).or_insert_with(|| json!({}));
        one["exclude"] = false.into();
        for (field, value) in reference.as_object().unwrap().iter().filter(|(_, value)| !value.is_null()) {
            let below = one[field].clone();
            one[field] = if field == "release" && !below.is_null() {
                over(below, value.clone())
            } else {
                value.clone()
            };
        }
        if one["exclude"] == false && !order.contains(&id) {
            order.push(id);
        }
    }
    order.into_iter().map(|id| merged.remove(id).unwrap()).filter(|one| one["exclude"] == false).collect()
}

fn same_name(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').to_lowercase() == other.trim_end_matches('.').to_lowercase()
}

fn first(layers: &[&Value], default: Value) -> Value {
    layers.iter().find(|value| !value.is_null()).map_or(default, |value| (*value).clone())
}

fn block(cluster: &Value) -> Value {
    json!({"name": cluster["cluster_name"], "dns": cluster["cluster_dns"], "environment": cluster["environment"]})
}

fn component(cluster: &Value, reference: &Value, catalog: &Value) -> Value {
    let id = reference["id"].as_str().unwrap();
    json!({
        "id": id,
        "enabled": first(&[&reference["enabled"], &catalog["enabled"]], true.into()),
        "component_path": first(&[&reference["component_path"]], catalog["component_path"].clone()),
        "component_version": first(&[&catalog["component_version"]], "latest".into()),
        "cluster_env_enabled": first(&[&catalog["cluster_env_enabled"]], false.into()),
        "depends_on": first(&[&catalog["depends_on"]], json!([])),
        "patches": first(&[&cluster["patches"][id]], json!({})),
        "cluster": block(cluster),
        "source": {
            "oci_url": catalog["oci_url"],
            "oci_tag": first(&[&reference["oci_tag"], &catalog["oci_tag"]], "latest".into()),
        },
        "delivery": first(&[&catalog["delivery"]], "helm".into()),
        "on_remove": first(&[&reference["on_remove"], &catalog["on_remove"]], "delete".into()),
        "release": over(first(&[&catalog["release"]], json!({})), first(&[&reference["release"]], json!({}))),
    })
}

fn over(base: Value, top: Value) -> Value {
    let (Value::Object(base), Value::Object(top)) = (&base, &top) else { return top };
    let keys = base.keys().chain(top.keys());
    let merged = keys.map(|key| {
        let value = match (base.get(key), top.get(key)) {
            (Some(base), Some(top)) => over(base.clone(), top.clone()),
            (one, other) => other.or(one).unwrap().clone(),
        };
        (key.clone(), value)
    });
    Value::Object(merged.collect::<Map<_, _>>())
}

fn definition_input(
    cluster: &Value,
    reference: &Value,
    definition: &Value,
    fields: &[(&str, Value)],
) -> Value {
    let mut input = json!({
        "id": definition["id"],
        "on_remove": first(&[&reference["on_remove"], &definition["on_remove"]], "delete".into()),
        "cluster": block(cluster),
    });
    for (field, default) in fields {
        input[*field] = first(&[&definition[*field]], default.clone());
    }
    input
}
