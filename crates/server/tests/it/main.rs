//! The server as its clients meet it: over HTTP, in process and as a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml allows them in test functions, but not in what these call"
)]

mod backups;
mod client;
mod confirm;
mod documents;
mod errors;
mod exceptions;
mod explain;
mod faults;
mod faulty_store;
mod files;
mod history;
mod layers;
mod limits;
mod operate;
mod past;
mod polls;
mod process;
mod remembered;
mod revert;
mod server;
mod types;
