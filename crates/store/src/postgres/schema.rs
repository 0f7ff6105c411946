//! The schema `flux_resourceset`: how it is told from other programs', created, checked and brought up to date.

use flux_resourceset_model::change::EntryId;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Session;
use super::failure::{self, Failure};
use crate::{ErrorKind, Position, StoreId, rules};

/// One step from a schema version to the next.
pub(super) struct Migration {
    pub(super) sql: &'static str,
    /// Releases that know no schema version this high may not use the store afterwards.
    pub(super) floor: i64,
}

/// Index n leads from version n to n + 1; new ones are appended, released ones never changed.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { sql: include_str!("log.sql"), floor: 1 },
    Migration { sql: include_str!("append.sql"), floor: 1 },
];

/// Names the lock under which one process at a time migrates: `fxRS`, as SQLite's files say it.
const LOCK: i64 = 0x6678_5253;

/// Where a database's schema stands for this release.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Empty,
    Old,
    /// This release's, or a newer one that says it may be used all the same.
    Usable,
}

/// What the one row of meta says, where this release may use the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) store: StoreId,
    pub(super) fence: i64,
    pub(super) begins: u64,
    pub(super) head: Position,
}

/// What every statement that leads to an answer asks too: another process may have raised a minimum, and the
/// server may have become another one, or a standby, since the connection was made.
pub(super) const META: &str =
    "pg_is_in_recovery(), store, min_reader, schema_floor, fence, begins, revision, entry";

/// Reads a row that begins with the columns of [`META`], for a process that reads documents up to version
/// `reader` and has seen `known` here before.
pub(super) fn admit(row: &Row, reader: u32, known: Option<StoreId>) -> Result<Meta, Failure> {
    if row.try_get(0)? {
        return Err(Failure::new(ErrorKind::Unavailable, failure::STANDBY));
    }
    let store = StoreId(row.try_get::<_, Uuid>(1)?.as_u128());
    if known.is_some_and(|known| known != store) {
        return Err(replaced());
    }
    let (min_reader, floor): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
    if floor > known_version() {
        let message = format!(
            "its schema needs a release that knows version {floor}, this one knows {}: run a newer release",
            MIGRATIONS.len()
        );
        return Err(Failure::new(ErrorKind::TooNew, message));
    }
    rules::check_reader(u32::try_from(min_reader).unwrap_or(u32::MAX), reader)?;
    let head = Position { revision: revision_of(row.try_get(6)?)?, entry: entry_id(row.try_get(7)?) };
    Ok(Meta { store, fence: row.try_get(4)?, begins: revision_of(row.try_get(5)?)?, head })
}

/// Another store, or none, where this handle has seen one.
pub(super) fn replaced() -> Failure {
    let what = "another store, or none, took the place of the one seen before: bring that one back";
    Failure::new(ErrorKind::Replaced, format!("{what}, {}", rules::CONFIRM))
}

/// What the database is to a release with `migrations`.
pub(super) async fn standing(session: &Session, migrations: &[Migration]) -> Result<Standing, Failure> {
    Ok(match current(session).await? {
        None => Standing::Empty,
        Some(found) if found < version(migrations) => Standing::Old,
        Some(_) => Standing::Usable,
    })
}

/// The schema's version, where there is a store.
async fn current(session: &Session) -> Result<Option<i64>, Failure> {
    let sql = "SELECT pg_is_in_recovery(), to_regclass('flux_resourceset.meta') IS NOT NULL,
                   EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('flux_resourceset')::oid)";
    let [row] = &session.query(sql, &[]).await?[..] else { return Err(failure::foreign()) };
    match (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?) {
        (true, ..) => Err(Failure::new(ErrorKind::Unavailable, failure::STANDBY)),
        (false, false, false) => Ok(None),
        (false, false, true) => Err(failure::foreign()),
        (false, true, _) => {
            let rows = session.query("SELECT schema_version FROM flux_resourceset.meta", &[]).await?;
            let [row] = &rows[..] else { return Err(failure::foreign()) };
            Ok(Some(row.try_get(0)?))
        }
    }
}

/// Creates the schema or brings it up to date, all in one transaction, one process at a time.
pub(super) async fn migrate(session: &Session, migrations: &[Migration]) -> Result<(), Failure> {
    session.execute("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'").await?;
    session.query("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    // Another process may have been here since the caller looked.
    let from = current(session).await?.unwrap_or(0);
    let due = migrations.iter().skip(usize::try_from(from).unwrap_or(usize::MAX));
    if from == 0 {
        prepare_schema(session).await?;
    }
    for migration in due.clone() {
        session.execute(migration.sql).await?;
    }
    if from == 0 {
        let insert = "INSERT INTO flux_resourceset.meta
            (store, schema_version, schema_floor, min_reader, fence, begins, revision, entry, at)
            VALUES ($1, 0, 1, 1, 0, 0, 0, $2, 0)";
        let store = Uuid::new_v4();
        session.query(insert, &[(&store, Type::UUID), (&Uuid::nil(), Type::UUID)]).await?;
    }
    if let Some(floor) = due.map(|migration| migration.floor).max() {
        let raise =
            "UPDATE flux_resourceset.meta SET schema_version = $1, schema_floor = greatest(schema_floor, $2)";
        session.query(raise, &[(&version(migrations), Type::INT8), (&floor, Type::INT8)]).await?;
        tracing::info!(from, to = migrations.len(), "the store's schema is up to date");
    }
    session.execute("COMMIT").await
}

/// Where a database administrator made the schema, a role that may make none needs no more than to own it.
async fn prepare_schema(session: &Session) -> Result<(), Failure> {
    let sql = "SELECT to_regnamespace('flux_resourceset') IS NULL, getdatabaseencoding()::text";
    let [row] = &session.query(sql, &[]).await?[..] else { return Err(failure::foreign()) };
    if row.try_get::<_, &str>(1)? != "UTF8" {
        let sentence =
            "the database cannot hold every character: make one with ENCODING 'UTF8' TEMPLATE template0";
        return Err(Failure::new(ErrorKind::Corrupt, sentence));
    }
    match row.try_get(0)? {
        true => session.execute("CREATE SCHEMA flux_resourceset").await,
        false => Ok(()),
    }
}

/// Warns of settings of the server with which no commit survives a loss of power.
pub(super) async fn warn_of_forgetful_settings(session: &Session, place: &str) -> Result<(), Failure> {
    let sql = "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'";
    for row in session.query(sql, &[]).await? {
        let name: &str = row.try_get(0)?;
        tracing::warn!(
            "{place}: the server runs with {name}=off: a loss of power can lose commits or the store"
        );
    }
    Ok(())
}

pub(super) fn entry_id(uuid: Uuid) -> EntryId {
    EntryId(uuid.as_u128())
}

pub(super) fn revision_of(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| failure::foreign())
}

/// The schema version that this release knows.
pub(super) fn known_version() -> i64 {
    version(MIGRATIONS)
}

fn version(migrations: &[Migration]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}
