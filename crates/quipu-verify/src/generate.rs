//! Manual pages and shell completions, made from the arguments themselves.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};

use crate::cli::Cli;
use crate::exit::Exit;

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  quipu-verify completions bash > /etc/bash_completion.d/quipu-verify")]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  quipu-verify man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Directory to write the pages to; it is made if it does not exist
    dir: PathBuf,
}

/// Prints completions.
///
/// # Errors
/// None; the result is that of every command.
pub(crate) fn completions(args: &Completions) -> Result<Exit> {
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut std::io::stdout());
    Ok(Exit::Good)
}

/// Writes manual pages.
///
/// # Errors
/// They cannot be written.
pub(crate) fn man(args: &Man) -> Result<Exit> {
    let cannot = || format!("cannot write manual pages to {}", args.dir.display());
    std::fs::create_dir_all(&args.dir).with_context(cannot)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).with_context(cannot)?;
    Ok(Exit::Good)
}

const NAME: &str = "quipu-verify";
