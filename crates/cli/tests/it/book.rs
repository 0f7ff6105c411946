//! The pages whose `console` blocks are run as they stand: each against a server of its own.
//! `UPDATE_BOOK=1` writes what is printed into the page; shorten it, and name what differs, by hand.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::console;
use crate::server::Server;
use crate::stub::{READ_TOKEN, WRITE_TOKEN};

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page)
}

#[track_caller]
fn check(page: &str, server: &Server) {
    let path = path(page);
    let text = fs::read_to_string(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_flux-resourceset-cli")).parent().unwrap();
    let programs = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
    let checked = console::run(
        &text,
        folder.path(),
        &[
            ("PATH", &programs),
            ("FLUX_API_URL", server.url()),
            ("FLUX_API_TOKEN", READ_TOKEN),
            ("FLUX_API_WRITE_TOKEN", WRITE_TOKEN),
        ],
    );
    if env::var_os("UPDATE_BOOK").is_some() {
        fs::write(&path, &checked.corrected).unwrap();
    }
    assert!(checked.commands > 0, "{page} has no commands");
    assert!(checked.wrong.is_empty(), "{page} is not what happens:\n\n{}", checked.wrong.join("\n"));
}

const DAY: &str = "docs/src/operating.md";

#[test]
fn a_day_of_operating() {
    check(DAY, &Server::empty());
}

#[test]
fn no_command_of_the_day_is_left_out() {
    let text = fs::read_to_string(path(DAY)).unwrap();
    let blocks = text.lines().filter_map(|line| line.strip_prefix("```"));
    let others: Vec<_> =
        blocks.filter(|info| !["", "console"].contains(info) && !info.contains(' ')).collect();
    assert!(others.is_empty(), "these blocks are not run: {others:?}");
}

#[test]
fn extending() {
    check("docs/src/extending.md", &Server::start());
}

#[test]
fn layers() {
    check("docs/src/layers.md", &Server::empty());
}

#[test]
fn the_readme() {
    check("README.md", &Server::start());
}
