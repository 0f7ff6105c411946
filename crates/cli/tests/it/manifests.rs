//! What `resource_type manifests` prints, and what the real Flux Operator makes of it.

#![allow(clippy::print_stderr, reason = "a test that cannot run says so where the runner shows it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::{Value, json};

use crate::server::Server;
use crate::stub::{ended, succeeds};

const DNS: &str = "demo-cluster-01.k8s.example.com";

/// A definition among those of these tests.
pub(crate) fn definition(name: &str) -> String {
    format!("{}/tests/it/types/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

impl Server {
    /// One with the demo fleet and the type of this definition.
    pub(crate) fn with_type(name: &str) -> Self {
        let server = Server::start();
        succeeds(server.cli(&format!("resource_type create -f {}", definition(name))));
        server
    }

    fn manifests(&self, arguments: &str) -> String {
        let ended = ended(self.cli(&format!("resource_type manifests {arguments}")));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        ended.stdout
    }
}

#[test]
fn of_the_network_policy() {
    insta::assert_snapshot!(Server::with_type("network_policy").manifests("network_policies"));
}

#[test]
fn of_a_type_with_every_kind_of_property() {
    insta::assert_snapshot!(Server::with_type("every_kind").manifests("samples"));
}

/// They are those of `deploy/` but for the type's own names, fields and template.
#[test]
fn they_have_the_form_of_the_shipped_ones() {
    let printed = Server::with_type("network_policy").manifests("network_policies");
    for folder in ["providers", "resourcesets"] {
        let path = format!("{}/../../deploy/{folder}/rolebindings.yaml", env!("CARGO_MANIFEST_DIR"));
        let shipped = fs::read_to_string(path).unwrap().replace("rolebindings", "network-policies");
        let lines = shipped.lines().skip_while(|line| line.starts_with('#'));
        let until_template: Vec<_> = lines.take_while(|line| *line != "    ---").collect();
        assert!(printed.contains(&until_template.join("\n")), "{folder}:\n{printed}");
    }
}

#[test]
fn where_clusters_reach_the_api_can_be_said() {
    let server = Server::with_type("every_kind");
    let arguments = format!("samples --poll-url http://api.example.com/ --cluster-dns {DNS} --secret other");
    let printed: Vec<Value> = serde_saphyr::from_multiple(&server.manifests(&arguments)).unwrap();
    let [provider, set] = printed.as_slice() else { panic!("{printed:?}") };
    assert_eq!(
        provider["spec"]["url"],
        format!("http://api.example.com/api/v2/flux/clusters/{DNS}/all-samples")
    );
    assert_eq!(
        (&provider["spec"]["insecure"], &provider["spec"]["secretRef"]["name"]),
        (&json!(true), &json!("other"))
    );
    assert_eq!(provider["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/substitute"], "disabled");
    assert_eq!(provider["spec"]["defaultValues"]["note"], "a \"quoted\" ${WORD}");
    let list: Value = serde_json::from_str(&server.manifests(&format!("{arguments} -o json"))).unwrap();
    assert_eq!(list["items"], json!([provider, set]));
    assert_eq!(server.manifests("samples -o name"), "all-samples\nall-samples\n");
}

/// The program `flux-operator`: where `FLUX_OPERATOR` says, else as `cargo xtask tools --render` built it.
///
/// `None`, with a word on stderr, where there is none; with `REQUIRE_TOOLS` set that fails the test.
fn flux_operator() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/e2e/bin/flux-operator");
    let path = env::var_os("FLUX_OPERATOR").map_or(built, PathBuf::from);
    if path.is_file() {
        return Some(path);
    }
    let missing = format!("{} is not there; `cargo xtask tools --render` builds it", path.display());
    assert!(env::var_os("REQUIRE_TOOLS").is_none(), "{missing}");
    eprintln!("SKIPPED: {missing}");
    None
}

impl Server {
    /// What the demo cluster polls of the samples, once it has these.
    #[track_caller]
    fn polled_samples(&self, samples: &[Value]) -> Vec<Value> {
        let changes = samples.iter().flat_map(|sample| {
            let id = sample["id"].as_str().unwrap();
            let part = format!("clusters/demo-cluster-01/samples/{id}");
            [json!({"create": format!("samples/{id}"), "body": sample}), json!({"update": part, "body": {}})]
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), json!(changes.collect::<Vec<_>>()).to_string()).unwrap();
        succeeds(self.cli(&format!("change -f {}", file.path().display())));
        let polled = succeeds(self.cli(&format!("flux {DNS} all-samples")));
        polled["inputs"].as_array().unwrap().clone()
    }
}

/// What the operator would fill in is what the server fills in.
#[test]
fn the_defaults_are_the_servers() {
    let server = Server::with_type("every_kind");
    let polled = server.polled_samples(&[json!({"id": "bare", "text": "t"})]);
    let printed: Vec<Value> =
        serde_saphyr::from_multiple(&server.manifests("samples --poll-url https://x")).unwrap();
    let mut expected = polled[0].as_object().unwrap().clone();
    expected.retain(|field, value| !["id", "text", "cluster"].contains(&field.as_str()) && !value.is_null());
    // The URL has a variable left, so that what looks like one is escaped for Flux's substitution.
    expected["note"] = json!("a \"quoted\" $${WORD}");
    assert_eq!(printed[0]["spec"]["defaultValues"], Value::Object(expected));
}

#[test]
fn the_resource_set_renders_as_it_stands() {
    let Some(program) = flux_operator() else { return };
    let server = Server::with_type("every_kind");
    let hostile = "a: \"b\"\n---\nc: << inputs.id >> ${X} # d\n";
    let samples = [
        json!({"id": "a", "text": hostile, "note": "", "count": 1_000_000, "ratio": 1.5, "on": true, "settings": {"depth": 3},
            "list": [hostile, "yes"], "mixed": hostile, "anything": {"x": [hostile]}, "on_remove": "keep"}),
        json!({"id": "b", "text": "t", "anything": "<b>"}),
    ];
    let polled = server.polled_samples(&samples);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let manifests = server.manifests("samples");
    let (_, set) = manifests.split_once("\n---\n").unwrap();
    fs::write(path("set.yaml"), set).unwrap();
    fs::write(path("inputs.json"), json!(polled).to_string()).unwrap();
    let mut build = Command::new(program);
    build.args(["build", "rset", "-f"]).arg(path("set.yaml")).arg("--inputs-from").arg(path("inputs.json"));
    let built = ended(build);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let objects: Vec<Value> = serde_saphyr::from_multiple(&built.stdout).unwrap();
    assert_eq!(objects.len(), polled.len());
    for (object, mut input) in objects.into_iter().zip(polled) {
        let keep = input.as_object_mut().unwrap().remove("on_remove").unwrap() == "keep";
        let id = input["id"].as_str().unwrap();
        assert_eq!(object["metadata"]["name"], format!("sample-{id}"));
        let prune = object.pointer("/metadata/annotations/fluxcd.controlplane.io~1prune");
        assert_eq!(prune, keep.then(|| json!("disabled")).as_ref());
        let rendered: Value = serde_saphyr::from_str(object["data"]["input.yaml"].as_str().unwrap()).unwrap();
        assert_eq!(rendered, input, "every field arrives as it was polled");
    }
}
