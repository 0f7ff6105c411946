//! `component patch`: the values that one cluster, or many, set in a component.

use clap::{ArgAction, Args};
use serde_json::Value;

use crate::client::Answer;
use crate::document::{self, Document, edit_object};
use crate::error::{Error, printable};
use crate::key_value::{self, KeyValue, merge_into};
use crate::many::{self, Operation};
use crate::output::Shown;
use crate::reference;
use crate::request::{self, Part, Request};
use crate::resource;
use crate::target::{Named, Selected, Target};
use crate::types::{CLUSTER, COMPONENT};
use crate::writer::Writer;

const PATCHES: &str = "patches";

/// How many clusters a message names.
const NAMED: usize = 5;

/// The keys to set and to take out of one component's patches.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct PatchKeys {
    /// Set a Helm value by its path, or a Kustomize substitution variable by its name (repeatable)
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append)]
    set: Vec<KeyValue>,

    /// Set it to the text of a file (`-` is stdin), line breaks included (repeatable)
    #[arg(long, value_name = "KEY=FILE", action = ArgAction::Append, value_parser = key_value::read_value)]
    set_file: Vec<KeyValue>,

    /// Take this key out of the patches, so that the chart's or overlay's own value holds (repeatable)
    #[arg(long, value_name = "KEY", action = ArgAction::Append)]
    unset: Vec<String>,
}

/// Merges keys into the patches that the clusters have for the component. Shows the cluster, or what
/// was done to many.
pub(crate) fn patch(
    writer: &Writer<'_>,
    target: &Target,
    component: &str,
    keys: &PatchKeys,
) -> Result<Shown, Error> {
    match target.named() {
        Named::One(cluster) => {
            match by_part(writer, cluster, component, keys) {
                Err(missing) if missing.is_unknown_route() => whole(writer, cluster, component, keys)?,
                done => done?,
            }
            resource::show(writer.client, &CLUSTER, cluster)
        }
        Named::All(selected) => many(writer, selected, component, keys),
    }
}

/// By the addresses of the cluster's parts. What is not there is missing, and so is everything on a
/// server without such addresses.
fn by_part(writer: &Writer<'_>, cluster: &str, component: &str, keys: &PatchKeys) -> Result<(), Error> {
    let patches = Part { cluster, field: PATCHES, id: component };
    let write = match keys.only_clear() {
        true => clearing(&writer.client.get_part(patches)?, patches, keys),
        false => {
            writer.client.get_part(Part { cluster, field: COMPONENT.plural, id: component })?;
            request::put_part(patches, &keys.merge_patch())
        }
    };
    writer.send(&write).map(drop)
}

/// Takes keys out of the patches; where none would be left, the patches go.
fn clearing(there: &Answer, patches: Part<'_>, keys: &PatchKeys) -> Request {
    let there_keys = there.body.as_object().into_iter().flat_map(|object| object.keys());
    match there_keys.into_iter().all(|key| keys.unset.contains(key)) {
        true => request::delete_part(patches).if_match(there.etag.as_deref()),
        false => request::patch_part(patches, &keys.merge_patch()),
    }
}

/// By reading and writing the whole document, which says too what is missing.
fn whole(writer: &Writer<'_>, cluster: &str, component: &str, keys: &PatchKeys) -> Result<(), Error> {
    let patched = resource::modify(writer, &CLUSTER, cluster, |document| {
        let left = document.get(PATCHES).and_then(|patches| patches.get(component)).is_some();
        let may = reference::is_assigned(document, &COMPONENT, component) || (left && keys.only_clear());
        if !may {
            return Err(Error::Failed(format!(
                "component {component} is not assigned to cluster {cluster}; \
                 `component assign {component} --cluster {cluster}` does that"
            )));
        }
        keys.apply(component, document);
        Ok(())
    });
    patched.map(drop)
}

fn many(
    writer: &Writer<'_>,
    selected: Selected<'_>,
    component: &str,
    keys: &PatchKeys,
) -> Result<Shown, Error> {
    // Only setting could leave patches of a component that a cluster does not have.
    let verb = if keys.only_clear() { "patch" } else { "update" };
    if !keys.only_clear() {
        all_have(writer, selected, component)?;
    }
    let body = Some(keys.merge_patch());
    many::change(writer, selected, vec![Operation { verb, field: PATCHES, id: component, body }])
}

fn all_have(writer: &Writer<'_>, selected: Selected<'_>, component: &str) -> Result<(), Error> {
    let clusters = writer.client.list(CLUSTER.plural, &[], Some(selected.selector))?;
    let has = |cluster: &&Value| {
        cluster.as_object().is_some_and(|cluster| reference::is_assigned(cluster, &COMPONENT, component))
    };
    let without: Vec<_> = clusters
        .iter()
        .filter(|cluster| !has(cluster))
        .map(|cluster| printable(document::id(cluster).unwrap_or_default()))
        .collect();
    if without.is_empty() {
        return Ok(());
    }
    let more = without.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let named = without.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(Error::Failed(format!(
        "component {component} is not assigned to {} of the {} clusters that match: {named}{more}; \
         narrow the selector, or assign it to them first",
        without.len(),
        clusters.len()
    )))
}

impl PatchKeys {
    fn set(&self) -> Vec<KeyValue> {
        self.set.iter().chain(&self.set_file).cloned().collect()
    }

    fn apply(&self, component: &str, cluster: &mut Document) {
        edit_object(cluster, PATCHES, |patches| merge_into(patches, component, &self.set(), &self.unset));
    }

    /// The keys with their values, and null for those that go.
    fn merge_patch(&self) -> Document {
        let gone = self.unset.iter().map(|key| (key.clone(), Value::Null));
        let set = self.set().into_iter().map(|pair| (pair.key, Value::String(pair.value)));
        gone.chain(set).collect()
    }

    /// Whether they do nothing but take keys out of patches that are there: a component that was
    /// unassigned may have left some.
    fn only_clear(&self) -> bool {
        self.set.is_empty() && self.set_file.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(set: &[&str], unset: &[&str]) -> PatchKeys {
        PatchKeys {
            set: set.iter().map(|typed| typed.parse().unwrap()).collect(),
            set_file: Vec::new(),
            unset: unset.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    #[track_caller]
    fn check_patch(before: Value, set: &[&str], unset: &[&str], expected: Value) {
        let mut cluster = before;
        keys(set, unset).apply("a", cluster.as_object_mut().unwrap());
        assert_eq!(cluster, expected);
    }

    #[test]
    fn a_patch_leaves_what_is_not_named() {
        let before = json!({"patches": {"a": {"n": "2", "ui.color": "red"}, "b": {"x": "y"}}});
        let patches = |a: Value| json!({"patches": {"a": a, "b": {"x": "y"}}});
        check_patch(
            before.clone(),
            &["n=3", "m=b=c"],
            &[],
            patches(json!({"n": "3", "m": "b=c", "ui.color": "red"})),
        );
        check_patch(before.clone(), &[], &["ui.color", "other"], patches(json!({"n": "2"})));
        check_patch(before.clone(), &["n=3"], &["n"], patches(json!({"n": "3", "ui.color": "red"})));
        check_patch(before.clone(), &[], &["other"], before.clone());
        check_patch(before, &[], &["n", "ui.color"], json!({"patches": {"b": {"x": "y"}}}));
        check_patch(json!({}), &[], &["n"], json!({}));
        check_patch(json!({"patches": {}}), &["n=1"], &[], json!({"patches": {"a": {"n": "1"}}}));
    }

    #[test]
    fn what_is_set_and_taken_out_is_set() {
        let patch = keys(&["n=3"], &["n", "m"]).merge_patch();
        assert_eq!(Value::Object(patch), json!({"n": "3", "m": null}));
    }
}
