//! Which documents a command is about that carry references and patches: a cluster, a profile, or all
//! clusters that a label selector matches.

use clap::Args;

use crate::request::Part;
use crate::types::{CLUSTER, PROFILE, ResourceType};

#[derive(Args, Debug, Default)]
pub(crate) struct Target {
    /// Id of the cluster
    #[arg(long, value_name = "CLUSTER", required_unless_present_any = ["profile", "select"])]
    cluster: Option<String>,

    /// Id of a profile instead: for every cluster that it selects, those that come later too
    #[arg(long, value_name = "PROFILE", conflicts_with = "cluster")]
    profile: Option<String>,

    /// All clusters that match this label selector, in one change; `environment` and `id` are labels too
    #[arg(long, value_name = "SELECTOR", conflicts_with_all = ["cluster", "profile"])]
    select: Option<String>,

    /// A selector that matches no cluster is a success
    #[arg(long, requires = "select")]
    allow_empty: bool,
}

/// What was named.
#[derive(Clone, Copy)]
pub(crate) enum Named<'a> {
    One(Layer<'a>),
    All(Selected<'a>),
}

/// A document that carries references and patches: of a cluster, or of a profile.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a> {
    pub(crate) kind: &'static ResourceType,
    pub(crate) id: &'a str,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Selected<'a> {
    pub(crate) selector: &'a str,
    pub(crate) allow_empty: bool,
}

impl Target {
    pub(crate) fn one(cluster: &str) -> Self {
        Target { cluster: Some(cluster.into()), ..Target::default() }
    }

    pub(crate) fn named(&self) -> Named<'_> {
        match named(self.cluster.as_deref(), self.profile.as_deref()) {
            Some(layer) => Named::One(layer),
            // One of the three is required.
            None => Named::All(Selected {
                selector: self.select.as_deref().unwrap_or_default(),
                allow_empty: self.allow_empty,
            }),
        }
    }
}

/// The layer that is named by one of two flags, of which not both are given.
pub(crate) fn named<'a>(cluster: Option<&'a str>, profile: Option<&'a str>) -> Option<Layer<'a>> {
    let cluster = cluster.map(|id| Layer { kind: &CLUSTER, id });
    cluster.or(profile.map(|id| Layer { kind: &PROFILE, id }))
}

impl<'a> Layer<'a> {
    pub(crate) fn part(self, field: &'a str, id: &'a str) -> Part<'a> {
        Part { plural: self.kind.plural, layer: self.id, field, id }
    }
}
