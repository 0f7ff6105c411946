//! What the real Flux Operator makes of `deploy/resourcesets` from our server's answers, and what `kustomize`
//! makes of every folder of `deploy/`.
//! Apart from the contract's tests, since it needs two programs of Flux's world (e2e/README.md).

#![allow(clippy::print_stderr, reason = "a test that cannot run says so where the runner shows it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flux_resourceset_contract_tests::check;
use flux_resourceset_store::MemoryStore;
use serde_json::{Map, Value, json};

use crate::http::Request;
use crate::server::{Server, WRITE, cluster, workspace};

const DEMO: &str = "demo-cluster-01.k8s.example.com";

/// The program `name`: where the variable `variable` says, else as `cargo xtask tools` built it.
///
/// `None`, with a word on stderr, where there is none; with `REQUIRE_TOOLS` set that fails the test.
pub(crate) fn tool(name: &str, variable: &str) -> Option<PathBuf> {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => workspace().join("target/e2e/bin").join(name),
    };
    if path.is_file() {
        return Some(path);
    }
    let missing = format!(
        "{} is not there; `cargo xtask tools` builds it, or {variable} names another",
        path.display()
    );
    assert!(std::env::var_os("REQUIRE_TOOLS").is_none(), "{missing}");
    eprintln!("SKIPPED: {missing}");
    None
}

/// The inputs that `server` answers to a poll by the demo cluster, judged.
#[track_caller]
fn polled(server: &Server, path: &str) -> Vec<Value> {
    let reply = server.get(&format!("/api/v2/flux/clusters/{DEMO}/{path}")).expect(200);
    check(&reply.body).unwrap_or_else(|violations| panic!("{violations:#?}"));
    reply.json()["inputs"].as_array().unwrap().clone()
}

/// What the demo cluster gets from a server that starts with the documents of `file`.
fn seeded(file: &Path, path: &str) -> Vec<Value> {
    let variables = [("SEED_FILE", file.to_str().unwrap())];
    polled(&Server::over(Arc::new(MemoryStore::new()), &variables).ready(), path)
}

fn demo(path: &str) -> Vec<Value> {
    seeded(&workspace().join("data/seed.json"), path)
}

/// Every way that a document can take.
fn all_ways(path: &str) -> Vec<Value> {
    seeded(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rendering/fleet.json"), path)
}

/// What the demo cluster gets of one component that has these fields, and these patches.
#[track_caller]
fn written(mut document: Value, patches: &Map<String, Value>) -> Vec<Value> {
    let server = Server::empty();
    let id = document["id"].clone();
    document["component_path"] = json!("chart");
    document["oci_url"] = json!("oci://registry.example.com/x");
    server.create("platform_components", &document);
    let mut cluster = cluster("demo-cluster-01");
    cluster["platform_components"] = json!([{"id": id}]);
    cluster["patches"][id.as_str().unwrap()] = json!(patches);
    server.create("clusters", &cluster);
    polled(&server, "platform-components")
}

/// Namespaces that our server refuses to store; another's may be answered so.
fn unlawful_namespaces() -> Vec<Value> {
    let input = |id: &str, labels: Value, annotations: Value| {
        json!({
            "id": id, "labels": labels, "annotations": annotations, "on_remove": "delete",
            "cluster": {"name": "demo-cluster-01", "dns": DEMO, "environment": "dev"},
        })
    };
    let labels = json!({"fluxcd.controlplane.io/prune": "disabled", "ok": "1"});
    let annotations =
        json!({"fluxcd.controlplane.io/reconcile": "disabled", "fluxcd.controlplane.io/prune": "disabled"});
    vec![input("flux-system", json!({}), json!({})), input("bold", labels, annotations)]
}

/// What `flux-operator build rset` prints for the ResourceSet `name` with these inputs, or what it complains of.
fn render(program: &Path, name: &str, inputs: &[Value]) -> Result<String, String> {
    build(program, &workspace().join(format!("deploy/resourcesets/{name}.yaml")), inputs)
}

/// The same for the ResourceSet of a file.
fn build(program: &Path, resource_set: &Path, inputs: &[Value]) -> Result<String, String> {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "inputs-{}-{}.json",
        std::process::id(),
        FILES.fetch_add(1, Ordering::Relaxed)
    ));
    std::fs::write(&file, yaml_safe(&json!(inputs).to_string())).unwrap();
    let output = Command::new(program)
        .args(["build", "rset", "-f"])
        .arg(resource_set)
        .arg("--inputs-from")
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    let complaint = String::from_utf8(output.stderr).unwrap();
    // Offline, "nothing" is an error; on a cluster it is a wish.
    if complaint.contains("no objects were generated") { Ok(String::new()) } else { Err(complaint) }
}

/// A poll is read as JSON, the file of inputs as YAML: what JSON allows as it is and YAML does not is escaped.
fn yaml_safe(json: &str) -> String {
    let mut safe = String::new();
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                safe.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => safe.push(c),
        }
    }
    safe
}

pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    if yaml.is_empty() { Vec::new() } else { serde_saphyr::from_multiple(yaml).unwrap() }
}

#[track_caller]
fn rendered(program: &Path, name: &str, inputs: &[Value]) -> Vec<Value> {
    documents(&render(program, name, inputs).unwrap())
}

pub(crate) fn name_of(document: &Value) -> String {
    format!("{} {}", document["kind"].as_str().unwrap(), document["metadata"]["name"].as_str().unwrap())
}

#[track_caller]
fn find<'a>(documents: &'a [Value], name: &str) -> &'a Value {
    documents.iter().find(|document| name_of(document) == name).unwrap_or_else(|| panic!("no {name}"))
}

/// Texts that YAML, Go templates, `helm --set` or Flux's substitution would take for something else.
///
/// What YAML does not carry is not among them, since it cannot be stored.
fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "say \"hi\" and 'ho'",
        "\"quoted\"",
        "'quoted'",
        "\"",
        "'",
        "a\\b\\\\c\\",
        "\\",
        "one\ntwo\n\n---\nthree: 3\n\n",
        "\n",
        "a\r\nb",
        "<< inputs.id >> <<- end >>",
        "<<",
        ">>",
        "{{ .Values.x }}",
        "${HOME} $$ ${X:=y}",
        "a: b: c",
        "# no comment # x",
        "a,b=c,d[0]={e}",
        "- item",
        "{a: b}",
        "{",
        "[a, b]",
        "yes",
        "no",
        "null",
        "~",
        "true",
        "3",
        "1e3",
        "0123",
        "0x1F",
        "1_000",
        "2001-01-01",
        "",
        " ",
        "  lead and trail  ",
        "\ttab\t",
        "&a *b !c",
        "|\n  x",
        ">-",
        "? key",
        "%YAML 1.1",
        "@x `y`",
        "---",
        "...",
        "Grüße 你好 שלום 🚀 e\u{301}",
    ]
    .map(String::from)
    .to_vec();
    texts.push("x, \"y\" \\ z: ".repeat(350));
    texts
}

fn component(id: &str) -> Value {
    json!({
        "id": id, "component_path": id, "component_version": "latest", "cluster_env_enabled": false,
        "depends_on": [], "enabled": true, "patches": {},
        "cluster": {"name": "demo-cluster-01", "dns": DEMO, "environment": "dev"},
        "source": {"oci_url": "https://charts.example.com", "oci_tag": "latest"},
        "delivery": "helm", "on_remove": "delete", "release": {}
    })
}

/// The text that Helm's parser of `--set` makes of `value`, which must hold nothing that it reads as syntax.
#[track_caller]
fn as_helm_reads(value: &str) -> String {
    assert!(!value.starts_with(['{', '"', '\'']), "{value:?} is no plain text to Helm");
    let mut text = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        assert_ne!(c, ',', "{value:?} ends early");
        text.push(if c == '\\' { chars.next().unwrap() } else { c });
    }
    text
}

/// What Helm gets at each path, from the ConfigMap by way of the HelmRelease's `valuesFrom`.
#[track_caller]
fn patches_at_helm(documents: &[Value], id: &str) -> BTreeMap<String, String> {
    let name = format!("values-{id}-demo-cluster-01");
    let data = &find(documents, &format!("ConfigMap {name}"))["data"];
    let release = find(documents, &format!("HelmRelease platform-{id}"));
    let mut patches = BTreeMap::new();
    for from in release["spec"]["valuesFrom"].as_array().unwrap() {
        assert_eq!(from["name"], name);
        let key = from["valuesKey"].as_str().unwrap();
        assert!(
            key.len() <= 253 && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)),
            "{key}"
        );
        let value = data[key].as_str().unwrap();
        if let Some(path) = from["targetPath"].as_str() {
            assert!(patches.insert(path.to_owned(), as_helm_reads(value)).is_none(), "{path} twice");
        }
    }
    patches
}

/// Says one difference, not two whole maps.
#[track_caller]
fn same(left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) {
    for (key, text) in right {
        assert_eq!(left.get(key), Some(text), "{key}");
    }
    assert_eq!(left.len(), right.len());
}

#[test]
fn the_demo_fleet() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    for name in ["platform-components", "namespaces", "rolebindings"] {
        let yaml = render(&program, name, &demo(name)).unwrap();
        insta::assert_snapshot!(format!("demo-{name}"), yaml);
    }
}

#[test]
fn every_way_an_input_can_be() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    for (name, snapshot) in [
        ("platform-components", "components"),
        ("namespaces", "namespaces"),
        ("rolebindings", "rolebindings"),
    ] {
        let mut inputs = all_ways(name);
        if name == "namespaces" {
            inputs.extend(unlawful_namespaces());
        }
        let yaml = render(&program, name, &inputs).unwrap();
        insta::assert_snapshot!(snapshot, yaml);
    }
}

#[test]
fn what_our_server_would_not_take() {
    let server = Server::demo();
    let mut documents = unlawful_namespaces();
    for mut document in documents.drain(..) {
        document.as_object_mut().unwrap().remove("cluster");
        server.send(&Request::new("POST", "/namespaces").token(WRITE).json(&document)).expect(400);
    }
    // What only Helm knows changes nothing of an overlay.
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    for input in all_ways("platform-components").into_iter().filter(|one| one["delivery"] == "kustomize") {
        let mut other = input.clone();
        for (key, value) in [("values", json!({"a": 1})), ("crds", json!("Skip")), ("name", json!("n"))] {
            other["release"][key] = value;
        }
        assert_eq!(
            render(&program, "platform-components", &[other]),
            render(&program, "platform-components", &[input])
        );
    }
}

#[test]
fn what_is_kept_is_marked_on_every_object() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    for name in ["platform-components", "namespaces", "rolebindings"] {
        let mut inputs = all_ways(name);
        if name == "namespaces" {
            inputs.extend(unlawful_namespaces());
        }
        for on_remove in ["keep", "delete"] {
            for mut input in inputs.clone() {
                input["on_remove"] = json!(on_remove);
                for object in rendered(&program, name, &[input.clone()]) {
                    let kept =
                        object["metadata"]["annotations"]["fluxcd.controlplane.io/prune"] == "disabled";
                    // Never deleted, whatever the answer says.
                    let own = input["id"] == "flux-system";
                    assert_eq!(kept, on_remove == "keep" || own, "{} {on_remove}", name_of(&object));
                }
            }
        }
    }
}

#[test]
fn a_disabled_component_is_nothing() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    for delivery in ["helm", "kustomize"] {
        let mut input = component("off");
        input["enabled"] = json!(false);
        input["delivery"] = json!(delivery);
        input["patches"] = json!({"a": "b"});
        assert_eq!(render(&program, "platform-components", &[input]), Ok(String::new()));
    }
}

/// Stalling deletes nothing; rendering nothing would.
#[test]
fn an_unknown_delivery_stalls() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    let mut input = component("new");
    input["delivery"] = json!("carrier-pigeon");
    let complaint = render(&program, "platform-components", &[input]).unwrap_err();
    assert!(complaint.contains(r#"component "new": delivery "carrier-pigeon" is unknown"#), "{complaint}");
}

#[test]
fn a_hostile_patch_arrives_as_written() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    let mut patches = Map::new();
    for (number, text) in hostile_texts().into_iter().enumerate() {
        patches.insert(format!("text{number}"), json!(text));
        patches.insert(format!("list[{number}].a\\.b"), json!(text));
    }
    // Keys that have a meaning in the ConfigMap, as a patch's own key.
    for key in ["values.yaml", &format!("raw.{}", "0".repeat(64)), &format!("escaped.{}", "0".repeat(64))] {
        patches.insert(key.to_owned(), json!("plain"));
    }
    let inputs = written(json!({"id": "hostile", "release": {"values": {"a": 1}}}), &patches);
    let documents = rendered(&program, "platform-components", &inputs);
    let want: BTreeMap<String, String> =
        patches.iter().map(|(path, text)| (path.clone(), text.as_str().unwrap().to_owned())).collect();
    same(&patches_at_helm(&documents, "hostile"), &want);

    // People read a patch's text under the patch's own key, even where Helm reads another.
    let data = &find(&documents, "ConfigMap values-hostile-demo-cluster-01")["data"];
    for number in 0..hostile_texts().len() {
        let key = format!("text{number}");
        assert_eq!(data[&key], patches[&key]);
    }
    let values: Value = serde_saphyr::from_str(data["values.yaml"].as_str().unwrap()).unwrap();
    assert_eq!(values, json!({"a": 1}));

    let variables: Map<String, Value> = hostile_texts()
        .into_iter()
        .enumerate()
        .map(|(number, text)| (format!("TEXT_{number}"), json!(text)))
        .collect();
    let inputs = written(json!({"id": "hostile", "delivery": "kustomize"}), &variables);
    let documents = rendered(&program, "platform-components", &inputs);
    let substitute = &find(&documents, "Kustomization platform-hostile")["spec"]["postBuild"]["substitute"];
    for (name, text) in variables {
        assert_eq!(substitute[&name], text, "{name}");
    }
}

#[test]
fn hostile_values_arrive_as_written() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    let mut values = Map::new();
    for text in hostile_texts().into_iter().filter(|text| text.len() < 1000) {
        values.insert(text.clone(), json!([text, {"nested": text, "<<": {"a": null}}]));
    }
    values.insert("long".into(), json!(hostile_texts().last()));
    values.insert(
        "numbers".into(),
        json!([0, -1, 1.5, 9_007_199_254_740_991_i64, 1e-7, true, false, null, {}, []]),
    );
    let inputs = written(json!({"id": "hostile", "release": {"values": values}}), &Map::new());
    let documents = rendered(&program, "platform-components", &inputs);
    let data = &find(&documents, "ConfigMap values-hostile-demo-cluster-01")["data"];
    let arrived: Value = serde_saphyr::from_str(data["values.yaml"].as_str().unwrap()).unwrap();
    for (key, value) in &values {
        assert_eq!(&arrived[key], value, "{key:?}");
    }
    assert_eq!(arrived.as_object().unwrap().len(), values.len());
}

/// As another server might answer: ours would refuse most of it.
#[test]
fn a_hostile_value_in_any_field_keeps_the_shape() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    let texts = hostile_texts();
    let mut components = Vec::new();
    let mut names = BTreeSet::new();
    for (number, text) in texts.iter().enumerate() {
        for delivery in ["helm", "kustomize"] {
            let mut input = component(&format!("{delivery}-{number}"));
            input["delivery"] = json!(delivery);
            input["cluster_env_enabled"] = json!(true);
            for field in ["component_path", "component_version"] {
                input[field] = json!(text);
            }
            input["source"] = json!({"oci_url": text, "oci_tag": text});
            input["depends_on"] = json!([text]);
            input["cluster"]["environment"] = json!(text);
            input["cluster"]["dns"] = json!(text);
            input["release"] = json!({"name": text, "target_namespace": text, "timeout": text, "crds": text});
            components.push(input);
        }
        names.insert(format!("HelmRepository charts-helm-{number}"));
        names.insert(format!("HelmRelease platform-helm-{number}"));
        names.insert(format!("OCIRepository platform-kustomize-{number}"));
        names.insert(format!("Kustomization platform-kustomize-{number}"));
    }
    let documents = rendered(&program, "platform-components", &components);
    assert_eq!(documents.iter().map(name_of).collect::<BTreeSet<_>>(), names);
    for (number, text) in texts.iter().enumerate() {
        let id = format!("helm-{number}");
        assert_eq!(find(&documents, &format!("HelmRepository charts-{id}"))["spec"]["url"], json!(text));
        let spec = &find(&documents, &format!("HelmRelease platform-{id}"))["spec"];
        let or_id = if text.is_empty() { &id } else { text };
        assert_eq!(
            [&spec["releaseName"], &spec["targetNamespace"], &spec["storageNamespace"]],
            [&json!(or_id), &json!(or_id), &json!(or_id)]
        );
        assert_eq!([&spec["chart"]["spec"]["chart"], &spec["chart"]["spec"]["version"]], [text, text]);
        assert_eq!(spec["dependsOn"], json!([{"name": format!("platform-{text}")}]));
        if !text.is_empty() {
            assert_eq!(
                [&spec["timeout"], &spec["install"]["crds"], &spec["upgrade"]["crds"]],
                [text, text, text]
            );
        }

        let id = format!("kustomize-{number}");
        let source = &find(&documents, &format!("OCIRepository platform-{id}"))["spec"];
        assert_eq!([&source["url"], &source["ref"]["tag"]], [text, text]);
        let spec = &find(&documents, &format!("Kustomization platform-{id}"))["spec"];
        assert_eq!(spec["path"], json!(format!("./{text}/{text}")));
        assert_eq!(spec["postBuild"]["substitute"]["ENVIRONMENT"], json!(text));
    }
}

/// One hostile text in one field: our server refuses it, or it is rendered as it was written.
#[test]
fn a_hostile_field_is_refused_or_arrives() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    let server = Server::empty();
    let (mut sent, mut taken) = (0, Vec::new());
    for (number, text) in hostile_texts().into_iter().enumerate() {
        let url = format!("https://charts.example.com/{text}");
        for (field, value) in
            [("component_path", &text), ("component_version", &text), ("oci_tag", &text), ("oci_url", &url)]
        {
            let id = format!("{}-{number}", field.replace('_', "-"));
            let mut document =
                json!({"id": id, "component_path": "chart", "oci_url": "https://charts.example.com"});
            document[field] = json!(value);
            let request = Request::new("POST", "/platform_components").token(WRITE).json(&document);
            sent += 1;
            match server.send(&request).status {
                201 => taken.push((id, field, value.clone())),
                status => assert_eq!(status, 400, "{document}"),
            }
        }
    }
    assert!(taken.len() > 50 && taken.len() < sent, "{} of {sent}", taken.len());
    let mut cluster = cluster("demo-cluster-01");
    cluster["platform_components"] = taken.iter().map(|(id, ..)| json!({"id": id})).collect();
    server.create("clusters", &cluster);
    let documents = rendered(&program, "platform-components", &polled(&server, "platform-components"));
    for (id, field, value) in taken {
        let chart = &find(&documents, &format!("HelmRelease platform-{id}"))["spec"]["chart"]["spec"];
        let repository = &find(&documents, &format!("HelmRepository charts-{id}"))["spec"];
        let arrived = match field {
            "component_path" => &chart["chart"],
            "oci_url" => &repository["url"],
            _ => &chart["version"],
        };
        assert_eq!(arrived, &json!(value), "{field}");
    }
}

/// The same of what people write into annotations and subjects.
#[test]
fn hostile_annotations_and_subjects_are_refused_or_arrive() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    let server = Server::empty();
    let texts = hostile_texts();
    let annotations: Map<String, Value> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| (format!("example.com/text-{number}"), json!(text)))
        .collect();
    server.create("namespaces", &json!({"id": "yes", "annotations": annotations}));
    let mut subjects = Vec::new();
    for text in &texts {
        let subject = json!({"kind": "Group", "name": text, "apiGroup": "rbac.authorization.k8s.io"});
        let binding = json!({"id": format!("one-{}", subjects.len()), "role": "view", "subjects": [subject]});
        let request = Request::new("POST", "/rolebindings").token(WRITE).json(&binding);
        match server.send(&request).status {
            201 => subjects.push(subject),
            status => assert_eq!(status, 400, "{binding}"),
        }
    }
    assert!(subjects.len() > 30, "{}", subjects.len());
    server.create("rolebindings", &json!({"id": "all", "role": "view", "subjects": subjects}));
    let mut cluster = cluster("demo-cluster-01");
    cluster["namespaces"] = json!([{"id": "yes"}]);
    cluster["rolebindings"] = json!([{"id": "all"}]);
    server.create("clusters", &cluster);
    let documents = rendered(&program, "namespaces", &polled(&server, "namespaces"));
    let arrived = &find(&documents, "Namespace yes")["metadata"]["annotations"];
    for (key, text) in &annotations {
        assert_eq!(&arrived[key], text);
    }
    let documents = rendered(&program, "rolebindings", &polled(&server, "rolebindings"));
    assert_eq!(find(&documents, "ClusterRoleBinding all")["subjects"], json!(subjects));
}

/// As another server might answer: ours would refuse most of it.
#[test]
fn hostile_namespaces_and_rolebindings() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    let cluster = json!({"name": "demo-cluster-01", "dns": DEMO, "environment": "dev"});
    let metadata: Map<String, Value> = hostile_texts()
        .into_iter()
        .enumerate()
        .map(|(number, text)| (format!("example.com/text-{number}"), json!(text)))
        .collect();
    let input = json!({"id": "yes", "labels": metadata, "annotations": metadata, "on_remove": "delete", "cluster": cluster});
    let documents = rendered(&program, "namespaces", &[input]);
    let namespace = find(&documents, "Namespace yes");
    for (key, text) in &metadata {
        assert_eq!(&namespace["metadata"]["annotations"][key], text);
        assert_eq!(&namespace["metadata"]["labels"][key], text);
    }

    for text in hostile_texts() {
        let input = json!({
            "id": "binding", "role": text, "on_remove": "delete", "cluster": cluster,
            "subjects": [
                {"kind": "Group", "name": text, "apiGroup": "rbac.authorization.k8s.io"},
                {"kind": "ServiceAccount", "name": text, "namespace": text},
            ],
        });
        let subjects = input["subjects"].clone();
        let documents = rendered(&program, "rolebindings", &[input]);
        let binding = find(&documents, "ClusterRoleBinding binding");
        assert_eq!([&binding["roleRef"]["name"], &binding["subjects"]], [&json!(text), &subjects]);
    }
}

/// The answer of a server that knows the seed's fields alone, with what the provider fills in.
#[test]
fn an_older_servers_answer_is_filled_by_the_provider() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    for name in ["platform-components", "namespaces", "rolebindings"] {
        let path = workspace().join(format!("deploy/providers/{name}.yaml"));
        let provider: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let defaults = provider["spec"]["defaultValues"].as_object().unwrap();
        let full = demo(name);
        let filled: Vec<Value> = full
            .iter()
            .map(|input| {
                let mut filled = defaults.clone();
                let given = input.as_object().unwrap().iter().filter(|(_, value)| match value {
                    Value::Object(fields) => !fields.is_empty(),
                    Value::Array(items) => !items.is_empty(),
                    _ => true,
                });
                let given =
                    given.filter(|(key, _)| !["delivery", "on_remove", "enabled"].contains(&key.as_str()));
                filled.extend(given.map(|(key, value)| (key.clone(), value.clone())));
                Value::Object(filled)
            })
            .collect();
        assert_eq!(filled, full);
        assert_eq!(render(&program, name, &filled), render(&program, name, &full));
    }
}

/// A file beside this one.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rendering").join(name)
}

/// What the demo cluster gets of a registered type that has a property of every kind: of a document where
/// nothing is written, and of one for each hostile text, which is in it wherever it is taken; in others it is
/// the cluster's reference that says so.
fn every_kind() -> Vec<Value> {
    let server = Server::empty();
    let definition = std::fs::read_to_string(beside("every_kind.json")).unwrap();
    server.create("resource_types", &serde_json::from_str(&definition).unwrap());
    let mut references = vec![json!({"id": "nothing"})];
    server.create("every_kind", &json!({"id": "nothing"}));
    for (number, text) in hostile_texts().iter().enumerate() {
        let id = format!("text-{number}");
        // What is longer is refused as a key.
        let key: String = text.chars().take(500).collect();
        let nested = json!([text, {key.clone(): text, "<<": [[], {}, -1.5, false]}]);
        let written = json!({
            "string": text, "object": {key: nested}, "array": nested, "any": {"of": nested},
        });
        let mut document = json!({
            "id": id, "integer": number, "number": 0.5, "boolean": true, "referred": 65535,
            "string_or_null": text, "array_default": [text], "object_default": {}, "string_default": text,
        });
        let mut reference = json!({"id": id});
        let says = if number % 2 == 0 { &mut document } else { &mut reference };
        says.as_object_mut().unwrap().extend(written.as_object().unwrap().clone());
        server.create("every_kind", &document);
        references.push(reference);
    }
    let mut cluster = cluster("demo-cluster-01");
    cluster["every_kind"] = references.into();
    server.create("clusters", &cluster);
    polled(&server, "every-kind")
}

/// A property that nobody wrote is there nevertheless: a template stalls on one that is not.
#[test]
fn every_property_is_in_every_input() {
    let inputs = every_kind();
    let definition = std::fs::read_to_string(beside("every_kind.json")).unwrap();
    let definition: Value = serde_json::from_str(&definition).unwrap();
    let properties = definition["schema"]["properties"].as_object().unwrap();
    let mut expected: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
    expected.extend(["id", "cluster", "on_remove"]);
    for input in &inputs {
        let have: BTreeSet<&str> = input.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(have, expected);
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&inputs[0]).unwrap());
    // As written, in the definition or by the reference.
    for (number, text) in hostile_texts().iter().enumerate() {
        let input = &inputs[number + 1];
        assert_eq!(
            [&input["string"], &input["array"][0], &input["string_or_null"], &input["string_default"]],
            [text; 4]
        );
        let key: String = text.chars().take(500).collect();
        assert_eq!(input["object"], json!({key: input["array"]}));
    }
}

#[test]
fn every_property_of_a_registered_type_renders() {
    let Some(program) = tool("flux-operator", "FLUX_OPERATOR") else { return };
    let inputs = every_kind();
    let documents = documents(&build(&program, &beside("every_kind.yaml"), &inputs).unwrap());
    assert_eq!(documents.len(), 2 * inputs.len());
    for input in &inputs {
        let id = input["id"].as_str().unwrap();
        let data = &find(&documents, &format!("ConfigMap {id}"))["data"];
        for (property, value) in input.as_object().unwrap() {
            if ["id", "cluster", "on_remove"].contains(&property.as_str()) {
                continue;
            }
            let arrived: Value = serde_json::from_str(data[property].as_str().unwrap()).unwrap();
            assert_eq!(arrived, *value, "{id} {property}");
        }
        let plain = &find(&documents, &format!("Secret {id}"))["stringData"];
        for property in ["array_default", "string", "string_default"] {
            assert_eq!(plain[property], input[property], "{id} {property}");
        }
    }
}

/// Every folder of `deploy/` that is a kustomization, by name, with its objects as text and parsed.
pub(crate) fn folders(kustomize: &Path) -> BTreeMap<String, (String, Vec<Value>)> {
    let mut folders = BTreeMap::new();
    for entry in std::fs::read_dir(workspace().join("deploy")).unwrap() {
        let path = entry.unwrap().path();
        if !path.join("kustomization.yaml").is_file() {
            continue;
        }
        let output = Command::new(kustomize).arg("build").arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let objects = documents(&text);
        folders.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), (text, objects));
    }
    folders
}

/// A released name never changes: a provider or ResourceSet under another name starts from nothing.
#[test]
fn every_folder_builds_and_keeps_its_names() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let mut names = String::new();
    for (folder, (_, objects)) in folders(&kustomize) {
        names.push_str(&format!("{folder}\n"));
        for object in &objects {
            names.push_str(&format!("  {}\n", name_of(object)));
        }
    }
    insta::assert_snapshot!(names);
}

#[test]
fn every_provider_and_resource_set_is_safe() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let mut seen = BTreeMap::new();
    for (folder, (_, objects)) in folders(&kustomize) {
        for object in &objects {
            let at = format!("{folder}: {}", name_of(object));
            let (spec, annotations) = (&object["spec"], &object["metadata"]["annotations"]);
            match object["kind"].as_str().unwrap() {
                "ResourceSetInputProvider" => {
                    assert_eq!(spec["type"], "ExternalService", "{at}");
                    assert_eq!(spec["filter"]["limit"], 10_000, "{at}");
                    assert_eq!(annotations["kustomize.toolkit.fluxcd.io/prune"], "disabled", "{at}");
                    assert!(annotations["fluxcd.controlplane.io/reconcileEvery"].is_string(), "{at}");
                    assert_eq!(spec["secretRef"]["name"], "internal-api-token", "{at}");
                    assert!(spec["defaultValues"].is_object(), "{at}");
                    let url = spec["url"].as_str().unwrap();
                    assert!(url.contains("/api/v2/flux/clusters"), "{at}");
                    // A token goes in the clear only where somebody wrote that it may.
                    assert_eq!(spec["insecure"] == true, url.starts_with("http://"), "{at}");
                }
                "ResourceSet" => {
                    assert_eq!(annotations["kustomize.toolkit.fluxcd.io/prune"], "disabled", "{at}");
                    assert_eq!(annotations["kustomize.toolkit.fluxcd.io/substitute"], "disabled", "{at}");
                    assert!(!object.to_string().contains("${"), "{at}");
                    let guards: Vec<Value> =
                        spec["inputsFrom"].as_array().unwrap().iter().map(guard).collect();
                    assert_eq!(spec["dependsOn"], json!(guards), "{at}");
                }
                _ => continue,
            }
            *seen.entry(object["kind"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    // Providers: three, the management cluster's, and the demo's three. ResourceSets: three, and the demo's.
    assert_eq!(seen, BTreeMap::from([("ResourceSet".into(), 6), ("ResourceSetInputProvider".into(), 7)]));
}

/// Without it, a provider that has exported nothing yet reads as no inputs, and that deletes everything.
fn guard(inputs_from: &Value) -> Value {
    json!({
        "apiVersion": "fluxcd.controlplane.io/v1",
        "kind": "ResourceSetInputProvider",
        "name": inputs_from["name"],
        "namespace": "flux-system",
        "ready": true,
        "readyExpr": "has(status.lastExportedRevision)",
    })
}
