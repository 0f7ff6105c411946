//! The one table of routes. The router, the OpenAPI document and the `Allow` of a 405 are all made
//! from it, so that none of them can say what the others do not.

use std::sync::Arc;

use flux_resourceset_model::{CLUSTERS, FREEZES, PROFILES, ResourceType, SOURCES, TOMBSTONES, Types};
use http::Method;
use matchit::Router;
use serde_json::Value;

use crate::auth::Access;
use crate::error::Status;
use crate::history;
use crate::selection;

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Health,
    Ready,
    OpenApi,
    Metrics,
    FleetList,
    Poll,
    List,
    Create,
    Read,
    Replace,
    Patch,
    Delete,
    ReadPart,
    ReplacePart,
    PatchPart,
    DeletePart,
    Restore,
    Wipe,
    Change,
    Apply,
    Export,
    History,
    Entry,
    Revert,
    Explain,
    Exceptions,
    Confirmation,
    Confirm,
}

/// A query parameter that a route takes.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// Its JSON Schema type.
    pub(crate) schema: &'static str,
    pub(crate) description: String,
}

/// One method on one path.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) pattern: String,
    pub(crate) access: Access,
    /// Whether it is there in crud mode only.
    pub(crate) crud: bool,
    pub(crate) action: Action,
    /// The type of the documents that it is about.
    pub(crate) kind: Option<Arc<ResourceType>>,
    /// The field whose parts it is about.
    pub(crate) field: Option<String>,
    pub(crate) summary: String,
    pub(crate) query: Vec<Parameter>,
    /// The errors that are this route's own, beside those of its access.
    pub(crate) errors: &'static [Status],
}

impl Route {
    /// One that is there in crud mode only and is about no type.
    fn new(
        method: Method,
        pattern: impl Into<String>,
        access: Access,
        action: Action,
        summary: impl Into<String>,
        query: Vec<Parameter>,
        errors: &'static [Status],
    ) -> Self {
        let (pattern, summary) = (pattern.into(), summary.into());
        Route { method, pattern, access, crud: true, action, kind: None, field: None, summary, query, errors }
    }
}

/// Where a request goes.
pub(crate) enum Found<'a> {
    Route(&'a Route, Vec<&'a str>),
    /// The path is known, the method is not: what may be sent instead, and any route of that path.
    OtherMethods(&'a Route, String),
    Nothing,
}

/// The table and its index by path.
pub(crate) struct Routes {
    table: Vec<Route>,
    by_path: Router<Vec<usize>>,
}

impl Routes {
    /// # Errors
    /// Where two patterns of the table contradict each other: a mistake in this file.
    pub(crate) fn new(types: &Types) -> Result<Self, matchit::InsertError> {
        let table = table(types);
        let mut by_path = Router::new();
        for route in &table {
            let same_path = |(_, other): &(usize, &Route)| other.pattern == route.pattern;
            let all: Vec<usize> = table.iter().enumerate().filter(same_path).map(|(at, _)| at).collect();
            let first = all.first().is_some_and(|first| std::ptr::eq(&raw const table[*first], route));
            if first {
                by_path.insert(route.pattern.clone(), all)?;
            }
        }
        Ok(Routes { table, by_path })
    }

    pub(crate) fn table(&self) -> &[Route] {
        &self.table
    }

    /// The parameters of the path are given as they were sent, still encoded.
    pub(crate) fn find<'a>(&'a self, method: &Method, path: &'a str) -> Found<'a> {
        let Ok(matched) = self.by_path.at(path) else { return Found::Nothing };
        let routes = || matched.value.iter().map(|at| &self.table[*at]);
        // hyper leaves the body out of the answer to a HEAD.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        if let Some(route) = routes().find(|route| route.method == *method) {
            return Found::Route(route, matched.params.iter().map(|(_, value)| value).collect());
        }
        match routes().next() {
            Some(any) => Found::OtherMethods(any, allow(routes().map(|route| &route.method))),
            None => Found::Nothing,
        }
    }
}

fn allow<'a>(methods: impl Iterator<Item = &'a Method>) -> String {
    let mut names = Vec::new();
    for method in methods {
        names.push(method.as_str());
        if method == Method::GET {
            names.push("HEAD");
        }
    }
    names.join(", ")
}

/// What can be done to the documents of a type, beside looking at them.
fn writes(kind: &ResourceType) -> &'static [Action] {
    match kind.plural() {
        TOMBSTONES => &[Action::Restore, Action::Wipe, Action::Delete],
        FREEZES => &[Action::Create, Action::Delete],
        SOURCES => &[],
        _ => &[Action::Create, Action::Replace, Action::Patch, Action::Delete],
    }
}

/// Whether documents of `kind` are what a fleet is described by, at the root; else they are about
/// operating it.
pub(crate) fn is_described(kind: &ResourceType) -> bool {
    writes(kind).contains(&Action::Replace)
}

/// The path of the documents of `kind`.
pub(crate) fn path_of(kind: &ResourceType) -> String {
    if is_described(kind) { format!("/{}", kind.plural()) } else { format!("/api/v2/{}", kind.plural()) }
}

fn table(types: &Types) -> Vec<Route> {
    let mut table = service_routes();
    table.extend(flux_routes());
    table.extend(types.iter().flat_map(document_routes));
    table.extend(types.iter().filter(|kind| is_described(kind)).flat_map(part_routes));
    table.extend(change_routes());
    table.extend(history_routes());
    table.extend(confirm_routes());
    table
}

fn service_routes() -> Vec<Route> {
    let public = |pattern: &str, action, summary: &str, errors| {
        let route = Route::new(Method::GET, pattern, Access::Public, action, summary, Vec::new(), errors);
        Route { crud: false, ..route }
    };
    vec![
        public("/health", Action::Health, "Whether the process lives.", &[]),
        public("/ready", Action::Ready, "Whether polls are answered.", &[Status::ServiceUnavailable]),
        public("/openapi.yaml", Action::OpenApi, "This document.", &[]),
        public("/metrics", Action::Metrics, "Metrics for Prometheus; they name no cluster.", &[]),
    ]
}

fn flux_routes() -> Vec<Route> {
    let poll = |pattern: &str, action, summary: &str, query, errors| {
        let route = Route::new(Method::GET, pattern, Access::Read, action, summary, query, errors);
        Route { crud: false, ..route }
    };
    let filters = vec![
        parameter("environment", "string", "Only clusters of this environment."),
        parameter(
            "shard",
            "string",
            "`k/n`: only the k-th of n parts of the fleet, by a stable hash of the id.",
        ),
    ];
    let filters = filters.into_iter().chain(past()).collect();
    const LIST_ERRORS: &[Status] = &[
        Status::BadRequest,
        Status::Forbidden,
        Status::NotFound,
        Status::UnprocessableContent,
        Status::ServiceUnavailable,
    ];
    const POLL_ERRORS: &[Status] = &[
        Status::BadRequest,
        Status::Forbidden,
        Status::NotFound,
        Status::Gone,
        Status::UriTooLong,
        Status::ServiceUnavailable,
    ];
    vec![
        poll(
            "/api/v2/flux/clusters",
            Action::FleetList,
            "The fleet as inputs, for provisioners.",
            filters,
            LIST_ERRORS,
        ),
        poll(
            "/api/v2/flux/clusters/{cluster_dns}/{type}",
            Action::Poll,
            "What one cluster gets of one type, merged, as inputs.",
            past().into(),
            POLL_ERRORS,
        ),
    ]
}

/// There in read-only mode too: each process is confirmed for itself.
fn confirm_routes() -> Vec<Route> {
    const ERRORS: &[Status] = &[
        Status::BadRequest,
        Status::Conflict,
        Status::PreconditionFailed,
        Status::PreconditionRequired,
        Status::ServiceUnavailable,
    ];
    let route = |method, action, summary: &str, query, errors| {
        let route = Route::new(method, "/api/v2/confirm", Access::Write, action, summary, query, errors);
        Route { crud: false, ..route }
    };
    vec![
        route(
            Method::GET,
            Action::Confirmation,
            "Why this process does not follow its store, and what would change if it did.",
            vec![],
            LIST_ERRORS,
        ),
        route(
            Method::POST,
            Action::Confirm,
            "Has this process follow what its store holds, whatever it served before.",
            vec![plan()],
            ERRORS,
        ),
    ]
}

const LIST_ERRORS: &[Status] = &[Status::BadRequest, Status::ServiceUnavailable];
const READ_ERRORS: &[Status] = &[
    Status::BadRequest,
    Status::Forbidden,
    Status::NotFound,
    Status::PreconditionFailed,
    Status::UriTooLong,
    Status::ServiceUnavailable,
];
/// The errors of a write that names a document.
const DELETE_ERRORS: &[Status] = &[
    Status::BadRequest,
    Status::NotFound,
    Status::Conflict,
    Status::PreconditionFailed,
    Status::UriTooLong,
    Status::PreconditionRequired,
    Status::ServiceUnavailable,
];
/// The errors of a write with a body.
const CREATE_ERRORS: &[Status] = &[
    Status::BadRequest,
    Status::RequestTimeout,
    Status::Conflict,
    Status::PreconditionFailed,
    Status::PayloadTooLarge,
    Status::UnsupportedMediaType,
    Status::PreconditionRequired,
    Status::ServiceUnavailable,
];
/// The errors of a write with a body that names a document.
const UPDATE_ERRORS: &[Status] = &[
    Status::BadRequest,
    Status::NotFound,
    Status::RequestTimeout,
    Status::Conflict,
    Status::PreconditionFailed,
    Status::PayloadTooLarge,
    Status::UriTooLong,
    Status::UnsupportedMediaType,
    Status::PreconditionRequired,
    Status::ServiceUnavailable,
];

/// A write may be planned instead of made.
fn plan() -> Parameter {
    parameter("plan", "boolean", "Whether to answer what the write would do, and change nothing.")
}

fn change_routes() -> Vec<Route> {
    let write = |pattern, action, summary| {
        Route::new(Method::POST, pattern, Access::Write, action, summary, vec![plan()], CREATE_ERRORS)
    };
    let export = "The whole fleet, in the form in which files describe one.";
    vec![
        write(history::PATH, Action::Change, "Makes several changes at once, or none."),
        write("/api/v2/apply", Action::Apply, "Makes the documents of a source equal its files."),
        Route::new(Method::GET, "/api/v2/export", Access::Read, Action::Export, export, vec![], LIST_ERRORS),
    ]
}

/// Reads may be of the past instead of the present.
fn past() -> [Parameter; 2] {
    let at = "As of this time (RFC 3339) instead of now; takes a token that may write.";
    [past_revision(), parameter("at", "string", at)]
}

fn past_revision() -> Parameter {
    parameter("revision", "integer", "As of this revision instead of now; takes a token that may write.")
}

fn history_routes() -> Vec<Route> {
    const ERRORS: &[Status] =
        &[Status::BadRequest, Status::NotFound, Status::UriTooLong, Status::ServiceUnavailable];
    let read = |pattern: &str, action, summary: &str, query| {
        Route::new(Method::GET, pattern, Access::Write, action, summary, query, ERRORS)
    };
    let filters = vec![
        parameter("type", "string", "Only changes of documents of this type, by its plural."),
        parameter("id", "string", "Only changes of documents with this id."),
        parameter(
            "cluster",
            "string",
            "Only changes of this cluster, of its profiles now, or of anything that it or they refer to.",
        ),
        parameter("principal", "string", "Only changes by this principal."),
        parameter("from", "string", "Only changes at or after this time (RFC 3339)."),
        parameter("until", "string", "Only changes before this time (RFC 3339)."),
        parameter("before", "integer", "Only revisions below this one: the way to the next page."),
        parameter("limit", "integer", "At most so many changes, 1 to 1000. Default: 50."),
    ];
    let page = vec![
        parameter("limit", "integer", "At most so many documents, 1 to 1000. Default: 100."),
        parameter("offset", "integer", "How many documents to pass over first. Default: 0."),
    ];
    let skip = "Whether to leave what was changed again since, and undo the rest.";
    let undo = vec![plan(), parameter("skip_conflicts", "boolean", skip)];
    let one = format!("{}/{{revision}}", history::PATH);
    let explained = "Where each field of what a cluster gets comes from, and who changed it last";
    vec![
        read(history::PATH, Action::History, "The changes, newest first.", filters),
        read(&one, Action::Entry, "One change, with each document before and after.", page),
        Route::new(
            Method::POST,
            format!("{one}/revert"),
            Access::Write,
            Action::Revert,
            "Undoes a change, field by field.",
            undo,
            DELETE_ERRORS,
        ),
        read("/api/v2/explain/{cluster}", Action::Explain, &format!("{explained}."), vec![]),
        read("/api/v2/explain/{cluster}/{type}", Action::Explain, &format!("{explained}: one type."), vec![]),
        read(
            "/api/v2/explain/{cluster}/{type}/{input}",
            Action::Explain,
            &format!("{explained}: one input."),
            vec![],
        ),
        exceptions(),
    ]
}

fn exceptions() -> Route {
    let filters = vec![
        parameter("cluster", "string", "Only those of this cluster, which may be held."),
        parameter("profile", "string", "Only those of clusters that the profile of this id is for."),
        parameter("label_selector", "string", "Only those of clusters that this label selector selects."),
        parameter("type", "string", "Only those of inputs of this type, by its plural."),
        parameter("input", "string", "Only those of inputs with this id."),
        parameter("principal", "string", "Only those that this principal is known to have written last."),
        parameter(
            "expired",
            "boolean",
            "Only those that have expired; or, where false, only those that have not.",
        ),
        parameter("limit", "integer", "At most so many exceptions, 1 to 1000. Default: 1000."),
        parameter("offset", "integer", "How many exceptions to pass over first. Default: 0."),
    ];
    Route::new(
        Method::GET,
        "/api/v2/reports/exceptions",
        Access::Write,
        Action::Exceptions,
        "Where clusters say something else than their profiles, or something for a time only; the oldest first.",
        filters,
        LIST_ERRORS,
    )
}

fn document_routes(kind: &Arc<ResourceType>) -> Vec<Route> {
    let all = path_of(kind);
    let one = format!("{all}/{{id}}");
    let name = kind.name().replace('_', " ");
    let route = |method, pattern: &str, access, action, summary: String, query, errors| Route {
        kind: Some(Arc::clone(kind)),
        ..Route::new(method, pattern, access, action, summary, query, errors)
    };
    let read = Access::Read;
    let mut of_reading = vec![past_revision()];
    if kind.plural() == CLUSTERS {
        let effective =
            "Whether its profiles are worked into it: what it would have to say itself to get the same.";
        of_reading.push(parameter("effective", "boolean", effective));
    }
    let mut routes = vec![
        route(
            Method::GET,
            &all,
            read,
            Action::List,
            format!("Every {name}, ordered by id."),
            filters(kind),
            LIST_ERRORS,
        ),
        route(Method::GET, &one, read, Action::Read, format!("One {name}."), of_reading, READ_ERRORS),
    ];
    routes.extend(writes(kind).iter().map(|action| {
        let mut query = vec![plan()];
        let (method, pattern, summary, errors) = match action {
            Action::Create => (Method::POST, all.clone(), format!("Creates a {name}."), CREATE_ERRORS),
            Action::Replace => {
                let summary =
                    format!("Replaces the top-level fields of a {name} that the body carries; null removes one.");
                (Method::PUT, one.clone(), summary, UPDATE_ERRORS)
            }
            Action::Patch => {
                let summary = format!("Changes a {name} by JSON Merge Patch (RFC 7396).");
                (Method::PATCH, one.clone(), summary, UPDATE_ERRORS)
            }
            Action::Restore => {
                let summary = "Brings the deleted cluster back as it was.".to_owned();
                (Method::POST, format!("{one}/restore"), summary, DELETE_ERRORS)
            }
            Action::Wipe => {
                let summary = "Lets the held cluster delete all that it got from here.".to_owned();
                (Method::POST, format!("{one}/wipe"), summary, DELETE_ERRORS)
            }
            _ => {
                // Nothing refers to a layer.
                if is_described(kind) && ![CLUSTERS, PROFILES].contains(&kind.plural()) {
                    let force = "Whether the references to it are removed too; else a document that is referred to is kept.";
                    query.push(parameter("force", "boolean", force));
                }
                let summary = format!("Deletes a {name} and answers with what it was.");
                (Method::DELETE, one.clone(), summary, DELETE_ERRORS)
            }
        };
        if *action == Action::Create && kind.plural() == FREEZES {
            let allow = "Whether the selector may select no cluster.";
            query.push(parameter("allow_empty", "boolean", allow));
        }
        route(method, &pattern, Access::Write, *action, summary, query, errors)
    }));
    routes
}

/// The parts of a document that have an address of their own.
fn part_routes(kind: &Arc<ResourceType>) -> Vec<Route> {
    let name = kind.name().replace('_', " ");
    let of_field = |field: &str| {
        let pattern = format!("{}/{{id}}/{field}/{{part}}", path_of(kind));
        let what = format!("the part of a {name} that stands under its {}", field.replace('_', " "));
        let route = |method, access, action, summary: String, query, errors| Route {
            kind: Some(Arc::clone(kind)),
            field: Some(field.to_owned()),
            ..Route::new(method, pattern.as_str(), access, action, summary, query, errors)
        };
        let write = |method, action, summary, errors| {
            route(method, Access::Write, action, summary, vec![plan()], errors)
        };
        [
            route(
                Method::GET,
                Access::Read,
                Action::ReadPart,
                format!("Reads {what}."),
                vec![past_revision()],
                READ_ERRORS,
            ),
            write(
                Method::PUT,
                Action::ReplacePart,
                format!(
                    "Replaces the fields of {what} that the body carries; appends it where it is missing."
                ),
                UPDATE_ERRORS,
            ),
            write(
                Method::PATCH,
                Action::PatchPart,
                format!("Changes {what} by JSON Merge Patch (RFC 7396)."),
                UPDATE_ERRORS,
            ),
            write(
                Method::DELETE,
                Action::DeletePart,
                format!("Deletes {what} and answers with what it was."),
                DELETE_ERRORS,
            ),
        ]
    };
    kind.part_fields().flat_map(|(field, _)| of_field(field)).collect()
}

fn filters(kind: &ResourceType) -> Vec<Parameter> {
    let mut parameters = vec![
        parameter("limit", "integer", "At most so many documents. Default: all."),
        parameter("offset", "integer", "How many documents to pass over first. Default: 0."),
    ];
    let selecting = selection::parameters(kind).iter();
    parameters.extend(selecting.map(|(name, description)| parameter(name, "string", description)));
    let properties = kind.schema().get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        if let Some(scalar) = scalar_type(schema) {
            parameters.push(parameter(name, scalar, "Only documents whose field is exactly this."));
        }
    }
    parameters
}

/// The type of a property that a query can spell.
fn scalar_type(schema: &Value) -> Option<&'static str> {
    let declared = schema.get("type")?;
    let names = declared.as_array().map_or(std::slice::from_ref(declared), Vec::as_slice);
    ["string", "integer", "number", "boolean"].into_iter().find(|scalar| {
        names.iter().all(|name| name == scalar || name == "null") && names.iter().any(|name| name == scalar)
    })
}

fn parameter(name: &str, schema: &'static str, description: &str) -> Parameter {
    Parameter { name: name.into(), schema, description: description.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(method: Method, path: &str) -> String {
        match Routes::new(&Types::built_in()).unwrap().find(&method, path) {
            Found::Route(route, parameters) => format!("{} {parameters:?}", route.pattern),
            Found::OtherMethods(_, allow) => allow,
            Found::Nothing => "-".into(),
        }
    }

    #[test]
    fn paths_are_exact() {
        for (method, path, expected) in [
            (Method::GET, "/clusters", "/clusters []"),
            (Method::HEAD, "/clusters/a", "/clusters/{id} [\"a\"]"),
            (Method::GET, "/rolebindings/system%3Ax", "/rolebindings/{id} [\"system%3Ax\"]"),
            (Method::GET, "/api/v2/flux/clusters", "/api/v2/flux/clusters []"),
            (
                Method::GET,
                "/api/v2/flux/clusters/c.example.com/namespaces",
                "/api/v2/flux/clusters/{cluster_dns}/{type} [\"c.example.com\", \"namespaces\"]",
            ),
            (Method::DELETE, "/api/v2/tombstones/a", "/api/v2/tombstones/{id} [\"a\"]"),
            (Method::POST, "/health", "GET, HEAD"),
            (Method::DELETE, "/clusters", "GET, HEAD, POST"),
            (Method::POST, "/clusters/a", "GET, HEAD, PUT, PATCH, DELETE"),
            (Method::OPTIONS, "/clusters", "GET, HEAD, POST"),
            (Method::PUT, "/api/v2/tombstones/a", "GET, HEAD, DELETE"),
            (Method::PUT, "/api/v2/changes", "POST, GET, HEAD"),
            (Method::GET, "/api/v2/changes/7", "/api/v2/changes/{revision} [\"7\"]"),
            (
                Method::GET,
                "/api/v2/explain/c1/namespaces/n",
                "/api/v2/explain/{cluster}/{type}/{input} [\"c1\", \"namespaces\", \"n\"]",
            ),
        ] {
            assert_eq!(routed(method, path), expected, "{path}");
        }
        for path in [
            "/",
            "",
            "*",
            "/clusters/",
            "//clusters",
            "/clusters//",
            "/clusters/a/b",
            "/tombstones",
            "/Clusters",
        ] {
            assert_eq!(routed(Method::GET, path), "-", "{path}");
        }
    }

    #[test]
    fn filters_are_the_top_level_scalars() {
        let types = Types::built_in();
        let names: Vec<_> =
            filters(types.of("clusters").unwrap()).into_iter().map(|parameter| parameter.name).collect();
        for name in ["limit", "offset", "id", "environment", "cluster_dns"] {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
        for name in ["labels", "patches", "namespaces"] {
            assert!(!names.iter().any(|known| known == name), "{name}");
        }
    }
}
