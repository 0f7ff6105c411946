//! A client that lives with servers that end at any moment: an answer is there as a whole, or there is none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// After this there is no answer.
const PATIENCE: Duration = Duration::from_secs(45);

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) etag: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The error's code; else the status.
    pub(super) fn code(&self) -> String {
        self.json()["error"].as_str().map_or_else(|| self.status.to_string(), str::to_owned)
    }
}

/// A connection that is kept while it can be.
#[derive(Default)]
pub(super) struct Client {
    kept: Option<(SocketAddr, BufReader<TcpStream>)>,
}

impl Client {
    /// Asks whoever listens at `address`. `head` is the request's first line and its headers, but for those of the
    /// body.
    pub(super) fn ask(&mut self, address: SocketAddr, head: &str, body: &str) -> Option<Reply> {
        let kept = self.kept.take().filter(|(to, _)| *to == address);
        let mut stream = match kept {
            Some((_, stream)) => stream,
            None => connect(address)?,
        };
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{head}Host: faults\r\n{length}\r\n{body}");
        stream.get_mut().write_all(request.as_bytes()).ok()?;
        let reply = read(&mut stream)?;
        self.kept = Some((address, stream));
        Some(reply)
    }
}

fn connect(address: SocketAddr) -> Option<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(BufReader::new(stream))
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Reply> {
    let line = line(stream)?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut etag) = (None, String::new());
    loop {
        let line = self::line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse().ok()?),
            "etag" => etag = value.trim().to_owned(),
            _ => {}
        }
    }
    // What is not modified has no body, whatever its length is said to be.
    let length = if status == 304 { 0 } else { length? };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Reply { status, etag, body })
}

/// A line without its end; one that does not end is none.
fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    line.strip_suffix("\r\n").map(str::to_owned)
}
