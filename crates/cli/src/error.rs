//! How a command can end other than well, what is said about it on stderr, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::api_error::ApiError;

/// Refused by the API, or failed on the way.
pub(crate) const FAILED: u8 = 1;
/// The command line or the environment is not usable.
pub(crate) const USAGE: u8 = 2;

#[derive(Debug)]
pub(crate) enum Error {
    /// What was typed or exported cannot be acted on.
    Usage(String),
    /// Anything that went wrong afterwards: one sentence, then a line per detail.
    Failed(String),
    /// The API answered, and the answer was no.
    Api(Box<ApiError>),
    /// Whoever reads stdout has read enough (`| head`).
    ClosedPipe,
}

impl Error {
    /// Whether the API refused with this status.
    pub(crate) fn has_status(&self, status: u16) -> bool {
        matches!(self, Error::Api(refusal) if refusal.status == status)
    }

    /// The API's word for why it refused.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Error::Api(refusal) => refusal.code.as_deref(),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Error::ClosedPipe,
            _ => Error::Failed(format!("cannot write the result: {error}")),
        }
    }
}

/// Says on stderr what went wrong, if anything did.
pub(crate) fn exit_code(end: Result<(), Error>) -> ExitCode {
    let (text, code) = match end {
        Ok(()) | Err(Error::ClosedPipe) => return ExitCode::SUCCESS,
        Err(Error::Usage(text)) => (text, USAGE),
        Err(Error::Failed(text)) => (text, FAILED),
        Err(Error::Api(refusal)) => (refusal.to_string(), FAILED),
    };
    // With stderr gone there is nobody left to tell; the code still says it.
    let _ = writeln!(io::stderr().lock(), "error: {}", printable_lines(&text));
    ExitCode::from(code)
}

/// The text with every control character but the line break escaped: part of it comes from
/// elsewhere, and must not move the cursor of a person's terminal.
fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// One line of text that a terminal shows instead of obeying.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_cannot_drive_the_terminal() {
        assert_eq!(printable_lines("a\u{1b}[2Jb\n  c\rd é"), "a\\u{1b}[2Jb\n  c\\rd é");
    }
}
