//! `cargo xtask ci`: what must hold before a change lands, in the order in which it fails soonest.

use anyhow::{Context, Result, bail};

use crate::workspace::{cargo, run};

/// Crates that decide what a cluster gets, and what must never come under them.
const PURE: [&str; 2] = ["flux-resourceset-model", "flux-resourceset-merge"];
const IMPURE: [&str; 5] = ["tokio", "hyper", "rusqlite", "tokio-postgres", "ureq"];

pub(crate) fn run_all() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    directions()?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]))?;
    run(cargo().args(["test", "--workspace", "--locked"]))?;
    run(cargo().args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

/// Proves by cargo's own tree that the pure crates reach nothing that does I/O.
fn directions() -> Result<()> {
    for package in PURE {
        let tree = cargo()
            .args([
                "tree",
                "--locked",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "--package",
                package,
            ])
            .output()
            .context("cargo tree does not start")?;
        if !tree.status.success() {
            bail!("cargo tree failed: {}", String::from_utf8_lossy(&tree.stderr));
        }
        let tree = String::from_utf8_lossy(&tree.stdout);
        let names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        if let Some(found) = IMPURE.iter().find(|name| names.contains(name)) {
            bail!("{package} depends on {found}; it must stay pure (see ARCHITECTURE.md)");
        }
        println!("{package}: none of {} among its {} dependencies", IMPURE.join(", "), names.len());
    }
    Ok(())
}
