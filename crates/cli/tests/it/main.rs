//! The binary as people and scripts run it. One test binary: it links once.

mod stub;
mod transport;
mod usage;
