//! `cargo xtask demo`: the product in a minute, with nothing but Rust. Our server, our command line, and polls
//! as a cluster would make them; what the cluster would do is said in words.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::poll::{Inputs, differences, poll};
use crate::server::{READ_TOKEN, Server, WRITE_TOKEN};
use crate::workspace::{self, Programs};

const DNS: &str = "demo-cluster-01.k8s.example.com";
const PATHS: [&str; 3] = ["platform-components", "namespaces", "rolebindings"];

/// Runs the demo; fails where the product does not do what the demo says.
pub(crate) fn run() -> Result<()> {
    println!("Building the server and the command line ...");
    let programs = Programs::build()?;
    let folder = tempfile::Builder::new().prefix("flux-resourceset-demo-").tempdir()?;
    let seed = workspace::root().join("data/seed.json");
    let server = Server::start(&programs, folder.path(), "127.0.0.1:0", &seed)?;
    let mut demo = Demo { programs, server, seen: Default::default(), step: 0 };
    demo.walk()?;
    demo.by_hand();
    Ok(())
}

struct Demo {
    programs: Programs,
    server: Server,
    /// The last answer to each path.
    seen: [Inputs; 3],
    step: usize,
}

impl Demo {
    fn walk(&mut self) -> Result<()> {
        self.title("A server with the demo fleet");
        println!("   It listens on {}, with data/seed.json in a temporary SQLite file.", self.server.url());
        self.cli(&["-o", "table", "cluster", "list"])?;

        self.title("The cluster phones home");
        println!(
            "   Its Flux Operator polls three paths and gets the catalog's defaults merged with its own values:"
        );
        self.polled()?;
        println!("   Flux would create 3 namespaces, 2 ClusterRoleBindings, and install the 3 charts.");

        self.title("One value changes, for this cluster alone");
        self.cli(&[
            "component",
            "patch",
            "podinfo",
            "--cluster",
            "demo-cluster-01",
            "--set",
            "replicaCount=3",
        ])?;
        self.changed(&["podinfo: patches.replicaCount \"2\" -> \"3\""])?;
        println!("   Flux would upgrade the release podinfo with replicaCount=3. Nothing else is touched.");

        self.title("A component is disabled");
        self.cli(&["component", "assign", "traefik", "--cluster", "demo-cluster-01", "--enabled", "false"])?;
        self.changed(&["traefik: enabled true -> false"])?;
        println!("   Flux would uninstall traefik and delete what it made for it.");

        self.title("The cluster is decommissioned");
        self.cli(&["cluster", "delete", "demo-cluster-01"])?;
        self.changed(&["podinfo: is gone", "platform-admins: is gone"])?;
        println!("   Every answer is now {{\"inputs\":[]}}, by intent: Flux would remove all that it made.");
        let unknown = poll(&self.server.url(), READ_TOKEN, "no-such-cluster.example.com", PATHS[0]);
        if unknown.is_ok() {
            bail!("an unknown cluster was answered");
        }
        println!("   A DNS name that nobody ever had is still answered 404, so a typo removes nothing.");
        Ok(())
    }

    fn title(&mut self, text: &str) {
        self.step += 1;
        println!("\n{}. {text}", self.step);
    }

    fn cli(&self, arguments: &[&str]) -> Result<()> {
        println!("   $ flux-resourceset-cli {}", arguments.join(" "));
        let output = Command::new(&self.programs.cli)
            .args(arguments)
            .env("FLUX_API_URL", self.server.url())
            .env("FLUX_API_TOKEN", READ_TOKEN)
            .env("FLUX_API_WRITE_TOKEN", WRITE_TOKEN)
            .output()
            .with_context(|| format!("{} does not start", self.programs.cli.display()))?;
        if !output.status.success() {
            bail!("the command failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        if arguments.contains(&"table") {
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                println!("     {line}");
            }
        }
        Ok(())
    }

    /// Polls every path and shows what each input is.
    fn polled(&mut self) -> Result<()> {
        for (at, path) in PATHS.iter().enumerate() {
            let inputs = poll(&self.server.url(), READ_TOKEN, DNS, path)?;
            if inputs.is_empty() {
                bail!("the demo fleet has no {path}");
            }
            println!("   GET /api/v2/flux/clusters/{DNS}/{path}");
            for (id, input) in &inputs {
                println!("     {id:<16} {}", said(input));
            }
            self.seen[at] = inputs;
        }
        Ok(())
    }

    /// Polls again and shows what changed, which must include `expected`.
    fn changed(&mut self, expected: &[&str]) -> Result<()> {
        let mut lines = Vec::new();
        for (at, path) in PATHS.iter().enumerate() {
            let inputs = poll(&self.server.url(), READ_TOKEN, DNS, path)?;
            lines.extend(differences(&self.seen[at], &inputs));
            self.seen[at] = inputs;
        }
        println!("   The next poll differs in:");
        for line in &lines {
            println!("     {line}");
        }
        match expected.iter().find(|line| !lines.iter().any(|shown| shown == **line)) {
            Some(missing) => bail!("the answers should differ in `{missing}`"),
            None => Ok(()),
        }
    }

    fn by_hand(&self) {
        println!(
            "\nDone. To go on by hand, start a server of your own:

  export AUTH_TOKEN=read-me CRUD_AUTH_TOKEN=write-me
  API_MODE=crud STORE_BACKEND=memory SEED_FILE=data/seed.json LISTEN_ADDR=127.0.0.1:8080 \\
    cargo run --bin flux-resourceset

and, in another terminal:

  export FLUX_API_URL=http://127.0.0.1:8080 FLUX_API_TOKEN=read-me FLUX_API_WRITE_TOKEN=write-me
  cargo run --quiet --bin flux-resourceset-cli -- cluster list
  cargo run --quiet --bin flux-resourceset-cli -- flux demo-cluster-01
  curl -s -H \"Authorization: Bearer read-me\" \\
    http://127.0.0.1:8080/api/v2/flux/clusters/{DNS}/platform-components

With Go installed, `cargo xtask demo --cluster` does the same on a real API server with the real Flux."
        );
    }
}

/// One input in a few words.
fn said(input: &serde_json::Value) -> String {
    if let Some(source) = input.get("source") {
        let patches = input["patches"].as_object().map_or(0, serde_json::Map::len);
        return format!(
            "chart {} from {}, {patches} patches",
            input["component_path"].as_str().unwrap_or_default(),
            source["oci_url"].as_str().unwrap_or_default()
        );
    }
    match input.get("role") {
        Some(role) => format!("role {}, subjects {}", role.as_str().unwrap_or_default(), input["subjects"]),
        None => format!("labels {}", input["labels"]),
    }
}
