//! Somebody else's client of this API, written from the book's reference and command line chapters alone,
//! works unchanged: what it sends, what it takes for success, and which fields it reads.

use serde_json::{Value, json};

use crate::http::Request;
use crate::server::{READ, Server, WRITE, workspace};

const CLUSTER: &str = "demo-cluster-01";
const DNS: &str = "demo-cluster-01.k8s.example.com";

/// It reads with one token, writes with the other, sends and expects JSON, and takes any 2xx for success.
struct Client<'a>(&'a Server);

impl Client<'_> {
    fn call(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Result<Value, u16> {
        let request = Request::new(method, path).token(token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let reply = self.0.send(&request);
        if (200..300).contains(&reply.status) { Ok(reply.json()) } else { Err(reply.status) }
    }

    fn get(&self, path: &str) -> Result<Value, u16> {
        self.call("GET", path, READ, None)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, u16> {
        self.call("POST", path, WRITE, Some(body))
    }

    fn put(&self, path: &str, body: &Value) -> Result<Value, u16> {
        self.call("PUT", path, WRITE, Some(body))
    }

    fn delete(&self, path: &str) -> Result<Value, u16> {
        self.call("DELETE", path, WRITE, None)
    }

    fn flux(&self, dns: &str, path: &str) -> Result<Value, u16> {
        self.get(&format!("/api/v2/flux/clusters/{dns}/{path}"))
    }

    /// Creates a definition unless there is one: 409 says so.
    fn ensure(&self, plural: &str, definition: &Value) -> Result<(), u16> {
        match self.post(&format!("/{plural}"), definition) {
            Ok(created) => {
                assert_eq!(created["id"], definition["id"]);
                Ok(())
            }
            Err(409) => Ok(()),
            Err(status) => Err(status),
        }
    }

    /// Reads the cluster, changes one of its fields, and sends back that field alone.
    fn change(&self, cluster: &str, field: &str, change: impl Fn(&mut Value)) -> Result<Value, u16> {
        let path = format!("/clusters/{cluster}");
        let mut value = self.get(&path)?[field].take();
        change(&mut value);
        let updated = self.put(&path, &json!({field: value}))?;
        assert_eq!((&updated["id"], &updated[field]), (&json!(cluster), &value));
        Ok(updated)
    }

    fn assign(&self, plural: &str, reference: &Value, cluster: &str) -> Result<Value, u16> {
        self.change(cluster, plural, |references| {
            if references.is_null() {
                *references = json!([]);
            }
            let references = references.as_array_mut().unwrap();
            if references.iter().all(|known| known["id"] != reference["id"]) {
                references.push(reference.clone());
            }
        })
    }

    fn unassign(&self, plural: &str, id: &str, cluster: &str) -> Result<Value, u16> {
        self.change(cluster, plural, |references| {
            references.as_array_mut().unwrap().retain(|known| known["id"] != id);
        })
    }

    fn patch_component(&self, id: &str, cluster: &str, sets: &[(&str, &str)]) -> Result<Value, u16> {
        self.change(cluster, "patches", |patches| {
            for (path, value) in sets {
                patches[id][*path] = json!(value);
            }
        })
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[track_caller]
fn input<'a>(answer: &'a Value, id: &str) -> &'a Value {
    answer["inputs"].as_array().unwrap().iter().find(|input| input["id"] == id).unwrap()
}

/// Whether `have` says at least what `want` says.
#[track_caller]
fn holds(have: &Value, want: &Value) {
    match (have, want) {
        (Value::Object(_), Value::Object(want)) => {
            for (key, want) in want {
                holds(&have[key], want);
            }
        }
        (Value::Array(have), Value::Array(want)) => {
            assert_eq!(have.len(), want.len());
            have.iter().zip(want).for_each(|(have, want)| holds(have, want));
        }
        _ => assert_eq!(have, want),
    }
}

#[test]
fn what_the_seed_file_says_is_what_is_read() {
    let server = Server::demo();
    let client = Client(&server);
    let file = std::fs::read_to_string(workspace().join("data/seed.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    for (plural, documents) in file.as_object().unwrap() {
        let listed = client.get(&format!("/{plural}")).unwrap();
        let mut expected = documents.as_array().unwrap().clone();
        expected.sort_by_key(|document| document["id"].to_string());
        assert_eq!(listed, json!(expected), "a bare array");
        for document in expected {
            let path = format!("/{plural}/{}", document["id"].as_str().unwrap());
            assert_eq!(client.get(&path).unwrap(), document);
        }
    }
}

#[test]
fn whatever_was_just_read_can_be_sent_back_whole() {
    let server = Server::demo();
    let client = Client(&server);
    for plural in ["clusters", "platform_components", "namespaces", "rolebindings"] {
        for document in client.get(&format!("/{plural}")).unwrap().as_array().unwrap() {
            let path = format!("/{plural}/{}", document["id"].as_str().unwrap());
            assert_eq!(client.put(&path, document).as_ref(), Ok(document));
        }
    }
    assert_eq!(server.revision(), 1);
}

#[test]
fn namespace_create_assign_unassign() {
    let server = Server::demo();
    let client = Client(&server);
    let namespace =
        json!({"id": "team-sandbox", "labels": {"team": "sandbox"}, "annotations": {"owner": "platform"}});
    assert_eq!(client.post("/namespaces", &namespace).as_ref(), Ok(&namespace));
    let before = client.get(&format!("/clusters/{CLUSTER}")).unwrap();
    let after = client.assign("namespaces", &json!({"id": "team-sandbox"}), CLUSTER).unwrap();
    assert_eq!(ids(&after["namespaces"]), ["cert-manager", "traefik", "podinfo", "team-sandbox"]);
    for field in ["cluster_dns", "patches", "platform_components", "rolebindings"] {
        assert_eq!(after[field], before[field], "what PUT does not carry stays");
    }
    let answer = client.flux(DNS, "namespaces").unwrap();
    let mut expected = namespace.clone();
    expected["cluster"] = json!({"name": CLUSTER, "dns": DNS, "environment": "dev"});
    holds(input(&answer, "team-sandbox"), &expected);
    // Once more from the start changes nothing.
    client.ensure("namespaces", &namespace).unwrap();
    assert_eq!(client.assign("namespaces", &json!({"id": "team-sandbox"}), CLUSTER).unwrap(), after);
    client.unassign("namespaces", "team-sandbox", CLUSTER).unwrap();
    assert_eq!(
        ids(&client.flux(DNS, "namespaces").unwrap()["inputs"]),
        ["cert-manager", "traefik", "podinfo"]
    );
    assert_eq!(client.delete("/namespaces/team-sandbox"), Ok(namespace));
}

#[test]
fn component_create_assign_unassign() {
    let server = Server::demo();
    let client = Client(&server);
    // The flags of `component create`, for one that is there already and for one that is not.
    for id in ["cert-manager", "grafana"] {
        let component = json!({
            "id": id, "component_path": format!("core/{id}/1.14.0"), "component_version": "1.14.0",
            "oci_url": "oci://registry.example/platform-components", "oci_tag": "v1.0.0",
            "cluster_env_enabled": false, "depends_on": [],
        });
        let status = client.post("/platform_components", &component).err();
        assert_eq!(status, (id == "cert-manager").then_some(409));
        client.ensure("platform_components", &component).unwrap();
        client.assign("platform_components", &json!({"id": id, "enabled": true}), CLUSTER).unwrap();
    }
    let hotfix = json!({"id": "grafana", "enabled": true, "oci_tag": "v1.0.0-1", "component_path": null});
    client.unassign("platform_components", "grafana", CLUSTER).unwrap();
    let path = format!("/clusters/{CLUSTER}");
    let mut references = client.get(&path).unwrap()["platform_components"].take();
    references.as_array_mut().unwrap().push(hotfix);
    client.put(&path, &json!({"platform_components": references})).unwrap();
    let answer = client.flux(DNS, "platform-components").unwrap();
    assert_eq!(ids(&answer["inputs"]), ["cert-manager", "traefik", "podinfo", "grafana"]);
    let expected = json!({
        "component_path": "core/grafana/1.14.0", "component_version": "1.14.0",
        "cluster_env_enabled": false, "depends_on": [], "enabled": true, "patches": {},
        "source": {"oci_url": "oci://registry.example/platform-components", "oci_tag": "v1.0.0-1"},
    });
    holds(input(&answer, "grafana"), &expected);
    client.unassign("platform_components", "grafana", CLUSTER).unwrap();
    assert_eq!(client.delete("/platform_components/grafana").unwrap()["id"], "grafana");
}

#[test]
fn component_patch() {
    let server = Server::demo();
    let client = Client(&server);
    client
        .patch_component(
            "podinfo",
            CLUSTER,
            &[("replicaCount", "3"), ("ui.message", "Hello"), ("ui.color", "#3b82f6")],
        )
        .unwrap();
    let answer = client.flux(DNS, "platform-components").unwrap();
    let expected = json!({"replicaCount": "3", "ui.message": "Hello", "ui.color": "#3b82f6"});
    assert_eq!(input(&answer, "podinfo")["patches"], expected);
    assert_eq!(input(&answer, "traefik")["patches"]["service.type"], "ClusterIP");
    // As the book's sequence diagrams do it.
    let merge = json!({"patches": {"podinfo": {"replicaCount": "5"}}});
    let patched = client.call("PATCH", &format!("/clusters/{CLUSTER}"), WRITE, Some(&merge)).unwrap();
    let expected = json!({"replicaCount": "5", "ui.message": "Hello", "ui.color": "#3b82f6"});
    assert_eq!(patched["patches"]["podinfo"], expected);
}

#[test]
fn a_rolebinding_with_its_api_group() {
    let server = Server::demo();
    let client = Client(&server);
    let binding = json!({
        "id": "team-editors", "role": "edit",
        "subjects": [{"kind": "Group", "name": "team", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    assert_eq!(client.post("/rolebindings", &binding).as_ref(), Ok(&binding));
    client.assign("rolebindings", &json!({"id": "team-editors"}), CLUSTER).unwrap();
    let answer = client.flux(DNS, "rolebindings").unwrap();
    holds(input(&answer, "team-editors"), &binding);
    assert_eq!(client.put("/rolebindings/team-editors", &json!({"role": "view"})).unwrap()["role"], "view");
    let answer = client.flux(DNS, "rolebindings").unwrap();
    assert_eq!(input(&answer, "team-editors")["role"], "view");
}

/// The documents of the book's merge example, `_id` and null as it writes them.
#[test]
fn the_merge_example() {
    let server = Server::empty();
    let client = Client(&server);
    for component in [
        json!({
            "_id": "cert-manager", "component_path": "core/cert-manager/1.14.0",
            "oci_url": "oci://registry/repo", "oci_tag": "v1.0.0", "depends_on": [],
        }),
        json!({
            "_id": "grafana", "component_path": "observability/grafana/17.0.0",
            "oci_url": "oci://registry/repo", "oci_tag": "v1.0.0", "depends_on": ["cert-manager"],
        }),
    ] {
        let created = client.post("/platform_components", &component).unwrap();
        assert_eq!(created["id"], component["_id"]);
    }
    let cluster = json!({
        "cluster_name": "us-east-prod-01", "cluster_dns": "us-east-prod-01.k8s.example.com",
        "environment": "prod",
        "platform_components": [
            {"id": "cert-manager", "enabled": true, "oci_tag": null, "component_path": null},
            {
                "id": "grafana", "enabled": true, "oci_tag": "v1.0.0-1",
                "component_path": "observability/grafana/17.1.0",
            },
        ],
        "patches": {"grafana": {"GRAFANA_REPLICAS": "3"}},
    });
    assert_eq!(client.post("/clusters", &cluster).unwrap()["id"], "us-east-prod-01");
    let block =
        json!({"name": "us-east-prod-01", "dns": "us-east-prod-01.k8s.example.com", "environment": "prod"});
    let expected = json!({"inputs": [
        {
            "id": "cert-manager", "component_path": "core/cert-manager/1.14.0",
            "source": {"oci_url": "oci://registry/repo", "oci_tag": "v1.0.0"},
            "patches": {}, "cluster": block,
        },
        {
            "id": "grafana", "component_path": "observability/grafana/17.1.0",
            "source": {"oci_url": "oci://registry/repo", "oci_tag": "v1.0.0-1"},
            "depends_on": ["cert-manager"], "patches": {"GRAFANA_REPLICAS": "3"}, "cluster": block,
        },
    ]});
    holds(&client.flux("us-east-prod-01.k8s.example.com", "platform-components").unwrap(), &expected);
}

#[test]
fn a_cluster_comes_goes_and_comes_back() {
    let server = Server::demo();
    let client = Client(&server);
    let fleet = client.get("/api/v2/flux/clusters").unwrap();
    let listed = json!({"id": CLUSTER, "cluster_name": CLUSTER, "cluster_dns": DNS, "environment": "dev"});
    assert_eq!(fleet, json!({"inputs": [listed]}));
    let document = client.get(&format!("/clusters/{CLUSTER}")).unwrap();
    assert_eq!(client.delete(&format!("/clusters/{CLUSTER}")).as_ref(), Ok(&document));
    for path in ["platform-components", "namespaces", "rolebindings"] {
        assert_eq!(client.flux(DNS, path), Ok(json!({"inputs": []})), "the decommission path");
    }
    assert_eq!(client.get("/clusters"), Ok(json!([])));
    assert_eq!(client.post("/clusters", &document).as_ref(), Ok(&document));
    assert_eq!(client.flux(DNS, "namespaces").unwrap()["inputs"].as_array().unwrap().len(), 3);
}

#[test]
fn errors_by_their_status() {
    let server = Server::demo();
    let client = Client(&server);
    for token in ["", "wrong"] {
        assert_eq!(client.call("GET", "/clusters", token, None), Err(401));
    }
    assert_eq!(client.flux("unknown.k8s.example.com", "namespaces"), Err(404));
    for plural in ["clusters", "platform_components", "namespaces", "rolebindings"] {
        let path = format!("/{plural}/unknown");
        assert_eq!(client.get(&path), Err(404));
        assert_eq!(client.put(&path, &json!({})), Err(404));
        assert_eq!(client.delete(&path), Err(404));
        let first = client.get(&format!("/{plural}")).unwrap()[0].take();
        assert_eq!(client.post(&format!("/{plural}"), &first), Err(409));
    }
}

/// It sends its token everywhere, and reads one field.
#[test]
fn service_endpoints_with_a_token() {
    let server = Server::demo();
    let client = Client(&server);
    for path in ["/health", "/ready"] {
        assert_eq!(client.get(path).unwrap()["status"], "ok");
    }
    let document = server.get("/openapi.yaml").expect(200);
    assert!(document.text().starts_with("openapi: \"3.0"));
}

/// Where one token does both, as in the book's own setup.
#[test]
fn one_token_reads_and_writes() {
    let server = Server::demo_with(&[("CRUD_AUTH_TOKEN", READ)]);
    let client = Client(&server);
    let created = client.call("POST", "/namespaces", READ, Some(&json!({"id": "x", "labels": {}})));
    assert_eq!(created.unwrap()["id"], "x");
}

/// A step of the client, and what it is answered.
type Step = fn(&Client) -> Result<Value, u16>;

const PROTECTED: &str = "prod-01";

/// The guard's cases, all of them: what the client could do with one request, and is asked about now. In each
/// the answer is 428 and nothing happens; sent again with the header that the error names, it does.
const GUARDED: [(&str, Step); 10] = [
    ("a component unassigned from a cluster of a protected environment", |client| {
        client.unassign("platform_components", "traefik", PROTECTED)
    }),
    ("a namespace unassigned from one", |client| client.unassign("namespaces", "podinfo", PROTECTED)),
    ("a role binding unassigned from one", |client| {
        client.unassign("rolebindings", "dev-readers", PROTECTED)
    }),
    ("a component disabled on one", |client| {
        client.change(PROTECTED, "platform_components", |list| list[0]["enabled"] = false.into())
    }),
    ("another component_path on one, which is another chart", |client| {
        client.change(PROTECTED, "platform_components", |list| list[0]["component_path"] = "podinfo/2".into())
    }),
    (
        "another component_path in the catalog, where one of them has it or more clusters than REMOVAL_LIMIT",
        |client| client.put("/platform_components/traefik", &json!({"component_path": "traefik/2"})),
    ),
    (
        "another environment for one, which is another kind of cluster to whatever is made from the fleet list",
        |client| client.put(&format!("/clusters/{PROTECTED}"), &json!({"environment": "dev"})),
    ),
    ("the last of a type unassigned from a cluster of any environment, by writing an empty list", |client| {
        client.put(&format!("/clusters/{CLUSTER}"), &json!({"rolebindings": []}))
    }),
    ("a definition deleted with force, where a protected cluster has it", |client| {
        client.delete("/namespaces/podinfo?force=true")
    }),
    ("a deleted cluster of a protected environment created again with less than it had", |client| {
        let mut document = client.get(&format!("/clusters/{PROTECTED}")).or_else(|_| {
            client
                .get(&format!("/api/v2/tombstones/{PROTECTED}"))
                .map(|mut tombstone| tombstone["cluster"].take())
        })?;
        // Deleting it comes last of these: it is not put back.
        client.delete(&format!("/clusters/{PROTECTED}")).ok();
        document["namespaces"] = json!([]);
        client.post("/clusters", &document)
    }),
];

#[test]
fn what_the_guard_asks_about_first() {
    let server = Server::protected();
    let client = Client(&server);
    for (case, step) in GUARDED {
        // The last one deletes, which goes without a question.
        let deletes = case.starts_with("a deleted cluster");
        let before = (server.revision(), server.documents());
        assert_eq!(step(&client), Err(428), "{case}");
        assert!(deletes || (server.revision(), server.documents()) == before, "{case}");
    }
    // What is a case only because of how many there are.
    let server = Server::demo();
    let client = Client(&server);
    for n in 0..10 {
        let mut more = crate::server::cluster(&format!("more-{n}"));
        more["platform_components"] = json!([{"id": "traefik"}]);
        client.post("/clusters", &more).unwrap();
    }
    let moved = |path: &str| client.put("/platform_components/traefik", &json!({"component_path": path}));
    assert_eq!(moved("traefik/2"), Err(428));
    client.unassign("platform_components", "traefik", CLUSTER).unwrap();
    assert_eq!(moved("traefik/2").unwrap()["component_path"], "traefik/2");
}

/// Sent again with the plan's digest, what was asked about is done.
#[test]
fn what_the_guard_asks_about_is_done_once_confirmed() {
    let server = Server::protected();
    let put = Request::new("PUT", format!("/clusters/{PROTECTED}")).token(WRITE);
    let put = put.json(&json!({"platform_components": [{"id": "podinfo"}]}));
    let asked = server.send(&put).expect(428).json();
    assert_eq!(asked["error"], "confirmation_required");
    let digest = asked["plan"]["digest"].as_str().unwrap();
    assert!(asked["message"].as_str().unwrap().ends_with(&format!("`If-Plan: {digest}`.")));
    let done = server.send(&put.header("If-Plan", digest)).expect(200).json();
    assert_eq!(ids(&done["platform_components"]), ["podinfo"]);
}

/// Beside the guard's cases a protected environment is as any other to the client, but for one step:
/// what it deletes there is held.
#[test]
fn in_a_protected_environment() {
    let server = Server::protected();
    let client = Client(&server);
    let dns = "prod-01.k8s.example.com";
    client.assign("platform_components", &json!({"id": "cert-manager", "enabled": true}), PROTECTED).unwrap();
    client.assign("namespaces", &json!({"id": "cert-manager"}), PROTECTED).unwrap();
    client.assign("rolebindings", &json!({"id": "platform-admins"}), PROTECTED).unwrap();
    client.patch_component("podinfo", PROTECTED, &[("replicaCount", "3")]).unwrap();
    let hotfix = |list: &mut Value| list[0]["oci_tag"] = "v1.0.0-1".into();
    client.change(PROTECTED, "platform_components", hotfix).unwrap();
    client.put("/platform_components/podinfo", &json!({"oci_tag": "v1.1.0"})).unwrap();
    client.put(&format!("/clusters/{PROTECTED}"), &json!({"labels": {"region": "us"}})).unwrap();
    let document = client.get(&format!("/clusters/{PROTECTED}")).unwrap();
    let (fleet, answer) =
        (client.get("/api/v2/flux/clusters").unwrap(), client.flux(dns, "namespaces").unwrap());
    // As ever: the document is answered, and is gone from the list.
    assert_eq!(client.delete(&format!("/clusters/{PROTECTED}")).as_ref(), Ok(&document));
    assert_eq!(client.get(&format!("/clusters/{PROTECTED}")), Err(404));
    assert_eq!(ids(&client.get("/clusters").unwrap()), [CLUSTER]);
    // Not as ever: polls are no empty answers, and the fleet keeps it.
    for path in ["platform-components", "namespaces", "rolebindings"] {
        assert_eq!(client.flux(dns, path), Err(410), "held instead of the decommission path");
    }
    assert_eq!(client.get("/api/v2/flux/clusters").as_ref(), Ok(&fleet));
    assert_eq!(client.delete("/rolebindings/dev-readers"), Err(409), "what it refers to stays");
    assert_eq!(client.post("/clusters", &document).as_ref(), Ok(&document), "as it was it comes back");
    assert_eq!(client.flux(dns, "namespaces").unwrap(), answer);
}
