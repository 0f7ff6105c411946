//! Colours for a terminal, and none for anything else.

use std::env;
use std::io::{self, IsTerminal};

/// How text is shown: in which colours, and how wide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) paint: Paint,
    pub(crate) width: usize,
}

/// Colours text, or leaves it alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

/// For what is no terminal, and terminals that do not say.
const WIDTH: usize = 100;

impl View {
    pub(crate) const PLAIN: View = View { paint: Paint { on: false }, width: WIDTH };

    pub(crate) fn stdout() -> Self {
        View::of(&io::stdout(), terminal_size::terminal_size_of(io::stdout()))
    }

    pub(crate) fn stderr() -> Self {
        View::of(&io::stderr(), terminal_size::terminal_size_of(io::stderr()))
    }

    fn of(stream: &impl IsTerminal, size: Option<(terminal_size::Width, terminal_size::Height)>) -> Self {
        let width = size.map_or(WIDTH, |(width, _)| usize::from(width.0).max(40));
        View { paint: Paint { on: stream.is_terminal() && colours() }, width }
    }
}

impl Paint {
    #[cfg(test)]
    pub(crate) const ON: Paint = Paint { on: true };

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self.on && !text.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// <https://no-color.org>: any non-empty value turns colour off.
fn colours() -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
