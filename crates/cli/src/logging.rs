//! Logs, to standard error: text or JSON lines, colours only for a terminal that wants them.

use std::io::{self, IsTerminal};
use std::str::FromStr;

use anyhow::{Result, anyhow};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::args::LogFormat;

/// Starts logging at `level`: a word such as `info`, or a filter such as `fleetkey_iotcore=debug`.
pub(crate) fn init(level: &str, format: LogFormat) -> Result<()> {
    let filter = filter(level)?;
    let colours =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(colours);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow!("logging cannot start: {error}"))
}

/// A bare word is a level: as a filter it would name a module that nobody has, and silence every warning.
fn filter(level: &str) -> Result<EnvFilter> {
    let hint = "try error, warn, info, debug or trace";
    let is_word = !level.is_empty() && level.chars().all(char::is_alphanumeric);
    if is_word && LevelFilter::from_str(level).is_err() {
        return Err(anyhow!("--log-level {level:?} is no level; {hint}"));
    }
    EnvFilter::try_new(level).map_err(|error| anyhow!("--log-level {level:?} is no level ({error}); {hint}"))
}
