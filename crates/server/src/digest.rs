//! A short digest, where all that matters is whether two texts are the same: in entity tags and in the log.

use sha2::{Digest, Sha256};

/// The first 8 bytes of SHA-256, in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
