//! The contract of Flux Operator's `ExternalService` inputs, as a pure judge of an answer's body.
//! Apart from the server it judges, so that it shares none of its mistakes and others can use it on theirs.
//!
//! [`check`] finds every violation at once, whereas Flux stops at the first:
//!
//! ```
//! use flux_resourceset_contract_tests::{Code, check};
//!
//! let summary = check(br#"{"inputs": [{"id": "grafana"}, {"id": "podinfo"}]}"#).unwrap();
//! assert_eq!(summary.inputs, 2);
//!
//! let body = br#"{"inputs": [{"id": "grafana"}, {"id": "grafana", "provider": "us"}]}"#;
//! let violations = check(body).unwrap_err();
//! assert_eq!(violations[0].pointer, "/inputs/1/id");
//! assert_eq!(violations[0].code, Code::IdRepeated);
//! assert_eq!(violations[1].code.as_str(), "reserved_key");
//! println!("{}", violations[1]);
//! ```
//!
//! # What is judged
//!
//! The body as it is after content decoding, by the rules of Flux Operator's `ExternalService` provider: what
//! makes it refuse the answer, what it changes without an error (inputs beyond the limit, `provider`), and what
//! it takes and then fails at (a null as an input's own value; deeper ones are values like any other).
//! Keys at the top level beside `inputs` are ignored, as Flux ignores them. An `id` may be any string, an
//! empty one too.
//!
//! **An empty array satisfies the contract, and makes Flux delete everything that it made from these
//! inputs.**
//!
//! # Where it differs from Go's JSON parser
//!
//! - `Inputs` is a violation ([`Code::InputsCase`]), though Go takes it for `inputs`: beside `inputs` it
//!   replaces it or merges with it, depending on which comes last.
//! - So are bytes that are no UTF-8, half a surrogate pair, and more than 127 nested levels: parsers differ
//!   on them.
//! - Of a key that is repeated the last one counts, as in Go; except that Go merges a repeated `inputs` item
//!   by item and refuses it where any of them is wrong, while here only the last is judged.

#![warn(missing_docs)]

mod answer;
mod violation;

pub use answer::{MAX_BODY_BYTES, MAX_INPUTS, Summary, check};
pub use violation::{Code, Violation};
