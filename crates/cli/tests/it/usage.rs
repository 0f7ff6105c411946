//! What needs no server: missing variables, unreadable files, help and completions.

use std::fs;

use crate::stub::{cli, fails};

const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn a_missing_variable_is_named() {
    let cases = [("FLUX_API_URL", "cluster list"), ("FLUX_API_WRITE_TOKEN", "cluster delete a")];
    for (name, arguments) in cases {
        for value in [None, Some("")] {
            let mut command = cli(NOWHERE, arguments);
            match value {
                None => command.env_remove(name),
                Some(empty) => command.env(name, empty),
            };
            let said = fails(command, 2);
            assert!(said.starts_with(&format!("error: {name} is not set; ")), "{said}");
            assert_eq!(said.lines().count(), 1);
        }
    }
}

#[test]
fn without_any_token_the_read_token_is_asked_for() {
    let mut command = cli(NOWHERE, "namespace list");
    command.env_remove("FLUX_API_TOKEN").env_remove("FLUX_API_WRITE_TOKEN");
    assert!(fails(command, 2).starts_with("error: FLUX_API_TOKEN is not set; "));
}

#[test]
fn flags_stand_for_the_variables() {
    let mut command = cli("", "cluster list --url http://127.0.0.1:1 --token t");
    command.env_clear();
    assert!(fails(command, 1).contains("reached nobody"));
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.yaml");
    let create = || cli(NOWHERE, &format!("cluster create -f {}", path.display()));
    assert!(fails(create(), 2).contains("cluster.yaml"));
    fs::write(&path, "- a list\n").unwrap();
    assert!(fails(create(), 2).contains("no single JSON or YAML object"));
    fs::write(&path, "environment: dev\n").unwrap();
    assert!(fails(create(), 2).contains("which cluster?"));
    fs::write(&path, "id: other\n").unwrap();
    let said = fails(cli(NOWHERE, &format!("cluster update mine -f {}", path.display())), 2);
    assert!(said.contains("\"other\"") && said.contains("\"mine\""), "{said}");
}

#[test]
fn an_update_without_a_change_is_wrong_usage() {
    for group in ["cluster", "namespace", "component", "rolebinding"] {
        let said = fails(cli(NOWHERE, &format!("{group} update a")), 2);
        assert!(said.starts_with("error: nothing to change; "), "{said}");
    }
}

#[test]
fn help_and_completions_need_nothing() {
    let shells = ["bash", "zsh", "fish", "elvish", "powershell"];
    let completions = shells.map(|shell| format!("completions {shell}"));
    for arguments in
        completions.iter().map(String::as_str).chain(["--help", "cluster create --help", "--version"])
    {
        let mut command = cli("", arguments);
        let output = command.env_clear().output().unwrap();
        assert!(output.status.success(), "{arguments}");
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("flux-resourceset-cli") && output.stderr.is_empty(), "{arguments}");
    }
}
