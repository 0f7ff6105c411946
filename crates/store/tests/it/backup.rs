//! Backups of random histories, from each backend into each other: what comes of it, and that nothing comes
//! of one that is damaged.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_model::change::{ChangeSet, DocumentChange, EntryId, Key};
use flux_resourceset_store::backup::{self, BackupError, Header, Reader};
use flux_resourceset_store::{MemoryStore, Position, Store};
use proptest::prelude::*;
use proptest::sample::select;
use tokio::runtime::Runtime;

use crate::backend::{Backend, Memory, Postgres, Sqlite, change_set, cluster, write};
use crate::restored::told;

async fn backed_up(store: &dyn Store) -> (Vec<u8>, Header) {
    let mut bytes = Vec::new();
    let header = backup::write(store, &mut bytes, &mut |_| {}).await.unwrap();
    (bytes, header)
}

fn note() -> ChangeSet {
    ChangeSet { min_reader: 1, ..change_set(&[]) }
}

async fn restored(store: &dyn Store, bytes: Vec<u8>) -> Result<Position, BackupError> {
    let backup = Reader::open(Cursor::new(bytes))?;
    backup::restore(store, backup, note(), |_| {}).await.map(|(_, head)| head)
}

/// What a backup says of the history, and not whose it is.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    lines[1..lines.len() - 2].to_vec()
}

/// One revision, and how many of the oldest are forgotten after it.
type Act = (Vec<(&'static str, &'static str, Option<&'static [u8]>)>, Option<&'static str>, usize);

fn act() -> impl Strategy<Value = Act> {
    let body = select(vec![
        None,
        Some(&b"{}"[..]),
        Some(b"{\"a\":\"x\\n\\\"\"}"),
        Some("\u{2028}\u{1f600}\n\r\0".as_bytes()),
        Some(b"\xff\xfe\n\"\\"),
        Some(b""),
    ]);
    let document = (select(vec!["clusters", "namespaces", "a\nb"]), select(vec!["a", "b", "\"c\""]), body);
    let reason = select(vec![None, Some("why\n\"so\""), Some("")]);
    (prop::collection::vec(document, 0..4), reason, select(vec![0, 0, 0, 1, 3]))
}

async fn perform(store: &dyn Store, acts: &[Act]) {
    let mut times = Vec::new();
    for (changes, reason, forgotten) in acts {
        let mut set = ChangeSet { reason: reason.map(str::to_owned), ..change_set(&[]) };
        for (kind, id, body) in changes {
            let key = Key::new(*kind, *id);
            if set.documents.iter().all(|document| document.key != key) {
                set.documents.push(DocumentChange { key, body: body.map(<[u8]>::to_vec) });
            }
        }
        times.push(write(store, vec![set]).await[0].at);
        tokio::time::sleep(Duration::from_millis(1)).await;
        if *forgotten > 0 {
            let index = times.len().saturating_sub(*forgotten);
            store.forget(times[index]).await.unwrap();
        }
    }
}

/// A backup of a store of `B` becomes the same in a store of `C`.
async fn goes_over<B: Backend, C: Backend>(acts: &[Act]) {
    let (from, to) = (B::new().await, C::new().await);
    let store = from.open().await;
    perform(&*store, acts).await;
    let (bytes, header) = backed_up(&*store).await;
    assert_eq!(Reader::open(&bytes[..]).unwrap().check().unwrap(), header);
    let head = restored(&*to.open().await, bytes.clone()).await.unwrap();
    let other = to.open().await;
    assert_eq!(head.revision, header.head().revision + 1);
    assert_eq!(told(&*other, header.head().revision).await, told(&*store, header.head().revision).await);
    let (again, new) = backed_up(&*other).await;
    assert_ne!(new.store(), header.store());
    let (one, two) = (lines(&bytes), lines(&again));
    assert_eq!(one, two[..two.len() - 1], "what it was restored from is one more entry");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_backup_is_the_same_in_every_backend(acts in prop::collection::vec(act(), 0..10)) {
        Runtime::new().unwrap().block_on(async {
            goes_over::<Memory, Sqlite>(&acts).await;
            goes_over::<Sqlite, Memory>(&acts).await;
            goes_over::<Sqlite, Sqlite>(&acts).await;
            if Postgres::is_there() {
                goes_over::<Sqlite, Postgres>(&acts).await;
                goes_over::<Postgres, Sqlite>(&acts).await;
            }
        });
    }
}

/// Changes so small and so placed that each of them is met.
#[tokio::test]
async fn a_backup_that_is_damaged_anywhere_is_refused() {
    let store = MemoryStore::new();
    let changed = change_set(&[("clusters", "a", Some("{\"a\":1}")), ("clusters", "b", None)]);
    write(&store, vec![changed, cluster("c", "2")]).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let at = write(&store, vec![cluster("a", "3")]).await[0].at;
    store.forget(at).await.unwrap();
    let (bytes, _) = backed_up(&store).await;
    let check = |bytes: &[u8]| Reader::open(bytes).and_then(Reader::check);
    check(&bytes).unwrap();
    for at in 0..bytes.len() {
        let error = check(&bytes[..at]).unwrap_err();
        assert!(matches!(error, BackupError::Damaged(..)), "{error}");
        for bit in [0x01, 0x20, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= bit;
            assert!(matches!(check(&damaged), Err(BackupError::Damaged(..))), "byte {at} of {}", bytes.len());
        }
    }
    for more in ["\n", "x", "{\"end\":{}}\n"] {
        assert!(check(&[&bytes, more.as_bytes()].concat()).is_err());
    }
    let empty = MemoryStore::new();
    for damaged in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], &[&bytes[..], b"\n"].concat()] {
        restored(&empty, damaged.to_vec()).await.unwrap_err();
        assert_eq!(empty.head().await.unwrap().1, Position::START);
    }
    restored(&empty, bytes).await.unwrap();
}

#[tokio::test]
async fn what_is_no_backup_is_told_by_its_line() {
    let newer = "{\"backup\":{\"format\":2,\"what\":\"ever\"}}\n";
    let cases = [
        ("", "line 1: this is no backup"),
        ("SQLite format 3\0", "line 1: this is no backup"),
        ("{\"backup\":{}}\n", "line 1: this is no backup"),
        ("{\"backup\":{\"format\":1}}\n", "line 1: it is not as it was written, at column 22"),
        (newer, "line 1: a newer release wrote this backup, in format 2; this one reads up to format 1"),
    ];
    for (text, expected) in cases {
        let Err(error) = Reader::open(text.as_bytes()) else { panic!("{text}") };
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

/// A backup is of the head that it began with, whatever is written and forgotten meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_writes_is_of_one_revision() {
    let backend = Sqlite::new().await;
    let store = backend.open().await;
    for number in 0..40 {
        write(&*store, vec![cluster("a", &number.to_string())]).await;
    }
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 0.. {
                write(&*store, vec![cluster("b", &number.to_string()), cluster("c", "x")]).await;
            }
        })
    };
    let other = backend.open().await;
    for _ in 0..5 {
        let (bytes, header) = backed_up(&*other).await;
        let copy = MemoryStore::new();
        restored(&copy, bytes).await.unwrap();
        let revision = header.head().revision;
        assert_eq!(
            copy.load(Some(revision)).await.unwrap().documents,
            store.load(Some(revision)).await.unwrap().documents
        );
        assert_eq!(told(&copy, revision).await, told(&*store, revision).await);
    }
    writer.abort();
    let _ = writer.await;
}

/// An entry id is given once, whatever a backup says.
#[tokio::test]
async fn two_restores_of_one_backup_are_two_stores() {
    let store = MemoryStore::new();
    write(&store, vec![ChangeSet { entry: EntryId(7), ..cluster("a", "1") }]).await;
    let (bytes, _) = backed_up(&store).await;
    let (one, two) = (MemoryStore::new(), MemoryStore::new());
    let heads = (restored(&one, bytes.clone()).await.unwrap(), restored(&two, bytes).await.unwrap());
    assert_ne!(heads.0.entry, heads.1.entry);
    assert_ne!(one.head().await.unwrap().0, two.head().await.unwrap().0);
}
