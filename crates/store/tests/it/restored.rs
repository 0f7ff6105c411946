//! The cases about a history that comes from elsewhere, which every backend passes: it is there whole and as it
//! was, in a store of its own, or not at all.

use std::time::Duration;

use flux_resourceset_model::change::{ChangeSet, Entry, EntryId, READER_VERSION};
use flux_resourceset_store::{
    Beginning, Changes, EntryDetail, Error, ErrorKind, LogQuery, MemoryStore, Past, Position, Record,
    Restored, Snapshot, Step, Store, Version,
};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::backend::{Backend, change_set, cluster, documents, position, write};

/// Everything that a store says about its history up to a revision.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    beginning: Beginning,
    entries: Vec<Entry>,
    details: Vec<Past<EntryDetail>>,
    records: Vec<Record>,
    states: Vec<Snapshot>,
    versions: Vec<Vec<Version>>,
    moments: Vec<Option<u64>>,
}

pub(crate) async fn told(store: &dyn Store, until: u64) -> Told {
    let beginning = store.beginning().await.unwrap();
    let begins = beginning.position;
    let Changes::Entries(mut entries) = store.changes_since(begins, usize::MAX).await.unwrap() else {
        panic!("the beginning diverged");
    };
    entries.retain(|entry| entry.revision <= until);
    let below = Some(until + 1);
    let query = LogQuery { below, limit: usize::MAX, ..LogQuery::default() };
    let mut told = Told {
        records: store.log(&query).await.unwrap(),
        beginning,
        details: Vec::new(),
        states: Vec::new(),
        versions: Vec::new(),
        moments: Vec::new(),
        entries,
    };
    let mut keys: Vec<_> = told.beginning.documents.keys().cloned().collect();
    for entry in &told.entries {
        keys.extend(entry.change_set.documents.iter().map(|document| document.key.clone()));
        told.details.push(store.entry(entry.revision, 0, usize::MAX).await.unwrap());
        told.moments.push(store.revision_at(entry.at - 1).await.unwrap());
    }
    told.moments.push(store.revision_at(told.beginning.at).await.unwrap());
    for revision in begins.revision..=until {
        // Whose it is differs, and nothing else.
        let state = store.load(Some(revision)).await.unwrap();
        told.states.push(Snapshot { store: flux_resourceset_store::StoreId(0), ..state });
    }
    keys.sort();
    keys.dedup();
    for key in keys {
        told.versions.push(store.versions(&key, below, usize::MAX).await.unwrap());
    }
    told
}

/// A history of six revisions, of which the first `forgotten` are.
async fn source(forgotten: usize) -> MemoryStore {
    let store = MemoryStore::new();
    let sets = [
        change_set(&[
            ("clusters", "a", Some("1")),
            ("clusters", "b", Some("1")),
            ("clusters", "c", Some("1")),
        ]),
        ChangeSet { reason: Some("why".into()), ..cluster("a", "2") },
        change_set(&[("clusters", "b", None)]),
        change_set(&[("namespaces", "é", Some("4")), ("clusters", "b", Some("4")), ("clusters", "c", None)]),
        change_set(&[]),
        cluster("a", "6"),
    ];
    let mut times = Vec::new();
    for set in sets {
        times.push(write(&store, vec![set]).await[0].at);
        sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(store.forget(times[forgotten]).await.unwrap(), forgotten as u64);
    store
}

/// The history of `store`, an entry at a time.
async fn steps(store: &dyn Store) -> Vec<Step> {
    let beginning = store.beginning().await.unwrap();
    let Changes::Entries(entries) = store.changes_since(beginning.position, usize::MAX).await.unwrap() else {
        panic!("the beginning diverged");
    };
    let entries = entries.into_iter().map(|entry| Step::Entries(vec![entry]));
    [Step::Begin(beginning)].into_iter().chain(entries).chain([Step::End(note())]).collect()
}

fn note() -> ChangeSet {
    ChangeSet { min_reader: 1, principal: "restore".into(), ..change_set(&[]) }
}

async fn restore(store: &dyn Store, steps: &[Step]) -> Result<Restored, Error> {
    let (send, receive) = mpsc::channel(1);
    let feed = async {
        for step in steps {
            if send.send(step.clone()).await.is_err() {
                break;
            }
        }
        drop(send);
    };
    tokio::join!(store.restore(receive), feed).0
}

pub(crate) async fn a_restored_history_is_as_it_was<B: Backend>(_: B) {
    for forgotten in [0, 1, 3, 4, 5] {
        let source = source(forgotten).await;
        let backend = B::new().await;
        let (before, _) = backend.open().await.head().await.unwrap();
        let restored = restore(&*backend.open().await, &steps(&source).await).await.unwrap();
        let store = backend.open().await;
        let (id, head) = store.head().await.unwrap();
        assert_eq!((restored, head.revision), (Restored::Done(id, head), 7));
        assert!(id != before && id != source.head().await.unwrap().0, "it is a store of its own");
        assert_eq!(told(&*store, 6).await, told(&source, 6).await, "{forgotten} forgotten");
        assert_eq!(documents(&*store, None).await, documents(&source, None).await);
        assert_eq!(
            store.log(&LogQuery { limit: 1, ..LogQuery::default() }).await.unwrap()[0].principal,
            "restore"
        );
        // It goes on, and goes on forgetting.
        let next = write(&*store, vec![cluster("b", "8"), cluster("d", "9")]).await;
        assert_eq!((next[0].revision, store.head().await.unwrap().1), (8, position(&next[1])));
        let (now, then) = (documents(&*store, None).await, documents(&*store, Some(7)).await);
        sleep(Duration::from_millis(2)).await;
        let last = write(&*store, vec![cluster("e", "10")]).await[0].at;
        store.forget(last).await.unwrap();
        assert_eq!(store.history_begins().await.unwrap(), 9);
        assert_eq!(documents(&*store, Some(9)).await, now);
        assert_ne!(now, then);
    }
}

pub(crate) async fn a_restore_that_is_broken_off_leaves_nothing(backend: impl Backend) {
    let source = source(2).await;
    let all = steps(&source).await;
    let store = backend.open().await;
    let (id, _) = store.head().await.unwrap();
    for count in [0, 1, 2, all.len() - 1] {
        assert_eq!(restore(&*store, &all[..count]).await.unwrap(), Restored::BrokenOff);
        assert_eq!(store.head().await.unwrap(), (id, Position::START));
    }
    // Whoever asked is gone, and the steps go on.
    let (send, receive) = mpsc::channel(all.len());
    for step in &all[..3] {
        send.send(step.clone()).await.unwrap();
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), store.restore(receive)).await.is_err());
    assert_eq!(send.send(all[3].clone()).await.err().map(|error| error.0), Some(all[3].clone()));
    let other = backend.open().await;
    assert_eq!(other.head().await.unwrap(), (id, Position::START));
    assert_eq!(other.load(None).await.unwrap().documents, []);
    assert_eq!((other.history_begins().await.unwrap(), documents(&*other, Some(0)).await.len()), (0, 0));
    let restored = restore(&*other, &all).await.unwrap();
    assert!(matches!(restored, Restored::Done(_, Position { revision: 7, .. })), "{restored:?}");
}

pub(crate) async fn nothing_is_restored_into_a_store_that_was_written_to(backend: impl Backend) {
    let all = steps(&source(0).await).await;
    let store = backend.open().await;
    let entry = write(&*store, vec![change_set(&[])]).await.remove(0);
    let before = store.load(None).await.unwrap();
    assert_eq!(restore(&*store, &all).await.unwrap(), Restored::NotEmpty(position(&entry)));
    assert_eq!(store.load(None).await.unwrap(), before);
    write(&*store, vec![cluster("a", "1")]).await;
}

pub(crate) async fn steps_that_do_not_follow_each_other_are_refused(backend: impl Backend) {
    let all = steps(&source(0).await).await;
    let Step::Entries(last) = all[6].clone() else { panic!() };
    let again = Step::Entries(vec![Entry { revision: 7, ..last[0].clone() }]);
    let earlier = Step::Entries(vec![Entry { at: 0, ..last[0].clone() }]);
    let raised = ChangeSet { min_reader: READER_VERSION + 1, ..note() };
    let newer = Step::Begin(Beginning { min_reader: READER_VERSION + 1, ..Beginning::default() });
    let nil = ChangeSet { entry: EntryId::NIL, ..note() };
    let refused: [(&[Step], &[Step], ErrorKind); 8] = [
        (&all[1..], &[], ErrorKind::Invalid),
        (&all[..1], &all[..1], ErrorKind::Invalid),
        (&all[..2], &all[3..], ErrorKind::Invalid),
        (&all[..7], &[again, Step::End(note())], ErrorKind::Invalid),
        (&all[..6], &[earlier], ErrorKind::Invalid),
        (&all[..7], &[Step::End(raised)], ErrorKind::TooNew),
        (&all[..7], &[Step::End(nil)], ErrorKind::Invalid),
        (&[], &[newer], ErrorKind::TooNew),
    ];
    let store = backend.open().await;
    let (id, _) = store.head().await.unwrap();
    for (first, then, kind) in refused {
        let error = restore(&*store, &[first, then].concat()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(store.head().await.unwrap(), (id, Position::START));
    }
}

pub(crate) async fn who_knew_the_empty_store_is_told_that_it_is_another(backend: impl Backend) {
    let known = backend.open().await;
    let (id, _) = known.head().await.unwrap();
    restore(&*backend.open().await, &steps(&source(0).await).await).await.unwrap();
    match known.head().await {
        Ok((now, _)) => assert_ne!(now, id),
        Err(error) => assert_eq!(error.kind, ErrorKind::Replaced, "{error}"),
    }
}
