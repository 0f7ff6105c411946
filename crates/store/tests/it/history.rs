//! The cases about the past that every backend passes: records and details, versions, times, and
//! forgetting.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, EntryId, Key};
use flux_resourceset_store::{
    Changes, EntryDetail, ErrorKind, LogQuery, Past, Position, Record, Revised, Snapshot, Store, Stored,
    Version,
};

use crate::backend::{Backend, change_set, cluster, documents, write, write_among_others};

fn everything() -> LogQuery {
    LogQuery { limit: usize::MAX, ..LogQuery::default() }
}

fn key(id: &str) -> Key {
    Key::new("clusters", id)
}

#[track_caller]
fn known<T: std::fmt::Debug>(past: Past<T>) -> T {
    let Past::Known(known) = past else { panic!("{past:?}") };
    known
}

/// What a record of `entry` has to be.
fn record(entry: &Entry) -> Record {
    let set = &entry.change_set;
    let keys: BTreeSet<&Key> = set.documents.iter().map(|document| &document.key).collect();
    let mut operations = set.operations.clone();
    operations.truncate(20);
    operations.iter_mut().for_each(|operation| operation.body = None);
    Record {
        revision: entry.revision,
        entry: set.entry,
        at: entry.at,
        principal: set.principal.clone(),
        reason: set.reason.clone(),
        request_id: set.request_id.clone(),
        operations,
        operation_count: set.operations.len(),
        document_count: keys.len(),
        documents: keys.into_iter().take(20).cloned().collect(),
    }
}

pub(crate) async fn a_record_shows_the_first_of_many(backend: impl Backend) {
    let store = backend.open().await;
    let ids: Vec<String> = (0..45).rev().map(|number| format!("c-{number:02}")).collect();
    let many: Vec<_> = ids.iter().map(|id| ("clusters", id.as_str(), Some("x"))).collect();
    let reasoned = ChangeSet { reason: Some("why".into()), ..change_set(&many) };
    let sets = vec![change_set(&[]), reasoned, change_set(&many[..20]), change_set(&many[..21])];
    let entries = write(&*store, sets).await;
    let expected: Vec<Record> = entries.iter().rev().map(record).collect();
    assert_eq!(expected[2].documents.len(), Record::SHOWN);
    assert_eq!((expected[2].operation_count, expected[2].document_count), (45, 45));
    assert_eq!(store.log(&everything()).await.unwrap(), expected);
    for (entry, expected) in entries.iter().rev().zip(expected) {
        let detail = known(store.entry(entry.revision, 0, 0).await.unwrap());
        assert_eq!(detail.record, expected);
        assert_eq!(detail.operations, entry.change_set.operations);
        assert_eq!(detail.documents, []);
    }
}

pub(crate) async fn an_entry_shows_what_was_before_and_after(backend: impl Backend) {
    let store = backend.open().await;
    let steps: [&[(&str, &str, Option<&str>)]; 4] = [
        &[("clusters", "b", Some("1")), ("clusters", "a", Some("1"))],
        &[("clusters", "b", None), ("clusters", "c", Some("2"))],
        &[
            ("namespaces", "a", Some("3")),
            ("clusters", "c", None),
            ("clusters", "b", Some("3")),
            ("clusters", "a", Some("3")),
            ("clusters", "never-was", None),
        ],
        &[("clusters", "a", Some("4"))],
    ];
    for step in steps {
        write(&*store, vec![change_set(step)]).await;
    }
    let bytes = |body: Option<&str>| body.map(|body| body.as_bytes().to_vec());
    let revised = |kind: &str, id: &str, before, after| Revised {
        key: Key::new(kind, id),
        before: bytes(before),
        after: bytes(after),
    };
    let expected = [
        revised("clusters", "a", Some("1"), Some("3")),
        revised("clusters", "b", None, Some("3")),
        revised("clusters", "c", Some("2"), None),
        revised("clusters", "never-was", None, None),
        revised("namespaces", "a", None, Some("3")),
    ];
    for (offset, limit) in [(0, usize::MAX), (0, 2), (2, 2), (4, 2), (5, 1), (usize::MAX, 1)] {
        let page = known(store.entry(3, offset, limit).await.unwrap());
        assert_eq!(page.record.document_count, 5);
        let page_expected: Vec<_> = expected.iter().skip(offset).take(limit).cloned().collect();
        assert_eq!(page.documents, page_expected, "{offset} {limit}");
    }
    assert_eq!(store.entry(0, 0, 1).await.unwrap(), Past::Forgotten(0));
    assert_eq!(store.entry(5, 0, 1).await.unwrap(), Past::Ahead(4));
    assert_eq!(store.entry(u64::MAX, 0, 1).await.unwrap(), Past::Ahead(4));
}

pub(crate) async fn a_document_is_read_as_of_a_revision(backend: impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.read_at(&key("a"), 0).await.unwrap(), Past::Known(None));
    assert_eq!(store.read_at(&key("a"), 1).await.unwrap(), Past::Ahead(0));
    let sets = vec![
        cluster("b", "1"),
        cluster("a", "2"),
        cluster("b", "3"),
        change_set(&[("clusters", "a", None), ("namespaces", "a", Some("4"))]),
        cluster("a", "5"),
    ];
    write(&*store, sets).await;
    for (revision, expected) in (0..).zip([None, None, Some(2), Some(2), None, Some(5)]) {
        let body = |revision: u64| revision.to_string().into_bytes();
        let stored = expected.map(|revision| Stored { key: key("a"), revision, body: body(revision) });
        assert_eq!(store.read_at(&key("a"), revision).await.unwrap(), Past::Known(stored), "{revision}");
    }
    for ahead in [6, u64::MAX] {
        assert_eq!(store.read_at(&key("a"), ahead).await.unwrap(), Past::Ahead(5));
        assert_eq!(store.read_at(&key("never-was"), ahead).await.unwrap(), Past::Ahead(5));
    }
}

pub(crate) async fn versions_are_paged_newest_first(backend: impl Backend) {
    let store = backend.open().await;
    let by = |principal: &str, set| ChangeSet { principal: principal.into(), ..set };
    let sets = vec![
        by("ann", cluster("a", "1")),
        by("bob", cluster("b", "2")),
        ChangeSet { reason: Some("why".into()), ..by("bob", change_set(&[("clusters", "a", None)])) },
        by("cleo", change_set(&[("namespaces", "a", Some("4"))])),
        by("ann", cluster("a", "5")),
    ];
    let entries = write(&*store, sets).await;
    let version = |revision: u64, body: Option<&str>| {
        let Entry { at, change_set, .. } = &entries[usize::try_from(revision).unwrap() - 1];
        let ChangeSet { principal, reason, .. } = change_set.clone();
        Version { revision, at: *at, principal, reason, body: body.map(|body| body.as_bytes().to_vec()) }
    };
    let all = [version(5, Some("5")), version(3, None), version(1, Some("1"))];
    let ask = async |below, limit| store.versions(&key("a"), below, limit).await.unwrap();
    assert_eq!(ask(None, usize::MAX).await, all);
    assert_eq!(ask(None, 2).await, all[..2]);
    assert_eq!(ask(Some(3), 2).await, all[2..]);
    assert_eq!(ask(Some(u64::MAX), 1).await, all[..1]);
    assert_eq!(ask(Some(1), 9).await, []);
    assert_eq!(ask(Some(0), 9).await, []);
    assert_eq!(ask(None, 0).await, []);
    assert_eq!(store.versions(&key("never-was"), None, 9).await.unwrap(), []);
}

/// Entries of several times, some of which share one.
async fn write_over_time(store: &dyn Store, sets: impl IntoIterator<Item = ChangeSet>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (number, set) in sets.into_iter().enumerate() {
        if number % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        entries.extend(write(store, vec![set]).await);
    }
    entries
}

fn last_at(entries: &[Entry], at: i64) -> u64 {
    entries.iter().take_while(|entry| entry.at <= at).last().map_or(0, |entry| entry.revision)
}

pub(crate) async fn a_time_finds_its_revision(backend: impl Backend) {
    let store = backend.open().await;
    for at in [i64::MIN, 0, i64::MAX] {
        assert_eq!(store.revision_at(at).await.unwrap(), Some(0));
    }
    let entries = write_over_time(&*store, (0..10).map(|number| cluster("a", &number.to_string()))).await;
    assert!(entries[0].at < entries[9].at);
    let times = entries.iter().flat_map(|entry| [entry.at - 1, entry.at, entry.at + 1]);
    for at in times.chain([i64::MIN, 0, i64::MAX]) {
        assert_eq!(store.revision_at(at).await.unwrap(), Some(last_at(&entries, at)), "{at}");
    }
}

/// Always the same sequence of numbers below `bound`.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Documents that come, change, go and come back.
fn eventful(seed: u64, count: usize) -> Vec<ChangeSet> {
    let mut numbers = Numbers(seed);
    let kinds = ["clusters", "namespaces"];
    (0..count)
        .map(|number| {
            let touched: BTreeSet<(u64, u64)> =
                (0..numbers.below(5)).map(|_| (numbers.below(2), numbers.below(6))).collect();
            let document = |(kind, id)| DocumentChange {
                key: Key::new(kinds[usize::try_from(kind).unwrap()], format!("d-{id}")),
                body: (numbers.below(3) > 0).then(|| format!("{number}").into_bytes()),
            };
            let documents = touched.into_iter().map(document).collect();
            let principal = ["ann", "bob"][number % 2].to_owned();
            ChangeSet { documents, principal, ..change_set(&[]) }
        })
        .collect()
}

/// All that a store ever said about its past, while nothing was forgotten.
struct Witness {
    entries: Vec<Entry>,
    /// By revision, from 0 on.
    snapshots: Vec<Snapshot>,
    details: Vec<EntryDetail>,
    versions: Vec<(Key, Vec<Version>)>,
}

impl Witness {
    async fn of(store: &dyn Store, entries: Vec<Entry>) -> Self {
        let (mut snapshots, mut details, mut versions) = (Vec::new(), Vec::new(), Vec::new());
        snapshots.push(store.load(Some(0)).await.unwrap());
        for Entry { revision, .. } in &entries {
            snapshots.push(store.load(Some(*revision)).await.unwrap());
            details.push(known(store.entry(*revision, 0, usize::MAX).await.unwrap()));
        }
        let documents = entries.iter().flat_map(|entry| &entry.change_set.documents);
        for key in documents.map(|document| document.key.clone()).collect::<BTreeSet<_>>() {
            versions.push((key.clone(), store.versions(&key, None, usize::MAX).await.unwrap()));
        }
        Witness { entries, snapshots, details, versions }
    }

    fn position(&self, revision: u64) -> Position {
        self.snapshots[usize::try_from(revision).unwrap()].position
    }

    /// The store says of everything from `begins` on what it always said, and of what was before that it
    /// was forgotten.
    async fn assert_same_from(&self, store: &dyn Store, begins: u64) {
        let head = self.position(self.entries.last().unwrap().revision);
        assert_eq!(store.head().await.unwrap().1, head);
        assert_eq!(store.history_begins().await.unwrap(), begins);
        for (revision, snapshot) in (0..).zip(&self.snapshots) {
            let loaded = store.load(Some(revision)).await;
            if revision < begins {
                assert_eq!(loaded.unwrap_err().kind, ErrorKind::NotFound);
            } else {
                assert_eq!(&loaded.unwrap(), snapshot);
            }
        }
        for detail in &self.details {
            let expected = match detail.record.revision <= begins {
                true => Past::Forgotten(begins),
                false => Past::Known(detail.clone()),
            };
            assert_eq!(store.entry(detail.record.revision, 0, usize::MAX).await.unwrap(), expected);
        }
        for (key, versions) in &self.versions {
            self.assert_same_document(store, begins, key, versions).await;
        }
        self.assert_same_log(store, begins).await;
        self.assert_same_changes(store, begins, head).await;
        for at in self.entries.iter().flat_map(|entry| [entry.at - 1, entry.at]).chain([i64::MIN, i64::MAX]) {
            let expected = Some(last_at(&self.entries, at)).filter(|revision| *revision >= begins);
            assert_eq!(store.revision_at(at).await.unwrap(), expected, "{at}");
        }
    }

    async fn assert_same_document(&self, store: &dyn Store, begins: u64, key: &Key, versions: &[Version]) {
        let later = versions.iter().filter(|version| version.revision > begins);
        let there = versions.iter().find(|version| version.revision <= begins);
        let there = there.filter(|version| version.body.is_some());
        let expected: Vec<Version> = later.chain(there).cloned().collect();
        assert_eq!(store.versions(key, None, usize::MAX).await.unwrap(), expected, "{key} from {begins}");
        for (revision, snapshot) in (0..).zip(&self.snapshots) {
            let then = snapshot.documents.iter().find(|stored| stored.key == *key).cloned();
            let expected = if revision < begins { Past::Forgotten(begins) } else { Past::Known(then) };
            assert_eq!(store.read_at(key, revision).await.unwrap(), expected, "{key} at {revision}");
        }
    }

    async fn assert_same_log(&self, store: &dyn Store, begins: u64) {
        let last = self.entries.last().unwrap().at;
        let keys = vec![Key::new("clusters", "d-1"), Key::new("namespaces", "d-2")];
        let queries = [
            everything(),
            LogQuery { kind: Some("clusters".into()), ..everything() },
            LogQuery { id: Some("d-1".into()), ..everything() },
            LogQuery { keys: keys.clone(), ..everything() },
            LogQuery { principal: Some("ann".into()), ..everything() },
            LogQuery { principal: Some("ann".into()), kind: Some("clusters".into()), ..everything() },
            LogQuery { from: Some(0), until: Some(last), ..everything() },
        ];
        for query in queries {
            let asked = |entry: &&Entry| {
                let any = |matches: &dyn Fn(&Key) -> bool| {
                    entry.change_set.documents.iter().any(|document| matches(&document.key))
                };
                entry.revision > begins
                    && query.kind.as_ref().is_none_or(|kind| any(&|key| key.kind == *kind))
                    && query.id.as_ref().is_none_or(|id| any(&|key| key.id == *id))
                    && (query.keys.is_empty() || any(&|key| query.keys.contains(key)))
                    && query.principal.as_ref().is_none_or(|it| *it == entry.change_set.principal)
                    && query.until.is_none_or(|until| entry.at < until)
            };
            let expected: Vec<Record> = self.entries.iter().rev().filter(asked).map(record).collect();
            assert_eq!(store.log(&query).await.unwrap(), expected, "{query:?}");
        }
    }

    async fn assert_same_changes(&self, store: &dyn Store, begins: u64, head: Position) {
        for (revision, snapshot) in (0..).zip(&self.snapshots) {
            let later = self.entries.iter().filter(|entry| entry.revision > revision).cloned();
            let expected = match revision < begins {
                true => Changes::Forgotten(begins),
                false => Changes::Entries(later.collect()),
            };
            assert_eq!(store.changes_since(snapshot.position, usize::MAX).await.unwrap(), expected);
        }
        let other = Position { revision: begins, entry: EntryId(7) };
        assert_eq!(store.changes_since(other, 9).await.unwrap(), Changes::Diverged(head));
    }
}

pub(crate) async fn forgetting_leaves_every_later_state_as_it_was(backend: impl Backend) {
    let (store, other) = (backend.open().await, backend.open().await);
    let entries = write_over_time(&*store, eventful(20, 40)).await;
    let witness = Witness::of(&*store, entries.clone()).await;
    witness.assert_same_from(&*store, 0).await;
    let head = entries.last().unwrap().revision;
    let mut begins = 0;
    let times: BTreeSet<i64> = entries.iter().map(|entry| entry.at).collect();
    for at in times.into_iter().step_by(2).chain([i64::MAX]) {
        let expected = last_at(&entries, at - 1).min(head - 1);
        assert_eq!(store.forget(at).await.unwrap(), expected - begins);
        begins = expected;
        witness.assert_same_from(&*other, begins).await;
        // Nor does time go back for what was forgotten.
        assert_eq!(store.forget(at).await.unwrap(), 0);
        assert_eq!(store.forget(i64::MIN).await.unwrap(), 0);
        assert_eq!(store.history_begins().await.unwrap(), begins);
    }
    assert_eq!(begins, head - 1);
}

pub(crate) async fn forgetting_at_once_leaves_the_state_as_it_was(backend: impl Backend) {
    let store = backend.open().await;
    for seed in 0..4 {
        let written = write_over_time(&*store, eventful(seed, 15)).await;
        let loaded = store.load(None).await.unwrap();
        let before = store.load(Some(loaded.position.revision - 1)).await.unwrap();
        assert!(store.forget(i64::MAX).await.unwrap() >= 14);
        assert_eq!(store.load(None).await.unwrap(), loaded);
        assert_eq!(store.load(Some(loaded.position.revision - 1)).await.unwrap(), before);
        assert_eq!(store.log(&everything()).await.unwrap(), [record(written.last().unwrap())]);
    }
}

pub(crate) async fn the_heads_entry_is_never_forgotten(backend: impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.forget(i64::MAX).await.unwrap(), 0);
    let first = write(&*store, vec![cluster("a", "1")]).await.remove(0);
    assert_eq!(store.forget(i64::MAX).await.unwrap(), 0);
    assert_eq!(store.history_begins().await.unwrap(), 0);
    assert_eq!(store.changes_since(Position::START, 9).await.unwrap(), Changes::Entries(vec![first]));
}

pub(crate) async fn a_document_is_told_as_created_only_where_it_was(backend: impl Backend) {
    let store = backend.open().await;
    let sets = vec![
        cluster("old", "1"),
        cluster("back", "2"),
        change_set(&[("clusters", "back", None)]),
        change_set(&[]),
        cluster("back", "5"),
        cluster("old", "6"),
    ];
    // All of one commit, and still no time between them is needed: the head's entry alone stays.
    write(&*store, sets).await;
    let revisions = async |id: &str| {
        let versions = store.versions(&key(id), None, 9).await.unwrap();
        versions.into_iter().map(|version| version.revision).collect::<Vec<_>>()
    };
    assert_eq!(revisions("back").await, [5, 3, 2]);
    assert_eq!(store.forget(i64::MAX).await.unwrap(), 5);
    assert_eq!(revisions("back").await, [5]);
    assert_eq!(revisions("old").await, [6, 1]);
    let detail = known(store.entry(6, 0, 9).await.unwrap());
    assert_eq!(detail.documents[0].before, Some(b"1".to_vec()));

    write(&*store, vec![change_set(&[("clusters", "back", None), ("clusters", "old", None)])]).await;
    write(&*store, vec![cluster("back", "8")]).await;
    assert_eq!(store.forget(i64::MAX).await.unwrap(), 2);
    assert_eq!(revisions("back").await, [8]);
    assert_eq!(revisions("old").await, [0; 0]);
    assert_eq!(known(store.entry(8, 0, 9).await.unwrap()).documents[0].before, None);
    assert_eq!(documents(&*store, None).await, ["clusters/back=8@8"]);
}

pub(crate) async fn writers_and_followers_go_on_while_it_is_forgotten(backend: impl Backend) {
    const ENTRIES: usize = 3500;
    let (store, other) = (backend.open().await, backend.open().await);
    let names: Vec<String> = (0..50).map(|number| format!("c-{number}")).collect();
    let sets = (0..ENTRIES).map(|number| cluster(&names[number % 50], &number.to_string()));
    write(&*store, sets.collect()).await;
    let (_, head) = other.head().await.unwrap();
    let loaded = other.load(None).await.unwrap();

    let forgetting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.forget(i64::MAX).await.unwrap() }
    });
    let mut written = Vec::new();
    while !forgetting.is_finished() || written.is_empty() {
        written.push(write_among_others(&*other, cluster("during", "x")).await);
        if let Ok(then) = other.load(Some(head.revision)).await {
            assert_eq!(then, loaded);
        }
    }
    assert!(forgetting.await.unwrap() >= 3499);
    let begins = store.history_begins().await.unwrap();
    let kept: Vec<Entry> = written.into_iter().filter(|entry| entry.revision > begins).collect();
    assert!(begins >= 3499 && !kept.is_empty());
    let found = store.log(&LogQuery { limit: kept.len(), ..LogQuery::default() }).await.unwrap();
    assert_eq!(found, kept.iter().rev().map(record).collect::<Vec<_>>());
    assert_eq!(store.load(None).await.unwrap().documents.len(), 51);
}
