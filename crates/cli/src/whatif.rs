//! `whatif`, and `--whatif` of every write: what one cluster would get, beside what it gets now, as
//! the diff of its answers.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::document;
use crate::error::Error;
use crate::flux;
use crate::output::Shown;
use crate::paint::View;
use crate::plan::{Effect, Plan};
use crate::types::CLUSTER;
use crate::writer::Writer;
use crate::writing::Writing;
use crate::{change, registered, request, unified};

#[derive(Args)]
pub(crate) struct Whatif {
    /// Id of the cluster
    cluster: String,

    /// The change: JSON or YAML as for `change` (`-` is stdin)
    #[arg(short, long, value_name = "FILE")]
    file: String,
}

pub(crate) fn run(client: &Client<'_>, whatif: &Whatif) -> Result<Shown, Error> {
    let change_set = change::read(&whatif.file)?;
    let looking = Writing { whatif: Some(whatif.cluster.clone()), ..Writing::default() };
    Writer::new(client, &looking).send(&request::change(change_set)).map(change::shown)
}

/// The answers of `cluster` now, and as `plan` leaves them.
pub(crate) fn shown(client: &Client<'_>, cluster: &str, plan: &Plan) -> Result<Shown, Error> {
    let mut before = Map::new();
    let mut paths = BTreeMap::new();
    for kind in affected(plan, cluster) {
        let known = registered::polled(client, &kind)?;
        let path = known.map_or_else(|| kind.replace('_', "-"), |known| known.flux_path.to_owned());
        paths.insert(kind, path.clone());
        let answer = match flux::polled(client, cluster, &path) {
            // A cluster that the write creates has no answers yet.
            Err(missing) if missing.has_status(404) => Value::Null,
            found => found?.get("inputs").cloned().unwrap_or_default(),
        };
        before.insert(path, answer);
    }
    let mut after = before.clone();
    for effect in plan.effects_on(cluster) {
        let path = paths.get(&effect.kind).unwrap_or(&effect.kind);
        apply(effect, after.entry(path).or_insert_with(|| json!([])));
    }
    let (before, after) = (Value::Object(before), Value::Object(after));
    let changes = before != after;
    let json = json!({"cluster": cluster, "digest": plan.said.digest, "before": before, "after": after});
    let names = if changes { vec![cluster.to_owned()] } else { Vec::new() };
    let title = cluster.to_owned();
    let text = move |view: View| match changes {
        false => format!("Nothing changes for {title}.\n"),
        true => unified::diff(&format!("{title} now"), &format!("{title} then"), &before, &after, view.paint),
    };
    Ok(Shown { changes, ..Shown::text(json, names, text) })
}

fn affected(plan: &Plan, cluster: &str) -> Vec<String> {
    let mut kinds: Vec<_> = plan.effects_on(cluster).map(|effect| effect.kind.clone()).collect();
    kinds.retain(|kind| kind != CLUSTER.plural);
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Does to the inputs of the type what the plan says.
fn apply(effect: &Effect, inputs: &mut Value) {
    if inputs.is_null() {
        *inputs = json!([]);
    }
    let Value::Array(inputs) = inputs else { return };
    let place = inputs.iter().position(|input| document::id(input) == Some(&effect.input));
    match (effect.effect.as_str(), place) {
        ("remove", Some(place)) => drop(inputs.remove(place)),
        ("remove", None) => {}
        (_, place) => {
            let place = place.unwrap_or_else(|| {
                inputs.push(json!({ "id": effect.input }));
                inputs.len() - 1
            });
            if let Some(input) = inputs.get_mut(place) {
                effect.fields.iter().for_each(|field| set(input, &keys(&field.path), &field.to));
            }
        }
    }
}

/// Sets the value at the path; null takes it out.
fn set(value: &mut Value, path: &[String], to: &Value) {
    let Some((key, rest)) = path.split_first() else { return };
    if !value.is_object() {
        *value = json!({});
    }
    let Value::Object(object) = value else { return };
    match (rest, to) {
        ([], Value::Null) => drop(object.remove(key)),
        ([], to) => drop(object.insert(key.clone(), to.clone())),
        (rest, to) => set(object.entry(key.clone()).or_insert(Value::Null), rest, to),
    }
}

/// The keys of a path: joined by dots, and those that are not plain in brackets and JSON's quotes, as
/// in `patches.grafana["ui.color"]`.
fn keys(path: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let quoted = rest.strip_prefix('[').and_then(|rest| {
            let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let key = strings.next()?.ok()?;
            Some((key, rest.get(strings.byte_offset()..)?.strip_prefix(']')?))
        });
        let (key, left) = quoted.unwrap_or_else(|| {
            // The first character is a key's, whatever it is: every turn takes one.
            let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '.' | '[')).map(|(at, _)| at);
            let (key, left) = rest.split_at(end.unwrap_or(rest.len()));
            (key.to_owned(), left)
        });
        keys.push(key);
        rest = left.strip_prefix('.').unwrap_or(left);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, to: Value, expected: Value) {
        let input = || json!({"id": "a", "source": {"oci_tag": "1"}, "patches": {"ui.color": "red"}});
        let (mut changed, mut whole) = (input(), input());
        set(&mut changed, &keys(path), &to);
        whole.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        assert_eq!(changed, whole);
    }

    #[test]
    fn a_path_finds_its_field() {
        check("source.oci_tag", json!("2"), json!({"source": {"oci_tag": "2"}}));
        check(r#"patches["ui.color"]"#, json!("blue"), json!({"patches": {"ui.color": "blue"}}));
        check(r#"patches["ui.color"]"#, Value::Null, json!({"patches": {}}));
        check("release.values.a.b", json!([1]), json!({"release": {"values": {"a": {"b": [1]}}}}));
        check("on_remove", json!("keep"), json!({"on_remove": "keep"}));
    }

    #[test]
    fn a_path_is_its_keys() {
        assert_eq!(keys(r#"labels["a.b/\"]["]x"#), ["labels", "a.b/\"][", "x"]);
        assert_eq!(keys(r#"a["b.c"].d["e f"]"#), ["a", "b.c", "d", "e f"]);
        assert_eq!(keys("a[b"), ["a", "[b"]);
        assert!(keys("").is_empty());
    }
}
