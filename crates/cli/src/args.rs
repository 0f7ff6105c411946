//! The command line as a whole: the groups of commands and the options they share. A group's own
//! flags stand in the group's file.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::apply::{Apply, Diff};
use crate::change::Change;
use crate::cluster::Cluster;
use crate::component::Component;
use crate::confirm::Confirm;
use crate::connection::Connection;
use crate::demo::Demo;
use crate::explain::Explain;
use crate::export::Export;
use crate::flux::Flux;
use crate::freeze::Freeze;
use crate::history::{History, Revert};
use crate::namespace::Namespace;
use crate::output::Format;
use crate::profile::Profile;
use crate::report::Report;
use crate::resource_type::ResourceTypes;
use crate::rolebinding::Rolebinding;
use crate::tombstone::Tombstone;
use crate::validate::Validate;
use crate::whatif::Whatif;

/// Shows and changes what the clusters of a Flux fleet get
#[derive(Parser)]
#[command(name = "flux-resourceset-cli", version, max_term_width = 100)]
#[command(after_help = "\
Example:
  flux-resourceset-cli cluster list

And one command for each resource type that the fleet registered: resource_type list.

Set FLUX_API_URL, FLUX_API_TOKEN and, for writes, FLUX_API_WRITE_TOKEN.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 there are changes (diff, --plan, whatif).")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What stands with every command.
#[derive(Args)]
pub(crate) struct Options {
    /// Form of the result
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Clusters of the fleet
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli cluster list")]
    Cluster(Cluster),
    /// Profiles: what all clusters that a selector matches get, between the catalog and the clusters
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli profile list")]
    Profile(Profile),
    /// Namespaces: definitions, and which clusters and profiles have them
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli namespace list")]
    Namespace(Namespace),
    /// Platform components: the catalog, which clusters and profiles have them, patches
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli component list")]
    Component(Component),
    /// Role bindings: definitions, and which clusters and profiles have them
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli rolebinding list")]
    Rolebinding(Rolebinding),
    /// Resource types that the fleet registered, and the manifests to begin with
    #[command(
        name = "resource_type",
        alias = "resource-type",
        subcommand,
        after_help = "Example:\n  flux-resourceset-cli resource_type list"
    )]
    ResourceType(ResourceTypes),
    /// What deleted clusters left
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli tombstone list")]
    Tombstone(Tombstone),
    /// Show what a cluster gets when it polls
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli flux demo-cluster-01\n  flux-resourceset-cli flux demo-cluster-01 components --at 2h\n  flux-resourceset-cli flux demo-cluster-01.k8s.example.com platform-components\n  flux-resourceset-cli flux"
    )]
    Flux(Flux),
    /// Show where each value that a cluster gets comes from, and who put it there
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli explain demo-cluster-01 component podinfo\n  flux-resourceset-cli explain demo-cluster-01"
    )]
    Explain(Explain),
    /// Show what one cluster would get after a change, as a diff; exit code 3 if it differs
    ///
    /// Every command that writes shows the same with --whatif CLUSTER.
    #[command(after_help = "Example:\n  flux-resourceset-cli whatif demo-cluster-01 -f change.yaml")]
    Whatif(Whatif),
    /// Make many changes at once, all or nothing
    ///
    /// The file has a list of operations: create, update, patch or delete, each with what it is about.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli change -f change.yaml --plan\n  flux-resourceset-cli change -f change.yaml --reason CVE-2026-1234\n\nA change.yaml:\n  changes:\n  - patch: platform_components/grafana\n    body: {oci_tag: v1.1.0}\n  - patch: clusters/*/platform_components/cert-manager\n    select: environment=prod,region in (eu,us)\n    body: {oci_tag: v1.0.0-1}\n  - delete: namespaces/old\n    force: true"
    )]
    Change(Change),
    /// Show who changed what, when and why
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli history --cluster demo-cluster-01 --from 3d\n  flux-resourceset-cli history --type component --id podinfo --limit 5\n  flux-resourceset-cli history show 12"
    )]
    History(History),
    /// Reports on the fleet
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli report exceptions")]
    Report(Report),
    /// Take a change back, field by field
    ///
    /// What was changed again since is refused, naming who, when and why; --skip-conflicts leaves that
    /// alone.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli revert 12 --plan\n  flux-resourceset-cli revert 12 --reason 'latency went up'"
    )]
    Revert(Revert),
    /// The brake: frozen clusters keep what they have
    #[command(subcommand, after_help = "Example:\n  flux-resourceset-cli freeze list")]
    Freeze(Freeze),
    /// Have the server follow a store that is not the one it served before
    ///
    /// A server that meets another history, as of a restored backup, answers no polls until somebody has seen
    /// what would change. Each process is confirmed for itself: give its own URL.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli confirm --plan\n  flux-resourceset-cli confirm --reason 'INC-2041: the backup of noon'"
    )]
    Confirm(Confirm),
    /// Write the whole fleet to a file
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli export fleet.yaml\n  flux-resourceset-cli export -o yaml"
    )]
    Export(Export),
    /// Show what `apply` would change; exit code 3 if anything
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli diff -f fleet --source platform-git --prune\n  flux-resourceset-cli diff -f fleet.yaml"
    )]
    Diff(Diff),
    /// Make the documents of a source equal to files, in one change
    ///
    /// --prune deletes only what this source applied before. What somebody else changed since is
    /// refused, naming who, when and why, unless --take.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli apply -f fleet --source platform-git --prune --plan\n  flux-resourceset-cli apply -f fleet.yaml --source platform-git --reason 'weekly upgrade'"
    )]
    Apply(Apply),
    /// Check files, with no server
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli validate -f fleet\n  flux-resourceset-cli validate -f fleet.yaml --environments dev,prod\n  flux-resourceset-cli validate -f team.yaml --partial"
    )]
    Validate(Validate),
    /// Workflows of the demo
    #[command(
        subcommand,
        after_help = "Example:\n  flux-resourceset-cli demo flux-namespaces demo-cluster-01.k8s.example.com"
    )]
    Demo(Demo),
    /// Print a shell's completion script
    ///
    /// Ids are completed by asking the API that FLUX_API_URL names; where it does not answer at once,
    /// they are not.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli completions bash > /etc/bash_completion.d/flux-resourceset-cli\n  flux-resourceset-cli completions fish > ~/.config/fish/completions/flux-resourceset-cli.fish"
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
        let mut quote = None;
        let mut words = vec![String::new()];
        for c in line.trim().chars() {
            match (c, quote) {
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (' ', None) => words.push(String::new()),
                (c, _) => words.last_mut().unwrap().push(c),
            }
        }
        words.into_iter().take_while(|word| word != ">").filter(|word| !word.is_empty()).collect()
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
