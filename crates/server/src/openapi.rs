//! The OpenAPI 3.0.3 document, made from the route table and the types' JSON Schemas.

mod history;
mod schema;

use flux_resourceset_model::{CLUSTERS, RESOURCE_TYPES, Types};
use http::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::auth::Access;
use crate::body;
use crate::error::Status;
use crate::routes::{Action, Route, Routes};

/// The document as YAML.
///
/// # Errors
/// A sentence, where the routes contradict each other or YAML cannot say them: a mistake in this crate.
pub fn yaml() -> Result<String, String> {
    let types = Types::built_in();
    let routes = Routes::new(&types).map_err(|error| error.to_string())?;
    of(&routes, &types)
}

/// The document of `routes`, of documents of these types, as YAML.
pub(crate) fn of(routes: &Routes, types: &Types) -> Result<String, String> {
    serde_saphyr::to_string(&document(routes, types)).map_err(|error| error.to_string())
}

/// In the order in which people expect it; JSON objects are ordered by name.
#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: Value,
    paths: Map<String, Value>,
    components: Value,
}

fn document(routes: &Routes, types: &Types) -> Document {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes.table() {
        let path = paths.entry(route.pattern.clone()).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(route);
    }
    let info = json!({
        "title": "flux-resourceset",
        "version": env!("CARGO_PKG_VERSION"),
        "license": {"name": "Apache-2.0"},
        "description": "The single source of truth for a fleet of Flux clusters: documents in, ExternalService inputs out.",
    });
    let components = json!({
        "securitySchemes": {
            "read": {"type": "http", "scheme": "bearer", "description": "AUTH_TOKEN, or any token of TOKENS_FILE; CRUD_AUTH_TOKEN does too."},
            "write": {"type": "http", "scheme": "bearer", "description": "CRUD_AUTH_TOKEN, or a token of TOKENS_FILE that may write."}
        },
        "schemas": schema::components(types),
    });
    Document { openapi: "3.0.3", info, paths, components }
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [tag(route)],
        "parameters": parameters(route),
        "responses": responses(route),
        "security": match route.access {
            Access::Public => json!([]),
            Access::Read => json!([{"read": []}]),
            Access::Write => json!([{"write": []}]),
        },
    });
    if route.crud {
        operation["description"] = "With API_MODE=crud only.".into();
    }
    if let Some(body) = request_body(route) {
        operation["requestBody"] = body;
    }
    operation
}

fn tag(route: &Route) -> &str {
    match (route.kind.as_ref(), route.access) {
        (Some(kind), _) => kind.plural(),
        (None, Access::Public) => "service",
        (None, _) if route.pattern.starts_with("/api/v2/flux/") => "flux",
        (None, _) if route.action == Action::Explain => "explain",
        (None, _) if route.action == Action::Exceptions => "reports",
        (None, _) if matches!(route.action, Action::Confirmation | Action::Confirm) => "confirm",
        (None, _) => "changes",
    }
}

fn operation_id(route: &Route) -> String {
    let (verb, plural) = match route.action {
        Action::Health => return "health".into(),
        Action::Ready => return "ready".into(),
        Action::OpenApi => return "openapi".into(),
        Action::Metrics => return "metrics".into(),
        Action::FleetList => return "flux_list_clusters".into(),
        Action::Poll => return "flux_poll".into(),
        Action::List => ("list", true),
        Action::Create => ("create", false),
        Action::Read => ("get", false),
        Action::Replace => ("update", false),
        Action::Patch => ("patch", false),
        Action::Delete => ("delete", false),
        Action::ReadPart => ("get_part_of", false),
        Action::ReplacePart => ("update_part_of", false),
        Action::PatchPart => ("patch_part_of", false),
        Action::DeletePart => ("delete_part_of", false),
        Action::Restore => ("restore", false),
        Action::Wipe => ("wipe", false),
        Action::Change => return "change".into(),
        Action::Apply => return "apply".into(),
        Action::Export => return "export".into(),
        Action::History => return "list_changes".into(),
        Action::Entry => return "get_change".into(),
        Action::Revert => return "revert".into(),
        Action::Explain if route.pattern.contains("{input}") => return "explain_input".into(),
        Action::Explain if route.pattern.contains("{type}") => return "explain_type".into(),
        Action::Explain => return "explain".into(),
        Action::Exceptions => return "list_exceptions".into(),
        Action::Confirmation => return "get_confirmation".into(),
        Action::Confirm => return "confirm".into(),
    };
    let field = route.field.as_ref().map(|field| format!("_{field}")).unwrap_or_default();
    let kind = route.kind.as_ref().map_or("", |kind| if plural { kind.plural() } else { kind.name() });
    format!("{verb}_{kind}{field}")
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.pattern.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name, "in": "query", "required": false,
            "description": parameter.description, "schema": {"type": parameter.schema},
        })
    });
    let conditions: &[&str] = match route.action {
        Action::Create | Action::Poll | Action::FleetList => &["If-None-Match"],
        _ if route.pattern.contains("{id}") => &["If-Match", "If-None-Match"],
        _ => &[],
    };
    let headers = conditions.iter().map(|name| {
        json!({
            "name": name, "in": "header", "required": false, "schema": {"type": "string"},
            "description": "Entity tags, as in the ETag of an answer, or `*`.",
        })
    });
    let of_writes: &[(&str, &str)] = match route.access {
        Access::Write if route.method != Method::GET => &[
            (
                "If-Plan",
                "The digest of the plan that was seen: the write happens only if it still does that.",
            ),
            ("X-Change-Reason", "Why, for the history."),
        ],
        _ => &[],
    };
    let of_writes = of_writes.iter().map(|(name, description)| {
        json!({
            "name": name, "in": "header", "required": false, "schema": {"type": "string"},
            "description": description,
        })
    });
    in_path.chain(in_query).chain(headers).chain(of_writes).collect()
}

fn request_body(route: &Route) -> Option<Value> {
    let schema = match route.action {
        Action::Change => Some("ChangeSet"),
        Action::Apply => Some("Files"),
        _ => None,
    };
    if let Some(schema) = schema {
        let content = json!({"application/json": {"schema": reference(schema)}});
        return Some(json!({"required": true, "content": content}));
    }
    let title = schema::title(route.kind.as_ref()?);
    let part = || {
        let fields = route
            .field
            .as_ref()
            .and_then(|field| schema::part(route.kind.as_ref()?, field))
            .unwrap_or_default();
        json!({"schema": schema::nullable_properties(&fields)})
    };
    let content = match route.action {
        Action::Create => of_whole(route, &format!("New{title}")),
        Action::Replace => of_whole(route, &format!("{title}Fields")),
        Action::Patch => {
            let fields = json!({"schema": reference(&format!("{title}Fields"))});
            json!({"application/merge-patch+json": fields.clone(), "application/json": fields})
        }
        Action::ReplacePart => json!({"application/json": part()}),
        Action::PatchPart => json!({"application/merge-patch+json": part(), "application/json": part()}),
        _ => return None,
    };
    Some(json!({"required": true, "content": content}))
}

/// A document as a create or an update carries it.
fn of_whole(route: &Route, schema: &str) -> Value {
    let mut content = json!({body::JSON: {"schema": reference(schema)}});
    if route.kind.as_ref().is_some_and(|kind| kind.plural() == RESOURCE_TYPES) {
        content[body::YAML] = content[body::JSON].clone();
    }
    content
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    let (status, success) = success(route);
    responses.insert(status.into(), success);
    if matches!(route.action, Action::Read | Action::ReadPart | Action::Poll | Action::FleetList) {
        let mut unmodified = json!({"description": "The client has it already (If-None-Match)."});
        unmodified["headers"] = headers(route).unwrap_or_default();
        responses.insert("304".into(), unmodified);
    }
    if route.action == Action::ReplacePart {
        let mut appended = responses.values().next().cloned().unwrap_or_default();
        appended["description"] = "The part as it is now, which was missing.".into();
        responses.insert("201".into(), appended);
    }
    if matches!(route.action, Action::Create | Action::Restore) {
        let plan = json!({"application/json": {"schema": reference("Plan")}});
        responses.insert("200".into(), json!({"description": "What it would do (plan).", "content": plan}));
    }
    let mut errors = route.errors.to_vec();
    if route.access != Access::Public {
        errors.extend([Status::Unauthorized, Status::InternalServerError]);
    }
    if route.access == Access::Write {
        errors.push(Status::Forbidden);
    }
    errors.sort();
    for error in errors {
        let status = http::StatusCode::from(error);
        let description = status.canonical_reason().unwrap_or_default();
        let content = json!({"application/json": {"schema": reference("Error")}});
        let mut response = json!({"description": description, "content": content});
        if error == Status::ServiceUnavailable {
            let when = "Seconds after which to ask again, where it may pass by itself.";
            response["headers"] =
                json!({"Retry-After": {"description": when, "schema": {"type": "integer"}}});
        }
        responses.insert(status.as_str().into(), response);
    }
    responses.into()
}

fn success(route: &Route) -> (&'static str, Value) {
    let json_of = |schema: Value| json!({"application/json": {"schema": schema}});
    let document = || reference(&route.kind.as_deref().map(schema::title).unwrap_or_default());
    let part = || {
        route.field.as_ref().and_then(|field| schema::part(route.kind.as_ref()?, field)).unwrap_or_default()
    };
    let or_plan = |schema: Value| json!({"anyOf": [schema, reference("Plan")]});
    let (description, content) = match route.action {
        Action::Health => ("It lives.", json_of(reference("Health"))),
        Action::Ready => ("Polls are answered.", json_of(reference("Ready"))),
        Action::OpenApi => ("This document.", json!({"application/yaml": {"schema": {"type": "string"}}})),
        Action::Metrics => {
            ("OpenMetrics text.", json!({"application/openmetrics-text": {"schema": {"type": "string"}}}))
        }
        Action::FleetList | Action::Poll => ("The inputs.", json_of(reference("Inputs"))),
        Action::List => ("The documents.", json_of(json!({"type": "array", "items": document()}))),
        Action::Create => ("Created.", json_of(document())),
        Action::Read => ("The document.", json_of(document())),
        Action::Replace | Action::Patch => {
            ("The document as it is now; or the plan.", json_of(or_plan(document())))
        }
        Action::Delete => ("The document as it was last; or the plan.", json_of(or_plan(document()))),
        Action::ReadPart => ("The part.", json_of(part())),
        Action::ReplacePart | Action::PatchPart => {
            ("The part as it is now; or the plan.", json_of(or_plan(part())))
        }
        Action::DeletePart => ("The part as it was last; or the plan.", json_of(or_plan(part()))),
        Action::Restore => ("The cluster.", json_of(reference("Cluster"))),
        Action::Wipe => ("The tombstone; or the plan.", json_of(or_plan(document()))),
        Action::Change | Action::Apply => {
            ("What was changed; or the plan.", json_of(or_plan(reference("Changed"))))
        }
        Action::Export => ("The fleet.", json_of(reference("FleetFile"))),
        Action::History => {
            ("The changes.", json_of(json!({"type": "array", "items": reference("ChangeSummary")})))
        }
        Action::Entry => ("The change.", json_of(reference("Change"))),
        Action::Revert => ("What was changed; or the plan.", json_of(or_plan(reference("Reverted")))),
        Action::Explain => ("Where it comes from.", json_of(reference("Explanation"))),
        Action::Confirmation => ("How it stands.", json_of(reference("Confirmation"))),
        Action::Confirm => (
            "How it stands now, with the plan; or the plan alone.",
            json_of(or_plan(reference("Confirmation"))),
        ),
        Action::Exceptions => {
            ("The exceptions.", json_of(json!({"type": "array", "items": reference("Exception")})))
        }
    };
    let mut success = json!({"description": description, "content": content});
    if let Some(headers) = headers(route) {
        success["headers"] = headers;
    }
    let creates = matches!(route.action, Action::Create | Action::Restore);
    (if creates { "201" } else { "200" }, success)
}

fn headers(route: &Route) -> Option<Value> {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    let number = |description: &str| json!({"description": description, "schema": {"type": "integer"}});
    let etag =
        || text("The document's entity tag: the revision that wrote it and a digest of its content. Strong.");
    let of_the_past = || number("Of which revision this is, where the past was asked for.");
    let mut headers = match route.action {
        Action::List => {
            json!({"X-Total-Count": number("How many documents match, whatever limit and offset say.")})
        }
        Action::Exceptions => {
            json!({"X-Total-Count": number("How many exceptions match, whatever limit and offset say.")})
        }
        Action::Entry => {
            json!({"X-Total-Count": number("How many documents were changed, whatever limit and offset say.")})
        }
        Action::History => {
            json!({"Link": text("The next page, with `rel=\"next\"`, where there is one.")})
        }
        Action::Poll | Action::FleetList => {
            let stale = "Where SERVE_STALE lets it be older than MAX_STALENESS: the seconds since it was confirmed, or `unconfirmed`.";
            let encoding = "`gzip`, where it was asked for and the answer is long enough.";
            json!({
                "ETag": text("A digest of the answer. Weak; absent where the past was asked for."),
                "Content-Encoding": text(encoding),
                "X-Revision": of_the_past(),
                "X-Stale": text(stale)
            })
        }
        Action::Export => json!({"X-Revision": number("The revision that this is the whole of.")}),
        Action::Create | Action::Restore => {
            json!({"ETag": etag(), "Location": text("The document's path.")})
        }
        Action::Read | Action::ReadPart => json!({"ETag": etag(), "X-Revision": of_the_past()}),
        Action::Replace | Action::Patch | Action::ReplacePart | Action::PatchPart | Action::Wipe => {
            json!({"ETag": etag()})
        }
        Action::Delete | Action::DeletePart => json!({}),
        _ => return None,
    };
    let of_one = !matches!(route.action, Action::List)
        && route.kind.as_ref().is_some_and(|kind| kind.plural() == CLUSTERS);
    if of_one {
        headers["X-Frozen"] =
            text("The freezes that hold the cluster, separated by commas, where it is frozen.");
    }
    if of_one && route.action == Action::Read {
        headers["X-Profiles"] = text(
            "The profiles of the cluster, the lowest first, separated by commas, where it is asked for with them worked into it and has any.",
        );
    }
    Some(headers).filter(|headers| headers.as_object().is_some_and(|headers| !headers.is_empty()))
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the committed document lies, seen from this crate.
    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/openapi.yaml");

    #[test]
    fn the_committed_document_is_current() {
        let now = yaml().unwrap();
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(COMMITTED, &now).unwrap();
        }
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        assert!(committed == now, "openapi/openapi.yaml is out of date: run the tests with UPDATE_OPENAPI=1");
    }

    #[test]
    fn yaml_says_what_json_said() {
        let document = made();
        let read: Value = serde_saphyr::from_str(&yaml().unwrap()).unwrap();
        assert_eq!(read, document);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_its_own_id() {
        let document = made();
        let mut references = Vec::new();
        let mut ids = Vec::new();
        walk(&document, &mut |object| {
            references.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            ids.extend(object.get("operationId").and_then(Value::as_str).map(str::to_owned));
        });
        for reference in references {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    fn made() -> Value {
        let types = Types::built_in();
        serde_json::to_value(document(&Routes::new(&types).unwrap(), &types)).unwrap()
    }

    fn walk(value: &Value, see: &mut impl FnMut(&Map<String, Value>)) {
        match value {
            Value::Object(object) => {
                see(object);
                object.values().for_each(|value| walk(value, see));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, see)),
            _ => {}
        }
    }
}
