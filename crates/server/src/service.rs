//! One request's way to its answer: route, access, handler; then the log line, the metrics and the
//! headers that every answer has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use flux_resourceset_model::Types;
use flux_resourceset_model::change::{Key, Part};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::answer::{Answer, answer, json_answer};
use crate::auth::{Access, Principal};
use crate::catch::catch;
use crate::config::{ApiMode, Config};
use crate::confirm::Confirming;
use crate::documents;
use crate::error::{ApiError, Status};
use crate::exceptions;
use crate::explain;
use crate::files;
use crate::history;
use crate::metrics::{self, Metrics};
use crate::openapi;
use crate::past::{self, Pasts, When};
use crate::percent;
use crate::poll::PollNotes;
use crate::precondition::Precondition;
use crate::query::{Query, invalid};
use crate::request_id;
use crate::routes::{Action, Found, Route, Routes};
use crate::tokens::Tokens;
use crate::view::{Head, Moment, View};
use crate::writer::Writer;
use crate::writes::Written;

/// On an answer that `SERVE_STALE` allowed: the seconds since it was confirmed, or `unconfirmed`.
pub(crate) const STALE: HeaderName = HeaderName::from_static("x-stale");
/// Longer than any path whose ids and names keep their rules, however they are encoded.
const LONGEST_PATH: usize = 2048;

/// Everything that answering takes; shared by all connections.
pub(crate) struct Service {
    pub(crate) config: Config,
    pub(crate) served: ArcSwap<Served>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) view: Arc<View>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) metrics: Metrics,
    pub(crate) pasts: Pasts,
    pub(crate) confirming: Confirming,
    /// What stands at /openapi.yaml instead of what is made of the routes.
    pub(crate) openapi_file: Option<Bytes>,
}

/// The routes and their description, which follow from the fleet's types.
pub(crate) struct Served {
    types: Types,
    routes: Routes,
    openapi: Bytes,
}

impl Served {
    /// # Errors
    /// A sentence, where routes contradict each other: the checks of types let none be registered that would.
    pub(crate) fn of(types: &Types) -> Result<Self, String> {
        let routes = Routes::new(types).map_err(|error| error.to_string())?;
        let openapi = openapi::of(&routes, types)?.into();
        Ok(Served { types: types.clone(), routes, openapi })
    }
}

/// A request, as far as it is known where it goes.
#[derive(Clone, Copy)]
struct Asked<'a> {
    served: &'a Served,
    route: &'a Route,
    parameters: &'a [String],
    query: &'a Query,
    parts: &'a Parts,
}

impl<'a> Asked<'a> {
    fn parameter(&self, at: usize) -> &'a str {
        self.parameters.get(at).map_or("", String::as_str)
    }
}

/// What the log line says beside the answer's own.
pub(crate) struct Notes {
    pub(crate) request_id: String,
    pub(crate) principal: Principal,
    route: String,
    /// Whether it is a probe or a scrape, which come every few seconds.
    public: bool,
    /// Whether it asks of the past: a frozen cluster of then is nothing that goes wrong now.
    past: bool,
    pub(crate) poll: Option<PollNotes>,
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
            past: false,
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
        let answered = !answer.status().is_client_error() && !answer.status().is_server_error();
        if let Some(stale) = notes.poll.as_ref().and_then(PollNotes::stale).filter(|_| answered) {
            answer.headers_mut().insert(STALE, stale);
        }
        let took = started.elapsed();
        log(&parts, &notes, answer.status(), took, error.as_deref());
        self.metrics.answered(&parts.method, notes.route, answer.status(), took);
        answer
    }

    async fn handle(&self, parts: &Parts, body: Incoming, notes: &mut Notes) -> Result<Answer, ApiError> {
        let served = self.served();
        let (route, parameters) = self.route(&served.routes, parts, notes)?;
        let parameters = decoded(&parameters)?;
        // Probes and scrapers may add to a public path what they like.
        let query =
            if notes.public { Query::default() } else { Query::parse(parts.uri.query(), &route.query)? };
        let asked = Asked { served: &served, route, parameters: &parameters, query: &query, parts };
        // What takes more room than a poll has it apart, so that a poll does not carry it.
        if !matches!(route.action, Action::Poll | Action::FleetList) {
            return Box::pin(self.handle_other(asked, body, notes)).await;
        }
        if let Some(when) = When::of(&query)? {
            return Box::pin(self.past(when, asked, notes)).await;
        }
        if route.action == Action::FleetList {
            return self.fleet_list(&query, &parts.headers, notes);
        }
        let polled = <[String; 2]>::try_from(parameters);
        let [dns, kind] = polled.map_err(|_| ApiError::internal("a poll of no cluster or no type"))?;
        self.poll(dns, kind, &parts.headers, notes)
    }

    async fn past(&self, when: When, asked: Asked<'_>, notes: &mut Notes) -> Result<Answer, ApiError> {
        match asked.route.action {
            Action::Poll => self.past_poll(when, asked.parameter(0), asked.parameter(1), notes).await,
            _ => self.past_fleet_list(when, asked.query, notes).await,
        }
    }

    async fn handle_other(
        &self,
        asked: Asked<'_>,
        body: Incoming,
        notes: &mut Notes,
    ) -> Result<Answer, ApiError> {
        let Asked { served, route, parameters, query, parts } = asked;
        let parameter = |at| asked.parameter(at);
        let request = |kind| Written { kind, parameters, query, parts, notes };
        match (route.action, route.kind.as_deref()) {
            (Action::Health, _) => Ok(json_answer(StatusCode::OK, r#"{"status":"ok"}"#)),
            (Action::Ready, _) => self.ready(),
            (Action::OpenApi, _) => Ok(answer(
                StatusCode::OK,
                HeaderValue::from_static("application/yaml"),
                self.openapi_file.clone().unwrap_or_else(|| served.openapi.clone()),
            )),
            (Action::Metrics, _) => self.metrics(),
            (Action::Change, _) => self.change(query, parts, body, notes).await,
            (Action::History, _) => history::list(&self.known()?, query).await,
            (Action::Entry, _) => {
                history::entry(&self.known()?, history::revision(parameter(0))?, query).await
            }
            (Action::Revert, _) => self.revert(parameter(0), query, parts, notes).await,
            (Action::Explain, _) => {
                let (kind, input) = (parameters.get(1), parameters.get(2));
                let (kind, input) = (kind.map(String::as_str), input.map(String::as_str));
                explain::explain(&self.known()?, parameter(0), kind, input).await
            }
            (Action::Confirmation, _) => self.confirmation().await,
            (Action::Confirm, _) => self.confirm(query, parts, notes).await,
            (Action::Exceptions, _) => exceptions::list(&self.known()?, query).await,
            (Action::Apply, _) => self.apply(query, parts, body, notes).await,
            (Action::Export, _) => {
                let head = self.known()?;
                spawn_blocking(move || files::export(&head)).await.map_err(ApiError::internal)
            }
            (Action::List, Some(_)) => {
                let (fleet, kind, query) = (self.known()?.fleet, route.kind.clone(), query.clone());
                let list = move || kind.map(|kind| documents::list(&fleet, &kind, &query)).transpose();
                let listed = spawn_blocking(list).await.map_err(ApiError::internal)??;
                listed.ok_or_else(|| ApiError::internal("a list of no type"))
            }
            (Action::Read, Some(kind)) => {
                let key = Key::new(kind.plural(), parameter(0));
                self.read(&key, None, query, parts, notes).await
            }
            (Action::ReadPart, Some(kind)) => {
                let key = Key::new(kind.plural(), parameter(0));
                let part = Part { field: route.field.clone().unwrap_or_default(), id: parameter(1).into() };
                self.read(&key, Some(&part), query, parts, notes).await
            }
            (action @ (Action::Restore | Action::Wipe), Some(kind)) => {
                self.write_tombstone(action, request(kind)).await
            }
            (_, Some(kind)) => self.write(route, request(kind), body).await,
            (action, None) => Err(ApiError::internal(format_args!("the route of {action:?} has no type"))),
        }
    }

    /// The routes of the newest fleet that is known; made anew where its types are others.
    fn served(&self) -> Guard<Arc<Served>> {
        let served = self.served.load();
        let state = self.view.now();
        let Some(types) = state.head().map(|head| head.fleet.types()) else { return served };
        if served.types.same(types) {
            return served;
        }
        match Served::of(types) {
            Ok(new) => {
                let new = Arc::new(new);
                self.served.store(Arc::clone(&new));
                Guard::from_inner(new)
            }
            Err(error) => {
                tracing::error!("the routes of the fleet's types cannot be made: {error}");
                served
            }
        }
    }

    /// The newest that is known of the store, to be kept while it is asked about the past.
    pub(crate) fn known(&self) -> Result<Head, ApiError> {
        self.view.now().known().cloned()
    }

    async fn read(
        &self,
        key: &Key,
        part: Option<&Part>,
        query: &Query,
        parts: &Parts,
        notes: &mut Notes,
    ) -> Result<Answer, ApiError> {
        let precondition = Precondition::of(&parts.headers)?;
        let effective = query.flag("effective")?;
        if let Some(revision) = past::revision(query)? {
            if effective {
                return Err(invalid("effective", "cannot be given together with `revision`"));
            }
            notes.of_the_past()?;
            return past::read(&self.known()?, key, part, revision, &precondition).await;
        }
        let state = self.view.now();
        let fleet = &state.known()?.fleet;
        let mut answer = match part {
            Some(part) => documents::read_part(fleet, key, part, &precondition)?,
            None if effective => documents::read_effective(fleet, key, &precondition)?,
            None => documents::read(fleet, key, &precondition)?,
        };
        documents::say_frozen(fleet, key, &mut answer);
        Ok(answer)
    }

    /// Where the request goes, if whoever sent it may go there. Who may not is not told what is there.
    fn route<'a>(
        &self,
        routes: &'a Routes,
        parts: &'a Parts,
        notes: &mut Notes,
    ) -> Result<(&'a Route, Vec<&'a str>), ApiError> {
        let path = parts.uri.path();
        if path.len() > LONGEST_PATH {
            let message = format!("The path is longer than {LONGEST_PATH} bytes.");
            return Err(ApiError::new(Status::UriTooLong, "path_too_long", message));
        }
        let found = routes.find(&parts.method, path);
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
        let mut body = json!({"status": "ok", "revision": head.position.revision});
        if let Some(age) = state.head().map(|head| Moment::now().since(head.confirmed)) {
            body["confirmed_age_seconds"] = age.as_secs().into();
        }
        if head.stale.is_some() {
            body["stale"] = true.into();
        }
        Ok(json_answer(StatusCode::OK, body.to_string()))
    }

    fn metrics(&self) -> Result<Answer, ApiError> {
        let memory = self.view.memory().map(Arc::as_ref);
        let text = self.metrics.encode(&self.view.now(), memory, self.config.max_staleness);
        let text = text.map_err(ApiError::internal)?;
        Ok(answer(StatusCode::OK, HeaderValue::from_static(metrics::CONTENT_TYPE), text))
    }
}

impl Notes {
    /// Takes note that the request asks of the past, which takes a token that may write.
    pub(crate) fn of_the_past(&mut self) -> Result<(), ApiError> {
        self.past = true;
        // A series of its own, so that whoever counts polls does not count these.
        self.route.push_str("?revision");
        self.principal.permit(Access::Write)
    }
}

fn decoded(parameters: &[&str]) -> Result<Vec<String>, ApiError> {
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
fn log(parts: &Parts, notes: &Notes, status: StatusCode, took: Duration, error: Option<&str>) {
    let (status, request_id) = (status.as_u16(), notes.request_id.as_str());
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let principal = notes.principal.name();
    if let Some(PollNotes { dns, kind, revision, digest, stale }) = &notes.poll {
        let stale = stale.map(|stale| stale.to_string());
        tracing::info!(
            dns,
            r#type = kind,
            revision,
            digest,
            stale,
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
    let expected = (notes.public || notes.past) && status == 503;
    if status >= 500 && !expected {
        tracing::error!(method, path, route, status, ms, principal, request_id, error, "request");
    } else if notes.public {
        tracing::debug!(method, path, route, status, ms, principal, request_id, error, "request");
    } else {
        tracing::info!(method, path, route, status, ms, principal, request_id, error, "request");
    }
}
