//! What each cluster of a fleet gets, as a pure function of the fleet's documents: answers, checks
//! across documents, and the outcome of an operation before it is made. No I/O, no async, no clock.
//!
//! ```
//! use flux_resourceset_merge::Fleet;
//!
//! let fleet = Fleet::from_json(r#"{
//!     "clusters": [{"cluster_name": "eu-1", "cluster_dns": "eu-1.example.com", "environment": "prod",
//!                   "platform_components": [{"id": "grafana", "oci_tag": "v1.0.0-1"}]}],
//!     "platform_components": [{"id": "grafana", "component_path": "grafana", "oci_url": "oci://registry/charts"}]
//! }"#)?;
//! let answer = fleet.answer_text("eu-1.example.com", "platform-components")?;
//! println!("{answer}");
//! # assert!(answer.contains(r#""source":{"oci_url":"oci://registry/charts","oci_tag":"v1.0.0-1"}"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

mod answer;
mod check;
mod clash;
mod difference;
mod effective;
mod exception;
mod explain;
mod field;
mod file;
mod fleet;
mod input;
mod labels;
mod last_change;
mod layered;
mod list;
mod part;
mod plan;
mod prepare;
mod read_each;
mod ready;
mod referrers;
mod refusal;
mod release;
mod requirement;
mod revert;
mod rewrite;
mod scope;
mod source_apply;
mod stack;

pub use answer::NoAnswer;
pub use difference::{FieldChange, difference};
pub use exception::Exception;
pub use explain::{ExplainedField, ExplainedInput, NoExplanation, Origin, Overrode};
pub use field::{Field, FieldDifference, changed_between, field_differences};
pub use file::PreparedFile;
pub use fleet::{Document, Fleet, LoadError};
pub use input::{ClusterBlock, ComponentInput, DefinitionInput, Input, Source};
pub use last_change::{LastChange, LastChanges};
pub use list::{FleetFilter, NoList, Shard};
pub use plan::{Destruction, Effect, EffectKind, Frozen, Hidden, Plan, Warning, WarningCode, plan, plan_of};
pub use prepare::Prepared;
pub use refusal::Refusal;
pub use release::merge_release;
pub use revert::{PastChange, RevertConflict, Reverted};
pub use source_apply::{Applied, Disputed, Files};

/// The most inputs that Flux takes in one answer; it cuts the rest off without a word.
pub const MAX_INPUTS: usize = 10_000;

/// The largest answer that Flux reads, in bytes.
pub const MAX_ANSWER_BYTES: usize = 900 * 1024;
