//! A client of HTTP/1.1 in a few lines, so that a test can also send what no decent client sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Long enough for a loaded machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    #[track_caller]
    fn parse(bytes: &[u8]) -> Reply {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The error's code.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        assert!(json["message"].as_str().is_some_and(|text| text.ends_with('.')), "{json}");
        assert_eq!(json["request_id"].as_str(), self.header("x-request-id"), "{json}");
        json["error"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}\n{}", self.head, String::from_utf8_lossy(&self.body));
        self
    }

    /// The revision that the entity tag names.
    #[track_caller]
    pub(crate) fn revision(&self) -> &str {
        let tag = self.header("etag").unwrap();
        tag.strip_prefix('"').unwrap().split_once('-').unwrap().0
    }

    /// Pointer and code of each violation.
    pub(crate) fn violations(&self) -> Vec<String> {
        let json = self.json();
        let list = json["violations"].as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|one| format!("{} {}", one["pointer"].as_str().unwrap(), one["code"].as_str().unwrap()))
            .collect()
    }
}

/// Sends `bytes` as they are and reads until the server closes.
#[track_caller]
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> Reply {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    read_to_end(&mut stream)
}

#[track_caller]
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[track_caller]
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Reply::parse(&bytes)
}

/// Reads one answer with a Content-Length and leaves the connection open.
#[track_caller]
pub(crate) fn read_one(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let mut reply = Reply::parse(&bytes);
    let length: usize = reply.header("content-length").unwrap().parse().unwrap();
    reply.body = vec![0; length];
    stream.read_exact(&mut reply.body).unwrap();
    reply
}

/// One client with one token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<&'static str>,
}

impl Client {
    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        if let Some(token) = self.token {
            text.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        raw(self.address, text.as_bytes())
    }

    /// The same to a server that may end meanwhile: `None` where there was no whole answer.
    pub(crate) fn try_send(&self, method: &str, path: &str, body: &str) -> Option<Reply> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let token = self.token.unwrap_or_default();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        bytes.windows(4).any(|window| window == b"\r\n\r\n").then(|| Reply::parse(&bytes))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "")
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], "")
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, &[("Content-Type", "application/json")], &body.to_string())
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: Value) -> Reply {
        self.send("PUT", path, &[("Content-Type", "application/json")], &body.to_string())
    }

    /// The same again, with the digest of the plan that it must be confirmed by.
    #[track_caller]
    pub(crate) fn confirmed(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let json = ("Content-Type", "application/json");
        let asked = self.send(method, path, &[json], &body).expect(428);
        assert_eq!(asked.code(), "confirmation_required");
        let plan = &asked.json()["plan"];
        self.send(method, path, &[json, ("If-Plan", plan["digest"].as_str().unwrap())], &body)
    }

    #[track_caller]
    pub(crate) fn patch(&self, path: &str, body: Value) -> Reply {
        self.send("PATCH", path, &[("Content-Type", "application/merge-patch+json")], &body.to_string())
    }
}

/// Asks until the answer is as wanted; a deadline, not a pause, decides that it never will be.
#[track_caller]
pub(crate) fn until(what: &str, mut ask: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !ask() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
