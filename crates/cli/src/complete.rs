//! Completion of ids on a shell's command line, asked of the API. Whatever fails there fails in
//! silence: nobody wants an error in the middle of typing.

use std::env;
use std::ffi::OsString;
use std::io::Write;

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::Shells;

use crate::args::Cli;
use crate::client::Client;
use crate::connection::Connection;
use crate::document;
use crate::registered::{self, Type};
use crate::request::{self, Request};
use crate::types::{CLUSTER, COMPONENT, NAMESPACE, PROFILE, RESOURCE_TYPE, ROLEBINDING};

const NAME: &str = "flux-resourceset-cli";

/// In which groups of commands the argument `id` is an id of what.
const IDS: [(&str, &str); 7] = [
    (CLUSTER.singular, CLUSTER.plural),
    (PROFILE.singular, PROFILE.plural),
    (COMPONENT.singular, COMPONENT.plural),
    (NAMESPACE.singular, NAMESPACE.plural),
    (ROLEBINDING.singular, ROLEBINDING.plural),
    (RESOURCE_TYPE.singular, RESOURCE_TYPE.plural),
    ("tombstone", "api/v2/tombstones"),
];

/// Arguments that are an id of the same thing in whatever command they stand.
const EVERYWHERE: [(&str, &str); 8] = [
    ("cluster", CLUSTER.plural),
    ("profile", PROFILE.plural),
    ("cluster_id", CLUSTER.plural),
    ("cluster_dns", CLUSTER.plural),
    ("whatif", CLUSTER.plural),
    ("component_id", COMPONENT.plural),
    ("depends_on", COMPONENT.plural),
    ("freeze", "api/v2/freezes"),
];

/// The command line, with what completes its arguments.
pub(crate) fn command() -> Command {
    let types = if asks_for_types() { types() } else { Vec::new() };
    let with_ids = |command: Command, id: Option<&'static str>| {
        let mut command = command;
        walk(&mut command, id);
        command
    };
    let mut root = with_ids(registered::root(&types), None);
    for (group, plural) in IDS {
        root = root.mut_subcommand(group, |group| with_ids(group, Some(plural)));
    }
    for one in types {
        root = root.mut_subcommand(one.kind.singular, |group| with_ids(group, Some(one.kind.plural)));
    }
    root
}

/// Whether the first word may be, or become, a registered type: where it is a command of this program's own, nobody
/// waits for the API.
fn asks_for_types() -> bool {
    // What a shell asks about stands after this; its script is asked for without.
    let first = env::args().skip_while(|word| word != "--").nth(2);
    first.is_some_and(|first| Cli::command().find_subcommand(first).is_none())
}

/// The registered types, where the variables lead to an API that answers quickly.
fn types() -> Vec<&'static Type> {
    let connection = Connection::for_completion();
    registered::learnt(&Client::new(&connection)).unwrap_or_default()
}

/// Gives every argument below `command` what completes it. `id`: what its ids are ids of.
fn walk(command: &mut Command, id: Option<&'static str>) {
    let plural = |arg: &Arg| {
        let known = EVERYWHERE.iter().find(|(name, _)| arg.get_id() == name).map(|(_, plural)| *plural);
        known.or(id.filter(|_| arg.get_id() == "id"))
    };
    let taken = std::mem::replace(command, Command::new(NAME));
    // What is to be created has no id yet.
    let creates = taken.get_name() == "create";
    *command = taken.mut_args(|arg| match plural(&arg) {
        Some(plural) if !(creates && arg.get_id() == "id") => arg.add(candidates(plural)),
        _ => arg,
    });
    command.get_subcommands_mut().for_each(|inner| walk(inner, id));
}

fn candidates(plural: &'static str) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        ids(plural).unwrap_or_default().into_iter().map(CompletionCandidate::new).collect()
    })
}

/// The ids of a type, where the variables lead to an API that answers quickly.
fn ids(plural: &str) -> Option<Vec<OsString>> {
    let connection = Connection::for_completion();
    let client = Client::new(&connection);
    let request: Request = request::list(plural, &[], None);
    let documents = client.array(&request).ok()?;
    Some(documents.iter().filter_map(document::id).map(OsString::from).collect())
}

/// The script that has a shell ask this program for completions.
pub(crate) fn write_script(shell: Shell, out: &mut dyn Write) -> std::io::Result<()> {
    match Shells::builtins().completer(&shell.to_string()) {
        Some(completer) => completer.write_registration("COMPLETE", NAME, NAME, NAME, out),
        None => Ok(()),
    }
}
