//! The `console` blocks of a Markdown page, run on a terminal as they are written there.
//!
//! `$ ` begins a command, which goes on after a `\`. What follows is what it prints, if that is shown:
//! `<name>` stands for some text that differs each time, and in a later command for what it was last;
//! `...` on a line of its own for lines left out; `(exit code 1)` at the end says that it fails. How wide
//! spaces are does not matter. What is shown after a question is typed. A block such as `yaml fleet.yaml`
//! is written to that file first.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use pty_process::Size;
use pty_process::blocking::{Command, open};

/// How a question of the command line ends.
const QUESTION: &str = "to go on: ";
const LEFT_OUT: &str = "...";
/// That there would be changes: no failure.
const CHANGES: i32 = 3;

type Names = BTreeMap<String, String>;

/// What a page is made of.
enum Piece<'a> {
    Line(&'a str),
    File { name: &'a str, lines: Vec<&'a str> },
    Command { at: usize, lines: Vec<&'a str>, shown: Vec<&'a str> },
}

/// A page with what its commands printed.
pub(crate) struct Checked {
    /// Each command that fails or prints something else than is shown, with what it printed.
    pub(crate) wrong: Vec<String>,
    /// The page with that in the place of what was shown.
    pub(crate) corrected: String,
    /// How many commands there are.
    pub(crate) commands: usize,
}

/// Runs every command of `page` in `folder`.
pub(crate) fn run(page: &str, folder: &Path, variables: &[(&str, &str)]) -> Checked {
    let mut names = Names::new();
    let mut checked = Checked { wrong: Vec::new(), corrected: String::new(), commands: 0 };
    for piece in pieces(page) {
        let (at, lines, shown) = match piece {
            Piece::Line(line) => {
                checked.put(&[line]);
                continue;
            }
            Piece::File { name, lines } => {
                fs::write(folder.join(name), lines.join("\n") + "\n").unwrap();
                checked.put(&lines);
                continue;
            }
            Piece::Command { at, lines, shown } => (at, lines, shown),
        };
        checked.commands += 1;
        checked.put(&lines);
        let command = filled_in(lines.join("\n").trim_start_matches("$ "), &names);
        let printed = printed(&command, &typed(&shown), folder, variables);
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        let is_shown = match shown.as_slice() {
            [] => !printed.iter().any(|line| line.starts_with("(exit code")),
            shown => matches(shown, &printed, &mut names),
        };
        if is_shown {
            checked.put(&shown);
        } else {
            checked.wrong.push(format!("line {at}: {command}\n{}\n", printed.join("\n")));
            // So that what comes later is wrong only where it is wrong itself.
            for line in shown.iter().filter(|line| first_name(line).is_some()) {
                printed.iter().any(|printed| line_matches(&evened(line), &evened(printed), &mut names));
            }
            checked.put(&printed);
        }
    }
    checked
}

impl Checked {
    fn put(&mut self, lines: &[&str]) {
        for line in lines {
            self.corrected.push_str(line);
            self.corrected.push('\n');
        }
    }
}

fn pieces(page: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut lines = page.lines().enumerate().peekable();
    while let Some((_, line)) = lines.next() {
        pieces.push(Piece::Line(line));
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let mut block = Vec::new();
        while let Some(inside) = lines.next_if(|(_, line)| *line != "```") {
            block.push(inside);
        }
        match info.split_once(' ') {
            Some((_, name)) => {
                let lines = block.into_iter().map(|(_, line)| line).collect();
                pieces.push(Piece::File { name, lines });
            }
            None if info == "console" => commands(block, &mut pieces),
            None => pieces.extend(block.into_iter().map(|(_, line)| Piece::Line(line))),
        }
        pieces.extend(lines.next().map(|(_, end)| Piece::Line(end)));
    }
    pieces
}

fn commands<'a>(block: Vec<(usize, &'a str)>, pieces: &mut Vec<Piece<'a>>) {
    let mut goes_on = false;
    for (at, line) in block {
        match pieces.last_mut() {
            Some(Piece::Command { lines, .. }) if goes_on => lines.push(line),
            _ if line.starts_with("$ ") => {
                pieces.push(Piece::Command { at: at + 1, lines: vec![line], shown: Vec::new() });
                goes_on = true;
            }
            Some(Piece::Command { shown, .. }) => shown.push(line),
            _ => pieces.push(Piece::Line(line)),
        }
        goes_on &= line.ends_with('\\');
    }
}

fn filled_in(command: &str, names: &Names) -> String {
    let fill =
        |command: String, (name, value): (&String, &String)| command.replace(&format!("<{name}>"), value);
    names.iter().fold(command.to_owned(), fill)
}

fn typed(shown: &[&str]) -> String {
    let answer = shown.iter().find_map(|line| Some(line.split_once(QUESTION)?.1));
    format!("{}\n", answer.unwrap_or_default())
}

/// What `command` writes to a terminal, and below it the exit code where that says that it failed.
fn printed(command: &str, typed: &str, folder: &Path, variables: &[(&str, &str)]) -> String {
    let (mut terminal, end) = open().unwrap();
    terminal.resize(Size::new(50, 100)).unwrap();
    let shell = Command::new("sh").args(["-c", command]).current_dir(folder);
    let shell = shell.envs(variables.iter().copied()).env("NO_COLOR", "1").env("TERM", "xterm");
    let mut child = shell.spawn(end).unwrap();
    let (mut bytes, mut buffer, mut asked) = (Vec::new(), [0; 4096], false);
    // A terminal that nobody writes to any more is an error of Linux, not an end.
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        bytes.extend_from_slice(buffer.get(..length).unwrap());
        if !asked && bytes.ends_with(QUESTION.as_bytes()) {
            asked = true;
            terminal.write_all(typed.as_bytes()).unwrap();
        }
    }
    let text = String::from_utf8(bytes).unwrap().replace("\r\n", "\n");
    let text: String = text.lines().map(|line| format!("{}\n", left_standing(line))).collect();
    match child.wait().unwrap().code() {
        Some(0 | CHANGES) => text,
        code => format!("{text}(exit code {})\n", code.unwrap_or(-1)),
    }
}

/// What is left of a line on which something moved.
fn left_standing(line: &str) -> String {
    let last = line.rsplit('\r').next().unwrap_or_default();
    let mut parts = last.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let after = |part: &str| {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |end| end + 1);
        part.get(end..).unwrap_or_default().to_owned()
    };
    parts.fold(first, |text, part| text + &after(part))
}

/// Whether `printed` is what is `shown`; notes what stands where the names are.
fn matches(shown: &[&str], printed: &[&str], names: &mut Names) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&LEFT_OUT, rest)) => (1..=printed.len())
            .any(|left_out| matches(rest, printed.get(left_out..).unwrap_or_default(), names)),
        Some((line, rest)) => printed.split_first().is_some_and(|(first, others)| {
            line_matches(&evened(line), &evened(first), names) && matches(rest, others, names)
        }),
    }
}

/// Columns are as wide as what differs in them.
fn evened(line: &str) -> String {
    line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn line_matches(shown: &str, printed: &str, names: &mut Names) -> bool {
    let Some((before, name, after)) = first_name(shown) else { return shown == printed };
    let Some(rest) = printed.strip_prefix(before) else { return false };
    let ends = rest.char_indices().skip(1).map(|(at, _)| at).chain([rest.len()]).filter(|at| *at > 0);
    for end in ends {
        let (value, rest) = rest.split_at(end);
        if line_matches(after, rest, names) {
            names.entry(name.to_owned()).insert_entry(value.to_owned());
            return true;
        }
    }
    false
}

/// What stands before the first `<name>`, the name, and what stands after.
fn first_name(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('<')?;
    let (name, after) = rest.split_once('>')?;
    Some((before, name, after))
}
