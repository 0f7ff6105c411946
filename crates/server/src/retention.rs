//! HISTORY_DAYS: what is older leaves the log, at the start and every hour. The present, and every state
//! within those days, is made of what stays.

use std::time::{Duration, SystemTime};

use tokio::time::{sleep, timeout};

use crate::catch::catch;
use crate::follow;
use crate::view::View;

const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// It works in steps: one that takes longer than this goes on the next time.
const LONGEST: Duration = Duration::from_secs(10 * 60);
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Forgets what is older than `days`, for as long as it is let run.
pub(crate) async fn keep(view: &View, days: u32) -> ! {
    let mut trouble = None;
    loop {
        match forget(view, days).await {
            Ok(0) => trouble = None,
            Ok(entries) => {
                tracing::info!(entries, days, "what is older than HISTORY_DAYS left the history");
                trouble = None;
            }
            Err(reason) => note(&mut trouble, reason),
        }
        sleep(INTERVAL).await;
    }
}

async fn forget(view: &View, days: u32) -> Result<u64, String> {
    // Of a store that nobody has confirmed nothing is dropped, either.
    let Some(store) = view.now().writable().ok().map(|head| head.store.clone()) else { return Ok(0) };
    let forgetting = timeout(LONGEST, store.forget(before(SystemTime::now(), days)));
    match catch(forgetting).await? {
        Ok(forgotten) => forgotten.map_err(|error| follow::describe(&error)),
        Err(_) => Err("it took too long, and goes on later".into()),
    }
}

/// The time `days` before `now`, in milliseconds since 1970 UTC.
fn before(now: SystemTime, days: u32) -> i64 {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(now).unwrap_or_default().saturating_sub_unsigned(u64::from(days) * DAY)
}

/// Logs why nothing was forgotten, once for each new reason.
fn note(known: &mut Option<String>, reason: String) {
    if known.as_ref() != Some(&reason) {
        tracing::warn!("what is older than HISTORY_DAYS stays in the history for now: {reason}");
        *known = Some(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_back() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(3 * 24 * 60 * 60);
        assert_eq!(before(now, 2), 24 * 60 * 60 * 1000);
        assert_eq!(before(now, 36_500), -36_497 * 24 * 60 * 60 * 1000);
    }
}
