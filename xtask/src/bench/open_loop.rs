//! Polls sent at moments fixed beforehand, each timed from the moment at which it was to be sent: an answer that keeps
//! the next ones waiting counts for them too. By one thread that never sleeps, so that what is timed is the server:
//! threads that sleep until then take more time to wake than a poll takes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::client::poll;
use super::fleet::{self, PATHS};

/// An answer that does not come is a failure of the run, not its end.
const LONGEST: Duration = Duration::from_secs(60);
/// Larger than any answer.
const BUFFER: usize = 64 * 1024;

/// The times of polls that are sent at `rate` for `time`, by the `clusters` and the types in turn.
pub(super) fn times(
    address: &str,
    connections: usize,
    rate: f64,
    time: Duration,
    clusters: usize,
) -> Result<Vec<Duration>> {
    let connections = (0..connections).map(|_| Connection::open(address)).collect::<Result<Vec<_>>>();
    let (mut connections, mut times) = (connections?, Vec::new());
    let due = |n: usize| Duration::from_secs_f64(n as f64 / rate);
    let (start, mut next) = (Instant::now(), 0);
    while due(next) < time || connections.iter().any(|one| one.asked.is_some()) {
        for connection in &mut connections {
            if let Some(asked) = connection.asked
                && connection.is_answered()?
            {
                times.push(start.elapsed().saturating_sub(asked));
                connection.asked = None;
            }
            if connection.asked.is_none() && due(next) < time && due(next) <= start.elapsed() {
                connection.ask(&poll(&fleet::dns(next * 7919 % clusters), PATHS[next % PATHS.len()]))?;
                connection.asked = Some(due(next));
                next += 1;
            }
        }
        ensure!(start.elapsed() < time + LONGEST, "polls are not answered");
    }
    Ok(times)
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of it came of the answer that is waited for.
    came: usize,
    /// When what is waited for was to be asked.
    asked: Option<Duration>,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection { stream, buffer: vec![0; BUFFER], came: 0, asked: None })
    }

    fn ask(&mut self, request: &str) -> Result<()> {
        // Nothing is under way on it, so that there is room.
        Ok(self.stream.write_all(request.as_bytes())?)
    }

    /// Whether all of an answer is there, which must be 200.
    fn is_answered(&mut self) -> Result<bool> {
        match self.stream.read(&mut self.buffer[self.came..]) {
            Ok(0) => bail!("the server closed a connection, or an answer is larger than {BUFFER} bytes"),
            Ok(more) => self.came += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let came = &self.buffer[..self.came];
        let Some(head) = came.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(false) };
        let text = std::str::from_utf8(&came[..head])?;
        ensure!(text.starts_with("HTTP/1.1 200 "), "{text}");
        let mut fields = text.lines().filter_map(|line| line.split_once(": "));
        let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.context("an answer without its length")?.1.trim().parse()?;
        if self.came < head + 4 + length {
            return Ok(false);
        }
        self.came = 0;
        Ok(true)
    }
}
