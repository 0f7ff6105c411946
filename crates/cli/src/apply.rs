//! `apply` and `diff`: the documents of a source made equal to files, in one change; and what that
//! would change.

use clap::Args;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::Error;
use crate::fleet_files::FleetFiles;
use crate::output::Shown;
use crate::writer::Writer;
use crate::writing::Writing;
use crate::{change, request};

#[derive(Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    files: FleetFiles,

    /// Who these files are: what it applied before is its own
    #[arg(long, value_name = "NAME")]
    source: String,

    /// Delete what this source applied before and the files no longer have
    #[arg(long)]
    prune: bool,

    /// Take documents over that somebody else changed since this source applied them
    #[arg(long)]
    take: bool,

    #[command(flatten)]
    writing: Writing,
}

#[derive(Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    files: FleetFiles,

    /// Who these files are: what it applied before is its own
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// Count as deleted what this source applied before and the files no longer have
    #[arg(long, requires = "source")]
    prune: bool,

    /// Count as taken over what somebody else changed since this source applied it
    #[arg(long, requires = "source")]
    take: bool,
}

pub(crate) fn run(client: &Client<'_>, apply: &Apply) -> Result<Shown, Error> {
    let writer = Writer::new(client, &apply.writing);
    send(&writer, &apply.files, Some(&apply.source), apply.prune, apply.take)
}

pub(crate) fn diff(client: &Client<'_>, diff: &Diff) -> Result<Shown, Error> {
    let planning = Writing { plan: true, ..Writing::default() };
    let writer = Writer::new(client, &planning);
    send(&writer, &diff.files, diff.source.as_deref(), diff.prune, diff.take)
}

fn send(
    writer: &Writer<'_>,
    files: &FleetFiles,
    source: Option<&str>,
    prune: bool,
    take: bool,
) -> Result<Shown, Error> {
    let fleet = files.read()?;
    let mut body = Map::new();
    body.extend(source.map(|source| ("source".to_owned(), source.into())));
    body.insert("prune".into(), prune.into());
    body.insert("take".into(), take.into());
    body.insert("documents".into(), Value::Object(fleet.documents.clone()));
    match writer.send(&request::apply(Value::Object(body))) {
        Err(Error::Api(mut refusal)) => {
            refusal.say_places(
                |document| fleet.place_of(document).map(str::to_owned),
                |pointer| fleet.place(pointer),
            );
            Err(Error::Api(refusal))
        }
        done => done.map(change::shown),
    }
}
