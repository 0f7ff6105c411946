//! Why a write is not made.

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{RESOURCE_TYPES, Violation};

/// Why a write is not made. Nothing of it happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The document to be changed does not exist.
    #[error("{0} does not exist")]
    NotFound(Key),
    /// The document to be created does.
    #[error("{0} exists already; update it with PUT or PATCH")]
    Exists(Key),
    /// The documents written say what they may not, or refer to what is not there.
    #[error("{}", summary("the document is not valid", .0))]
    Invalid(Vec<Violation>),
    /// The document to be deleted is referred to.
    #[error("{key} {}", still_there(.key, .by))]
    Referenced {
        /// The document.
        key: Key,
        /// Who refers to it, ordered by type and id.
        by: Vec<Key>,
    },
    /// The write would break other documents, or take what belongs to one of them.
    #[error("{}", summary("the change does not fit the fleet", .0))]
    Conflict(Vec<Violation>),
}

impl Refusal {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotFound(_) => "not_found",
            Refusal::Exists(_) => "exists",
            Refusal::Invalid(_) => "invalid",
            Refusal::Referenced { .. } => "referenced",
            Refusal::Conflict(_) => "conflict",
        }
    }

    /// What is wrong, place by place; empty where the sentence says it all.
    pub fn violations(&self) -> &[Violation] {
        match self {
            Refusal::Invalid(violations) | Refusal::Conflict(violations) => violations,
            _ => &[],
        }
    }
}

fn summary(what: &str, violations: &[Violation]) -> String {
    match violations {
        [only] => format!("{what}: {only}"),
        _ => format!("{what}: {} violations", violations.len()),
    }
}

/// What keeps a document from being deleted, and what to do. Of a type, `by` are its documents.
fn still_there(key: &Key, by: &[Key]) -> String {
    if key.kind == RESOURCE_TYPES {
        return format!("still has {}; delete its documents first", named(by));
    }
    format!(
        "is still referred to by {}; remove the references first, or delete it with force=true",
        named(by)
    )
}

fn named(keys: &[Key]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<_> = keys.iter().take(SHOWN).map(Key::to_string).collect();
    if keys.len() > SHOWN {
        names.push(format!("{} more", keys.len() - SHOWN));
    }
    names.join(", ")
}
