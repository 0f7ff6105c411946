//! The command `flux-resourceset`: the environment in, an exit code out. 0: told to end and drained, or done;
//! 1: the system failed it; 2: a person must change the configuration, the seed file or the store first.

use std::io::Write;
use std::process::ExitCode;

use flux_resourceset_server::backup::{self, Undone};
use flux_resourceset_server::command::{Command, HELP, VERSION};
use flux_resourceset_server::config::{ApiMode, Config, ConfigError, Database};
use flux_resourceset_server::{Source, logging, run};
use tikv_jemallocator::Jemalloc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// What is read at a start, and dropped once the Fleet is made of it, goes back to the system within a second;
/// glibc's keeps it for good. How it does that is set in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve) => serving(),
        Ok(Command::Help) => print(HELP),
        Ok(Command::Version) => print(VERSION),
        Ok(Command::Backup(to)) => ended(Database::from_env(ApiMode::ReadOnly), |database| async move {
            backup::back_up(&database, &to).await
        }),
        Ok(Command::Restore(from)) => ended(Database::from_env(ApiMode::Crud), |database| async move {
            backup::restore(&database, &from).await
        }),
        Err(why) => fail(2, &why),
    }
}

fn serving() -> ExitCode {
    let config = match Config::from_env().and_then(|config| logging::start(&config).map(|()| config)) {
        Ok(config) => config,
        Err(error) => return fail(2, &error),
    };
    in_runtime(serve(config))
}

/// Does `work` with a store, and says what came of it.
fn ended<F>(database: Result<Database, ConfigError>, work: impl FnOnce(Database) -> F) -> ExitCode
where
    F: Future<Output = Result<String, Undone>>,
{
    match database {
        Ok(database) => {
            let work = work(database);
            in_runtime(async {
                match work.await {
                    Ok(done) => say(&done),
                    Err(Undone { code, sentence }) => fail(code, &sentence),
                }
            })
        }
        Err(error) => fail(2, &error),
    }
}

fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // What still computes after the drain computes for nobody.
            runtime.shutdown_background();
            logging::finish();
            code
        }
        Err(error) => fail(1, &error),
    }
}

async fn serve(config: Config) -> ExitCode {
    let listener = match TcpListener::bind(&config.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            return fail(2, &format_args!("LISTEN_ADDR {} cannot be listened on: {error}", config.listen));
        }
    };
    let (terminate, interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => return fail(1, &error),
    };
    match listener.local_addr() {
        Ok(address) => tracing::info!(mode = config.api_mode.as_str(), "listening on {address}"),
        Err(error) => return fail(1, &error),
    }
    let source = Source::of(&config);
    match run(listener, source, config, either(terminate, interrupt)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_code(), &error),
    }
}

async fn either(mut terminate: tokio::signal::unix::Signal, mut interrupt: tokio::signal::unix::Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Not through tracing: it must be seen whatever RUST_LOG says.
#[allow(clippy::print_stderr, reason = "the one line that says why there is no server")]
fn fail(code: u8, why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("flux-resourceset: {why}");
    ExitCode::from(code)
}

/// Not on standard output, where the backup itself may be.
#[allow(clippy::print_stderr, reason = "the one line that says what was done")]
fn say(what: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("flux-resourceset: {what}");
    ExitCode::SUCCESS
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}
