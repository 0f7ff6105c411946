//! What a violation is, apart from the finding of it: its place, its stable code and its sentence.

use std::fmt;

/// One way in which an answer breaks the contract.
///
/// Displayed in one line: the pointer (`(root)` for the whole body), the code and the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// A JSON pointer (RFC 6901) to a value that exists in the body; empty for the whole body.
    /// What is missing is reported at the object that lacks it.
    pub pointer: String,
    /// What is wrong, for programs.
    pub code: Code,
    /// What is wrong and what Flux makes of it, for people; one line, whose wording may change.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "(root)" } else { &self.pointer };
        write!(f, "{place} {}: {}", self.code, self.message)
    }
}

/// The kinds of violation. Their strings ([`Code::as_str`]) are stable; new kinds may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The body has more than [`MAX_BODY_BYTES`](crate::MAX_BODY_BYTES); Flux refuses it unread.
    BodyTooLarge,
    /// The body cannot be read as JSON.
    NotJson,
    /// The top level is not an object.
    NotAnObject,
    /// The top level has no `inputs`.
    InputsMissing,
    /// A key is `inputs` but for its case. Go matches it nevertheless, so that it competes with `inputs`.
    InputsCase,
    /// `inputs` is null, which Flux takes for missing.
    InputsNull,
    /// `inputs` is neither null nor an array.
    InputsNotAnArray,
    /// There are more than [`MAX_INPUTS`](crate::MAX_INPUTS); Flux drops the rest without an error.
    TooManyInputs,
    /// An input is not an object.
    InputNotAnObject,
    /// An input has no `id`.
    IdMissing,
    /// An input's `id` is not a string.
    IdNotAString,
    /// An earlier input has the same `id`.
    IdRepeated,
    /// An input uses the key `provider`, which Flux overwrites.
    ReservedKey,
    /// A value of an input is null, at which Flux Operator fails when it reads its inputs back.
    ValueNull,
}

impl Code {
    /// The stable string, in snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BodyTooLarge => "body_too_large",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::InputsMissing => "inputs_missing",
            Self::InputsCase => "inputs_case",
            Self::InputsNull => "inputs_null",
            Self::InputsNotAnArray => "inputs_not_an_array",
            Self::TooManyInputs => "too_many_inputs",
            Self::InputNotAnObject => "input_not_an_object",
            Self::IdMissing => "id_missing",
            Self::IdNotAString => "id_not_a_string",
            Self::IdRepeated => "id_repeated",
            Self::ReservedKey => "reserved_key",
            Self::ValueNull => "value_null",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
