//! The binary: parses the command line, runs the command, turns its end into an exit code.

use std::process::ExitCode;

use clap::Parser;

mod api_error;
mod args;
mod client;
mod cluster;
mod component;
mod connection;
mod demo;
mod document;
mod error;
mod flux;
mod key_value;
mod namespace;
mod output;
mod reference;
mod resource;
mod rolebinding;
mod run;
mod table;
mod tombstone;
mod types;

fn main() -> ExitCode {
    match args::Cli::try_parse() {
        Ok(cli) => error::exit_code(run::run(&cli)),
        Err(refusal) => {
            // Help and usage go where clap wants them; a closed pipe there changes nothing.
            let _ = refusal.print();
            ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(error::USAGE))
        }
    }
}
