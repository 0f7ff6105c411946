//! From a configuration to a Fleet: opens the store, waits for one that is away, fills an empty one
//! from the seed file, and loads it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_merge::Fleet;
use flux_resourceset_model::Rules;
use flux_resourceset_store::{
    Access, Committed, Error, MemoryStore, Position, PostgresStore, PostgresUrl, Snapshot, SqliteStore, Store,
};
use tokio::task::spawn_blocking;

use crate::config::{ApiMode, Config, Database};
use crate::follow::{self, Behind, Pauses, Reached};
use crate::memory::Recalled;
use crate::seed::{self, SeedError};
use crate::seen::Seen;
use crate::snapshot::beside;
use crate::view::{Head, Kept, Moment, Mute, View};

const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Where the store went on by more entries than this since the snapshot, it is read as a whole.
const HEAD_START: u64 = 1024;

/// Where the store comes from.
#[derive(Clone)]
pub enum Source {
    /// An open store, of whatever kind.
    Open(Arc<dyn Store>),
    /// A SQLite file, opened as soon as it can be.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What this process may do to it.
        access: Access,
    },
    /// A PostgreSQL database, opened as soon as it can be.
    Postgres {
        /// Where it is.
        url: PostgresUrl,
        /// What this process may do to it.
        access: Access,
    },
}

impl Source {
    /// The store that `config` names.
    pub fn of(config: &Config) -> Self {
        Source::of_database(&config.database, config.api_mode)
    }

    pub(crate) fn of_database(database: &Database, api_mode: ApiMode) -> Self {
        match (database, api_mode) {
            (Database::Memory, _) => Source::Open(Arc::new(MemoryStore::new())),
            (Database::Sqlite { path, .. }, ApiMode::ReadOnly) => {
                Source::Sqlite { path: path.clone(), access: Access::ReadOnly }
            }
            (Database::Sqlite { path, create }, ApiMode::Crud) => {
                Source::Sqlite { path: path.clone(), access: Access::ReadWrite { create: *create } }
            }
            (Database::Postgres(url), ApiMode::ReadOnly) => {
                Source::Postgres { url: url.clone(), access: Access::ReadOnly }
            }
            (Database::Postgres(url), ApiMode::Crud) => {
                Source::Postgres { url: url.clone(), access: Access::ReadWrite { create: true } }
            }
        }
    }

    /// Opens the store that is there, and makes none.
    pub(crate) async fn open_known(&self) -> Result<Arc<dyn Store>, Error> {
        let mut known = self.clone();
        if let Source::Sqlite { access: Access::ReadWrite { create }, .. }
        | Source::Postgres { access: Access::ReadWrite { create }, .. } = &mut known
        {
            *create = false;
        }
        known.open().await
    }

    /// Opens the store that is there, or makes one, to put into it what a backup holds.
    pub(crate) async fn open_to_fill(&self) -> Result<Arc<dyn Store>, Error> {
        self.open().await
    }

    /// The files of the store as they stand now, where it is made of files.
    pub(crate) fn files(&self) -> Option<Files> {
        let Source::Sqlite { path, .. } = self else { return None };
        Some(Files { database: inode(path), log: inode(&beside(path, "-wal")) })
    }

    async fn open(&self) -> Result<Arc<dyn Store>, Error> {
        match self {
            Source::Open(store) => Ok(Arc::clone(store)),
            Source::Sqlite { path, access } => Ok(Arc::new(SqliteStore::open(path, *access).await?)),
            Source::Postgres { url, access } => Ok(Arc::new(PostgresStore::open(url, *access).await?)),
        }
    }
}

/// Which files stand at a SQLite store's paths, each by its device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Files {
    database: Option<(u64, u64)>,
    log: Option<(u64, u64)>,
}

impl Files {
    /// Whether these are another database beside the log of that of `before`. SQLite would take what the log
    /// holds for the newer pages of that database, and the mixture for a store.
    pub(crate) fn are_mixed(self, before: Files) -> bool {
        self.database != before.database && self.log.is_some() && self.log == before.log
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Why the server cannot start: a person must act first. One line for the person, exit 2.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The seed file.
    #[error("{0}")]
    Seed(#[from] SeedError),
    /// What the store holds, or is.
    #[error("{0}")]
    Store(String),
    /// `SNAPSHOT_FILE`.
    #[error("{0}")]
    Snapshot(String),
    /// `TOKENS_FILE`.
    #[error("{0}")]
    Tokens(String),
    /// `OPENAPI_FILE`.
    #[error("{0}")]
    OpenApi(String),
}

enum Failed {
    Away(Error),
    /// The store is there, and not the one that is remembered.
    Mute(Mute),
    Final(StartError),
}

impl From<Behind> for Failed {
    fn from(behind: Behind) -> Self {
        match behind {
            Behind::Away(error) => Failed::Away(error),
            Behind::Mute(mute) if mute.at_once => Failed::Mute(mute),
            Behind::Mute(mute) => Failed::Final(StartError::Store(mute.sentence)),
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let described = follow::describe(&error);
        match Behind::from(error) {
            Behind::Away(error) => Failed::Away(error),
            Behind::Mute(_) => {
                Failed::Final(StartError::Store(format!("the store cannot be used: {described}")))
            }
        }
    }
}

/// Tries until `view` holds the store's head, or is mute since that is not what was served before, or a
/// person must act.
pub(crate) async fn start(
    config: &Config,
    source: &Source,
    view: &View,
    recalled: Recalled,
) -> Result<(), StartError> {
    let Recalled { seen, snapshot, doubt } = recalled;
    if let Some(snapshot) = snapshot {
        keep(config, view, seen, snapshot).await;
    }
    if let Some(doubt) = doubt {
        mute(view, &follow::doubtful(&doubt));
        return Ok(());
    }
    let mut pauses = Pauses::new();
    loop {
        match first_head(config, source, view, seen).await {
            Ok(head) => {
                let clusters = head.fleet.len("clusters");
                tracing::info!(revision = head.position.revision, clusters, "the store is read");
                view.opened(source.files());
                view.take(&head).await;
                return Ok(());
            }
            Err(Failed::Away(error)) => {
                follow::note_trouble(view, &error);
                pauses.pause(LONGEST_PAUSE).await;
            }
            Err(Failed::Mute(other)) => {
                mute(view, &other);
                return Ok(());
            }
            Err(Failed::Final(error)) => return Err(error),
        }
    }
}

fn mute(view: &View, mute: &Mute) {
    tracing::error!(code = mute.code, "{}", mute.sentence);
    view.mute(mute);
}

/// Has the fleet of the snapshot at hand: to start from, to compare with, or to be served meanwhile.
async fn keep(config: &Config, view: &View, seen: Option<Seen>, snapshot: Snapshot) {
    let (id, position) = (snapshot.store, snapshot.position);
    let is_last = seen == Some(Seen { store: id, position });
    match follow::fleet(snapshot, rules(config)).await {
        Ok(fleet) => {
            tracing::info!(revision = position.revision, "the snapshot is read");
            view.keep(Kept { fleet, position, id, is_last });
        }
        Err(mute) => tracing::error!("the snapshot in SNAPSHOT_FILE is not used: {}", mute.sentence),
    }
}

pub(crate) fn rules(config: &Config) -> Rules {
    Rules {
        environments: config.environments.clone(),
        protected_environments: config.protected_environments.clone(),
    }
}

async fn first_head(
    config: &Config,
    source: &Source,
    view: &View,
    seen: Option<Seen>,
) -> Result<Head, Failed> {
    let Some(seen) = seen else {
        let store = source.open().await?;
        seed(config, &rules(config), &*store).await?;
        return Ok(follow::load(store, rules(config)).await?);
    };
    // What was served from a store is never served from an empty one that is made in its place.
    let store = source.open_known().await?;
    let head = match head_start(&store, view).await? {
        Some(head) => head,
        None => follow::load(store, rules(config)).await?,
    };
    follow::holds(&head, seen).await?;
    Ok(head)
}

/// The head as what was committed since the snapshot makes it; `None` where reading the whole store is
/// quicker, or the only way.
async fn head_start(store: &Arc<dyn Store>, view: &View) -> Result<Option<Head>, Failed> {
    let Some(Kept { fleet, position, id, .. }) = view.now().last() else { return Ok(None) };
    let confirmed = Moment::now();
    let (theirs, end) = follow::answered(store.head()).await?;
    let near = end.revision.checked_sub(position.revision).is_some_and(|entries| entries <= HEAD_START);
    if theirs != id || !near {
        return Ok(None);
    }
    let head = Head { fleet, position, store: Arc::clone(store), id, confirmed };
    match follow::to_head(head).await {
        Ok(Reached::Head(head)) => Ok(Some(*head)),
        Err(Behind::Away(error)) => Err(Failed::Away(error)),
        Ok(Reached::Diverged(_) | Reached::Forgotten) | Err(Behind::Mute(_)) => Ok(None),
    }
}

/// Fills an empty store, and says what became of the seed file.
async fn seed(config: &Config, rules: &Rules, store: &dyn Store) -> Result<(), Failed> {
    let Some(path) = &config.seed_file else { return Ok(()) };
    if config.api_mode == ApiMode::ReadOnly && config.database != Database::Memory {
        tracing::info!("SEED_FILE is ignored: API_MODE is read-only, which fills no store but one in memory");
        return Ok(());
    }
    let (_, head) = store.head().await?;
    if head != Position::START {
        tracing::info!(
            revision = head.revision,
            "the store is at revision {} already: not seeded",
            head.revision
        );
        return Ok(());
    }
    let (file, empty) = (path.clone(), Fleet::empty(rules.clone()));
    let read = spawn_blocking(move || seed::change_set(&file, &empty)).await;
    let read = read.map_err(|panic| Failed::Final(StartError::Store(format!("seeding failed: {panic}"))))?;
    let change_set = read.map_err(|error| Failed::Final(error.into()))?;
    if change_set.documents.is_empty() {
        tracing::info!("SEED_FILE holds no documents: not seeded");
        return Ok(());
    }
    let documents = change_set.documents.len();
    match store.commit(Position::START, vec![change_set]).await? {
        Committed::Done(_) => {
            tracing::info!(documents, "seeded {documents} documents from {}", path.display())
        }
        Committed::Conflict(head) => {
            tracing::info!(
                revision = head.revision,
                "another process filled the store meanwhile: not seeded"
            );
        }
    }
    Ok(())
}
