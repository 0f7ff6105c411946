//! The API's requests as values: paths, queries and headers stand here and nowhere else. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use ureq::http::Method;

use crate::connection::Access;
use crate::document::Document;
use crate::key_value::KeyValue;

/// What may stand in a path segment or a query value as it is (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One request, before anybody knows where the API is.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    query: Vec<(String, String)>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
    pub(crate) access: Access,
    /// What is done meanwhile, where it is about a whole fleet and may take a while.
    pub(crate) long: Option<&'static str>,
}

impl Request {
    fn new(method: Method, path: String) -> Self {
        let access = if method == Method::GET { Access::Read } else { Access::Write };
        Request { method, path, query: Vec::new(), headers: Vec::new(), body: None, access, long: None }
    }

    fn sending(method: Method, path: String, body: Value) -> Self {
        Request { body: Some(body), ..Request::new(method, path) }
    }

    /// The path with the query.
    pub(crate) fn target(&self) -> String {
        let query: Vec<_> =
            self.query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let separator = if query.is_empty() { "" } else { "?" };
        format!("{}{separator}{}", self.path, query.join("&"))
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.into(), value.to_string()));
        self
    }

    pub(crate) fn with_some(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn with_flag(self, name: &str, set: bool) -> Self {
        if set { self.with(name, "true") } else { self }
    }

    fn header(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.headers.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    /// Only if nobody wrote since the version with this tag was read.
    pub(crate) fn if_match(self, etag: Option<&str>) -> Self {
        self.header("if-match", etag)
    }

    /// Only if its effect is that of the plan with this digest.
    pub(crate) fn if_plan(self, digest: Option<&str>) -> Self {
        self.header("if-plan", digest)
    }

    pub(crate) fn because(self, reason: Option<&str>) -> Self {
        self.header("x-change-reason", reason)
    }

    /// The same write, asking only what it would do.
    pub(crate) fn planned(self) -> Self {
        self.with("plan", "true")
    }

    /// With the token that may do everything: what is past or planned is not for every reader.
    fn privileged(self) -> Self {
        Request { access: Access::Write, ..self }
    }

    fn taking_long(self, doing: &'static str) -> Self {
        Request { long: Some(doing), ..self }
    }

    /// Whether it is to change something: neither a read nor a look at what a write would do.
    pub(crate) fn writes(&self) -> bool {
        self.method != Method::GET && !self.query.iter().any(|(name, _)| name == "plan")
    }

    /// Type and id of the one document that it is about, if it is about one.
    pub(crate) fn document(&self) -> Option<(String, String)> {
        let path = self.path.strip_prefix("/api/v2").unwrap_or(&self.path);
        let mut segments = path.split('/').skip(1).map(|segment| percent_decode_str(segment).decode_utf8());
        let mut next = || Some(segments.next()?.ok()?.into_owned());
        Some((next()?, next()?))
    }

    /// The id of the cluster that it is about, if it is about one.
    pub(crate) fn cluster(&self) -> Option<&str> {
        self.path.strip_prefix("/clusters/")?.split('/').next()
    }
}

/// A part of a cluster's or profile's document: a reference to a definition, or a component's patches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// The type of that document.
    pub(crate) plural: &'a str,
    /// Its id.
    pub(crate) layer: &'a str,
    pub(crate) field: &'a str,
    pub(crate) id: &'a str,
}

impl Part<'_> {
    fn path(self) -> String {
        format!("{}/{}/{}", document_path(self.plural, self.layer), encode(self.field), encode(self.id))
    }

    /// How a change set names it.
    pub(crate) fn target(self) -> String {
        format!("{}/{}/{}/{}", self.plural, self.layer, self.field, self.id)
    }
}

pub(crate) fn list(plural: &str, filters: &[KeyValue], selector: Option<&str>) -> Request {
    let request = Request::new(Method::GET, format!("/{plural}")).with_some("label_selector", selector);
    filters.iter().fold(request, |request, filter| request.with(&filter.key, &filter.value))
}

/// As of a revision where one is given.
pub(crate) fn get(plural: &str, id: &str, revision: Option<u64>) -> Request {
    let request = Request::new(Method::GET, document_path(plural, id)).with_some("revision", revision);
    if revision.is_some() { request.privileged() } else { request }
}

/// A cluster's document with its profiles worked in.
pub(crate) fn effective(cluster: &str) -> Request {
    Request::new(Method::GET, document_path("clusters", cluster)).with("effective", "true")
}

pub(crate) fn create(plural: &str, document: &Document) -> Request {
    Request::sending(Method::POST, format!("/{plural}"), Value::Object(document.clone()))
}

/// Replaces the top-level fields that `fields` carries; null removes one.
pub(crate) fn put(plural: &str, id: &str, fields: &Document) -> Request {
    Request::sending(Method::PUT, document_path(plural, id), Value::Object(fields.clone()))
}

pub(crate) fn delete(plural: &str, id: &str, force: bool) -> Request {
    Request::new(Method::DELETE, document_path(plural, id)).with_flag("force", force)
}

pub(crate) fn get_part(part: Part<'_>) -> Request {
    Request::new(Method::GET, part.path())
}

/// As `put`, of a part; where it is missing it is added.
pub(crate) fn put_part(part: Part<'_>, fields: &Document) -> Request {
    Request::sending(Method::PUT, part.path(), Value::Object(fields.clone()))
}

pub(crate) fn patch_part(part: Part<'_>, patch: &Document) -> Request {
    Request::sending(Method::PATCH, part.path(), Value::Object(patch.clone()))
}

pub(crate) fn delete_part(part: Part<'_>) -> Request {
    Request::new(Method::DELETE, part.path())
}

/// Many operations at once, all or nothing.
pub(crate) fn change(change_set: Value) -> Request {
    Request::sending(Method::POST, "/api/v2/changes".into(), change_set)
}

pub(crate) fn history() -> Request {
    Request::new(Method::GET, "/api/v2/changes".into()).privileged()
}

pub(crate) fn history_entry(revision: u64) -> Request {
    Request::new(Method::GET, format!("/api/v2/changes/{revision}")).privileged()
}

pub(crate) fn revert(revision: u64, skip_conflicts: bool) -> Request {
    Request::new(Method::POST, format!("/api/v2/changes/{revision}/revert"))
        .with_flag("skip_conflicts", skip_conflicts)
}

pub(crate) fn explain(cluster: &str, kind: Option<&str>, input: Option<&str>) -> Request {
    let segments =
        [Some(cluster), kind, input].into_iter().flatten().map(|segment| "/".to_owned() + &encode(segment));
    Request::new(Method::GET, format!("/api/v2/explain{}", segments.collect::<String>())).privileged()
}

pub(crate) fn exceptions() -> Request {
    Request::new(Method::GET, "/api/v2/reports/exceptions".into()).privileged()
}

pub(crate) fn export() -> Request {
    Request::new(Method::GET, "/api/v2/export".into()).taking_long("Exporting the fleet")
}

pub(crate) fn apply(body: Value) -> Request {
    Request::sending(Method::POST, "/api/v2/apply".into(), body)
        .taking_long("Comparing the fleet with the files")
}

pub(crate) fn freezes() -> Request {
    Request::new(Method::GET, "/api/v2/freezes".into())
}

pub(crate) fn get_freeze(id: &str) -> Request {
    Request::new(Method::GET, document_path("api/v2/freezes", id))
}

pub(crate) fn create_freeze(freeze: Value, allow_empty: bool) -> Request {
    Request::sending(Method::POST, "/api/v2/freezes".into(), freeze).with_flag("allow_empty", allow_empty)
}

pub(crate) fn lift_freeze(id: &str) -> Request {
    Request::new(Method::DELETE, document_path("api/v2/freezes", id))
}

/// How the server stands to its store.
pub(crate) fn confirmation() -> Request {
    let request = Request::new(Method::GET, "/api/v2/confirm".into()).privileged();
    request.taking_long("Comparing the store with what was served")
}

pub(crate) fn confirm() -> Request {
    let request = Request::new(Method::POST, "/api/v2/confirm".into());
    request.taking_long("Comparing the store with what was served")
}

pub(crate) fn tombstones() -> Request {
    Request::new(Method::GET, "/api/v2/tombstones".into())
}

pub(crate) fn get_tombstone(id: &str) -> Request {
    Request::new(Method::GET, document_path("api/v2/tombstones", id))
}

pub(crate) fn restore_tombstone(id: &str) -> Request {
    Request::new(Method::POST, format!("{}/restore", document_path("api/v2/tombstones", id)))
}

pub(crate) fn wipe_tombstone(id: &str) -> Request {
    Request::new(Method::POST, format!("{}/wipe", document_path("api/v2/tombstones", id)))
}

pub(crate) fn purge_tombstone(id: &str) -> Request {
    Request::new(Method::DELETE, document_path("api/v2/tombstones", id))
}

/// A moment in the past: of a revision, or of a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct AsOf {
    pub(crate) revision: Option<u64>,
    pub(crate) at: Option<String>,
}

impl AsOf {
    pub(crate) fn is_now(&self) -> bool {
        self.revision.is_none() && self.at.is_none()
    }
}

/// `{"inputs": [...]}`: the list of clusters that the management cluster reads.
pub(crate) fn fleet() -> Request {
    Request::new(Method::GET, "/api/v2/flux/clusters".into())
}

/// `{"inputs": [...]}`: what the cluster with this DNS name polls.
pub(crate) fn inputs(dns: &str, flux_path: &str, as_of: &AsOf) -> Request {
    let request =
        Request::new(Method::GET, format!("/api/v2/flux/clusters/{}/{}", encode(dns), encode(flux_path)))
            .with_some("revision", as_of.revision)
            .with_some("at", as_of.at.as_ref());
    if as_of.is_now() { request } else { request.privileged() }
}

fn document_path(plural: &str, id: &str) -> String {
    format!("/{plural}/{}", encode(id))
}

/// One segment of a path. A segment that is only dots would be taken for a step up.
fn encode(segment: &str) -> String {
    match segment.bytes().all(|b| b == b'.') {
        true => "%2E".repeat(segment.len()),
        false => utf8_percent_encode(segment, RESERVED).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment() {
        assert_eq!(
            document_path("rolebindings", "system:a/b c?#%"),
            "/rolebindings/system%3Aa%2Fb%20c%3F%23%25"
        );
        assert_eq!(document_path("clusters", "a-b.c_d~e"), "/clusters/a-b.c_d~e");
        assert_eq!(document_path("clusters", ".."), "/clusters/%2E%2E");
    }

    #[test]
    fn a_selector_survives_the_query() {
        let request = list("clusters", &[], Some("environment=prod,region in (eu,us)"));
        assert_eq!(
            request.target(),
            "/clusters?label_selector=environment%3Dprod%2Cregion%20in%20%28eu%2Cus%29"
        );
    }

    #[test]
    fn a_request_knows_its_cluster_and_its_token() {
        let part = |plural| Part { plural, layer: "eu-1", field: "patches", id: "grafana" };
        assert_eq!(get_part(part("clusters")).cluster(), Some("eu-1"));
        assert_eq!(get_part(part("profiles")).cluster(), None);
        assert_eq!(list("clusters", &[], None).cluster(), None);
        let access = |revision| get("clusters", "a", revision).access;
        assert_eq!((access(None), access(Some(3))), (Access::Read, Access::Write));
    }
}
