//! The server of flux-resourceset: hyper, routes, access, and the current Fleet, which follows the store.
//! What is served is decided in `flux-resourceset-merge`, what is kept in `flux-resourceset-store`.

mod answer;
mod auth;
mod authorship;
pub mod backup;
mod body;
mod catch;
mod changes;
pub mod command;
pub mod config;
mod confirm;
mod connection;
mod digest;
mod documents;
mod error;
mod exceptions;
mod explain;
mod files;
mod follow;
mod freezes;
mod guard;
mod gzip;
mod history;
mod json;
mod lines;
pub mod logging;
mod memory;
mod metrics;
pub mod openapi;
mod past;
mod percent;
mod poll;
mod precondition;
mod query;
mod reason;
mod request_id;
mod retention;
mod revert;
mod routes;
mod seed;
mod seen;
mod selection;
mod service;
mod snapshot;
mod start;
mod threads;
mod time;
mod tokens;
mod tokens_file;
mod versions;
mod view;
mod write;
mod write_timeout;
mod writer;
mod writes;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use flux_resourceset_model::Types;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use tokio::time::Instant;

use crate::config::{ApiMode, Config};
use crate::confirm::Confirming;
use crate::connection::Connections;
use crate::memory::{Memory, Recalled};
use crate::metrics::Metrics;
use crate::past::Pasts;
use crate::service::{Served, Service};
use crate::threads::Threads;
use crate::tokens::Tokens;
use crate::tokens_file::TokensFile;
use crate::view::View;
use crate::writer::Writer;

pub use seed::SeedError;
pub use start::{Source, StartError};

/// Why the server ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The system gives no threads.
    #[error("the threads that serve connections cannot be started: {0}")]
    Threads(std::io::Error),
    /// Whatever follows the store is gone, and would be missed only when polls end: better ended and
    /// started again at once.
    #[error("following the store failed: {0}")]
    Following(String),
}

impl RunError {
    /// What the process that ran it ends with: 2 where a person must act first, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Start(_) => 2,
            RunError::Threads(_) | RunError::Following(_) => 1,
        }
    }
}

/// Serves on `listener` until `shutdown` is ready, then drains.
///
/// Requests are answered from the start; polls get 503 until the store that `source` names is read.
///
/// # Errors
/// Where a person must act before this can run, or following ended by a fault. Nothing is served any more then.
pub async fn run(
    listener: TcpListener,
    source: Source,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let (memory, recalled) = memory(&config).await?;
    let view = Arc::new(View::new(memory, config.serve_stale));
    let (tokens, tokens_file) = tokens(&config)?;
    let service = Arc::new(service(config.clone(), source.clone(), Arc::clone(&view), tokens)?);
    let tokens_file = tokio::spawn(async {
        if let Some(file) = tokens_file {
            file.follow().await;
        }
    });
    let threads = Threads::start().map_err(RunError::Threads)?;
    let mut connections = Connections::new(Arc::clone(&service), threads);
    // A task of its own: whatever it takes to follow, connections are accepted.
    let mut follower = tokio::spawn(followed(config.clone(), source, Arc::clone(&view), recalled));
    let keeper = tokio::spawn(kept(Arc::clone(&view)));
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        () = connections.accept(&listener) => Ok(()),
        error = ended_early(&mut follower) => Err(error),
    };
    // From here on a new connection is refused by the kernel instead of being left unanswered.
    drop(listener);
    let deadline = Instant::now() + config.limits.drain_timeout;
    tracing::info!("draining");
    let threads = connections.drain(config.limits.drain_timeout).await;
    if tokio::time::timeout_at(deadline, service.writer.idle()).await.is_err() {
        tracing::error!("a write is still under way at the end of DRAIN_TIMEOUT; its outcome is the store's");
    }
    drop(threads);
    follower.abort();
    keeper.abort();
    tokens_file.abort();
    // They hold the store, which is closed once nobody does: a file that was closed is whole without its log.
    let _ = keeper.await;
    if !follower.is_finished() {
        let _ = follower.await;
    }
    if let Some(memory) = view.memory()
        && tokio::time::timeout_at(deadline, memory.save(&view)).await.is_err()
    {
        tracing::warn!(
            "SNAPSHOT_FILE is not written at the end of DRAIN_TIMEOUT: the next start has an older one"
        );
    }
    ended
}

/// Returns only where a person must act before the store can be read. Where it is followed no further, what
/// is known is served as long as it may be, and /ready says why that ends.
async fn followed(
    config: Config,
    source: Source,
    view: Arc<View>,
    recalled: Recalled,
) -> Result<Infallible, StartError> {
    start::start(&config, &source, &view, recalled).await?;
    match config.history_days.filter(|_| config.api_mode == ApiMode::Crud) {
        None => follow::follow(&view, config.max_staleness).await,
        Some(days) => tokio::select! {
            never = follow::follow(&view, config.max_staleness) => never,
            never = retention::keep(&view, days) => never,
        },
    }
}

/// Writes to `SNAPSHOT_FILE` what `view` comes to hold, where there is such a file.
async fn kept(view: Arc<View>) {
    if let Some(memory) = view.memory() {
        memory.keep(&view).await;
    }
}

/// Why `follower` ended where it should not have.
async fn ended_early(follower: &mut JoinHandle<Result<Infallible, StartError>>) -> RunError {
    match follower.await {
        Ok(Ok(never)) => match never {},
        Ok(Err(error)) => error.into(),
        Err(panic) => RunError::Following(panic.to_string()),
    }
}

/// What is remembered of the time before this start, and where it goes on being noted.
async fn memory(config: &Config) -> Result<(Option<Arc<Memory>>, Recalled), StartError> {
    let Some(path) = config.snapshot_file.clone() else { return Ok((None, Recalled::default())) };
    let opened = tokio::task::spawn_blocking(move || Memory::open(&path)).await;
    let opened = opened.unwrap_or_else(|panic| Err(format!("SNAPSHOT_FILE cannot be read: {panic}")));
    let (memory, recalled) = opened.map_err(StartError::Snapshot)?;
    Ok((Some(Arc::new(memory)), recalled))
}

/// The tokens of `config`, and the file that goes on being looked at.
fn tokens(config: &Config) -> Result<(Arc<Tokens>, Option<TokensFile>), StartError> {
    let tokens = Arc::new(Tokens::of(config));
    let open = |path: &PathBuf| TokensFile::open(path.clone(), Arc::clone(&tokens));
    let file = config.tokens_file.as_ref().map(open).transpose().map_err(StartError::Tokens)?;
    if config.api_mode == ApiMode::Crud && !tokens.may_anyone_write() {
        tracing::warn!("no token may write: CRUD_AUTH_TOKEN is not set, and TOKENS_FILE holds none that may");
    }
    Ok((tokens, file))
}

fn service(
    config: Config,
    source: Source,
    view: Arc<View>,
    tokens: Arc<Tokens>,
) -> Result<Service, StartError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if config.reader_may_write() {
        tracing::warn!(
            "CRUD_AUTH_TOKEN is not set or equals AUTH_TOKEN: whoever may read, every cluster among them, MAY WRITE EVERYTHING"
        );
    }
    if config.serve_stale {
        tracing::warn!(
            "SERVE_STALE is set: while the store is away, POLLS ARE ANSWERED FROM WHAT WAS KNOWN LAST, HOWEVER OLD IT IS"
        );
    }
    let served = Served::of(&Types::built_in())
        .map_err(|error| StartError::OpenApi(format!("the route table is wrong: {error}")))?;
    Ok(Service {
        openapi_file: openapi_file(&config)?,
        served: ArcSwap::from_pointee(served),
        writer: Arc::new(Writer::new(Arc::clone(&view), config.removal_limit)),
        view,
        metrics: Metrics::new(Arc::clone(&tokens)),
        pasts: Pasts::new(),
        confirming: Confirming::of(source),
        tokens,
        config,
    })
}

fn openapi_file(config: &Config) -> Result<Option<Bytes>, StartError> {
    let Some(path) = &config.openapi_file else { return Ok(None) };
    let read = std::fs::read(path);
    let read = read.map_err(|error| {
        StartError::OpenApi(format!("OPENAPI_FILE {} cannot be read: {error}", path.display()))
    })?;
    Ok(Some(read.into()))
}
