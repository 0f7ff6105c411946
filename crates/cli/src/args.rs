//! The command line as a whole: the groups of commands and the options they share. A group's own
//! flags stand in the group's file.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::cluster::Cluster;
use crate::component::Component;
use crate::connection::Connection;
use crate::demo::Demo;
use crate::flux::Flux;
use crate::namespace::Namespace;
use crate::output::Format;
use crate::rolebinding::Rolebinding;
use crate::tombstone::Tombstone;

/// Shows and changes what the clusters of a Flux fleet get
#[derive(Parser)]
#[command(name = "flux-resourceset-cli", version, max_term_width = 100)]
#[command(after_help = "\
Example:
  flux-resourceset-cli cluster list

Set FLUX_API_URL, FLUX_API_TOKEN and, for writes, FLUX_API_WRITE_TOKEN.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage.")]
pub(crate) struct Cli {
    /// Form of the result
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,

    #[command(flatten)]
    pub(crate) connection: Connection,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Clusters of the fleet
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli cluster list")]
    Cluster(Cluster),
    /// Namespaces: definitions, and which clusters have them
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli namespace list")]
    Namespace(Namespace),
    /// Platform components: the catalog, which clusters have them, patches
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli component list")]
    Component(Component),
    /// Role bindings: definitions, and which clusters have them
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli rolebinding list")]
    Rolebinding(Rolebinding),
    /// What deleted clusters left
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli tombstone list")]
    Tombstone(Tombstone),
    /// Show what a cluster gets when it polls
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli flux demo-cluster-01\n  flux-resourceset-cli flux demo-cluster-01.k8s.example.com platform-components\n  flux-resourceset-cli flux"
    )]
    Flux(Flux),
    /// Workflows of the demo
    #[command(
        subcommand,
        after_help = "Example:\n  flux-resourceset-cli demo flux-namespaces demo-cluster-01.k8s.example.com"
    )]
    Demo(Demo),
    /// Print a shell's completion script
    #[command(
        after_help = "Example:\n  flux-resourceset-cli completions bash > /etc/bash_completion.d/flux-resourceset-cli"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command, by its full name, as help is shown for it.
    fn commands() -> Vec<(String, clap::Command)> {
        let mut root = Cli::command().term_width(100);
        root.build();
        let mut found = vec![(root.get_name().to_owned(), root)];
        let mut next = 0;
        while let Some((name, command)) = found.get(next).cloned() {
            let inner = command.get_subcommands().filter(|c| c.get_name() != "help");
            found.extend(inner.map(|c| (format!("{name} {}", c.get_name()), c.clone())));
            next += 1;
        }
        found
    }

    /// The words of an example line, quotes taken off, up to a redirection.
    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().take_while(|word| *word != ">").map(|word| word.replace('"', "")).collect()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_of_every_command() {
        let text = |(name, mut command): (String, clap::Command)| {
            // The root shows the shared options; repeated everywhere they would bury the rest.
            if name.contains(' ') {
                command = command.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
            }
            format!("===== {name} --help\n{}\n", command.render_long_help())
        };
        insta::assert_snapshot!(commands().into_iter().map(text).collect::<String>());
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        for (name, command) in commands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<_> =
                help.lines().filter(|l| l.starts_with("  flux-resourceset-cli ")).collect();
            assert!(!examples.is_empty(), "{name} has no example");
            for example in examples {
                assert!(example.trim().starts_with(&name), "{name} shows {example}");
                let parsed = Cli::try_parse_from(words(example)).map(|_| ());
                let no_file = example.contains(".yaml");
                assert!(parsed.is_ok() || no_file, "{example}: {}", parsed.unwrap_err());
            }
        }
    }

    #[track_caller]
    fn check_usage_error(line: &str, part: &str) {
        let refusal = Cli::try_parse_from(words(line)).map(|_| ()).unwrap_err();
        assert_eq!(refusal.exit_code(), 2);
        assert!(refusal.to_string().contains(part), "{refusal}");
    }

    #[test]
    fn what_cannot_be_meant_is_a_usage_error() {
        let base = "flux-resourceset-cli";
        check_usage_error(&format!("{base} component patch a --cluster c"), "--set");
        check_usage_error(&format!("{base} component patch a --cluster c --set x"), "no '='");
        check_usage_error(&format!("{base} namespace assign a"), "--cluster");
        check_usage_error(&format!("{base} cluster list --timeout 0"), "timeout");
        check_usage_error(&format!("{base} component create a --delivery git"), "helm");
    }
}
