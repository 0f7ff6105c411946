//! What ties a cluster to a definition: the references in its document, and its patches.

use clap::{ArgAction, Args};
use serde_json::{Value, json};

use crate::client::Client;
use crate::document::{self, Document, edit_object, set};
use crate::error::Error;
use crate::key_value::{self, KeyValue, merge_into};
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
    /// Its id
    id: String,

    /// Id of the cluster
    #[arg(long, value_name = "CLUSTER")]
    cluster: String,

    #[command(flatten)]
    reference: R,
}

#[derive(Args)]
pub(crate) struct Unassign {
    /// Its id
    id: String,

    /// Id of the cluster
    #[arg(long, value_name = "CLUSTER")]
    cluster: String,
}

#[derive(Args)]
pub(crate) struct UnassignComponent {
    #[command(flatten)]
    unassign: Unassign,

    /// Remove the cluster's patches of it too
    #[arg(long)]
    with_patches: bool,
}

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

impl<F: Fields> CreateDefinition<F> {
    pub(crate) fn new(id: &str, fields: F, cluster: &str) -> Self {
        CreateDefinition { create: Create::new(id, fields), cluster: Some(cluster.into()) }
    }
}

impl<R: Fields> Assign<R> {
    fn apply(&self, kind: &ResourceType, cluster: &mut Document) {
        let references = cluster.entry(kind.plural).or_insert_with(|| json!([]));
        let Value::Array(references) = references else { return };
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
    resource::modify(client, &types::CLUSTER, &assign.cluster, |cluster| {
        assign.apply(kind, cluster);
        Ok(())
    })
}

/// Ensures that the cluster does not refer to the definition. Shows the cluster.
pub(crate) fn unassign(
    client: &Client<'_>,
    kind: &ResourceType,
    unassign: &Unassign,
) -> Result<Shown, Error> {
    resource::modify(client, &types::CLUSTER, &unassign.cluster, |cluster| {
        detach(client, kind, &unassign.id, cluster)
    })
}

/// The same for a component, of which a cluster can have patches besides.
pub(crate) fn unassign_component(client: &Client<'_>, command: &UnassignComponent) -> Result<Shown, Error> {
    let UnassignComponent { unassign, with_patches } = command;
    resource::modify(client, &types::CLUSTER, &unassign.cluster, |cluster| {
        detach(client, &types::COMPONENT, &unassign.id, cluster)?;
        if *with_patches {
            edit_object(cluster, "patches", |patches| drop(patches.remove(&unassign.id)));
        }
        Ok(())
    })
}

/// Takes the reference to the definition out of the cluster. An id that no definition has is an
/// error: it is more likely mistyped than already done with.
fn detach(client: &Client<'_>, kind: &ResourceType, id: &str, cluster: &mut Document) -> Result<(), Error> {
    let place = position(references(cluster, kind), id);
    match (place, cluster.get_mut(kind.plural)) {
        (Some(place), Some(Value::Array(references))) => drop(references.remove(place)),
        _ => drop(client.get(kind.plural, id)?),
    }
    Ok(())
}

/// Merges keys into the patches that the cluster has for the component. Shows the cluster.
pub(crate) fn patch(
    client: &Client<'_>,
    cluster: &str,
    component: &str,
    keys: &PatchKeys,
) -> Result<Shown, Error> {
    resource::modify(client, &types::CLUSTER, cluster, |document| {
        let assigned = position(references(document, &types::COMPONENT), component).is_some();
        if !assigned && !keys.only_clear(component, document) {
            return Err(Error::Failed(format!(
                "component {component} is not assigned to cluster {cluster}; \
                 `component assign {component} --cluster {cluster}` does that"
            )));
        }
        keys.apply(component, document);
        Ok(())
    })
}

impl PatchKeys {
    fn apply(&self, component: &str, cluster: &mut Document) {
        let set: Vec<_> = self.set.iter().chain(&self.set_file).cloned().collect();
        edit_object(cluster, "patches", |patches| merge_into(patches, component, &set, &self.unset));
    }

    /// Whether they do nothing but take keys out of patches that are there: a component that was
    /// unassigned may have left some.
    fn only_clear(&self, component: &str, cluster: &Document) -> bool {
        let left = cluster.get("patches").and_then(|patches| patches.get(component));
        left.is_some() && self.set.is_empty() && self.set_file.is_empty()
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
    use crate::types::NAMESPACE;

    #[track_caller]
    fn check_patch(before: Value, set: &[&str], unset: &[&str], expected: Value) {
        let keys = PatchKeys {
            set: set.iter().map(|typed| typed.parse().unwrap()).collect(),
            set_file: Vec::new(),
            unset: unset.iter().map(|key| (*key).to_owned()).collect(),
        };
        let mut cluster = before;
        keys.apply("a", cluster.as_object_mut().unwrap());
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
    fn assigning_twice_is_assigning_once() {
        let mut cluster = json!({"namespaces": [{"id": "a", "on_remove": "keep"}, {"id": "b"}]});
        let cluster = cluster.as_object_mut().unwrap();
        let before = cluster.clone();
        let assign = |id: &str, on_remove: Option<&str>| Assign {
            id: id.into(),
            cluster: "c".into(),
            reference: ReferenceFields { on_remove: OnRemove { on_remove: on_remove.map(str::to_owned) } },
        };
        assign("a", None).apply(&NAMESPACE, cluster);
        assert_eq!(*cluster, before);
        assign("b", Some("keep")).apply(&NAMESPACE, cluster);
        assign("c", None).apply(&NAMESPACE, cluster);
        let references = references(cluster, &NAMESPACE);
        assert_eq!(references[1..], [json!({"id": "b", "on_remove": "keep"}), json!({"id": "c"})]);
    }
}
