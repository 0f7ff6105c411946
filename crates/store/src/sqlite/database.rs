//! One connection to the store's file: opened without touching what is not ours, and never used
//! once another file stands at its path.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use super::failure::Failure;
use super::schema::{self, MIGRATIONS, Standing};
use crate::{Error, ErrorKind, StoreId, rules};

/// How long another process may hold a lock before we answer that the store is away.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection, and what every transaction on it is checked against first.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    path: PathBuf,
    file: FileId,
    /// Whose the file was when it was first asked.
    store: Option<StoreId>,
    reader: u32,
}

impl Database {
    /// Opens the file for writing, bringing its schema up to date; makes it where `create` says so.
    pub(super) fn open_writer(path: &Path, create: bool, reader: u32) -> Result<Self, Error> {
        let mut database = Database::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, create, reader)?;
        database.make_ready(create).map_err(|failure| failure.of(path))?;
        Ok(database)
    }

    /// Opens the file for reading; it is neither created nor brought up to date.
    pub(super) fn open_reader(path: &Path, reader: u32) -> Result<Self, Error> {
        let mut database = Database::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, false, reader)?;
        database.check_ready().map_err(|failure| failure.of(path))?;
        Ok(database)
    }

    fn connect(path: &Path, flags: OpenFlags, create: bool, reader: u32) -> Result<Self, Error> {
        connect(path, flags, create)
            .map(|(connection, file)| Database { connection, path: path.into(), file, store: None, reader })
            .map_err(|failure| failure.of(path))
    }

    fn make_ready(&mut self, create: bool) -> Result<(), Failure> {
        match self.standing()? {
            Standing::Empty if !create => return Err(absent()),
            // The schema comes before the write-ahead log, so that a file's own first page always
            // tells whose it is.
            Standing::Empty => schema::migrate(&mut self.connection, MIGRATIONS)?,
            Standing::Old => {
                self.begin(TransactionBehavior::Deferred)?;
                schema::migrate(&mut self.connection, MIGRATIONS)?;
            }
            Standing::Usable => {}
        }
        self.begin(TransactionBehavior::Deferred)?;
        keep_write_ahead_log(&self.connection)
    }

    fn check_ready(&mut self) -> Result<(), Failure> {
        match self.standing()? {
            Standing::Empty => return Err(absent()),
            Standing::Old => {
                let sentence = "its schema is older than this release, which waits for a writer to update it";
                return Err(Failure::new(ErrorKind::Unavailable, sentence));
            }
            Standing::Usable => {}
        }
        self.begin(TransactionBehavior::Deferred).map(drop)
    }

    fn standing(&mut self) -> Result<Standing, Failure> {
        // One transaction, since another process may be creating the store.
        let transaction = self.connection.transaction()?;
        schema::standing(&transaction, MIGRATIONS)
    }

    /// Does `work` in one transaction of `behavior`, which is rolled back unless `work` commits it.
    pub(super) fn transaction<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(Transaction<'_>, StoreId) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let path = self.path.clone();
        let done = self.begin(behavior).and_then(|(transaction, store)| work(transaction, store));
        done.map_err(|failure| failure.of(&path))
    }

    fn begin(&mut self, behavior: TransactionBehavior) -> Result<(Transaction<'_>, StoreId), Failure> {
        if !self.connection.is_autocommit() {
            // A rollback that failed left its transaction open: nothing may join it.
            self.connection.execute_batch("ROLLBACK")?;
        }
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let store = schema::admit(&transaction, self.reader)?;
        if *self.store.get_or_insert(store) != store {
            return Err(replaced());
        }
        self.file.check(&self.path)?;
        Ok((transaction, store))
    }
}

fn connect(path: &Path, flags: OpenFlags, create: bool) -> Result<(Connection, FileId), Failure> {
    let found = metadata(path)?;
    let mut flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if found.as_ref().is_none_or(|metadata| metadata.len() == 0) {
        check_no_log_is_left(path)?;
    }
    match &found {
        None if create => flags |= OpenFlags::SQLITE_OPEN_CREATE,
        None => return Err(absent()),
        Some(metadata) if !metadata.is_file() => {
            return Err(Failure::new(ErrorKind::Corrupt, "this is not a file: check the path"));
        }
        Some(metadata) if metadata.len() > 0 => {
            check_header(path)?;
            check_log_belongs(path)?;
        }
        Some(_) => {}
    }
    let connection = Connection::open_with_flags(path, flags)?;
    let file = FileId::of(&metadata(path)?.ok_or_else(absent)?);
    if found.is_some_and(|found| FileId::of(&found) != file) {
        return Err(replaced());
    }
    configure(&connection)?;
    Ok((connection, file))
}

fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// Refuses a file that is not ours, or is damaged, before anything can change it.
fn check_header(path: &Path) -> Result<(), Failure> {
    match look_at(path) {
        Ok(()) => Ok(()),
        // What is being written, or was when a process was killed, makes a file look damaged that is
        // not. Then a side file is there to tell, or the writing has ended by now.
        Err(Look::Damaged(_)) if beside(path, "-wal")? + beside(path, "-journal")? > 0 => Ok(()),
        Err(Look::Damaged(_)) => look_at(path).map_err(Look::failure),
        Err(Look::Foreign(failure)) => Err(failure),
    }
}

enum Look {
    Damaged(Failure),
    Foreign(Failure),
}

impl Look {
    fn failure(self) -> Failure {
        let (Look::Damaged(failure) | Look::Foreign(failure)) = self;
        failure
    }

    fn of(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::CannotOpen) => Look::Foreign(error.into()),
            _ => Look::Damaged(error.into()),
        }
    }
}

/// Looks at the file itself without a lock, a side file or a recovery, each of which could already
/// change something. Through SQLite, since closing a file of our own would drop the locks that other
/// connections of this process hold on it.
fn look_at(path: &Path) -> Result<(), Look> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let flags = flags | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(immutable(path), flags).map_err(Look::of)?;
    let header = |name| schema::pragma(&connection, name).map_err(Look::of);
    if header("application_id")? != i64::from(schema::APPLICATION_ID) {
        return Err(Look::Foreign(schema::foreign()));
    }
    schema::probe(&connection).map_err(Look::of)?;
    // SQLite fills up a last page that was cut.
    let length = metadata(path).map_err(Look::Damaged)?.map_or(0, |file| file.len());
    let page = header("page_size")?.unsigned_abs();
    if length.checked_rem(page) != Some(0) {
        let sentence = "the file was cut short: keep a copy of it and restore a backup";
        return Err(Look::Damaged(Failure::new(ErrorKind::Corrupt, sentence)));
    }
    Ok(())
}

/// SQLite would delete the write-ahead log of a file that is gone or was cut to nothing, and with it
/// what may be the only copy of some commits.
fn check_no_log_is_left(path: &Path) -> Result<(), Failure> {
    if beside(path, "-wal")? == 0 {
        return Ok(());
    }
    let sentence = "the store is gone but its write-ahead log is still here: put the file back";
    Err(Failure::new(ErrorKind::Corrupt, sentence))
}

/// SQLite takes a write-ahead log for that of whatever file it lies beside, and the mixture of both for a
/// store. What the file ends with must be in what is read through the log; asked by connections that write
/// nothing, since a writer's end would put the one into the other.
fn check_log_belongs(path: &Path) -> Result<(), Failure> {
    if beside(path, "-wal")? == 0 {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let alone = Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)?;
    // While it is being written the file alone may look damaged; then the next one to open it will tell.
    let Some((revision, entry)) = last_entry(&alone) else { return Ok(()) };
    let both = Connection::open_with_flags(path, flags)?;
    both.busy_timeout(BUSY_TIMEOUT)?;
    let there = both.query_row("SELECT entry FROM entries WHERE revision = ?1", [revision], |row| row.get(0));
    let belongs = match there.optional() {
        Ok(Some::<String>(there)) => there == entry,
        // What is old was forgotten meanwhile; what is new cannot be missing.
        Ok(None) => last_entry(&both).is_some_and(|(last, _)| last > revision),
        Err(_) => true,
    };
    if belongs {
        return Ok(());
    }
    let sentence = "the write-ahead log beside it is another store's: move the files that end in -wal and -shm away, and \
                    keep them until it is known whose they are";
    Err(Failure::new(ErrorKind::Corrupt, sentence))
}

fn last_entry(connection: &Connection) -> Option<(i64, String)> {
    let sql = "SELECT revision, entry FROM entries ORDER BY revision DESC LIMIT 1";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).ok()
}

/// The length of one of SQLite's side files, 0 where there is none.
fn beside(path: &Path, suffix: &str) -> Result<u64, Failure> {
    let mut file = path.as_os_str().to_os_string();
    file.push(suffix);
    Ok(metadata(Path::new(&file))?.map_or(0, |file| file.len()))
}

fn immutable(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte))
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// Two processes may open a new store at once; the change of mode does not wait for the other.
fn keep_write_ahead_log(connection: &Connection) -> Result<(), Failure> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let mode = |name: &str| connection.query_row(name, [], |row| row.get::<_, String>(0));
        let kept = match mode("PRAGMA journal_mode")?.as_str() {
            "wal" => return Ok(()),
            _ => mode("PRAGMA journal_mode = WAL"),
        };
        match kept {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                let sentence = "its disk cannot hold a write-ahead log: use a local disk";
                return Err(Failure::new(ErrorKind::Unavailable, sentence));
            }
            Err(error) if Instant::now() >= deadline => return Err(error.into()),
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) => {
                return Err(error.into());
            }
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn metadata(path: &Path) -> Result<Option<Metadata>, Failure> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let sentence = "the file cannot be looked at: check its folder and permissions";
            Err(Error::new(ErrorKind::Unavailable, sentence).caused_by(error).into())
        }
    }
}

fn absent() -> Failure {
    Failure::new(ErrorKind::Unavailable, rules::ABSENT)
}

fn replaced() -> Failure {
    let what = "another file, or another store in it, took the place of the store while it was open: put the old one back";
    Failure::new(ErrorKind::Replaced, format!("{what}, {}", rules::CONFIRM))
}

/// Which file stood at the path when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        // An open file cannot be replaced there.
        FileId {}
    }

    fn check(self, path: &Path) -> Result<(), Failure> {
        match metadata(path)? {
            Some(found) if FileId::of(&found) == self => Ok(()),
            Some(_) => Err(replaced()),
            None => {
                let sentence = "the file was removed while it was open: put it back";
                Err(Failure::new(ErrorKind::Unavailable, sentence))
            }
        }
    }
}
