//! A profile: what every cluster that its selector matches gets, between the catalog and the cluster.

use serde::Deserialize;

use crate::layer::{Layer, read};
use crate::{Body, Cluster, Selector, Unreadable, Violation};

/// A layer over the catalog, for the clusters that it selects.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Names it.
    pub id: String,
    /// Which clusters it is for; those that come later too.
    pub selector: Selector,
    /// Of two profiles of one cluster the one of higher priority goes over the other. Default: 0.
    pub priority: i64,
    /// What it says.
    pub layer: Layer,
}

#[derive(Deserialize)]
struct Written {
    id: String,
    selector: String,
    #[serde(default)]
    priority: i64,
}

impl Profile {
    /// Whether it is one of the profiles of `cluster`.
    pub fn matches(&self, cluster: &Cluster) -> bool {
        self.selector.matches(|key| cluster.label(key))
    }

    /// `types` are the plurals of the types that it may refer to.
    pub(crate) fn parse(mut body: Body, types: &[String]) -> Result<Self, Unreadable> {
        let layer = Layer::take(&mut body, types)?;
        let Written { id, selector, priority } = read(body.into())?;
        let selector = selector.parse().map_err(|error| Unreadable(format!("`selector`: {error}")))?;
        Ok(Profile { id, selector, priority, layer })
    }

    /// What JSON Schema cannot say of a profile by itself.
    pub(crate) fn check(&self, body: &Body) -> Vec<Violation> {
        self.layer.check(body)
    }
}
