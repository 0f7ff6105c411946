//! A cluster's DNS name as it is compared: without case and without a trailing dot.

use std::fmt;

/// A DNS name in the one form in which two spellings of it are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Box<str>);

impl DnsName {
    /// The comparable form of `text`, which may be in any case and end in one dot.
    pub fn new(text: &str) -> Self {
        DnsName(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase().into_boxed_str())
    }

    /// The name in lower case without a trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
