//! What is PostgreSQL's own: connections that are cut at every point of a commit, and commits that arrive late.

use std::collections::BTreeMap;
use std::time::Duration;

use flux_resourceset_model::change::EntryId;
use flux_resourceset_postgres_server::Programs;
use flux_resourceset_store::{
    Access, Changes, Committed, Error, ErrorKind, Position, PostgresStore, PostgresUrl, Store,
};

use tokio::time::timeout;

use crate::backend::{change_set, cluster, done, position, shared_server, write};
use crate::proxy::{Proxy, Then, Way};

const CREATE: Access = Access::ReadWrite { create: true };

/// A database of the shared server, as it is and through a proxy.
async fn database() -> Option<(Proxy, PostgresUrl, PostgresUrl)> {
    Programs::or_skip()?;
    let name = shared_server().new_database().unwrap();
    let proxy = Proxy::before(shared_server()).await;
    let (through, direct) = (proxy.url(&name), shared_server().url(&name));
    Some((proxy, through, PostgresUrl::parse(&direct).unwrap()))
}

/// Where in `bytes` a message ends, and the middle of each; a whole conversation and more at the end.
fn points(bytes: &[u8]) -> Vec<usize> {
    let (mut points, mut at) = (vec![1], 0);
    while let Some(length) = bytes.get(at + 1..at + 5) {
        let length = usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap();
        points.extend([at + 1 + length / 2, at + 1 + length]);
        at += 1 + length;
    }
    assert_eq!(at, bytes.len(), "what was recorded is whole messages");
    points.push(at + 1);
    points
}

async fn entries(store: &dyn Store) -> Vec<EntryId> {
    let Changes::Entries(entries) = store.changes_since(Position::START, usize::MAX).await.unwrap() else {
        panic!()
    };
    entries.into_iter().map(|entry| entry.change_set.entry).collect()
}

/// An answer of a store whose connections may be gone, without its knowing yet.
async fn insisting<T>(ask: impl AsyncFn() -> Result<T, Error>) -> T {
    let mut refused = 0;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.kind == ErrorKind::Unavailable && refused < 10, "{error:?}"),
        }
        refused += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_at_any_point_of_a_commit_leaves_all_or_nothing() {
    let Some((proxy, through, direct)) = database().await else { return };
    let (store, other) = (PostgresStore::open(&through, CREATE).await.unwrap(), {
        PostgresStore::open(&direct, Access::ReadOnly).await.unwrap()
    });
    let list =
        || vec![cluster("a", "1"), change_set(&[("clusters", "b", Some("2")), ("clusters", "c", None)])];
    write(&store, list()).await;
    let head = store.head().await.unwrap().1;
    proxy.record();
    done(store.commit(head, list()).await.unwrap());
    let [up, down] = proxy.recorded();
    let cuts =
        |way, bytes: &[u8]| points(bytes).into_iter().map(move |point| (way, point)).collect::<Vec<_>>();

    let mut said: BTreeMap<(Way, &str), usize> = BTreeMap::new();
    for (way, point) in [cuts(Way::ToServer, &up), cuts(Way::ToClient, &down)].concat() {
        let (_, head) = insisting(|| store.head()).await;
        let before = entries(&other).await;
        let list = list();
        let ids: Vec<EntryId> = list.iter().map(|set| set.entry).collect();
        proxy.arm(way, point, Then::Cut);
        let committed = store.commit(head, list).await;
        proxy.disarm();
        // What this handle reads next is the last word on it.
        let after = insisting(|| store.changes_since(head, 9)).await;
        let Changes::Entries(found) = after else { panic!("{after:?}") };
        let found: Vec<EntryId> = found.iter().map(|entry| entry.change_set.entry).collect();
        assert!(found.is_empty() || found == ids, "half of a commit");
        let outcome = match committed {
            Ok(Committed::Done(_)) => "done",
            Err(Error { kind: ErrorKind::Unavailable, .. }) => "not done",
            Err(Error { kind: ErrorKind::Unknown, .. }) if found.is_empty() => "unknown, not done",
            Err(Error { kind: ErrorKind::Unknown, .. }) => "unknown, done",
            other => panic!("{way:?} {point}: {other:?}"),
        };
        assert_eq!(
            found == ids,
            outcome.ends_with("done") && !outcome.ends_with("not done"),
            "{way:?} {point}"
        );
        *said.entry((way, outcome)).or_default() += 1;
        let head = insisting(|| store.head()).await.1;
        let next = done(insisting(|| store.commit(head, vec![cluster("next", "x")])).await).remove(0);
        let expected = [before, found, vec![next.change_set.entry]].concat();
        assert_eq!(entries(&other).await, expected, "{way:?} {point}");
    }
    assert!(said[&(Way::ToServer, "unknown, not done")] >= 5, "{said:?}");
    assert!(said[&(Way::ToClient, "unknown, done")] >= 5, "{said:?}");
    assert_eq!(said.get(&(Way::ToClient, "unknown, not done")), None, "the server had all of it: {said:?}");
}

/// A proxy, or the server itself, may have yet to meet a commit when its connection is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_arrives_late_is_not_done_once_it_was_looked_for() {
    let Some((proxy, through, direct)) = database().await else { return };
    let store = PostgresStore::open(&through, CREATE).await.unwrap();
    let other = PostgresStore::open(&direct, CREATE).await.unwrap();
    // What a new writer settles is settled with its first read.
    other.head().await.unwrap();
    let mut head = position(&write(&store, vec![cluster("a", "1")]).await[0]);
    let cases = [(Then::Hold, true), (Then::Hold, false), (Then::Stall, true), (Then::Stall, false)];
    for (then, looks) in cases {
        let late = cluster("late", "x");
        let id = late.entry;
        proxy.arm(Way::ToServer, 100, then);
        let commit = store.commit(head, vec![late]);
        match then {
            Then::Stall => tokio::select! {
                committed = commit => panic!("{committed:?}"),
                () = proxy.happened() => {}
            },
            _ => assert_eq!(commit.await.unwrap_err().kind, ErrorKind::Unknown),
        }
        if looks {
            assert_eq!(insisting(|| store.changes_since(head, 9)).await, Changes::Entries(vec![]));
        }
        proxy.release();
        let there = async || entries(&other).await.contains(&id);
        if looks {
            // As long as it takes the server to do what it was given, and more.
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(!there().await);
        } else {
            // Else it is done: that is what looking prevents.
            let done = async {
                while !there().await {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_secs(60), done).await.unwrap();
        }
        head = insisting(|| store.head()).await.1;
    }
    // Others, whom nobody told of the fence, commit as before.
    done(other.commit(head, vec![cluster("b", "2")]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whose_connection_is_cut_reads_again() {
    let Some((proxy, through, direct)) = database().await else { return };
    let writer = PostgresStore::open(&direct, CREATE).await.unwrap();
    write(&writer, (0..20).map(|number| cluster(&format!("c-{number}"), &"x".repeat(20_000))).collect())
        .await;
    let expected = writer.load(None).await.unwrap();
    let reader = PostgresStore::open(&through, Access::ReadOnly).await.unwrap();
    for point in [1, 10, 100, 1_000, 10_000, 100_000, 300_000] {
        proxy.arm(Way::ToClient, point, Then::Cut);
        assert_eq!(reader.load(None).await.unwrap_err().kind, ErrorKind::Unavailable);
        assert!(proxy.disarm());
        assert_eq!(insisting(|| reader.load(None)).await, expected);
    }
}

/// The writer goes on from a commit that is in doubt, and checked the next one on what that leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_behind_a_creation_that_is_in_doubt_deletes() {
    if Programs::or_skip().is_none() {
        return;
    }
    let name = shared_server().new_database().unwrap();
    let url = PostgresUrl::parse(&shared_server().url(&name)).unwrap();
    let store = PostgresStore::open(&url, CREATE).await.unwrap();
    let base = store.head().await.unwrap().1;
    // As where a standby is waited for: the head is locked, and nothing is seen yet.
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON flux_resourceset.meta DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.revision = 1 AND OLD.revision = 0) EXECUTE FUNCTION slow()";
    shared_server().run_sql(&name, slow).unwrap();
    let creation = cluster("x", "1");
    let entry = creation.entry;
    timeout(Duration::from_millis(500), store.commit(base, vec![creation])).await.unwrap_err();
    let deletion = change_set(&[("clusters", "x", None)]);
    let committed = store.commit(Position { revision: 1, entry }, vec![deletion]).await.unwrap();
    assert_eq!(done(committed)[0].change_set.documents[0].body, None);
    assert_eq!(store.load(None).await.unwrap().documents, [], "what the log deletes is not there");
}
