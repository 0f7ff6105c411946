//! The server as its clients meet it: over HTTP, in process and as a process of its own.

mod client;
mod documents;
mod errors;
mod faults;
mod faulty_store;
mod limits;
mod polls;
mod process;
mod server;
