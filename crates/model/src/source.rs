//! Who keeps which documents in files: what one source applied last.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Body, Unreadable};

/// A set of files that documents are applied from, and the documents that it owns.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Source {
    /// Its name, as `apply --source` gives it.
    pub id: String,
    /// How often it was applied with an effect: every such apply writes this document anew, so that
    /// its revision is that of the last one.
    pub applies: u64,
    /// The ids of its documents, by the plural of their type.
    pub documents: BTreeMap<String, BTreeSet<String>>,
}

impl Source {
    /// Its document.
    pub fn to_body(&self) -> Body {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(body)) => body,
            _ => Body::new(),
        }
    }

    pub(crate) fn parse(body: Body) -> Result<Self, Unreadable> {
        serde_json::from_value(body.into()).map_err(|error| Unreadable(error.to_string()))
    }
}
