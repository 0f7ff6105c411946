//! The command `flux-resourceset`: the environment in, an exit code out. 0: told to end and drained;
//! 1: the system failed it; 2: a person must change the configuration, the seed file or the store first.

use std::process::ExitCode;

use flux_resourceset_server::config::Config;
use flux_resourceset_server::{Source, logging, run};
use tikv_jemallocator::Jemalloc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// What is read at a start, and dropped once the Fleet is made of it, goes back to the system within a second;
/// glibc's keeps it for good. How it does that is set in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        return fail(2, &"takes no arguments: it is configured by environment variables such as AUTH_TOKEN");
    }
    let config = match Config::from_env().and_then(|config| logging::start(&config).map(|()| config)) {
        Ok(config) => config,
        Err(error) => return fail(2, &error),
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(serve(config));
            // What still computes after the drain computes for nobody.
            runtime.shutdown_background();
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
