//! Explain: each origin of a field, with the change that made it so.

use std::sync::Arc;

use flux_resourceset_store::MemoryStore;
use serde_json::{Value, json};

use crate::client::Client;
use crate::history::{patch_because, with_jane};
use crate::server::{Server, cluster};

fn explained(client: &Client, path: &str) -> Value {
    client.get(&format!("/api/v2/explain/{path}")).expect(200).json()
}

fn field(explained: &Value, path: &str) -> Value {
    let fields = explained["inputs"][0]["fields"].as_array().unwrap();
    fields.iter().find(|field| field["path"] == path).unwrap_or_else(|| panic!("{path}: {fields:?}")).clone()
}

#[test]
fn each_origin_has_its_last_change() {
    let (server, jane) = with_jane(&[]);
    server.fill();
    let writer = server.writer();
    let p1 = "/clusters/c1/platform_components/p1";
    patch_because(&jane, "/platform_components/p1", &json!({"oci_tag": "1.1.0"}), "upgrade").expect(200);
    patch_because(&jane, p1, &json!({"oci_tag": "1.0.0-1"}), "hotfix").expect(200);
    patch_because(&writer, "/clusters/c1", &json!({"patches": {"p1": {"a.b": "1"}}}), "tuning").expect(200);
    // Touches the same documents, and none of what is asked about.
    patch_because(&jane, "/platform_components/p1", &json!({"component_version": "2"}), "version")
        .expect(200);
    patch_because(&jane, "/clusters/c1", &json!({"labels": {"region": "eu"}}), "label").expect(200);
    let all = explained(&writer, "c1/platform_components/p1");
    assert_eq!((&all["cluster"], &all["revision"]), (&json!("c1"), &json!(8)));
    let tag = field(&all, "source.oci_tag");
    assert_eq!((&tag["value"], &tag["from"]), (&json!("1.0.0-1"), &json!("override")));
    assert_eq!(tag["field"], "platform_components/p1/oci_tag");
    assert_eq!(tag["document"], "clusters/c1");
    assert_eq!(
        tag["overrode"],
        json!({"value": "1.1.0", "from": "catalog", "document": "platform_components/p1"})
    );
    let changed = |path: &str| {
        let field = field(&all, path);
        let changed = &field["changed"];
        assert!(changed["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{field}");
        json!([field["from"], changed["revision"], changed["principal"], changed["reason"]])
    };
    assert_eq!(changed("source.oci_tag"), json!(["override", 5, "jane", "hotfix"]));
    assert_eq!(changed("source.oci_url"), json!(["catalog", 2, "writer", null]));
    assert_eq!(changed("component_version"), json!(["catalog", 7, "jane", "version"]));
    assert_eq!(changed("patches[\"a.b\"]"), json!(["patch", 6, "writer", "tuning"]));
    assert_eq!(changed("cluster.dns"), json!(["cluster", 3, "writer", null]));
    assert_eq!(changed("enabled"), json!(["default", 2, "writer", null]));
    let namespaces = explained(&writer, "c1/namespaces");
    let label = field(&namespaces, "labels.a");
    assert_eq!((&label["from"], &label["changed"]["revision"]), (&json!("definition"), &json!(1)));
    // What an override hid is what shows once it is gone.
    patch_because(&jane, p1, &json!({"oci_tag": null}), "hotfix undone").expect(200);
    let tag = field(&explained(&writer, "c1/platform-components"), "source.oci_tag");
    assert_eq!((&tag["from"], &tag["changed"]["reason"]), (&json!("catalog"), &json!("upgrade")));
    assert_eq!(tag.get("overrode"), None);
}

#[test]
fn all_that_a_cluster_gets_or_one_type_or_one_input() {
    let server = Server::seeded();
    let writer = server.writer();
    let inputs = |path: &str| {
        let inputs = explained(&writer, path)["inputs"].as_array().unwrap().clone();
        inputs
            .iter()
            .map(|input| format!("{}/{}", input["type"], input["id"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    let mut all = inputs("c1");
    all.sort();
    assert_eq!(all, ["namespaces/n1", "platform_components/p1"]);
    assert_eq!(inputs("c1/namespaces"), ["namespaces/n1"]);
    assert_eq!(inputs("c1/rolebindings"), Vec::<String>::new());
    assert_eq!(inputs("c1/platform-components/p1"), ["platform_components/p1"]);
    for (path, code) in [
        ("c2", "not_found"),
        ("c1/clusters", "unknown_type"),
        ("c1/x", "unknown_type"),
        ("c1/namespaces/n2", "not_found"),
    ] {
        let reply = writer.get(&format!("/api/v2/explain/{path}")).expect(404);
        assert_eq!(reply.code(), code, "{path}");
    }
    // A held cluster's are explained, a wiped one's are not.
    let mut protected = cluster("p");
    protected["environment"] = "prod".into();
    writer.post("/clusters", protected).expect(201);
    writer.delete("/clusters/p").expect(200);
    assert_eq!(inputs("p/namespaces"), ["namespaces/n1"]);
    writer.delete("/clusters/c1").expect(200);
    writer.get("/api/v2/explain/c1").expect(404);
}

#[test]
fn a_field_that_changed_very_long_ago_is_found_a_page_at_a_time() {
    let server = Server::over(Arc::new(MemoryStore::new()), &[]);
    server.fill();
    let writer = server.writer();
    for n in 0..70 {
        writer.patch("/platform_components/p1", json!({"oci_tag": format!("1.{n}.0")})).expect(200);
    }
    let explained = explained(&writer, "c1/platform_components/p1");
    assert_eq!(field(&explained, "source.oci_tag")["changed"]["revision"], 73);
    assert_eq!(field(&explained, "source.oci_url")["changed"]["revision"], 2);
}
