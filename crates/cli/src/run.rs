//! From the parsed command line to the command, and its result to stdout.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Cli, Command};
use crate::client::Client;
use crate::error::Error;
use crate::{cluster, component, demo, flux, namespace, output, rolebinding, tombstone};

pub(crate) fn run(cli: &Cli) -> Result<(), Error> {
    let client = &Client::new(&cli.connection);
    let shown = match &cli.command {
        Command::Cluster(command) => cluster::run(client, command),
        Command::Namespace(command) => namespace::run(client, command),
        Command::Component(command) => component::run(client, command),
        Command::Rolebinding(command) => rolebinding::run(client, command),
        Command::Tombstone(command) => tombstone::run(client, command),
        Command::Flux(command) => flux::run(client, command),
        Command::Demo(command) => demo::run(client, command),
        Command::Completions { shell } => return completions(*shell),
    }?;
    shown.print(cli.output)
}

fn completions(shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "flux-resourceset-cli", &mut script);
    output::print_text(io::stdout().lock(), &String::from_utf8_lossy(&script))
}
