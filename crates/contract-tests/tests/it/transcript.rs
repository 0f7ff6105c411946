//! A conversation with the server as text, for snapshots: each request as it was sent, each answer with
//! its status, the headers that clients rely on, and its body laid out.

use std::fmt::Write;

use serde_json::Value;

use crate::http::{Reply, Request};
use crate::server::Server;

/// The headers that a client may rely on. All others are the transport's.
const SHOWN: [&str; 13] = [
    "allow",
    "cache-control",
    "content-type",
    "etag",
    "link",
    "location",
    "retry-after",
    "www-authenticate",
    "x-frozen",
    "x-profiles",
    "x-revision",
    "x-stale",
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
        let answer = laid_out(reply);
        writeln!(text, "{answer}").unwrap();
        // What was made up at random is in the digest of the ETag too.
        if answer.contains(MADE_UP)
            && let Some((revision, _)) = reply.header("etag").and_then(|tag| tag.split_once('-'))
        {
            *text = text.replace(reply.header("etag").unwrap(), &format!("{revision}-[digest]\""));
        }
        *text = timeless(text);
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// How the ids of freezes begin that the server makes up.
const MADE_UP: &str = "freeze-";

/// `text` without what differs from run to run: times, and ids that were made up.
fn timeless(text: &str) -> String {
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(c, kind)| match kind {
                b'0' => c.is_ascii_digit(),
                b'x' => c.is_ascii_hexdigit(),
                _ => c == kind,
            })
    };
    let mut kept = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let known = [("0000-00-00T00:00:00.000Z", "[time]", ""), ("freeze-xxxxxxxx", "[made up]", MADE_UP)];
        let found =
            known.into_iter().find(|(like, ..)| rest.get(..like.len()).is_some_and(|text| shape(text, like)));
        let (taken, put) = match found {
            Some((like, put, before)) => (like.len(), format!("{before}{put}")),
            None => (c.len_utf8(), c.to_string()),
        };
        kept.push_str(&put);
        rest = &rest[taken..];
    }
    kept
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
    if let Some(id) = body.get_mut("request_id").filter(|_| reply.status >= 400) {
        assert_eq!(id.as_str(), reply.header("x-request-id"));
    }
    if let Some(age) = body.get_mut("confirmed_age_seconds") {
        assert!(age.is_u64());
        *age = "[seconds]".into();
    }
    hide_request_ids(&mut body);
    serde_json::to_string_pretty(&body).unwrap()
}

/// The log tells which request a change was made by. A store and its entries have random ids.
fn hide_request_ids(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.contains_key("store") && object.contains_key("entry") {
                object.insert("store".into(), "[store]".into());
                object.insert("entry".into(), "[entry]".into());
            }
            for (name, value) in object {
                if name == "request_id" && value.is_string() {
                    *value = "[request id]".into();
                }
                hide_request_ids(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_request_ids),
        _ => {}
    }
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
