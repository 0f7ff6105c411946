//! List, get, create, update and delete, alike for every resource type; a type's own file only
//! says which flags set which fields.

use std::time::Duration;
use std::{process, thread};

use clap::Args;
use flux_resourceset_model::Types;
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::document::{self, Document, FileDocument};
use crate::error::Error;
use crate::key_value::KeyValue;
use crate::output::Shown;
use crate::request::{self, Part, Request};
use crate::types::ResourceType;
use crate::writer::Writer;
use crate::writing::Writing;

/// Flags that set fields of a document. Equal to the default when none was given.
pub(crate) trait Fields: Args + Default + PartialEq {
    /// Sets what was given and leaves the rest.
    fn apply(&self, document: &mut Document);

    /// The same as a JSON merge patch, for documents that are not at hand.
    fn merge_patch(&self) -> Document {
        let mut patch = Document::new();
        self.apply(&mut patch);
        patch
    }

    /// What of it replaces whole fields instead, where documents are not at hand; null takes one out.
    fn replacement(&self) -> Document {
        Document::new()
    }
}

#[derive(Args)]
pub(crate) struct List {
    /// Only those whose field has this value (repeatable)
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(crate) filter: Vec<KeyValue>,
}

#[derive(Args)]
pub(crate) struct Get {
    /// Its id
    id: String,

    /// As it was at this revision (needs the write token)
    #[arg(long, value_name = "REVISION")]
    revision: Option<u64>,
}

#[derive(Args)]
pub(crate) struct Create<F: Fields> {
    /// Its id; may stand in the file instead
    id: Option<String>,

    /// Take its fields from a JSON or YAML file (`-` is stdin); flags win over it
    #[arg(short, long, value_name = "FILE", value_parser = document::read_file)]
    file: Option<FileDocument>,

    #[command(flatten)]
    fields: F,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Args)]
pub(crate) struct Update<F: Fields> {
    /// Its id
    id: String,

    /// Replace each field that this JSON or YAML file carries (`-` is stdin); flags win over it
    #[arg(short, long, value_name = "FILE", value_parser = document::read_file)]
    file: Option<FileDocument>,

    /// Take out a field, so that its default holds, or one key of it: `release.timeout` (repeatable)
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,

    #[command(flatten)]
    fields: F,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// Of what nothing refers to.
#[derive(Args)]
pub(crate) struct Delete {
    /// Its id
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Args)]
pub(crate) struct DeleteDefinition {
    /// Its id
    id: String,

    /// Remove every reference to it in the same change: clusters and profiles lose it, with a component's
    /// patches
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

pub(crate) fn list(
    client: &Client<'_>,
    kind: &ResourceType,
    list: &List,
    selector: Option<&str>,
) -> Result<Shown, Error> {
    list_of(client, kind, list, selector, None)
}

/// Only those that have to do with another document, where a parameter and its id are given.
pub(crate) fn list_of(
    client: &Client<'_>,
    kind: &ResourceType,
    list: &List,
    selector: Option<&str>,
    other: Option<(&str, &str)>,
) -> Result<Shown, Error> {
    let mut request = request::list(kind.plural, &list.filter, selector);
    if let Some((parameter, id)) = other {
        request = request.with(parameter, id);
    }
    Ok(Shown::list(kind.columns, client.array(&request)?))
}

pub(crate) fn get(client: &Client<'_>, kind: &ResourceType, get: &Get) -> Result<Shown, Error> {
    Ok(Shown::document(client.body(&request::get(kind.plural, &get.id, get.revision))?))
}

/// The document as it is now.
pub(crate) fn show(client: &Client<'_>, kind: &ResourceType, id: &str) -> Result<Shown, Error> {
    Ok(Shown::document(client.get(kind.plural, id)?.body))
}

pub(crate) fn delete_definition(
    writer: &Writer<'_>,
    kind: &ResourceType,
    delete: &DeleteDefinition,
) -> Result<Shown, Error> {
    Ok(Shown::document(writer.send(&request::delete(kind.plural, &delete.id, delete.force))?))
}

impl Get {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl<F: Fields> Create<F> {
    pub(crate) fn new(id: &str, fields: F) -> Self {
        Create { id: Some(id.into()), file: None, fields, writing: Writing::default() }
    }

    /// The document asked for, and its id.
    pub(crate) fn document(&self, kind: &ResourceType) -> Result<(String, Document), Error> {
        let mut document = self.file.as_ref().map(|file| file.0.clone()).unwrap_or_default();
        let id = id(kind, self.id.as_deref(), &document)?;
        document.insert("id".into(), Value::String(id.clone()));
        self.fields.apply(&mut document);
        Ok((id, document))
    }
}

impl<F: Fields> Update<F> {
    fn apply(&self, document: &mut Document) {
        if let Some(file) = &self.file {
            document.extend(file.0.clone());
        }
        self.fields.apply(document);
        for field in &self.unset {
            document::unset(document, field);
        }
    }

    fn is_empty(&self) -> bool {
        self.file.is_none() && self.unset.is_empty() && self.fields == F::default()
    }
}

/// Creates the document, or finds it there with the same content: to be run twice is no error.
pub(crate) fn ensure(
    writer: &Writer<'_>,
    kind: &ResourceType,
    id: &str,
    document: &Document,
) -> Result<Value, Error> {
    let refusal = match writer.send(&request::create(kind.plural, document)) {
        Err(refusal) if refusal.has_status(409) => refusal,
        done => return done,
    };
    let existing = match writer.client.get(kind.plural, id) {
        // It was something else that conflicts, a DNS name for example.
        Err(missing) if missing.has_status(404) => return Err(refusal),
        found => found?.body,
    };
    same(kind, id, document, &existing)?;
    match writer.writing.is_preview() {
        // The plan of nothing is asked for too, so that it is shown as any other.
        true => writer.send(&request::put(kind.plural, id, &Document::new())),
        false => Ok(existing),
    }
}

/// An error where what exists differs from what was asked for.
pub(crate) fn same(kind: &ResourceType, id: &str, wanted: &Document, existing: &Value) -> Result<(), Error> {
    let differences = document::differences(wanted, existing);
    if differences.is_empty() {
        return Ok(());
    }
    let (fields, lines): (Vec<_>, Vec<_>) = differences.into_iter().unzip();
    Err(Error::Failed(format!(
        "{noun} {id} exists already and differs in {}; change it with `{noun} update {id}`, or leave out what differs to take it as it is\n  {}",
        fields.join(", "),
        lines.join("\n  "),
        noun = kind.singular,
    )))
}

pub(crate) fn update<F: Fields>(
    writer: &Writer<'_>,
    kind: &ResourceType,
    update: &Update<F>,
) -> Result<Shown, Error> {
    if update.is_empty() {
        return Err(Error::Usage(
            "nothing to change; give a flag that sets a field, --unset or --file".into(),
        ));
    }
    if let Some(file) = &update.file {
        same_id(&file.0, &update.id)?;
    }
    let updated = modify(writer, kind, &update.id, |document| {
        update.apply(document);
        Ok(())
    });
    updated.map(Shown::document)
}

/// The id that was typed, or else the one that the document has.
pub(crate) fn id(kind: &ResourceType, typed: Option<&str>, document: &Document) -> Result<String, Error> {
    let types = Types::built_in();
    let written = || match types.of(kind.plural) {
        Some(built_in) => built_in.id_of_new(document),
        None => document.get("id").and_then(Value::as_str).map(str::to_owned),
    };
    let id = typed.map(str::to_owned).or_else(written).ok_or_else(|| {
        Error::Usage(format!("which {}? Give its id, or a file that has one", kind.singular))
    })?;
    same_id(document, &id)?;
    Ok(id)
}

fn same_id(document: &Document, id: &str) -> Result<(), Error> {
    match document.get("id") {
        Some(written) if written != id => Err(Error::Usage(format!(
            "the file is about {written}, the command about \"{id}\"; ids never change"
        ))),
        _ => Ok(()),
    }
}

/// How often a write that lost a race is tried again.
const ATTEMPTS: u32 = 10;

/// Reads a document, changes it, and writes the fields that changed only if nobody else wrote
/// meanwhile; otherwise reads and changes again. Without an ETag from the server it writes
/// unconditionally.
pub(crate) fn modify(
    writer: &Writer<'_>,
    kind: &ResourceType,
    id: &str,
    change: impl Fn(&mut Document) -> Result<(), Error>,
) -> Result<Value, Error> {
    let read = || writer.client.get(kind.plural, id);
    let write = |fields: &Document| request::put(kind.plural, id, fields);
    edit(writer, read, write, |answer, writer| {
        let Value::Object(before) = &answer.body else { return Err(not_a_document(kind, id)) };
        let mut after = before.clone();
        change(&mut after)?;
        let fields = document::changed_fields(before, &after);
        Ok(Some(fields).filter(|fields| !fields.is_empty() || writer.writing.is_preview()))
    })
}

/// The same for a part of a cluster; one that is missing is written too.
pub(crate) fn edit_part(
    writer: &Writer<'_>,
    part: Part<'_>,
    change: impl Fn(&mut Document),
) -> Result<(), Error> {
    let read = || match writer.client.get_part(part) {
        Err(missing) if missing.has_status(404) => Ok(Answer::default()),
        found => found,
    };
    let write = |fields: &Document| request::put_part(part, fields);
    let edited = edit(writer, read, write, |answer, writer| {
        let missing = answer.body.is_null();
        let before = answer.body.as_object().cloned().unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        let fields = document::changed_fields(&before, &after);
        Ok(Some(fields).filter(|fields| missing || !fields.is_empty() || writer.writing.is_preview()))
    });
    edited.map(drop)
}

/// Reads, decides which fields to write (`None`: none), writes them; again where the race was lost.
fn edit(
    writer: &Writer<'_>,
    read: impl Fn() -> Result<Answer, Error>,
    write: impl Fn(&Document) -> Request,
    decide: impl Fn(&Answer, &Writer<'_>) -> Result<Option<Document>, Error>,
) -> Result<Value, Error> {
    let mut lost = 0;
    loop {
        let answer = read()?;
        let Some(fields) = decide(&answer, writer)? else { return Ok(answer.body) };
        match writer.send(&write(&fields).if_match(answer.etag.as_deref())) {
            Err(refusal) if refusal.has_status(412) && lost + 1 < ATTEMPTS => lost += 1,
            done => return done,
        }
        thread::sleep(pause(lost, process::id()));
    }
}

/// Longer with every loss, and of another length for another process, so that those who raced once
/// do not meet again.
fn pause(lost: u32, process: u32) -> Duration {
    Duration::from_millis(u64::from(lost * (1 + process % 16)))
}

fn not_a_document(kind: &ResourceType, id: &str) -> Error {
    Error::Failed(format!(
        "{} {id} was answered with something other than a document; check that FLUX_API_URL is this API",
        kind.singular
    ))
}
