//! The tokens that open this server, by their hashes, and when each name last used one. Apart from
//! `auth.rs`, which knows requests: what is here may be replaced while requests are answered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::auth::{Access, Principal};
use crate::config::Config;

pub(crate) const READER: &str = "reader";
pub(crate) const WRITER: &str = "writer";

/// The SHA-256 of a secret: all are of one length, so that comparing takes the same time for every guess.
/// Not comparable by `==`, and shown nowhere: a short secret is found from its hash by trying.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(secret: &[u8]) -> Self {
        Fingerprint(Sha256::digest(secret).into())
    }
}

/// A token, and whose it is.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) principal: Principal,
}

struct Known {
    token: Token,
    /// Seconds after 1970, 0 for never; one for all tokens of a name.
    last_used: Arc<AtomicU64>,
}

/// Every token that is good now.
pub(crate) struct Tokens {
    /// Those of the environment, which stay as long as the process.
    own: Vec<Token>,
    known: ArcSwap<Vec<Known>>,
    file_refused: AtomicBool,
}

impl Tokens {
    /// Those that the environment holds.
    pub(crate) fn of(config: &Config) -> Self {
        let token = |token: Option<&crate::config::Token>, name, access| {
            let fingerprint = Fingerprint::of(token?.secret().as_bytes());
            Some(Token { fingerprint, principal: Principal::new(name, access) })
        };
        let mut own = Vec::new();
        if config.write_token.is_some() || !config.reader_may_write() {
            own.extend(token(config.read_token.as_ref(), READER, Access::Read));
            own.extend(token(config.write_token.as_ref(), WRITER, Access::Write));
        } else {
            own.extend(token(config.read_token.as_ref(), WRITER, Access::Write));
        }
        let tokens =
            Tokens { own, known: ArcSwap::from_pointee(Vec::new()), file_refused: AtomicBool::new(false) };
        tokens.replace(Vec::new());
        tokens
    }

    pub(crate) fn own(&self) -> &[Token] {
        &self.own
    }

    /// From now on `file` holds beside the environment's own. A name that stays keeps its last use.
    pub(crate) fn replace(&self, file: Vec<Token>) {
        let before = self.known.load();
        let mut uses: BTreeMap<Arc<str>, Arc<AtomicU64>> = BTreeMap::new();
        for known in before.iter() {
            uses.insert(known.token.principal.shared_name(), Arc::clone(&known.last_used));
        }
        let known = self.own.iter().cloned().chain(file).map(|token| {
            let last_used = Arc::clone(uses.entry(token.principal.shared_name()).or_default());
            Known { token, last_used }
        });
        self.known.store(Arc::new(known.collect()));
    }

    /// Whose `secret` is; noted as used. Every token is compared, whichever matches, so that the time
    /// tells nothing of which did. It grows with their number, which is small beside a request's cost.
    pub(crate) fn find(&self, secret: &[u8]) -> Option<Principal> {
        let sent = Fingerprint::of(secret);
        let known = self.known.load();
        let mut found = u64::MAX;
        // The last that matches: where AUTH_TOKEN and CRUD_AUTH_TOKEN are one, it is the one that may write.
        for (at, known) in (0_u64..).zip(known.iter()) {
            found.conditional_assign(&at, sent.0.ct_eq(&known.token.fingerprint.0));
        }
        let known = known.get(usize::try_from(found).ok()?)?;
        known.last_used.store(now(), Ordering::Relaxed);
        Some(known.token.principal.clone())
    }

    pub(crate) fn may_anyone_write(&self) -> bool {
        self.known.load().iter().any(|known| known.token.principal.permit(Access::Write).is_ok())
    }

    /// When each name last used a token of its own, in seconds after 1970; 0 for not since the start.
    pub(crate) fn last_uses(&self) -> BTreeMap<Arc<str>, u64> {
        let known = self.known.load();
        let uses = known
            .iter()
            .map(|known| (known.token.principal.shared_name(), known.last_used.load(Ordering::Relaxed)));
        uses.collect()
    }

    /// Whether the file as it is now cannot be taken, so that older tokens are in force.
    pub(crate) fn file_refused(&self) -> bool {
        self.file_refused.load(Ordering::Relaxed)
    }

    pub(crate) fn set_file_refused(&self, refused: bool) {
        self.file_refused.store(refused, Ordering::Relaxed);
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Variables;

    fn tokens(pairs: &[(&str, &str)]) -> Tokens {
        let variables: Variables = pairs.iter().map(|(k, v)| ((*k).into(), Some((*v).into()))).collect();
        Tokens::of(&Config::read(&variables).unwrap())
    }

    fn token(name: &str, secret: &str, access: Access) -> Token {
        let fingerprint = Fingerprint::of(secret.as_bytes());
        Token { fingerprint, principal: Principal::new(name, access) }
    }

    fn who(tokens: &Tokens, secret: &str) -> Option<(String, bool)> {
        let found = tokens.find(secret.as_bytes())?;
        Some((found.name().to_owned(), found.permit(Access::Write).is_ok()))
    }

    #[test]
    fn those_of_the_environment() {
        let crud = ("API_MODE", "crud");
        let (read, write) = (("AUTH_TOKEN", "r"), ("CRUD_AUTH_TOKEN", "w"));
        let (reader, writer) = (Some((READER.to_owned(), false)), Some((WRITER.to_owned(), true)));
        let both = tokens(&[read, write, crud]);
        assert_eq!(
            (who(&both, "r"), who(&both, "w"), who(&both, "x")),
            (reader.clone(), writer.clone(), None)
        );
        assert_eq!(who(&tokens(&[read, crud]), "r"), writer, "one token for both");
        assert_eq!(who(&tokens(&[read, crud, ("CRUD_AUTH_TOKEN", "r")]), "r"), writer);
        assert_eq!(who(&tokens(&[read]), "r"), reader, "there is nothing to write");
        let beside = tokens(&[read, crud, ("TOKENS_FILE", "f")]);
        assert_eq!(who(&beside, "r"), reader);
        assert!(!beside.may_anyone_write());
        beside.replace(vec![token("ci", "c", Access::Write)]);
        assert!(beside.may_anyone_write());
    }

    #[test]
    fn a_name_may_have_several_while_they_overlap() {
        let tokens = tokens(&[("AUTH_TOKEN", "r")]);
        let ci = |secret| token("ci", secret, Access::Write);
        let expected = Some(("ci".to_owned(), true));
        tokens.replace(vec![ci("old"), ci("new")]);
        assert_eq!((who(&tokens, "old"), who(&tokens, "new")), (expected.clone(), expected.clone()));
        tokens.replace(vec![ci("new")]);
        assert_eq!((who(&tokens, "old"), who(&tokens, "new")), (None, expected));
        assert_eq!(who(&tokens, "r"), Some((READER.to_owned(), false)), "the environment's stay");
    }

    #[test]
    fn last_uses_are_of_the_names_that_are_known() {
        let tokens = tokens(&[("AUTH_TOKEN", "r")]);
        tokens.replace(vec![token("ci", "1", Access::Write), token("jane", "2", Access::Read)]);
        who(&tokens, "1").unwrap();
        tokens.replace(vec![token("ci", "3", Access::Write), token("ann", "4", Access::Read)]);
        let uses: Vec<_> =
            tokens.last_uses().into_iter().map(|(name, at)| (name.to_string(), at > 0)).collect();
        assert_eq!(uses, [("ann".into(), false), ("ci".into(), true), (READER.into(), false)]);
    }
}
