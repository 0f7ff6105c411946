//! A PostgreSQL server for the benchmarks that ask what it costs: as it comes, but for what a row says.

use anyhow::{Context, Result};
use flux_resourceset_postgres_server::{Programs, Server};

pub(super) struct Postgres(Server);

impl Postgres {
    /// # Errors
    /// A sentence that says what is missing.
    pub(super) fn start(settings: &[&str]) -> Result<Self> {
        let programs = Programs::find().map_err(anyhow::Error::msg)?;
        Ok(Postgres(Server::start(&programs, settings).context("PostgreSQL does not start")?))
    }

    /// The URL of a new database.
    pub(super) fn database(&self) -> Result<String> {
        Ok(self.0.url(&self.0.new_database()?))
    }
}
