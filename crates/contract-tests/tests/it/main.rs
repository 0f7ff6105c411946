//! The one integration binary of this crate: each module tests one side of the contract.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml allows them in test functions, but not in what these call"
)]

mod command;
mod limits;
mod rendering;
mod violations;
