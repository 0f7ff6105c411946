//! What a deleted cluster leaves: proof that its empty answer is meant.

use serde::Deserialize;

use crate::{Body, Unreadable};

/// A deleted cluster. Its polls get no inputs, by intent, and its id and DNS name stay its own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Tombstone {
    /// The cluster's id.
    pub id: String,
    /// The cluster's DNS name, as it was written.
    pub cluster_dns: String,
    /// The cluster's last document.
    #[serde(default)]
    pub cluster: Body,
}

impl Tombstone {
    /// The body of the tombstone of the cluster whose last document is `cluster`.
    pub fn body_of(cluster: Body) -> Body {
        let mut body = Body::new();
        for field in ["id", "cluster_dns"] {
            if let Some(value) = cluster.get(field) {
                body.insert(field.into(), value.clone());
            }
        }
        body.insert("cluster".into(), cluster.into());
        body
    }

    pub(crate) fn parse(body: Body) -> Result<Self, Unreadable> {
        serde_json::from_value(body.into()).map_err(|error| Unreadable(error.to_string()))
    }
}
