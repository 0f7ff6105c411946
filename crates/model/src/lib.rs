//! The documents of a fleet and what may be said of each alone: shapes, ids, validation, change sets.
//! No I/O, no clock; what holds between documents is `flux-resourceset-merge`'s.
#![warn(missing_docs)]

pub mod change;
