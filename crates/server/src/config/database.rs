//! Which store the environment names: `STORE_BACKEND`, `DATABASE_URL` and `DATABASE_CA_FILE`, which only together
//! make sense or none.

use std::path::PathBuf;

use flux_resourceset_store::PostgresUrl;

use super::{ApiMode, ConfigError, Reader, refused};
use crate::percent;

const DEFAULT_DATABASE_URL: &str = "sqlite://data/flux-resourceset.db?mode=rwc";

/// Where the documents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// In this process alone, gone with it.
    Memory,
    /// In a SQLite file.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Whether it is made where there is none; never in read-only mode.
        create: bool,
    },
    /// In a PostgreSQL database; the store in it is made where there is none, never in read-only mode.
    Postgres(PostgresUrl),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Backend {
    Sqlite,
    Postgres,
    Memory,
}

const BACKENDS: [(&str, Backend); 3] =
    [("sqlite", Backend::Sqlite), ("postgres", Backend::Postgres), ("memory", Backend::Memory)];

/// What `STORE_BACKEND` says; where it says nothing the URL does.
fn backend(vars: &Reader<'_>, url: Option<&str>) -> Result<Backend, ConfigError> {
    let is_postgres = |url: &str| url.starts_with("postgres:") || url.starts_with("postgresql:");
    match vars.text("STORE_BACKEND")? {
        Some(_) => vars.one_of("STORE_BACKEND", &BACKENDS),
        None if url.is_some_and(is_postgres) => Ok(Backend::Postgres),
        None => Ok(Backend::Sqlite),
    }
}

pub(super) fn read(vars: &Reader<'_>, api_mode: ApiMode) -> Result<Database, ConfigError> {
    let url = vars.text("DATABASE_URL")?;
    if url.is_some_and(|url| url.contains(|c: char| c.is_whitespace() || c.is_control())) {
        return Err(refused(
            "DATABASE_URL",
            "holds white space or control characters, such as the line break at the end of a file; take them out, or \
             write them as %XX",
        ));
    }
    let backend = backend(vars, url)?;
    let ca_file = vars.text("DATABASE_CA_FILE")?;
    if ca_file.is_some() && backend != Backend::Postgres {
        return Err(refused("DATABASE_CA_FILE", "is set, which is for PostgreSQL alone: unset it"));
    }
    match backend {
        Backend::Memory if url.is_some() => Err(refused(
            "DATABASE_URL",
            "is set while STORE_BACKEND is memory, which has no database: unset one of them",
        )),
        Backend::Memory => Ok(Database::Memory),
        Backend::Sqlite => sqlite(url.unwrap_or(DEFAULT_DATABASE_URL), api_mode),
        Backend::Postgres => postgres(url, ca_file),
    }
}

fn postgres(url: Option<&str>, ca_file: Option<&str>) -> Result<Database, ConfigError> {
    let url = url.ok_or_else(|| {
        refused(
            "DATABASE_URL",
            "is not set while STORE_BACKEND is postgres; it must look like postgres://user:password@host/database",
        )
    })?;
    let url = PostgresUrl::parse(url).map_err(|sentence| refused("DATABASE_URL", sentence))?;
    match ca_file {
        None => Ok(Database::Postgres(url)),
        Some(file) if url.uses_tls() => Ok(Database::Postgres(url.trusting(file))),
        Some(_) => Err(refused(
            "DATABASE_CA_FILE",
            "is set while DATABASE_URL does not ask for TLS: add sslmode=require to it, or unset this",
        )),
    }
}

/// The URL is never repeated: some databases' URLs hold a password.
fn sqlite(url: &str, api_mode: ApiMode) -> Result<Database, ConfigError> {
    let wrong = |what: &str| refused("DATABASE_URL", what);
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return Err(wrong(
            "is no sqlite URL while STORE_BACKEND is sqlite; it must look like sqlite://path/to/file.db?mode=rwc, or like postgres://user:password@host/database with STORE_BACKEND=postgres or unset",
        ));
    };
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = percent::decode(path).ok_or_else(|| wrong("holds a `%` that starts no valid escape"))?;
    if path.is_empty() || path == ":memory:" {
        return Err(wrong("names no file; for a store in memory set STORE_BACKEND=memory instead"));
    }
    let mut mode = "rw";
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("mode", value)) => mode = value,
            _ => return Err(wrong("has a parameter other than mode=rwc, mode=rw or mode=ro")),
        }
    }
    match (mode, api_mode) {
        ("ro", ApiMode::Crud) => Err(wrong("says mode=ro while API_MODE is crud, which writes")),
        ("rwc" | "rw" | "ro", _) => Ok(Database::Sqlite {
            path: PathBuf::from(path),
            create: mode == "rwc" && api_mode == ApiMode::Crud,
        }),
        _ => Err(wrong("has an unknown mode; it must be mode=rwc, mode=rw or mode=ro")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    #[test]
    fn sqlite_urls() {
        for (url, path) in [
            ("sqlite:///var/lib/x.db?mode=rwc", "/var/lib/x.db"),
            ("sqlite://data/x.db", "data/x.db"),
            ("sqlite:x.db", "x.db"),
            ("sqlite://a%20b.db", "a b.db"),
        ] {
            let Ok(Database::Sqlite { path: read, .. }) = sqlite(url, ApiMode::ReadOnly) else {
                panic!("{url}")
            };
            assert_eq!(read, PathBuf::from(path));
        }
    }

    #[test]
    fn postgres_urls() {
        let tls = ("DATABASE_URL", "postgres://u:hunter2@h/db?sslmode=require");
        for pairs in [
            &[tls][..],
            &[tls, ("STORE_BACKEND", "postgres")],
            &[("DATABASE_URL", "postgresql://u:hunter2@one,two:5433/db")],
            &[tls, ("API_MODE", "crud"), ("DATABASE_CA_FILE", "ca.pem")],
        ] {
            let config = read(pairs).unwrap();
            assert!(matches!(config.database, Database::Postgres(_)), "{pairs:?}");
            assert!(!format!("{config:?}").contains("hunter2"));
        }
    }
}
