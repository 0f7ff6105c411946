//! Where log lines go and how they look: standard error, as RUST_LOG and LOG_FORMAT say.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Config, ConfigError, LogFormat};

/// Sets up logging for the whole process.
pub fn start(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| ConfigError(format!("RUST_LOG is no filter such as info or debug: {error}")))?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    // A second start in one process keeps the first one's lines.
    drop(started);
    Ok(())
}
