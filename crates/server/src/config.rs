//! What the environment says the server is to do, read once at start. Apart, so that nothing else
//! reads variables and every impossible value is refused by one sentence that names its variable.

mod database;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use database::Database;

/// Below this hyper cannot buffer a request's head.
const LEAST_HEADER_BYTES: usize = 8 * 1024;

/// The variables of a process, by name. `None` as a value: it is set, and is not UTF-8.
pub type Variables = BTreeMap<String, Option<String>>;

/// Why the environment cannot be followed: one sentence that names the variable, never a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Which routes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiMode {
    /// Polls and service endpoints.
    ReadOnly,
    /// Documents too.
    Crud,
}

impl ApiMode {
    /// As `API_MODE` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            ApiMode::ReadOnly => "read-only",
            ApiMode::Crud => "crud",
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A bearer token. Its `Debug` shows nothing, so that no log line ever holds one.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token itself.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What one connection or request may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `MAX_BODY_BYTES`, default 4 MiB.
    pub body_bytes: usize,
    /// `MAX_BULK_BYTES`, default 64 MiB: a body that holds many changes, or a whole fleet.
    pub bulk_bytes: usize,
    /// `MAX_HEADER_BYTES`, default 32 KiB; the request line counts.
    pub header_bytes: usize,
    /// `MAX_CONNECTIONS`, default 1024; further ones wait to be accepted.
    pub connections: usize,
    /// `HEADER_TIMEOUT`, default 10 s; how long a kept-alive connection may be idle, too.
    pub header_timeout: Duration,
    /// `BODY_TIMEOUT`, default 30 s, for a body as a whole.
    pub body_timeout: Duration,
    /// `WRITE_TIMEOUT`, default 30 s: how long a client may take none of an answer.
    pub write_timeout: Duration,
    /// `DRAIN_TIMEOUT`, default 20 s: below the 30 s that Kubernetes gives a pod to end.
    pub drain_timeout: Duration,
}

/// Everything that the environment decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `API_MODE`: `read-only` (default) or `crud`.
    pub api_mode: ApiMode,
    /// `STORE_BACKEND`, `DATABASE_URL` and `DATABASE_CA_FILE`.
    pub database: Database,
    /// `AUTH_TOKEN`, the principal `reader`: reads everything current. Absent only beside `TOKENS_FILE`.
    pub read_token: Option<Token>,
    /// `CRUD_AUTH_TOKEN`, the principal `writer`: may do everything. Absent in crud mode without
    /// `TOKENS_FILE`: the read token is this one too. Beside `TOKENS_FILE` it never is, whatever the file
    /// holds at the moment: else taking the last write token out of the file would let every cluster write.
    pub write_token: Option<Token>,
    /// `TOKENS_FILE`: further tokens, each with a name of its own; looked at again while the server runs.
    pub tokens_file: Option<PathBuf>,
    /// `SEED_FILE`: fills an empty store. No default.
    pub seed_file: Option<PathBuf>,
    /// `OPENAPI_FILE`: served at `/openapi.yaml` instead of the document made from the routes.
    pub openapi_file: Option<PathBuf>,
    /// `LISTEN_ADDR`, default `0.0.0.0:8080`.
    pub listen: String,
    /// `ENVIRONMENTS`: what a cluster's `environment` may be.
    pub environments: Vec<String>,
    /// `PROTECTED_ENVIRONMENTS`, default `prod`; the word `none` for none, since empty means unset.
    pub protected_environments: Vec<String>,
    /// `REQUIRE_REASON`, default false: whether each write must say why.
    pub require_reason: bool,
    /// `REMOVAL_LIMIT`, default 10: on more clusters a destructive write needs a confirmation.
    pub removal_limit: usize,
    /// `HISTORY_DAYS`: how long the history is kept; absent, for ever.
    pub history_days: Option<u32>,
    /// `MAX_STALENESS`, default 60 s: how old the proof may be that what a poll gets is the head.
    pub max_staleness: Duration,
    /// `SNAPSHOT_FILE`: what this process remembers across restarts. No default.
    pub snapshot_file: Option<PathBuf>,
    /// `SERVE_STALE`, default false: whether polls are answered while the store is away.
    pub serve_stale: bool,
    /// Bounds on what clients may take.
    pub limits: Limits,
    /// `RUST_LOG`, default `info`.
    pub log_filter: String,
    /// `LOG_FORMAT`: `text` (default) or `json`.
    pub log_format: LogFormat,
    /// What can be, and is probably not meant: sentences for the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the process's own environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(&from_env())
    }

    /// Reads `variables`.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let vars = Reader { variables };
        let api_mode =
            vars.one_of("API_MODE", &[ApiMode::ReadOnly, ApiMode::Crud].map(|mode| (mode.as_str(), mode)))?;
        let read_token = vars.token("AUTH_TOKEN")?;
        let tokens_file = vars.text("TOKENS_FILE")?.map(PathBuf::from);
        if read_token.is_none() && tokens_file.is_none() {
            return Err(refused(
                "AUTH_TOKEN",
                "is not set, nor is TOKENS_FILE: one of them holds the token that reads need",
            ));
        }
        let environments = environments(&vars)?;
        let mut warnings = Vec::new();
        Ok(Config {
            api_mode,
            database: database::read(&vars, api_mode)?,
            read_token,
            write_token: vars.token("CRUD_AUTH_TOKEN")?,
            tokens_file,
            seed_file: vars.text("SEED_FILE")?.map(PathBuf::from),
            openapi_file: vars.text("OPENAPI_FILE")?.map(PathBuf::from),
            listen: listen(&vars)?,
            protected_environments: protected_environments(&vars, &environments, &mut warnings)?,
            environments,
            require_reason: vars.one_of("REQUIRE_REASON", &[("false", false), ("true", true)])?,
            removal_limit: vars.count("REMOVAL_LIMIT", 10, 0)?,
            history_days: history_days(&vars)?,
            max_staleness: vars.duration("MAX_STALENESS", Duration::from_secs(60))?,
            snapshot_file: snapshot_file(&vars)?,
            serve_stale: vars.one_of("SERVE_STALE", &[("false", false), ("true", true)])?,
            limits: limits(&vars)?,
            log_filter: vars.text("RUST_LOG")?.unwrap_or("info").to_owned(),
            log_format: vars.one_of("LOG_FORMAT", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
            warnings,
        })
    }

    /// Whether `AUTH_TOKEN` writes: because `CRUD_AUTH_TOKEN` is the same, or because there is no other way.
    pub fn reader_may_write(&self) -> bool {
        match &self.write_token {
            _ if self.api_mode == ApiMode::ReadOnly => false,
            Some(write) => self.read_token.as_ref() == Some(write),
            None => self.tokens_file.is_none(),
        }
    }
}

impl Database {
    /// What the process's own environment says of the store, for a process in `api_mode`, and of nothing else.
    pub fn from_env(api_mode: ApiMode) -> Result<Self, ConfigError> {
        database::read(&Reader { variables: &from_env() }, api_mode)
    }
}

fn from_env() -> Variables {
    let variables = std::env::vars_os();
    variables.map(|(key, value)| (key.to_string_lossy().into_owned(), value.into_string().ok())).collect()
}

fn refused(name: &str, what: impl std::fmt::Display) -> ConfigError {
    ConfigError(format!("{name} {what}"))
}

struct Reader<'a> {
    variables: &'a Variables,
}

impl<'a> Reader<'a> {
    /// An empty value counts as unset: that is what a template with nothing to fill in leaves.
    fn text(&self, name: &str) -> Result<Option<&'a str>, ConfigError> {
        match self.variables.get(name) {
            None => Ok(None),
            Some(None) => Err(refused(name, "is not valid UTF-8")),
            Some(Some(text)) if text.is_empty() => Ok(None),
            Some(Some(text)) => Ok(Some(text)),
        }
    }

    fn one_of<T: Copy>(&self, name: &str, values: &[(&str, T)]) -> Result<T, ConfigError> {
        let Some(text) = self.text(name)? else { return Ok(values[0].1) };
        let known: Vec<_> = values.iter().map(|(known, _)| *known).collect();
        let found = values.iter().find(|(known, _)| *known == text);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| refused(name, format!("is `{text}`; it must be {}", known.join(" or "))))
    }

    /// Unlike other variables an empty token is refused: it was meant to be one.
    fn token(&self, name: &str) -> Result<Option<Token>, ConfigError> {
        if let Some(Some(text)) = self.variables.get(name)
            && text.is_empty()
        {
            return Err(refused(name, "is empty"));
        }
        let Some(text) = self.text(name)? else { return Ok(None) };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused(name, "holds white space or characters that an HTTP header cannot carry"));
        }
        Ok(Some(Token(text.to_owned())))
    }

    fn duration(&self, name: &str, default: Duration) -> Result<Duration, ConfigError> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        parse_duration(text).ok_or_else(|| {
            refused(name, format!("is `{text}`; it must be a time above zero such as 60s, 500ms or 2m"))
        })
    }

    fn count(&self, name: &str, default: usize, least: usize) -> Result<usize, ConfigError> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        let parsed = text.parse().ok().filter(|value| *value >= least);
        parsed.ok_or_else(|| {
            refused(name, format!("is `{text}`; it must be a whole number of at least {least}"))
        })
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => number,
        "" | "s" => number.checked_mul(1_000)?,
        "m" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        _ => return None,
    };
    // A century is beyond any meaning, and keeps all arithmetic on instants in range.
    (1..=3_155_760_000_000).contains(&milliseconds).then(|| Duration::from_millis(milliseconds))
}

fn listen(vars: &Reader<'_>) -> Result<String, ConfigError> {
    let text = vars.text("LISTEN_ADDR")?.unwrap_or("0.0.0.0:8080");
    let port =
        text.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
    match port {
        Some(_) => Ok(text.to_owned()),
        None => Err(refused(
            "LISTEN_ADDR",
            format!("is `{text}`; it must be an address and a port such as 0.0.0.0:8080"),
        )),
    }
}

fn environments(vars: &Reader<'_>) -> Result<Vec<String>, ConfigError> {
    let name = "ENVIRONMENTS";
    match vars.text(name)? {
        Some(text) => labels(name, text),
        None => Ok(flux_resourceset_model::Rules::default().environments),
    }
}

/// An environment that is not in `known` protects nothing: a slip where somebody wrote it, and no news
/// where it is the default that a fleet without it has.
fn protected_environments(
    vars: &Reader<'_>,
    known: &[String],
    warnings: &mut Vec<String>,
) -> Result<Vec<String>, ConfigError> {
    let name = "PROTECTED_ENVIRONMENTS";
    let list = match vars.text(name)? {
        None => return Ok(flux_resourceset_model::Rules::default().protected_environments),
        Some("none") => return Ok(Vec::new()),
        Some(text) => labels(name, text)?,
    };
    for stranger in list.iter().filter(|protected| !known.contains(protected)) {
        warnings.push(format!("{name} holds `{stranger}`, which ENVIRONMENTS does not: it protects nothing"));
    }
    Ok(list)
}

/// The labels in a comma-separated list.
fn labels(name: &str, text: &str) -> Result<Vec<String>, ConfigError> {
    let mut list: Vec<String> = Vec::new();
    for environment in text.split(',').map(str::trim) {
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edges = !environment.starts_with('-') && !environment.ends_with('-');
        if environment.is_empty() || environment.len() > 63 || !environment.chars().all(label) || !edges {
            return Err(refused(
                name,
                format!("holds `{environment}`, which is no lowercase label such as dev or pre-prod"),
            ));
        }
        if list.iter().any(|known| known == environment) {
            return Err(refused(name, format!("names `{environment}` twice")));
        }
        list.push(environment.to_owned());
    }
    Ok(list)
}

fn history_days(vars: &Reader<'_>) -> Result<Option<u32>, ConfigError> {
    let name = "HISTORY_DAYS";
    let Some(text) = vars.text(name)? else { return Ok(None) };
    // A century is beyond any meaning, and keeps all arithmetic on dates in range.
    let days = text.parse().ok().filter(|days| (1..=36_500).contains(days));
    days.map(Some).ok_or_else(|| {
        refused(name, format!("is `{text}`; it must be a whole number of days from 1 to 36500, or unset"))
    })
}

/// A store in memory is another one after each start: what is remembered of it would always be in its way.
fn snapshot_file(vars: &Reader<'_>) -> Result<Option<PathBuf>, ConfigError> {
    let name = "SNAPSHOT_FILE";
    let path = vars.text(name)?.map(PathBuf::from);
    if path.is_some() && vars.text("STORE_BACKEND")? == Some("memory") {
        return Err(refused(name, "is set while STORE_BACKEND is memory, which no restart leaves: unset it"));
    }
    Ok(path)
}

fn limits(vars: &Reader<'_>) -> Result<Limits, ConfigError> {
    Ok(Limits {
        body_bytes: vars.count("MAX_BODY_BYTES", 4 * 1024 * 1024, 1)?,
        bulk_bytes: vars.count("MAX_BULK_BYTES", 64 * 1024 * 1024, 1)?,
        header_bytes: vars.count("MAX_HEADER_BYTES", 32 * 1024, LEAST_HEADER_BYTES)?,
        connections: vars.count("MAX_CONNECTIONS", 1024, 1)?,
        header_timeout: vars.duration("HEADER_TIMEOUT", Duration::from_secs(10))?,
        body_timeout: vars.duration("BODY_TIMEOUT", Duration::from_secs(30))?,
        write_timeout: vars.duration("WRITE_TIMEOUT", Duration::from_secs(30))?,
        drain_timeout: vars.duration("DRAIN_TIMEOUT", Duration::from_secs(20))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let mut variables = Variables::from([("AUTH_TOKEN".to_owned(), Some("r".to_owned()))]);
        variables.extend(pairs.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))));
        Config::read(&variables).map_err(|error| error.0)
    }

    #[test]
    fn defaults() {
        let config = read(&[]).unwrap();
        assert_eq!(config.api_mode, ApiMode::ReadOnly);
        let path = PathBuf::from("data/flux-resourceset.db");
        assert_eq!(config.database, Database::Sqlite { path: path.clone(), create: false });
        assert_eq!(config.listen, "0.0.0.0:8080");
        assert_eq!(config.environments, ["dev", "qa", "uat", "prod"]);
        assert_eq!(config.max_staleness, Duration::from_secs(60));
        assert_eq!((config.limits.body_bytes, config.limits.bulk_bytes), (4 << 20, 64 << 20));
        assert_eq!(config.protected_environments, ["prod"]);
        assert_eq!((config.require_reason, config.removal_limit, config.history_days), (false, 10, None));
        assert_eq!((&config.tokens_file, config.warnings.len()), (&None, 0));
        assert!(!config.reader_may_write(), "there is nothing to write");
        assert_eq!(config.limits.write_timeout, Duration::from_secs(30));
        assert_eq!(config.log_filter, "info");
        assert_eq!((config.seed_file, config.openapi_file, config.write_token), (None, None, None));
        assert_eq!((config.snapshot_file, config.serve_stale), (None, false));
        let crud = read(&[("API_MODE", "crud")]).unwrap();
        assert_eq!(crud.database, Database::Sqlite { path, create: true });
        assert!(crud.reader_may_write());
        assert!(!read(&[("API_MODE", "crud"), ("CRUD_AUTH_TOKEN", "w")]).unwrap().reader_may_write());
        assert!(read(&[("API_MODE", "crud"), ("CRUD_AUTH_TOKEN", "r")]).unwrap().reader_may_write());
    }

    #[test]
    fn beside_a_tokens_file() {
        let file = ("TOKENS_FILE", "tokens.yaml");
        let config = read(&[("API_MODE", "crud"), file]).unwrap();
        assert_eq!(config.tokens_file, Some(PathBuf::from("tokens.yaml")));
        assert!(!config.reader_may_write(), "whoever may write is in the file");
        assert!(read(&[("API_MODE", "crud"), file, ("CRUD_AUTH_TOKEN", "r")]).unwrap().reader_may_write());
        let alone = Variables::from([(file.0.to_owned(), Some(file.1.to_owned()))]);
        assert_eq!(Config::read(&alone).unwrap().read_token, None);
    }

    #[test]
    fn how_a_fleet_is_operated() {
        let config = read(&[
            ("PROTECTED_ENVIRONMENTS", "prod, uat"),
            ("REQUIRE_REASON", "true"),
            ("REMOVAL_LIMIT", "0"),
            ("HISTORY_DAYS", "90"),
            ("MAX_BULK_BYTES", "1000"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.protected_environments, ["prod", "uat"]);
        assert_eq!((config.require_reason, config.removal_limit), (true, 0));
        assert_eq!((config.history_days, config.limits.bulk_bytes), (Some(90), 1000));
        assert!(config.warnings.is_empty());
    }

    #[test]
    fn what_is_protected() {
        let protected = |written: &str, environments: &str| {
            let config = read(&[("PROTECTED_ENVIRONMENTS", written), ("ENVIRONMENTS", environments)]);
            config.map(|config| (config.protected_environments, config.warnings.len())).unwrap()
        };
        let live = || vec!["live".to_owned()];
        assert_eq!(protected("none", ""), (vec![], 0));
        assert_eq!(protected("", "dev,live"), (vec!["prod".to_owned()], 0));
        assert_eq!(protected("live", "dev,live"), (live(), 0));
        assert_eq!(protected("live", ""), (live(), 1));
    }

    #[test]
    fn every_impossible_value_names_its_variable_in_one_line() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("API_MODE", &[("API_MODE", "write")]),
            ("AUTH_TOKEN", &[("AUTH_TOKEN", "")]),
            ("AUTH_TOKEN", &[("AUTH_TOKEN", "se cret")]),
            ("AUTH_TOKEN", &[("AUTH_TOKEN", "secret\n")]),
            ("CRUD_AUTH_TOKEN", &[("CRUD_AUTH_TOKEN", "")]),
            ("CRUD_AUTH_TOKEN", &[("CRUD_AUTH_TOKEN", "sécret")]),
            ("STORE_BACKEND", &[("STORE_BACKEND", "mysql")]),
            ("DATABASE_URL", &[("STORE_BACKEND", "postgres")]),
            ("DATABASE_URL", &[("STORE_BACKEND", "postgres"), ("DATABASE_URL", "sqlite://a.db")]),
            ("DATABASE_URL", &[("STORE_BACKEND", "sqlite"), ("DATABASE_URL", "postgres://u:secret@h/db")]),
            ("DATABASE_URL", &[("STORE_BACKEND", "memory"), ("DATABASE_URL", "postgres://u:secret@h/db")]),
            ("DATABASE_URL", &[("STORE_BACKEND", "memory"), ("DATABASE_URL", "sqlite://a.db")]),
            ("DATABASE_URL", &[("DATABASE_URL", "postgres://u:secret@h")]),
            ("DATABASE_URL", &[("DATABASE_URL", "postgres://u:secret@h/db?sslmode=prefer")]),
            ("DATABASE_URL", &[("DATABASE_URL", "postgres://u:secret@h/db?password=secret&mode=rwc")]),
            ("DATABASE_URL", &[("DATABASE_URL", "mysql://u:secret@h/db")]),
            ("DATABASE_URL holds white space", &[("DATABASE_URL", "postgres://u:secret@h/db\n")]),
            ("DATABASE_URL holds white space", &[("DATABASE_URL", "postgres://u:sec ret@h/db")]),
            ("DATABASE_URL holds white space", &[("DATABASE_URL", "sqlite://a.db\u{7}")]),
            ("DATABASE_URL has the parameter mode", &[("DATABASE_URL", "postgres://u:secret@h/db?mode=rwc")]),
            ("DATABASE_CA_FILE", &[("DATABASE_CA_FILE", "ca.pem")]),
            (
                "DATABASE_CA_FILE",
                &[("DATABASE_CA_FILE", "ca.pem"), ("DATABASE_URL", "postgres://u:secret@h/db")],
            ),
            ("DATABASE_URL", &[("DATABASE_URL", "sqlite://a.db?mode=rx")]),
            ("DATABASE_URL", &[("DATABASE_URL", "sqlite://a.db?cache=shared")]),
            ("DATABASE_URL", &[("DATABASE_URL", "sqlite://a%zz.db")]),
            ("DATABASE_URL", &[("DATABASE_URL", "sqlite::memory:")]),
            ("DATABASE_URL", &[("DATABASE_URL", "sqlite://a.db?mode=ro"), ("API_MODE", "crud")]),
            ("LISTEN_ADDR", &[("LISTEN_ADDR", "8080")]),
            ("LISTEN_ADDR", &[("LISTEN_ADDR", "0.0.0.0:99999")]),
            ("ENVIRONMENTS", &[("ENVIRONMENTS", "dev,,prod")]),
            ("ENVIRONMENTS", &[("ENVIRONMENTS", "dev,dev")]),
            ("ENVIRONMENTS", &[("ENVIRONMENTS", "Dev")]),
            ("PROTECTED_ENVIRONMENTS", &[("PROTECTED_ENVIRONMENTS", "prod,")]),
            ("PROTECTED_ENVIRONMENTS", &[("PROTECTED_ENVIRONMENTS", "prod,prod")]),
            ("PROTECTED_ENVIRONMENTS", &[("PROTECTED_ENVIRONMENTS", "PROD")]),
            ("REQUIRE_REASON", &[("REQUIRE_REASON", "yes")]),
            ("REMOVAL_LIMIT", &[("REMOVAL_LIMIT", "-1")]),
            ("REMOVAL_LIMIT", &[("REMOVAL_LIMIT", "off")]),
            ("HISTORY_DAYS", &[("HISTORY_DAYS", "0")]),
            ("HISTORY_DAYS", &[("HISTORY_DAYS", "30d")]),
            ("HISTORY_DAYS", &[("HISTORY_DAYS", "4000000000")]),
            ("MAX_BULK_BYTES", &[("MAX_BULK_BYTES", "0")]),
            ("MAX_BULK_BYTES", &[("MAX_BULK_BYTES", "64M")]),
            ("SNAPSHOT_FILE", &[("SNAPSHOT_FILE", "x"), ("STORE_BACKEND", "memory")]),
            ("SERVE_STALE", &[("SERVE_STALE", "yes")]),
            ("MAX_STALENESS", &[("MAX_STALENESS", "soon")]),
            ("MAX_STALENESS", &[("MAX_STALENESS", "0s")]),
            ("MAX_STALENESS", &[("MAX_STALENESS", "99999999999999999999")]),
            ("MAX_BODY_BYTES", &[("MAX_BODY_BYTES", "0")]),
            ("MAX_HEADER_BYTES", &[("MAX_HEADER_BYTES", "100")]),
            ("MAX_CONNECTIONS", &[("MAX_CONNECTIONS", "-1")]),
            ("HEADER_TIMEOUT", &[("HEADER_TIMEOUT", "1d")]),
            ("BODY_TIMEOUT", &[("BODY_TIMEOUT", "")]),
            ("WRITE_TIMEOUT", &[("WRITE_TIMEOUT", "0")]),
            ("LOG_FORMAT", &[("LOG_FORMAT", "xml")]),
        ];
        for (name, pairs) in cases {
            match read(pairs) {
                Err(sentence) => {
                    assert!(sentence.starts_with(name), "{pairs:?}: {sentence}");
                    assert!(!sentence.contains('\n') && !sentence.contains("cret"), "{sentence}");
                }
                // Empty means unset, for all but tokens.
                Ok(_) => assert_eq!(pairs[0].1, "", "{pairs:?} was accepted"),
            }
        }
        assert!(Config::read(&Variables::new()).unwrap_err().0.starts_with("AUTH_TOKEN is not set"));
        let not_utf8 = Variables::from([("AUTH_TOKEN".to_owned(), None)]);
        assert!(Config::read(&not_utf8).unwrap_err().0.starts_with("AUTH_TOKEN"));
    }

    #[test]
    fn durations() {
        for (text, milliseconds) in
            [("60s", 60_000), ("500ms", 500), ("2m", 120_000), ("7", 7_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "1 s", "0"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        assert!(!format!("{:?}", read(&[("AUTH_TOKEN", "hunter2")]).unwrap()).contains("hunter2"));
    }
}
