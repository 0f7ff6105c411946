//! A time in the past as a person types it: RFC 3339, or how long ago.

use jiff::{SignedDuration, Timestamp};

/// Reads a time, for clap, and gives it back as RFC 3339.
pub(crate) fn read(typed: &str) -> Result<String, String> {
    read_at(typed, Timestamp::now())
}

fn read_at(typed: &str, now: Timestamp) -> Result<String, String> {
    let moment = match ago(typed) {
        // Nobody means the nanoseconds of now.
        Some(ago) => Timestamp::from_second(now.as_second())
            .and_then(|now| now.checked_sub(ago))
            .map_err(|_| format!("{typed} ago is before all times"))?,
        None => typed
            .parse()
            .map_err(|_| "write it like 2026-05-01T12:00:00Z, or how long ago: 90m, 2h, 3d, 1w".to_owned())?,
    };
    Ok(moment.to_string())
}

/// A number and a unit. A day is 24 hours: nobody knows here in which time zone somebody meant it.
fn ago(typed: &str) -> Option<SignedDuration> {
    let unit = typed.chars().last()?;
    let number: i64 = typed.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(SignedDuration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, expected: Option<&str>) {
        let now = "2026-05-10T12:00:00Z".parse().unwrap();
        assert_eq!(read_at(typed, now).ok().as_deref(), expected, "{typed}");
    }

    #[test]
    fn a_time_or_how_long_ago() {
        check("90m", Some("2026-05-10T10:30:00Z"));
        check("2h", Some("2026-05-10T10:00:00Z"));
        check("3d", Some("2026-05-07T12:00:00Z"));
        check("1w", Some("2026-05-03T12:00:00Z"));
        check("2026-05-01T14:00:00+02:00", Some("2026-05-01T12:00:00Z"));
        for nonsense in ["", "h", "-2h", "2y", "yesterday", "2026-05-01", "99999999999999999d", "2é"] {
            check(nonsense, None);
        }
    }
}
