//! The binary: parses the command line, runs the command, turns its end into an exit code.

use std::process::ExitCode;

use clap::Parser;
use clap_complete::CompleteEnv;

mod api_error;
mod apply;
mod args;
mod change;
mod client;
mod cluster;
mod complete;
mod component;
mod confirm;
mod connection;
mod demo;
mod document;
mod error;
mod explain;
mod export;
mod fleet_files;
mod flux;
mod freeze;
mod given;
mod history;
mod key_value;
mod made;
mod manifests;
mod many;
mod moment;
mod namespace;
mod output;
mod paint;
mod patches;
mod plan;
mod plan_documents;
mod plan_text;
mod profile;
mod progress;
mod question;
mod reads;
mod reference;
mod registered;
mod remarks;
mod report;
mod request;
mod resource;
mod resource_type;
mod rolebinding;
mod run;
mod schema_text;
mod setting;
mod table;
mod target;
mod tombstone;
mod types;
mod unified;
mod validate;
mod whatif;
mod writer;
mod writing;

fn main() -> ExitCode {
    // Where a shell asks for completions, they are printed and this is the end.
    CompleteEnv::with_factory(complete::command).complete();
    match args::Cli::try_parse() {
        Ok(cli) => error::exit_code(run::run(&cli)),
        Err(refusal) => registered::run(&refusal),
    }
}
