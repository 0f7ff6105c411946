//! The judging of one answer, from the size of its body down to the keys of each input.
//! Apart because it alone follows Flux Operator's own reading of an answer.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::{Code, Violation};

/// The most bytes that Flux reads of a body, after content decoding: 900 KiB.
pub const MAX_BODY_BYTES: usize = 900 * 1024;

/// The most inputs that Flux takes: the highest value that a provider's `spec.filter.limit` can have.
/// A provider that sets no limit takes 100, which an answer cannot know.
pub const MAX_INPUTS: usize = 10_000;

/// What an answer that satisfies the contract holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The number of inputs. With none, Flux deletes all that it made from them.
    pub inputs: usize,
    /// The size of the body, at most [`MAX_BODY_BYTES`].
    pub bytes: usize,
}

/// Judges the body of an answer with a 2xx status.
///
/// # Errors
///
/// All violations, never none: those of the whole body first, then input by input.
pub fn check(body: &[u8]) -> Result<Summary, Vec<Violation>> {
    let mut found = Findings::default();
    if body.len() > MAX_BODY_BYTES {
        let message = format!("the body has {} bytes; Flux refuses more than {MAX_BODY_BYTES}", body.len());
        found.add("", Code::BodyTooLarge, message);
    }
    let inputs = match serde_json::from_slice(body) {
        Ok(Value::Object(top)) => found.judge_top(&top),
        Ok(other) => {
            let message = format!("the answer must be an object with `inputs`, but is {}", kind(&other));
            found.add("", Code::NotAnObject, message);
            0
        }
        Err(error) => {
            found.add("", Code::NotJson, format!("the body cannot be read as JSON: {error}"));
            0
        }
    };
    if found.0.is_empty() { Ok(Summary { inputs, bytes: body.len() }) } else { Err(found.0) }
}

/// The violations found so far.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, pointer: impl Into<String>, code: Code, message: impl Into<String>) {
        self.0.push(Violation { pointer: pointer.into(), code, message: message.into() });
    }

    /// Returns the number of inputs.
    fn judge_top(&mut self, top: &Map<String, Value>) -> usize {
        let mut inputs = None;
        // Go matches a struct's keys whatever their case, so Flux may take any of these for `inputs`.
        for (name, value) in top.iter().filter(|(name, _)| name.eq_ignore_ascii_case("inputs")) {
            if name != "inputs" {
                let message =
                    format!("Flux takes `{name}` for `inputs`, whatever the case; spell it `inputs`");
                self.add(format!("/{name}"), Code::InputsCase, message);
            }
            inputs = Some(self.judge_inputs(name, value));
        }
        inputs.unwrap_or_else(|| {
            self.add("", Code::InputsMissing, "the answer has no `inputs`; Flux refuses it");
            0
        })
    }

    /// Returns the number of inputs; `name` is the key as it was spelled.
    fn judge_inputs(&mut self, name: &str, value: &Value) -> usize {
        let Value::Array(inputs) = value else {
            let (code, message) = match value {
                Value::Null => {
                    (Code::InputsNull, "`inputs` is null, which Flux takes for missing".to_owned())
                }
                other => {
                    (Code::InputsNotAnArray, format!("`inputs` must be an array, but is {}", kind(other)))
                }
            };
            self.add(format!("/{name}"), code, message);
            return 0;
        };
        if inputs.len() > MAX_INPUTS {
            let message = format!(
                "there are {} inputs; Flux drops all after the first {MAX_INPUTS} and deletes what they made",
                inputs.len()
            );
            self.add(format!("/{name}"), Code::TooManyInputs, message);
        }
        let mut first_index = HashMap::with_capacity(inputs.len());
        for (index, input) in inputs.iter().enumerate() {
            self.judge_input(&format!("/{name}/{index}"), index, input, &mut first_index);
        }
        inputs.len()
    }

    /// `first_index` holds the ids seen so far, each with the index of the first input that has it.
    fn judge_input<'a>(
        &mut self,
        pointer: &str,
        index: usize,
        input: &'a Value,
        first_index: &mut HashMap<&'a str, usize>,
    ) {
        let Value::Object(input) = input else {
            let message = format!("an input must be an object, but this is {}", kind(input));
            return self.add(pointer, Code::InputNotAnObject, message);
        };
        match input.get("id") {
            None => {
                self.add(pointer, Code::IdMissing, "the input has no `id`; Flux refuses the whole answer")
            }
            Some(Value::String(id)) => {
                let first = *first_index.entry(id).or_insert(index);
                if first != index {
                    // Debug's escapes keep a hostile id on one line and out of the terminal's control.
                    let message = format!("the id {id:?} is already that of the input at index {first}");
                    self.add(format!("{pointer}/id"), Code::IdRepeated, message);
                }
            }
            Some(other) => {
                let message = format!("the `id` must be a string, but is {}", kind(other));
                self.add(format!("{pointer}/id"), Code::IdNotAString, message);
            }
        }
        if input.contains_key("provider") {
            let message = "Flux overwrites the key `provider` of every input; name it differently";
            self.add(format!("{pointer}/provider"), Code::ReservedKey, message);
        }
        // Deeper ones arrive. Of these two it is said above.
        let others = input.iter().filter(|(name, _)| !["id", "provider"].contains(&name.as_str()));
        for (name, _) in others.filter(|(_, value)| value.is_null()) {
            let message =
                "the value is null, at which Flux fails when it reads its inputs back; leave the key out";
            self.add(format!("{pointer}/{}", escaped(name)), Code::ValueNull, message);
        }
    }
}

/// A key as JSON pointers have it.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
