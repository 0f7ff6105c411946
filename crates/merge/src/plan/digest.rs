//! The digest of what a plan does: unambiguous, and of nothing else.

use std::fmt::Write;

use sha2::{Digest as _, Sha256};

/// Takes one change after the other, ordered by cluster, type and input.
#[derive(Default)]
pub(crate) struct Digest {
    hash: Sha256,
    /// One change, so that the hash is given much at once.
    change: Vec<u8>,
}

impl Digest {
    /// Each part with its length, so that no two lists of changes are one text.
    pub(crate) fn add(&mut self, names: [&str; 3], before: Option<&[u8]>, after: Option<&[u8]>) {
        self.change.clear();
        for name in names {
            self.part(name.as_bytes());
        }
        for bytes in [before, after] {
            self.change.push(u8::from(bytes.is_some()));
            self.part(bytes.unwrap_or_default());
        }
        self.hash.update(&self.change);
    }

    fn part(&mut self, bytes: &[u8]) {
        self.change.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.change.extend_from_slice(bytes);
    }

    pub(crate) fn finish(self) -> String {
        self.hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            // Into a string, that cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_lists_of_changes_are_one_text() {
        type Change<'a> = ([&'a str; 3], Option<&'a [u8]>, Option<&'a [u8]>);
        let digest = |changes: &[Change<'_>]| {
            let mut digest = Digest::default();
            changes.iter().for_each(|(names, before, after)| digest.add(*names, *before, *after));
            digest.finish()
        };
        let lists: [&[Change<'_>]; 7] = [
            &[],
            &[(["a", "b", "c"], None, Some(b"xy"))],
            &[(["ab", "", "c"], None, Some(b"xy"))],
            &[(["a", "b", "c"], Some(b"x"), Some(b"y"))],
            &[(["a", "b", "c"], Some(b"xy"), None)],
            &[(["a", "b", "c"], Some(b""), Some(b"xy"))],
            &[(["a", "b", "c"], None, Some(b"xy")), (["a", "b", "c"], None, Some(b"xy"))],
        ];
        let digests: std::collections::BTreeSet<_> = lists.iter().map(|list| digest(list)).collect();
        assert_eq!(digests.len(), lists.len());
        assert!(digests.iter().all(|digest| digest.len() == 64));
    }
}
