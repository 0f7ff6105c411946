//! The cases that every backend passes.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use flux_resourceset_model::change::{
    ChangeSet, DocumentChange, Entry, EntryId, Key, Operation, READER_VERSION, Verb,
};
use flux_resourceset_store::{Changes, Committed, ErrorKind, LogQuery, Past, Position, Store};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backend::{Backend, change_set, cluster, documents, done, position, write, write_among_others};

/// Long enough for any machine: a test that waits this long has failed.
const FOREVER: Duration = Duration::from_secs(60);

fn everything() -> LogQuery {
    LogQuery { limit: usize::MAX, ..LogQuery::default() }
}

async fn all_entries(store: &dyn Store) -> Vec<Entry> {
    let Changes::Entries(entries) = store.changes_since(Position::START, usize::MAX).await.unwrap() else {
        panic!("the start diverged");
    };
    entries
}

/// The revisions go up by one, and the entries add up to what the store loads.
async fn assert_sound(store: &dyn Store) {
    let entries = all_entries(store).await;
    let mut sum = BTreeMap::new();
    for (revision, entry) in (1..).zip(&entries) {
        assert_eq!(entry.revision, revision);
        for DocumentChange { key, body } in &entry.change_set.documents {
            match body {
                Some(body) => sum.insert(key.clone(), (revision, body.clone())),
                None => sum.remove(key),
            };
        }
    }
    let snapshot = store.load(None).await.unwrap();
    assert_eq!(snapshot.position, entries.last().map_or(Position::START, position));
    let loaded: Vec<_> = snapshot.documents.into_iter().map(|it| (it.key, (it.revision, it.body))).collect();
    assert_eq!(loaded, Vec::from_iter(sum));
}

pub(crate) async fn an_empty_store_is_at_the_start(backend: impl Backend) {
    let store = backend.open().await;
    let (id, head) = store.head().await.unwrap();
    assert_eq!(head, Position::START);
    for at in [None, Some(0)] {
        let snapshot = store.load(at).await.unwrap();
        assert_eq!((snapshot.store, snapshot.position), (id, Position::START));
        assert_eq!(snapshot.documents, []);
    }
    assert_eq!(store.changes_since(Position::START, 10).await.unwrap(), Changes::Entries(vec![]));
    assert_eq!(store.log(&everything()).await.unwrap(), []);
}

pub(crate) async fn two_stores_have_two_identities<B: Backend>(backend: B) {
    let other = B::new().await;
    let (one, _) = backend.open().await.head().await.unwrap();
    assert_eq!(one, backend.open().await.head().await.unwrap().0);
    assert_ne!(one, other.open().await.head().await.unwrap().0);
}

pub(crate) async fn what_is_committed_is_loaded(backend: impl Backend) {
    let store = backend.open().await;
    let asked = ChangeSet {
        reason: Some("why".into()),
        ..change_set(&[
            ("namespaces", "b", Some("1")),
            ("clusters", "z", Some("2")),
            ("clusters", "a", Some("3")),
        ])
    };
    let entries = done(store.commit(Position::START, vec![asked.clone()]).await.unwrap());
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].revision, &entries[0].change_set), (1, &asked));
    assert_eq!(documents(&*store, None).await, ["clusters/a=3@1", "clusters/z=2@1", "namespaces/b=1@1"]);
    assert_eq!(store.head().await.unwrap().1, position(&entries[0]));
    assert_eq!(all_entries(&*store).await, entries);

    write(&*store, vec![change_set(&[("clusters", "a", Some("4")), ("clusters", "z", None)])]).await;
    assert_eq!(documents(&*store, None).await, ["clusters/a=4@2", "namespaces/b=1@1"]);
    assert_eq!(documents(&*backend.open().await, None).await, documents(&*store, None).await);
    assert_sound(&*store).await;
}

pub(crate) async fn an_empty_commit_changes_nothing(backend: impl Backend) {
    let store = backend.open().await;
    write(&*store, vec![cluster("a", "1")]).await;
    assert_eq!(store.commit(Position::START, vec![]).await.unwrap(), Committed::Done(vec![]));
    assert_eq!(store.head().await.unwrap().1.revision, 1);
}

pub(crate) async fn change_sets_of_one_commit_follow_each_other(backend: impl Backend) {
    let store = backend.open().await;
    write(&*store, vec![cluster("a", "0")]).await;
    let list = vec![cluster("a", "1"), change_set(&[]), cluster("b", "2"), cluster("a", "3")];
    let entries = write(&*store, list.clone()).await;
    assert_eq!(entries.iter().map(|entry| entry.revision).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!(entries.into_iter().map(|entry| entry.change_set).collect::<Vec<_>>(), list);
    assert_eq!(documents(&*store, None).await, ["clusters/a=3@5", "clusters/b=2@4"]);
    assert_eq!(documents(&*store, Some(4)).await, ["clusters/a=1@2", "clusters/b=2@4"]);
    assert_sound(&*store).await;
}

pub(crate) async fn a_refused_commit_leaves_nothing(backend: impl Backend) {
    let store = backend.open().await;
    let known = write(&*store, vec![cluster("a", "1")]).await.remove(0).change_set.entry;
    let repeated = cluster("b", "2");
    let refused = [
        vec![cluster("b", "2"), ChangeSet { entry: known, ..cluster("c", "3") }],
        vec![cluster("b", "2"), ChangeSet { entry: EntryId::NIL, ..cluster("c", "3") }],
        vec![cluster("b", "2"), change_set(&[("clusters", "c", Some("3")), ("clusters", "c", None)])],
        vec![repeated.clone(), repeated],
    ];
    for list in refused {
        let (_, head) = store.head().await.unwrap();
        let error = store.commit(head, list).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        assert_eq!(store.head().await.unwrap().1, head);
        assert_eq!(documents(&*store, None).await, ["clusters/a=1@1"]);
    }
    write(&*store, vec![cluster("d", "4")]).await;
    assert_eq!(documents(&*store, None).await, ["clusters/a=1@1", "clusters/d=4@2"]);
    assert_sound(&*store).await;
}

pub(crate) async fn a_stale_position_conflicts(backend: impl Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let first = write(&*one, vec![cluster("a", "1")]).await.remove(0);
    let late = two.commit(Position::START, vec![cluster("a", "2"), cluster("b", "2")]).await.unwrap();
    assert_eq!(late, Committed::Conflict(position(&first)));
    let ahead = Position { revision: 7, entry: first.change_set.entry };
    let early = two.commit(ahead, vec![cluster("a", "2")]).await.unwrap();
    assert_eq!(early, Committed::Conflict(position(&first)));
    assert_eq!(documents(&*one, None).await, ["clusters/a=1@1"]);
    assert_sound(&*two).await;
}

pub(crate) async fn another_entry_at_the_same_revision_conflicts(backend: impl Backend) {
    let store = backend.open().await;
    let first = write(&*store, vec![cluster("a", "1")]).await.remove(0);
    let other = Position { revision: 1, entry: EntryId(first.change_set.entry.0 ^ 1) };
    let committed = store.commit(other, vec![cluster("a", "2")]).await.unwrap();
    assert_eq!(committed, Committed::Conflict(position(&first)));
    assert_eq!(documents(&*store, None).await, ["clusters/a=1@1"]);
}

pub(crate) async fn of_many_writers_one_is_done_per_position(backend: impl Backend) {
    let handles = [backend.open().await, backend.open().await];
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = Arc::clone(&handles[writer % 2]);
        writers.spawn(async move {
            let mut won = Vec::new();
            for _ in 0..12 {
                let (_, head) = store.head().await.unwrap();
                let list = vec![cluster("shared", "x"), cluster(&format!("of-{writer}"), "x")];
                if let Committed::Done(entries) = store.commit(head, list).await.unwrap() {
                    assert_eq!(entries[0].revision, head.revision + 1);
                    won.extend(entries);
                }
            }
            won
        });
    }
    let mut won = writers.join_all().await.concat();
    won.sort_by_key(|entry| entry.revision);
    assert!(!won.is_empty());
    for store in &handles {
        assert_eq!(all_entries(&**store).await, won);
        assert_sound(&**store).await;
    }
}

/// Polls a commit `polls` times and drops it. True where it returned before that.
pub(crate) async fn drop_commit(
    store: &dyn Store,
    head: Position,
    list: Vec<ChangeSet>,
    polls: usize,
) -> bool {
    let mut commit = pin!(store.commit(head, list));
    for _ in 0..polls {
        let polled = std::future::poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await;
        if polled.is_ready() {
            return true;
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    false
}

pub(crate) async fn a_dropped_commit_is_whole_or_absent(backend: impl Backend) {
    let (store, other) = (backend.open().await, backend.open().await);
    for polls in (0..4).cycle().take(24) {
        let (_, head) = store.head().await.unwrap();
        let dropped = vec![cluster("a", "dropped"), cluster("b", "dropped")];
        let ids: Vec<EntryId> = dropped.iter().map(|change_set| change_set.entry).collect();
        let returned = drop_commit(&*store, head, dropped, polls).await;
        let next = write_among_others(&*store, cluster("next", "x")).await;
        let entries = all_entries(&*other).await;
        let there = entries.iter().filter(|entry| ids.contains(&entry.change_set.entry)).count();
        assert!(there == 2 || (there == 0 && !returned), "{there} of 2 are there after {polls} polls");
        assert!(polls > 0 || there == 0, "a commit that was never begun is there");
        assert_eq!(entries.iter().filter(|it| it.change_set.entry == next.change_set.entry).count(), 1);
        assert_sound(&*store).await;
    }
}

pub(crate) async fn changes_come_without_gap_or_repeat_under_writers(backend: impl Backend) {
    const ENTRIES: u64 = 60;
    let handles = [backend.open().await, backend.open().await];
    let mut tasks = JoinSet::new();
    for writer in 0..4 {
        let store = Arc::clone(&handles[writer % 2]);
        tasks.spawn(async move {
            for number in 0..ENTRIES / 4 {
                write_among_others(&*store, cluster(&format!("of-{writer}"), &number.to_string())).await;
            }
        });
    }
    for limit in [1, 2, 7] {
        let store = Arc::clone(&handles[limit % 2]);
        tasks.spawn(async move {
            let mut seen = Position::START;
            while seen.revision < ENTRIES {
                let Changes::Entries(entries) = store.changes_since(seen, limit).await.unwrap() else {
                    panic!("diverged at {seen:?}");
                };
                assert!(entries.len() <= limit);
                for entry in &entries {
                    assert_eq!(entry.revision, seen.revision + 1);
                    assert_eq!(entry.change_set.documents.len(), 1);
                    seen = position(entry);
                }
            }
        });
    }
    timeout(FOREVER, tasks.join_all()).await.unwrap();
    assert_sound(&*handles[0]).await;
}

pub(crate) async fn changes_are_whole_entries_in_order(backend: impl Backend) {
    let store = backend.open().await;
    let list = vec![
        change_set(&[
            ("clusters", "b", Some("1")),
            ("clusters", "a", Some("2")),
            ("namespaces", "c", Some("")),
        ]),
        change_set(&[("namespaces", "c", None), ("clusters", "b", Some("3"))]),
        cluster("d", "4"),
    ];
    let entries = write(&*store, list).await;
    let changes = |seen, limit| store.changes_since(seen, limit);
    assert_eq!(changes(Position::START, 2).await.unwrap(), Changes::Entries(entries[..2].to_vec()));
    assert_eq!(changes(position(&entries[1]), 2).await.unwrap(), Changes::Entries(entries[2..].to_vec()));
    assert_eq!(changes(position(&entries[2]), 2).await.unwrap(), Changes::Entries(vec![]));
    assert_eq!(changes(Position::START, 0).await.unwrap(), Changes::Entries(vec![]));
}

pub(crate) async fn a_history_not_seen_here_is_diverged(backend: impl Backend) {
    let store = backend.open().await;
    let known = write(&*store, vec![cluster("a", "1"), cluster("a", "2")]).await;
    let head = position(&known[1]);
    let other = EntryId(1);
    for seen in [
        Position { revision: 3, entry: other },
        Position { revision: u64::MAX, entry: other },
        Position { revision: 2, entry: other },
        Position { revision: 1, entry: other },
        Position { revision: 1, entry: known[1].change_set.entry },
        Position { revision: 0, entry: other },
    ] {
        assert_eq!(store.changes_since(seen, 10).await.unwrap(), Changes::Diverged(head), "{seen:?}");
    }
    assert_eq!(store.changes_since(Position::START, 10).await.unwrap(), Changes::Entries(known));
}

pub(crate) async fn a_past_revision_loads_as_it_was(backend: impl Backend) {
    let store = backend.open().await;
    let steps: [&[(&str, &str, Option<&str>)]; 6] = [
        &[("clusters", "a", Some("1")), ("clusters", "b", Some("1"))],
        &[("clusters", "a", None)],
        &[("clusters", "a", Some("3")), ("namespaces", "n", Some("3"))],
        &[("clusters", "b", None), ("clusters", "a", Some("4"))],
        &[("clusters", "never-was", None)],
        &[("clusters", "b", Some("6"))],
    ];
    let mut snapshots = vec![store.load(None).await.unwrap()];
    for step in steps {
        write(&*store, vec![change_set(step)]).await;
        snapshots.push(store.load(None).await.unwrap());
    }
    for (at, snapshot) in (0..).zip(snapshots) {
        assert_eq!(snapshot.position.revision, at);
        assert_eq!(store.load(Some(at)).await.unwrap(), snapshot);
    }
    assert_eq!(documents(&*store, Some(2)).await, ["clusters/b=1@1"]);
}

pub(crate) async fn a_revision_that_is_not_in_the_log_is_not_found(backend: impl Backend) {
    let store = backend.open().await;
    write(&*store, vec![cluster("a", "1")]).await;
    for at in [2, u64::MAX] {
        assert_eq!(store.load(Some(at)).await.unwrap_err().kind, ErrorKind::NotFound);
    }
}

pub(crate) async fn a_reader_during_a_write_sees_all_or_nothing(backend: impl Backend) {
    const DOCUMENTS: usize = 300;
    let (writer, reader) = (backend.open().await, backend.open().await);
    let names: Vec<String> = (0..DOCUMENTS).map(|number| format!("c-{number:03}")).collect();
    let over = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let mut last = 0;
            while !over.load(Ordering::Relaxed) {
                let snapshot = reader.load(None).await.unwrap();
                let revisions: BTreeSet<u64> = snapshot.documents.iter().map(|it| it.revision).collect();
                let revision = snapshot.position.revision;
                assert_eq!(Vec::from_iter(revisions), if revision == 0 { vec![] } else { vec![revision] });
                assert_eq!(snapshot.documents.len(), if revision == 0 { 0 } else { DOCUMENTS });
                assert!(revision >= last, "a reader went back from {last} to {revision}");
                last = revision;
            }
        }
    });
    for round in 0..8 {
        let body = format!("{round}").repeat(500);
        let whole: Vec<_> =
            names.iter().map(|name| ("clusters", name.as_str(), Some(body.as_str()))).collect();
        write(&*writer, vec![change_set(&whole)]).await;
    }
    over.store(true, Ordering::Relaxed);
    timeout(FOREVER, reading).await.unwrap().unwrap();
}

pub(crate) async fn the_log_is_filtered(backend: impl Backend) {
    let store = backend.open().await;
    let by = |principal: &str, change_set| ChangeSet { principal: principal.into(), ..change_set };
    let entries = write(
        &*store,
        vec![
            by("ann", change_set(&[("clusters", "a", Some("1")), ("namespaces", "b", Some("1"))])),
            by("bob", change_set(&[("clusters", "b", Some("2"))])),
            by("ann", change_set(&[("clusters", "a", None)])),
            by("cleo", change_set(&[])),
        ],
    )
    .await;
    let (first, last) = (entries[0].at, entries[3].at);
    let (all, b) = (everything, || Key::new("clusters", "b"));
    let cases: Vec<(LogQuery, &[u64])> = vec![
        (all(), &[4, 3, 2, 1]),
        (LogQuery { kind: Some("clusters".into()), ..all() }, &[3, 2, 1]),
        (LogQuery { kind: Some("namespaces".into()), ..all() }, &[1]),
        (LogQuery { id: Some("b".into()), ..all() }, &[2, 1]),
        // The type and the id of one document, not of two.
        (LogQuery { kind: Some("clusters".into()), id: Some("b".into()), ..all() }, &[2]),
        (LogQuery { keys: vec![b()], ..all() }, &[2]),
        (LogQuery { keys: vec![b(), Key::new("namespaces", "b"), Key::new("x", "y")], ..all() }, &[2, 1]),
        (LogQuery { keys: vec![Key::new("clusters", "a"), b()], limit: 2, ..all() }, &[3, 2]),
        (LogQuery { keys: vec![b(), Key::new("clusters", "a")], below: Some(3), limit: 1, ..all() }, &[2]),
        (LogQuery { keys: vec![Key::new("clusters", "c")], ..all() }, &[]),
        (LogQuery { keys: vec![Key::new("clusters", "a")], principal: Some("bob".into()), ..all() }, &[]),
        // One of the documents, with that type and that id.
        (LogQuery { keys: vec![b()], kind: Some("namespaces".into()), ..all() }, &[]),
        (LogQuery { keys: vec![b()], id: Some("a".into()), ..all() }, &[]),
        (LogQuery { keys: vec![b()], id: Some("b".into()), ..all() }, &[2]),
        (LogQuery { kind: Some("clusters".into()), below: Some(3), limit: 1, ..all() }, &[2]),
        (LogQuery { kind: Some("clusters".into()), limit: 0, ..all() }, &[]),
        (LogQuery { from: Some(i64::MIN), until: Some(i64::MAX), ..all() }, &[4, 3, 2, 1]),
        (LogQuery { until: Some(i64::MIN), ..all() }, &[]),
        (LogQuery { principal: Some("ann".into()), ..all() }, &[3, 1]),
        (LogQuery { principal: Some("ann".into()), kind: Some("namespaces".into()), ..all() }, &[1]),
        (LogQuery { from: Some(first), ..all() }, &[4, 3, 2, 1]),
        (LogQuery { from: Some(last + 1), ..all() }, &[]),
        (LogQuery { until: Some(first), ..all() }, &[]),
        (LogQuery { until: Some(last + 1), ..all() }, &[4, 3, 2, 1]),
        (LogQuery { below: Some(3), ..all() }, &[2, 1]),
        (LogQuery { below: Some(u64::MAX), limit: 1, ..all() }, &[4]),
        (LogQuery { limit: 2, ..all() }, &[4, 3]),
        (LogQuery { limit: 1, principal: Some("ann".into()), ..all() }, &[3]),
        (LogQuery { limit: 0, ..all() }, &[]),
        (LogQuery { principal: Some("' OR 1 --".into()), ..all() }, &[]),
    ];
    for (query, expected) in cases {
        let found = store.log(&query).await.unwrap();
        let revisions: Vec<u64> = found.iter().map(|entry| entry.revision).collect();
        assert_eq!(revisions, expected, "{query:?}");
    }
}

pub(crate) async fn the_log_is_paged_newest_first(backend: impl Backend) {
    let store = backend.open().await;
    let clusters = (0..11).map(|number| cluster(if number % 3 == 0 { "third" } else { "other" }, "x"));
    let entries = write(&*store, clusters.collect()).await;
    let others = entries.iter().rev().filter(|it| it.change_set.documents[0].key.id == "other");
    let expected: Vec<EntryId> = others.map(|entry| entry.change_set.entry).collect();
    let mut query = LogQuery { id: Some("other".into()), limit: 3, ..LogQuery::default() };
    let mut paged = Vec::new();
    loop {
        let page = store.log(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.below = Some(last.revision);
        paged.extend(page.iter().map(|record| record.entry));
    }
    assert_eq!(paged, expected);
}

pub(crate) async fn times_never_decrease(backend: impl Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    for number in 0..20 {
        let store = if number % 2 == 0 { &one } else { &two };
        write(&**store, vec![cluster("a", "1"), cluster("a", "2")]).await;
    }
    let times: Vec<i64> = all_entries(&*one).await.iter().map(|entry| entry.at).collect();
    assert!(times.is_sorted() && times[0] > 0, "{times:?}");
}

pub(crate) async fn a_commit_wakes_who_waits(backend: impl Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    for revision in 0..3 {
        let waiting = [&one, &two].map(|store| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.wait(revision).await })
        });
        write(&*one, vec![cluster("a", "1")]).await;
        for task in waiting {
            timeout(FOREVER, task).await.unwrap().unwrap();
        }
    }
}

pub(crate) async fn a_wait_that_is_over_returns_at_once(backend: impl Backend) {
    let store = backend.open().await;
    write(&*store, vec![cluster("a", "1"), cluster("a", "2")]).await;
    for handle in [store, backend.open().await] {
        timeout(FOREVER, handle.wait(0)).await.unwrap();
        timeout(FOREVER, handle.wait(1)).await.unwrap();
    }
}

pub(crate) async fn a_wait_goes_on_without_a_commit(backend: impl Backend) {
    let store = backend.open().await;
    write(&*store, vec![cluster("a", "1")]).await;
    timeout(Duration::from_millis(450), store.wait(1)).await.unwrap_err();
    timeout(Duration::from_millis(50), store.wait(u64::MAX)).await.unwrap_err();
}

pub(crate) async fn bytes_and_names_are_kept_exactly(backend: impl Backend) {
    let store = backend.open().await;
    let bodies: [&[u8]; 5] = [b"", b"\0", &[0xff, 0xfe, 0, b'\''], b"{ \"a\" : 1.0 }\n", &[b'x'; 200_000]];
    let ids = ["system:node", "a%_'\"\\", "", "\u{e9}\u{1f600}", "Z"];
    let document = |(id, body): (&str, &[u8])| DocumentChange {
        key: Key::new("rolebindings", id),
        body: Some(body.to_vec()),
    };
    let written: Vec<DocumentChange> = ids.into_iter().zip(bodies).map(document).collect();
    write(&*store, vec![ChangeSet { documents: written.clone(), ..change_set(&[]) }]).await;

    assert_eq!(all_entries(&*store).await[0].change_set.documents, written);
    let mut expected: Vec<_> = written.into_iter().map(|it| (it.key, it.body.unwrap())).collect();
    expected.sort();
    for at in [None, Some(1)] {
        let loaded = store.load(at).await.unwrap().documents;
        assert_eq!(loaded.into_iter().map(|it| (it.key, it.body)).collect::<Vec<_>>(), expected);
    }
}

pub(crate) async fn operations_are_kept_exactly(backend: impl Backend) {
    let store = backend.open().await;
    // As deep as serde_json reads a request's body.
    let deep = serde_json::from_str(&format!("{}1{}", "[".repeat(127), "]".repeat(127))).unwrap();
    let bodies = [
        Some(deep),
        Some(
            serde_json::json!({ "a": null, "n": [u64::MAX, i64::MIN, 0.1, 5e-324, 1.797_693_134_862_315_7e308] }),
        ),
        Some(serde_json::Value::Object(serde_json::Map::new())),
        None,
    ];
    let verbs = [Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];
    let operations = verbs.into_iter().zip(bodies).map(|(verb, body)| {
        let force = verb == Verb::Delete;
        Operation { force, ..Operation::new(verb, Key::new("clusters", "a:b"), body) }
    });
    let every = Operation {
        select: Some("environment in (dev, qa)".into()),
        allow_empty: true,
        ..Operation::new(Verb::Patch, Key::new("clusters", Operation::EVERY), Some(serde_json::json!({})))
    };
    let operations = operations.chain([every.on("platform_components", "grafana")]);
    let asked = ChangeSet { operations: operations.collect(), ..change_set(&[]) };
    let entries = write(&*store, vec![asked.clone()]).await;
    assert_eq!(entries[0].change_set, asked);
    assert_eq!(all_entries(&*store).await, entries);
    let Past::Known(detail) = store.entry(1, 0, 1).await.unwrap() else { panic!() };
    assert_eq!(detail.operations, asked.operations);
    let without = |operation: Operation| Operation { body: None, ..operation };
    let shown: Vec<Operation> = asked.operations.into_iter().map(without).collect();
    assert_eq!(detail.record.operations, shown);
    assert_eq!(store.log(&everything()).await.unwrap()[0].operations, shown);
}

pub(crate) async fn a_raised_minimum_turns_older_readers_away(backend: impl Backend) {
    let newer = backend.open_for(READER_VERSION + 1).await.unwrap();
    let older = backend.open().await;
    let head = position(&write(&*newer, vec![cluster("a", "1")]).await[0]);
    assert_eq!(documents(&*older, None).await, ["clusters/a=1@1"]);

    let raising = ChangeSet { min_reader: READER_VERSION + 1, ..cluster("a", "2") };
    let head_then = position(&write(&*newer, vec![raising, cluster("b", "3")]).await[1]);
    let refused = [
        older.head().await.err(),
        older.load(None).await.err(),
        older.load(Some(1)).await.err(),
        older.changes_since(head, 1).await.err(),
        older.log(&everything()).await.err(),
        older.entry(1, 0, 1).await.err(),
        older.read_at(&Key::new("clusters", "a"), 1).await.err(),
        older.versions(&Key::new("clusters", "a"), None, 1).await.err(),
        older.revision_at(0).await.err(),
        older.history_begins().await.err(),
        older.forget(i64::MAX).await.err(),
        older.commit(head, vec![cluster("c", "4")]).await.err(),
        older.commit(head_then, vec![cluster("c", "4")]).await.err(),
    ];
    for error in refused {
        let error = error.unwrap();
        assert_eq!(error.kind, ErrorKind::TooNew, "{error}");
    }
    write(&*newer, vec![cluster("c", "5")]).await;
    assert_eq!(documents(&*newer, None).await, ["clusters/a=2@2", "clusters/b=3@3", "clusters/c=5@4"]);
    assert_eq!(older.head().await.unwrap_err().kind, ErrorKind::TooNew);
}

pub(crate) async fn a_change_set_that_the_writer_could_not_read_is_refused(backend: impl Backend) {
    let store = backend.open().await;
    let raising = ChangeSet { min_reader: READER_VERSION + 1, ..cluster("a", "1") };
    let error = store.commit(Position::START, vec![cluster("b", "1"), raising]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooNew);
    assert_eq!(store.load(None).await.unwrap().documents, []);
}
