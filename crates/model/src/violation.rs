//! One thing that is wrong with a document, in a form that a person and a program can both use.

use std::fmt;

use crate::change::Key;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which of several operations it comes from, counted from 0; `None` where one was asked, or where
    /// it is what they do to each other.
    pub change: Option<u32>,
    /// The document it is in, where that is not the one being written.
    pub document: Option<Key>,
    /// JSON pointer (RFC 6901) to the place; empty for the whole document.
    pub pointer: String,
    /// A stable name for programs: `unknown_field`, `missing_field`, `reference`, …
    pub code: &'static str,
    /// One sentence for people.
    pub message: String,
}

impl Violation {
    /// A violation in the document being written.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Violation { change: None, document: None, pointer: pointer.into(), code, message: message.into() }
    }

    /// The same violation, said of what holds the document at `pointer`.
    pub fn under(mut self, pointer: &str) -> Self {
        self.pointer.insert_str(0, pointer);
        self
    }

    /// The same violation, as what came of the operation `change`.
    pub fn from_change(mut self, change: u32) -> Self {
        self.change = Some(change);
        self
    }

    /// The same violation, said of another document.
    pub fn of(mut self, document: Key) -> Self {
        self.document = Some(document);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(change) = self.change {
            write!(f, "change {change}: ")?;
        }
        if let Some(document) = &self.document {
            write!(f, "{document}")?;
        }
        let colon = if self.document.is_none() && self.pointer.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{} ({})", self.pointer, self.message, self.code)
    }
}
