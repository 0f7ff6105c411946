//! What the merge promises: laws over random fleets, and the specification's own examples.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that unwraps fails at the line that did"
)]

mod answers;
mod explain;
mod files;
mod history;
mod laws;
mod layers;
mod naive;
mod plan;
mod revert;
mod types;
mod writes;
