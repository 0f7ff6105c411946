//! One connection to the store's file: opened without touching what is not ours, and never used
//! once another file stands at its path.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::failure::Failure;
use super::schema::{self, MIGRATIONS, Standing};
use crate::{Error, ErrorKind, StoreId};

/// How long another process may hold a lock before we answer that the store is away.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection, and what every transaction on it is checked against first.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    path: PathBuf,
    file: FileId,
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
            .map(|(connection, file)| Database { connection, path: path.into(), file, reader })
            .map_err(|failure| failure.of(path))
    }

    fn make_ready(&mut self, create: bool) -> Result<(), Failure> {
        match schema::standing(&self.connection, MIGRATIONS)? {
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
        match schema::standing(&self.connection, MIGRATIONS)? {
            Standing::Empty => return Err(absent()),
            Standing::Old => {
                let sentence = "its schema is older than this release, which waits for a writer to update it";
                return Err(Failure::new(ErrorKind::Unavailable, sentence));
            }
            Standing::Usable => {}
        }
        self.begin(TransactionBehavior::Deferred).map(drop)
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
        Some(metadata) if metadata.len() > 0 => check_header(path)?,
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

/// Looks whose file this is without a lock, a side file or a recovery, any of which would already
/// change a file that is not ours. Through SQLite, since closing a file of our own would drop the
/// locks that other connections of this process hold on it.
fn check_header(path: &Path) -> Result<(), Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)?;
    match schema::pragma(&connection, "application_id") {
        Ok(id) if id == i64::from(schema::APPLICATION_ID) => Ok(()),
        Ok(_) => Err(schema::foreign()),
        // A writer that ended in the middle of a checkpoint leaves this too, and its log heals it.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// SQLite would delete the write-ahead log of a file that is gone or was cut to nothing, and with it
/// what may be the only copy of some commits.
fn check_no_log_is_left(path: &Path) -> Result<(), Failure> {
    let mut log = path.as_os_str().to_os_string();
    log.push("-wal");
    match metadata(Path::new(&log))? {
        Some(log) if log.len() > 0 => {
            let sentence = "the store is gone but its write-ahead log is still here: put the file back";
            Err(Failure::new(ErrorKind::Corrupt, sentence))
        }
        _ => Ok(()),
    }
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
            Err(error) if error.sqlite_error_code() != Some(rusqlite::ErrorCode::DatabaseBusy) => {
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
    Failure::new(ErrorKind::Unavailable, "there is no store yet: waits for one to be created here")
}

fn replaced() -> Failure {
    let sentence = "another file took the place of the store while it was open: restart to use it";
    Failure::new(ErrorKind::Corrupt, sentence)
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
                let sentence = "the file was removed while it was open: put it back, or restart";
                Err(Failure::new(ErrorKind::Unavailable, sentence))
            }
        }
    }
}
