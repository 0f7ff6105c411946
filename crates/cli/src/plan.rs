//! What a write would do, as the API answers it before the write is made.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

/// A plan, and the JSON that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) said: Said,
    pub(crate) json: Value,
}

/// The fields of a plan that this program shows; others are left alone.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Said {
    pub(crate) digest: String,
    /// How many clusters' answers would change.
    #[serde(default)]
    pub(crate) clusters: u64,
    #[serde(default)]
    pub(crate) destructive: Destructive,
    /// Why it needs a confirmation, in words; empty where it needs none.
    #[serde(default)]
    pub(crate) confirmation: Vec<String>,
    pub(crate) effects: Vec<Effect>,
    #[serde(default)]
    pub(crate) hidden: Vec<Hidden>,
    #[serde(default)]
    pub(crate) warnings: Vec<Warning>,
    #[serde(default)]
    pub(crate) frozen: Vec<Frozen>,
    /// The documents in which others have a say, where the API was given files.
    #[serde(default)]
    pub(crate) disputed: Vec<Disputed>,
    /// The documents that would change, where the API was given files.
    #[serde(default)]
    pub(crate) documents: Vec<DocumentChange>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Destructive {
    #[serde(default)]
    pub(crate) clusters: u64,
    #[serde(default)]
    pub(crate) protected: u64,
    #[serde(default)]
    pub(crate) emptied: u64,
}

/// The same thing happening to one input of some clusters.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Effect {
    pub(crate) effect: String,
    #[serde(default)]
    pub(crate) destructive: bool,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) input: String,
    #[serde(default)]
    pub(crate) fields: Vec<Field>,
    #[serde(default)]
    pub(crate) on_remove: Option<String>,
    pub(crate) count: u64,
    pub(crate) clusters: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Field {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) from: Value,
    #[serde(default)]
    pub(crate) to: Value,
}

/// A change that does not reach some clusters, since they, or higher profiles, override what it is about.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Hidden {
    /// The profile whose change it is, where it is not that of a definition.
    #[serde(default)]
    pub(crate) profile: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) input: String,
    #[serde(default)]
    pub(crate) fields: Vec<Field>,
    pub(crate) count: u64,
    pub(crate) clusters: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Warning {
    /// The API's stable word for it.
    #[serde(default)]
    pub(crate) code: String,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) count: u64,
    #[serde(default)]
    pub(crate) clusters: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Frozen {
    pub(crate) freeze: String,
    #[serde(default)]
    pub(crate) reason: String,
    pub(crate) count: u64,
    pub(crate) clusters: Vec<String>,
}

/// A document that somebody else changed or owns, and who that is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Disputed {
    #[serde(default)]
    pub(crate) document: Option<String>,
    pub(crate) message: String,
}

/// A document before and after.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DocumentChange {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) before: Value,
    #[serde(default)]
    pub(crate) after: Value,
}

impl Warning {
    pub(crate) fn is_freeze(&self) -> bool {
        self.code == "freezes"
    }
}

impl DocumentChange {
    /// Whether somebody asked for it. What a source owns is noted beside, and how often it applied.
    pub(crate) fn is_meant(&self) -> bool {
        self.kind != SOURCES || owned(&self.before) != owned(&self.after)
    }

    /// How many documents the source has after, where this is about what a source owns.
    pub(crate) fn owned(&self) -> Option<usize> {
        (self.kind == SOURCES).then(|| owned(&self.after).len())
    }
}

/// Type and id of each document that a source owns. What else is noted of them is the API's affair.
fn owned(source: &Value) -> BTreeSet<(&str, &str)> {
    let types = source.get("documents").and_then(Value::as_object).into_iter().flatten();
    let documents = types.flat_map(|(kind, documents)| {
        let ids = documents.as_object().into_iter().flat_map(|documents| documents.keys());
        ids.map(move |id| (kind.as_str(), id.as_str()))
    });
    documents.collect()
}

/// The type in which the API notes what each source owns.
const SOURCES: &str = "sources";

impl Plan {
    /// Reads a plan; `None` where `json` is something else.
    pub(crate) fn read(json: Value) -> Option<Self> {
        let said = Said::deserialize(&json).ok()?;
        Some(Plan { said, json })
    }

    /// Whether anything at all would be another than before.
    pub(crate) fn changes(&self) -> bool {
        let Said { clusters, effects, hidden, documents, disputed, .. } = &self.said;
        *clusters > 0
            || !effects.is_empty()
            || !hidden.is_empty()
            || documents.iter().any(DocumentChange::is_meant)
            || !disputed.is_empty()
            || self.freezes().next().is_some()
    }

    /// The clusters that it freezes. Their answers stay what they are, and that is the change.
    pub(crate) fn freezes(&self) -> impl Iterator<Item = &String> {
        let freezes = self.said.warnings.iter().filter(|warning| warning.is_freeze());
        freezes.flat_map(|warning| &warning.clusters)
    }

    /// On how many clusters it destroys something; where it destroys nothing, how many it changes.
    pub(crate) fn weight(&self) -> u64 {
        match self.said.destructive.clusters {
            0 => self.said.clusters,
            destroyed => destroyed,
        }
    }

    /// The effects on one cluster.
    pub(crate) fn effects_on<'p>(&'p self, cluster: &'p str) -> impl Iterator<Item = &'p Effect> {
        self.said.effects.iter().filter(move |effect| effect.clusters.iter().any(|id| id == cluster))
    }
}
