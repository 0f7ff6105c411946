//! The one integration binary of this crate: each module tests one side of the contract.
//! Over HTTP, the server that is judged runs in this process, on a port of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml allows them in test functions, but not in what these call"
)]

mod api;
mod bad_changes;
mod bad_input;
mod bad_layers;
mod client;
mod command;
mod deployed;
mod documented;
mod http;
mod limits;
mod rendering;
mod server;
mod transcript;
mod troubled_store;
mod violations;
