//! `cargo xtask ci`: what must hold before a change lands, in the order in which it fails soonest.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::tools::Tools;
use crate::workspace::{cargo, run};
use crate::{demo, e2e, faults, static_programs};

/// Crates that decide what a cluster gets, and what must never come under them.
const PURE: [&str; 2] = ["flux-resourceset-model", "flux-resourceset-merge"];
const IMPURE: [&str; 5] = ["tokio", "hyper", "rusqlite", "tokio-postgres", "ureq"];

/// The programs that are released, and what must never be in them.
const PRODUCT: [&str; 2] = ["flux-resourceset-server", "flux-resourceset-cli"];
const FOR_TESTS: &str = "flux-resourceset-postgres-server";

pub(crate) fn run_all() -> Result<()> {
    timed("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
    timed("directions", directions)?;
    timed("lints", || {
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]))
    })?;
    // The rendering tests run the real `flux-operator`; without it they would be skipped.
    timed("render tools", || Tools::ensure_render().map(drop))?;
    timed("tests", || run(cargo().args(["test", "--workspace", "--locked"])))?;
    timed("documentation", || {
        run(cargo()
            .args(["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    timed("static programs", static_programs::check)?;
    timed("demo", demo::run)?;
    timed("faults", || faults::run(&faults::Options::of_ci()))?;
    timed("e2e", || e2e::run(&[]))
}

/// Says how long a step took: the whole has a limit, and this is where to look when it nears.
fn timed(what: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("ci: {what} ...");
    let start = Instant::now();
    step().with_context(|| format!("ci: {what}"))?;
    println!("ci: {what} took {:.0} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Proves by cargo's own tree that the pure crates reach nothing that does I/O, and that what only tests start is
/// no part of the product.
fn directions() -> Result<()> {
    for package in PURE {
        let names = dependencies(package)?;
        if let Some(found) = IMPURE.iter().find(|impure| names.iter().any(|name| name == *impure)) {
            bail!("{package} depends on {found}; it must stay pure (see ARCHITECTURE.md)");
        }
        println!("{package}: none of {} among its {} dependencies", IMPURE.join(", "), names.len());
    }
    for package in PRODUCT {
        if dependencies(package)?.iter().any(|name| name == FOR_TESTS) {
            bail!("{package} depends on {FOR_TESTS}, which is for tests alone");
        }
    }
    Ok(())
}

/// What `package` is built of, itself included.
fn dependencies(package: &str) -> Result<Vec<String>> {
    let arguments =
        ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package"];
    let tree = cargo().args(arguments).arg(package).output().context("cargo tree does not start")?;
    if !tree.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&tree.stderr));
    }
    let tree = String::from_utf8_lossy(&tree.stdout);
    Ok(tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}
