//! The API as typed calls over blocking HTTP; nothing outside this file knows paths or headers.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::http::{Method, Request, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::api_error::{ApiError, foreign};
use crate::connection::{Access, Connection};
use crate::document::Document;
use crate::error::Error;
use crate::key_value::KeyValue;

/// What may stand in a path segment or a query value as it is (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The whole of ten thousand clusters fits many times over.
const MAX_ANSWER: u64 = 1 << 30;

const JSON: &str = "application/json";

pub(crate) struct Client<'a> {
    agent: Agent,
    connection: &'a Connection,
}

/// A document and the tag of the version it was read at, if the server tells one.
pub(crate) struct Fetched {
    pub(crate) body: Value,
    pub(crate) etag: Option<String>,
}

struct Call<'a> {
    method: Method,
    path: String,
    body: Option<&'a Document>,
    if_match: Option<&'a str>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Client { agent: agent(connection.timeout()), connection }
    }

    pub(crate) fn list(&self, plural: &str, filters: &[KeyValue]) -> Result<Vec<Value>, Error> {
        let query: Vec<_> =
            filters.iter().map(|f| format!("{}={}", encode(&f.key), encode(&f.value))).collect();
        let separator = if query.is_empty() { "" } else { "?" };
        self.array(Call::get(format!("/{plural}{separator}{}", query.join("&"))))
    }

    pub(crate) fn get(&self, plural: &str, id: &str) -> Result<Fetched, Error> {
        self.send(&Call::get(document_path(plural, id)))
    }

    pub(crate) fn create(&self, plural: &str, document: &Document) -> Result<Value, Error> {
        let call =
            Call { method: Method::POST, path: format!("/{plural}"), body: Some(document), if_match: None };
        Ok(self.send(&call)?.body)
    }

    /// Replaces the top-level fields that `fields` carries; null removes one. Answers with the whole
    /// document as the write left it. With `if_match`, status 412 when somebody else wrote meanwhile.
    pub(crate) fn put(
        &self,
        plural: &str,
        id: &str,
        fields: &Document,
        if_match: Option<&str>,
    ) -> Result<Value, Error> {
        let call =
            Call { method: Method::PUT, path: document_path(plural, id), body: Some(fields), if_match };
        Ok(self.send(&call)?.body)
    }

    pub(crate) fn delete(&self, plural: &str, id: &str, force: bool) -> Result<Value, Error> {
        let query = if force { "?force=true" } else { "" };
        self.remove(format!("{}{query}", document_path(plural, id)))
    }

    pub(crate) fn tombstones(&self) -> Result<Vec<Value>, Error> {
        self.array(Call::get("/api/v2/tombstones".into()))
    }

    pub(crate) fn purge_tombstone(&self, id: &str) -> Result<Value, Error> {
        self.remove(document_path("api/v2/tombstones", id))
    }

    /// `{"inputs": [...]}`: the list of clusters that the management cluster reads.
    pub(crate) fn fleet(&self) -> Result<Value, Error> {
        Ok(self.send(&Call::get("/api/v2/flux/clusters".into()))?.body)
    }

    /// `{"inputs": [...]}`: what the cluster with this DNS name polls.
    pub(crate) fn inputs(&self, dns: &str, flux_path: &str) -> Result<Value, Error> {
        let path = format!("/api/v2/flux/clusters/{}/{}", encode(dns), encode(flux_path));
        Ok(self.send(&Call::get(path))?.body)
    }

    fn array(&self, call: Call<'_>) -> Result<Vec<Value>, Error> {
        match self.send(&call)?.body {
            Value::Array(items) => Ok(items),
            _ => Err(Error::Failed(format!(
                "{} was answered with something other than a list; check that FLUX_API_URL is this API",
                call.words(&self.url(&call)?)
            ))),
        }
    }

    fn remove(&self, path: String) -> Result<Value, Error> {
        let call = Call { method: Method::DELETE, path, body: None, if_match: None };
        Ok(self.send(&call)?.body)
    }

    fn send(&self, call: &Call<'_>) -> Result<Fetched, Error> {
        let (token, token_name) = self.connection.token(call.access())?;
        let url = self.url(call)?;
        let words = call.words(&url);
        let mut response =
            self.exchange(call, &url, token).map_err(|error| self.unreachable(call, &words, &error))?;
        let status = response.status().as_u16();
        let content_type = header(&response, "content-type").unwrap_or_default();
        let etag = header(&response, "etag");
        let location = header(&response, "location");
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_vec()
            .map_err(|error| self.unreachable(call, &words, &error))?;
        match status {
            200..=299 => Ok(Fetched { body: parse(&body, status, &content_type, &words)?, etag }),
            300..=399 => Err(redirected(&words, status, location.as_deref())),
            _ => Err(Error::Api(Box::new(ApiError::read(status, &content_type, &body, &words, token_name)))),
        }
    }

    fn exchange(&self, call: &Call<'_>, url: &str, token: &str) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(url)
            .header("authorization", format!("Bearer {token}"))
            .header("accept", JSON);
        if let Some(etag) = call.if_match {
            request = request.header("if-match", etag);
        }
        match call.body {
            None => self.agent.run(request.body(())?),
            Some(document) => {
                let body = serde_json::to_vec(document)?;
                self.agent.run(request.header("content-type", JSON).body(body)?)
            }
        }
    }

    fn url(&self, call: &Call<'_>) -> Result<String, Error> {
        Ok(format!("{}{}", self.connection.base_url()?, call.path))
    }

    fn unreachable(&self, call: &Call<'_>, words: &str, error: &ureq::Error) -> Error {
        let next = match call.access() {
            Access::Write => "whether it was carried out is not known, so look before repeating it",
            Access::Read => "try again",
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
                self.connection.timeout().as_secs()
            ),
            ureq::Error::Io(io) => format!("{words} broke off ({io}); {next}"),
            error => format!("{words} failed ({error}); {next}"),
        })
    }
}

impl Call<'_> {
    fn get(path: String) -> Self {
        Call { method: Method::GET, path, body: None, if_match: None }
    }

    /// The request as messages name it.
    fn words(&self, url: &str) -> String {
        format!("{} {url}", self.method)
    }

    fn access(&self) -> Access {
        match self.method {
            Method::GET => Access::Read,
            _ => Access::Write,
        }
    }
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
}
