//! `tombstone`: what deleted clusters leave, so that their DNS names answer by intent.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::output::Shown;
use crate::types::TOMBSTONE_COLUMNS;

#[derive(Subcommand)]
pub(crate) enum Tombstone {
    /// List the tombstones
    #[command(after_help = "Example:\n  flux-resourceset-cli tombstone list")]
    List,
    /// Remove a tombstone, which frees the cluster's id and DNS name
    ///
    /// Polls under that DNS name get an error from then on instead of an empty answer.
    #[command(after_help = "Example:\n  flux-resourceset-cli tombstone purge demo-cluster-02")]
    Purge {
        /// Id of the deleted cluster
        id: String,
    },
}

pub(crate) fn run(client: &Client<'_>, command: &Tombstone) -> Result<Shown, Error> {
    match command {
        Tombstone::List => Ok(Shown::list(TOMBSTONE_COLUMNS, client.tombstones()?)),
        Tombstone::Purge { id } => Ok(Shown::document(match client.purge_tombstone(id)? {
            Value::Null => json!({ "id": id }),
            purged => purged,
        })),
    }
}
