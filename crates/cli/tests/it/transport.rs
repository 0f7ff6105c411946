//! What happens between the binary and a server: tokens, tags, races, proxies, silence.

use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::stub::{Answer, READ_TOKEN, Stub, WRITE_TOKEN, cli, fails, succeeds};

const ASSIGN: &str = "namespace assign team --cluster c1";
const LABEL: &str = "cluster update c1 --label team=x";

fn cluster(namespaces: &[&str]) -> Value {
    let references: Vec<_> = namespaces.iter().map(|id| json!({ "id": id })).collect();
    json!({"id": "c1", "cluster_dns": "c1.example", "namespaces": references})
}

#[test]
fn an_unreachable_server_is_named() {
    // Nothing listens on port 1.
    let said = fails(cli("http://127.0.0.1:1", "cluster list"), 1);
    assert!(said.starts_with("error: GET http://127.0.0.1:1/clusters reached nobody ("), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn an_unknown_host_is_named() {
    let said = fails(cli("http://nowhere.invalid", "cluster list"), 1);
    assert!(said.contains("http://nowhere.invalid"), "{said}");
}

#[test]
fn html_is_told_from_the_api() {
    for status in [200, 403, 502] {
        let stub = Stub::answering(vec![Answer::html(status)]);
        let said = fails(cli(&stub.url, "cluster list"), 1);
        assert!(said.contains(&format!("status {status} and text/html")), "{said}");
        assert!(!said.contains("sorry"), "{said}");
    }
}

#[test]
fn something_other_than_a_list_is_no_list() {
    let stub = Stub::answering(vec![Answer::json(200, &json!({"status": "ok"}))]);
    assert!(fails(cli(&stub.url, "cluster list"), 1).contains("something other than a list"));
}

#[test]
fn each_verb_has_its_token() {
    let stub = Stub::answering(vec![
        Answer::json(201, &json!({"id": "team"})),
        Answer::json(200, &cluster(&["team"])),
    ]);
    assert_eq!(succeeds(cli(&stub.url, ASSIGN)), cluster(&["team"]));
    let asked = stub.asked();
    assert_eq!(asked[0].line, "PUT /clusters/c1/namespaces/team");
    assert_eq!(asked[0].header("authorization"), Some(format!("Bearer {WRITE_TOKEN}").as_str()));
    assert_eq!(asked[0].body, json!({"exclude": null}));
    assert_eq!(asked[1].line, "GET /clusters/c1");
    assert_eq!(asked[1].header("authorization"), Some(format!("Bearer {READ_TOKEN}").as_str()));
}

#[test]
fn a_write_token_alone_reads_too() {
    let stub = Stub::answering(vec![Answer::json(200, &json!([]))]);
    let mut command = cli(&stub.url, "cluster list");
    command.env_remove("FLUX_API_TOKEN");
    succeeds(command);
    assert_eq!(stub.asked()[0].header("authorization"), Some(format!("Bearer {WRITE_TOKEN}").as_str()));
}

#[test]
fn a_lost_race_is_decided_again_on_what_the_winner_wrote() {
    let lost = json!({"error": "precondition_failed", "message": "the document changed"});
    let stub = Stub::answering(vec![
        Answer::json(200, &json!({"id": "c1", "labels": {"a": "1"}})).with("etag", "\"1\""),
        Answer::json(412, &lost),
        Answer::json(200, &json!({"id": "c1", "labels": {"a": "1", "b": "2"}})).with("etag", "\"2\""),
        Answer::json(200, &cluster(&[])),
    ]);
    succeeds(cli(&stub.url, LABEL));
    let asked = stub.asked();
    assert_eq!(asked[3].header("if-match"), Some("\"2\""));
    assert_eq!(asked[3].body, json!({"labels": {"a": "1", "b": "2", "team": "x"}}));
}

#[test]
fn a_race_lost_every_time_is_given_up() {
    let lost = json!({"error": "precondition_failed", "message": "The document changed."});
    let round = || [Answer::json(200, &cluster(&[])).with("etag", "\"1\""), Answer::json(412, &lost)];
    let stub = Stub::answering((0..10).flat_map(|_| round()).collect());
    let said = fails(cli(&stub.url, LABEL), 1);
    assert!(said.starts_with("error: The document changed; somebody else"), "{said}");
    assert_eq!(stub.asked().len(), 20);
}

#[test]
fn without_tags_a_write_is_unconditional() {
    let stub = Stub::answering(vec![Answer::json(200, &cluster(&[])), Answer::json(200, &cluster(&[]))]);
    succeeds(cli(&stub.url, LABEL));
    let asked = stub.asked();
    assert_eq!(asked[1].header("if-match"), None);
    assert_eq!(asked[1].body, json!({"labels": {"team": "x"}}));
}

#[test]
fn a_redirect_is_not_followed() {
    let stub =
        Stub::answering(vec![Answer::html(301).with("location", "https://elsewhere.example/clusters")]);
    let said = fails(cli(&stub.url, "cluster list"), 1);
    assert!(said.contains("redirected to https://elsewhere.example/clusters"), "{said}");
    assert_eq!(stub.asked().len(), 1);
}

#[test]
fn an_id_is_one_path_segment_below_the_base() {
    let stub = Stub::answering(vec![Answer::json(200, &json!({"id": "x"}))]);
    succeeds(cli(&format!("{}/flux/", stub.url), "rolebinding get system:a/../b?c"));
    assert_eq!(stub.asked()[0].line, "GET /flux/rolebindings/system%3Aa%2F..%2Fb%3Fc");
}

#[test]
fn a_server_that_stays_silent_is_given_up() {
    // It accepts, since the kernel does, and nobody ever answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let said = fails(cli(&url, "namespace delete c1 --timeout 1"), 1);
    assert!(said.contains("not answered within 1 s") && said.contains("look before repeating"), "{said}");
}

#[test]
fn a_broken_answer_is_no_document() {
    let stub = Stub::answering(vec![Answer::json(200, &json!([])).with("transfer-encoding", "chunked")]);
    fails(cli(&stub.url, "cluster list"), 1);
}

#[test]
fn a_rejected_token_is_named_but_not_shown() {
    let refusal = json!({"error": "unauthorized", "message": "The token is not known.", "request_id": "r"});
    let stub = Stub::answering(vec![Answer::json(401, &refusal)]);
    let said = fails(cli(&stub.url, "namespace delete c1"), 1);
    assert_eq!(said, "error: The token is not known; check FLUX_API_WRITE_TOKEN (401 unauthorized)\n");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    // More than any pipe holds, so that the binary is still writing when the reader goes.
    let many: Vec<_> = (0..50_000).map(|n| json!({"id": format!("cluster-{n}")})).collect();
    let stub = Stub::answering(vec![Answer::json(200, &json!(many))]);
    let mut command = cli(&stub.url, "cluster list");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
