//! Bad input gets a clear error, and nothing is stored and nothing lost: after each request here the fleet
//! is at the revision and has the documents that it had before.

use std::io::{Read, Write};
use std::net::Shutdown;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::http::{Request, connect, read};
use crate::server::{READ, Server, WRITE, cluster};

fn write(method: &str, path: &str) -> Request {
    Request::new(method, path).token(WRITE)
}

fn post(plural: &str, body: &Value) -> Request {
    write("POST", &format!("/{plural}")).json(body)
}

fn put(path: &str, body: &Value) -> Request {
    write("PUT", path).json(body)
}

/// What a server says to requests that it refuses.
pub(crate) struct Refused<'a> {
    server: &'a Server,
    before: (Value, Value),
    pub(crate) said: String,
}

impl<'a> Refused<'a> {
    pub(crate) fn by(server: &'a Server) -> Self {
        Refused { server, before: (server.revision(), server.documents()), said: String::new() }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, request: &Request) {
        let reply = self.server.send(request);
        let error = reply.json();
        assert!((400..500).contains(&reply.status), "{} {}: {error}", request.method, request.path);
        self.unchanged();
        let body: String = request.body.iter().flat_map(|body| body.chars()).take(160).map(visible).collect();
        let line = format!("{} {} {body}", request.method, request.path);
        self.said.push_str(&format!(
            "{}\n  {} {}",
            line.trim_end(),
            reply.status,
            error["error"].as_str().unwrap()
        ));
        let violations = error["violations"].as_array().cloned().unwrap_or_default();
        if violations.is_empty() {
            self.said.push_str(&format!(": {}", error["message"].as_str().unwrap()));
        }
        for violation in violations {
            let text = |key: &str| violation[key].as_str().unwrap_or_default();
            let (document, pointer) = (text("document"), text("pointer"));
            let line = format!("{document}{pointer} {}: {}", text("code"), text("message"));
            self.said.push_str(&format!("\n  - {}", line.trim_start()));
        }
        self.said.push_str("\n\n");
    }

    #[track_caller]
    pub(crate) fn unchanged(&self) {
        assert_eq!((self.server.revision(), self.server.documents()), self.before);
    }
}

fn visible(c: char) -> String {
    if c.is_control() || c == '\u{feff}' { c.escape_unicode().to_string() } else { c.to_string() }
}

#[test]
fn all_that_is_missing_at_once() {
    let server = Server::demo();
    let mut refused = Refused::by(&server);
    for plural in ["platform_components", "namespaces", "rolebindings"] {
        refused.send(&post(plural, &json!({})));
        refused.send(&post(plural, &json!({"_id": null})));
    }
    let error = server.send(&post("clusters", &json!({}))).expect(400).json();
    let violations = error["violations"].as_array().unwrap();
    let pointers: Vec<_> = violations.iter().map(|one| one["pointer"].as_str().unwrap()).collect();
    assert!(pointers.starts_with(&["/cluster_dns", "/cluster_name", "/environment"]), "{pointers:?}");
    refused.unchanged();
    let nested = json!({
        "cluster_name": "x", "cluster_dns": "x.example.com", "environment": "dev",
        "platform_components": [{"enabled": true}], "namespaces": [{}, {}], "rolebindings": [{}],
    });
    refused.send(&post("clusters", &nested));
    refused.send(&post(
        "rolebindings",
        &json!({"id": "x", "role": "view", "subjects": [{}, {"kind": "ServiceAccount", "name": "x"}]}),
    ));
    // PUT and PATCH may take away no more than a document can do without.
    refused.send(&put("/clusters/demo-cluster-01", &json!({"cluster_dns": null, "environment": null})));
    refused.send(&write("PATCH", "/platform_components/podinfo").merge_patch(&json!({"oci_url": null})));
    assert_snapshot!(refused.said);
}

#[test]
fn wrong_types_and_unknown_fields() {
    let server = Server::demo();
    let mut refused = Refused::by(&server);
    let types = json!({
        "id": "x", "cluster_name": 1, "cluster_dns": ["x"], "environment": {}, "labels": {"a": 1}, "node_count": "3",
        "platform_components": {"id": "podinfo"}, "namespaces": ["podinfo"],
        "patches": {"podinfo": {"replicaCount": 3, "on": true, "list": ["a"]}},
    });
    refused.send(&post("clusters", &types));
    let fields = json!({
        "id": "x", "name": "x", "cluster_dns": "x.example.com", "cluster_name": "x", "environment": "dev",
        "platform_components": [{"id": "podinfo", "component_version": "1"}],
        "namespaces": [{"id": "podinfo", "labels": {}}],
    });
    refused.send(&post("clusters", &fields));
    let component = json!({
        "id": "x", "component_path": "", "oci_url": "ftp://example.com", "oci_tag": "", "depends_on": ["a", 1],
        "cluster_env_enabled": "true", "delivery": "pigeon", "on_remove": "maybe",
        "release": {"timeout": "soon", "crds": "All", "chart": "x", "values": []},
    });
    refused.send(&post("platform_components", &component));
    let namespace =
        json!({"id": "x", "labels": {"a b": "c", "ok": "not ok!"}, "annotations": [], "anotations": {}});
    refused.send(&post("namespaces", &namespace));
    let subjects = json!([
        {"kind": "Robot", "name": "x"}, {"kind": "User", "name": "x", "namespace": "y"}
    ]);
    refused.send(&post("rolebindings", &json!({"id": "x", "role": "a/b", "subjects": subjects})));
    for body in [json!([]), json!("x"), json!(7), json!(null)] {
        refused.send(&post("namespaces", &body));
        refused.send(&put("/namespaces/podinfo", &body));
    }
    let texts = json!({"id": "x", "annotations": {"nul": "a\u{0}b", "nel": "\u{85}", "bom": "\u{feff}"}});
    refused.send(&post("namespaces", &texts));
    assert_snapshot!(refused.said);
}

#[test]
fn ids_and_names() {
    let server = Server::demo();
    let mut refused = Refused::by(&server);
    let long = "x".repeat(64);
    for id in ["", "-a", "a-", "A", "a.b", "a_b", "a/b", "é", "a b", &long] {
        refused.send(&post("namespaces", &json!({"id": id})));
    }
    for id in ["kube-system", "default", "flux-system"] {
        refused.send(&post("namespaces", &json!({"id": id})));
    }
    refused.send(&post("rolebindings", &json!({"id": "cluster-admin", "role": "view"})));
    let component = json!({"id": "x".repeat(54), "component_path": "x", "oci_url": "https://charts.example"});
    refused.send(&post("platform_components", &component));
    for dns in [
        "",
        ".",
        "a..b",
        "-a.example.com",
        "a_b.example.com",
        "a.example.com:443",
        "https://a.example.com",
        "*.example.com",
        &"a.".repeat(127),
    ] {
        let mut document = cluster("x");
        document["cluster_dns"] = dns.into();
        refused.send(&post("clusters", &document));
    }
    // An id is for life.
    refused.send(&put("/namespaces/podinfo", &json!({"id": "other"})));
    refused.send(&put("/namespaces/podinfo", &json!({"_id": "other"})));
    refused.send(&write("PATCH", "/namespaces/podinfo").merge_patch(&json!({"id": null})));
    assert_snapshot!(refused.said);
}

#[test]
fn one_dns_name_is_one_cluster() {
    let server = Server::demo();
    server.create("clusters", &cluster("gone"));
    server.send(&write("DELETE", "/clusters/gone")).expect(200);
    server.create("clusters", &cluster("other"));
    let mut refused = Refused::by(&server);
    for dns in [
        "demo-cluster-01.k8s.example.com",
        "DEMO-CLUSTER-01.K8S.EXAMPLE.COM",
        "demo-cluster-01.k8s.example.com.",
    ] {
        let mut twin = cluster("twin");
        twin["cluster_dns"] = dns.into();
        refused.send(&post("clusters", &twin));
        refused.send(&put("/clusters/other", &json!({"cluster_dns": dns})));
    }
    // The name of a deleted cluster is not free, nor is its id for another name.
    let mut heir = cluster("heir");
    heir["cluster_dns"] = "gone.k8s.example.com".into();
    refused.send(&post("clusters", &heir));
    let mut moved = cluster("gone");
    moved["cluster_dns"] = "moved.k8s.example.com".into();
    refused.send(&post("clusters", &moved));
    // Nor is the former name of one that is there now, for any other.
    server.send(&put("/clusters/other", &json!({"cluster_dns": "moved.k8s.example.com"}))).expect(200);
    refused.before = (server.revision(), server.documents());
    for dns in ["other.k8s.example.com", "Other.k8s.example.com.", "moved.k8s.example.com"] {
        let mut heir = cluster("heir");
        heir["cluster_dns"] = dns.into();
        refused.send(&post("clusters", &heir));
        refused.send(&put("/clusters/demo-cluster-01", &json!({"aliases": [dns]})));
    }
    assert_snapshot!(refused.said);
}

#[test]
fn what_does_not_fit_the_fleet() {
    let server = Server::demo();
    let component = |id: &str, depends_on: Value| json!({"id": id, "component_path": id, "oci_url": "oci://registry.example/x", "depends_on": depends_on});
    server.create("platform_components", &component("a", json!([])));
    server.create("platform_components", &component("b", json!(["a"])));
    let mut overlays = component("overlays", json!([]));
    overlays["delivery"] = "kustomize".into();
    server.create("platform_components", &overlays);
    let mut across = component("across", json!(["a"]));
    across["delivery"] = "kustomize".into();
    server.create("platform_components", &across);
    let mut refused = Refused::by(&server);
    refused.send(&put("/platform_components/a", &json!({"depends_on": ["b"]})));
    refused.send(&put("/platform_components/a", &json!({"depends_on": ["a"]})));
    refused.send(&put("/platform_components/a", &json!({"depends_on": ["nowhere"]})));
    let demo = "/clusters/demo-cluster-01";
    for fields in [
        json!({"platform_components": [{"id": "none"}], "namespaces": [{"id": "none"}], "rolebindings": [{"id": "none"}], "patches": {"none": {"a": "b"}}}),
        json!({"namespaces": [{"id": "podinfo"}, {"id": "podinfo"}]}),
        json!({"platform_components": [{"id": "b"}], "patches": null}),
        json!({"platform_components": [{"id": "b"}, {"id": "a", "enabled": false}], "patches": null}),
        json!({"platform_components": [{"id": "across"}, {"id": "a"}], "patches": null}),
        json!({"platform_components": [{"id": "a"}, {"id": "podinfo", "release": {"name": "a", "target_namespace": "a"}}]}),
        json!({"platform_components": [{"id": "overlays", "oci_tag": "no tag", "release": {"values": {"a": 1}}}], "patches": {"overlays": {"a.b": "c"}}}),
        json!({"patches": {"podinfo": {"a": "1", "a.b": "2", "list[x]": "3", "c d": "4"}}}),
        json!({"patches": {"podinfo": {"a": "x".repeat(262_145)}}}),
        json!({"patches": {"podinfo": (0..5).map(|n| (format!("k{n}"), json!("x".repeat(200_000)))).collect::<serde_json::Map<_, _>>()}}),
    ] {
        refused.send(&put(demo, &fields));
    }
    assert_snapshot!(refused.said);
}

/// Paths that name nothing, or something by another name: each means what it says or nothing.
#[test]
fn paths() {
    let server = Server::demo();
    let mut refused = Refused::by(&server);
    for path in [
        "/namespaces/podinfo/",
        "/namespaces//podinfo",
        "//namespaces/podinfo",
        "/./namespaces/podinfo",
        "/clusters/../namespaces/podinfo",
        "/namespaces/%2e%2e%2fclusters",
        "/namespaces/podinfo%2F",
        "/namespaces/podinfo%20",
        "/namespaces/PODINFO",
        "/namespaces/%2570odinfo",
        "/namespaces/%",
        "/namespaces/%f",
        "/namespaces/%FF",
        "/namespaces/%C0%AF",
        "/namespaces/podinfo;v=1",
        "/namespaces/podinfo?",
        "/namespaces/podinfo?force",
        "/namespaces/podinfo?force=true&force=true",
    ] {
        refused.send(&write("DELETE", path));
    }
    let long = format!("/namespaces/{}", "%70".repeat(700));
    assert_eq!(server.send(&write("DELETE", &long)).expect(414).json()["error"], "path_too_long");
    refused.unchanged();
    // The other spelling of an id is the same document.
    let read = server.get("/namespaces/%70odinfo").expect(200);
    assert_eq!(read.body, server.get("/namespaces/podinfo").body);
    assert_snapshot!(refused.said);
}

#[test]
fn methods_and_tokens() {
    let server = Server::demo();
    let mut refused = Refused::by(&server);
    let body = json!({"id": "x"});
    for method in ["OPTIONS", "TRACE", "PURGE", "post", "DELETE", "PATCH", "PUT"] {
        refused.send(&write(method, "/namespaces").json(&body));
    }
    // Overriding the method is not a thing here.
    refused
        .send(&write("POST", "/namespaces/podinfo").header("X-HTTP-Method-Override", "DELETE").json(&body));
    let anonymous = Request::new("POST", "/namespaces").json(&body);
    refused.send(&anonymous);
    for authorization in [
        format!("Basic {WRITE}"),
        format!("Token {WRITE}"),
        WRITE.to_owned(),
        format!("Bearer{WRITE}"),
        format!("Bearer {WRITE} {WRITE}"),
        format!("Bearer \"{WRITE}\""),
        format!("Bearer {}", WRITE.to_uppercase()),
        "Bearer".to_owned(),
        format!("Bearer {READ}"),
    ] {
        let request = anonymous.clone().header("Authorization", authorization.as_str());
        refused.said.push_str(&format!("{authorization}: "));
        refused.send(&request);
    }
    assert_snapshot!(refused.said);
}

/// What is wrong with the sending rather than with what is sent; its answers are in `api/refusals.rs`.
#[test]
fn bodies_that_are_not_stored() {
    let server = Server::demo_with(&[("MAX_BODY_BYTES", "2000"), ("BODY_TIMEOUT", "300ms")]);
    let refused = Refused::by(&server);
    let body = json!({"id": "x"}).to_string();
    let wrongly_sent = [
        (400, write("POST", "/namespaces").body("application/json", &body[..body.len() - 1])),
        (400, write("POST", "/namespaces").body("application/json", format!("{body}{body}"))),
        (400, write("POST", "/namespaces").body("application/json", "{\"id\": 'x'}")),
        (400, write("POST", "/namespaces").body("application/json", "[".repeat(1500))),
        (413, write("POST", "/namespaces").body("application/json", format!("{body}{}", " ".repeat(2000)))),
        (415, write("POST", "/namespaces").body("text/plain", &body)),
        (415, write("POST", "/namespaces").body("application/json; charset=utf-16", &body)),
        (
            415,
            write("POST", "/namespaces").header("Content-Type", "application/json").body("text/plain", &body),
        ),
        (415, write("PUT", "/namespaces/podinfo").body("application/merge-patch+json", "{\"labels\": {}}")),
    ];
    for (status, request) in wrongly_sent {
        let reply = server.send(&request);
        assert_eq!(reply.status, status, "{request:?} {}", reply.text());
        refused.unchanged();
    }
    // All of the document is there, but the body has not ended: in time, and not at all.
    let head = write("POST", "/namespaces").header("Content-Type", "application/json").head();
    let unfinished = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len() + 1);
    let mut slow = connect(server.address);
    slow.write_all(unfinished.as_bytes()).unwrap();
    read(&mut slow).expect(408);
    let mut gone = connect(server.address);
    gone.write_all(unfinished.as_bytes()).unwrap();
    gone.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = gone.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
    // Two lengths are the beginning of a smuggled request.
    for lengths in
        ["Content-Length: 10\r\nContent-Length: 12", "Content-Length: 10\r\nTransfer-Encoding: chunked"]
    {
        let mut stream = connect(server.address);
        stream.write_all(format!("{head}{lengths}\r\nConnection: close\r\n\r\n{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{lengths}: {}", String::from_utf8_lossy(&answer));
    }
    refused.unchanged();
}
