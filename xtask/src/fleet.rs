//! Our server with a fleet's data, written to as people do: by the command line, and over HTTP for the rest.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::scene::{Mark, Scene};
use crate::server::{READ_TOKEN, Server, WRITE_TOKEN};
use crate::workspace::Programs;

/// A fleet and the server that serves it, which may be stopped and started again.
pub(crate) struct Fleet {
    programs: Programs,
    folder: PathBuf,
    seed: PathBuf,
    address: String,
    // In this order: a process is marked until it is to be ended.
    mark: Option<Mark>,
    server: Option<Server>,
}

impl Fleet {
    /// Starts a server with the fleet `seed`, in a folder of its own.
    pub(crate) fn start(scene: &Scene, programs: &Programs, seed: &Value) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("fleet-").tempdir_in(scene.folder())?.keep();
        let file = folder.join("seed.json");
        fs::write(&file, seed.to_string())?;
        let mut fleet = Fleet {
            programs: programs.clone(),
            folder,
            seed: file,
            address: "127.0.0.1:0".to_owned(),
            mark: None,
            server: None,
        };
        fleet.resume(scene)?;
        // With the logs of everything else, where a failure is looked into.
        let name = fleet.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        std::os::unix::fs::symlink(fleet.folder.join("server.log"), scene.log(&name))?;
        Ok(fleet)
    }

    /// Starts the server on what the store holds, where it listened before.
    pub(crate) fn resume(&mut self, scene: &Scene) -> Result<()> {
        let server = Server::start(&self.programs, &self.folder, &self.address, &self.seed)?;
        self.address = server.address().to_owned();
        self.mark = Some(scene.mark(server.pid())?);
        self.server = Some(server);
        Ok(())
    }

    /// Ends the server's process outright.
    pub(crate) fn stop(&mut self) {
        self.mark = None;
        self.server = None;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Runs our command line with these arguments.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.programs.cli)
            .args(arguments)
            .env("FLUX_API_URL", self.url())
            .env("FLUX_API_TOKEN", READ_TOKEN)
            .env("FLUX_API_WRITE_TOKEN", WRITE_TOKEN)
            .output()
            .with_context(|| format!("{} does not start", self.programs.cli.display()))?;
        if !output.status.success() {
            bail!(
                "flux-resourceset-cli {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Creates a document, or changes one by JSON Merge Patch where the path names one.
    pub(crate) fn write(&self, method: &str, path: &str, body: &Value) -> Result<()> {
        let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let url = format!("{}/{path}", self.url());
        let request = match method {
            "PATCH" => ureq::patch(&url),
            "POST" => ureq::post(&url),
            other => bail!("{other} is no way to write here"),
        };
        let mut response = request
            .config()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build()
            .header("Authorization", format!("Bearer {WRITE_TOKEN}"))
            .content_type(media)
            .send(body.to_string())
            .with_context(|| format!("{method} {url}"))?;
        if !response.status().is_success() {
            bail!("{method} {path}: {} {}", response.status(), response.body_mut().read_to_string()?);
        }
        Ok(())
    }
}
