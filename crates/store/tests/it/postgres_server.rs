//! What is PostgreSQL's own: servers that end, start again, follow others or are replaced by others, and what
//! processes that end leave behind.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use flux_resourceset_postgres_server::{Programs, Server, Stop};
use flux_resourceset_store::{
    Access, Changes, Committed, ErrorKind, Position, PostgresStore, PostgresUrl, Store,
};
use tokio::time::timeout;

use crate::backend::{Backend, Postgres, cluster, documents, done, position, shared_server, write};

const CREATE: Access = Access::ReadWrite { create: true };
const FOREVER: Duration = Duration::from_secs(60);

fn parsed(url: &str) -> PostgresUrl {
    PostgresUrl::parse(url).unwrap()
}

/// The database `d0` of several servers, as one URL names them: asked in this order.
fn of_several(servers: &[&Server]) -> PostgresUrl {
    let hosts: Vec<String> = servers
        .iter()
        .map(|server| {
            format!("{}:{}", server.socket().display().to_string().replace('/', "%2F"), server.port())
        })
        .collect();
    parsed(&format!("postgres://postgres@{}/d0", hosts.join(",")))
}

async fn assert_away(store: &dyn Store, head: Position, kind: ErrorKind) {
    let refused = [
        store.head().await.err(),
        store.load(None).await.err(),
        store.changes_since(head, 1).await.err(),
        store.history_begins().await.err(),
        store.forget(i64::MAX).await.err(),
        store.commit(head, vec![cluster("lost", "x")]).await.err(),
    ];
    for error in refused {
        assert_eq!(error.as_ref().map(|error| error.kind), Some(kind), "{error:?}");
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(FOREVER, holds).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_as_in_a_crash_keeps_what_was_committed() {
    let Some(programs) = Programs::or_skip() else { return };
    let server = Server::start(&programs, &[]).unwrap();
    server.new_database().unwrap();
    let url = parsed(&server.url("d0"));
    // Overruled: with it the last commits would be lost.
    server.run_sql("postgres", "ALTER DATABASE d0 SET synchronous_commit = off").unwrap();
    let (store, other) = (PostgresStore::open(&url, CREATE).await.unwrap(), {
        PostgresStore::open(&url, Access::ReadOnly).await.unwrap()
    });
    let mut entries = Vec::new();
    for round in 0..3 {
        for number in 0..5 {
            entries.extend(write(&store, vec![cluster("a", &format!("{round}.{number}"))]).await);
        }
        let head = position(entries.last().unwrap());
        server.stop(Stop::Immediate).unwrap();
        assert_away(&store, head, ErrorKind::Unavailable).await;
        assert_eq!(other.head().await.unwrap_err().kind, ErrorKind::Unavailable);
        let wait = other.wait(head.revision);
        tokio::pin!(wait);
        timeout(Duration::from_millis(100), &mut wait).await.unwrap_err();
        server.start_again().unwrap();
        assert_eq!(
            store.changes_since(Position::START, 99).await.unwrap(),
            Changes::Entries(entries.clone())
        );
        entries.extend(done(store.commit(head, vec![cluster("b", "again")]).await.unwrap()));
        timeout(FOREVER, wait).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_refused_until_it_is_the_primary() {
    let Some(programs) = Programs::or_skip() else { return };
    let primary = Server::start(&programs, &["fsync=off"]).unwrap();
    primary.new_database().unwrap();
    let url = parsed(&primary.url("d0"));
    let store = PostgresStore::open(&url, CREATE).await.unwrap();
    let first = write(&store, vec![cluster("a", "1")]).await.remove(0);
    let standby = primary.standby(&["fsync=off"]).unwrap();
    for access in [CREATE, Access::ReadOnly] {
        let error = PostgresStore::open(&parsed(&standby.url("d0")), access).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("standby"), "{error}");
    }
    // With both named it is passed over.
    let both = PostgresStore::open(&of_several(&[&standby, &primary]), CREATE).await.unwrap();
    assert_eq!(both.head().await.unwrap().1, position(&first));
    until("the standby has it", async || {
        standby.run_sql("d0", "SELECT revision FROM flux_resourceset.meta").unwrap() == "1"
    })
    .await;
    // This is what it misses.
    standby.stop(Stop::Fast).unwrap();
    store.head().await.unwrap();
    let later = PostgresStore::open(&url, CREATE).await.unwrap();
    later.head().await.unwrap();
    let head = position(&write(&both, vec![cluster("a", "2")]).await[0]);
    primary.stop(Stop::Immediate).unwrap();
    standby.start_again().unwrap();
    assert_away(&both, head, ErrorKind::Unavailable).await;
    standby.promote().unwrap();
    let (_, there) = both.head().await.unwrap();
    assert_eq!(there, position(&first));
    assert_eq!(both.changes_since(head, 9).await.unwrap(), Changes::Diverged(there));
    assert_eq!(both.commit(head, vec![cluster("a", "3")]).await.unwrap(), Committed::Conflict(there));
    done(both.commit(there, vec![cluster("a", "3")]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_store_in_its_place_is_not_followed() {
    let Some(programs) = Programs::or_skip() else { return };
    let one = Server::start(&programs, &["fsync=off"]).unwrap();
    let two = Server::start(&programs, &["fsync=off"]).unwrap();
    one.new_database().unwrap();
    let store = PostgresStore::open(&of_several(&[&one, &two]), CREATE).await.unwrap();
    let head = position(&write(&store, vec![cluster("a", "1")]).await[0]);
    one.stop(Stop::Immediate).unwrap();
    assert_away(&store, head, ErrorKind::Unavailable).await;

    two.new_database().unwrap();
    assert_away(&store, head, ErrorKind::Replaced).await;
    let foreign = "SELECT count(*) FROM pg_namespace WHERE nspname = 'flux_resourceset'";
    assert_eq!(two.run_sql("d0", foreign).unwrap(), "0", "nothing was made in the empty one");
    PostgresStore::open(&parsed(&two.url("d0")), CREATE).await.unwrap();
    assert_away(&store, head, ErrorKind::Replaced).await;
    let error = store.head().await.unwrap_err();
    assert!(error.message.contains("`flux-resourceset-cli confirm`, at the URL of this server"), "{error}");
    assert_eq!(two.run_sql("d0", "SELECT revision FROM flux_resourceset.meta").unwrap(), "0");

    two.stop(Stop::Fast).unwrap();
    one.start_again().unwrap();
    assert_eq!(documents(&store, None).await, ["clusters/a=1@1"]);
    done(store.commit(head, vec![cluster("a", "2")]).await.unwrap());
}

#[tokio::test]
async fn without_leave_to_create_a_store_is_waited_for() {
    if !Postgres::is_there() {
        return;
    }
    let backend = Postgres::new().await;
    for access in [Access::ReadOnly, Access::ReadWrite { create: false }] {
        let error = PostgresStore::open(&backend.url, access).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.ends_with("there is no store here"), "{error}");
    }
    let creator = backend.open().await;
    let reader = PostgresStore::open(&backend.url, Access::ReadOnly).await.unwrap();
    assert_eq!(reader.head().await.unwrap(), creator.head().await.unwrap());
    let error = reader.commit(Position::START, vec![cluster("a", "1")]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(reader.forget(i64::MAX).await.unwrap_err().kind, ErrorKind::Unavailable);
    let gone = parsed(&shared_server().url("nowhere"));
    assert_eq!(PostgresStore::open(&gone, CREATE).await.unwrap_err().kind, ErrorKind::Unavailable);
}

/// The privileges that the documentation lists, and no others.
#[tokio::test]
async fn a_writer_owns_the_schema_and_a_reader_may_only_select() {
    if !Postgres::is_there() {
        return;
    }
    let server = shared_server();
    let database = server.new_database().unwrap();
    let (url, database) = (server.url(&database), database.as_str());
    let (writer, reader) = (format!("writer_of_{database}"), format!("reader_of_{database}"));
    let made = format!(
        "CREATE ROLE {writer} LOGIN; CREATE ROLE {reader} LOGIN; CREATE SCHEMA flux_resourceset AUTHORIZATION {writer}"
    );
    server.run_sql(database, &made).unwrap();
    let of = |role: &str| parsed(&url.replace("postgres://postgres@", &format!("postgres://{role}@")));
    let store = PostgresStore::open(&of(&writer), CREATE).await.unwrap();
    write(&store, vec![cluster("a", "1"), cluster("a", "2")]).await;
    assert_eq!(store.forget(i64::MAX).await.unwrap(), 1);

    let error = PostgresStore::open(&of(&reader), Access::ReadOnly).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("grant"), "{error}");
    let granted = format!(
        "GRANT USAGE ON SCHEMA flux_resourceset TO {reader};
         GRANT SELECT ON ALL TABLES IN SCHEMA flux_resourceset TO {reader}"
    );
    server.run_sql(database, &granted).unwrap();
    let store = PostgresStore::open(&of(&reader), Access::ReadOnly).await.unwrap();
    assert_eq!(documents(&store, None).await, ["clusters/a=2@2"]);
    timeout(FOREVER, store.wait(1)).await.unwrap();
}

/// Notifications alone do not carry it: whoever listens may be cut off.
#[tokio::test]
async fn a_reader_that_hears_nothing_looks() {
    if !Postgres::is_there() {
        return;
    }
    let backend = Postgres::new().await;
    let (writer, reader) = (backend.open().await, backend.open().await);
    let name = &backend.name;
    let deaf = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = '{name}' AND query = 'LISTEN flux_resourceset'"
    );
    for revision in 0..3 {
        let wait = reader.wait(revision);
        tokio::pin!(wait);
        timeout(Duration::from_millis(50), &mut wait).await.unwrap_err();
        shared_server().run_sql("postgres", &deaf).unwrap();
        write(&*writer, vec![cluster("a", "1")]).await;
        timeout(FOREVER, wait).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_is_dropped_leaves_no_transaction_open() {
    if !Postgres::is_there() {
        return;
    }
    let backend = Postgres::new().await;
    let store = backend.open().await;
    let bodies = "x".repeat(100_000);
    write(&*store, (0..50).map(|number| cluster(&format!("c-{number}"), &bodies)).collect()).await;
    let head = store.head().await.unwrap().1;
    for round in 0..30 {
        let patience = Duration::from_micros(300 * round);
        let _ = timeout(patience, store.load(None)).await;
        let _ = timeout(patience, store.forget(0)).await;
        let _ = timeout(patience, store.changes_since(Position::START, 99)).await;
    }
    let name = &backend.name;
    let open =
        format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND xact_start IS NOT NULL");
    until("no transaction is open", async || shared_server().run_sql("postgres", &open).unwrap() == "0")
        .await;
    done(store.commit(head, vec![cluster("a", "1")]).await.unwrap());
}

/// Writes and forgets without end, in a process of its own: started by the test below, never by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of a_killed_writer_leaves_no_lock_and_no_half"]
async fn a_writer_to_be_killed() {
    let url = parsed(&std::env::var("POSTGRES_STORE").expect("set by the test that starts it"));
    let store = PostgresStore::open(&url, CREATE).await.unwrap();
    for number in 0.. {
        let (_, head) = store.head().await.unwrap();
        let list = vec![cluster("one", &number.to_string()), cluster("two", &number.to_string())];
        let _ = store.commit(head, list).await.unwrap();
        store.forget(i64::MAX).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_writer_leaves_no_lock_and_no_half() {
    if !Postgres::is_there() {
        return;
    }
    let backend = Postgres::new().await;
    let store = backend.open().await;
    let url = shared_server().url(&backend.name);
    for _ in 0..4 {
        let before = store.head().await.unwrap().1.revision;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "postgres_server::a_writer_to_be_killed"])
            .env("POSTGRES_STORE", &url)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        until("it writes", async || store.head().await.unwrap().1.revision > before + 4).await;
        child.kill().unwrap();
        child.wait().unwrap();
        // The server may still be at what it was given.
        let committed = loop {
            let (_, head) = store.head().await.unwrap();
            assert_eq!(head.revision % 2, 0, "half of a commit");
            let list = vec![cluster("one", "after"), cluster("two", "after")];
            if let Committed::Done(entries) = store.commit(head, list).await.unwrap() {
                break entries;
            }
        };
        let snapshot = store.load(None).await.unwrap();
        let bodies: HashSet<_> = snapshot.documents.iter().map(|stored| &stored.body).collect();
        assert_eq!((snapshot.position, bodies.len()), (position(&committed[1]), 1));
    }
}
