//! Until when an override is meant to stand. Nothing changes by itself because of it.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The moment from which an override counts as expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry {
    /// Milliseconds since 1970-01-01 UTC.
    pub at: i64,
}

impl Expiry {
    /// Reads a time (RFC 3339) or a date, which stands for its last moment in UTC; `None` where `text` is
    /// neither.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Some(Expiry { at: moment.as_millisecond() });
        }
        let date: Date = text.parse().ok()?;
        // A date with a time beside it, but no zone, is read as a date alone otherwise.
        let alone = text.len() == "2027-01-31".len();
        let next = date.checked_add(1.day()).ok().filter(|_| alone)?;
        Some(Expiry { at: next.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_lasts_to_its_end() {
        let at = |text| Expiry::parse(text).map(|expiry| expiry.at);
        assert_eq!(at("2027-01-31"), at("2027-02-01T00:00:00Z"));
        assert_eq!(at("1970-01-01T01:00:00+01:00"), Some(0));
        for wrong in [
            "",
            "soon",
            "2027-02-30",
            "2027-01-31T18:00",
            "20270131",
            "31.01.2027",
            "2027-1-31",
            "9999-12-31",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
