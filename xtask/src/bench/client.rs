//! One kept-alive connection, by which the benchmarks ask a server. Of our own, since it takes less time than the
//! server that is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::server::{READ_TOKEN, WRITE_TOKEN};

/// The request of a poll by the cluster with this DNS name.
pub(super) fn poll(dns: &str, path: &str) -> String {
    format!(
        "GET /api/v2/flux/clusters/{dns}/{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {READ_TOKEN}\r\n\r\n"
    )
}

/// A connection, and the answer that came last on it.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    status: String,
    etag: String,
    body: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // An answer that does not come is a failure of the run, not its end.
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let stream = BufReader::new(stream);
        Ok(Client { stream, status: String::new(), etag: String::new(), body: Vec::new() })
    }

    /// The status line and the body of one poll by the cluster with this DNS name.
    pub(super) fn poll(&mut self, dns: &str, path: &str) -> Result<(String, Vec<u8>)> {
        self.ask(&poll(dns, path))?;
        Ok((self.status.clone(), self.body.clone()))
    }

    /// Patches a cluster's document, which must be answered by 200; the revision that it is of then.
    pub(super) fn patch(&mut self, id: &str, patch: &Value) -> Result<u64> {
        let body = patch.to_string();
        self.ask(&format!(
            "PATCH /clusters/{id} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {WRITE_TOKEN}\r\n\
             Content-Type: application/merge-patch+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))?;
        ensure!(self.is_ok(), "{} {}", self.status.trim_end(), String::from_utf8_lossy(&self.body));
        let revision = self.etag.trim_matches('"').split('-').next().unwrap_or_default();
        revision.parse().with_context(|| format!("a write was answered with the ETag {}", self.etag))
    }

    fn is_ok(&self) -> bool {
        self.status.starts_with("HTTP/1.1 200 ")
    }

    fn ask(&mut self, request: &str) -> Result<()> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.status.clear();
        self.stream.read_line(&mut self.status)?;
        let (mut length, mut line) = (None, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse::<usize>()?);
            } else if name.eq_ignore_ascii_case("etag") {
                self.etag.clear();
                self.etag.push_str(value.trim());
            }
        }
        self.body.resize(length.context("an answer without its length")?, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(())
    }

    /// Polls a second; the `n`th is by whom and of what `whose` says.
    pub(super) fn round<'a>(
        &mut self,
        time: Duration,
        whose: impl Fn(usize) -> (String, &'a str),
    ) -> Result<f64> {
        let start = Instant::now();
        let mut polls = 0_u32;
        while start.elapsed() < time {
            let (dns, path) = whose(polls as usize);
            self.poll(&dns, path)?;
            ensure!(self.is_ok(), "{}", self.status);
            polls += 1;
        }
        Ok(f64::from(polls) / start.elapsed().as_secs_f64())
    }
}
