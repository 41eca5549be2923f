//! Log lines on stderr: one an event, for people or as JSON.

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::config::{Format, Output};

/// Turns logging on.
///
/// # Errors
/// The level is none.
pub(crate) fn start(output: &Output) -> Result<()> {
    let level = output.level.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(level).with_context(|| format!("log level {level:?}: not a level"))?;
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match output.format.unwrap_or_default() {
        Format::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        Format::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
