//! What the arguments ask for: to serve, or one of the few things that are done with a store while nobody
//! serves, or beside those who do.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
The server of flux-resourceset, and what is done with its store.

Usage:
  flux-resourceset                 serves, until it is told to end
  flux-resourceset backup FILE     writes the store, with its whole history, into FILE; servers go on meanwhile
  flux-resourceset restore FILE    fills an empty database with what `backup` wrote; no server runs on it
  flux-resourceset --version       says which release it is

FILE may be `-`: standard output, or standard input.

Everything else is said by environment variables: see Configuration in the documentation. `backup` and `restore` need
DATABASE_URL (and DATABASE_CA_FILE, where the server does), and none of the others.

Exit codes: 0 done; 1 the system failed it, try again; 2 a person must change something first.
";

/// What `--version` prints.
pub const VERSION: &str = concat!("flux-resourceset ", env!("CARGO_PKG_VERSION"), "\n");

/// What the process is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Without arguments.
    Serve,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// `backup FILE`.
    Backup(Place),
    /// `restore FILE`.
    Restore(Place),
}

/// Where a backup goes to or comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `-`.
    Standard,
    /// A file.
    File(PathBuf),
}

impl Command {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// A sentence, where they mean nothing.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let place = |file: &OsString| match file.to_str() {
            Some("-") => Place::Standard,
            _ => Place::File(file.into()),
        };
        let words: Vec<_> = arguments.iter().map(|word| word.to_str()).collect();
        match (words.as_slice(), arguments.as_slice()) {
            ([], _) => Ok(Command::Serve),
            (words, _) if words.iter().any(|word| matches!(word, Some("--help" | "-h" | "help"))) => {
                Ok(Command::Help)
            }
            ([Some("--version" | "-V")], _) => Ok(Command::Version),
            ([Some("backup"), file], [_, path]) if is_file(*file) => Ok(Command::Backup(place(path))),
            ([Some("restore"), file], [_, path]) if is_file(*file) => Ok(Command::Restore(place(path))),
            ([Some(word @ ("backup" | "restore")), ..], _) => {
                Err(format!("{word} takes one argument: a file, or `-`; see --help"))
            }
            _ => Err("takes no arguments but backup, restore, --help and --version: to serve it is configured by environment \
                      variables such as AUTH_TOKEN"
                .to_owned()),
        }
    }
}

fn is_file(word: Option<&str>) -> bool {
    word.is_none_or(|word| word == "-" || !(word.starts_with('-') || word.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Command, String> {
        Command::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn arguments() {
        assert_eq!(parse(&[]), Ok(Command::Serve));
        assert_eq!(parse(&["restore", "-"]), Ok(Command::Restore(Place::Standard)));
        assert_eq!(parse(&["backup", "a.b"]), Ok(Command::Backup(Place::File("a.b".into()))));
        assert_eq!(parse(&["backup", "--help"]), Ok(Command::Help));
        assert_eq!(parse(&["--version"]), Ok(Command::Version));
        for wrong in [&["backup"][..], &["backup", ""], &["restore", "-x"], &["backup", "a", "b"]] {
            assert!(parse(wrong).unwrap_err().contains("takes one argument"), "{wrong:?}");
        }
        assert!(parse(&["serve"]).unwrap_err().contains("takes no arguments but"));
    }
}
