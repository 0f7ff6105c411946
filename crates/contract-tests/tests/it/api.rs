//! The API as its clients meet it: every route's success, every error's code, as snapshots of the exchange.
//! What clients rely on cannot change without somebody reading the change.

mod brake;
mod changes;
mod complete;
mod confirm;
mod files;
mod history;
mod layers;
mod parts;
mod refusals;
mod routes;
mod trouble;
mod types;
