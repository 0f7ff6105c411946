//! From a configuration to a Fleet: opens the store, waits for one that is away, fills an empty one
//! from the seed file, and loads it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_merge::Fleet;
use flux_resourceset_model::Rules;
use flux_resourceset_store::{
    Access, Committed, Error, MemoryStore, Position, PostgresStore, PostgresUrl, SqliteStore, Store,
};
use tokio::task::spawn_blocking;

use crate::config::{ApiMode, Config, Database};
use crate::follow::{self, Behind, Pauses};
use crate::seed::{self, SeedError};
use crate::view::{Head, View};

const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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
        match (&config.database, config.api_mode) {
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

    async fn open(&self) -> Result<Arc<dyn Store>, Error> {
        match self {
            Source::Open(store) => Ok(Arc::clone(store)),
            Source::Sqlite { path, access } => Ok(Arc::new(SqliteStore::open(path, *access).await?)),
            Source::Postgres { url, access } => Ok(Arc::new(PostgresStore::open(url, *access).await?)),
        }
    }
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
    /// `TOKENS_FILE`.
    #[error("{0}")]
    Tokens(String),
    /// `OPENAPI_FILE`.
    #[error("{0}")]
    OpenApi(String),
}

enum Failed {
    Away(Error),
    Final(StartError),
}

impl From<Behind> for Failed {
    fn from(behind: Behind) -> Self {
        match behind {
            Behind::Away(error) => Failed::Away(error),
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

/// Tries until `view` holds the store's head, or a person must act.
pub(crate) async fn start(config: &Config, source: &Source, view: &View) -> Result<(), StartError> {
    let mut pauses = Pauses::new();
    loop {
        match first_head(config, source).await {
            Ok(head) => {
                let clusters = head.fleet.len("clusters");
                tracing::info!(revision = head.position.revision, clusters, "the store is read");
                view.advance(&head);
                return Ok(());
            }
            Err(Failed::Away(error)) => {
                follow::note_trouble(view, &error);
                pauses.pause(LONGEST_PAUSE).await;
            }
            Err(Failed::Final(error)) => return Err(error),
        }
    }
}

async fn first_head(config: &Config, source: &Source) -> Result<Head, Failed> {
    let rules = Rules {
        environments: config.environments.clone(),
        protected_environments: config.protected_environments.clone(),
    };
    let store = source.open().await?;
    seed(config, &rules, &*store).await?;
    Ok(follow::load(store, rules).await?)
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
