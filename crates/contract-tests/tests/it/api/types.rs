//! Resource types that a fleet registers: how one is written and what is refused of it, and the life of its
//! documents, which is that of any other's.

use flux_resourceset_contract_tests::check;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::http::Request;
use crate::server::{READ, Server, WRITE};
use crate::transcript::Transcript;

const TYPES: &str = "/resource_types";
const CLUSTER: &str = "/clusters/demo-cluster-01";
const POLL: &str = "/api/v2/flux/clusters/demo-cluster-01.k8s.example.com/network-policies";
/// The definition of the book that this software grew out of, as it stands there.
pub(crate) const NETWORK_POLICY: &str = include_str!("../../../../../data/network_policy.yaml");

fn get(path: impl Into<String>) -> Request {
    Request::get(path).token(READ)
}

fn write(method: &str, path: impl Into<String>) -> Request {
    Request::new(method, path).token(WRITE)
}

fn changes(changes: &Value) -> Request {
    write("POST", "/api/v2/changes").json(&json!({"changes": changes}))
}

/// A type with nothing special about it.
fn quota() -> Value {
    json!({
        "kind": "resource_quota", "apiVersion": "v1", "overridable": ["hard"],
        "schema": {
            "type": "object",
            "required": ["hard"],
            "properties": {
                "hard": {"type": "object", "additionalProperties": {"type": "string"}},
                "scopes": {"type": "array", "items": {"enum": ["BestEffort", "NotBestEffort"]}},
            },
        },
    })
}

/// `quota()` with this in its schema.
fn quota_with(pointer: &str, value: Value) -> Value {
    let mut document = quota();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[field] = value;
    document
}

#[track_caller]
fn register(server: &Server, document: &Value) {
    server.create("resource_types", document);
}

#[track_caller]
fn registered() -> Server {
    let server = Server::protected();
    let post = write("POST", TYPES).body("application/yaml", NETWORK_POLICY);
    server.send(&post).expect(201);
    server
}

/// A type's own life, in JSON.
#[test]
fn resource_types() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    talk.ask(get(TYPES)).expect(200);
    talk.ask(write("POST", format!("{TYPES}?plan=true")).json(&quota())).expect(200);
    let created = talk.ask(write("POST", TYPES).json(&quota())).expect(201);
    let one = created.header("location").unwrap();
    let tag = created.header("etag").unwrap();
    talk.ask(get(TYPES)).expect(200);
    talk.ask(get(one).header("If-None-Match", tag)).expect(304);
    talk.ask(get("/resource_quotas")).expect(200);
    talk.ask(write("PUT", one).json(&json!({"description": "What a namespace may use."}))).expect(200);
    let scopes = json!({"schema": {"properties": {"scopes": null, "paused": {"type": "boolean"}}}});
    talk.ask(write("PATCH", one).merge_patch(&scopes)).expect(200);
    talk.ask(write("PATCH", one).header("If-Match", tag).merge_patch(&scopes)).expect(412);
    talk.ask(get(one)).expect(200);
    talk.ask(write("DELETE", one)).expect(200);
    talk.ask(get(one)).expect(404);
    server.send(&get("/resource_quotas")).expect(404);
    talk.ask(Request::new("POST", TYPES).token(READ).json(&quota())).expect(403);
    assert_snapshot!(talk.text());
}

/// As the definition of a type is written elsewhere.
#[test]
fn in_yaml() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    let yaml = |method: &str, path: &str, body: &str| write(method, path).body("application/yaml", body);
    talk.ask(yaml("POST", TYPES, NETWORK_POLICY)).expect(201);
    talk.ask(yaml("PUT", &format!("{TYPES}/network_policies"), "description: Who may reach what.\n"))
        .expect(200);
    talk.ask(yaml("POST", TYPES, "kind: [a\n")).expect(400);
    talk.ask(yaml("POST", TYPES, "kind: a\nkind: b\n")).expect(400);
    talk.ask(yaml("POST", TYPES, "kind: a\n---\nkind: b\n")).expect(400);
    talk.ask(yaml("POST", TYPES, "a: &a [x, x]\nb: &b [*a, *a]\nkind: *b\n")).expect(400);
    talk.ask(yaml("POST", TYPES, "")).expect(400);
    let mut bomb = "a0: &a0 x\n".to_owned();
    for n in 1..30 {
        let of = n - 1;
        bomb.push_str(&format!("a{n}: &a{n} [*a{of}, *a{of}, *a{of}, *a{of}]\n"));
    }
    talk.ask(yaml("POST", TYPES, &bomb)).expect(400);
    talk.ask(yaml("PATCH", &format!("{TYPES}/network_policies"), "description: x\n")).expect(415);
    // Only definitions of types are.
    talk.ask(yaml("POST", "/namespaces", "id: x\n")).expect(415);
    talk.ask(yaml("POST", "/network_policies", "id: x\n")).expect(415);
    assert_eq!(server.revision(), 3);
    assert_snapshot!(talk.text());
}

/// Every reason for which a definition is not taken.
#[test]
fn refused() {
    let server = registered();
    let revision = server.revision();
    let mut talk = Transcript::with(&server);
    let mut post = |document: &Value, status: u16| {
        talk.ask(write("POST", TYPES).json(document)).expect(status);
    };
    post(&json!({}), 400);
    post(
        &json!({"kind": "Quota", "apiVersion": 1, "plural": "-", "flux_path": "a_b", "scope": "x",
        "overridable": ["a", "a"], "description": "a\u{0}", "schema": []}),
        400,
    );
    // Its shape.
    post(&quota_with("/schema/type", json!("array")), 400);
    post(&quota_with("/schema/additionalProperties", json!(true)), 400);
    post(
        &quota_with(
            "/schema/properties",
            json!({
                "provider": {}, "cluster": {}, "on_remove": {}, "a-b": {}, "1a": {}, "any": true, "id": {"type": "integer"},
                "x".repeat(64): {},
            }),
        ),
        400,
    );
    post(&quota_with("/overridable", json!(["id", "none"])), 400);
    // Where it leads.
    post(&quota_with("/schema/properties/hard", json!({"$ref": "https://example.com/schema.json"})), 400);
    post(
        &quota_with(
            "/schema/properties/hard",
            json!({"$ref": "#/properties/scopes", "$id": "x", "$anchor": "y"}),
        ),
        400,
    );
    post(&quota_with("/schema/properties/hard", json!({"$ref": "#/$defs/none"})), 400);
    // What it would cost.
    let deep = (0..40).fold(json!({"type": "string"}), |below, _| json!({"items": below}));
    post(&quota_with("/schema/properties/hard", deep), 400);
    post(&quota_with("/schema/properties/hard", json!({"enum": ["x".repeat(262_144)]})), 400);
    for pattern in ["(?=a)b", "(a)\\1", "(a{1000}){1000}", "("] {
        post(&quota_with("/schema/properties/hard", json!({"pattern": pattern})), 400);
        post(&quota_with("/schema/properties/hard", json!({"patternProperties": {pattern: {}}})), 400);
    }
    // Whether it is a schema.
    post(&quota_with("/schema/properties/hard", json!({"type": "objet"})), 400);
    post(&quota_with("/schema/required", json!("hard")), 400);
    post(&quota_with("/schema/properties/scopes/default", json!(["None"])), 400);
    // An input's own null is what Flux fails at.
    let nulls = json!({
        "hard": {}, "scopes": {"type": "null"}, "any": {}, "one": {"enum": ["a", null]}, "written": {"default": null},
        "text": {"type": ["null", "string"]},
    });
    post(&quota_with("/schema/properties", nulls), 400);
    // What it is called.
    for (kind, plural, flux_path) in [
        ("component", "components", "components"),
        ("ready", "ready", "ready"),
        ("cluster", "clusters", "clusters"),
        ("namespace", "spaces", "namespaces"),
        ("network_policy", "policies", "network-policies"),
        ("quota", "labels", "quotas"),
        ("quota", "priority", "quotas"),
    ] {
        let mut document = quota();
        for (field, text) in [("kind", kind), ("plural", plural), ("flux_path", flux_path)] {
            document[field] = text.into();
        }
        post(&document, 400);
    }
    let mut document = quota();
    document["id"] = "others".into();
    document["plural"] = "quotas".into();
    post(&document, 400);
    let again: Value = serde_saphyr::from_str(NETWORK_POLICY).unwrap();
    post(&again, 409);
    assert_eq!(server.revision(), revision);
    assert_snapshot!(talk.text());
}

/// Documents of a registered type: what each may hold is its type's, and every violation is said.
#[test]
fn documents_that_are_refused() {
    let server = registered();
    register(&server, &quota());
    server.create("resource_quotas", &json!({"id": "small", "hard": {"pods": "10"}}));
    let revision = server.revision();
    let mut talk = Transcript::with(&server);
    let wrong = json!({
        "id": "A.b", "target_namespace": 7, "colour": "red", "on_remove": "maybe",
        "ingress_rules": [{"from_namespace": null, "port": "80"}, 7, {"port": 1.5}],
    });
    talk.ask(write("POST", "/network_policies").json(&wrong)).expect(400);
    talk.ask(write("POST", "/network_policies").json(&json!({}))).expect(400);
    talk.ask(write("POST", "/network_policies").json(&json!([]))).expect(400);
    let small = "/resource_quotas/small";
    talk.ask(write("PUT", small).json(&json!({"hard": null, "scopes": ["None"]}))).expect(400);
    talk.ask(write("PATCH", small).merge_patch(&json!({"hard": {"pods": 10}, "id": "other"}))).expect(400);
    talk.ask(get("/network_policies?colour=red")).expect(400);
    talk.ask(get("/network_policies/none")).expect(404);
    // References to it.
    for (id, fields) in [
        ("none", json!({})),
        ("small", json!({"scopes": []})),
        ("small", json!({"hard": {"pods": 10}})),
        ("small", json!({"hard": {}, "on_remove": "maybe"})),
    ] {
        talk.ask(write("PUT", format!("{CLUSTER}/resource_quotas/{id}")).json(&fields)).expect(400);
    }
    talk.ask(
        write("PUT", CLUSTER)
            .json(&json!({"network_policies": [{}, "x", {"id": "none", "target_namespace": "y"}]})),
    )
    .expect(400);
    talk.ask(changes(&json!([
        {"create": "network_policies/x", "body": {"target_namespace": "x"}},
        {"update": "clusters/*/network_policies/y", "select": "", "body": {}},
        {"create": "limit_ranges/x", "body": {}},
    ])))
    .expect(400);
    assert_eq!(server.revision(), revision);
    assert_snapshot!(talk.text());
}

/// What is stored is never left to break its type's rules, nor without its type.
#[test]
fn evolution() {
    let server = Server::demo();
    register(&server, &quota());
    for (id, hard) in [("large", json!({"pods": "500"})), ("small", json!({"pods": "10"}))] {
        server.create("resource_quotas", &json!({"id": id, "hard": hard, "scopes": ["BestEffort"]}));
    }
    let assign = write("PUT", format!("{CLUSTER}/resource_quotas/small"));
    server.send(&assign.json(&json!({"hard": {"pods": "11"}}))).expect(201);
    let mut talk = Transcript::with(&server);
    let one = format!("{TYPES}/resource_quotas");
    let patch = |merge_patch: Value| write("PATCH", &one).merge_patch(&merge_patch);
    let required =
        json!({"schema": {"required": ["hard", "tier"], "properties": {"tier": {"type": "integer"}}}});
    // Whom it would break, all of them.
    talk.ask(patch(required.clone())).expect(409);
    talk.ask(patch(json!({"schema": {"properties": {"scopes": null}}}))).expect(409);
    talk.ask(patch(json!({"schema": {"properties": {"hard": {"maxProperties": 0}}}}))).expect(409);
    talk.ask(patch(json!({"overridable": null}))).expect(409);
    talk.ask(patch(json!({"flux_path": "quotas"}))).expect(409);
    talk.ask(patch(json!({"plural": "quotas"}))).expect(400);
    talk.ask(write("DELETE", &one)).expect(409);
    talk.ask(write("DELETE", format!("{one}?force=true"))).expect(409);
    // Together with its documents, and what that does to the clusters.
    let mut next = required;
    next["apiVersion"] = "v2".into();
    let together = json!([
        {"patch": "resource_types/resource_quotas", "body": next},
        {"patch": "resource_quotas/large", "body": {"tier": 1}},
        {"patch": "resource_quotas/small", "body": {"tier": 3}},
    ]);
    talk.ask(write("POST", "/api/v2/changes?plan=true").json(&json!({"changes": together}))).expect(200);
    talk.ask(changes(&together)).expect(200);
    // A further property is in every input at once.
    let further = json!({"schema": {"properties": {"note": {"type": "string", "default": "none"}}}});
    talk.ask(write("PATCH", format!("{one}?plan=true")).merge_patch(&further)).expect(200);
    talk.ask(patch(further)).expect(200);
    let quotas = talk.ask(get(POLL.replace("network-policies", "resource-quotas"))).expect(200);
    check(&quotas.body).unwrap();
    let undo = format!("/api/v2/changes/{}/revert", server.revision());
    talk.ask(write("POST", undo)).expect(200);
    assert_snapshot!(talk.text());
}

/// The life of a registered type's documents, from the first to the type's own end.
#[test]
fn life() {
    let server = registered();
    let mut talk = Transcript::with(&server);
    let one = "/network_policies/allow-monitoring";
    let policy = json!({
        "id": "allow-monitoring", "target_namespace": "monitoring",
        "ingress_rules": [{"from_namespace": "prometheus", "port": 9090}],
    });
    assert_eq!(server.send(&get(POLL)).expect(200).json(), json!({"inputs": []}), "assigned to nobody");
    talk.ask(write("POST", "/network_policies?plan=true").json(&policy)).expect(200);
    talk.ask(write("POST", "/network_policies").json(&policy)).expect(201);
    talk.ask(get("/network_policies?target_namespace=monitoring&limit=1")).expect(200);
    talk.ask(write("PUT", one).json(&json!({"target_namespace": "observability"}))).expect(200);
    talk.ask(write("PATCH", one).merge_patch(&json!({"on_remove": "keep"}))).expect(200);
    talk.ask(get(one)).expect(200);
    // Assigned: one part, and as many as a selector says.
    let part = format!("{CLUSTER}/network_policies/allow-monitoring");
    talk.ask(write("PUT", format!("{part}?plan=true")).json(&json!({}))).expect(200);
    talk.ask(write("PUT", &part).json(&json!({}))).expect(201);
    talk.ask(write("PATCH", &part).merge_patch(&json!({"on_remove": "delete"}))).expect(200);
    talk.ask(get(&part)).expect(200);
    talk.ask(changes(&json!([
        {"update": "clusters/*/network_policies/allow-monitoring", "select": "environment=prod", "body": {}},
    ])))
    .expect(200);
    let polled = talk.ask(get(POLL)).expect(200);
    assert_eq!(check(&polled.body).unwrap().inputs, 1);
    talk.ask(get("/clusters/demo-cluster-01")).expect(200);
    // What a change of it would do, and where it comes from.
    let rules = json!({"ingress_rules": []});
    talk.ask(write("PATCH", format!("{one}?plan=true")).merge_patch(&rules)).expect(200);
    talk.ask(write("PATCH", one).header("X-Change-Reason", "nobody").merge_patch(&rules)).expect(200);
    talk.ask(write("GET", "/api/v2/explain/prod-01/network-policies")).expect(200);
    talk.ask(write("GET", "/api/v2/changes?type=network_policies&limit=1")).expect(200);
    talk.ask(write("GET", "/api/v2/changes/3")).expect(200);
    // As it was, also before there was such a type.
    talk.ask(write("GET", format!("{POLL}?revision=8"))).expect(200);
    talk.ask(write("GET", format!("{one}?revision=4"))).expect(200);
    talk.ask(write("GET", format!("{part}?revision=7"))).expect(200);
    talk.ask(write("GET", format!("{POLL}?revision=1"))).expect(404);
    let last = server.revision();
    talk.ask(write("POST", format!("/api/v2/changes/{last}/revert"))).expect(200);
    // In use: neither it nor its type goes by itself.
    talk.ask(write("DELETE", one)).expect(409);
    talk.ask(write("DELETE", format!("{TYPES}/network_policies"))).expect(409);
    talk.ask(write("DELETE", format!("{one}?force=true"))).expect(428);
    talk.ask(write("DELETE", &part)).expect(200);
    let asked = server.send(&write("DELETE", format!("{one}?force=true"))).expect(428).json();
    let confirmed = write("DELETE", format!("{one}?force=true"));
    let digest = asked["plan"]["digest"].as_str().unwrap();
    talk.ask(confirmed.header("If-Plan", digest)).expect(200);
    talk.ask(write("DELETE", format!("{TYPES}/network_policies"))).expect(200);
    talk.ask(get(POLL)).expect(404);
    let gone = server.send(&get("/network_policies")).expect(404).json();
    assert_eq!(gone["message"], "There is no such path; /openapi.yaml lists those there are.");
    talk.ask(get(&part)).expect(404);
    // Nothing is left of it that would be in the way of the next one.
    let cluster = server.send(&get(CLUSTER)).expect(200).json();
    server.send(&write("PUT", CLUSTER).json(&cluster)).expect(200);
    talk.ask(write("POST", TYPES).body("application/yaml", NETWORK_POLICY)).expect(201);
    assert_eq!(check(&talk.ask(get(POLL)).expect(200).body).unwrap().inputs, 0);
    assert_snapshot!(talk.text());
}

/// A type, what is of it, and who gets it: one change, and one to undo it.
#[test]
fn all_at_once() {
    let server = Server::demo();
    let mut talk = Transcript::with(&server);
    let definition: Value = serde_saphyr::from_str(NETWORK_POLICY).unwrap();
    let everything = json!([
        {"create": "resource_types/network_policies", "body": definition},
        {"create": "network_policies/x", "body": {"target_namespace": "x", "ingress_rules": []}},
        {"update": "clusters/*/network_policies/x", "select": "", "body": {}},
    ]);
    talk.ask(write("POST", "/api/v2/changes?plan=true").json(&json!({"changes": everything}))).expect(200);
    talk.ask(changes(&everything)).expect(200);
    assert_eq!(check(&talk.ask(get(POLL)).expect(200).body).unwrap().inputs, 1);
    let undo = || write("POST", "/api/v2/changes/2/revert");
    let asked = talk.ask(undo()).expect(428).json();
    talk.ask(undo().header("If-Plan", asked["plan"]["digest"].as_str().unwrap())).expect(200);
    talk.ask(get(POLL)).expect(404);
    assert_snapshot!(talk.text());
}

/// A fleet with types of its own, as a file and back.
#[test]
fn files() {
    let server = registered();
    server.create("network_policies", &json!({"id": "x", "target_namespace": "x", "ingress_rules": []}));
    let assigned = write("PUT", format!("{CLUSTER}/network_policies/x")).json(&json!({}));
    server.send(&assigned).expect(201);
    let exported = server.send(&get("/api/v2/export")).expect(200).json();
    let other = Server::empty();
    let mut talk = Transcript::with(&other);
    let apply = |documents: &Value, prune: bool| {
        let body = json!({"source": "git", "prune": prune, "documents": documents});
        write("POST", "/api/v2/apply").json(&body)
    };
    talk.ask(apply(&exported, false)).expect(200);
    assert_eq!(other.send(&get("/api/v2/export")).expect(200).json(), exported);
    assert_eq!(other.send(&get(POLL)).expect(200).body, server.send(&get(POLL)).expect(200).body);
    // The type alone does not go, nor is there anything of a type that nobody declares.
    let mut without = exported.clone();
    without.as_object_mut().unwrap().remove("resource_types");
    talk.ask(apply(&without, true)).expect(409);
    talk.ask(apply(&json!({"resource_types": [quota()], "resource_quotas": [{"id": "x"}]}), false))
        .expect(400);
    talk.ask(apply(&json!({"resource_quotas": [{"id": "x", "hard": {}}]}), false)).expect(400);
    // Where all of it goes, it goes in one.
    let mut bare = without;
    bare.as_object_mut().unwrap().remove("network_policies");
    for cluster in bare["clusters"].as_array_mut().unwrap() {
        cluster.as_object_mut().unwrap().remove("network_policies");
    }
    let asked = talk.ask(apply(&bare, true)).expect(428).json();
    let confirmed = apply(&bare, true).header("If-Plan", asked["plan"]["digest"].as_str().unwrap());
    talk.ask(confirmed).expect(200);
    talk.ask(get(POLL)).expect(404);
    assert_snapshot!(talk.text());
}

/// The document that is served has a type's routes and rules from its first moment to its last.
#[test]
fn openapi() {
    let server = Server::demo();
    let served = || -> Value {
        serde_saphyr::from_str(server.send(&Request::get("/openapi.yaml")).expect(200).text()).unwrap()
    };
    let before = served();
    let mut definition = quota();
    let schema = json!({
        "type": "object",
        "required": ["hard"],
        "properties": {
            "hard": {"$ref": "#/$defs/hard"},
            "tier": {"type": "integer", "exclusiveMinimum": 0},
        },
        "$defs": {"hard": {"type": "object", "additionalProperties": {"type": "string"}}},
        "if": {"required": ["tier"]},
        "then": {"properties": {"hard": {"minProperties": 1}}},
    });
    definition["schema"] = schema.clone();
    register(&server, &definition);
    let now = served();
    let keys = |document: &Value, pointer: &str| -> Vec<String> {
        document.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect()
    };
    let added = |pointer: &str| -> Vec<String> {
        let known = keys(&before, pointer);
        keys(&now, pointer).into_iter().filter(|key| !known.contains(key)).collect()
    };
    assert_eq!(
        added("/paths"),
        [
            "/clusters/{id}/resource_quotas/{part}",
            "/profiles/{id}/resource_quotas/{part}",
            "/resource_quotas",
            "/resource_quotas/{id}"
        ]
    );
    assert_eq!(added("/components/schemas"), ["NewResourceQuota", "ResourceQuota", "ResourceQuotaFields"]);
    let said = &now["components"]["schemas"]["ResourceQuota"];
    assert_snapshot!(serde_json::to_string_pretty(said).unwrap());
    // The whole of it, as it was written and with what every definition has.
    let whole = &said["x-json-schema"];
    for keyword in ["$defs", "if", "then"] {
        assert_eq!(whole[keyword], schema[keyword]);
    }
    for property in ["hard", "tier"] {
        assert_eq!(whole["properties"][property], schema["properties"][property]);
    }
    let filters = now["paths"]["/resource_quotas"]["get"]["parameters"].as_array().unwrap().iter();
    let filters: Vec<_> = filters.map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(filters, ["limit", "offset", "id", "on_remove", "tier"]);
    server.send(&write("DELETE", format!("{TYPES}/resource_quotas"))).expect(200);
    assert_eq!(served(), before);
}
