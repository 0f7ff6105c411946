//! What only the store's own schema can be made to meet: versions of other releases.

use flux_resourceset_postgres_server::{Programs, Server};

use super::connection::{Connector, Lender, Session};
use super::schema::{MIGRATIONS, Migration, Standing, migrate, standing};
use super::*;

const CREATE: Access = Access::ReadWrite { create: true };

/// What a later release might bring.
fn later(sql: &[(&'static str, i64)]) -> Vec<Migration> {
    let known = MIGRATIONS.iter().map(|Migration { sql, floor }| (*sql, *floor));
    known.chain(sql.iter().copied()).map(|(sql, floor)| Migration { sql, floor }).collect()
}

/// A server of this test's own, where there are programs to make one.
fn server() -> Option<Server> {
    Some(Server::start(&Programs::or_skip()?, &["fsync=off"]).unwrap())
}

fn database(server: &Server) -> PostgresUrl {
    PostgresUrl::parse(&server.url(&server.new_database().unwrap())).unwrap()
}

async fn session(url: &PostgresUrl) -> Session {
    let connector = Connector::new(url, &Arc::new(watch::Sender::new(()))).unwrap();
    Lender::new(connector, 1).unwrap().session().await.unwrap()
}

async fn meta(session: &Session) -> (StoreId, i64) {
    let sql = "SELECT schema_floor FROM flux_resourceset.meta";
    let floor = session.query(sql, &[]).await.unwrap()[0].get(0);
    (log::meta(session, READER_VERSION, None).await.unwrap().store, floor)
}

#[tokio::test]
async fn schemas_of_other_releases() {
    let Some(server) = server() else { return };
    an_older_schema_gains_what_is_newer_and_keeps_its_identity(&database(&server)).await;
    a_migration_that_fails_leaves_the_old_version(&database(&server)).await;
    an_older_release_may_use_a_newer_schema_unless_its_floor_forbids(&database(&server)).await;
    several_that_migrate_at_once_do_it_once(&database(&server)).await;
    a_schema_that_is_not_ours_is_left_as_it_is(&server, &database(&server)).await;
    an_older_process_goes_on_while_a_newer_one_migrates(&database(&server)).await;
}

async fn an_older_schema_gains_what_is_newer_and_keeps_its_identity(url: &PostgresUrl) {
    let session = session(url).await;
    assert_eq!(standing(&session, MIGRATIONS).await.unwrap(), Standing::Empty);
    migrate(&session, MIGRATIONS).await.unwrap();
    let (id, floor) = meta(&session).await;
    assert_eq!(floor, 1);
    let later = later(&[
        ("CREATE TABLE flux_resourceset.second (x bigint)", 1),
        ("CREATE TABLE flux_resourceset.third (x bigint)", 1),
    ]);
    assert_eq!(standing(&session, &later).await.unwrap(), Standing::Old);
    migrate(&session, &later).await.unwrap();
    assert_eq!(standing(&session, &later).await.unwrap(), Standing::Usable);
    assert_eq!(meta(&session).await, (id, 1));
    session.execute("SELECT FROM flux_resourceset.second, flux_resourceset.third").await.unwrap();
    migrate(&session, &later).await.unwrap();
}

async fn a_migration_that_fails_leaves_the_old_version(url: &PostgresUrl) {
    let session = session(url).await;
    migrate(&session, MIGRATIONS).await.unwrap();
    let before = meta(&session).await;
    let failing = later(&[("CREATE TABLE flux_resourceset.later (x nothing)", 3)]);
    migrate(&session, &failing).await.unwrap_err();
    drop(session);
    let session = self::session(url).await;
    assert_eq!(meta(&session).await, before);
    assert_eq!(standing(&session, MIGRATIONS).await.unwrap(), Standing::Usable);
}

async fn an_older_release_may_use_a_newer_schema_unless_its_floor_forbids(url: &PostgresUrl) {
    let store = PostgresStore::open(url, CREATE).await.unwrap();
    let session = session(url).await;
    session.execute("UPDATE flux_resourceset.meta SET schema_version = 9").await.unwrap();
    PostgresStore::open(url, Access::ReadOnly).await.unwrap();
    store.head().await.unwrap();
    session.execute("UPDATE flux_resourceset.meta SET schema_floor = 9").await.unwrap();
    assert_eq!(store.head().await.unwrap_err().kind, ErrorKind::TooNew);
    let head = Position::START;
    assert_eq!(store.commit(head, vec![change_set()]).await.unwrap_err().kind, ErrorKind::TooNew);
    // Even where there is no such column any more.
    session.execute("ALTER TABLE flux_resourceset.entries RENAME COLUMN shown TO summary").await.unwrap();
    assert_eq!(store.commit(head, vec![change_set()]).await.unwrap_err().kind, ErrorKind::TooNew);
    for access in [CREATE, Access::ReadOnly] {
        let error = PostgresStore::open(url, access).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooNew, "{error}");
    }
}

async fn several_that_migrate_at_once_do_it_once(url: &PostgresUrl) {
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        opening.spawn(async move { PostgresStore::open(&url, CREATE).await.unwrap().head().await.unwrap() });
    }
    let heads = opening.join_all().await;
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
}

async fn a_schema_that_is_not_ours_is_left_as_it_is(server: &Server, url: &PostgresUrl) {
    let name = url.config().get_dbname().unwrap();
    server
        .run_sql(name, "CREATE SCHEMA flux_resourceset; CREATE TABLE flux_resourceset.theirs (x int)")
        .unwrap();
    for access in [CREATE, Access::ReadOnly] {
        let error = PostgresStore::open(url, access).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Corrupt, "{error}");
    }
    // One of the right name is no more ours.
    server.run_sql(name, "CREATE TABLE flux_resourceset.meta (x int)").unwrap();
    for access in [CREATE, Access::ReadOnly] {
        let error = PostgresStore::open(url, access).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Corrupt, "{error}");
    }
    // An empty one is where an administrator wants the store.
    server.run_sql(name, "DROP SCHEMA flux_resourceset CASCADE; CREATE SCHEMA flux_resourceset").unwrap();
    PostgresStore::open(url, CREATE).await.unwrap();
}

/// What a later release adds to the tables that an older one reads and writes.
async fn an_older_process_goes_on_while_a_newer_one_migrates(url: &PostgresUrl) {
    let older = PostgresStore::open(url, CREATE).await.unwrap();
    let head = older.head().await.unwrap();
    let session = session(url).await;
    let added = "ALTER TABLE flux_resourceset.meta ADD COLUMN more bigint NOT NULL DEFAULT 0;
        ALTER TABLE flux_resourceset.entries ADD COLUMN more text;
        ALTER TABLE flux_resourceset.versions ADD COLUMN more text";
    migrate(&session, &later(&[(added, 1)])).await.unwrap();
    assert_eq!(older.head().await.unwrap(), head);
    assert_eq!(older.load(None).await.unwrap().documents, []);
}

/// A process that stands still in the middle of its work, with the head locked.
#[tokio::test]
async fn a_transaction_left_open_is_ended_by_the_server() {
    let Some(server) = server() else { return };
    let url = database(&server);
    let store = PostgresStore::open(&url, CREATE).await.unwrap();
    let (_, head) = store.head().await.unwrap();
    let left = session(&url).await;
    left.execute("BEGIN; UPDATE flux_resourceset.meta SET begins = 7").await.unwrap();
    let error = store.commit(head, vec![change_set()]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("locked"), "{error}");
    assert_eq!(store.history_begins().await.unwrap(), 0, "a lock holds up no reader");
    loop {
        match store.commit(head, vec![change_set()]).await {
            Ok(committed) => break assert!(matches!(committed, Committed::Done(_)), "{committed:?}"),
            Err(error) => assert_eq!(error.kind, ErrorKind::Unavailable, "{error}"),
        }
    }
    assert_eq!(store.history_begins().await.unwrap(), 0);
}

fn change_set() -> ChangeSet {
    ChangeSet {
        entry: flux_resourceset_model::change::EntryId(uuid::Uuid::new_v4().as_u128()),
        principal: "someone".into(),
        reason: None,
        request_id: "request".into(),
        operations: Vec::new(),
        documents: Vec::new(),
        min_reader: READER_VERSION,
    }
}
