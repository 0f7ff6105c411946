//! `component patch`: the values that a cluster, a profile, or many clusters set in a component.

use std::collections::BTreeSet;

use clap::{ArgAction, Args};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::document::{self, Document, edit_object};
use crate::error::{Error, printable};
use crate::given;
use crate::key_value::{self, KeyValue, merge_into};
use crate::many::{self, Operation};
use crate::output::Shown;
use crate::request::{self, Part, Request};
use crate::resource;
use crate::target::{Layer, Named, Selected, Target};
use crate::types::{CLUSTER, COMPONENT};
use crate::writer::Writer;
use crate::{reference, remarks};

pub(crate) const PATCHES: &str = "patches";
/// The keys that lower layers set and that do not hold, by component. They have no address of their own.
pub(crate) const UNSET_PATCHES: &str = "unset_patches";

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

    /// Say nothing of this key here, so that a profile's value holds, or else the chart's or overlay's own
    /// (repeatable)
    #[arg(long, value_name = "KEY", action = ArgAction::Append)]
    unset: Vec<String>,

    /// Let nothing hold that profiles (of a profile: lower ones) set for this key, so that the chart's or
    /// overlay's own value does (repeatable)
    #[arg(long, value_name = "KEY", action = ArgAction::Append)]
    unset_profile: Vec<String>,
}

/// Merges keys into the patches that the clusters, or the profile, have for the component. Shows the one, or
/// what was done to many.
pub(crate) fn patch(
    writer: &Writer<'_>,
    target: &Target,
    component: &str,
    keys: &PatchKeys,
) -> Result<Shown, Error> {
    match target.named() {
        Named::One(layer) => {
            one(writer, layer, component, keys)?;
            resource::show(writer.client, layer.kind, layer.id)
        }
        Named::All(_) if !keys.unset_profile.is_empty() => Err(Error::Usage(
            "--unset-profile goes with --cluster or --profile; for many clusters let a profile of higher priority do it"
                .into(),
        )),
        Named::All(selected) => many(writer, selected, component, keys),
    }
}

fn one(writer: &Writer<'_>, layer: Layer<'_>, component: &str, keys: &PatchKeys) -> Result<(), Error> {
    let document = writer.client.get(layer.kind.plural, layer.id)?.body;
    check_has(writer, layer, &document, component, keys)?;
    let whole = || {
        let patched = resource::modify(writer, layer.kind, layer.id, |document| {
            keys.apply(component, document);
            Ok(())
        });
        patched.map(drop)
    };
    if keys.are_about_unset(component, &document) {
        return whole();
    }
    match by_part(writer, layer.part(PATCHES, component), keys) {
        // There are none, or the server knows no addresses of parts.
        Err(missing) if missing.is_unknown_route() => whole(),
        done => done,
    }
}

/// An error where a cluster would have patches of a component that it does not get.
fn check_has(
    writer: &Writer<'_>,
    layer: Layer<'_>,
    document: &Value,
    component: &str,
    keys: &PatchKeys,
) -> Result<(), Error> {
    // A profile's patches are for clusters that may get the component from anywhere.
    if layer.kind.plural != CLUSTER.plural {
        return Ok(());
    }
    let cluster = layer.id;
    let left = [PATCHES, UNSET_PATCHES]
        .iter()
        .any(|field| document.pointer(&format!("/{field}/{component}")).is_some());
    let has = match reference::to(document, &COMPONENT, component) {
        Some(own) => !remarks::excludes(own),
        None => given::by_profiles(writer.client, &COMPONENT, component, &format!("id={cluster}"))?
            .contains(cluster),
    };
    if has || (left && keys.only_clear()) {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "component {component} is not assigned to cluster {cluster}; `component assign {component} --cluster {cluster}` \
         does that"
    )))
}

/// By the address of the patches. Where nothing is there, it is missing, and so it is on a server without such
/// addresses.
fn by_part(writer: &Writer<'_>, patches: Part<'_>, keys: &PatchKeys) -> Result<(), Error> {
    let write = match keys.only_clear() {
        true => clearing(&writer.client.get_part(patches)?, patches, keys),
        false => request::put_part(patches, &keys.merge_patch()),
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
    let write = Operation::write(verb, PATCHES, component, keys.merge_patch());
    many::change(writer, selected, vec![write], Vec::new())
}

fn all_have(writer: &Writer<'_>, selected: Selected<'_>, component: &str) -> Result<(), Error> {
    let clusters = writer.client.list(CLUSTER.plural, &[], Some(selected.selector))?;
    let says =
        |cluster: &Value| reference::to(cluster, &COMPONENT, component).map(|own| !remarks::excludes(own));
    let given = match clusters.iter().all(|cluster| says(cluster).is_some()) {
        true => BTreeSet::new(),
        false => given::by_profiles(writer.client, &COMPONENT, component, selected.selector)?,
    };
    let lacks = |cluster: &&Value| {
        !says(cluster).unwrap_or_else(|| document::id(cluster).is_some_and(|id| given.contains(id)))
    };
    let without = clusters.iter().filter(lacks);
    let without: Vec<_> =
        without.map(|cluster| printable(document::id(cluster).unwrap_or_default())).collect();
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

    fn apply(&self, component: &str, document: &mut Document) {
        let gone: Vec<_> = self.unset.iter().chain(&self.unset_profile).cloned().collect();
        edit_object(document, PATCHES, |patches| merge_into(patches, component, &self.set(), &gone));
        let before = unset_keys(document.get(UNSET_PATCHES), component);
        let mut after = before.clone();
        after.extend(self.unset_profile.iter().cloned());
        after.retain(|key| !self.names(key));
        if after != before {
            edit_object(document, UNSET_PATCHES, |unset| match after.is_empty() {
                true => drop(unset.remove(component)),
                false => drop(unset.insert(component.into(), json!(after))),
            });
        }
    }

    /// Whether more than the patches of the component has to be written: what does not hold of lower layers.
    fn are_about_unset(&self, component: &str, document: &Value) -> bool {
        let unset = unset_keys(document.get(UNSET_PATCHES), component);
        !self.unset_profile.is_empty() || unset.iter().any(|key| self.names(key))
    }

    /// Whether the key is set here, or nothing is said of it here.
    fn names(&self, key: &String) -> bool {
        self.unset.contains(key) || self.set.iter().chain(&self.set_file).any(|pair| pair.key == *key)
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
        self.set.is_empty() && self.set_file.is_empty() && self.unset_profile.is_empty()
    }
}

/// The keys of the component that do not hold, of all such keys of a document.
fn unset_keys(unset: Option<&Value>, component: &str) -> BTreeSet<String> {
    let keys = unset.and_then(|unset| unset.get(component)?.as_array()).into_iter().flatten();
    keys.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The operation that takes what the document unsets of the component out of it, if there is such.
pub(crate) fn without_unset(layer: Layer<'_>, document: &Value, component: &str) -> Option<Value> {
    let unset = document.get(UNSET_PATCHES)?.as_object()?;
    unset.get(component)?;
    let left = if unset.len() == 1 { Value::Null } else { json!({ component: null }) };
    let target = format!("{}/{}", layer.kind.plural, layer.id);
    Some(json!({"patch": target, "body": {UNSET_PATCHES: left}}))
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
            unset_profile: Vec::new(),
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
    fn what_profiles_set_is_unset_until_something_is_said_of_it() {
        let unsetting = |unset_profile: &[&str], set: &[&str], unset: &[&str]| PatchKeys {
            unset_profile: unset_profile.iter().map(|key| (*key).to_owned()).collect(),
            ..keys(set, unset)
        };
        let check = |before: Value, keys: PatchKeys, expected: Value| {
            let mut cluster = before;
            keys.apply("a", cluster.as_object_mut().unwrap());
            assert_eq!(cluster, expected);
        };
        let patched = json!({"patches": {"a": {"n": "2"}}, "unset_patches": {"b": ["x"]}});
        let without = json!({"unset_patches": {"a": ["m", "n"], "b": ["x"]}});
        check(patched.clone(), unsetting(&["n", "m"], &[], &[]), without.clone());
        check(without.clone(), unsetting(&["m"], &[], &[]), without.clone());
        check(
            without.clone(),
            unsetting(&[], &["n=3"], &["m"]),
            json!({"patches": {"a": {"n": "3"}}, "unset_patches": {"b": ["x"]}}),
        );
        check(json!({"unset_patches": {"a": ["n"]}}), unsetting(&[], &[], &["n"]), json!({}));
        let layer = Layer { kind: &CLUSTER, id: "c1" };
        assert_eq!(without_unset(layer, &patched, "a"), None);
        let operation = |left: Value| Some(json!({"patch": "clusters/c1", "body": {"unset_patches": left}}));
        assert_eq!(without_unset(layer, &patched, "b"), operation(Value::Null));
        assert_eq!(without_unset(layer, &without, "b"), operation(json!({"b": null})));
    }

    #[test]
    fn what_is_set_and_taken_out_is_set() {
        let patch = keys(&["n=3"], &["n", "m"]).merge_patch();
        assert_eq!(Value::Object(patch), json!({"n": "3", "m": null}));
    }
}
