//! TOKENS_FILE: named tokens, taken up again whenever the file's content changes. A file with an error
//! changes nothing but the log and a metric: a slip of a hand must not lock a fleet out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::{Error, Location, MergeKeyPolicy, Spanned};
use tokio::task::spawn_blocking;

use crate::auth::{Access, Principal};
use crate::tokens::{Fingerprint, READER, Token, Tokens, WRITER};

/// The content is looked at, not the file's time or number: Kubernetes swaps a link to another folder.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const LARGEST: u64 = 1024 * 1024;
/// Each request's token is compared with all of them.
const MOST: usize = 1000;
const LONGEST_NAME: usize = 63;
/// Whom else the history names.
const RESERVED: [&str; 3] = [READER, WRITER, "seed"];
const FORM: &str = "tokens: [{name: …, access: read or write, secret: … or sha256: …}]";

/// The file, and what it held when it was last looked at.
pub(crate) struct TokensFile {
    path: Arc<Path>,
    tokens: Arc<Tokens>,
    seen: Seen,
}

/// What one look found, without the secrets in it.
#[derive(Clone, PartialEq, Eq)]
enum Seen {
    Content([u8; 32]),
    Unreadable(String),
}

type Parsed = Result<Vec<Token>, String>;

impl TokensFile {
    /// Reads the file at `path` into `tokens`, or says in one line why not.
    pub(crate) fn open(path: PathBuf, tokens: Arc<Tokens>) -> Result<Self, String> {
        let path: Arc<Path> = path.into();
        let (seen, parsed) = look(&path, &tokens, None).unwrap_or_else(unlooked);
        let file = TokensFile { path, tokens, seen };
        let parsed = parsed.map_err(|what| file.sentence(&what))?;
        file.take(parsed);
        Ok(file)
    }

    /// Looks at the file every few seconds, for as long as it is polled.
    pub(crate) async fn follow(mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let (path, tokens) = (Arc::clone(&self.path), Arc::clone(&self.tokens));
            let seen = self.seen.clone();
            let looked = spawn_blocking(move || look(&path, &tokens, Some(&seen))).await;
            if let Some((seen, parsed)) = looked.unwrap_or_else(|_| Some(unlooked())) {
                self.note(seen, parsed);
            }
        }
    }

    fn note(&mut self, seen: Seen, parsed: Parsed) {
        if seen == self.seen {
            return;
        }
        self.seen = seen;
        self.tokens.set_file_refused(parsed.is_err());
        match parsed {
            Ok(parsed) => self.take(parsed),
            Err(what) => tracing::error!(
                "{}: THE TOKENS THAT WERE READ BEFORE STAY IN FORCE until the file is mended",
                self.sentence(&what)
            ),
        }
    }

    fn take(&self, parsed: Vec<Token>) {
        let count = parsed.len();
        self.tokens.replace(parsed);
        tracing::info!(tokens = count, "TOKENS_FILE {} is taken up", self.path.display());
    }

    fn sentence(&self, what: &str) -> String {
        format!("TOKENS_FILE {}: {what}", self.path.display())
    }
}

/// For a look that failed by a fault of ours, whose words may hold what was read.
fn unlooked() -> (Seen, Parsed) {
    let what = "reading it failed unexpectedly".to_owned();
    (Seen::Unreadable(what.clone()), Err(what))
}

/// What is at `path`; `None` where it is what was `seen` before.
fn look(path: &Path, tokens: &Tokens, seen: Option<&Seen>) -> Option<(Seen, Parsed)> {
    let content = read(path);
    let now = match &content {
        Ok(content) => Seen::Content(Fingerprint::of(content).0),
        Err(what) => Seen::Unreadable(what.clone()),
    };
    if seen == Some(&now) {
        return None;
    }
    Some((now, content.and_then(|content| parse(&content, tokens.own()))))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let file = File::open(path);
    let read = file.and_then(|file| file.take(LARGEST + 1).read_to_end(&mut content));
    match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(length) if length as u64 > LARGEST => Err(format!("is larger than {LARGEST} bytes")),
        Ok(_) => Ok(content),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    tokens: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    access: Spanned<String>,
    secret: Option<Spanned<String>>,
    sha256: Option<Spanned<String>>,
}

/// The tokens in `content`, which hold beside `own`. An error is one line with the place; it repeats
/// nothing of the content, since a secret may stand wherever a hand slipped.
fn parse(content: &[u8], own: &[Token]) -> Parsed {
    let options = serde_saphyr::options! { with_snippet: false, merge_keys: MergeKeyPolicy::Error };
    let content: Content =
        serde_saphyr::from_slice_with_options(content, options).map_err(|error| unreadable(&error))?;
    if content.tokens.is_empty() && !own.iter().any(|token| token.principal.name() == READER) {
        return Err("holds no token, and AUTH_TOKEN is not set: nobody could read".into());
    }
    if content.tokens.len() > MOST {
        return Err(format!("holds {} tokens; there may be {MOST}", content.tokens.len()));
    }
    let mut met: BTreeMap<[u8; 32], String> = BTreeMap::new();
    for token in own {
        let variable = if token.principal.name() == READER { "AUTH_TOKEN" } else { "CRUD_AUTH_TOKEN" };
        met.insert(token.fingerprint.0, variable.to_owned());
    }
    let mut tokens = Vec::with_capacity(content.tokens.len());
    for (at, entry) in content.tokens.iter().enumerate() {
        let token = entry.token(at)?;
        if let Some(other) = met.insert(token.fingerprint.0, format!("/tokens/{at}")) {
            let what = format!("is the secret of {other} too; each token needs one of its own");
            return Err(place(at, "", &entry.name.referenced, &what));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

impl Entry {
    fn token(&self, at: usize) -> Result<Token, String> {
        let wrong = |field: &str, value: &Spanned<String>, what: &str| {
            Err(place(at, &format!("/{field}"), &value.referenced, what))
        };
        if !is_name(&self.name.value) {
            let rule = format!(
                "must be 1 to {LONGEST_NAME} lowercase letters, digits, `-`, `_`, `.` or `@`, a letter or digit at both ends"
            );
            return wrong("name", &self.name, &rule);
        }
        if RESERVED.contains(&self.name.value.as_str()) {
            return wrong("name", &self.name, &format!("must not be one of {}", RESERVED.join(", ")));
        }
        let access = match self.access.value.as_str() {
            "read" => Access::Read,
            "write" => Access::Write,
            _ => return wrong("access", &self.access, "must be read or write"),
        };
        let fingerprint = match (&self.secret, &self.sha256) {
            (Some(secret), None) => {
                let text = &secret.value;
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                    let rule = "must not be empty, nor hold white space or what an HTTP header cannot carry";
                    return wrong("secret", secret, rule);
                }
                Fingerprint::of(text.as_bytes())
            }
            (None, Some(hash)) => match unhex(&hash.value) {
                Some(bytes) if bytes != Fingerprint::of(b"").0 => Fingerprint(bytes),
                Some(_) => return wrong("sha256", hash, "is the hash of nothing"),
                None => return wrong("sha256", hash, "must be the 64 hexadecimal digits of a SHA-256"),
            },
            _ => return Err(place(at, "", &self.name.referenced, "needs either a secret or a sha256")),
        };
        Ok(Token { fingerprint, principal: Principal::new(&self.name.value, access) })
    }
}

fn place(at: usize, field: &str, location: &Location, what: &str) -> String {
    format!("line {} column {}: /tokens/{at}{field} {what}", location.line(), location.column())
}

fn unreadable(error: &Error) -> String {
    let what = match error {
        Error::InvalidUtf8Input => "is not UTF-8".into(),
        Error::SerdeUnknownField { .. } => format!("there is no such field; the form is {FORM}"),
        Error::SerdeMissingField { field, .. } => format!("`{field}` is missing; the form is {FORM}"),
        Error::MultipleDocuments { .. } => "a second document begins".into(),
        Error::DuplicateMappingKey { .. } => "this field is there twice".into(),
        Error::Eof { .. } => format!("ends before there is anything in it; the form is {FORM}"),
        _ => format!("is no YAML or JSON of the form {FORM}"),
    };
    match error.location() {
        Some(location) if location != Location::UNKNOWN => {
            format!("line {} column {}: {what}", location.line(), location.column())
        }
        _ => what,
    }
}

/// As people and machines are named elsewhere: `jane@example.com`, `ci-prod`.
fn is_name(text: &str) -> bool {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inner = |byte: u8| edge(Some(&byte)) || b"-_.@".contains(&byte);
    let bytes = text.as_bytes();
    bytes.len() <= LONGEST_NAME
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| inner(*b))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
