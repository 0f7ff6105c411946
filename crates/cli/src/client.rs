//! Requests over blocking HTTP to the API that the connection names, and what can go wrong there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{self, Method, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::api_error::{ApiError, foreign};
use crate::connection::Connection;
use crate::error::Error;
use crate::made::Made;
use crate::progress::Progress;
use crate::request::Request;

/// The whole of ten thousand clusters fits many times over.
const MAX_ANSWER: u64 = 1 << 30;

/// How many times longer a request may take that is about the whole fleet.
const LONG: u32 = 10;

const JSON: &str = "application/json";

pub(crate) struct Client<'a> {
    agent: Agent,
    connection: &'a Connection,
    frozen: RefCell<BTreeMap<String, String>>,
    made: RefCell<Option<Made>>,
}

/// What the API answered, well.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// The tag of the version of a document, if the server tells one.
    pub(crate) etag: Option<String>,
    /// The profiles that were worked in, the lowest first, where a cluster was asked for with them.
    pub(crate) profiles: Option<String>,
    /// How many there are, where the answer is a page of them.
    pub(crate) total: Option<u64>,
    /// What the server's log calls the request.
    pub(crate) request_id: Option<String>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Client {
            agent: agent(connection.timeout()),
            connection,
            frozen: RefCell::default(),
            made: RefCell::default(),
        }
    }

    /// The frozen clusters that answers so far were about, each with its freezes' ids.
    pub(crate) fn frozen(&self) -> BTreeMap<String, String> {
        self.frozen.borrow().clone()
    }

    /// The revision that the last write of the command made, if it is known to have made one.
    pub(crate) fn made(&self) -> Option<u64> {
        let made = self.made.borrow().clone();
        made?.revision(self)
    }

    pub(crate) fn send(&self, request: &Request) -> Result<Answer, Error> {
        let (token, token_name) = self.connection.token(request.access)?;
        let url = format!("{}{}", self.connection.base_url()?, request.target());
        let words = words(request, &url);
        let progress = request.long.map(Progress::start);
        let mut response =
            self.exchange(request, &url, token).map_err(|error| self.unreachable(request, &words, &error))?;
        self.note_frozen(request, &response);
        let status = response.status().as_u16();
        let content_type = header(&response, "content-type").unwrap_or_default();
        let etag = header(&response, "etag");
        let total = header(&response, "x-total-count").and_then(|total| total.parse().ok());
        let profiles = header(&response, "x-profiles");
        let request_id = header(&response, "x-request-id");
        let location = header(&response, "location");
        let body = read(&mut response, progress.as_ref())
            .map_err(|error| self.unreachable(request, &words, &error))?;
        match status {
            200..=299 => {
                let body = parse(&body, status, &content_type, &words)?;
                let answer = Answer { body, etag, profiles, total, request_id };
                if request.writes() {
                    self.made.replace(Made::of(request, status, &answer));
                }
                Ok(answer)
            }
            300..=399 => Err(redirected(&words, status, location.as_deref())),
            _ => Err(Error::Api(Box::new(ApiError::read(status, &content_type, &body, &words, token_name)))),
        }
    }

    fn exchange(&self, request: &Request, url: &str, token: &str) -> Result<Response<Body>, ureq::Error> {
        let mut built = http::Request::builder()
            .method(request.method.clone())
            .uri(url)
            .header("authorization", format!("Bearer {token}"))
            .header("accept", JSON);
        for (name, value) in &request.headers {
            built = built.header(*name, value.as_bytes());
        }
        let long = request.long.map(|_| agent(self.timeout(request)));
        let agent = long.as_ref().unwrap_or(&self.agent);
        match &request.body {
            None => agent.run(built.body(())?),
            Some(body) => {
                let body = serde_json::to_vec(body)?;
                agent.run(built.header("content-type", JSON).body(body)?)
            }
        }
    }

    fn timeout(&self, request: &Request) -> Duration {
        match request.long {
            None => self.connection.timeout(),
            Some(_) => self.connection.timeout().saturating_mul(LONG),
        }
    }

    fn note_frozen(&self, request: &Request, response: &Response<Body>) {
        if let (Some(cluster), Some(freezes)) = (request.cluster(), header(response, "x-frozen")) {
            self.frozen.borrow_mut().insert(cluster.into(), freezes);
        }
    }

    fn unreachable(&self, request: &Request, words: &str, error: &ureq::Error) -> Error {
        let next = match request.method {
            Method::GET => "try again",
            _ => "whether it was carried out is not known, so look before repeating it",
        };
        Error::Failed(match error {
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed => not_reached(words, &error.to_string()),
            ureq::Error::Io(io) if refused(io) => not_reached(words, &io.to_string()),
            ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
                format!("{words} failed at the proxy ({error}); check HTTPS_PROXY, HTTP_PROXY and NO_PROXY")
            }
            ureq::Error::Io(io) if untrusted(io) => format!(
                "{words} failed in TLS ({io}); check the host name and that its CA is among the system's \
                 or in the file that SSL_CERT_FILE names"
            ),
            ureq::Error::Timeout(_) => format!(
                "{words} was not answered within {} s, as long as --timeout allows; {next}",
                self.timeout(request).as_secs()
            ),
            ureq::Error::Io(io) => format!("{words} broke off ({io}); {next}"),
            error => format!("{words} failed ({error}); {next}"),
        })
    }
}

/// The request as messages name it.
fn words(request: &Request, url: &str) -> String {
    format!("{} {url}", request.method)
}

fn agent(timeout: Duration) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .http_status_as_error(false)
        // A followed redirect turns a write into a read; the person should name the right address.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(timeout.min(Duration::from_secs(10))))
        .timeout_global(Some(timeout))
        .user_agent(concat!("flux-resourceset-cli/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build()
        .into()
}

fn read(response: &mut Response<Body>, progress: Option<&Progress>) -> Result<Vec<u8>, ureq::Error> {
    let body = response.body_mut().with_config().limit(MAX_ANSWER);
    match progress {
        None => body.read_to_vec(),
        Some(progress) => Ok(progress.read(body.reader())?),
    }
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// The body of a success; nothing at all is null.
fn parse(body: &[u8], status: u16, content_type: &str, words: &str) -> Result<Value, Error> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|_| Error::Failed(foreign(words, status, content_type)))
}

fn redirected(words: &str, status: u16, location: Option<&str>) -> Error {
    let target = location.map(|location| format!(" to {location}")).unwrap_or_default();
    Error::Failed(format!(
        "{words} was redirected{target} (status {status}); set FLUX_API_URL to the API's own address"
    ))
}

fn refused(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// How rustls comes out of a handshake; nothing else on the way has invalid data.
fn untrusted(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData
}

fn not_reached(words: &str, reason: &str) -> String {
    format!("{words} reached nobody ({reason}); check FLUX_API_URL and that the API is up")
}
