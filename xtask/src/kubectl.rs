//! kubectl, typed as far as the tests need it: what a person would type, with the answers as JSON.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub(crate) const FLUX_SYSTEM: &str = "flux-system";
pub(crate) const PROVIDERS: &str = "resourcesetinputproviders.fluxcd.controlplane.io";
pub(crate) const RESOURCE_SETS: &str = "resourcesets.fluxcd.controlplane.io";
pub(crate) const HELM_RELEASES: &str = "helmreleases.helm.toolkit.fluxcd.io";
pub(crate) const HELM_REPOSITORIES: &str = "helmrepositories.source.toolkit.fluxcd.io";
pub(crate) const OCI_REPOSITORIES: &str = "ocirepositories.source.toolkit.fluxcd.io";
pub(crate) const KUSTOMIZATIONS: &str = "kustomizations.kustomize.toolkit.fluxcd.io";
pub(crate) const BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";
pub(crate) const NAMESPACES: &str = "namespaces";
pub(crate) const CONFIG_MAPS: &str = "configmaps";

/// The kinds of what comes of a fleet's data.
const MADE: [&str; 7] =
    [NAMESPACES, BINDINGS, CONFIG_MAPS, HELM_REPOSITORIES, HELM_RELEASES, OCI_REPOSITORIES, KUSTOMIZATIONS];

/// The label that the operator puts on whatever a ResourceSet made.
pub(crate) const OWNED: &str = "resourceset.fluxcd.controlplane.io/name";

/// kubectl for one API server.
#[derive(Clone)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf, home: &Path) -> Self {
        Kubectl { program, kubeconfig, home: home.to_owned() }
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl and returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        self.fed(arguments, "")
    }

    fn fed(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("kubectl does not start")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A kubectl that failed early no longer reads; its own complaint says more.
            let _written = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Applies manifests (YAML or JSON), as the server sees them.
    pub(crate) fn apply(&self, manifests: &str) -> Result<()> {
        self.fed(&["apply", "--server-side", "--force-conflicts", "-f", "-"], manifests).map(drop)
    }

    /// The object, or `None` where there is none. `namespace` is empty for what belongs to none.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        let mut arguments = vec!["get", kind, name, "--ignore-not-found", "-o", "json"];
        if !namespace.is_empty() {
            arguments.extend(["-n", namespace]);
        }
        let text = self.run(&arguments)?;
        if text.trim().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&text)?)) }
    }

    /// The object; an error that says so where there is none.
    pub(crate) fn existing(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        self.get(kind, namespace, name)?.with_context(|| format!("there is no {kind} {namespace}/{name}"))
    }

    /// An error where the object is still there.
    pub(crate) fn absent(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        match self.get(kind, namespace, name)? {
            Some(_) => bail!("{kind} {namespace}/{name} is there"),
            None => Ok(()),
        }
    }

    /// All objects of the kinds, in every namespace.
    pub(crate) fn list(&self, kinds: &str, more: &[&str]) -> Result<Vec<Value>> {
        let text = self.run(&[&["get", kinds, "-A", "-o", "json"], more].concat())?;
        let mut list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Asks for a deletion; does not wait for it.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        let mut arguments = vec!["delete", kind, name, "--wait=false"];
        if !namespace.is_empty() {
            arguments.extend(["-n", namespace]);
        }
        self.run(&arguments).map(drop)
    }

    /// The uid of everything that ResourceSets made, by kind, namespace and name.
    pub(crate) fn owned(&self) -> Result<BTreeMap<String, String>> {
        let objects = self.list(&MADE.join(","), &["-l", OWNED])?;
        Ok(objects.iter().map(|object| (named(object), text(&object["metadata"]["uid"]))).collect())
    }

    /// Every object of the kinds that come of a fleet's data, whoever made it, but for Kubernetes' own.
    pub(crate) fn objects(&self) -> Result<BTreeMap<String, Value>> {
        let mut objects = self.list(&MADE.join(","), &[])?;
        objects.retain(|object| !text(&object["metadata"]["namespace"]).starts_with("kube-"));
        Ok(objects.into_iter().map(|object| (named(&object), object)).collect())
    }
}

/// The object as kind, namespace and name.
fn named(object: &Value) -> String {
    let metadata = &object["metadata"];
    name_of(&text(&object["kind"]), &text(&metadata["namespace"]), &text(&metadata["name"]))
}

/// What [`Kubectl::owned`] and [`Kubectl::objects`] call an object. `namespace` is empty for what belongs to none.
pub(crate) fn name_of(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind} {}/{name}", if namespace.is_empty() { "-" } else { namespace })
}

/// A string, or nothing where there is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn ready_condition(object: &Value) -> Option<&Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Ready")
}

/// Whether the object is ready, as `status reason: message`.
pub(crate) fn readiness(object: &Value) -> String {
    match ready_condition(object) {
        Some(found) => {
            format!("{} {}: {}", text(&found["status"]), text(&found["reason"]), text(&found["message"]))
        }
        None => "not said".to_owned(),
    }
}

/// An error with the condition's words unless the object, as it stands now, is ready.
pub(crate) fn ready(object: &Value) -> Result<()> {
    let current = ready_condition(object)
        .is_some_and(|found| found["observedGeneration"] == object["metadata"]["generation"]);
    let readiness = readiness(object);
    if current && readiness.starts_with("True ") {
        return Ok(());
    }
    bail!(
        "{}: Ready is {readiness}{}",
        named(object),
        if current { "" } else { ", said of an older version" }
    )
}
