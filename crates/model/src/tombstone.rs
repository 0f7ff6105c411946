//! What a deleted cluster leaves: proof that its empty answer is meant, or the cluster itself, held.

use serde::Deserialize;
use serde_json::Value;

use crate::fields::{Fields, Kept};
use crate::{Body, Cluster, Unreadable};

/// A deleted cluster. Its id and DNS names stay its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Tombstone {
    /// The cluster's id.
    pub id: String,
    /// The cluster's DNS name, as it was written.
    pub cluster_dns: String,
    /// The cluster's former DNS names, as they were written.
    pub aliases: Vec<String>,
    /// The cluster's last document.
    pub cluster: Body,
    /// The cluster as it was, where it is only held: its polls get an error, so that nothing is deleted.
    /// `None`: its polls get no inputs, by intent.
    pub held: Option<Box<Cluster>>,
}

#[derive(Deserialize)]
struct Written {
    id: String,
    cluster_dns: String,
    #[serde(default)]
    held: bool,
    #[serde(default)]
    cluster: Body,
}

impl Tombstone {
    /// The body of the tombstone of the cluster whose last document is `cluster`.
    pub fn body_of(cluster: Body, held: bool) -> Body {
        let mut body = Body::new();
        for field in ["id", "cluster_dns"] {
            if let Some(value) = cluster.get(field) {
                body.insert(field.into(), value.clone());
            }
        }
        if held {
            body.insert("held".into(), true.into());
        }
        body.insert("cluster".into(), cluster.into());
        body
    }

    /// `types` are the plurals of the types that clusters may refer to.
    pub(crate) fn parse(body: Body, types: &[String]) -> Result<Self, Unreadable> {
        let written: Written =
            serde_json::from_value(body.into()).map_err(|error| Unreadable(error.to_string()))?;
        let Written { id, cluster_dns, held, cluster } = written;
        let aliases = cluster.get("aliases").and_then(Value::as_array).into_iter().flatten();
        let aliases = aliases.filter_map(Value::as_str).map(String::from).collect();
        let held = held.then(|| {
            let body = serde_json::to_vec(&cluster).map_err(|error| Unreadable(error.to_string()))?;
            Cluster::read(&Fields::of(&body)?, types, Kept::NOTHING).map(Box::new)
        });
        let held = held.transpose()?;
        Ok(Tombstone { id, cluster_dns, aliases, cluster, held })
    }
}
