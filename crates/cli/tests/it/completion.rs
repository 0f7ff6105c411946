//! Completion: what a shell is told at each point of a command line.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::Server;
use crate::stub::{Answer, Stub, cli, ended, succeeds};

/// The candidates for the last of these words, as bash asks for them.
fn candidates(url: &str, words: &str) -> Vec<String> {
    let words: Vec<_> = words.split(' ').collect();
    let mut command = cli(url, "");
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
    command.env("_CLAP_IFS", "\n").arg("--").args(words);
    let ended = ended(command);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    ended.stdout.lines().map(str::to_owned).collect()
}

#[track_caller]
fn check(words: &str, path: &str) {
    let stub =
        Stub::answering(vec![Answer::json(200, &json!([{"id": "eu-1"}, {"id": "eu-2"}, {"id": "us-1"}]))]);
    assert_eq!(candidates(&stub.url, words), ["eu-1", "eu-2"], "{words}");
    assert_eq!(stub.asked()[0].line, format!("GET {path}"));
}

#[test]
fn ids_are_completed_from_the_api() {
    let name = "flux-resourceset-cli";
    check(&format!("{name} cluster get eu"), "/clusters");
    check(&format!("{name} namespace assign team --cluster eu"), "/clusters");
    check(&format!("{name} component update eu"), "/platform_components");
    check(&format!("{name} rolebinding delete a --whatif eu"), "/clusters");
    check(&format!("{name} tombstone wipe eu"), "/api/v2/tombstones");
    check(&format!("{name} resource_type get eu"), "/resource_types");
    check(&format!("{name} profile get eu"), "/profiles");
    check(&format!("{name} profile clusters eu"), "/profiles");
    check(&format!("{name} cluster profiles eu"), "/clusters");
    check(&format!("{name} component patch a --profile eu"), "/profiles");
    check(&format!("{name} report exceptions --profile eu"), "/profiles");
    check(&format!("{name} freeze lift eu"), "/api/v2/freezes");
    check(&format!("{name} explain eu"), "/clusters");
    check(&format!("{name} flux eu"), "/clusters");
}

#[test]
fn commands_and_flags_are_completed_without_the_api() {
    let nowhere = "http://127.0.0.1:1";
    assert!(candidates(nowhere, "flux-resourceset-cli fre").contains(&"freeze".to_owned()));
    assert!(candidates(nowhere, "flux-resourceset-cli cluster delete --pl").contains(&"--plan".to_owned()));
}

#[test]
fn an_api_that_is_away_is_met_with_silence() {
    assert_eq!(candidates("http://127.0.0.1:1", "flux-resourceset-cli cluster get eu"), [""; 0]);
    assert_eq!(candidates("", "flux-resourceset-cli cluster get eu"), [""; 0]);
    // The kernel accepts, and nobody ever answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let url = format!("http://{}", listener.local_addr().unwrap());
    assert_eq!(candidates(&url, "flux-resourceset-cli cluster get eu"), [""; 0]);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_commands_of_registered_types_are_completed() {
    let server = Server::with_type("every_kind");
    assert_eq!(candidates(server.url(), "flux-resourceset-cli sam"), ["sample"]);
    assert!(candidates(server.url(), "flux-resourceset-cli sample as").contains(&"assign".to_owned()));
    succeeds(server.cli("sample create first --set text=a"));
    assert_eq!(candidates(server.url(), "flux-resourceset-cli samples get fi"), ["first"]);
}
