//! Why somebody writes: the reason that the history keeps beside each change.

use http::{HeaderMap, HeaderName};

use crate::error::ApiError;

const REASON: HeaderName = HeaderName::from_static("x-change-reason");
const LONGEST: usize = 1024;

/// The reason in `X-Change-Reason`, in UTF-8; `None` where there is none.
pub(crate) fn of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(REASON).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).ok().filter(|_| values.next().is_none());
    let checked = text.ok_or("holds one text in UTF-8").and_then(check);
    checked.map_err(|rule| {
        ApiError::bad_request("malformed_header", format!("The header X-Change-Reason {rule}."))
    })
}

/// `text` as a reason, `None` where it is blank; else the rule that it breaks.
pub(crate) fn check(text: &str) -> Result<Option<String>, &'static str> {
    let text = text.trim();
    if text.chars().count() > LONGEST {
        return Err("holds at most 1024 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("holds no control characters");
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn given(value: &[u8]) -> Result<Option<String>, &'static str> {
        let value = HeaderValue::from_bytes(value).unwrap();
        of(&HeaderMap::from_iter([(REASON, value)])).map_err(|error| error.code)
    }

    #[test]
    fn a_reason_is_one_line_of_text() {
        assert_eq!(of(&HeaderMap::new()).unwrap(), None);
        assert_eq!(given("  Störung 12 ".as_bytes()), Ok(Some("Störung 12".into())));
        assert_eq!(given(b" "), Ok(None));
        assert_eq!(given(b"\xff"), Err("malformed_header"));
        assert_eq!(given("a\tb".as_bytes()), Err("malformed_header"));
        assert_eq!(given("x".repeat(1025).as_bytes()), Err("malformed_header"));
    }
}
