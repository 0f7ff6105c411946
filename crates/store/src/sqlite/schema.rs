//! The file's schema: how one is told from other files, created, checked and brought up to date.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::failure::Failure;
use crate::{ErrorKind, StoreId, rules};

/// Stands in the header of every store file, and of no other program's.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"fxRS");

/// One step from a schema version to the next.
pub(super) struct Migration {
    sql: &'static str,
    /// Releases that know no schema version this high may not use the file afterwards.
    floor: u32,
}

/// Index n leads from version n to n + 1; new ones are appended, released ones never changed.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { sql: include_str!("log.sql"), floor: 1 },
    Migration { sql: include_str!("history.sql"), floor: 1 },
];

/// The first version whose releases know that a history may have been cut.
const KNOWS_CUT: u32 = 2;

/// Where a file's schema stands for this release.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Empty,
    Old,
    /// This release's, or a newer one that says it may be used all the same.
    Usable,
}

/// What `connection`'s file is to a release with `migrations`.
pub(super) fn standing(connection: &Connection, migrations: &[Migration]) -> Result<Standing, Failure> {
    let version = pragma(connection, "user_version")?;
    if version == 0 && pragma(connection, "application_id")? == 0 && is_empty(connection)? {
        return Ok(Standing::Empty);
    }
    if version <= 0 || pragma(connection, "application_id")? != i64::from(APPLICATION_ID) {
        return Err(foreign());
    }
    Ok(if version < as_version(migrations) { Standing::Old } else { Standing::Usable })
}

/// Creates the schema or brings it up to date, all in one transaction.
pub(super) fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been here since the caller looked.
    if standing(&transaction, migrations)? == Standing::Usable {
        return Ok(());
    }
    let from = pragma(&transaction, "user_version")?;
    let due = migrations.iter().skip(usize::try_from(from).unwrap_or(usize::MAX));
    for migration in due.clone() {
        transaction.execute_batch(migration.sql)?;
    }
    if from == 0 {
        let store = Uuid::new_v4().simple().to_string();
        let insert = "INSERT INTO meta (only, store, min_reader, schema_floor) VALUES (1, ?1, 1, 1)";
        transaction.execute(insert, [store])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    if let Some(floor) = due.map(|migration| migration.floor).max() {
        transaction.execute("UPDATE meta SET schema_floor = max(schema_floor, ?1)", [floor])?;
    }
    transaction.pragma_update(None, "user_version", as_version(migrations))?;
    transaction.commit().map_err(Failure::Driver)?;
    tracing::info!(from, to = migrations.len(), "the store's schema is up to date");
    Ok(())
}

const META: &str = "SELECT store, min_reader, schema_floor FROM meta";

/// Fails where the file has no such thing as [`admit`] reads.
pub(super) fn probe(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.prepare(META).map(drop)
}

/// Whose store this is, where a process that reads documents up to version `reader` may use it.
/// Every transaction asks, since another process may have raised the minimum.
pub(super) fn admit(transaction: &Transaction<'_>, reader: u32) -> Result<StoreId, Failure> {
    let (store, min_reader, floor): (String, u32, u32) = transaction
        .prepare_cached(META)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?
        .ok_or_else(foreign)?;
    if i64::from(floor) > as_version(MIGRATIONS) {
        let message = format!(
            "its schema needs a release that knows version {floor}, this one knows {}: run a newer release",
            MIGRATIONS.len()
        );
        return Err(Failure::new(ErrorKind::TooNew, message));
    }
    rules::check_reader(min_reader, reader)?;
    u128::from_str_radix(&store, 16).map(StoreId).map_err(|_| foreign())
}

/// Raises the minimum that [`admit`] compares with.
pub(super) fn raise_min_reader(transaction: &Transaction<'_>, min_reader: u32) -> Result<(), Failure> {
    transaction
        .prepare_cached("UPDATE meta SET min_reader = ?1 WHERE min_reader < ?1")?
        .execute([min_reader])?;
    Ok(())
}

/// Lets the history begin at `revision`, for releases that know of it.
pub(super) fn cut_history(transaction: &Transaction<'_>, revision: i64) -> Result<(), Failure> {
    transaction
        .prepare_cached("UPDATE meta SET begins = ?1, schema_floor = max(schema_floor, ?2)")?
        .execute(params![revision, KNOWS_CUT])?;
    Ok(())
}

/// The store's minimum reader version.
pub(super) fn min_reader(transaction: &Transaction<'_>) -> Result<u32, Failure> {
    Ok(transaction.prepare_cached("SELECT min_reader FROM meta")?.query_row([], |row| row.get(0))?)
}

/// Makes the file the store `id`.
pub(super) fn rename(transaction: &Transaction<'_>, id: StoreId) -> Result<(), Failure> {
    transaction.execute("UPDATE meta SET store = ?1", [format!("{:032x}", id.0)])?;
    Ok(())
}

/// The refusal of a database that is not a store.
pub(super) fn foreign() -> Failure {
    let sentence = "the file is not a store of this software and was left as it is: check the path";
    Failure::new(ErrorKind::Corrupt, sentence)
}

/// One of the integers in the file's header.
pub(super) fn pragma(connection: &Connection, name: &str) -> Result<i64, rusqlite::Error> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn as_version(migrations: &[Migration]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}

fn is_empty(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a later release might bring.
    fn later(sql: &[(&'static str, u32)]) -> Vec<Migration> {
        let known = MIGRATIONS.iter().map(|Migration { sql, floor }| (*sql, *floor));
        let all = known.chain(sql.iter().copied());
        all.map(|(sql, floor)| Migration { sql, floor }).collect()
    }

    fn store() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(standing(&connection, MIGRATIONS).unwrap(), Standing::Empty);
        migrate(&mut connection, MIGRATIONS).unwrap();
        connection
    }

    fn meta(connection: &Connection) -> (String, i64) {
        connection
            .query_row("SELECT store, schema_floor FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    }

    #[test]
    fn an_older_schema_gains_what_is_newer_and_keeps_its_identity() {
        let mut connection = store();
        let (id, floor) = meta(&connection);
        assert_eq!(floor, 1);
        let later = later(&[
            ("CREATE TABLE second (x INTEGER) STRICT", 3),
            ("CREATE TABLE third (x INTEGER) STRICT", 1),
        ]);
        assert_eq!(standing(&connection, &later).unwrap(), Standing::Old);
        migrate(&mut connection, &later).unwrap();
        assert_eq!(standing(&connection, &later).unwrap(), Standing::Usable);
        assert_eq!(meta(&connection), (id, 3));
        connection.execute_batch("SELECT * FROM second, third").unwrap();
        migrate(&mut connection, &later).unwrap();
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_at_its_old_version() {
        let mut connection = store();
        let before = meta(&connection);
        migrate(&mut connection, &later(&[("CREATE TABLE later (x) STRICT_", 3)])).unwrap_err();
        assert_eq!(meta(&connection), before);
        assert_eq!(standing(&connection, MIGRATIONS).unwrap(), Standing::Usable);
    }

    #[test]
    fn an_older_release_may_use_a_newer_schema_unless_its_floor_forbids() {
        let mut connection = store();
        connection.pragma_update(None, "user_version", 9).unwrap();
        assert_eq!(standing(&connection, MIGRATIONS).unwrap(), Standing::Usable);
        admit(&connection.transaction().unwrap(), 1).unwrap();
        connection.execute("UPDATE meta SET schema_floor = 9", []).unwrap();
        let Err(Failure::Refused(error)) = admit(&connection.transaction().unwrap(), 1) else { panic!() };
        assert_eq!(error.kind, ErrorKind::TooNew);
    }

    #[test]
    fn a_database_with_tables_of_its_own_is_not_filled() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let Err(Failure::Refused(error)) = migrate(&mut connection, MIGRATIONS) else { panic!() };
        assert_eq!(error.kind, ErrorKind::Corrupt);
    }
}
