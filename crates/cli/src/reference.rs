//! What ties a cluster to a definition: the references in its document.

use clap::Args;
use serde_json::{Value, json};

use crate::document::{self, Document, edit_object, set};
use crate::error::Error;
use crate::many::{self, Operation};
use crate::output::Shown;
use crate::request::{self, Part};
use crate::resource::{self, Create, Fields};
use crate::target::{Named, Target};
use crate::types::{self, ResourceType};
use crate::writer::Writer;
use crate::writing::Writing;

/// `create` of a definition, which can attach it at once.
#[derive(Args)]
pub(crate) struct CreateDefinition<F: Fields> {
    #[command(flatten)]
    pub(crate) create: Create<F>,

    /// Attach it to this cluster, in the same change
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,
}

#[derive(Args)]
pub(crate) struct Assign<R: Fields> {
    /// Its id
    id: String,

    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    reference: R,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Args)]
pub(crate) struct Unassign {
    /// Its id
    id: String,

    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Args)]
pub(crate) struct UnassignComponent {
    #[command(flatten)]
    pub(crate) unassign: Unassign,

    /// Remove the cluster's patches of it too
    #[arg(long)]
    with_patches: bool,
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

/// Ensures the definition and the reference to it. Shows the definition.
pub(crate) fn create<F: Fields>(
    writer: &Writer<'_>,
    kind: &ResourceType,
    create: &CreateDefinition<F>,
) -> Result<Shown, Error> {
    let (id, wanted) = create.create.document(kind)?;
    let Some(cluster) = &create.cluster else {
        return Ok(Shown::document(resource::ensure(writer, kind, &id, &wanted)?));
    };
    // A mistyped cluster is said before anything else is.
    writer.client.get(types::CLUSTER.plural, cluster)?;
    let part = Part { cluster, field: kind.plural, id: &id };
    match writer.client.get(kind.plural, &id) {
        Err(missing) if missing.has_status(404) => create_attached(writer, kind, part, &wanted)?,
        found => {
            resource::same(kind, &id, &wanted, &found?.body)?;
            attach(writer, kind, part, &ReferenceFields::default())?;
        }
    }
    Ok(Shown::document(writer.client.get(kind.plural, &id)?.body))
}

/// Both in one change, so that no failure leaves one without the other; one after the other on a
/// server that takes one at a time.
fn create_attached(
    writer: &Writer<'_>,
    kind: &ResourceType,
    part: Part<'_>,
    wanted: &Document,
) -> Result<(), Error> {
    let changes = json!([
        {"create": format!("{}/{}", kind.plural, part.id), "body": wanted},
        {"update": part.target(), "body": {}},
    ]);
    match writer.send(&request::change(json!({ "changes": changes }))) {
        Err(missing) if missing.is_unknown_route() => {
            resource::ensure(writer, kind, part.id, wanted)?;
            attach(writer, kind, part, &ReferenceFields::default())
        }
        done => done.map(drop),
    }
}

/// Ensures that the clusters refer to the definition. Shows the cluster, or what was done to many.
pub(crate) fn assign<R: Fields>(
    writer: &Writer<'_>,
    kind: &ResourceType,
    assign: &Assign<R>,
) -> Result<Shown, Error> {
    let (field, id) = (kind.plural, assign.id.as_str());
    match assign.target.named() {
        Named::One(cluster) => {
            attach(writer, kind, Part { cluster, field, id }, &assign.reference)?;
            resource::show(writer.client, &types::CLUSTER, cluster)
        }
        Named::All(selected) => {
            // Where it is missing it is added first; then what a cluster overrides is merged into it.
            let body = Some(assign.reference.replacement());
            let add = Operation { verb: "update", field, id, body };
            let patch = Some(assign.reference.merge_patch()).filter(|patch| !patch.is_empty());
            let patch = patch.map(|patch| Operation { verb: "patch", field, id, body: Some(patch) });
            many::change(writer, selected, [add].into_iter().chain(patch).collect())
        }
    }
}

/// Ensures the reference, with the fields given; the old way on a server where parts have no address.
fn attach<R: Fields>(
    writer: &Writer<'_>,
    kind: &ResourceType,
    part: Part<'_>,
    reference: &R,
) -> Result<(), Error> {
    let by_part = match *reference == R::default() {
        true => writer.send(&request::put_part(part, &Document::new())).map(drop),
        false => resource::edit_part(writer, part, |document| reference.apply(document)),
    };
    match by_part {
        Err(missing) if missing.is_unknown_route() => {
            resource::modify(writer, &types::CLUSTER, part.cluster, |cluster| {
                apply(kind, part.id, reference, cluster);
                Ok(())
            })
            .map(drop)
        }
        done => done,
    }
}

fn apply<R: Fields>(kind: &ResourceType, id: &str, fields: &R, cluster: &mut Document) {
    let references = cluster.entry(kind.plural).or_insert_with(|| json!([]));
    let Value::Array(references) = references else { return };
    let place = position(references, id).unwrap_or_else(|| {
        references.push(json!({ "id": id }));
        references.len() - 1
    });
    if let Some(Value::Object(reference)) = references.get_mut(place) {
        fields.apply(reference);
    }
}

/// Ensures that the clusters do not refer to the definition. Shows the cluster, or what was done to
/// many.
pub(crate) fn unassign(
    writer: &Writer<'_>,
    kind: &ResourceType,
    unassign: &Unassign,
) -> Result<Shown, Error> {
    let (field, id) = (kind.plural, unassign.id.as_str());
    match unassign.target.named() {
        Named::One(cluster) => {
            let by_part = writer.send(&request::delete_part(Part { cluster, field, id }));
            by_part
                .map(drop)
                .or_else(|error| missing_or(error, || detach_whole(writer, kind, id, cluster, false)))?;
            resource::show(writer.client, &types::CLUSTER, cluster)
        }
        Named::All(selected) => {
            many::change(writer, selected, vec![Operation { verb: "delete", field, id, body: None }])
        }
    }
}

/// The same for a component, of which a cluster can have patches besides.
pub(crate) fn unassign_component(writer: &Writer<'_>, command: &UnassignComponent) -> Result<Shown, Error> {
    let kind = &types::COMPONENT;
    let UnassignComponent { unassign: one, with_patches: true } = command else {
        return unassign(writer, kind, &command.unassign);
    };
    let id = one.id.as_str();
    match one.target.named() {
        Named::One(cluster) => {
            let deletes =
                [kind.plural, "patches"].map(|field| json!({"delete": Part { cluster, field, id }.target()}));
            let both = writer.send(&request::change(json!({ "changes": deletes })));
            both.map(drop).or_else(|error| match error.has_status(400) {
                // One of the two is not there.
                true => detach_whole(writer, kind, id, cluster, true),
                false => missing_or(error, || detach_whole(writer, kind, id, cluster, true)),
            })?;
            resource::show(writer.client, &types::CLUSTER, cluster)
        }
        Named::All(selected) => {
            let deletes =
                [kind.plural, "patches"].map(|field| Operation { verb: "delete", field, id, body: None });
            many::change(writer, selected, deletes.into())
        }
    }
}

/// What is missing at its address is looked for in the whole document: the server may know no
/// addresses of parts, or there may be nothing to take out.
fn missing_or(error: Error, whole: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    if error.is_unknown_route() { whole() } else { Err(error) }
}

fn detach_whole(
    writer: &Writer<'_>,
    kind: &ResourceType,
    id: &str,
    cluster: &str,
    with_patches: bool,
) -> Result<(), Error> {
    let detached = resource::modify(writer, &types::CLUSTER, cluster, |document| {
        detach(writer, kind, id, document)?;
        if with_patches {
            edit_object(document, "patches", |patches| drop(patches.remove(id)));
        }
        Ok(())
    });
    detached.map(drop)
}

/// Takes the reference to the definition out of the cluster. An id that no definition has is an
/// error: it is more likely mistyped than already done with.
fn detach(writer: &Writer<'_>, kind: &ResourceType, id: &str, cluster: &mut Document) -> Result<(), Error> {
    let place = position(references(cluster, kind), id);
    match (place, cluster.get_mut(kind.plural)) {
        (Some(place), Some(Value::Array(references))) => drop(references.remove(place)),
        _ => drop(writer.client.get(kind.plural, id)?),
    }
    Ok(())
}

/// Whether the cluster refers to the definition.
pub(crate) fn is_assigned(cluster: &Document, kind: &ResourceType, id: &str) -> bool {
    position(references(cluster, kind), id).is_some()
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

    #[test]
    fn assigning_twice_is_assigning_once() {
        let mut cluster = json!({"namespaces": [{"id": "a", "on_remove": "keep"}, {"id": "b"}]});
        let cluster = cluster.as_object_mut().unwrap();
        let before = cluster.clone();
        let fields = |on_remove: Option<&str>| ReferenceFields {
            on_remove: OnRemove { on_remove: on_remove.map(str::to_owned) },
        };
        apply(&NAMESPACE, "a", &fields(None), cluster);
        assert_eq!(*cluster, before);
        apply(&NAMESPACE, "b", &fields(Some("keep")), cluster);
        apply(&NAMESPACE, "c", &fields(None), cluster);
        let references = references(cluster, &NAMESPACE);
        assert_eq!(references[1..], [json!({"id": "b", "on_remove": "keep"}), json!({"id": "c"})]);
    }
}
