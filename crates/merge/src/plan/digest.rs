//! The digest of what a plan does: unambiguous, and of nothing else.

use std::fmt::Write;

use sha2::{Digest as _, Sha256};

/// Takes one change after the other, ordered by cluster, type and input.
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn new() -> Self {
        Digest(Sha256::new())
    }

    /// Each part with its length, so that no two lists of changes are one text.
    pub(crate) fn add(&mut self, names: [&str; 3], before: Option<&[u8]>, after: Option<&[u8]>) {
        for name in names {
            self.part(name.as_bytes());
        }
        for bytes in [before, after] {
            self.0.update([u8::from(bytes.is_some())]);
            self.part(bytes.unwrap_or_default());
        }
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            // Into a string, that cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
