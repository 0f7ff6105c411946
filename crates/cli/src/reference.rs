//! What ties a cluster, or a profile, to a definition: the references in its document.

use clap::Args;
use serde_json::{Value, json};

use crate::document::{self, Document, edit_object, set};
use crate::error::{Error, printable};
use crate::many::{self, Operation};
use crate::output::Shown;
use crate::remarks::{self, Reference, Remarks};
use crate::request;
use crate::resource::{self, Create, Fields};
use crate::target::{self, Layer, Named, Target};
use crate::types::{self, CLUSTER, ResourceType};
use crate::writer::{Writer, say};
use crate::writing::Writing;
use crate::{given, patches};

/// `create` of a definition, which can attach it at once.
#[derive(Args)]
pub(crate) struct CreateDefinition<F: Fields> {
    #[command(flatten)]
    pub(crate) create: Create<F>,

    /// Attach it to this cluster, in the same change
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,

    /// Attach it to this profile, in the same change
    #[arg(long, value_name = "PROFILE", conflicts_with = "cluster")]
    profile: Option<String>,
}

#[derive(Args)]
pub(crate) struct Assign<R: Reference> {
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

    /// Remove the cluster's, or the profile's, patches of it too
    #[arg(long)]
    with_patches: bool,
}

/// What a reference to a namespace or a rolebinding can override.
#[derive(Args, Default, PartialEq)]
pub(crate) struct ReferenceFields {
    /// Go back to the definition's value of this field, or take the remark out (repeatable)
    #[arg(long, value_name = "FIELD", value_parser = ["on_remove", "note", "expires"])]
    unset: Vec<String>,

    #[command(flatten)]
    on_remove: OnRemove,

    #[command(flatten)]
    remarks: Remarks,
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
        self.unset.iter().for_each(|field| document::unset(reference, field));
        self.on_remove.apply(reference);
        self.remarks.apply(reference);
    }

    fn merge_patch(&self) -> Document {
        let mut patch = Document::new();
        self.unset.iter().for_each(|field| document::clear(&mut patch, field));
        self.on_remove.apply(&mut patch);
        self.remarks.say(&mut patch);
        patch
    }
}

impl Reference for ReferenceFields {
    fn remarks(&self) -> &Remarks {
        &self.remarks
    }
}

impl<F: Fields> CreateDefinition<F> {
    pub(crate) fn new(id: &str, fields: F, cluster: &str) -> Self {
        CreateDefinition { create: Create::new(id, fields), cluster: Some(cluster.into()), profile: None }
    }
}

/// Ensures the definition and the reference to it. Shows the definition.
pub(crate) fn create<F: Fields>(
    writer: &Writer<'_>,
    kind: &ResourceType,
    create: &CreateDefinition<F>,
) -> Result<Shown, Error> {
    let (id, wanted) = create.create.document(kind)?;
    let Some(layer) = target::named(create.cluster.as_deref(), create.profile.as_deref()) else {
        return Ok(Shown::document(resource::ensure(writer, kind, &id, &wanted)?));
    };
    // A mistyped cluster is said before anything else is.
    writer.client.get(layer.kind.plural, layer.id)?;
    match writer.client.get(kind.plural, &id) {
        Err(missing) if missing.has_status(404) => create_attached(writer, kind, layer, &id, &wanted)?,
        found => {
            resource::same(kind, &id, &wanted, &found?.body)?;
            attach(writer, kind, layer, &id, &ReferenceFields::default())?;
        }
    }
    Ok(Shown::document(writer.client.get(kind.plural, &id)?.body))
}

/// Both in one change, so that no failure leaves one without the other; one after the other on a
/// server that takes one at a time.
fn create_attached(
    writer: &Writer<'_>,
    kind: &ResourceType,
    layer: Layer<'_>,
    id: &str,
    wanted: &Document,
) -> Result<(), Error> {
    let changes = json!([
        {"create": format!("{}/{id}", kind.plural), "body": wanted},
        {"update": layer.part(kind.plural, id).target(), "body": {}},
    ]);
    match writer.send(&request::change(json!({ "changes": changes }))) {
        Err(missing) if missing.is_unknown_route() => {
            resource::ensure(writer, kind, id, wanted)?;
            attach(writer, kind, layer, id, &ReferenceFields::default())
        }
        done => done.map(drop),
    }
}

/// Ensures that the clusters, or the profile, refer to the definition. Shows the one, or what was done to many.
pub(crate) fn assign<R: Reference>(
    writer: &Writer<'_>,
    kind: &ResourceType,
    assign: &Assign<R>,
) -> Result<Shown, Error> {
    remarks::check(&assign.reference)?;
    match assign.target.named() {
        Named::One(layer) => {
            attach(writer, kind, layer, &assign.id, &assign.reference)?;
            resource::show(writer.client, layer.kind, layer.id)
        }
        Named::All(selected) => {
            many::change(writer, selected, operations(kind, &assign.id, &assign.reference), Vec::new())
        }
    }
}

/// What ensures the reference on many clusters, whatever they have of it.
fn operations<'a, R: Reference>(kind: &'a ResourceType, id: &'a str, reference: &R) -> Vec<Operation<'a>> {
    let field = kind.plural;
    let patch = Some(reference.merge_patch()).filter(|patch| !patch.is_empty());
    if reference.remarks().excludes() {
        // Nothing of what a cluster overrides may stay beside it.
        let gone = Operation { may_miss: true, ..Operation::delete(field, id) };
        let body = patch.unwrap_or_else(|| reference.replacement());
        return vec![gone, Operation::write("update", field, id, body)];
    }
    // Where it is missing it is added first; then what a cluster overrides is merged into it.
    let mut body = remarks::included();
    body.extend(reference.replacement());
    let patch = patch.map(|patch| Operation::write("patch", field, id, patch));
    [Operation::write("update", field, id, body)].into_iter().chain(patch).collect()
}

/// Ensures the reference, with the fields given; the old way on a server where parts have no address.
fn attach<R: Fields>(
    writer: &Writer<'_>,
    kind: &ResourceType,
    layer: Layer<'_>,
    id: &str,
    reference: &R,
) -> Result<(), Error> {
    let part = layer.part(kind.plural, id);
    let by_part = match *reference == R::default() {
        true => writer.send(&request::put_part(part, &remarks::included())).map(drop),
        false => resource::edit_part(writer, part, |document| reference.apply(document)),
    };
    match by_part {
        Err(missing) if missing.is_unknown_route() => {
            resource::modify(writer, layer.kind, layer.id, |document| {
                apply(kind, id, reference, document);
                Ok(())
            })
            .map(drop)
        }
        done => done,
    }
}

fn apply<R: Fields>(kind: &ResourceType, id: &str, fields: &R, document: &mut Document) {
    let references = document.entry(kind.plural).or_insert_with(|| json!([]));
    let Value::Array(references) = references else { return };
    let place = position(references, id).unwrap_or_else(|| {
        references.push(json!({ "id": id }));
        references.len() - 1
    });
    if let Some(Value::Object(reference)) = references.get_mut(place) {
        fields.apply(reference);
    }
}

/// Ensures that the clusters, or the profile, do not refer to the definition. Shows the one, or what was done
/// to many.
pub(crate) fn unassign(
    writer: &Writer<'_>,
    kind: &ResourceType,
    unassign: &Unassign,
) -> Result<Shown, Error> {
    let (field, id) = (kind.plural, unassign.id.as_str());
    match unassign.target.named() {
        Named::One(layer) => {
            let by_part = writer.send(&request::delete_part(layer.part(field, id)));
            by_part
                .map(drop)
                .or_else(|error| missing_or(error, || detach_whole(writer, kind, id, layer, false)))?;
            let left = resource::show(writer.client, layer.kind, layer.id)?;
            say_given(writer, kind, id, layer);
            Ok(left)
        }
        Named::All(selected) => {
            many::change(writer, selected, vec![Operation::delete(field, id)], Vec::new())
        }
    }
}

/// Says where a cluster that no longer refers to something gets it all the same.
fn say_given(writer: &Writer<'_>, kind: &ResourceType, id: &str, layer: Layer<'_>) {
    if layer.kind.plural != CLUSTER.plural {
        return;
    }
    // It is a courtesy: what was asked for is done.
    let given = given::by_profiles(writer.client, kind, id, &format!("id={}", layer.id)).unwrap_or_default();
    if given.contains(layer.id) {
        let (noun, cluster) = (kind.singular, layer.id);
        let line = format!(
            "{cluster} still gets {noun} {id}, from a profile; `{noun} assign {id} --cluster {cluster} --exclude` takes \
             it out there"
        );
        say(&format!("{}\n", printable(&line)));
    }
}

/// The same for a component, of which a cluster can have patches besides.
pub(crate) fn unassign_component(writer: &Writer<'_>, command: &UnassignComponent) -> Result<Shown, Error> {
    let kind = &types::COMPONENT;
    let UnassignComponent { unassign: one, with_patches: true } = command else {
        return unassign(writer, kind, &command.unassign);
    };
    let id = one.id.as_str();
    let fields = [kind.plural, patches::PATCHES];
    match one.target.named() {
        Named::One(layer) => {
            let document = writer.client.get(layer.kind.plural, layer.id)?.body;
            let deletes = fields.map(|field| json!({"delete": layer.part(field, id).target()}));
            let unset = patches::without_unset(layer, &document, id);
            let changes: Vec<_> = deletes.into_iter().chain(unset).collect();
            let all = writer.send(&request::change(json!({ "changes": changes })));
            all.map(drop).or_else(|error| match error.has_status(400) {
                // One of the two is not there.
                true => detach_whole(writer, kind, id, layer, true),
                false => missing_or(error, || detach_whole(writer, kind, id, layer, true)),
            })?;
            let left = resource::show(writer.client, layer.kind, layer.id)?;
            say_given(writer, kind, id, layer);
            Ok(left)
        }
        Named::All(selected) => {
            let clusters = writer.client.list(CLUSTER.plural, &[], Some(selected.selector))?;
            let layer = |cluster| Layer { kind: &CLUSTER, id: document::id(cluster).unwrap_or_default() };
            let unset =
                clusters.iter().filter_map(|cluster| patches::without_unset(layer(cluster), cluster, id));
            let deletes = fields.map(|field| Operation::delete(field, id));
            many::change(writer, selected, deletes.into(), unset.collect())
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
    layer: Layer<'_>,
    with_patches: bool,
) -> Result<(), Error> {
    let detached = resource::modify(writer, layer.kind, layer.id, |document| {
        detach(writer, kind, id, document)?;
        if with_patches {
            for field in [patches::PATCHES, patches::UNSET_PATCHES] {
                edit_object(document, field, |patches| drop(patches.remove(id)));
            }
        }
        Ok(())
    });
    detached.map(drop)
}

/// Takes the reference to the definition out of the document. An id that no definition has is an
/// error: it is more likely mistyped than already done with.
fn detach(writer: &Writer<'_>, kind: &ResourceType, id: &str, document: &mut Document) -> Result<(), Error> {
    let references = document.get(kind.plural).and_then(Value::as_array);
    let place = references.and_then(|references| position(references, id));
    match (place, document.get_mut(kind.plural)) {
        (Some(place), Some(Value::Array(references))) => drop(references.remove(place)),
        _ => drop(writer.client.get(kind.plural, id)?),
    }
    Ok(())
}

/// The reference to the definition in the document of a cluster or profile.
pub(crate) fn to<'d>(document: &'d Value, kind: &ResourceType, id: &str) -> Option<&'d Value> {
    let references = document.get(kind.plural)?.as_array()?;
    references.get(position(references, id)?)
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
            ..ReferenceFields::default()
        };
        apply(&NAMESPACE, "a", &fields(None), cluster);
        assert_eq!(*cluster, before);
        apply(&NAMESPACE, "b", &fields(Some("keep")), cluster);
        apply(&NAMESPACE, "c", &fields(None), cluster);
        let references = &cluster["namespaces"];
        assert_eq!(references[1], json!({"id": "b", "on_remove": "keep"}));
        assert_eq!(references[2], json!({"id": "c"}));
    }
}
