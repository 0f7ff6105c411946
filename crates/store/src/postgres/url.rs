//! What a `DATABASE_URL` of PostgreSQL says: read once, strictly, and never shown with its password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// How long the server may take to accept a connection, unless the URL says otherwise.
const CONNECT: Duration = Duration::from_secs(5);
/// How long what was sent may stay unacknowledged, and how long a silent connection may be a dead one.
const SILENCE: Duration = Duration::from_secs(15);

/// Where a PostgreSQL database is, and how it is reached. Its `Debug` and all that is made of it for people
/// leave the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    config: Box<Config>,
    ca_file: Option<PathBuf>,
}

impl PostgresUrl {
    /// Reads `postgres://user:password@host:port/database?sslmode=require`.
    ///
    /// Several hosts, parted by commas, are tried in turn, and only one that takes writes is used.
    /// `sslmode` is `disable`, which is meant where there is none, or `require`, or `verify-full`, which is
    /// the same here: where TLS is used the server's certificate and name are always verified.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the name of the variable, and repeats nothing of the URL.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const LOOKS: &str = "is no URL of PostgreSQL that can be understood; it must look like \
                             postgres://user:password@host:5432/database?sslmode=require, with anything but letters \
                             and digits in a name or password as %XX";
        if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
            return Err(LOOKS);
        }
        let (place, query) = text.rsplit_once('?').unwrap_or((text, ""));
        let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        let mut tls = SslMode::Disable;
        for pair in &mut pairs {
            match pair.split_once('=') {
                Some(("sslmode", "disable")) => {}
                Some(("sslmode", "require")) => tls = SslMode::Require,
                Some(("sslmode", "verify-full")) => (*pair, tls) = ("sslmode=require", SslMode::Require),
                Some(("sslmode", _)) => {
                    return Err(
                        "has an unknown sslmode; it must be sslmode=require, which verifies the server's \
                                certificate and name, or sslmode=disable",
                    );
                }
                _ => {}
            }
        }
        let text = format!("{place}?{}", pairs.join("&"));
        let mut config: Config = text.parse().map_err(|_| LOOKS)?;
        config.ssl_mode(tls);
        check(&config)?;
        set_defaults(&mut config);
        Ok(PostgresUrl { config: Box::new(config), ca_file: None })
    }

    /// The same, trusting the certificate authorities in `file` (PEM) and no others.
    pub fn trusting(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Whether the connection is encrypted.
    pub fn uses_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// The database, as errors and logs name it.
    pub(super) fn place(&self) -> String {
        let database = self.config.get_dbname().unwrap_or_default();
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        };
        let mut hosts: Vec<String> = self.config.get_hosts().iter().map(host).collect();
        for (host, port) in hosts.iter_mut().zip(self.config.get_ports()) {
            host.push_str(&format!(":{port}"));
        }
        format!("database {database} at {}", hosts.join(","))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        f.debug_struct("PostgresUrl").field("place", &place).field("ca_file", &self.ca_file).finish()
    }
}

fn check(config: &Config) -> Result<(), &'static str> {
    if config.get_hosts().is_empty() {
        return Err("names no host: put one after postgres://");
    }
    if config.get_dbname().is_none_or(str::is_empty) {
        return Err("names no database: put its name after the host, as in postgres://host/database");
    }
    if config.get_target_session_attrs() == TargetSessionAttrs::ReadOnly {
        return Err("asks for a server that only reads (target_session_attrs), which lags behind the head: \
                    leave that out");
    }
    let addresses = config.get_hostaddrs().len();
    let (hosts, ports) = (config.get_hosts().len(), config.get_ports().len());
    if (addresses > 0 && addresses != hosts) || (ports > 1 && ports != hosts) {
        return Err(
            "names more or fewer ports or addresses than hosts: give each host its own, or all one port",
        );
    }
    Ok(())
}

fn set_defaults(config: &mut Config) {
    if config.get_hosts().len() > 1 {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_idle(SILENCE).keepalives_interval(SILENCE / 3).keepalives_retries(3);
    }
    if config.get_application_name().is_none() {
        config.application_name("flux-resourceset");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_says() {
        let read = |text: &str| PostgresUrl::parse(text).unwrap();
        let plain = read("postgres://fleet:p%40ss@db.example.com/fleet");
        assert_eq!(plain.place(), "database fleet at db.example.com:5432");
        assert!(!plain.uses_tls());
        assert_eq!(plain.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(plain.config.get_target_session_attrs(), TargetSessionAttrs::Any);
        for mode in ["require", "verify-full"] {
            let tls = read(&format!("postgresql://db/fleet?application_name=x&sslmode={mode}"));
            assert!(tls.uses_tls());
            assert_eq!(tls.config.get_application_name(), Some("x"));
        }
        let two = read("postgres://u@one:5432,two:5433/fleet?connect_timeout=1");
        assert_eq!(two.place(), "database fleet at one:5432,two:5433");
        assert_eq!(two.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(two.config.get_connect_timeout(), Some(&Duration::from_secs(1)));
        assert_eq!(read("postgres://u@%2Frun%2Fpg:5432/fleet").place(), "database fleet at /run/pg:5432");
    }

    #[test]
    fn what_cannot_be_is_refused_without_being_repeated() {
        for text in [
            "postgres://",
            "postgres:///secret",
            "postgres://u:secret@host",
            "postgres://u:secret@host/",
            "postgres://u:secret@host:port/secret",
            "postgres://u:secret@host/db?sslmode=prefer",
            "postgres://u:secret@host/db?sslmode=verify-ca",
            "postgres://u:secret@host/db?sslmode=secret",
            "postgres://u:secret@host/db?secret=1",
            "postgres://u:secret@host/db?secret",
            "postgres://u:secret@host/db?target_session_attrs=read-only",
            "postgres://u:secret@one:1,two:2,three:3/db?port=4",
            "mysql://u:secret@host/db",
        ] {
            let sentence = PostgresUrl::parse(text).unwrap_err();
            assert!(!sentence.contains("secret@") && !sentence.contains('\n'), "{text}: {sentence}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let url = PostgresUrl::parse("postgres://u:hunter2@host/db?sslmode=require").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
