//! A person at a terminal: asked before something is destroyed, in colours, and told what happens.

use std::io::{Read, Write};
use std::time::Duration;
use std::{env, thread};

use pty_process::Size;
use pty_process::blocking::{Command, open};
use serde_json::{Value, json};

use crate::guard::plan;
use crate::stub::{Answer, READ_TOKEN, Stub, WRITE_TOKEN};

/// Runs it on a terminal where `typed` is typed, and gives the exit code and all that was shown.
fn on_terminal(url: &str, arguments: &str, typed: &str, set: &[(&str, &str)]) -> (i32, String) {
    let (mut terminal, child_side) = open().unwrap();
    terminal.resize(Size::new(40, 100)).unwrap();
    let command = Command::new(env!("CARGO_BIN_EXE_flux-resourceset-cli"))
        .env_clear()
        .args(arguments.split_whitespace())
        .envs([("FLUX_API_URL", url), ("FLUX_API_TOKEN", READ_TOKEN), ("FLUX_API_WRITE_TOKEN", WRITE_TOKEN)])
        .envs(set.iter().copied());
    let mut child = command.spawn(child_side).unwrap();
    terminal.write_all(typed.as_bytes()).unwrap();
    let reading = thread::spawn(move || {
        let mut shown = Vec::new();
        let mut buffer = [0; 4096];
        // The end of a terminal is an error on Linux.
        while let Ok(count @ 1..) = terminal.read(&mut buffer) {
            shown.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(shown).unwrap()
    });
    let code = child.wait().unwrap().code().unwrap();
    thread::sleep(Duration::from_millis(10));
    (code, reading.join().unwrap().replace("\r\n", "\n"))
}

fn unconfirmed() -> Answer {
    let body = json!({"error": "confirmation_required", "message": "Confirm.", "plan": plan(12)});
    Answer::json(428, &body)
}

fn done() -> Answer {
    Answer::json(200, &json!({"id": "team"}))
}

#[test]
fn the_number_typed_is_a_confirmation() {
    let stub = Stub::answering(vec![unconfirmed(), done()]);
    let (code, shown) = on_terminal(&stub.url, "namespace delete team --force", "12\n", &[]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("\u{1b}[31m- 12 clusters lose namespace team\u{1b}[0m"), "{shown}");
    assert!(shown.contains("Type the number of clusters (12) to go on: "), "{shown}");
    let asked = stub.asked();
    assert_eq!(asked[0].header("if-plan"), None);
    assert_eq!(asked[1].header("if-plan"), Some("d1"));
}

#[test]
fn anything_else_is_none() {
    for typed in ["y\n", "\n", "\u{4}"] {
        let stub = Stub::answering(vec![unconfirmed()]);
        let (code, shown) = on_terminal(&stub.url, "namespace delete team", typed, &[]);
        assert_eq!(code, 1);
        assert!(shown.contains("error: 12 was not typed, so nothing was changed"), "{shown}");
        stub.asked();
    }
}

#[test]
fn what_changed_while_somebody_thought_is_not_done() {
    let changed = json!({"error": "plan_changed", "message": "It changed.", "plan": plan(13)});
    let stub = Stub::answering(vec![unconfirmed(), Answer::json(412, &changed)]);
    let (code, shown) = on_terminal(&stub.url, "namespace delete team", "12\n", &[]);
    assert_eq!(code, 1);
    assert!(shown.contains("- 13 clusters lose namespace team"), "{shown}");
    assert!(shown.contains("no longer what was agreed to, so nothing was changed"), "{shown}");
}

#[test]
fn colours_can_be_turned_off() {
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let stub = Stub::answering(vec![unconfirmed()]);
        let (_, shown) = on_terminal(&stub.url, "namespace delete team", "\n", &[(name, value)]);
        assert!(shown.contains("- 12 clusters lose") && !shown.contains('\u{1b}'), "{shown}");
    }
}

#[test]
fn lifting_a_freeze_asks_for_what_has_gathered() {
    let freeze = || Answer::json(200, &json!({"id": "incident-42", "selector": "", "reason": "etcd"}));
    let stub = Stub::answering(vec![Answer::json(200, &plan(12)), freeze()]);
    let (code, shown) = on_terminal(&stub.url, "freeze lift incident-42", "12\n", &[]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("13 clusters change") && shown.contains("(12) to go on"), "{shown}");
    let asked = stub.asked();
    assert_eq!(asked[0].line, "DELETE /api/v2/freezes/incident-42?plan=true");
    assert_eq!(asked[1].line, "DELETE /api/v2/freezes/incident-42");
    assert_eq!(asked[1].header("if-plan"), Some("d1"));

    let stub = Stub::answering(vec![Answer::json(200, &plan(12))]);
    let (code, _) = on_terminal(&stub.url, "freeze lift incident-42", "n\n", &[]);
    assert_eq!(code, 1);
    stub.asked();
}

#[test]
fn a_list_is_a_table_as_wide_as_the_terminal() {
    let clusters: Value = json!([{"id": "eu-1", "environment": "dev", "cluster_dns": "eu-1.example"}]);
    let stub = Stub::answering(vec![Answer::json(200, &clusters)]);
    let (code, shown) = on_terminal(&stub.url, "cluster list", "", &[]);
    assert_eq!(code, 0);
    assert!(shown.contains("\u{1b}[1mENVIRONMENT\u{1b}[0m"), "{shown}");
}
