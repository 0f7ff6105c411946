//! `tombstone`: what deleted clusters leave, so that their DNS names answer by intent.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::output::Shown;
use crate::request::{self, Request};
use crate::types::TOMBSTONE_COLUMNS;
use crate::writer::Writer;
use crate::writing::Writing;

#[derive(Subcommand)]
pub(crate) enum Tombstone {
    /// List the tombstones
    #[command(after_help = "Example:\n  flux-resourceset-cli tombstone list")]
    List,
    /// Show one tombstone, and the cluster that it may hold
    #[command(after_help = "Example:\n  flux-resourceset-cli tombstone get demo-cluster-02")]
    Get {
        /// Id of the deleted cluster
        id: String,
    },
    /// Bring a deleted cluster back as it was
    #[command(after_help = "Example:\n  flux-resourceset-cli tombstone restore demo-cluster-02")]
    Restore(One),
    /// Stop holding a deleted cluster, which uninstalls everything from it
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli tombstone wipe demo-cluster-02 --plan\n  flux-resourceset-cli tombstone wipe demo-cluster-02"
    )]
    Wipe(One),
    /// Remove a tombstone, which frees the cluster's id and DNS name
    ///
    /// Polls under that DNS name get an error from then on instead of an empty answer.
    #[command(after_help = "Example:\n  flux-resourceset-cli tombstone purge demo-cluster-02")]
    Purge(One),
}

#[derive(Args)]
pub(crate) struct One {
    /// Id of the deleted cluster
    id: String,

    #[command(flatten)]
    writing: Writing,
}

pub(crate) fn run(client: &Client<'_>, command: &Tombstone) -> Result<Shown, Error> {
    let write = |one: &One, request: fn(&str) -> Request| {
        let left = Writer::new(client, &one.writing).send(&request(&one.id))?;
        Ok(Shown::document(match left {
            Value::Null => json!({ "id": one.id }),
            document => document,
        }))
    };
    match command {
        Tombstone::List => Ok(Shown::list(TOMBSTONE_COLUMNS, client.tombstones()?)),
        Tombstone::Get { id } => Ok(Shown::document(client.body(&request::get_tombstone(id))?)),
        Tombstone::Restore(one) => write(one, request::restore_tombstone),
        Tombstone::Wipe(one) => write(one, request::wipe_tombstone),
        Tombstone::Purge(one) => write(one, request::purge_tombstone),
    }
}
