//! The cases that need a store to outlive its handles.

use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_model::change::{ChangeSet, EntryId, READER_VERSION};
use flux_resourceset_store::{Changes, ErrorKind, Position};
use tokio::time::timeout;

use crate::backend::{Backend, change_set, cluster, position, write};
use crate::cases::drop_commit;

pub(crate) async fn everything_is_there_again(backend: impl Backend) {
    let store = backend.open().await;
    let list = vec![
        change_set(&[("clusters", "a", Some("1")), ("clusters", "b", Some("1"))]),
        change_set(&[("clusters", "a", None), ("namespaces", "n", Some("2"))]),
    ];
    let entries = write(&*store, list).await;
    let before = (store.load(None).await.unwrap(), store.load(Some(1)).await.unwrap());
    drop(store);

    let store = backend.open().await;
    assert_eq!((store.load(None).await.unwrap(), store.load(Some(1)).await.unwrap()), before);
    let changes = store.changes_since(Position::START, 10).await.unwrap();
    assert_eq!(changes, Changes::Entries(entries.clone()));
    let next = write(&*store, vec![cluster("c", "3")]).await.remove(0);
    assert_eq!(next.revision, 3);
    assert!(next.at >= entries[1].at);
}

pub(crate) async fn a_dropped_commit_is_whole_or_absent_afterwards(backend: impl Backend) {
    for polls in (0..3).cycle().take(9) {
        let store = backend.open().await;
        let (_, head) = store.head().await.unwrap();
        let dropped = vec![cluster("a", "dropped"), cluster("b", "dropped")];
        let ids: Vec<EntryId> = dropped.iter().map(|change_set| change_set.entry).collect();
        let returned = drop_commit(&*store, head, dropped, polls).await;
        drop(store);

        let store = backend.open().await;
        let Changes::Entries(since) = store.changes_since(head, 10).await.unwrap() else { panic!() };
        let there: Vec<EntryId> = since.iter().map(|entry| entry.change_set.entry).collect();
        assert!(there == ids || (there.is_empty() && !returned), "{there:?} of {ids:?}");
        assert_eq!(store.head().await.unwrap().1, since.last().map_or(head, position));
    }
}

pub(crate) async fn a_raised_minimum_is_remembered(backend: impl Backend) {
    let newer = backend.open_for(READER_VERSION + 1).await.unwrap();
    write(&*newer, vec![ChangeSet { min_reader: READER_VERSION + 1, ..cluster("a", "1") }]).await;
    drop(newer);
    let error = backend.open_for(READER_VERSION).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooNew);
    backend.open_for(READER_VERSION + 1).await.unwrap();
}

/// Two handles share nothing but the store, as two processes do.
pub(crate) async fn one_process_wakes_another(backend: impl Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let waiting = tokio::spawn({
        let two = Arc::clone(&two);
        async move { two.wait(0).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waiting.is_finished());
    write(&*one, vec![cluster("a", "1")]).await;
    timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
}

pub(crate) async fn what_was_forgotten_stays_forgotten(backend: impl Backend) {
    let store = backend.open().await;
    let entries = write(&*store, vec![cluster("a", "1"), cluster("a", "2"), cluster("b", "3")]).await;
    let before = (store.load(None).await.unwrap(), store.load(Some(2)).await.unwrap());
    assert_eq!(store.forget(i64::MAX).await.unwrap(), 2);
    drop(store);

    let store = backend.open().await;
    assert_eq!(store.history_begins().await.unwrap(), 2);
    assert_eq!((store.load(None).await.unwrap(), store.load(Some(2)).await.unwrap()), before);
    assert_eq!(store.changes_since(Position::START, 9).await.unwrap(), Changes::Forgotten(2));
    let changes = store.changes_since(position(&entries[1]), 9).await.unwrap();
    assert_eq!(changes, Changes::Entries(entries[2..].to_vec()));
}
