//! What no document may hold anywhere, because something between us and the cluster would not carry it
//! unchanged: the Flux Operator passes inputs through YAML and through 64-bit floats.

use std::fmt;

use serde_json::Value;

use crate::violation::Violation;

/// The longest key that YAML readers take, with room for its quotes; counted as Go writes it.
const MAX_KEY_BYTES: usize = 1000;

/// How deep objects and lists may stand in each other: below what JSON readers take, so that what is
/// stored can also be kept inside something else (a tombstone, a log entry) and read again.
const MAX_DEPTH: usize = 100;

/// Beyond this, a number is not exact as a 64-bit float.
const MAX_EXACT: u64 = 1 << 53;

/// Everything in `value` that would not arrive as written; `pointer` is where it stands.
pub(crate) fn check_text(value: &Value, pointer: &str, found: &mut Vec<Violation>) {
    check_below(value, &Place::Start(pointer), 0, found);
}

/// Where a value stands. Hardly ever is it said, so that it is written only then.
enum Place<'a> {
    Start(&'a str),
    Item(&'a Place<'a>, usize),
    Field(&'a Place<'a>, &'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Start(pointer) => f.write_str(pointer),
            Place::Item(list, at) => write!(f, "{list}/{at}"),
            Place::Field(object, key) => write!(f, "{object}/{}", key.replace('~', "~0").replace('/', "~1")),
        }
    }
}

/// How many bytes `json` has once Go has written it, as Flux does before it stores or renders it:
/// `<`, `>` and `&` are escaped there. `json` is JSON already.
pub fn length_in_go(json: &[u8]) -> usize {
    json.len() + 5 * json.iter().filter(|byte| matches!(byte, b'<' | b'>' | b'&')).count()
}

fn check_below(value: &Value, place: &Place<'_>, depth: usize, found: &mut Vec<Violation>) {
    if depth > MAX_DEPTH {
        let message = format!("stands more than {MAX_DEPTH} objects and lists deep");
        return found.push(Violation::new(place.to_string(), "too_deep", message));
    }
    match value {
        Value::String(text) => {
            if let Some(c) = text.chars().find(|c| !carried(*c)) {
                let message =
                    format!("holds the character U+{:04X}, which Flux does not carry", u32::from(c));
                found.push(Violation::new(place.to_string(), "character", message));
            }
        }
        Value::Number(number) => {
            let exact = number.is_f64()
                || number.as_u64().is_some_and(|n| n <= MAX_EXACT)
                || number.as_i64().is_some_and(|n| n.unsigned_abs() <= MAX_EXACT);
            if !exact {
                let message = format!(
                    "{number} would lose digits on its way through Flux, which counts in 64-bit floats"
                );
                found.push(Violation::new(place.to_string(), "number", message));
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                check_below(item, &Place::Item(place, at), depth + 1, found);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let below = Place::Field(place, key);
                if is_too_long(key) {
                    let message =
                        format!("a key has at most {MAX_KEY_BYTES} bytes, with what must be escaped");
                    found.push(Violation::new(place.to_string(), "key", message));
                } else if let Some(c) = key.chars().find(|c| !carried(*c)) {
                    let message = format!(
                        "a key holds the character U+{:04X}, which Flux does not carry",
                        u32::from(c)
                    );
                    found.push(Violation::new(below.to_string(), "character", message));
                }
                check_below(field, &below, depth + 1, found);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn is_too_long(key: &str) -> bool {
    let written = || length_in_go(Value::from(key).to_string().as_bytes());
    // Six bytes for each is the most that any writing of it takes.
    key.len() * 6 + 2 > MAX_KEY_BYTES && written() > MAX_KEY_BYTES
}

/// Whether YAML keeps `c` as it is. Line breaks other than the usual are read as spaces.
fn carried(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => false,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_nested_again_is_too_deep() {
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        let judged = |depth| {
            let mut found = Vec::new();
            check_text(&nested(depth), "", &mut found);
            found.len()
        };
        assert_eq!((judged(MAX_DEPTH), judged(MAX_DEPTH + 1)), (0, 1));
    }

    #[test]
    fn what_yaml_and_floats_do_not_carry_is_named_with_its_place() {
        let mut found = Vec::new();
        let value = json!({
            "ok": "\t\n\r é 日本 🦀 \\ \" << {{ ${", "nul": ["\u{0}"], "nel": "\u{85}", "k\u{7f}": 1, "n": 9_007_199_254_740_993_u64,
            "m": -9_007_199_254_740_992_i64, "f": 1e300, "l": {"x".repeat(1001): 1}, "go": {"<".repeat(200): 1}
        });
        check_text(&value, "/values", &mut found);
        found.sort();
        let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @"/values/go: a key has at most 1000 bytes, with what must be escaped (key)\n/values/k\u{7f}: a key holds the character U+007F, which Flux does not carry (character)\n/values/l: a key has at most 1000 bytes, with what must be escaped (key)\n/values/n: 9007199254740993 would lose digits on its way through Flux, which counts in 64-bit floats (number)\n/values/nel: holds the character U+0085, which Flux does not carry (character)\n/values/nul/0: holds the character U+0000, which Flux does not carry (character)");
    }
}
