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

/// What the driver understands, beside `sslmode`. Another one is told by its name, which the driver does not do.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

const LOOKS: &str = "is no URL of PostgreSQL that can be understood; it must look like \
                     postgres://user:password@host:5432/database?sslmode=require, with anything but letters \
                     and digits in a name or password as %XX";
const AT: &str =
    "holds an `@` that parts no user from a host; in a name, a password or a parameter it is written as %40";

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
    /// The rest of a sentence that begins with the name of the variable, and repeats nothing of the URL but the
    /// name of a parameter.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(LOOKS.to_owned());
        }
        // The driver takes what follows the first for a host, which is shown: a part of a password, maybe.
        if rest.matches('@').count() > 1 {
            return Err(AT.to_owned());
        }
        let address = rest.find('@').map_or(0, |at| at + 1);
        let query = rest[address..].find('?').map_or(rest.len(), |mark| address + mark);
        let (place, query) = rest.split_at(query);
        check_ports(&place[address..])?;
        let (query, tls) = parameters(query.strip_prefix('?').unwrap_or_default())?;
        let mut config: Config = format!("{scheme}://{place}?{query}").parse().map_err(|_| LOOKS)?;
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

/// Refuses what stands in the place of a port and is none. `address` is the hosts and the database.
fn check_ports(address: &str) -> Result<(), &'static str> {
    let hosts = address.split('/').next().unwrap_or_default();
    for host in hosts.split(',') {
        // The `:` of an address of IPv6 stand in brackets.
        let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
        if after.split_once(':').is_some_and(|(_, port)| !port.is_empty() && port.parse::<u16>().is_err()) {
            return Err("has a port that is no number up to 65535; it must look like \
                        postgres://user:password@host:5432/database, with an address of IPv6 in [ ]");
        }
    }
    Ok(())
}

/// The parameters as the driver takes them, and what they say of TLS.
fn parameters(query: &str) -> Result<(String, SslMode), String> {
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    let mut tls = SslMode::Disable;
    for pair in &mut pairs {
        // What looks like no name may be a part of something else.
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| is_name(name)) else {
            return Err("has a parameter that is none; it must look like ?sslmode=require".to_owned());
        };
        match (name, value) {
            ("sslmode", "disable") => {}
            ("sslmode", "require") => tls = SslMode::Require,
            ("sslmode", "verify-full") => (*pair, tls) = ("sslmode=require", SslMode::Require),
            ("sslmode", _) => {
                let sentence = "has an unknown sslmode; it must be sslmode=require, which verifies the server's \
                                certificate and name, or sslmode=disable";
                return Err(sentence.to_owned());
            }
            ("sslrootcert", _) => {
                let sentence = "has the parameter sslrootcert, which is not known here: authorities to trust go into \
                                DATABASE_CA_FILE";
                return Err(sentence.to_owned());
            }
            _ if !PARAMETERS.contains(&name) => {
                return Err(format!("has the parameter {name}, which is not known here: leave it out"));
            }
            // By itself: what is wrong then is this one.
            _ if format!("postgres://?{pair}").parse::<Config>().is_err() => {
                return Err(format!("has the parameter {name} with a value that it cannot have"));
            }
            _ => {}
        }
    }
    Ok((pairs.join("&"), tls))
}

fn check(config: &Config) -> Result<(), &'static str> {
    let holds_at = |host: &Host| matches!(host, Host::Tcp(name) if name.contains('@'));
    if config.get_hosts().iter().any(holds_at) {
        return Err(AT);
    }
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
            "postgres://u:secret@host/db?SECRET=1",
            "postgres://u:to@secret@host/db",
            "postgres://u:to@secret/a@host/db",
            "postgres://u:to@secret?b=c@host/db",
            "postgres://u:to@secret%40host/db",
            "postgres://u:secret/db",
            "postgres://u:secret@host/db?secret",
            "postgres://u:secret@host/db?target_session_attrs=read-only",
            "postgres://u:secret@one:1,two:2,three:3/db?port=4",
            "mysql://u:secret@host/db",
        ] {
            let sentence = PostgresUrl::parse(text).unwrap_err();
            assert!(
                !sentence.to_lowercase().contains("secret") && !sentence.contains('\n'),
                "{text}: {sentence}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("postgres://fleet:top@se@cret@127.0.0.1/fleet", "%40"),
            ("postgres://fleet@db/fleet?application_name=a@b", "%40"),
            ("postgres://u:p@host/db?sslrootcert=/x", "sslrootcert, which is not known here: authorities"),
            (
                "postgres://u:p@host/db?sslmode=require&sslcert=/x",
                "the parameter sslcert, which is not known",
            ),
            ("postgres://u:p@host/db?connect_timeout=soon", "the parameter connect_timeout with a value"),
            ("postgres://u:p@host/db?port=1,x", "the parameter port with a value"),
            ("postgres://u:p@host/db?sslmode", "a parameter that is none"),
            ("postgres://u:p@host:54321x/db", "a port that is no number"),
            ("postgres://u:p@one:1,two:70000/db", "a port that is no number"),
            ("postgres://u:p@::1/db", "IPv6 in [ ]"),
        ] {
            let sentence = PostgresUrl::parse(text).unwrap_err();
            assert!(sentence.contains(named), "{text}: {sentence}");
        }
        for text in [
            "postgres://u:a?b/c@[::1]:5432,two/db",
            "postgres://u@host:/db?options=-c%20geqo%3Doff&application_name=a%40b?c",
        ] {
            PostgresUrl::parse(text).unwrap();
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let url = PostgresUrl::parse("postgres://u:hunter2@host/db?sslmode=require").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
