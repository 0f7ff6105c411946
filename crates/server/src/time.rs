//! Times as the API writes and reads them: RFC 3339.

use jiff::Timestamp;

/// `milliseconds` since 1970 UTC, to the millisecond.
pub(crate) fn rfc3339(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// Milliseconds since 1970 UTC by this machine's clock: for what is told, and never for what is decided.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Milliseconds since 1970 UTC; `None` where `text` is no time with its zone.
pub(crate) fn milliseconds(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(rfc3339(1_763_655_000_123), "2025-11-20T16:10:00.123Z");
        assert_eq!(milliseconds("2025-11-20T16:10:00.123Z"), Some(1_763_655_000_123));
        assert_eq!(milliseconds("2025-11-20T17:10:00+01:00"), Some(1_763_655_000_000));
        for wrong in ["", "now", "2025-11-20", "2025-11-20T16:10:00"] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }
}
