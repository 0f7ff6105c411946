//! A cluster's DNS name as it is compared: without case and without a trailing dot.

use std::borrow::{Borrow, Cow};
use std::fmt;

/// A DNS name in the one form in which two spellings of it are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Box<str>);

impl DnsName {
    /// The comparable form of `text`, which may be in any case and end in one dot.
    pub fn new(text: &str) -> Self {
        DnsName(DnsName::comparable(text).into())
    }

    /// The same form without a name of its own, to look one up by.
    pub fn comparable(text: &str) -> Cow<'_, str> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return text.to_ascii_lowercase().into();
        }
        text.into()
    }

    /// The name in lower case without a trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hashed and ordered as its text.
impl Borrow<str> for DnsName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
