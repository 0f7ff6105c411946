//! A fleet as a file: the documents of one revision of one store, with a checksum over all of it. Apart
//! from what is done with it; it holds what a store's own snapshot holds, and is read faster.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flux_resourceset_merge::Fleet;
use flux_resourceset_model::change::{EntryId, Key};
use flux_resourceset_store::{Position, Snapshot, StoreId, Stored};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 16] = b"flux-rs-snapshot";
/// Raised where the form changes: another release's is no snapshot to this one.
const VERSION: u32 = 1;
const BUFFER: usize = 1 << 20;

/// Why there is no snapshot to be had from a file.
#[derive(Debug)]
pub(crate) enum Unread {
    Io(io::Error),
    /// It is no such file, and so it is left alone.
    Foreign,
    /// It is one, and not as it was written; or another release wrote it.
    Damaged,
}

/// Writes the documents of `fleet`, whole or not at all: the file is another one or still the old one.
pub(crate) fn write(path: &Path, fleet: &Fleet, store: StoreId, position: Position) -> io::Result<()> {
    let unfinished = beside(path, ".tmp");
    let mut out =
        Hashing { inner: BufWriter::with_capacity(BUFFER, File::create(&unfinished)?), hash: Sha256::new() };
    write_documents(&mut out, fleet, store, position)?;
    let Hashing { mut inner, hash } = out;
    inner.write_all(&hash.finalize())?;
    inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&unfinished, path)?;
    sync_folder(path)
}

/// What [`write`] wrote. All of it is checked before anything is believed.
pub(crate) fn read(path: &Path) -> Result<Option<Snapshot>, Unread> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unread::Io(error)),
    };
    let metadata = file.metadata().map_err(Unread::Io)?;
    if !metadata.is_file() {
        return Err(Unread::Foreign);
    }
    read_from(BufReader::with_capacity(BUFFER, file), metadata.len()).map(Some)
}

/// `path` with `suffix` after its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    name.into()
}

/// Makes durable what a file in the folder of `path` is called.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

struct Hashing<T> {
    inner: T,
    hash: Sha256,
}

impl<T: Write> Hashing<T> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.inner.write_all(bytes)
    }

    fn put_number(&mut self, number: u64) -> io::Result<()> {
        self.put(&number.to_be_bytes())
    }

    fn put_sized(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put_number(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        self.put(bytes)
    }
}

fn write_documents(
    out: &mut Hashing<impl Write>,
    fleet: &Fleet,
    store: StoreId,
    position: Position,
) -> io::Result<()> {
    out.put(MAGIC)?;
    out.put(&VERSION.to_be_bytes())?;
    out.put(&store.0.to_be_bytes())?;
    out.put_number(position.revision)?;
    out.put(&position.entry.0.to_be_bytes())?;
    let plurals = || fleet.types().iter().map(|kind| kind.plural());
    out.put_number(plurals().map(|plural| fleet.len(plural) as u64).sum())?;
    for plural in plurals() {
        for (id, document) in fleet.list(plural) {
            out.put_sized(plural.as_bytes())?;
            out.put_sized(id.as_bytes())?;
            out.put_number(document.revision())?;
            out.put_sized(&document.body())?;
        }
    }
    Ok(())
}

/// Reads no further than the checksum, whatever lengths a damaged file claims.
struct Reading<T> {
    inner: T,
    hash: Sha256,
    left: u64,
}

impl<T: Read> Reading<T> {
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Unread> {
        let mut chunk = [0; N];
        self.left = self.left.checked_sub(N as u64).ok_or(Unread::Damaged)?;
        self.inner.read_exact(&mut chunk).map_err(unread)?;
        self.hash.update(chunk);
        Ok(chunk)
    }

    fn number(&mut self) -> Result<u64, Unread> {
        self.chunk().map(u64::from_be_bytes)
    }

    fn sized(&mut self) -> Result<Vec<u8>, Unread> {
        let length = self.number()?;
        self.left = self.left.checked_sub(length).ok_or(Unread::Damaged)?;
        // No longer than the file, which has been looked at.
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| Unread::Damaged)?];
        self.inner.read_exact(&mut bytes).map_err(unread)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, Unread> {
        String::from_utf8(self.sized()?).map_err(|_| Unread::Damaged)
    }
}

/// A file that is shorter than it was is damaged, too.
fn unread(error: io::Error) -> Unread {
    if error.kind() == io::ErrorKind::UnexpectedEof { Unread::Damaged } else { Unread::Io(error) }
}

/// Reads what is `length` bytes long.
fn read_from(inner: impl Read, length: u64) -> Result<Snapshot, Unread> {
    if length == 0 {
        return Err(Unread::Damaged);
    }
    // What is too short to be told apart is not taken for ours, and so never overwritten.
    let left = length.checked_sub(32).ok_or(Unread::Foreign)?;
    let mut from = Reading { inner, hash: Sha256::new(), left };
    if from.chunk()? != *MAGIC {
        return Err(Unread::Foreign);
    }
    if from.chunk()? != VERSION.to_be_bytes() {
        return Err(Unread::Damaged);
    }
    let snapshot = read_documents(&mut from)?;
    let Reading { mut inner, hash, left } = from;
    let mut checksum = [0; 32];
    inner.read_exact(&mut checksum).map_err(unread)?;
    if left > 0 || hash.finalize()[..] != checksum {
        return Err(Unread::Damaged);
    }
    Ok(snapshot)
}

fn read_documents(from: &mut Reading<impl Read>) -> Result<Snapshot, Unread> {
    let store = StoreId(u128::from_be_bytes(from.chunk()?));
    let revision = from.number()?;
    let position = Position { revision, entry: EntryId(u128::from_be_bytes(from.chunk()?)) };
    let mut documents = Vec::new();
    for _ in 0..from.number()? {
        let key = Key { kind: from.text()?, id: from.text()? };
        documents.push(Stored { key, revision: from.number()?, body: from.sized()? });
    }
    Ok(Snapshot { store, position, documents })
}

#[cfg(test)]
mod tests {
    use flux_resourceset_model::Rules;
    use flux_resourceset_model::change::DocumentChange;

    use super::*;

    fn fleet() -> Fleet {
        let change = |kind: &str, id: &str, body: &str| DocumentChange {
            key: Key::new(kind, id),
            body: Some(body.into()),
        };
        let documents = [
            change("namespaces", "n1", r#"{"id":"n1","labels":{"a":"ü"}}"#),
            change("namespaces", "n2", r#"{"id":"n2"}"#),
            change(
                "clusters",
                "c1",
                r#"{"id":"c1","cluster_name":"c1","cluster_dns":"c1.example.com","environment":"dev"}"#,
            ),
        ];
        Fleet::empty(Rules::default()).apply(7, &documents).unwrap()
    }

    const STORE: StoreId = StoreId(u128::MAX / 3);
    const POSITION: Position = Position { revision: 7, entry: EntryId(5) };

    fn written() -> Vec<u8> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("snapshot");
        write(&path, &fleet(), STORE, POSITION).unwrap();
        fs::read(path).unwrap()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Snapshot, Unread> {
        read_from(bytes, bytes.len() as u64)
    }

    #[test]
    fn what_was_written_is_read() {
        let snapshot = read_bytes(&written()).unwrap();
        assert_eq!((snapshot.store, snapshot.position), (STORE, POSITION));
        let keys: Vec<_> = snapshot.documents.iter().map(|one| (one.key.to_string(), one.revision)).collect();
        assert_eq!(keys.len(), 3);
        for key in ["clusters/c1", "namespaces/n1", "namespaces/n2"] {
            assert!(keys.contains(&(key.into(), 7)), "{keys:?}");
        }
        let documents = snapshot.documents.into_iter().map(|one| (one.key, one.revision, one.body));
        let read = Fleet::load(Rules::default(), 7, documents).unwrap();
        let answer = |fleet: &Fleet| {
            let mut out = Vec::new();
            fleet.answer("c1.example.com", "namespaces", &mut out).map(|()| out)
        };
        assert_eq!(answer(&read), answer(&fleet()));
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let whole = written();
        for at in 0..whole.len() {
            for flip in [1, 0x80] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                assert!(read_bytes(&damaged).is_err(), "{at}");
            }
            assert!(read_bytes(&whole[..at]).is_err(), "cut at {at}");
        }
        assert!(matches!(read_bytes(&[whole, vec![0]].concat()), Err(Unread::Damaged)));
    }

    #[test]
    fn another_program_s_file_is_told_apart() {
        for text in ["eggs, milk", &"SQLite format 3\0".repeat(9)] {
            assert!(matches!(read_bytes(text.as_bytes()), Err(Unread::Foreign)), "{text}");
        }
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_one() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("snapshot");
        write(&path, &fleet(), STORE, POSITION).unwrap();
        fs::create_dir(beside(&path, ".tmp")).unwrap();
        assert!(write(&path, &fleet(), STORE, Position { revision: 8, ..POSITION }).is_err());
        assert_eq!(read(&path).unwrap().unwrap().position, POSITION);
    }
}
