//! A Kubernetes control plane as processes on loopback, with the real Flux on it. No nodes: objects are stored,
//! checked, reconciled and deleted, and nothing runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::kubectl::Kubectl;
use crate::scene::{Process, Scene, free_ports};
use crate::tools::Tools;
use crate::wait::wait_until;

/// One of Flux's controllers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Operator,
    Source,
    Helm,
    Kustomize,
}

impl Controller {
    pub(crate) const ALL: [Controller; 4] =
        [Controller::Operator, Controller::Source, Controller::Helm, Controller::Kustomize];
    /// What charts need.
    pub(crate) const CHARTS: [Controller; 3] = [Controller::Operator, Controller::Source, Controller::Helm];
}

/// A running control plane, ended when dropped.
pub(crate) struct ControlPlane {
    pub(crate) kubectl: Kubectl,
    _processes: Vec<Process>,
}

impl ControlPlane {
    /// Starts one called `name` with these controllers of Flux.
    pub(crate) fn start(scene: &Scene, tools: &Tools, name: &str, flux: &[Controller]) -> Result<Self> {
        let home = scene.subfolder(name)?;
        let mut builder = Builder { scene, tools, name, kubeconfig: home.join("kubeconfig"), home };
        let mut processes = builder.kubernetes()?;
        let kubectl = Kubectl::new(tools.kubectl(), builder.kubeconfig.clone(), &builder.home);
        wait_until("the API server is ready", Duration::from_secs(60), || {
            kubectl.run(&["get", "--raw=/readyz"])
        })?;
        processes.push(builder.controller_manager()?);
        builder.prepare(&kubectl)?;
        for controller in flux {
            processes.push(builder.flux(*controller)?);
        }
        Ok(ControlPlane { kubectl, _processes: processes })
    }
}

struct Builder<'a> {
    scene: &'a Scene,
    tools: &'a Tools,
    name: &'a str,
    home: PathBuf,
    kubeconfig: PathBuf,
}

impl Builder<'_> {
    fn kubernetes(&mut self) -> Result<Vec<Process>> {
        let [client, peer, secure] = free_ports()?;
        let etcd_url = format!("http://127.0.0.1:{client}");
        let peer_url = format!("http://127.0.0.1:{peer}");
        let etcd = self.start(
            "etcd",
            self.scene.command(&self.tools.etcd()).args([
                &format!("--data-dir={}", self.home.join("etcd").display()),
                &format!("--listen-client-urls={etcd_url}"),
                &format!("--advertise-client-urls={etcd_url}"),
                &format!("--listen-peer-urls={peer_url}"),
                &format!("--initial-advertise-peer-urls={peer_url}"),
                &format!("--initial-cluster=default={peer_url}"),
                "--log-level=warn",
                // Its data ends with the test.
                "--unsafe-no-fsync",
            ]),
        )?;
        let certificates = self.home.join("certificates");
        let key = self.home.join("service-accounts.key");
        rsa_key(&key)?;
        // The folder's random name, which nobody else may list.
        let token = self.scene.folder().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let tokens = self.home.join("tokens.csv");
        fs::write(&tokens, format!("{token},admin,admin,\"system:masters\"\n"))?;
        let server = self.start(
            "kube-apiserver",
            self.scene.command(&self.tools.kube_apiserver()).args([
                &format!("--etcd-servers={etcd_url}"),
                &format!("--secure-port={secure}"),
                "--bind-address=127.0.0.1",
                &format!("--cert-dir={}", certificates.display()),
                "--service-account-issuer=https://kubernetes.default.svc",
                &format!("--service-account-key-file={}", key.display()),
                &format!("--service-account-signing-key-file={}", key.display()),
                &format!("--token-auth-file={}", tokens.display()),
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",
                "--service-cluster-ip-range=10.0.0.0/24",
            ]),
        )?;
        fs::write(&self.kubeconfig, kubeconfig(secure, &certificates.join("apiserver.crt"), &token))?;
        Ok(vec![etcd, server])
    }

    /// Deletes what is in a deleted namespace, and what a deleted object owned.
    fn controller_manager(&self) -> Result<Process> {
        let [port] = free_ports()?;
        self.start(
            "kube-controller-manager",
            self.scene.command(&self.tools.kube_controller_manager()).args([
                &format!("--kubeconfig={}", self.kubeconfig.display()),
                &format!("--cert-dir={}", self.home.join("controller-manager").display()),
                "--controllers=namespace-controller,garbage-collector-controller",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                &format!("--secure-port={port}"),
            ]),
        )
    }

    /// The types and the namespace that Flux needs before it starts.
    fn prepare(&self, kubectl: &Kubectl) -> Result<()> {
        let crds = self.tools.crds();
        let crds = crds.to_str().context("the folder of the CRDs has an impossible name")?;
        kubectl.run(&["apply", "--server-side", "-f", crds])?;
        kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        kubectl.run(&["create", "namespace", "flux-system"]).map(drop)
    }

    fn flux(&self, controller: Controller) -> Result<Process> {
        let (name, program) = match controller {
            Controller::Operator => ("operator", self.tools.operator()),
            Controller::Source => ("source-controller", self.tools.source_controller()),
            Controller::Helm => ("helm-controller", self.tools.helm_controller()),
            Controller::Kustomize => ("kustomize-controller", self.tools.kustomize_controller()),
        };
        let [port] = free_ports()?;
        let mut command = self.scene.command(&program);
        command.env("RUNTIME_NAMESPACE", "flux-system").env("KUBECONFIG", &self.kubeconfig).args([
            "--enable-leader-election=false",
            "--health-addr=127.0.0.1:0",
            "--metrics-addr=127.0.0.1:0",
            "--log-encoding=json",
        ]);
        match controller {
            Controller::Operator => command
                .env("GODEBUG", "fips140=on")
                .args(["--web-server-port=0", "--requeue-dependency=5s"])
                .arg(format!("--storage-path={}", self.tools.operator_data().display())),
            Controller::Source => command.args([
                &format!(
                    "--storage-path={}",
                    self.scene.subfolder(&format!("{}/artifacts", self.name))?.display()
                ),
                &format!("--storage-addr=127.0.0.1:{port}"),
                &format!("--storage-adv-addr=127.0.0.1:{port}"),
                "--events-addr=",
            ]),
            Controller::Helm | Controller::Kustomize => {
                command.args(["--events-addr=", "--requeue-dependency=3s"])
            }
        };
        self.start(name, &mut command)
    }

    fn start(&self, program: &str, command: &mut Command) -> Result<Process> {
        self.scene.start(&format!("{}-{program}", self.name), command)
    }
}

/// Service accounts are signed with it. None is used here, but the API server does not start without.
fn rsa_key(path: &Path) -> Result<()> {
    let output = Command::new("openssl").args(["genrsa", "-out"]).arg(path).arg("2048").output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!("openssl made no key: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => bail!("a control plane needs a key, and there is no `openssl` on the PATH to make one"),
    }
}

fn kubeconfig(port: u16, authority: &Path, token: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
        "clusters": [{"name": "e2e", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": authority,
        }}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "admin"}}],
    })
    .to_string()
}
