//! Who keeps which documents in files: what one source applied last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Body, Unreadable};

/// A set of files that documents are applied from, and the documents that it owns.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Source {
    /// Its name, as `apply --source` gives it.
    pub id: String,
    /// Its documents, by the plural of their type and their id, each with a digest of what the source
    /// last made of it: a document with another one was changed by somebody else since.
    pub documents: BTreeMap<String, BTreeMap<String, String>>,
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
