//! Resource types that are registered while the server runs: from then on they have all that others have.

use std::sync::Arc;

use flux_resourceset_store::MemoryStore;
use serde_json::{Value, json};

use crate::client::{Client, Reply, until};
use crate::server::Server;

const YAML: &str = include_str!("../../../../data/network_policy.yaml");
const POLL: &str = "/api/v2/flux/clusters/c1.example.com/network-policies";

fn quotas() -> Value {
    json!({
        "kind": "quota", "apiVersion": "v1", "overridable": ["cpu"],
        "schema": {"type": "object", "properties": {"cpu": {"type": "string", "default": "1"}, "hard": {"type": "object"}}},
    })
}

fn yaml(client: &Client, method: &str, path: &str, body: &str) -> Reply {
    client.send(method, path, &[("Content-Type", "application/yaml")], body)
}

fn register(client: &Client) {
    yaml(client, "POST", "/resource_types", YAML).expect(201);
}

fn policy() -> Value {
    json!({"id": "allow", "target_namespace": "monitoring", "ingress_rules": [{"from_namespace": "x", "port": 80}]})
}

fn assign(client: &Client) {
    client.post("/network_policies", policy()).expect(201);
    client.put("/clusters/c1/network_policies/allow", json!({})).expect(201);
}

#[test]
fn a_type_has_everything_as_soon_as_it_is_registered() {
    let server = Server::seeded();
    let (writer, reader) = (server.writer(), server.reader());
    reader.get("/network_policies").expect(404);
    assert_eq!(reader.get(POLL).expect(404).code(), "unknown_type");
    let registered = yaml(&writer, "POST", "/resource_types", YAML).expect(201);
    assert_eq!(registered.header("location"), Some("/resource_types/network_policies"));
    assert_eq!(registered.json()["id"], "network_policies");
    assert_eq!(reader.get(POLL).expect(200).json(), json!({"inputs": []}));
    // Documents.
    assert_eq!(reader.get("/network_policies").expect(200).json(), json!([]));
    assert_eq!(
        writer
            .post("/network_policies", json!({"id": "x", "ingress_rules": 7, "other": 1}))
            .expect(400)
            .violations(),
        ["/ingress_rules type", "/other unknown_field", "/target_namespace missing_field"]
    );
    assign(&writer);
    writer.patch("/network_policies/allow", json!({"target_namespace": "m"})).expect(200);
    writer.put("/network_policies/allow", json!({"target_namespace": "monitoring"})).expect(200);
    assert_eq!(
        reader.get("/network_policies?target_namespace=monitoring").expect(200).json(),
        json!([policy()])
    );
    let wrong = server.writer().send("PATCH", "/network_policies", &[], "").expect(405);
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, POST"));
    writer.delete("/network_policies/allow/parts/x").expect(404);
    assert_eq!(writer.delete("/network_policies/allow").expect(409).code(), "referenced");
    // Parts, polls, explanations.
    assert_eq!(reader.get("/clusters/c1/network_policies/allow").expect(200).json(), json!({"id": "allow"}));
    let inputs = json!({"inputs": [{
        "id": "allow", "target_namespace": "monitoring", "ingress_rules": [{"from_namespace": "x", "port": 80}],
        "on_remove": "delete", "cluster": {"name": "c1", "dns": "c1.example.com", "environment": "dev"},
    }]});
    assert_eq!(reader.get(POLL).expect(200).json(), inputs);
    let explained = writer.get("/api/v2/explain/c1/network-policies/allow");
    assert!(String::from_utf8_lossy(&explained.expect(200).body).contains("network_policies/allow"));
    // Change sets with selectors, their plan, and the history.
    writer
        .post(
            "/clusters",
            json!({"cluster_name": "c2", "cluster_dns": "c2.example.com", "environment": "dev"}),
        )
        .expect(201);
    let set = json!({"changes": [{"update": "clusters/*/network_policies/allow", "select": "id=c2", "body": {"on_remove": "keep"}}]});
    let plan = writer.post("/api/v2/changes?plan=true", set.clone()).expect(200).json();
    assert_eq!(
        (&plan["effects"][0]["type"], &plan["effects"][0]["clusters"]),
        (&json!("network_policies"), &json!(["c2"]))
    );
    writer.post("/api/v2/changes", set).expect(200);
    let history = writer.get("/api/v2/changes?type=network_policies&id=allow").expect(200).json();
    assert_eq!(history.as_array().map(Vec::len), Some(3), "{history}");
    // The description.
    let described = String::from_utf8(server.anyone().get("/openapi.yaml").expect(200).body).unwrap();
    assert!(described.contains("/network_policies/{id}") && described.contains("x-json-schema"));
    assert!(
        described.contains("NewNetworkPolicy")
            && described.contains("/clusters/{id}/network_policies/{part}"),
        "{described}"
    );
}

#[test]
fn a_fleet_with_types_is_exported_and_applied_elsewhere() {
    let server = Server::seeded();
    register(&server.writer());
    assign(&server.writer());
    let exported = server.reader().get("/api/v2/export").expect(200).json();
    let other = Server::new();
    let files = json!({"source": "git", "documents": exported});
    other.writer().post("/api/v2/apply", files).expect(200);
    assert_eq!(other.reader().get(POLL).expect(200).json(), server.reader().get(POLL).expect(200).json());
    assert_eq!(other.reader().get("/api/v2/export").expect(200).json(), exported);
}

#[test]
fn other_processes_follow() {
    let store = MemoryStore::new();
    let one = Server::over(Arc::new(store.clone()), &[]);
    one.fill();
    let other = Server::over(Arc::new(store.clone()), &[]);
    let only_reads = Server::over(Arc::new(store.clone()), &[("API_MODE", "read-only")]);
    register(&one.writer());
    assign(&one.writer());
    let expected = one.reader().get(POLL).expect(200).json();
    for server in [&other, &only_reads] {
        until("polled there", || {
            let reply = server.reader().get(POLL);
            reply.status == 200 && reply.json() == expected
        });
    }
    other.writer().patch("/network_policies/allow", json!({"target_namespace": "n"})).expect(200);
    assert_eq!(only_reads.reader().get("/network_policies").expect(404).code(), "read_only");
    // What is deleted there is gone here.
    other.writer().confirmed("DELETE", "/network_policies/allow?force=true", None).expect(200);
    other.writer().delete("/resource_types/network_policies").expect(200);
    for server in [&one, &other, &only_reads] {
        until("gone there", || server.reader().get(POLL).status == 404);
    }
    one.reader().get("/network_policies").expect(404);
    let described = String::from_utf8(one.anyone().get("/openapi.yaml").expect(200).body).unwrap();
    assert!(!described.contains("network_policies"));
    // And who starts anew reads the same.
    register(&one.writer());
    let late = Server::over(Arc::new(store), &[]);
    assert_eq!(late.reader().get("/network_policies").expect(200).json(), json!([]));
}

#[test]
fn one_set_registers_fills_and_assigns_and_another_takes_it_all_away() {
    let server = Server::seeded();
    let writer = server.writer();
    let all = json!({"changes": [
        {"create": "resource_types/quotas", "body": quotas()},
        {"create": "quotas/q", "body": {"hard": {"pods": 3}}},
        {"update": "clusters/*/quotas/q", "select": "", "body": {"cpu": "4"}},
    ]});
    let made = writer.post("/api/v2/changes", all).expect(200).json();
    let polled = || server.reader().get("/api/v2/flux/clusters/c1.example.com/quotas");
    assert_eq!(polled().expect(200).json()["inputs"][0]["cpu"], "4");
    assert_eq!(
        writer.put("/clusters/c1/quotas/q", json!({"cpu": 4, "hard": {}})).expect(400).violations(),
        ["/quotas/0/hard unknown_field", "/quotas/0/cpu type"]
    );
    assert_eq!(writer.delete("/resource_types/quotas").expect(409).code(), "referenced");
    let mut changed = quotas();
    changed["schema"]["properties"]["cpu"] = json!({"type": "integer"});
    assert_eq!(
        writer.put("/resource_types/quotas", changed).expect(409).violations(),
        ["/quotas/0/cpu type"]
    );
    // A revert takes it all back, and another one of that brings it back again.
    let revision = made["revision"].as_u64().unwrap();
    let path = format!("/api/v2/changes/{revision}/revert");
    writer.confirmed("POST", &path, None).expect(200);
    polled().expect(404);
    server.reader().get("/quotas").expect(404);
    let history = writer.get("/api/v2/changes?type=quotas").expect(200).json();
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
    writer.get("/api/v2/changes?type=quota").expect(400);
    writer.send("POST", &format!("/api/v2/changes/{}/revert", revision + 1), &[], "").expect(200);
    assert_eq!(polled().expect(200).json()["inputs"][0]["cpu"], "4");
}

#[test]
fn names_that_are_taken_and_schemas_that_are_none_are_refused() {
    let server = Server::seeded();
    let writer = server.writer();
    let refused = |field: &str, value: Value| {
        let mut kind = quotas();
        kind[field] = value;
        writer.post("/resource_types", kind).expect(400).violations()
    };
    assert_eq!(refused("plural", "namespaces".into()), ["/plural taken"]);
    assert_eq!(refused("plural", "health".into()), ["/plural taken"]);
    assert_eq!(refused("kind", "cluster".into()), ["/kind taken", "/flux_path taken", "/plural taken"]);
    assert_eq!(refused("flux_path", "namespaces".into()), ["/flux_path taken"]);
    for schema in [json!(7), json!([]), json!("x"), json!({"properties": 7})] {
        assert!(!refused("schema", schema).is_empty());
    }
    writer.post("/resource_types", quotas()).expect(201);
    assert_eq!(writer.post("/resource_types", quotas()).expect(409).code(), "exists");
    // Names that another schema of the description has, or that have an empty word.
    for kind in ["plan", "error", "a__b", "a_1"] {
        let schema = json!({"type": "object", "properties": {"x": {"type": "string"}}});
        writer
            .post("/resource_types", json!({"kind": kind, "apiVersion": "v1", "schema": schema}))
            .expect(201);
        server.anyone().get("/openapi.yaml").expect(200);
        assert_eq!(server.reader().get(&format!("/{kind}s")).expect(200).json(), json!([]));
    }
}

#[test]
fn yaml_is_read_as_carefully_as_json() {
    let server = Server::new();
    let writer = server.writer();
    let refused = |body: &str| {
        let reply = yaml(&writer, "POST", "/resource_types", body).expect(400);
        assert_eq!(reply.code(), "malformed_yaml", "{body}");
        reply.json()["message"].as_str().unwrap().to_owned()
    };
    let twice = refused("kind: a\napiVersion: v1\nkind: b\n");
    assert!(twice.contains("kind") || twice.contains("duplicate"), "{twice}");
    let broken = refused("kind: a\n  x: [1\n");
    assert!(broken.contains("line"), "{broken}");
    let bomb: String = (0..30)
        .map(|at| match at {
            0 => "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(),
            _ => format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 10].join(", ")),
        })
        .collect();
    refused(&bomb);
    refused(&format!("a: {}", "[".repeat(20_000)));
    yaml(&writer, "POST", "/resource_types", "").expect(400);
    yaml(&writer, "POST", "/namespaces", "id: x").expect(415);
    yaml(&writer, "PATCH", "/resource_types/x", "id: x").expect(415);
    register(&writer);
    yaml(&writer, "PUT", "/resource_types/network_policies", "description: Who may talk to whom.\n")
        .expect(200);
    let large = format!("kind: {}", "x".repeat(11 * 1024 * 1024));
    yaml(&writer, "POST", "/resource_types", &large).expect(413);
}
