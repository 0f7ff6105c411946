//! An HTTP server that gives prepared answers and remembers what it was asked. Only for what a
//! real server cannot be made to do: break, answer HTML, lose a race on cue.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::Value;

pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

pub(crate) struct Request {
    pub(crate) line: String,
    head: String,
    pub(crate) body: Value,
}

pub(crate) struct Stub {
    pub(crate) url: String,
    asked: Receiver<Request>,
    answers: usize,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Answer { status, headers: vec![("content-type", "application/json".into())], body: body.to_string() }
    }

    pub(crate) fn html(status: u16) -> Self {
        let body = "<html>sorry</html>".into();
        Answer { status, headers: vec![("content-type", "text/html".into())], body }
    }

    pub(crate) fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    fn write(&self, mut stream: &TcpStream) {
        let Answer { status, headers, body } = self;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status} S\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .unwrap();
    }
}

impl Request {
    fn read(stream: &TcpStream) -> Self {
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "the request ended early: {head}");
        }
        let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        let mut request = Request { line, head, body: Value::Null };
        if let Some(length) = request.header("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            lines.read_exact(&mut body).unwrap();
            request.body = serde_json::from_slice(&body).unwrap_or_default();
        }
        request
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Reads whatever else the client sends until it closes: what is closed unread resets the connection, and the client
/// may lose the answer.
fn drain(mut stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let _ = io::copy(&mut stream, &mut io::sink());
}

impl Stub {
    /// Gives these answers, one per request, then stops listening.
    pub(crate) fn answering(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (noted, asked) = mpsc::channel();
        let count = answers.len();
        thread::spawn(move || {
            for answer in &answers {
                let (stream, _) = listener.accept().unwrap();
                // Noted before it is answered: whoever has the answer finds the request.
                noted.send(Request::read(&stream)).unwrap();
                answer.write(&stream);
                drain(&stream);
            }
        });
        Stub { url, asked, answers: count }
    }

    /// The requests so far, of which there is one for every answer.
    #[track_caller]
    pub(crate) fn asked(self) -> Vec<Request> {
        let asked: Vec<_> = self.asked.try_iter().collect();
        let lines: Vec<_> = asked.iter().map(|request| &request.line).collect();
        assert_eq!(asked.len(), self.answers, "{lines:?}");
        asked
    }
}

pub(crate) const READ_TOKEN: &str = "read-secret";
pub(crate) const WRITE_TOKEN: &str = "write-secret";

/// The binary with no environment but the API's address and both tokens.
pub(crate) fn cli(url: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flux-resourceset-cli"));
    command.env_clear().args(words(arguments));
    command
        .env("FLUX_API_URL", url)
        .env("FLUX_API_TOKEN", READ_TOKEN)
        .env("FLUX_API_WRITE_TOKEN", WRITE_TOKEN);
    command
}

/// What it wrote and how it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn ended(mut command: Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// As the shell splits it: single quotes hold spaces together, and may hold nothing.
fn words(arguments: &str) -> Vec<String> {
    let mut quoted = false;
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    for c in arguments.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.into_iter().chain(word).collect()
}

#[track_caller]
pub(crate) fn succeeds(mut command: Command) -> Value {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{status}: {said}");
    assert_eq!(without_revision(&said), "");
    serde_json::from_slice(&stdout).unwrap()
}

/// What it said on stderr beside the revision that a write made.
pub(crate) fn without_revision(said: &str) -> String {
    let is_revision = |line: &&str| line.strip_prefix("revision ").is_some_and(|n| n.parse::<u64>().is_ok());
    said.lines().filter(|line| !is_revision(line)).map(|line| format!("{line}\n")).collect()
}

/// What it said on stderr when it ended with this code; stdout has nothing then.
#[track_caller]
pub(crate) fn fails(mut command: Command, code: i32) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{said}");
    assert_eq!(String::from_utf8(stdout).unwrap(), "");
    assert!(!said.contains(READ_TOKEN) && !said.contains(WRITE_TOKEN), "{said}");
    said
}
