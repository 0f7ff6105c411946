//! How far the store's head was seen, as a file of a few bytes: written before anybody is answered from
//! there, so that a store which went back in time is recognized after a restart, too.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flux_resourceset_model::change::EntryId;
use flux_resourceset_store::{Position, StoreId};
use sha2::{Digest, Sha256};

/// What such a file is known by, whichever release wrote it.
const NAME: &[u8; 12] = b"flux-rs-seen";
/// The name and the version of the form.
const MAGIC: &[u8; 16] = b"flux-rs-seen\0\0\0\x01";
/// Magic, store, revision, entry, checksum. It lies in one sector, which a disk writes whole or not at all:
/// so it is overwritten where it is, which takes one flush and no change of the folder.
const LENGTH: usize = 16 + 16 + 8 + 16 + 32;

/// A place in the log of one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) store: StoreId,
    pub(crate) position: Position,
}

/// Why it is not known what was seen.
#[derive(Debug)]
pub(crate) enum Unread {
    /// Another process has it open.
    InUse,
    Io(io::Error),
    /// It is no such file, and so it is left alone.
    Foreign,
    /// It is one, and not as it was written; or another release wrote it.
    Damaged,
}

/// The file, which belongs to this process for as long as it is open.
#[derive(Debug)]
pub(crate) struct SeenFile(File);

impl SeenFile {
    /// Opens the file, or makes it; and what it says, which is nothing for one that was just made.
    pub(crate) fn open(path: &Path) -> Result<(Self, Result<Option<Seen>, Unread>), Unread> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.map_err(Unread::Io)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Unread::InUse,
            TryLockError::Error(error) => Unread::Io(error),
        })?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(LENGTH).unwrap_or(u64::MAX) + 1;
        file.by_ref().take(limit).read_to_end(&mut bytes).map_err(Unread::Io)?;
        match decode(&bytes) {
            Err(Unread::Foreign) => Err(Unread::Foreign),
            seen => Ok((SeenFile(file), seen)),
        }
    }

    /// Says what was seen; durable when it returns.
    pub(crate) fn write(&self, seen: Seen) -> io::Result<()> {
        self.0.write_all_at(&encode(seen), 0)?;
        self.0.sync_data()
    }

    /// Cuts off what a damaged file may hold beyond.
    pub(crate) fn rewrite(&self, seen: Seen) -> io::Result<()> {
        self.0.set_len(0)?;
        self.write(seen)
    }
}

fn encode(seen: Seen) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(seen.store.0.to_be_bytes());
    bytes.extend(seen.position.revision.to_be_bytes());
    bytes.extend(seen.position.entry.0.to_be_bytes());
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Option<Seen>, Unread> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if !bytes.starts_with(NAME) && !NAME.starts_with(bytes) {
        return Err(Unread::Foreign);
    }
    if !bytes.starts_with(MAGIC) {
        return Err(Unread::Damaged);
    }
    read(bytes).map(Some).ok_or(Unread::Damaged)
}

fn read(bytes: &[u8]) -> Option<Seen> {
    let (said, checksum) = bytes.split_at_checked(LENGTH - 32)?;
    if Sha256::digest(said)[..] != *checksum {
        return None;
    }
    let (store, rest) = said.get(MAGIC.len()..)?.split_first_chunk()?;
    let (revision, entry) = rest.split_first_chunk()?;
    let (revision, entry) =
        (u64::from_be_bytes(*revision), EntryId(u128::from_be_bytes(entry.try_into().ok()?)));
    Some(Seen { store: StoreId(u128::from_be_bytes(*store)), position: Position { revision, entry } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(revision: u64) -> Seen {
        Seen { store: StoreId(u128::MAX - 7), position: Position { revision, entry: EntryId(99) } }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("seen");
        let (file, before) = SeenFile::open(&path).unwrap();
        assert_eq!(before.unwrap(), None);
        assert!(matches!(SeenFile::open(&path), Err(Unread::InUse)));
        for revision in [1, u64::MAX, 2] {
            file.write(seen(revision)).unwrap();
        }
        drop(file);
        assert_eq!(SeenFile::open(&path).unwrap().1.unwrap(), Some(seen(2)));
    }

    #[test]
    fn damage_is_never_read_as_something_else() {
        let whole = encode(seen(7));
        assert_eq!(whole.len(), LENGTH);
        assert_eq!(decode(&whole).unwrap(), Some(seen(7)));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                assert!(decode(&damaged).is_err(), "{at}");
            }
            // A file that was cut to nothing looks like a new one.
            assert_eq!(decode(&whole[..at]).is_err(), at > 0, "{at}");
        }
        let newer = [&b"flux-rs-seen\0\0\0\x02"[..], &whole[16..]].concat();
        for not_ours_to_read in [newer, [whole, vec![0]].concat()] {
            assert!(matches!(decode(&not_ours_to_read), Err(Unread::Damaged)));
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, "eggs, milk").unwrap();
        assert!(matches!(SeenFile::open(&path), Err(Unread::Foreign)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "eggs, milk");
    }
}
