//! `export`: the whole fleet in one file, as `apply`, `diff` and `validate` read it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{Error, printable};
use crate::output::{Format, Shown};
use crate::paint::View;
use crate::request;

#[derive(Args)]
pub(crate) struct Export {
    /// Write to this file, as YAML where its name ends in .yaml or .yml; without it, to stdout
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Shows the fleet itself, or, written to a file, how much it is.
pub(crate) fn run(client: &Client<'_>, export: &Export, asked: Option<Format>) -> Result<(), Error> {
    let format = format(asked, export.file.as_deref())?;
    let fleet = Shown::document(client.body(&request::export())?);
    let Some(path) = &export.file else { return fleet.print(Some(format)) };
    let text = fleet.rendered(format, View::PLAIN)?;
    write(path, &text).map_err(|error| {
        Error::Failed(format!("{} was not written ({error})", printable(&path.to_string_lossy())))
    })?;
    Shown::document(counts(&fleet.json)).print(None)
}

fn format(asked: Option<Format>, path: Option<&Path>) -> Result<Format, Error> {
    let ending = path.and_then(Path::extension).and_then(|ending| ending.to_str());
    match (asked, ending) {
        (Some(format @ (Format::Json | Format::Yaml)), _) => Ok(format),
        (Some(_), _) => Err(Error::Usage("a fleet is exported with -o json or -o yaml".into())),
        (None, Some("yaml" | "yml")) => Ok(Format::Yaml),
        (None, _) => Ok(Format::Json),
    }
}

/// Whole or not at all: half a fleet, applied with --prune, would delete the other half.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, text)?;
    fs::rename(&partial, path)
}

/// How many documents of each type.
pub(crate) fn counts(fleet: &Value) -> Value {
    let types = fleet.as_object().into_iter().flatten();
    types
        .map(|(plural, documents)| (plural.clone(), json!(documents.as_array().map_or(0, Vec::len))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_asked_for_or_in_the_name() {
        let of = |asked, path: &str| format(asked, Some(Path::new(path))).ok();
        assert_eq!(of(None, "fleet.yaml"), Some(Format::Yaml));
        assert_eq!(of(None, "fleet"), Some(Format::Json));
        assert_eq!(of(Some(Format::Json), "fleet.yml"), Some(Format::Json));
        assert_eq!(of(Some(Format::Table), "fleet"), None);
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.json");
        write(&path, "old").unwrap();
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
