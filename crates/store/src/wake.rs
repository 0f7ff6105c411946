//! Waking those who wait for a later head: what a handle has seen of it, from whatever it read or wrote.

use tokio::sync::watch;

/// Wakes who waits for a head that is now known to be at `revision`.
pub(crate) fn saw(head: &watch::Sender<u64>, revision: u64) {
    head.send_if_modified(|known| {
        let newer = revision > *known;
        *known = revision.max(*known);
        newer
    });
}
