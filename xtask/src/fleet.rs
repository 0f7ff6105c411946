//! Our server with a fleet's data, written to as people do: by the command line, and over HTTP for the rest.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::http::Request;

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

    /// Writes to `path`: a PATCH is a JSON Merge Patch. Returns what is answered; a refusal is an error.
    pub(crate) fn write(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send(method, path, body, None)?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: {} {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    /// Registers the type that a YAML file declares, as it stands.
    pub(crate) fn register(&self, yaml: &str) -> Result<Value> {
        let answer =
            self.exchange("POST", "resource_types", "application/yaml", Some(yaml.to_owned()), None)?;
        if answer.status != 201 {
            bail!("POST resource_types: {} {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    /// Fails unless the write is refused with `status`; returns what is answered.
    pub(crate) fn refused(&self, method: &str, path: &str, body: &Value, status: u16) -> Result<Value> {
        let answer = self.send(method, path, body, None)?;
        if answer.status != status {
            bail!("{method} {path} should be {status}: {} {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    /// What the write would do; nothing changes.
    pub(crate) fn planned(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        self.write(method, &format!("{path}?plan=true"), body)
    }

    /// Makes a write that the API does not make unasked, as a client does: it is refused and its plan shown, and
    /// is sent again with the digest of that plan. Returns the plan, and what is answered to the write.
    pub(crate) fn confirmed(&self, method: &str, path: &str, body: &Value) -> Result<(Value, Value)> {
        let refusal = self.send(method, path, body, None)?;
        if refusal.status != 428 || refusal.body["error"] != "confirmation_required" {
            bail!("{method} {path} should need a confirmation: {} {}", refusal.status, refusal.body);
        }
        let plan = refusal.body["plan"].clone();
        let digest = plan["digest"].as_str().context("the plan has no digest")?;
        let answer = self.send(method, path, body, Some(digest))?;
        if answer.status != 200 {
            bail!("{method} {path}, confirmed: {} {}", answer.status, answer.body);
        }
        Ok((plan, answer.body))
    }

    /// A body of `null` is none.
    fn send(&self, method: &str, path: &str, body: &Value, plan: Option<&str>) -> Result<Answer> {
        let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = (!body.is_null()).then(|| body.to_string());
        self.exchange(method, path, media, body, plan)
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Option<String>,
        plan: Option<&str>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.url()))
            .header("Authorization", format!("Bearer {WRITE_TOKEN}"));
        if let Some(digest) = plan {
            request = request.header("If-Plan", digest);
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let response = match body {
            None => agent.run(request.body(())?),
            Some(body) => agent.run(request.header("Content-Type", media).body(body)?),
        };
        let mut response = response.with_context(|| format!("{method} {path}"))?;
        let text = response.body_mut().read_to_string()?;
        let body = serde_json::from_str(&text)
            .with_context(|| format!("{method} {path}: {} {text}", response.status()))?;
        Ok(Answer { status: response.status().as_u16(), body })
    }
}

struct Answer {
    status: u16,
    body: Value,
}
