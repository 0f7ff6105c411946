//! `validate`: files checked as the API would check them, with no server.

use std::fmt::Write;

use clap::Args;
use flux_resourceset_merge::Fleet;
use flux_resourceset_model::{Rules, Violation};
use serde_json::Value;

use crate::error::Error;
use crate::export;
use crate::fleet_files::{self, FleetFiles};
use crate::output::Shown;
use crate::plan_text::counted;
use crate::progress::Progress;

#[derive(Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    files: FleetFiles,

    /// The environments that the API is set up with (comma-separated)
    #[arg(long, value_name = "ENVIRONMENT", value_delimiter = ',')]
    environments: Vec<String>,

    /// The files are a part of the fleet: what they refer to may stand elsewhere
    #[arg(long)]
    partial: bool,
}

/// What a violation is called where a document that is not there is missed: one that is referred to, or a profile
/// that may give a cluster what another of its components needs.
const ELSEWHERE: [&str; 3] = ["reference", "dependency_missing", "requires"];
/// And where a document has the id of an earlier one.
const REPEATED: &str = "repeated";

/// Shows how many documents are valid.
pub(crate) fn run(validate: &Validate) -> Result<Shown, Error> {
    let files = validate.files.read()?;
    let mut rules = Rules::default();
    if !validate.environments.is_empty() {
        rules.environments.clone_from(&validate.environments);
    }
    let fleet = Value::Object(files.documents.clone());
    let _progress = Progress::start("Checking the files");
    let mut violations = Fleet::empty(rules).prepare_file(&fleet).err().unwrap_or_default();
    violations.retain(|violation| !validate.partial || !ELSEWHERE.contains(&violation.code));
    match violations.is_empty() {
        true => Ok(Shown::document(export::counts(&fleet))),
        false => Err(invalid(&violations, &files)),
    }
}

/// Each violation where it stands in the files.
fn invalid(violations: &[Violation], files: &fleet_files::Fleet) -> Error {
    let mut text = format!("{} in the files", counted(violations.len() as u64, "mistake"));
    for violation in violations {
        // Into a String that cannot fail.
        let _ = write!(text, "\n  {}: {}", files.place(&violation.pointer), message(violation, files));
    }
    Error::Failed(text)
}

/// What is wrong, where it names another place in the files too.
fn message(violation: &Violation, files: &fleet_files::Fleet) -> String {
    match violation.message.rsplit_once(" of /") {
        Some((what, pointer)) if violation.code == REPEATED => {
            format!("{what} of {}", files.place(&format!("/{pointer}")))
        }
        _ => violation.message.clone(),
    }
}
