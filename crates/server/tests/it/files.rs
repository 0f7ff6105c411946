//! The whole fleet as a file: exported, wiped and applied again; files that belong to a source.

use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::server::{Server, cluster};

fn apply(client: &Client, path: &str, documents: &Value, more: Value) -> Reply {
    let mut body = json!({"source": "git", "documents": documents});
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    client.post(path, body)
}

const APPLY: &str = "/api/v2/apply";

#[test]
fn what_is_exported_comes_back_with_the_same_bytes_on_every_poll() {
    let server = Server::seeded();
    let writer = server.writer();
    for (name, environment) in [("held", "prod"), ("wiped", "dev"), ("renamed", "dev"), ("kept", "prod")] {
        let mut document = cluster(name);
        document["environment"] = environment.into();
        writer.post("/clusters", document).expect(201);
    }
    writer.patch("/clusters/renamed", json!({"cluster_dns": "new.example.com"})).expect(200);
    writer.delete("/clusters/held").expect(200);
    writer.delete("/clusters/wiped").expect(200);
    writer.post("/api/v2/freezes", json!({"id": "f", "selector": "id=kept", "reason": "why"})).expect(201);
    writer.put("/clusters/c1/patches/p1", json!({"a.b": "<&>"})).expect(201);
    let exported = server.reader().get("/api/v2/export").expect(200);
    let revision = writer.get("/ready").json()["revision"].to_string();
    assert_eq!(exported.header("x-revision"), Some(revision.as_str()));
    let other = Server::new();
    let made = apply(&other.writer(), APPLY, &exported.json(), json!({})).expect(200).json();
    assert_eq!(made["revision"], 1);
    let polls = |server: &Server| {
        let names = ["c1", "held", "wiped", "renamed", "kept", "new"];
        let paths = ["platform-components", "namespaces", "rolebindings"];
        let polls = names.iter().flat_map(|name| paths.map(|path| format!("/{name}.example.com/{path}")));
        let answers = polls.chain([String::new()]).map(|poll| {
            let reply = server.reader().get(&format!("/api/v2/flux/clusters{poll}"));
            let answer =
                if reply.status == 200 { reply.body } else { reply.json()["error"].to_string().into() };
            (poll, reply.status, String::from_utf8(answer).unwrap())
        });
        answers.collect::<Vec<_>>()
    };
    assert_eq!(polls(&other), polls(&server));
    assert_eq!(other.reader().get("/api/v2/export").expect(200).body, exported.body);
    let again = apply(&other.writer(), APPLY, &exported.json(), json!({})).expect(200).json();
    assert_eq!((&again["revision"], &again["documents"]), (&json!(1), &json!([])));
}

#[test]
fn a_source_is_told_who_changed_what_it_owns() {
    let server = Server::seeded();
    let writer = server.writer();
    let there = json!({"namespaces": [{"id": "n1", "labels": {"a": "b"}}, {"id": "n2"}]});
    // What is there as the files say it is taken up; what is not is a question.
    apply(&writer, APPLY, &there, json!({"reason": "take-over"})).expect(200);
    let owned =
        server.reader().get("/api/v2/sources/git").expect(200).json()["documents"]["namespaces"].clone();
    assert_eq!(owned.as_object().unwrap().keys().collect::<Vec<_>>(), ["n1", "n2"]);
    let headers = [("Content-Type", "application/merge-patch+json"), ("X-Change-Reason", "incident 7")];
    writer.send("PATCH", "/namespaces/n1", &headers, r#"{"labels":{"a":"c"}}"#).expect(200);
    let refused = apply(&writer, APPLY, &there, json!({})).expect(409);
    assert_eq!(refused.code(), "changed_since");
    let violation = &refused.json()["violations"][0];
    assert_eq!(violation["document"], "namespaces/n1");
    let message = violation["message"].as_str().unwrap();
    assert!(
        message.contains("by writer in revision 5 at 2") && message.ends_with(": incident 7"),
        "{message}"
    );
    let plan = apply(&writer, "/api/v2/apply?plan=true", &there, json!({})).expect(200).json();
    assert_eq!(plan["disputed"], json!([{"document": "namespaces/n1", "message": message}]));
    assert_eq!(plan["documents"][0]["id"], "n1");
    let plan = apply(&writer, "/api/v2/apply?plan=true", &there, json!({"take": true})).expect(200).json();
    assert_eq!(plan["disputed"], json!([]));
    assert_eq!(plan["documents"][0]["before"]["labels"], json!({"a": "c"}));
    assert_eq!(plan["documents"][0]["change"], "updated");
    assert_eq!(plan["effects"][0]["clusters"], json!(["c1"]));
    apply(&writer, APPLY, &there, json!({"take": true})).expect(200);
    let fewer = json!({"namespaces": [{"id": "n1", "labels": {"a": "b"}}]});
    assert_eq!(apply(&writer, APPLY, &fewer, json!({})).expect(200).json()["documents"], json!([]));
    let pruned = apply(&writer, APPLY, &fewer, json!({"prune": true})).expect(200).json();
    assert_eq!(pruned["documents"][0], json!({"type": "namespaces", "id": "n2", "change": "deleted"}));
    // What is referred to is not pruned away under those who need it.
    let referred = apply(&writer, APPLY, &json!({}), json!({"prune": true})).expect(409);
    assert_eq!(referred.code(), "conflict");
    assert_eq!(referred.violations(), [" referenced"]);
}

#[test]
fn files_are_refused_with_their_places() {
    let server = Server::seeded();
    let writer = server.writer();
    let documents = json!({"namespaces": [{"id": "x"}, {"id": "x"}], "rollouts": [], "sources": []});
    let refused = apply(&writer, APPLY, &documents, json!({})).expect(400);
    assert_eq!(
        refused.violations(),
        [
            "/documents/namespaces/1/id repeated",
            "/documents/rollouts unknown_field",
            "/documents/sources unknown_field",
        ]
    );
    let refused = writer.post(APPLY, json!({"source": 1, "prune": "yes", "file": {}})).expect(400);
    assert_eq!(
        refused.violations(),
        ["/file format", "/prune format", "/source format", "/documents missing_field"]
    );
    let wrong = json!({"namespaces": [{"id": "A"}]});
    assert_eq!(apply(&writer, APPLY, &wrong, json!({})).expect(400).code(), "invalid");
    let body = json!({"documents": {"namespaces": [{"id": "x"}]}});
    assert_eq!(writer.post(APPLY, body.clone()).expect(400).code(), "invalid");
    writer.post("/api/v2/apply?plan=true", body).expect(200);
    assert_eq!(server.reader().post(APPLY, json!({})).expect(403).code(), "forbidden");
}
