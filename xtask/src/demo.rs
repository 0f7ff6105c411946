//! `cargo xtask demo`: the product in a minute, with nothing but Rust. Our server, our command line, and polls
//! as a cluster would make them; what the cluster would do is said in words.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::fleet::Fleet;
use crate::poll::{Inputs, differences, poll};
use crate::scene::Scene;
use crate::server::READ_TOKEN;
use crate::workspace::{self, Programs};

pub(crate) const DNS: &str = "demo-cluster-01.k8s.example.com";
const PATHS: [&str; 3] = ["platform-components", "namespaces", "rolebindings"];

/// One change to the fleet, and what comes of it.
pub(crate) struct Step {
    pub(crate) title: &'static str,
    /// What is typed, after the name of the command line.
    pub(crate) command: &'static str,
    /// Some of the differences that it makes to the answers.
    differences: &'static [&'static str],
    /// What Flux would do, in words.
    meaning: &'static str,
}

/// The life of a cluster, after it phoned home for the first time. Both demos walk it.
pub(crate) const STEPS: [Step; 3] = [
    Step {
        title: "One value changes, for this cluster alone",
        command: "component patch podinfo --cluster demo-cluster-01 --set replicaCount=3",
        differences: &["podinfo: patches.replicaCount \"2\" -> \"3\""],
        meaning: "Flux would upgrade the release podinfo with replicaCount=3. Nothing else is touched.",
    },
    Step {
        title: "A component is disabled",
        command: "component assign traefik --cluster demo-cluster-01 --enabled false",
        differences: &["traefik: enabled true -> false"],
        meaning: "Flux would uninstall traefik and delete what it made for it.",
    },
    Step {
        title: "The cluster is decommissioned",
        command: "cluster delete demo-cluster-01",
        differences: &["podinfo: is gone", "platform-admins: is gone"],
        meaning: "Every answer is now {\"inputs\":[]}, by intent: Flux would remove all that it made.",
    },
];

/// The demo fleet of the repository.
pub(crate) fn seed() -> Result<Value> {
    let path = workspace::root().join("data/seed.json");
    let text = fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// Runs the demo; fails where the product does not do what the demo says.
pub(crate) fn run() -> Result<()> {
    println!("Building the server and the command line ...");
    let programs = Programs::build()?;
    let scene = Scene::open()?;
    let fleet = Fleet::start(&scene, &programs, &seed()?)?;
    let mut demo = Demo { narrator: Narrator::default(), fleet, seen: Default::default() };
    demo.walk()?;
    by_hand();
    Ok(())
}

/// Numbers the steps, and shows what is typed.
#[derive(Default)]
pub(crate) struct Narrator {
    step: usize,
}

impl Narrator {
    pub(crate) fn title(&mut self, text: &str) {
        self.step += 1;
        println!("\n{}. {text}", self.step);
    }

    /// Runs our command line, and shows what it prints where that is for people.
    pub(crate) fn types(&self, fleet: &Fleet, command: &str) -> Result<()> {
        println!("   $ flux-resourceset-cli {command}");
        let arguments: Vec<_> = command.split(' ').collect();
        let printed = fleet.cli(&arguments)?;
        if arguments.contains(&"table") {
            self.shows(&printed);
        }
        Ok(())
    }

    pub(crate) fn shows(&self, printed: &str) {
        for line in printed.lines() {
            println!("     {line}");
        }
    }
}

struct Demo {
    narrator: Narrator,
    fleet: Fleet,
    /// The last answer to each path.
    seen: [Inputs; 3],
}

impl Demo {
    fn walk(&mut self) -> Result<()> {
        self.narrator.title("A server with the demo fleet");
        println!("   It listens on {}, with data/seed.json in a temporary SQLite file.", self.fleet.url());
        self.narrator.types(&self.fleet, "-o table cluster list")?;

        self.narrator.title("The cluster phones home");
        println!(
            "   Its Flux Operator polls three paths and gets the catalog's defaults merged with its own values:"
        );
        self.polled()?;
        println!("   Flux would create 3 namespaces, 2 ClusterRoleBindings, and install the 3 charts.");

        for step in &STEPS {
            self.narrator.title(step.title);
            self.narrator.types(&self.fleet, step.command)?;
            self.changed(step.differences)?;
            println!("   {}", step.meaning);
        }
        if poll(&self.fleet.url(), READ_TOKEN, "no-such-cluster.example.com", PATHS[0]).is_ok() {
            bail!("an unknown cluster was answered");
        }
        println!("   A DNS name that nobody ever had is still answered 404, so a typo removes nothing.");
        Ok(())
    }

    /// Polls every path and shows what each input is.
    fn polled(&mut self) -> Result<()> {
        for (at, path) in PATHS.iter().enumerate() {
            let inputs = poll(&self.fleet.url(), READ_TOKEN, DNS, path)?;
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
            let inputs = poll(&self.fleet.url(), READ_TOKEN, DNS, path)?;
            lines.extend(differences(&self.seen[at], &inputs));
            self.seen[at] = inputs;
        }
        println!("   The next poll differs in:");
        self.narrator.shows(&lines.join("\n"));
        match expected.iter().find(|line| !lines.iter().any(|shown| shown == **line)) {
            Some(missing) => bail!("the answers should differ in `{missing}`"),
            None => Ok(()),
        }
    }
}

fn by_hand() {
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

/// One input in a few words.
fn said(input: &Value) -> String {
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
