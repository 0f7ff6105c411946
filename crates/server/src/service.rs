//! One request's way to its answer: route, access, handler; then the log line, the metrics and the
//! headers that every answer has.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use flux_resourceset_merge::{Fleet, FleetFilter, Shard};
use flux_resourceset_model::change::{Key, Operation, Part, Verb};
use flux_resourceset_model::{CLUSTERS, FREEZES, ResourceType};
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;

use crate::answer::{Answer, answer, json_answer};
use crate::auth::{Access, Principal};
use crate::body::{self, Bound, JSON, MERGE_PATCH};
use crate::catch::catch;
use crate::changes::{ChangeRequest, answer_changes};
use crate::config::{ApiMode, Config};
use crate::digest::digest;
use crate::documents;
use crate::error::{ApiError, Status, no_such_document, unanswered, unlisted};
use crate::freezes;
use crate::guard::{Confirmation, Since};
use crate::metrics::{self, Metrics};
use crate::past;
use crate::percent;
use crate::precondition::Precondition;
use crate::query::{Query, invalid};
use crate::reason;
use crate::request_id;
use crate::routes::{Action, Found, Route, Routes};
use crate::tokens::Tokens;
use crate::view::{Moment, View};
use crate::write::{Ask, Condition, Done, Outcome, Wanted, Writer};

/// Longer than any path whose ids and names keep their rules, however they are encoded.
const LONGEST_PATH: usize = 2048;

/// Everything that answering takes; shared by all connections.
pub(crate) struct Service {
    pub(crate) config: Config,
    pub(crate) routes: Routes,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) view: Arc<View>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) metrics: Metrics,
    pub(crate) openapi: Bytes,
}

/// What the log line says beside the answer's own.
struct Notes {
    request_id: String,
    principal: Principal,
    route: String,
    /// Whether it is a probe or a scrape, which come every few seconds.
    public: bool,
    poll: Option<PollNotes>,
}

#[derive(Default)]
struct PollNotes {
    dns: String,
    kind: String,
    revision: u64,
    digest: String,
}

impl Service {
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let mut notes = Notes {
            request_id: request_id::of(&parts.headers),
            principal: Principal::anyone(),
            route: "(none)".into(),
            public: false,
            poll: None,
        };
        let outcome = catch(self.handle(&parts, body, &mut notes)).await;
        let outcome =
            outcome.unwrap_or_else(|panic| Err(ApiError::internal(format_args!("panicked: {panic}"))));
        let error = outcome.as_ref().err().map(ApiError::log_text);
        let mut answer = outcome.unwrap_or_else(|error| error.into_answer(&notes.request_id));
        if let Ok(id) = HeaderValue::from_str(&notes.request_id) {
            answer.headers_mut().insert(request_id::HEADER, id);
        }
        self.metrics.answered(&parts.method, &notes.route, answer.status(), started.elapsed());
        log(&parts, &notes, answer.status(), started, error.as_deref());
        answer
    }

    async fn handle(&self, parts: &Parts, body: Incoming, notes: &mut Notes) -> Result<Answer, ApiError> {
        let (route, parameters) = self.route(parts, notes)?;
        let parameters = decoded(&parameters)?;
        // Probes and scrapers may add to a public path what they like.
        let query =
            if notes.public { Query::default() } else { Query::parse(parts.uri.query(), &route.query)? };
        let parameter = |at: usize| parameters.get(at).map_or("", String::as_str);
        let request = |kind| Written { kind, parameters: &parameters, query: &query, parts, notes };
        match (route.action, route.kind) {
            (Action::Health, _) => Ok(json_answer(StatusCode::OK, r#"{"status":"ok"}"#)),
            (Action::Ready, _) => self.ready(),
            (Action::OpenApi, _) => {
                Ok(answer(StatusCode::OK, HeaderValue::from_static("application/yaml"), self.openapi.clone()))
            }
            (Action::Metrics, _) => self.metrics(),
            (Action::FleetList, _) => self.fleet_list(&query, notes),
            (Action::Poll, _) => self.poll(parameter(0), parameter(1), notes),
            (Action::Change, _) => self.change(&query, parts, body, notes).await,
            (Action::List, Some(kind)) => documents::list(&self.view.now().known()?.fleet, kind, &query),
            (Action::Read, Some(kind)) => {
                let key = Key::new(kind.plural(), parameter(0));
                self.read(&key, None, parts)
            }
            (Action::ReadPart, Some(kind)) => {
                let key = Key::new(kind.plural(), parameter(0));
                let part = Part { field: route.field.unwrap_or_default().into(), id: parameter(1).into() };
                self.read(&key, Some(&part), parts)
            }
            (action @ (Action::Restore | Action::Wipe), Some(kind)) => {
                self.write_tombstone(action, request(kind)).await
            }
            (_, Some(kind)) => self.write(route, request(kind), body).await,
            (action, None) => Err(ApiError::internal(format_args!("the route of {action:?} has no type"))),
        }
    }

    fn read(&self, key: &Key, part: Option<&Part>, parts: &Parts) -> Result<Answer, ApiError> {
        let state = self.view.now();
        let fleet = &state.known()?.fleet;
        let precondition = Precondition::of(&parts.headers)?;
        let mut answer = match part {
            Some(part) => documents::read_part(fleet, key, part, &precondition)?,
            None => documents::read(fleet, key, &precondition)?,
        };
        documents::say_frozen(fleet, key, &mut answer);
        Ok(answer)
    }

    /// Where the request goes, if whoever sent it may go there. Who may not is not told what is there.
    fn route(&self, parts: &Parts, notes: &mut Notes) -> Result<(&Route, Vec<String>), ApiError> {
        let path = parts.uri.path();
        if path.len() > LONGEST_PATH {
            let message = format!("The path is longer than {LONGEST_PATH} bytes.");
            return Err(ApiError::new(Status::UriTooLong, "path_too_long", message));
        }
        let found = self.routes.find(&parts.method, path);
        if let Found::Route(route, _) | Found::OtherMethods(route, _) = &found {
            notes.route.clone_from(&route.pattern);
            notes.public = route.access == Access::Public;
        }
        let read_only = self.config.api_mode == ApiMode::ReadOnly;
        let access = match &found {
            Found::Route(route, _) if !(route.crud && read_only) => route.access,
            Found::OtherMethods(route, _) if route.access == Access::Public => Access::Public,
            _ => Access::Read,
        };
        notes.principal = self.tokens.principal(&parts.headers, access)?;
        notes.principal.permit(access)?;
        match found {
            Found::Route(route, _) | Found::OtherMethods(route, _) if route.crud && read_only => {
                let message = "This server runs with API_MODE=read-only: documents are read and written where API_MODE=crud.";
                Err(ApiError::new(Status::NotFound, "read_only", message))
            }
            Found::Route(route, parameters) => Ok((route, parameters)),
            Found::OtherMethods(_, allow) => Err(method_not_allowed(&parts.method, &allow)),
            Found::Nothing => {
                Err(ApiError::not_found("There is no such path; /openapi.yaml lists those there are."))
            }
        }
    }

    fn ready(&self) -> Result<Answer, ApiError> {
        let state = self.view.now();
        let head = state.servable(Moment::now(), self.config.max_staleness)?;
        let body = json!({"status": "ok", "revision": head.position.revision});
        Ok(json_answer(StatusCode::OK, body.to_string()))
    }

    fn metrics(&self) -> Result<Answer, ApiError> {
        let text =
            self.metrics.encode(&self.view.now(), self.config.max_staleness).map_err(ApiError::internal)?;
        Ok(answer(StatusCode::OK, HeaderValue::from_static(metrics::CONTENT_TYPE), text))
    }

    fn poll(&self, dns: &str, kind: &str, notes: &mut Notes) -> Result<Answer, ApiError> {
        let noted =
            notes.poll.insert(PollNotes { dns: dns.into(), kind: kind.into(), ..PollNotes::default() });
        let state = self.view.now();
        let head = state.servable(Moment::now(), self.config.max_staleness)?;
        noted.revision = head.position.revision;
        let mut out = Vec::new();
        head.fleet.answer(dns, kind, &mut out).map_err(|reason| {
            let known: Vec<_> = head.fleet.types().iter().filter_map(ResourceType::flux_path).collect();
            unanswered(reason, dns, kind, &known)
        })?;
        self.inputs(out, noted)
    }

    fn fleet_list(&self, query: &Query, notes: &mut Notes) -> Result<Answer, ApiError> {
        let noted = notes.poll.insert(PollNotes { kind: "clusters".into(), ..PollNotes::default() });
        let shard = query.get("shard").map(str::parse::<Shard>).transpose();
        let shard = shard.map_err(|_| invalid("shard", "must be k/n with k from 1 to n"))?;
        let filter = FleetFilter { environment: query.get("environment").map(str::to_owned), shard };
        let state = self.view.now();
        let head = state.servable(Moment::now(), self.config.max_staleness)?;
        noted.revision = head.position.revision;
        let mut out = Vec::new();
        head.fleet.clusters(&filter, &mut out).map_err(unlisted)?;
        self.inputs(out, noted)
    }

    fn inputs(&self, out: Vec<u8>, noted: &mut PollNotes) -> Result<Answer, ApiError> {
        if out.is_empty() {
            return Err(ApiError::internal("the merge wrote no answer"));
        }
        noted.digest = digest(&out);
        self.metrics.polled();
        Ok(json_answer(StatusCode::OK, out))
    }

    /// A write as `parts` says it is to be made.
    fn ask(&self, parts: &Parts, query: &Query, notes: &Notes, wanted: Wanted) -> Result<Ask, ApiError> {
        Ok(Ask {
            wanted,
            condition: None,
            confirmation: Confirmation::of(&parts.headers, query.flag("plan")?)?,
            since: None,
            principal: notes.principal.shared_name(),
            reason: reason::of(&parts.headers)?,
            request_id: notes.request_id.clone(),
        })
    }

    /// Makes the write, or its plan where that is asked for: then there is nothing done to answer with.
    async fn make(&self, ask: Ask) -> Result<Result<Done, Answer>, ApiError> {
        if self.config.require_reason && ask.reason.is_none() && !ask.confirmation.plan_only {
            let message =
                "This server keeps no change without a reason: send one in the header X-Change-Reason.";
            return Err(ApiError::bad_request("reason_required", message));
        }
        match self.writer.write(ask).await? {
            Outcome::Done(done) => Ok(Ok(done)),
            Outcome::Planned(plan) => {
                let plan = serde_json::to_vec(&plan).map_err(ApiError::internal)?;
                Ok(Err(json_answer(StatusCode::OK, plan)))
            }
        }
    }

    /// A write of one document, or of a part of one.
    async fn write(&self, route: &Route, request: Written<'_>, body: Incoming) -> Result<Answer, ApiError> {
        let Written { kind, parameters, query, parts, notes } = request;
        let precondition = Precondition::of(&parts.headers)?;
        let (verb, types): (_, &[&str]) = match route.action {
            Action::Create => (Verb::Create, &[JSON]),
            Action::Replace | Action::ReplacePart => (Verb::Update, &[JSON]),
            Action::Patch | Action::PatchPart => (Verb::Patch, &[MERGE_PATCH, JSON]),
            _ => (Verb::Delete, &[]),
        };
        let limits = &self.config.limits;
        let mut body = match verb {
            Verb::Delete => None,
            _ => Some(body::read_json(&parts.headers, body, types, Bound::document(limits), limits).await?),
        };
        let freeze = kind.plural() == FREEZES && verb == Verb::Create;
        if let Some(body) = body.as_mut().filter(|_| freeze) {
            freezes::name(body);
        }
        let id = parameters.first().cloned();
        let id = id.or_else(|| Some(documents::id_of_new(kind, body.as_ref()?))).unwrap_or_default();
        let mut operation = Operation {
            force: query.flag("force")?,
            ..Operation::new(verb, Key::new(kind.plural(), id), body)
        };
        if let (Some(field), Some(part)) = (route.field, parameters.get(1)) {
            operation = operation.on(field, part);
        }
        let condition = Condition {
            key: operation.key.clone(),
            part: operation.part.clone(),
            creates: verb == Verb::Create || (verb == Verb::Update && operation.part.is_some()),
            precondition,
        };
        let wanted = match freeze && !query.flag("allow_empty")? {
            true => freezes::wanted(operation.clone()),
            false => this(operation.clone()),
        };
        let mut ask = Ask { condition: Some(condition), ..self.ask(parts, query, notes, wanted)? };
        if kind.plural() == FREEZES && verb == Verb::Delete && ask.confirmation != Confirmation::default() {
            ask.since = Some(self.since(&operation.key).await?);
        }
        let mut answer = match self.make(ask).await? {
            Ok(done) => documents::answer_write(kind, &operation, &done)?,
            Err(plan) => plan,
        };
        documents::say_frozen(&self.view.now().known()?.fleet, &operation.key, &mut answer);
        Ok(answer)
    }

    /// The fleet as it was before the freeze `key`.
    async fn since(&self, key: &Key) -> Result<Since, ApiError> {
        let head = self.view.now().known()?.clone();
        let document = head.fleet.get(key).ok_or_else(|| no_such_document(key))?;
        let fleet = past::fleet(&head, document.revision().saturating_sub(1)).await?;
        Ok(Since { fleet, freeze: key.id.clone() })
    }

    /// Brings a deleted cluster back, or lets a held one go.
    async fn write_tombstone(&self, action: Action, request: Written<'_>) -> Result<Answer, ApiError> {
        let Written { kind, parameters, query, parts, notes } = request;
        let id = parameters.first().cloned().unwrap_or_default();
        let tombstone = Key::new(kind.plural(), &id);
        let wanted: Wanted = match action {
            Action::Restore => {
                let (tombstone, cluster) = (tombstone.clone(), Key::new(CLUSTERS, &id));
                Arc::new(move |fleet: &Fleet| {
                    let last = fleet.last_of(&tombstone.id).ok_or_else(|| no_such_document(&tombstone))?;
                    Ok(vec![Operation::new(Verb::Create, cluster.clone(), Some(last.clone().into()))])
                })
            }
            _ => this(Operation::new(Verb::Update, tombstone.clone(), Some(json!({"held": null})))),
        };
        let condition = Condition {
            key: tombstone,
            part: None,
            creates: false,
            precondition: Precondition::of(&parts.headers)?,
        };
        let ask = Ask { condition: Some(condition), ..self.ask(parts, query, notes, wanted)? };
        match self.make(ask).await? {
            Ok(done) => {
                let [operation] = done.operations.as_slice() else {
                    return Err(ApiError::internal("a tombstone is written by one operation"));
                };
                let kind = ResourceType::of(&operation.key.kind).unwrap_or(kind);
                documents::answer_write(kind, operation, &done)
            }
            Err(plan) => Ok(plan),
        }
    }

    /// Several changes at once.
    async fn change(
        &self,
        query: &Query,
        parts: &Parts,
        body: Incoming,
        notes: &Notes,
    ) -> Result<Answer, ApiError> {
        let limits = &self.config.limits;
        let body = body::read_json(&parts.headers, body, &[JSON], Bound::bulk(limits), limits).await?;
        let request = ChangeRequest::parse(&body)?;
        let operations = request.operations;
        let wanted: Wanted = Arc::new(move |_: &Fleet| Ok(operations.clone()));
        let mut ask = self.ask(parts, query, notes, wanted)?;
        ask.reason = request.reason.or(ask.reason);
        Ok(match self.make(ask).await? {
            Ok(done) => answer_changes(&done),
            Err(plan) => plan,
        })
    }
}

/// A write's request, but for its body.
#[derive(Clone, Copy)]
struct Written<'a> {
    kind: &'static ResourceType,
    parameters: &'a [String],
    query: &'a Query,
    parts: &'a Parts,
    notes: &'a Notes,
}

/// Whatever the fleet is, this operation.
fn this(operation: Operation) -> Wanted {
    Arc::new(move |_: &Fleet| Ok(vec![operation.clone()]))
}

fn decoded(parameters: &[String]) -> Result<Vec<String>, ApiError> {
    let decoded: Option<_> = parameters.iter().map(|parameter| percent::decode(parameter)).collect();
    decoded.ok_or_else(|| {
        ApiError::bad_request("malformed_path", "The path is not valid percent-encoded UTF-8.")
    })
}

fn method_not_allowed(method: &http::Method, allow: &str) -> ApiError {
    let message = format!("{method} is not possible here; possible are {allow}.");
    let error = ApiError::new(Status::MethodNotAllowed, "method_not_allowed", message);
    match HeaderValue::from_str(allow) {
        Ok(allow) => error.with_header(header::ALLOW, allow),
        Err(_) => error,
    }
}

/// One line for every request. Never the query, a header or a value of a document: each may hold a secret.
fn log(parts: &Parts, notes: &Notes, status: StatusCode, started: Instant, error: Option<&str>) {
    let (status, request_id) = (status.as_u16(), notes.request_id.as_str());
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let principal = notes.principal.name();
    if let Some(PollNotes { dns, kind, revision, digest }) = &notes.poll {
        tracing::info!(
            dns,
            r#type = kind,
            revision,
            digest,
            status,
            ms,
            principal,
            request_id,
            error,
            "poll"
        );
        return;
    }
    let (method, path, route) = (parts.method.as_str(), parts.uri.path(), notes.route.as_str());
    let path: String = path.chars().take(256).collect();
    // A probe that is told "not yet" is no news: what hinders the server is said once, where it is met.
    let expected = notes.public && status == 503;
    if status >= 500 && !expected {
        tracing::error!(method, path, route, status, ms, principal, request_id, error, "request");
    } else if notes.public {
        tracing::debug!(method, path, route, status, ms, principal, request_id, error, "request");
    } else {
        tracing::info!(method, path, route, status, ms, principal, request_id, error, "request");
    }
}
