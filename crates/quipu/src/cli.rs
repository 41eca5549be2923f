//! The command line, as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Settings;

/// An auditable Go checksum database with a module proxy in front of it.
#[derive(Debug, Parser)]
#[command(
    name = "quipu",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 good, 1 failed or could not check, 2 wrong usage, 3 misbehaviour proven, \
                        4 checked and a difference found."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server; needs no configuration: the first start makes the key and the log.
    Serve(Box<Configured>),
    /// Make a signing key, or show the verifier key of a log.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Check a whole log: every record, tile, root and signed head. Reads only; the server may be running.
    Fsck(Fsck),
    /// Show the configuration in force, or check it.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Settings, with the file that may hold more of them.
#[derive(Debug, Args)]
pub(crate) struct Configured {
    /// TOML file with any of these settings
    #[arg(long, env = "QUIPU_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Write a new signing key to a file and print its verifier key.
    New {
        /// Name of the checksum database, host[/path]
        name: String,
        /// File to write; it must not exist
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Print the verifier key of a log; the server may be running.
    Show(DataDir),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration and say what is wrong with it.
    Check(Box<Configured>),
    /// Print the configuration in force as TOML, with the origin of each setting.
    Show(Box<Configured>),
}

#[derive(Debug, Args)]
pub(crate) struct DataDir {
    /// Data directory of the server
    #[arg(long, env = "QUIPU_DATA", default_value = "quipu-data")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 the log is good, 1 it could not be checked, 4 a difference was \
                       found.")]
pub(crate) struct Fsck {
    /// Data directory of the server, or a backup
    #[arg(default_value = "quipu-data", env = "QUIPU_DATA")]
    pub(crate) dir: PathBuf,
    /// File that remembers the last signed head [default: <DIR>.guard]
    #[arg(long, env = "QUIPU_GUARD")]
    pub(crate) guard: Option<PathBuf>,
    /// Print the verdict as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
