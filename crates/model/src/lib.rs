//! The documents of a fleet and what may be said of each alone: shapes, ids, validation, change sets.
//! No I/O, no clock; what holds between documents is `flux-resourceset-merge`'s.
#![warn(missing_docs)]

mod built_in;
pub mod change;
mod cluster;
mod component;
mod definition;
mod dns;
mod expiry;
mod fields;
mod freeze;
mod layer;
mod object;
mod packed;
mod patch_key;
mod patches;
mod profile;
mod reference;
mod resource_type;
mod selector;
mod source;
mod text;
mod tombstone;
mod type_definition;
mod types;
mod version;
mod version_range;
mod violation;

pub use built_in::{
    CLUSTERS, FREEZES, PATCHES, PLATFORM_COMPONENTS, PROFILES, RESOURCE_TYPES, SOURCES, TOMBSTONES,
    UNSET_PATCHES,
};
pub use cluster::Cluster;
pub use component::{Component, Delivery, OnRemove};
pub use definition::Definition;
pub use dns::DnsName;
pub use expiry::Expiry;
pub use freeze::Freeze;
pub use layer::Layer;
pub use packed::PackedBody;
pub use patch_key::{check_helm_keys, check_helm_values, check_substitute_keys};
pub use patches::Patches;
pub use profile::Profile;
pub use reference::{ComponentOverrides, ComponentReference, Overrides, Reference};
pub use resource_type::{Parts, Resource, ResourceType};
pub use selector::{Anchor, Selector, SelectorError};
pub use source::Source;
pub use text::length_in_go;
pub use tombstone::Tombstone;
pub use type_definition::TypeDefinition;
pub use types::Types;
pub use version::check_version;
pub use version_range::{Version, VersionRange, VersionRangeError};
pub use violation::Violation;

/// A document's body: a JSON object. Keys are sorted, so that equal documents are equal bytes.
pub type Body = serde_json::Map<String, serde_json::Value>;

/// What a fleet's owner decides about its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The environments that a cluster may be in. Default: dev, qa, uat, prod.
    pub environments: Vec<String>,
    /// Those of them in which nothing is removed without a plan, and a deleted cluster is held first.
    /// Default: prod.
    pub protected_environments: Vec<String>,
}

impl Rules {
    /// Whether clusters of `environment` are protected.
    pub fn protects(&self, environment: &str) -> bool {
        self.protected_environments.iter().any(|protected| protected == environment)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            environments: ["dev", "qa", "uat", "prod"].map(String::from).to_vec(),
            protected_environments: vec!["prod".into()],
        }
    }
}

/// A document that was stored and does not say what its type must say, so that nothing may be answered from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);
