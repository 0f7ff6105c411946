//! The id under which a request is found in the log: the client's own where it is one, else a new one.

use http::{HeaderMap, HeaderName};
use uuid::Uuid;

pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 128;

/// A client's id is taken where it is short and can do no harm in a log line or a header.
pub(crate) fn of(headers: &HeaderMap) -> String {
    let sent = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let fit =
        |id: &&str| !id.is_empty() && id.len() <= LONGEST && id.bytes().all(|byte| byte.is_ascii_graphic());
    sent.filter(fit).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn taken_or_made() {
        let of = |text: &str| of(&HeaderMap::from_iter([(HEADER, HeaderValue::from_str(text).unwrap())]));
        assert_eq!(of("abc-1"), "abc-1");
        for text in ["", "a b", "a\tb", &"x".repeat(129)] {
            assert_eq!(of(text).len(), 36, "{text}");
        }
    }
}
