//! `cargo xtask`: the project's chores, the same for people and for CI.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "these commands talk to a person")]

mod bench;
mod chart_repository;
mod ci;
mod cluster_demo;
mod control_plane;
mod demo;
mod e2e;
mod faults;
mod fleet;
mod kubectl;
mod manifests;
mod member;
mod oci_registry;
mod poll;
mod scene;
mod server;
mod static_programs;
mod tools;
mod wait;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the product in a minute: a fleet served, polled, patched, and a cluster decommissioned
    Demo {
        /// On a real Kubernetes API server with the real Flux (needs Go; the first build takes a quarter of an hour)
        #[arg(long)]
        cluster: bool,
    },
    /// Proves on a real Kubernetes API server and the real Flux what the product promises (needs Go)
    E2e {
        /// Only scenarios whose name contains one of these
        filters: Vec<String>,
    },
    /// Builds the programs of a real cluster into target/e2e/ (needs Go)
    Tools {
        /// Only those that render manifests: flux-operator's command line and kustomize
        #[arg(long)]
        render: bool,
    },
    /// Measures what polls, memory, writes and starts cost, each beside a peer, and writes the page (needs wrk, nginx)
    Bench {
        /// Only what has this name; the page stays as it is
        only: Option<bench::Bench>,
    },
    /// Breaks everything around real servers under load, and judges every answer that they give
    Faults(faults::Options),
    /// Builds the image's static programs and runs them as the image would
    Static,
    /// What CI runs: format, lints, tests, documentation, directions of dependencies, a few faults, e2e
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo { cluster: false } => demo::run(),
        Command::Demo { cluster: true } => cluster_demo::run(),
        Command::E2e { filters } => e2e::run(&filters),
        Command::Tools { render: true } => tools::Tools::ensure_render().map(drop),
        Command::Tools { render: false } => tools::Tools::ensure().map(drop),
        Command::Bench { only } => bench::run(only),
        Command::Faults(options) => faults::run(&options),
        Command::Static => static_programs::check(),
        Command::Ci => ci::run_all(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
