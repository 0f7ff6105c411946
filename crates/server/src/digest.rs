//! A short digest, where all that matters is whether two texts are the same: in entity tags and in the log.

use twox_hash::XxHash3_64;

/// XXH3 of 64 bits, in hexadecimal. Every poll makes one; nobody gains from two texts that have the same.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(bytes))
}
