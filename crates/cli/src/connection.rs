//! Where the API is and with which tokens to speak to it: the flags and variables, checked.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser};

use crate::error::Error;

/// Options every command that speaks to the API takes.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Base URL of the API
    #[arg(long, global = true, env = "FLUX_API_URL", value_name = "URL", alias = "api-url")]
    #[arg(hide_env_values = true)]
    url: Option<String>,

    /// Token for read requests
    #[arg(long, global = true, env = "FLUX_API_TOKEN", value_name = "TOKEN", alias = "api-token")]
    #[arg(hide_env_values = true)]
    token: Option<String>,

    /// Token for write requests, and for reads where no read token is set
    #[arg(long, global = true, env = "FLUX_API_WRITE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    write_token: Option<String>,

    /// Seconds after which a request is given up; ten times that where it is about a whole fleet
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// Which of the two tokens a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// The options of the connection alone.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Alone {
    #[command(flatten)]
    connection: Connection,
}

/// Longer than that nobody waits for a completion.
const COMPLETION_TIMEOUT: u64 = 2;

impl Connection {
    /// From the variables alone, for a shell that waits for a completion.
    pub(crate) fn for_completion() -> Self {
        Connection {
            url: env::var("FLUX_API_URL").ok(),
            token: env::var("FLUX_API_TOKEN").ok(),
            write_token: env::var("FLUX_API_WRITE_TOKEN").ok(),
            timeout: COMPLETION_TIMEOUT,
        }
    }

    /// From the words of a command line of which the rest is not understood yet.
    pub(crate) fn among(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let command = Alone::command();
        let flags: Vec<_> = command
            .get_arguments()
            .flat_map(|arg| arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default()))
            .map(|name| format!("--{name}"))
            .collect();
        let mut own = Vec::new();
        let mut words = words.into_iter().take_while(|word| word != "--");
        while let Some(word) = words.next() {
            let text = word.to_string_lossy().into_owned();
            match text.split_once('=') {
                Some((flag, _)) if flags.iter().any(|known| known == flag) => own.push(word),
                None if flags.contains(&text) => own.extend([Some(word), words.next()].into_iter().flatten()),
                _ => {}
            }
        }
        Ok(Alone::try_parse_from(own)?.connection)
    }

    /// The base URL without a trailing slash.
    pub(crate) fn base_url(&self) -> Result<&str, Error> {
        let url = given(self.url.as_deref()).ok_or_else(|| {
            Error::Usage(
                "FLUX_API_URL is not set; export it or give --url, for example http://127.0.0.1:8080".into(),
            )
        })?;
        check_url(url).map_err(|problem| Error::Usage(format!("FLUX_API_URL (or --url) {problem}")))?;
        Ok(url.trim_end_matches('/'))
    }

    /// The token for a request, and the name of the variable that holds it.
    pub(crate) fn token(&self, access: Access) -> Result<(&str, &'static str), Error> {
        let read = given(self.token.as_deref()).map(|token| (token, "FLUX_API_TOKEN"));
        let write = given(self.write_token.as_deref()).map(|token| (token, "FLUX_API_WRITE_TOKEN"));
        let (token, name) = match access {
            Access::Read => read.or(write).ok_or(("FLUX_API_TOKEN", "--token")),
            Access::Write => write.ok_or(("FLUX_API_WRITE_TOKEN", "--write-token")),
        }
        .map_err(|(name, flag)| Error::Usage(format!("{name} is not set; export it or give {flag}")))?;
        match token.bytes().all(|b| b.is_ascii_graphic()) {
            true => Ok((token, name)),
            false => Err(Error::Usage(format!(
                "{name} holds characters that no token has; check how it was exported"
            ))),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// A variable that is set to nothing is not set; a line break at its end is the shell's.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

fn check_url(url: &str) -> Result<(), &'static str> {
    let uri: ureq::http::Uri =
        url.parse().map_err(|_| "is not a URL; write it like http://127.0.0.1:8080")?;
    match (uri.scheme_str(), uri.authority()) {
        // It would be shown in messages, and the API knows bearer tokens only.
        (_, Some(authority)) if authority.as_str().contains('@') => Err("must not hold a user or password"),
        (Some("http" | "https"), Some(_)) if uri.query().is_none() => Ok(()),
        (Some("http" | "https"), Some(_)) => Err("must end before any '?'"),
        _ => Err("must begin with http:// or https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(url: &str, token: &str, write_token: &str) -> Connection {
        let some = |text: &str| Some(text.to_owned());
        Connection { url: some(url), token: some(token), write_token: some(write_token), timeout: 1 }
    }

    #[track_caller]
    fn check_token(token: &str, write: &str, access: Access, expected: Result<&str, &str>) {
        match (connection("", token, write).token(access), expected) {
            (Ok((token, _)), Ok(expected)) => assert_eq!(token, expected),
            (Err(Error::Usage(said)), Err(name)) => assert!(said.starts_with(name), "{said}"),
            (other, _) => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_access_has_its_token() {
        check_token("r", "w", Access::Read, Ok("r"));
        check_token("r", "w", Access::Write, Ok("w"));
        check_token("", "w", Access::Read, Ok("w"));
        check_token("r\n", "", Access::Read, Ok("r"));
        check_token("", "", Access::Read, Err("FLUX_API_TOKEN is not set"));
        check_token("r", "", Access::Write, Err("FLUX_API_WRITE_TOKEN is not set"));
        check_token("a b", "", Access::Read, Err("FLUX_API_TOKEN holds characters"));
    }

    #[track_caller]
    fn check_base(url: &str, expected: Result<&str, &str>) {
        match (connection(url, "", "").base_url(), expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url, expected),
            (Err(Error::Usage(said)), Err(part)) => assert!(said.contains(part), "{said}"),
            (other, _) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_options_are_found_among_other_words() {
        let words = "np create a --set url=x --api-url http://a --token=t -o json -- --url http://b";
        let connection = Connection::among(words.split(' ').map(OsString::from)).unwrap();
        assert_eq!(connection.base_url().unwrap(), "http://a");
        assert_eq!(connection.token(Access::Read).unwrap().0, "t");
        assert!(Connection::among(["--timeout", "x"].map(OsString::from)).is_err());
    }

    #[test]
    fn the_url_is_checked_before_it_is_used() {
        check_base("http://127.0.0.1:8080/", Ok("http://127.0.0.1:8080"));
        check_base("https://flux.example/api", Ok("https://flux.example/api"));
        check_base("  ", Err("FLUX_API_URL is not set"));
        check_base("127.0.0.1:8080", Err("http"));
        check_base("ftp://a", Err("must begin with http:// or https://"));
        check_base("http://u:p@a", Err("must not hold a user"));
        check_base("http://a?x=1", Err("'?'"));
    }
}
