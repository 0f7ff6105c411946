//! An OCI registry on loopback, and folders pushed to it as Flux pushes them: one compressed layer each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::chart_repository::pack;
use crate::scene::{Process, Scene, free_ports};
use crate::tools::Tools;
use crate::wait::wait_until;

/// A registry without TLS, ended when dropped.
pub(crate) struct OciRegistry {
    address: String,
    crane: PathBuf,
    _process: Process,
}

impl OciRegistry {
    pub(crate) fn start(scene: &Scene, tools: &Tools) -> Result<Self> {
        let [port] = free_ports()?;
        let address = format!("127.0.0.1:{port}");
        let mut command = scene.command(&tools.crane());
        let process = scene.start("registry", command.args(["registry", "serve", "--address", &address]))?;
        wait_until("the registry answers", Duration::from_secs(30), || {
            Ok(ureq::get(format!("http://{address}/v2/")).call().map(drop)?)
        })?;
        Ok(OciRegistry { address, crane: tools.crane(), _process: process })
    }

    /// `oci://…` of a repository.
    pub(crate) fn url(&self, repository: &str) -> String {
        format!("oci://{}/{repository}", self.address)
    }

    /// Pushes files (path, text) as `repository:tag`.
    pub(crate) fn push(
        &self,
        scene: &Scene,
        repository: &str,
        tag: &str,
        files: &[(String, String)],
    ) -> Result<()> {
        let folder = tempfile::tempdir_in(scene.folder())?;
        for (path, content) in files {
            let path = folder.path().join("layer").join(path);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            fs::write(path, content)?;
        }
        let layer = folder.path().join("layer.tgz");
        pack(&folder.path().join("layer"), ".", &layer)?;
        let output = scene
            .command(&self.crane)
            .args(["append", "--insecure", "-f"])
            .arg(&layer)
            .args(["-t", &format!("{}/{repository}:{tag}", self.address)])
            .output()
            .context("crane does not start")?;
        if !output.status.success() {
            bail!("crane pushed nothing: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}
