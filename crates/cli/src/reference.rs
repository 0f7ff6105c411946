//! What ties a cluster to a definition: the references in its document, and its patches.

use clap::{ArgAction, Args};
use serde_json::{Map, Value, json};

use crate::client::{Client, Write};
use crate::document::{self, Document};
use crate::error::Error;
use crate::key_value::KeyValue;
use crate::output::Shown;
use crate::resource::{self, Create, Fields};
use crate::types::{self, ResourceType};

/// `create` of a definition, which can attach it at once.
#[derive(Args)]
pub(crate) struct CreateDefinition<F: Fields> {
    #[command(flatten)]
    create: Create<F>,

    /// Attach it to this cluster afterwards
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,
}

#[derive(Args)]
pub(crate) struct Assign<R: Fields> {
    /// Id of the definition
    id: String,

    /// Id of the cluster
    #[arg(long, value_name = "CLUSTER")]
    cluster: String,

    #[command(flatten)]
    reference: R,
}

#[derive(Args)]
pub(crate) struct Unassign {
    /// Id of the definition
    id: String,

    /// Id of the cluster
    #[arg(long, value_name = "CLUSTER")]
    cluster: String,
}

/// The keys to set and to take out of one component's patches.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct PatchKeys {
    /// Set the Helm value at this path, as a string (repeatable)
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append)]
    set: Vec<KeyValue>,

    /// Take this key out of the patches (repeatable)
    #[arg(long, value_name = "KEY", action = ArgAction::Append)]
    unset: Vec<String>,
}

/// What a reference to a namespace or a rolebinding can override.
#[derive(Args, Default, PartialEq)]
pub(crate) struct ReferenceFields {
    #[command(flatten)]
    on_remove: OnRemove,
}

/// `--on-remove`, which definitions and references have alike.
#[derive(Args, Default, PartialEq)]
pub(crate) struct OnRemove {
    /// What happens to its objects on a cluster that no longer has it
    #[arg(long, value_name = "delete|keep", value_parser = ["delete", "keep"], hide_possible_values = true)]
    on_remove: Option<String>,
}

impl OnRemove {
    pub(crate) fn apply(&self, document: &mut Document) {
        set(document, "on_remove", self.on_remove.as_ref());
    }
}

impl Fields for ReferenceFields {
    fn apply(&self, reference: &mut Document) {
        self.on_remove.apply(reference);
    }
}

/// Sets a field where its flag was given.
pub(crate) fn set<T: Clone + Into<Value>>(document: &mut Document, field: &str, value: Option<&T>) {
    if let Some(value) = value {
        document.insert(field.into(), value.clone().into());
    }
}

impl<F: Fields> CreateDefinition<F> {
    pub(crate) fn new(id: &str, fields: F, cluster: &str) -> Self {
        CreateDefinition { create: Create::new(id, fields), cluster: Some(cluster.into()) }
    }
}

impl<R: Fields> Assign<R> {
    fn apply(&self, references: &mut Vec<Value>) {
        let place = position(references, &self.id).unwrap_or_else(|| {
            references.push(json!({ "id": self.id }));
            references.len() - 1
        });
        if let Some(Value::Object(reference)) = references.get_mut(place) {
            self.reference.apply(reference);
        }
    }
}

/// Ensures the definition, then the reference to it. Shows the definition.
pub(crate) fn create<F: Fields>(
    client: &Client<'_>,
    kind: &ResourceType,
    create: &CreateDefinition<F>,
) -> Result<Shown, Error> {
    let (id, wanted) = create.create.document(kind)?;
    let Some(cluster) = &create.cluster else {
        return Ok(Shown::document(resource::ensure(client, kind, &id, &wanted)?));
    };
    // A mistyped cluster should not leave a definition behind.
    client.get(types::CLUSTER.plural, cluster)?;
    let definition = resource::ensure(client, kind, &id, &wanted)?;
    let reference = ReferenceFields::default();
    assign(client, kind, &Assign { id, cluster: cluster.clone(), reference })?;
    Ok(Shown::document(definition))
}

/// Ensures that the cluster refers to the definition. Shows the cluster.
pub(crate) fn assign<R: Fields>(
    client: &Client<'_>,
    kind: &ResourceType,
    assign: &Assign<R>,
) -> Result<Shown, Error> {
    change_references(client, kind, &assign.cluster, |references| {
        assign.apply(references);
        Ok(())
    })
}

/// Ensures that the cluster does not refer to the definition. Shows the cluster. An id that no
/// definition has is an error: it is more likely mistyped than already done with.
pub(crate) fn unassign(
    client: &Client<'_>,
    kind: &ResourceType,
    unassign: &Unassign,
) -> Result<Shown, Error> {
    change_references(client, kind, &unassign.cluster, |references| {
        match position(references, &unassign.id) {
            Some(place) => drop(references.remove(place)),
            None => drop(client.get(kind.plural, &unassign.id)?),
        }
        Ok(())
    })
}

fn change_references(
    client: &Client<'_>,
    kind: &ResourceType,
    cluster: &str,
    change: impl Fn(&mut Vec<Value>) -> Result<(), Error>,
) -> Result<Shown, Error> {
    let changed = resource::modify(client, &types::CLUSTER, cluster, |document| {
        let before = references(document, kind);
        let mut after = before.to_vec();
        change(&mut after)?;
        let field = (after != before).then(|| (kind.plural.to_owned(), Value::Array(after)));
        Ok(resource::put(&field.into_iter().collect()))
    })?;
    Ok(Shown::document(changed))
}

/// Merges keys into the patches that the cluster has for the component. Shows the cluster.
pub(crate) fn patch(
    client: &Client<'_>,
    cluster: &str,
    component: &str,
    keys: &PatchKeys,
) -> Result<Shown, Error> {
    let changed = resource::modify(client, &types::CLUSTER, cluster, |document| {
        if position(references(document, &types::COMPONENT), component).is_none() {
            return Err(Error::Failed(format!(
                "component {component} is not assigned to cluster {cluster}; \
                 `component assign {component} --cluster {cluster}` does that"
            )));
        }
        let before = document.get("patches").and_then(|patches| patches.get(component));
        Ok(keys
            .merge_patch(before)
            .map(|patch| Write::Merge(Map::from_iter([("patches".to_owned(), json!({ component: patch }))]))))
    })?;
    Ok(Shown::document(changed))
}

impl PatchKeys {
    /// The merge patch that turns these patches into the ones asked for: only the keys that
    /// change, null for the whole where none is left, nothing where all is as asked.
    fn merge_patch(&self, before: Option<&Value>) -> Option<Value> {
        let before = before.and_then(Value::as_object).cloned().unwrap_or_default();
        let mut after = before.clone();
        self.unset.iter().for_each(|key| drop(after.remove(key)));
        after.extend(self.set.iter().map(|pair| (pair.key.clone(), Value::String(pair.value.clone()))));
        let changed = document::changed_fields(&before, &after);
        match (changed.is_empty(), after.is_empty()) {
            (true, _) => None,
            (false, true) => Some(Value::Null),
            (false, false) => Some(Value::Object(changed)),
        }
    }
}

fn references<'d>(cluster: &'d Document, kind: &ResourceType) -> &'d [Value] {
    cluster.get(kind.plural).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn position(references: &[Value], id: &str) -> Option<usize> {
    references.iter().position(|reference| document::id(reference) == Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_patch(before: Value, set: &[&str], unset: &[&str], expected: Option<Value>) {
        let keys = PatchKeys {
            set: set.iter().map(|typed| typed.parse().unwrap()).collect(),
            unset: unset.iter().map(|key| (*key).to_owned()).collect(),
        };
        assert_eq!(keys.merge_patch(Some(&before)), expected);
    }

    #[test]
    fn a_patch_holds_only_what_changes() {
        let before = json!({"replicaCount": "2", "ui.color": "red"});
        check_patch(
            before.clone(),
            &["replicaCount=3", "ui.color=red"],
            &[],
            Some(json!({"replicaCount": "3"})),
        );
        check_patch(before.clone(), &[], &["ui.color", "other"], Some(json!({"ui.color": null})));
        check_patch(before.clone(), &["a=b"], &["a"], Some(json!({"a": "b"})));
        check_patch(before.clone(), &["replicaCount=2"], &["other"], None);
        check_patch(before, &[], &["replicaCount", "ui.color"], Some(Value::Null));
        check_patch(Value::Null, &["a=b=c"], &[], Some(json!({"a": "b=c"})));
        check_patch(Value::Null, &[], &["a"], None);
    }

    #[test]
    fn assigning_twice_is_assigning_once() {
        let mut references = vec![json!({"id": "a", "on_remove": "keep"}), json!({"id": "b"})];
        let before = references.clone();
        let assign = |id: &str, on_remove: Option<&str>| Assign {
            id: id.into(),
            cluster: "c".into(),
            reference: ReferenceFields { on_remove: OnRemove { on_remove: on_remove.map(str::to_owned) } },
        };
        assign("a", None).apply(&mut references);
        assert_eq!(references, before);
        assign("b", Some("keep")).apply(&mut references);
        assign("c", None).apply(&mut references);
        assert_eq!(references[1..], [json!({"id": "b", "on_remove": "keep"}), json!({"id": "c"})]);
    }
}
