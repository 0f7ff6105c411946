//! Where the workspace is, and its own programs built by cargo.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The server and the command line, built.
#[derive(Clone)]
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    pub(crate) cli: PathBuf,
}

impl Programs {
    /// Builds both; cargo says what it compiles.
    pub(crate) fn build() -> Result<Self> {
        Self::build_as("dev", "debug")
    }

    /// The same, as they are released.
    pub(crate) fn build_release() -> Result<Self> {
        Self::build_as("release", "release")
    }

    fn build_as(profile: &str, folder: &str) -> Result<Self> {
        let packages = ["--package", "flux-resourceset-server", "--package", "flux-resourceset-cli"];
        run(cargo().args(["build", "--quiet", "--profile", profile]).args(packages).args(["--bins"]))?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let folder = target.join(folder);
        Ok(Programs { server: folder.join("flux-resourceset"), cli: folder.join("flux-resourceset-cli") })
    }
}

/// The cargo that runs this, in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs `command` to its end and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} does not start"))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}
