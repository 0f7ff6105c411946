//! From the parsed command line to the command, and its result to stdout.

use std::io;

use serde_json::Value;

use crate::args::{Cli, Command};
use crate::client::Client;
use crate::error::{Error, printable};
use crate::output::{Format, Shown};
use crate::writer::say;
use crate::{
    apply, change, cluster, complete, component, confirm, demo, explain, export, flux, freeze, history,
};
use crate::{namespace, profile, report, request, resource_type, rolebinding, tombstone, validate, whatif};

/// Runs the command; `Ok` says whether it shows changes that were not made.
pub(crate) fn run(cli: &Cli) -> Result<bool, Error> {
    let client = &Client::new(&cli.options.connection);
    let output = cli.options.output;
    let end = match &cli.command {
        Command::Cluster(command) => cluster::run(client, command),
        Command::Profile(command) => profile::run(client, command),
        Command::Report(command) => report::run(client, command),
        Command::Namespace(command) => namespace::run(client, command),
        Command::Component(command) => component::run(client, command),
        Command::Rolebinding(command) => rolebinding::run(client, command),
        Command::ResourceType(command) => resource_type::run(client, command),
        Command::Tombstone(command) => tombstone::run(client, command),
        Command::Flux(command) => flux::run(client, command),
        Command::Explain(command) => explain::run(client, command),
        Command::Whatif(command) => whatif::run(client, command),
        Command::Change(command) => change::run(client, command),
        Command::History(command) => history::run(client, command),
        Command::Revert(command) => history::revert(client, command),
        Command::Freeze(command) => freeze::run(client, command),
        Command::Confirm(command) => confirm::run(client, command),
        Command::Diff(command) => apply::diff(client, command),
        Command::Apply(command) => apply::run(client, command),
        Command::Validate(command) => validate::run(command),
        Command::Demo(command) => demo::run(client, command),
        Command::Export(command) => return export::run(client, command, output).map(|()| false),
        Command::Completions { shell } => {
            return Ok(complete::write_script(*shell, &mut io::stdout().lock()).map(|()| false)?);
        }
    };
    match &cli.command {
        Command::ResourceType(command) => show(client, end, command.format(output)),
        _ => show(client, end, output),
    }
}

/// Shows what a command came to, in the form `asked` for; `Ok` as in `run`.
pub(crate) fn show(
    client: &Client<'_>,
    end: Result<Shown, Error>,
    asked: Option<Format>,
) -> Result<bool, Error> {
    // A refusal for that very reason says it already.
    if !matches!(&end, Err(error) if error.code() == Some("frozen")) {
        say_frozen(client);
    }
    let shown: Shown = match end {
        Err(Error::Preview(shown)) => *shown,
        end => end?,
    };
    let printed = shown.print(asked);
    // Ids alone are for scripts.
    if asked != Some(Format::Name) && !shown.says_revision() {
        say_revision(client);
    }
    printed?;
    Ok(shown.changes)
}

/// Says which revision was made, for whoever wants to look at it or take it back.
fn say_revision(client: &Client<'_>) {
    if let Some(revision) = client.made() {
        say(&format!("revision {revision}\n"));
    }
}

/// Says which clusters that the command was about are frozen, by what, and why.
fn say_frozen(client: &Client<'_>) {
    for (cluster, freezes) in client.frozen() {
        for freeze in freezes.split(',').map(str::trim) {
            // The reason is a courtesy; that it is frozen is known without it.
            let known = client.body(&request::get_freeze(freeze)).unwrap_or_default();
            let reason = known.get("reason").and_then(Value::as_str).map(|reason| format!(": {reason}"));
            let line = format!("{cluster} is frozen by {freeze}{}", reason.unwrap_or_default());
            say(&format!("{}\n", printable(&line)));
        }
    }
}
