//! A conversation with the server as text, for snapshots: each request as it was sent, each answer with
//! its status, the headers that clients rely on, and its body laid out.

use std::fmt::Write;

use serde_json::Value;

use crate::http::{Reply, Request};
use crate::server::Server;

/// The headers that a client may rely on. All others are the transport's.
const SHOWN: [&str; 8] = [
    "allow",
    "cache-control",
    "content-type",
    "etag",
    "location",
    "retry-after",
    "www-authenticate",
    "x-total-count",
];
/// Paths and bodies beyond this tell a reader no more.
const LONGEST_LINE: usize = 400;

pub(crate) struct Transcript<'a> {
    server: &'a Server,
    text: String,
}

impl<'a> Transcript<'a> {
    pub(crate) fn with(server: &'a Server) -> Self {
        Transcript { server, text: String::new() }
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, request: Request) -> Reply {
        let reply = self.server.send(&request);
        self.add(&request, &reply);
        reply
    }

    /// Adds an exchange that took place elsewhere.
    #[track_caller]
    pub(crate) fn add(&mut self, request: &Request, reply: &Reply) {
        let text = &mut self.text;
        if !text.is_empty() {
            text.push('\n');
        }
        writeln!(text, "> {} {}", request.method, shortened(&request.path)).unwrap();
        for (name, value) in &request.headers {
            writeln!(text, "> {name}: {value}").unwrap();
        }
        if let Some(body) = &request.body {
            writeln!(text, "> {}", shortened(body).replace('\n', "\n> ")).unwrap();
        }
        writeln!(text, "< {}", reply.status).unwrap();
        for name in SHOWN {
            for (_, value) in reply.headers.iter().filter(|(known, _)| known == name) {
                writeln!(text, "< {name}: {value}").unwrap();
            }
        }
        writeln!(text, "{}", laid_out(reply)).unwrap();
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[track_caller]
fn laid_out(reply: &Reply) -> String {
    if reply.body.is_empty() {
        return String::new();
    }
    let content_type = reply.header("content-type").unwrap_or_default();
    if content_type != "application/json" {
        return match content_type.split(';').next() {
            // Values differ from run to run; what there is does not.
            Some("application/openmetrics-text") => lines(reply, |line| line.starts_with("# ")),
            // The whole of it is committed under openapi/.
            Some("application/yaml") => lines(reply, |line| line.starts_with("openapi: ")),
            _ => reply.text().to_owned(),
        };
    }
    let mut body = reply.json();
    // It is another one each time, in the body as in the header.
    if let Some(id) = body.get_mut("request_id") {
        assert_eq!(id.as_str(), reply.header("x-request-id"));
        *id = Value::from("[request id]");
    }
    serde_json::to_string_pretty(&body).unwrap()
}

#[track_caller]
fn lines(reply: &Reply, kept: impl Fn(&str) -> bool) -> String {
    let kept: Vec<_> = reply.text().lines().filter(|line| kept(line)).collect();
    format!("{}\n[…]", kept.join("\n"))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}… [{} bytes]", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
