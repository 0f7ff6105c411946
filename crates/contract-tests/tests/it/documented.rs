//! Whether what is really sent and answered is what the OpenAPI document says: the status, the headers, and
//! every body against its schema. Apart from the tests, since every exchange of every one of them is judged.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::http::{Reply, Request};

/// The headers that an answer has only where the document says so.
const NAMED: [&str; 9] = [
    "etag",
    "link",
    "location",
    "retry-after",
    "x-frozen",
    "x-profiles",
    "x-revision",
    "x-stale",
    "x-total-count",
];

/// A served document, made to judge by.
pub(crate) struct Documented {
    paths: Map<String, Value>,
    /// All schemas in words of JSON Schema.
    schemas: Value,
    /// By the schema's text: each takes a while to make.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Whether `path` is one of those that `pattern` stands for.
pub(crate) fn is_of(path: &str, pattern: &str) -> bool {
    let (path, pattern): (Vec<_>, Vec<_>) = (path.split('/').collect(), pattern.split('/').collect());
    path.len() == pattern.len()
        && path.iter().zip(pattern).all(|(have, want)| want.starts_with('{') || *have == want)
}

impl Documented {
    /// The document that is served as `yaml`. Most servers serve the same, so it is read once.
    #[track_caller]
    pub(crate) fn of(yaml: &str) -> Arc<Self> {
        static READ: LazyLock<Mutex<HashMap<String, Arc<Documented>>>> = LazyLock::new(Mutex::default);
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(read.entry(yaml.to_owned()).or_insert_with(|| Arc::new(Self::read(yaml))))
    }

    fn read(yaml: &str) -> Self {
        let mut document: Value = serde_saphyr::from_str(yaml).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let closed = schemas.iter().map(|(name, schema)| (name.clone(), json_schema(schema, true)));
        let open = schemas.iter().map(|(name, schema)| (format!("Open{name}"), json_schema(schema, false)));
        let schemas = Value::Object(closed.chain(open).collect());
        let Value::Object(paths) = document["paths"].take() else { panic!("no paths") };
        Documented { paths, schemas, validators: Mutex::default() }
    }

    /// What is said of a request.
    fn operation(&self, request: &Request) -> Option<&Value> {
        let path = request.path.split('?').next().unwrap_or_default();
        let method = if request.method == "HEAD" { "GET" } else { &request.method };
        let matching = self.paths.iter().filter(|(pattern, _)| is_of(path, pattern));
        let mut operations = matching.filter_map(|(_, methods)| methods.as_object()).flatten();
        // Methods are told apart by case.
        operations.find(|(name, _)| name.to_uppercase() == *method).map(|(_, operation)| operation)
    }

    /// Panics where an answer is not as documented.
    #[track_caller]
    pub(crate) fn judge(&self, request: &Request, reply: &Reply) {
        let Some(operation) = self.operation(request) else { return };
        let asked = format!("{} {}", request.method, request.path);
        let error = reply.header("content-type") == Some("application/json") && reply.status >= 400;
        // Of these the document says in words that they are not there in read-only mode.
        if error && reply.json()["error"] == "read_only" {
            return;
        }
        let response = &operation["responses"][reply.status.to_string()];
        assert!(response.is_object(), "{asked}: {} is not documented: {}", reply.status, reply.text());
        for name in NAMED.iter().filter(|name| reply.header(name).is_some()) {
            let named = response["headers"].as_object().into_iter().flatten();
            let named = named.into_iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
            assert!(named, "{asked}: {} has the header {name}, which is not documented", reply.status);
        }
        if reply.header("content-type") == Some("application/json") && !reply.body.is_empty() {
            self.holds(&asked, &response["content"]["application/json"]["schema"], &reply.json());
        }
    }

    /// Panics where the body of a request that was taken is not as documented.
    #[track_caller]
    pub(crate) fn judge_sent(&self, request: &Request) {
        let Some(operation) = self.operation(request) else { return };
        // Bodies without a use are not asked for.
        let (Some(body), true) = (&request.body, operation.get("requestBody").is_some()) else { return };
        let kind = request.headers.iter().find(|(name, _)| name == "Content-Type").unwrap();
        let kind = kind.1.split(';').next().unwrap_or_default();
        let sent: Value = match kind {
            "application/yaml" => serde_saphyr::from_str(body).unwrap(),
            _ => serde_json::from_str(body).unwrap(),
        };
        let schema = &operation["requestBody"]["content"][kind]["schema"];
        self.holds(&format!("{} {} sends", request.method, request.path), schema, &spelled(sent));
    }

    #[track_caller]
    fn holds(&self, what: &str, schema: &Value, body: &Value) {
        assert!(schema.is_object(), "{what} a body that is not documented");
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = validators.entry(schema.to_string()).or_insert_with(|| {
            let mut root = json_schema(schema, true);
            root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
            root["$defs"] = self.schemas.clone();
            Arc::new(jsonschema::options().should_validate_formats(true).build(&root).unwrap())
        });
        let validator = Arc::clone(validator);
        drop(validators);
        let errors: Vec<_> =
            validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{what}: {errors:#?}\n{body:#}");
    }
}

/// `body` with its id called `id`, as the schemas have it.
fn spelled(mut body: Value) -> Value {
    if let Some(id) = body.as_object_mut().and_then(|body| body.remove("_id")) {
        body["id"] = id;
    }
    body
}

/// A schema of OpenAPI 3.0 in words of JSON Schema. Where `closed`, an object has no other properties than
/// those that are named, so that what is undocumented is found.
fn json_schema(schema: &Value, closed: bool) -> Value {
    let mut said = Map::new();
    for (keyword, value) in schema.as_object().unwrap() {
        let all = |closed| value.as_array().unwrap().iter().map(|one| json_schema(one, closed)).collect();
        let value = match keyword.as_str() {
            "$ref" => {
                let name = value.as_str().unwrap().rsplit('/').next().unwrap();
                format!("#/$defs/{}{name}", if closed { "" } else { "Open" }).into()
            }
            "properties" => {
                let each = value.as_object().unwrap().iter();
                each.map(|(name, schema)| (name.clone(), json_schema(schema, true))).collect()
            }
            "items" => json_schema(value, true),
            "additionalProperties" if value.is_object() => json_schema(value, true),
            // Each of these says a part of what there is.
            "allOf" => all(false),
            "anyOf" | "oneOf" => all(closed),
            "type" if schema["nullable"] == true => json!([value, "null"]),
            "nullable" | "description" | "title" | "default" | "x-json-schema" => continue,
            _ => value.clone(),
        };
        said.insert(keyword.clone(), value);
    }
    let has_parts = said.contains_key("properties") || said.contains_key("allOf");
    if closed && has_parts && !said.contains_key("additionalProperties") {
        said.insert("unevaluatedProperties".into(), false.into());
    }
    said.into()
}

#[test]
fn what_is_served_is_what_is_judged_by() {
    let server = crate::server::Server::empty();
    let served = server.send(&Request::get("/openapi.yaml")).expect(200);
    assert_eq!(served.text(), flux_resourceset_server::openapi::yaml().unwrap());
}

#[test]
fn what_is_undocumented_is_found() {
    let server = crate::server::Server::demo();
    let request = Request::get("/clusters/demo-cluster-01").token(crate::server::READ);
    let reply = server.send(&request).expect(200);
    let document = AssertUnwindSafe(Documented::of(&flux_resourceset_server::openapi::yaml().unwrap()));
    let with = |change: fn(&mut Reply, &mut Value)| {
        let (mut reply, mut body) = (reply.clone(), reply.json());
        change(&mut reply, &mut body);
        reply.body = body.to_string().into_bytes();
        std::panic::catch_unwind(|| document.judge(&request, &reply)).is_ok()
    };
    assert!(with(|_, _| ()));
    assert!(!with(|reply, _| reply.status = 201));
    assert!(!with(|reply, _| reply.headers.push(("link".into(), "x".into()))));
    assert!(!with(|_, body| body["colour"] = "red".into()));
    assert!(!with(|_, body| body["namespaces"][0]["colour"] = "red".into()));
    assert!(!with(|_, body| body["environment"] = 7.into()));
    assert!(!with(|_, body| drop(body.as_object_mut().unwrap().remove("cluster_dns"))));
}
