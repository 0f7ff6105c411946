//! Waiting for what a controller will do: asks again and again, and in the end says what it saw last.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

const PAUSE: Duration = Duration::from_millis(250);

/// Calls `look` until it succeeds. Its error is no failure but what it sees meanwhile, told if `limit` passes.
pub(crate) fn wait_until<T>(
    what: impl Display,
    limit: Duration,
    mut look: impl FnMut() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(seen) if start.elapsed() > limit => {
                return Err(anyhow!("waited {} s until {what}; seen last: {seen:#}", limit.as_secs()));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn it_returns_what_was_found_in_the_end() {
        let mut calls = 0;
        let found = wait_until("three", Duration::from_secs(5), || {
            calls += 1;
            if calls < 3 { bail!("only {calls}") } else { Ok(calls) }
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn it_says_what_it_waited_for_and_what_it_saw() {
        let error =
            wait_until("pigs fly", Duration::ZERO, || -> Result<()> { bail!("they walk") }).unwrap_err();
        assert_eq!(error.to_string(), "waited 0 s until pigs fly; seen last: they walk");
    }
}
