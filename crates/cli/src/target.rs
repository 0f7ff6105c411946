//! Which clusters a command is about: one by its id, or all that a label selector matches.

use clap::Args;

#[derive(Args, Debug, Default)]
pub(crate) struct Target {
    /// Id of the cluster
    #[arg(long, value_name = "CLUSTER", required_unless_present = "select")]
    cluster: Option<String>,

    /// All clusters that match this label selector, in one change; `environment` and `id` are labels too
    #[arg(long, value_name = "SELECTOR", conflicts_with = "cluster")]
    select: Option<String>,

    /// A selector that matches no cluster is a success
    #[arg(long, requires = "select")]
    allow_empty: bool,
}

/// What was named.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named<'a> {
    One(&'a str),
    All(Selected<'a>),
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
        match (&self.cluster, &self.select) {
            (Some(cluster), _) => Named::One(cluster),
            // One of the two is required.
            (None, selector) => Named::All(Selected {
                selector: selector.as_deref().unwrap_or_default(),
                allow_empty: self.allow_empty,
            }),
        }
    }
}
