//! The brake: while a freeze stands, the clusters that it selects get an error and keep what they have.

use serde::Deserialize;

use crate::{Body, Cluster, Selector, Unreadable};

/// A freeze. It stands until its document is deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Freeze {
    /// Names it for those who lift it.
    pub id: String,
    /// Which clusters it holds.
    pub selector: Selector,
    /// Why, for whoever meets it.
    pub reason: String,
}

#[derive(Deserialize)]
struct Written {
    id: String,
    selector: String,
    reason: String,
}

impl Freeze {
    /// Whether it holds `cluster`.
    pub fn holds(&self, cluster: &Cluster) -> bool {
        self.selector.matches(|key| cluster.label(key))
    }

    pub(crate) fn parse(body: Body) -> Result<Self, Unreadable> {
        let Written { id, selector, reason } =
            serde_json::from_value(body.into()).map_err(|error| Unreadable(error.to_string()))?;
        let selector = selector.parse().map_err(|error| Unreadable(format!("`selector`: {error}")))?;
        Ok(Freeze { id, selector, reason })
    }
}
