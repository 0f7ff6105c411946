//! `backup` and `restore`: a store's whole content from where `DATABASE_URL` says into a file, or back; beside
//! the servers that use it, and without one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use flux_resourceset_model::change::{ChangeSet, EntryId};
use flux_resourceset_store::backup::{self, BackupError, Header, Progress, Reader};
use flux_resourceset_store::{Error, ErrorKind, Position, Store, StoreId};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::command::Place;
use crate::config::{ApiMode, Database};
use crate::follow::describe;
use crate::snapshot::{beside, sync_folder};
use crate::start::Source;
use crate::time::rfc3339;

/// How often a backup starts anew where the history's beginning was forgotten under it.
const ATTEMPTS: usize = 5;
const BUFFER: usize = 1 << 20;
/// What is shown on a terminal changes at most so often.
const TICK: Duration = Duration::from_millis(200);

/// Why it was not done, and what the process ends with: 1 where trying again may help, 2 where a person must
/// change something first.
#[derive(Debug)]
pub struct Undone {
    /// The exit code.
    pub code: u8,
    /// One line.
    pub sentence: String,
}

impl Undone {
    fn new(code: u8, sentence: impl Into<String>) -> Self {
        Undone { code, sentence: sentence.into() }
    }

    /// `error`, met while `file` was written or read.
    fn of(error: BackupError, file: &str) -> Self {
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::Overtaken | BackupError::Replaced => Undone::new(1, error.to_string()),
            BackupError::Bytes(error) => Undone::new(1, format!("{file}: {error}")),
            BackupError::Damaged(..) => Undone::new(2, format!("{file}: {error}")),
            BackupError::NotEmpty(_) => Undone::new(2, error.to_string()),
        }
    }
}

impl From<Error> for Undone {
    fn from(error: Error) -> Self {
        let code = if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Unknown) { 1 } else { 2 };
        Undone::new(code, describe(&error))
    }
}

/// Writes what the store of `database` holds now to `to`: a file is the new backup as a whole, or is what it
/// was.
///
/// # Errors
/// Why there is no backup.
pub async fn back_up(database: &Database, to: &Place) -> Result<String, Undone> {
    let source = Source::of_database(database, ApiMode::ReadOnly);
    if matches!(source, Source::Open(_)) {
        return Err(Undone::new(2, "STORE_BACKEND is memory, of which there is nothing to back up"));
    }
    let store = source.open_known().await?;
    let mut meter = Meter::new("written");
    let mut progress = |progress| meter.show(progress);
    let written = match to {
        Place::Standard => {
            let mut out = BufWriter::with_capacity(BUFFER, io::stdout());
            backup::write(&*store, &mut out, &mut progress)
                .await
                .map_err(|error| Undone::of(error, "standard output"))
        }
        Place::File(path) => {
            let mut attempts = 0;
            loop {
                attempts += 1;
                match into_file(path, &*store, &mut progress).await {
                    Err(BackupError::Overtaken) if attempts < ATTEMPTS => {}
                    written => break written.map_err(|error| Undone::of(error, &shown(path))),
                }
            }
        }
    };
    clear();
    let header = written?;
    Ok(format!("{} is in {}", said(&header), named(to, "standard output")))
}

async fn into_file(
    path: &Path,
    store: &dyn Store,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Header, BackupError> {
    let unfinished = beside(path, ".partial");
    let written = async {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        let mut out = BufWriter::with_capacity(BUFFER, file);
        let header = backup::write(store, &mut out, progress).await?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_folder(path)?;
        Ok(header)
    };
    let written = written.await;
    if written.is_err() {
        // Where it cannot be removed either, the next backup writes over it.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Fills the empty store of `database` with the backup that `from` holds; where there is none, one is made.
///
/// # Errors
/// Why nothing was restored; the store is as it was.
pub async fn restore(database: &Database, from: &Place) -> Result<String, Undone> {
    let name = named(from, "standard input");
    if let Place::File(path) = from {
        // All of it first: a file that is damaged is to leave nothing behind, not even an empty store.
        let (path, name) = (path.clone(), name.clone());
        let checked =
            spawn_blocking(move || opened(&path)?.check().map_err(|error| Undone::of(error, &name)));
        checked.await.unwrap_or_else(|panic| Err(Undone::new(1, panic.to_string())))?;
    }
    match database {
        Database::Memory => {
            Err(Undone::new(2, "STORE_BACKEND is memory, which nothing can be restored into"))
        }
        Database::Sqlite { path, .. } if !exists(path)? => into_new_file(path, from, &name).await,
        // Where a store may not be made in it, it would be waited for.
        Database::Sqlite { path, create: false }
            if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) =>
        {
            let why = "this file is empty, and no store: remove it, and a new one is made";
            Err(Undone::new(2, format!("{}: {why}", path.display())))
        }
        Database::Sqlite { .. } | Database::Postgres(_) => fill(database, from, &name).await,
    }
}

/// Restores beside `path`, where nothing is, and puts it there only when it is whole and closed.
async fn into_new_file(path: &Path, from: &Place, name: &str) -> Result<String, Undone> {
    if exists(&beside(path, "-wal"))? {
        let why = "the store is gone but its write-ahead log is still here: put the file back, or move the log away";
        return Err(Undone::new(2, format!("{}: {why}", path.display())));
    }
    let unfinished = beside(path, ".restoring");
    remove_store(&unfinished);
    let database = Database::Sqlite { path: unfinished.clone(), create: true };
    let done = fill(&database, from, name).await.and_then(|told| {
        put_in_place(&unfinished, path).map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    "a store was made here meanwhile: stop the server first".to_owned()
                }
                _ => format!("the restored store cannot be put here: {error}"),
            };
            Undone::new(1, format!("{}: {why}", path.display()))
        })?;
        Ok(told)
    });
    remove_store(&unfinished);
    done
}

/// Not by renaming, which would take the place of whatever is there by now.
fn put_in_place(whole: &Path, path: &Path) -> io::Result<()> {
    if beside(whole, "-wal").exists() {
        return Err(io::Error::other("it was not closed"));
    }
    fs::hard_link(whole, path)?;
    sync_folder(path)
}

/// Removes an unfinished store, or the second name of a finished one.
fn remove_store(path: &Path) {
    for file in [path.to_path_buf(), beside(path, "-wal"), beside(path, "-shm"), beside(path, "-journal")] {
        let _ = fs::remove_file(file);
    }
}

async fn fill(database: &Database, from: &Place, name: &str) -> Result<String, Undone> {
    let source = Source::of_database(database, ApiMode::Crud);
    let backup = match from {
        Place::Standard => {
            let input: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(BUFFER, io::stdin()));
            spawn_blocking(|| Reader::open(input)).await.map_err(|panic| Undone::new(1, panic.to_string()))?
        }
        Place::File(path) => Ok(opened(path)?),
    };
    let backup = backup.map_err(|error| Undone::of(error, name))?;
    let header = backup.header().clone();
    let store = source.open_to_fill().await?;
    let mut meter = Meter::new("restored");
    let filled = backup::restore(&*store, backup, note(&header), move |progress| meter.show(progress)).await;
    clear();
    // Closed here, since a file is whole without its log only then.
    drop(store);
    let (id, head) = filled.map_err(|error| Undone::of(error, name))?;
    Ok(told(&header, id, head))
}

fn opened(path: &Path) -> Result<Reader<Box<dyn BufRead + Send>>, Undone> {
    let name = shown(path);
    let file = File::open(path).map_err(|error| Undone::new(2, format!("{name}: {error}")))?;
    Reader::open(Box::new(BufReader::with_capacity(BUFFER, file)) as Box<dyn BufRead + Send>)
        .map_err(|error| Undone::of(error, &name))
}

fn exists(path: &Path) -> Result<bool, Undone> {
    path.try_exists().map_err(|error| Undone::new(1, format!("{}: {error}", path.display())))
}

/// The entry that says where those before it come from. It holds no document, so every release reads it.
fn note(header: &Header) -> ChangeSet {
    ChangeSet {
        entry: EntryId(Uuid::new_v4().as_u128()),
        principal: "restore".to_owned(),
        reason: Some(format!("restored from {}", said(header))),
        request_id: "restore".to_owned(),
        operations: Vec::new(),
        documents: Vec::new(),
        min_reader: 1,
    }
}

fn said(header: &Header) -> String {
    let StoreId(store) = header.store();
    format!(
        "the backup of {}, revision {} of the store {store:032x}",
        rfc3339(header.at),
        header.head().revision
    )
}

fn told(header: &Header, StoreId(id): StoreId, head: Position) -> String {
    format!("{} is restored: the new store {id:032x} is at revision {}", said(header), head.revision)
}

fn named(place: &Place, standard: &str) -> String {
    match place {
        Place::Standard => standard.to_owned(),
        Place::File(path) => shown(path),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// How far it is, for whoever watches.
struct Meter {
    done: &'static str,
    shown: Instant,
}

impl Meter {
    fn new(done: &'static str) -> Self {
        Meter { done, shown: Instant::now() }
    }

    #[allow(clippy::print_stderr, reason = "for a person at a terminal, and nobody else")]
    fn show(&mut self, Progress { revision, of }: Progress) {
        if self.shown.elapsed() >= TICK && io::stderr().is_terminal() {
            self.shown = Instant::now();
            eprint!("\rrevision {revision} of {of} is {}", self.done);
        }
    }
}

/// Takes away what a [`Meter`] left on the line.
fn clear() {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        let _ = terminal.write_all(b"\r\x1b[K");
    }
}
