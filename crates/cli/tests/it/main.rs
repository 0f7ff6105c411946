//! The binary as people and scripts run it. One test binary: it links once.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in #[test] functions only, not in what they call"
)]

mod book;
mod commands;
mod completion;
mod confirm;
mod console;
mod files;
mod freezes;
mod guard;
mod manifests;
mod operating;
mod parts;
mod past;
mod profiles;
mod registered;
mod server;
mod stub;
mod terminal;
mod transport;
mod usage;
