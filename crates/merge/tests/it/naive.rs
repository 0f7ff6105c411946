//! The rules again, written as plainly as possible over whole documents: what the merge must equal.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// All documents of a fleet, by plural and id.
pub(crate) type Documents = BTreeMap<String, BTreeMap<String, Value>>;

/// The answer that the specification's tables give, field by field; `None` where there is none.
pub(crate) fn answer(documents: &Documents, dns: &str, path: &str) -> Option<Value> {
    let named = |document: &&Value| same_name(document["cluster_dns"].as_str().unwrap(), dns);
    let Some(cluster) = documents["clusters"].values().find(named) else {
        return documents["tombstones"].values().find(named).map(|_| json!({"inputs": []}));
    };
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
