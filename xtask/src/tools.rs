//! The programs of a real cluster, built by Go from the modules in `e2e/` into `target/e2e/`, each rebuilt only when
//! what it is built from has changed. Apart from the tests that run them: building takes minutes, and only once.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

const OPERATOR_MODULE: &str = "github.com/controlplaneio-fluxcd/flux-operator";
const KUBERNETES_MODULE: &str = "k8s.io/kubernetes";

/// One program: the `package` that the module in `e2e/<folder>` lists among its tools.
struct Program {
    name: &'static str,
    folder: &'static str,
    package: &'static str,
    /// The variable that is set to the version of a module at linking, for programs that compare theirs with others'.
    version: Option<(&'static str, &'static str)>,
    /// Whether its source must be completed before it compiles (see [`Builder::complete_operator`]).
    completed: bool,
}

const FLUX_OPERATOR: Program = Program {
    name: "flux-operator",
    folder: "flux-operator",
    package: "github.com/controlplaneio-fluxcd/flux-operator/cmd/cli",
    version: Some(("main.VERSION", OPERATOR_MODULE)),
    completed: false,
};
const KUSTOMIZE: Program = Program {
    name: "kustomize",
    folder: "registry-tools",
    package: "sigs.k8s.io/kustomize/kustomize/v5",
    version: None,
    completed: false,
};

/// What rendering the manifests takes, and no cluster.
const RENDER: &[Program] = &[KUSTOMIZE, FLUX_OPERATOR];

/// Everything, the quick ones first: whoever watches sees early whether it works at all.
const ALL: &[Program] = &[
    KUSTOMIZE,
    Program {
        name: "crane",
        folder: "registry-tools",
        package: "github.com/google/go-containerregistry/cmd/crane",
        version: None,
        completed: false,
    },
    kubernetes("etcd", "go.etcd.io/etcd/server/v3"),
    FLUX_OPERATOR,
    kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Program {
        name: "operator",
        folder: "flux-operator",
        package: "github.com/controlplaneio-fluxcd/flux-operator/cmd/operator",
        version: Some(("main.VERSION", OPERATOR_MODULE)),
        completed: true,
    },
    flux_controller("helm-controller", "github.com/fluxcd/helm-controller"),
    flux_controller("kustomize-controller", "github.com/fluxcd/kustomize-controller"),
    flux_controller("source-controller", "github.com/fluxcd/source-controller"),
];

/// A server that is linked without a version calls itself v0.0.0, and kubectl then refuses it.
const fn kubernetes(name: &'static str, package: &'static str) -> Program {
    let version = Some(("k8s.io/component-base/version.gitVersion", KUBERNETES_MODULE));
    Program { name, folder: "control-plane", package, version, completed: false }
}

const fn flux_controller(name: &'static str, package: &'static str) -> Program {
    Program { name, folder: name, package, version: None, completed: false }
}

/// Whose `config/crd/bases` a cluster is given. Each controller's own, not those of a release of Flux: a field that
/// the controller under test does not know is then refused by the API server, as it would be in a cluster of that age.
const CRDS: &[(&str, &str)] = &[
    ("flux-operator", OPERATOR_MODULE),
    ("source-controller", "github.com/fluxcd/source-controller"),
    ("helm-controller", "github.com/fluxcd/helm-controller"),
    ("kustomize-controller", "github.com/fluxcd/kustomize-controller"),
];

/// Of whom nothing but one CustomResourceDefinition is taken, for `deploy/examples`: module folder, module, file.
const EXAMPLE_CRDS: &[(&str, &str, &str)] = &[(
    "external-secrets",
    "github.com/external-secrets/external-secrets",
    "external-secrets.io_externalsecrets.yaml",
)];

/// Where the programs are. Holding one means that they have been built.
pub(crate) struct Tools {
    home: PathBuf,
}

impl Tools {
    /// Builds whatever is missing or out of date. Needs Go, and the module proxy for what Go has not fetched yet;
    /// with everything built it needs neither.
    pub(crate) fn ensure() -> Result<Self> {
        let builder = Builder::new()?;
        for program in ALL {
            builder.build(program)?;
        }
        builder.complete_operator()?;
        builder.gather_crds()?;
        builder.gather_example_crds()?;
        Ok(Self { home: builder.home })
    }

    /// Only [`flux_operator`](Self::flux_operator) and [`kustomize`](Self::kustomize), which need no cluster and build
    /// in a fraction of the time; the other paths name nothing yet.
    pub(crate) fn ensure_render() -> Result<Self> {
        let builder = Builder::new()?;
        for program in RENDER {
            builder.build(program)?;
        }
        Ok(Self { home: builder.home })
    }

    pub(crate) fn etcd(&self) -> PathBuf {
        self.program("etcd")
    }

    pub(crate) fn kube_apiserver(&self) -> PathBuf {
        self.program("kube-apiserver")
    }

    pub(crate) fn kube_controller_manager(&self) -> PathBuf {
        self.program("kube-controller-manager")
    }

    pub(crate) fn kubectl(&self) -> PathBuf {
        self.program("kubectl")
    }

    /// Flux Operator itself, the controller.
    pub(crate) fn operator(&self) -> PathBuf {
        self.program("operator")
    }

    /// Flux Operator's command line.
    pub(crate) fn flux_operator(&self) -> PathBuf {
        self.program("flux-operator")
    }

    pub(crate) fn source_controller(&self) -> PathBuf {
        self.program("source-controller")
    }

    pub(crate) fn helm_controller(&self) -> PathBuf {
        self.program("helm-controller")
    }

    pub(crate) fn kustomize_controller(&self) -> PathBuf {
        self.program("kustomize-controller")
    }

    pub(crate) fn kustomize(&self) -> PathBuf {
        self.program("kustomize")
    }

    pub(crate) fn crane(&self) -> PathBuf {
        self.program("crane")
    }

    /// The folder that the operator wants as `--storage-path`.
    pub(crate) fn operator_data(&self) -> PathBuf {
        operator_source(&self.home).join("config/data")
    }

    /// A folder of nothing but CustomResourceDefinitions, one per file, for `kubectl apply --server-side -f`.
    pub(crate) fn crds(&self) -> PathBuf {
        self.home.join("crds")
    }

    /// Like [`crds`](Self::crds), those that only the examples need.
    pub(crate) fn example_crds(&self) -> PathBuf {
        self.home.join("example-crds")
    }

    fn program(&self, name: &str) -> PathBuf {
        self.home.join("bin").join(name)
    }
}

fn operator_source(home: &Path) -> PathBuf {
    home.join("flux-operator")
}

struct Builder {
    modules: PathBuf,
    home: PathBuf,
    /// Two builds at once (two test runs, say) would each see the other's half-made files: the second one waits.
    _lock: File,
}

impl Builder {
    fn new() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask has no folder above it, so there is no e2e/ to build from")?;
        let home = root.join("target/e2e");
        for folder in ["bin", "stamps"] {
            create_folder(&home.join(folder))?;
        }
        let path = home.join("lock");
        let lock = File::create(&path).with_context(|| format!("{} can't be made", path.display()))?;
        lock.lock().with_context(|| format!("{} can't be locked", path.display()))?;
        Ok(Self { modules: root.join("e2e"), home, _lock: lock })
    }

    fn build(&self, program: &Program) -> Result<()> {
        let recipe = format!("{} {:?}", program.package, program.version);
        let stamp = self.stamp(program.name, &[program.folder], &recipe)?;
        let output = self.home.join("bin").join(program.name);
        if stamp.is_current() && output.is_file() {
            return Ok(());
        }
        if program.completed {
            self.complete_operator()?;
        }
        step(program.name, || {
            let mut link = String::from("-s -w");
            if let Some((variable, module)) = program.version {
                let version = self.download(program.folder, module)?.version;
                link.push_str(&format!(" -X {variable}={version}"));
            }
            let mut go = self.go(program.folder);
            // Said outright, since GOFLAGS may say otherwise: what is committed decides what is built.
            go.args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", &link]);
            if program.completed {
                go.arg("-modfile").arg(self.operator_modfile());
            }
            run(go.arg("-o").arg(&output).arg(program.package))?;
            stamp.set()
        })
    }

    /// The operator embeds its web page, which is built at release and is not in the published module: so a copy of
    /// the module gets an empty page, and a copy of our `go.mod` points at that copy. (Vendoring would do too, but
    /// fails on just that missing page, and an overlay may not touch the module cache.)
    fn complete_operator(&self) -> Result<()> {
        let source = operator_source(&self.home);
        let stamp = self.stamp("flux-operator-source", &["flux-operator"], "")?;
        if stamp.is_current() && source.is_dir() {
            return Ok(());
        }
        step("flux-operator, its source with an empty web page", || {
            let module = self.download("flux-operator", OPERATOR_MODULE)?;
            remove_folder(&source)?;
            copy_folder(&module.folder, &source)?;
            let page = source.join("web/dist/index.html");
            create_folder(&source.join("web/dist"))?;
            fs::write(&page, "").with_context(|| format!("{} can't be written", page.display()))?;

            let modfile = self.operator_modfile();
            let ours = self.modules.join("flux-operator");
            copy_file(&ours.join("go.mod"), &modfile)?;
            copy_file(&ours.join("go.sum"), &modfile.with_extension("sum"))?;
            // Relative, to the folder of the module: a checkout may be moved together with its target/.
            let replace = format!("-replace={OPERATOR_MODULE}=../../target/e2e/flux-operator");
            run(self.go("flux-operator").args(["mod", "edit", &replace]).arg(&modfile))?;
            stamp.set()
        })
    }

    fn operator_modfile(&self) -> PathBuf {
        self.home.join("flux-operator.mod")
    }

    fn gather_crds(&self) -> Result<()> {
        let target = self.home.join("crds");
        let folders: Vec<&str> = CRDS.iter().map(|(folder, _)| *folder).collect();
        let stamp = self.stamp("crds", &folders, "")?;
        if stamp.is_current() && target.is_dir() {
            return Ok(());
        }
        step("the CRDs", || {
            // A CRD that a newer version dropped must not survive from the older one.
            remove_folder(&target)?;
            create_folder(&target)?;
            for (folder, module) in CRDS {
                let bases = self.download(folder, module)?.folder.join("config/crd/bases");
                for file in list(&bases)? {
                    copy_file(&file, &target.join(file.file_name().unwrap_or_default()))?;
                }
            }
            stamp.set()
        })
    }

    fn gather_example_crds(&self) -> Result<()> {
        let target = self.home.join("example-crds");
        let folders: Vec<&str> = EXAMPLE_CRDS.iter().map(|(folder, ..)| *folder).collect();
        let stamp = self.stamp("example-crds", &folders, &format!("{EXAMPLE_CRDS:?}"))?;
        if stamp.is_current() && target.is_dir() {
            return Ok(());
        }
        step("the CRDs of the examples", || {
            remove_folder(&target)?;
            create_folder(&target)?;
            for (folder, module, file) in EXAMPLE_CRDS {
                let bases = self.download(folder, module)?.folder.join("config/crds/bases");
                copy_file(&bases.join(file), &target.join(file))?;
            }
            stamp.set()
        })
    }

    /// A module at the version that the module in `e2e/<folder>` chose, fetched if need be.
    fn download(&self, folder: &str, module: &str) -> Result<Module> {
        let output = run(self.go(folder).args(["mod", "download", "-json", module]))?;
        let answer: Value = serde_json::from_slice(&output)
            .with_context(|| format!("Go described the module {module} in something other than JSON"))?;
        match (answer["Dir"].as_str(), answer["Version"].as_str()) {
            (Some(dir), Some(version)) => Ok(Module { folder: dir.into(), version: version.to_owned() }),
            _ => bail!("Go did not say where it put the module {module}"),
        }
    }

    fn go(&self, folder: &str) -> Command {
        let mut go = Command::new("go");
        // No C compiler is needed, and a go.work of whoever runs this must not choose the versions.
        go.current_dir(self.modules.join(folder)).env("CGO_ENABLED", "0").env("GOWORK", "off");
        go
    }

    fn stamp(&self, name: &str, folders: &[&str], recipe: &str) -> Result<Stamp> {
        let mut hash = Sha256::new();
        hash.update(recipe);
        for folder in folders {
            hash_folder(&mut hash, &self.modules.join(folder))?;
        }
        let value = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Stamp { path: self.home.join("stamps").join(name), value })
    }
}

struct Module {
    folder: PathBuf,
    version: String,
}

/// Says what something was made from. Set last, so that what was interrupted is made again.
struct Stamp {
    path: PathBuf,
    value: String,
}

impl Stamp {
    fn is_current(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|value| value == self.value)
    }

    fn set(&self) -> Result<()> {
        fs::write(&self.path, &self.value)
            .with_context(|| format!("{} can't be written", self.path.display()))
    }
}

/// Names the step before it begins, since it may take minutes, and its duration after it.
#[expect(clippy::print_stderr, reason = "progress is for the person at the terminal")]
fn step(name: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    eprint!("{name} ...");
    let start = Instant::now();
    let result = make();
    eprintln!(
        " {} after {:.1} s",
        if result.is_ok() { "ready" } else { "failed" },
        start.elapsed().as_secs_f32()
    );
    result
}

/// What it wrote to stdout; its stderr is shown only if it fails.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => anyhow!(
            "the end-to-end tests build their tools with Go, and there is no `go` on the PATH: install Go 1.26 or newer"
        ),
        _ => anyhow!("`go` could not be started: {error}"),
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let complaint: Vec<&str> =
        complaint.lines().filter(|line| !line.starts_with("go: downloading ")).collect();
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    bail!("`go {}` failed:\n{}", arguments.join(" "), complaint.join("\n"))
}

fn hash_folder(hash: &mut Sha256, folder: &Path) -> Result<()> {
    for path in list(folder)? {
        if path.is_dir() {
            hash_folder(hash, &path)?;
        } else {
            let bytes = fs::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
            // Names and lengths too, or bytes could move from one file to the next unseen.
            hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
            hash.update([0]);
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        }
    }
    Ok(())
}

/// In order of name: the order of a folder itself differs between machines.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("the folder {} can't be read", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(context)? {
        paths.push(entry.with_context(context)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    create_folder(to)?;
    for path in list(from)? {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { copy_folder(&path, &target)? } else { copy_file(&path, &target)? }
    }
    Ok(())
}

/// The bytes alone: the module cache is read-only, and a copy that were so too could be neither changed nor replaced.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("{} can't be read", from.display()))?;
    fs::write(to, bytes).with_context(|| format!("{} can't be written", to.display()))
}

fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("the folder {} can't be made", folder.display()))
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("the folder {} can't be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e")
    }

    #[test]
    fn every_program_is_a_tool_of_its_module() {
        for program in ALL {
            let text = fs::read_to_string(modules().join(program.folder).join("go.mod")).unwrap();
            let listed = text.lines().any(|line| line.trim().trim_start_matches("tool ") == program.package);
            assert!(listed, "e2e/{}/go.mod lists no tool {}", program.folder, program.package);
        }
    }

    #[test]
    fn every_module_is_used() {
        let used =
            ALL.iter().map(|program| program.folder).chain(EXAMPLE_CRDS.iter().map(|(folder, ..)| *folder));
        let used: Vec<_> = used.collect();
        for folder in list(&modules()).unwrap().iter().filter(|path| path.is_dir()) {
            let name = folder.file_name().unwrap();
            assert!(used.iter().any(|used| *used == name), "nothing is made of {}", folder.display());
        }
    }

    #[test]
    fn a_change_anywhere_in_the_folder_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let of = || {
            let mut hash = Sha256::new();
            hash_folder(&mut hash, folder.path()).unwrap();
            hash.finalize()
        };
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("go.mod"), "ab").unwrap();
        fs::write(folder.path().join("inner/x.go"), "c").unwrap();
        let before = of();
        assert_eq!(before, of());

        fs::write(folder.path().join("inner/x.go"), "d").unwrap();
        assert_ne!(before, of());

        fs::write(folder.path().join("go.mod"), "a").unwrap();
        fs::write(folder.path().join("inner/x.go"), "bc").unwrap();
        assert_ne!(before, of());
    }
}
