//! `cargo xtask demo --cluster`: the same life of a cluster as in `demo.rs`, on a real API server with the real Flux.
//! The charts come from a repository on loopback, so it takes no internet once the programs are built.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::chart_repository::ChartRepository;
use crate::control_plane::{ControlPlane, Controller};
use crate::demo::{DNS, Narrator, STEPS, seed};
use crate::fleet::Fleet;
use crate::kubectl::{CONFIG_MAPS, FLUX_SYSTEM, HELM_RELEASES, OWNED, ready};
use crate::manifests::Manifests;
use crate::member::{self, Home};
use crate::scene::Scene;
use crate::server::{READ_TOKEN, WRITE_TOKEN};
use crate::tools::Tools;
use crate::wait::wait_until;
use crate::workspace::Programs;

const SOON: Duration = Duration::from_secs(120);
const COMPONENTS: [&str; 3] = ["cert-manager", "traefik", "podinfo"];

/// Runs the demo; fails where the cluster does not become what the fleet's data says.
pub(crate) fn run() -> Result<()> {
    println!("Building what is missing ...");
    let (tools, programs) = (Tools::ensure()?, Programs::build()?);
    // The processes before the scene: they end in the opposite order of their making.
    let scene = Scene::open()?;
    let manifests = Manifests::copy(&scene, &tools)?;
    let charts =
        ChartRepository::serve(&scene.subfolder("charts")?, &COMPONENTS.map(|name| (name, "1.0.0")))?;
    let fleet = Fleet::start(&scene, &programs, &seed()?)?;
    println!("Starting etcd, the Kubernetes API server and Flux ...");
    let plane = ControlPlane::start(&scene, &tools, "plane", &Controller::ALL)?;
    let mut demo = Demo { narrator: Narrator::default(), fleet, charts, plane };
    demo.walk(&Home { scene: &scene, manifests: &manifests, quick: true })?;
    demo.by_hand(&programs, &tools)
}

struct Demo {
    narrator: Narrator,
    fleet: Fleet,
    charts: ChartRepository,
    plane: ControlPlane,
}

impl Demo {
    fn walk(&mut self, home: &Home<'_>) -> Result<()> {
        self.narrator.title("A server with the demo fleet");
        println!("   It listens on {}, with data/seed.json in a temporary SQLite file.", self.fleet.url());
        println!("   The charts come from a small repository on this machine instead of the internet:");
        for id in COMPONENTS {
            println!("   PATCH /platform_components/{id} {{\"oci_url\": \"{}\"}}", self.charts.url());
            let url = json!({"oci_url": self.charts.url()});
            self.fleet.write("PATCH", &format!("platform_components/{id}"), &url)?;
        }
        self.narrator.types(&self.fleet, "-o table cluster list")?;

        self.narrator.title("The cluster gets three providers and three ResourceSets, and phones home");
        member::join(home, &self.plane, &self.fleet.url(), DNS)?;
        self.installed(&COMPONENTS)?;
        self.shows_all()?;

        for (at, step) in STEPS.iter().enumerate() {
            self.narrator.title(step.title);
            self.narrator.types(&self.fleet, step.command)?;
            member::poll(&self.plane.kubectl)?;
            match at {
                0 => self.patched()?,
                1 => self.disabled()?,
                _ => self.decommissioned()?,
            }
        }
        Ok(())
    }

    /// The chart shows the values that it got.
    fn patched(&self) -> Result<()> {
        wait_until("podinfo was upgraded", SOON, || {
            let shown = self.plane.kubectl.existing(CONFIG_MAPS, "podinfo", "podinfo-echo")?;
            let values = shown["data"]["values.json"].as_str().unwrap_or_default();
            ensure!(values.contains("\"replicaCount\":3"), "its values are {values}");
            Ok(())
        })?;
        self.shows(&[
            "get",
            CONFIG_MAPS,
            "podinfo-echo",
            "-n",
            "podinfo",
            "-o",
            "jsonpath={.data.values\\.json}",
        ])
    }

    fn disabled(&self) -> Result<()> {
        wait_until("traefik is uninstalled", SOON, || {
            self.plane.kubectl.absent(HELM_RELEASES, FLUX_SYSTEM, "platform-traefik")
        })?;
        self.shows(&["get", "helmreleases", "-n", FLUX_SYSTEM])
    }

    fn decommissioned(&self) -> Result<()> {
        wait_until("everything is gone", SOON, || {
            let left: Vec<_> = self.plane.kubectl.owned()?.into_keys().collect();
            ensure!(left.is_empty(), "left: {}", left.join(", "));
            Ok(())
        })?;
        self.shows_all()?;
        println!("     (nothing is left)");
        Ok(())
    }

    fn installed(&self, components: &[&str]) -> Result<()> {
        for id in components {
            wait_until(format!("the chart of {id} is installed"), SOON, || {
                ready(&self.plane.kubectl.existing(HELM_RELEASES, FLUX_SYSTEM, &format!("platform-{id}"))?)
            })?;
        }
        Ok(())
    }

    fn shows_all(&self) -> Result<()> {
        for kind in ["namespaces", "clusterrolebindings", "helmrepositories,helmreleases"] {
            self.shows(&["get", kind, "-A", "-l", OWNED])?;
        }
        Ok(())
    }

    fn shows(&self, arguments: &[&str]) -> Result<()> {
        println!("   $ kubectl {}", arguments.join(" "));
        self.narrator.shows(&self.plane.kubectl.run(arguments)?);
        Ok(())
    }

    fn by_hand(&self, programs: &Programs, tools: &Tools) -> Result<()> {
        let stays = io::stdin().is_terminal();
        println!(
            "\nDone. {}",
            if stays { "To go on by hand, in another terminal:" } else { "By hand it would be:" }
        );
        println!(
            "
  export KUBECONFIG={}
  export FLUX_API_URL={} FLUX_API_TOKEN={READ_TOKEN} FLUX_API_WRITE_TOKEN={WRITE_TOKEN}
  {cli} tombstone purge demo-cluster-01
  {cli} cluster create demo-cluster-01 --dns {DNS} --environment dev
  {cli} component assign podinfo --cluster demo-cluster-01
  {} get helmreleases -A
  {} -n flux-system tree rset platform-components

The cluster polls every ten seconds.",
            self.plane.kubectl.kubeconfig().display(),
            self.fleet.url(),
            self.plane.kubectl.program().display(),
            tools.flux_operator().display(),
            cli = programs.cli.display(),
        );
        if stays {
            println!("Enter takes it all down.");
            io::stdin().read_line(&mut String::new())?;
        }
        Ok(())
    }
}
