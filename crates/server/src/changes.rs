//! Change sets as they are sent, and what is answered to one that is made.

use std::collections::BTreeSet;

use flux_resourceset_model::change::{DocumentChange, Operation, Verb};
use flux_resourceset_model::{RESOURCE_TYPES, Types, Violation};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, json_answer};
use crate::error::ApiError;
use crate::reason;
use crate::routes::is_described;
use crate::time::rfc3339;
use crate::write::Done;

const VERBS: [(&str, Verb); 4] =
    [("create", Verb::Create), ("update", Verb::Update), ("patch", Verb::Patch), ("delete", Verb::Delete)];

/// Several operations with their reason, as `POST /api/v2/changes` takes them.
pub(crate) struct ChangeRequest {
    pub(crate) reason: Option<String>,
    pub(crate) operations: Vec<Operation>,
}

impl ChangeRequest {
    /// # Errors
    /// Everything that is wrong with the form of `body`, each with its pointer into it.
    pub(crate) fn parse(body: &Value, types: &Types) -> Result<Self, ApiError> {
        let mut wrong = Vec::new();
        let request = parse(body, types, &mut wrong);
        if wrong.is_empty() {
            return Ok(request);
        }
        let message = "The body is not a change set: {\"reason\": ..., \"changes\": [{\"patch\": \"clusters/eu-1\", \"body\": {...}}]}.";
        Err(ApiError::bad_request("invalid", message).violating(wrong))
    }
}

fn parse(body: &Value, types: &Types, wrong: &mut Vec<Violation>) -> ChangeRequest {
    let mut request = ChangeRequest { reason: None, operations: Vec::new() };
    let Value::Object(fields) = body else {
        wrong.push(Violation::new("", "type", "is not a JSON object"));
        return request;
    };
    for (field, value) in fields {
        match (field.as_str(), value) {
            ("reason", Value::Null) => {}
            ("reason", Value::String(text)) => match reason::check(text) {
                Ok(reason) => request.reason = reason,
                Err(rule) => wrong.push(Violation::new("/reason", "format", rule)),
            },
            ("reason", _) => wrong.push(Violation::new("/reason", "type", "is not a string")),
            ("changes", Value::Array(changes)) => {
                let known = Known { types, declared: declared(changes) };
                for (at, change) in (0..).zip(changes) {
                    let mut found = Vec::new();
                    request.operations.extend(operation(change, &known, &mut found));
                    let place = format!("/changes/{at}");
                    wrong.extend(found.into_iter().map(|violation| violation.under(&place).from_change(at)));
                }
            }
            ("changes", _) => wrong.push(Violation::new("/changes", "type", "is not a list of changes")),
            _ => {
                let message = format!("`{field}` is not a field here; known are changes, reason");
                wrong.push(Violation::new(format!("/{field}"), "unknown_field", message));
            }
        }
    }
    if !fields.contains_key("changes") {
        wrong.push(Violation::new("/changes", "missing_field", "`changes` is required"));
    }
    request
}

/// What documents there can be of.
struct Known<'a> {
    types: &'a Types,
    /// The plurals of types that the change set itself makes.
    declared: BTreeSet<String>,
}

fn declared(changes: &[Value]) -> BTreeSet<String> {
    let target = |change: &Value| Operation::parse_target(change.get("create")?.as_str()?);
    let keys = changes.iter().filter_map(target).map(|(key, _)| key);
    keys.filter(|key| key.kind == RESOURCE_TYPES).map(|key| key.id).collect()
}

fn operation(change: &Value, known: &Known<'_>, wrong: &mut Vec<Violation>) -> Option<Operation> {
    let Value::Object(fields) = change else {
        wrong.push(Violation::new("", "type", "a change is a JSON object"));
        return None;
    };
    let named: Vec<_> =
        VERBS.iter().filter_map(|(name, verb)| Some((*name, *verb, fields.get(*name)?))).collect();
    let [(name, verb, target)] = named.as_slice() else {
        let message =
            "a change has one of create, update, patch and delete, with the document that it is about";
        wrong.push(Violation::new("", "missing_field", message));
        return None;
    };
    let operation = target_of(name, *verb, target, known).map_err(|violation| wrong.push(violation)).ok()?;
    refuse_unknown(fields, name, wrong);
    Some(Operation {
        select: text(fields, "select", wrong),
        allow_empty: flag(fields, "allow_empty", wrong),
        force: flag(fields, "force", wrong),
        body: body_of(fields, *verb, wrong),
        ..operation
    })
}

fn target_of(name: &str, verb: Verb, target: &Value, known: &Known<'_>) -> Result<Operation, Violation> {
    let pointer = format!("/{name}");
    let parsed = target.as_str().and_then(Operation::parse_target);
    let Some((key, part)) = parsed else {
        let message = format!(
            "{target} names no document: write type/id as in clusters/eu-1, or clusters/eu-1/platform_components/grafana"
        );
        return Err(Violation::new(pointer, "format", message));
    };
    let kind = known.types.of(&key.kind).filter(|kind| is_described(kind));
    if kind.is_none() && !known.declared.contains(&key.kind) {
        let message = format!("`{}` is not a type whose documents are changed here", key.kind);
        return Err(Violation::new(pointer, "unknown_type", message));
    }
    if let (Some(part), Some(kind)) = (&part, kind)
        && !known.declared.contains(&part.field)
        && !kind.part_fields().any(|(field, _)| field == part.field)
    {
        let fields: Vec<_> = kind.part_fields().map(|(field, _)| field).collect();
        let message =
            format!("{} have no parts under `{}`; known are {}", key.kind, part.field, fields.join(", "));
        return Err(Violation::new(pointer, "unknown_field", message));
    }
    Ok(Operation { part, ..Operation::new(verb, key, None) })
}

fn text(fields: &Map<String, Value>, field: &str, wrong: &mut Vec<Violation>) -> Option<String> {
    match fields.get(field)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        _ => {
            wrong.push(Violation::new(format!("/{field}"), "type", "is not a string"));
            None
        }
    }
}

fn flag(fields: &Map<String, Value>, field: &str, wrong: &mut Vec<Violation>) -> bool {
    match fields.get(field) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => {
            wrong.push(Violation::new(format!("/{field}"), "type", "is not true or false"));
            false
        }
    }
}

fn body_of(fields: &Map<String, Value>, verb: Verb, wrong: &mut Vec<Violation>) -> Option<Value> {
    let body = fields.get("body");
    match (verb, body) {
        (Verb::Delete, Some(_)) => {
            wrong.push(Violation::new("/body", "unknown_field", "a delete has no body"))
        }
        (Verb::Delete, None) | (_, Some(_)) => {}
        (_, None) => wrong.push(Violation::new("/body", "missing_field", "`body` is required")),
    }
    body.cloned()
}

fn refuse_unknown(fields: &Map<String, Value>, verb: &str, wrong: &mut Vec<Violation>) {
    const KNOWN: [&str; 4] = ["select", "allow_empty", "force", "body"];
    for field in fields.keys().filter(|field| *field != verb && !KNOWN.contains(&field.as_str())) {
        let message = format!("`{field}` is not a field here; known are {verb}, {}", KNOWN.join(", "));
        wrong.push(Violation::new(format!("/{field}"), "unknown_field", message));
    }
}

/// What became of a document, in a word.
pub(crate) fn what_became(before: bool, change: &DocumentChange) -> &'static str {
    match (before, &change.body) {
        (_, None) => "deleted",
        (false, Some(_)) => "created",
        (true, Some(_)) => "updated",
    }
}

/// What is answered to a change set that is made.
pub(crate) fn answer_changes(done: &Done) -> Answer {
    json_answer(http::StatusCode::OK, changed(done).to_string())
}

/// What a change set changed, under which revision.
pub(crate) fn changed(done: &Done) -> Value {
    let documents: Vec<Value> = done
        .entry
        .iter()
        .flat_map(|entry| &entry.change_set.documents)
        .map(|change| {
            let what = what_became(done.before.fleet.get(&change.key).is_some(), change);
            json!({"type": change.key.kind, "id": change.key.id, "change": what})
        })
        .collect();
    let entry = done.entry.as_ref();
    json!({
        "revision": done.revision(),
        "at": entry.map(|entry| rfc3339(entry.at)),
        "principal": entry.map(|entry| entry.change_set.principal.as_str()),
        "reason": entry.and_then(|entry| entry.change_set.reason.as_deref()),
        "documents": documents,
    })
}
