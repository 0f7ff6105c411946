//! How a command can end before it is done, what is said about it on stderr, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::api_error::ApiError;
use crate::output::Shown;
use crate::plan::Plan;

/// Refused by the API, or failed on the way.
pub(crate) const FAILED: u8 = 1;
/// The command line or the environment is not usable.
pub(crate) const USAGE: u8 = 2;
/// There are changes: of `diff`, `--plan` and `--whatif`.
pub(crate) const CHANGES: u8 = 3;

#[derive(Debug)]
pub(crate) enum Error {
    /// What was typed or exported cannot be acted on.
    Usage(String),
    /// Anything that went wrong afterwards: one sentence, then a line per detail.
    Failed(String),
    /// The API answered, and the answer was no.
    Api(Box<ApiError>),
    /// The command was to show what it would do, and this is it: nothing was done.
    Preview(Box<Shown>),
    /// Whoever reads stdout has read enough (`| head`).
    ClosedPipe,
}

impl Error {
    /// Whether the API refused with this status.
    pub(crate) fn has_status(&self, status: u16) -> bool {
        matches!(self, Error::Api(refusal) if refusal.status == status)
    }

    /// Whether the server has no such route, or nothing under it: an older one, or a wrong id.
    pub(crate) fn is_unknown_route(&self) -> bool {
        self.has_status(404) || self.has_status(405)
    }

    /// What the write would do that the API refused, if it says so.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        match self {
            Error::Api(refusal) => refusal.plan.as_ref(),
            _ => None,
        }
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

/// Says on stderr what went wrong, if anything did. `Ok` says whether there are changes to be told
/// by the exit code.
pub(crate) fn exit_code(end: Result<bool, Error>) -> ExitCode {
    let (text, code) = match end {
        Ok(true) => return ExitCode::from(CHANGES),
        // A preview is shown, and then no error, before it comes here.
        Ok(false) | Err(Error::ClosedPipe | Error::Preview(_)) => return ExitCode::SUCCESS,
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
pub(crate) fn printable_lines(text: &str) -> String {
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
