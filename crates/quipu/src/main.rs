//! The `quipu` program: an auditable Go checksum database and module proxy.

mod backup;
mod cli;
mod config;
mod fsck;
mod import;
mod keys;
mod logging;
mod output;
mod progress;
mod remote;
mod replay;
mod restore;
mod serve;
mod status;
mod upstream;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::{Cli, Command, ConfigCommand, Configured, KeyCommand};
use config::Config;
use keys::DataDir;
use output::tell;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("quipu: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Serve(configured) => serve::run(&resolve(*configured)?)?,
        Command::Key(KeyCommand::New { name, output }) => {
            let key = keys::generate(&name)?;
            keys::write_key(&output, &key)?;
            tell(key.verifier())?;
        }
        Command::Key(KeyCommand::Show(dir)) => tell(DataDir::new(dir.data).verifier()?)?,
        Command::Fsck(fsck) => return fsck::run(&fsck),
        Command::Backup(backup) => backup::run(&backup)?,
        Command::Restore(restore) => return restore::run(*restore),
        Command::Import(import) => return import::run(&import),
        Command::Status(status) => return status::run(&status),
        Command::Config(ConfigCommand::Check(configured)) => {
            resolve(*configured)?.tls()?;
            tell("the configuration is good")?;
        }
        Command::Config(ConfigCommand::Show(configured)) => tell(resolve(*configured)?.show()?.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the layers of the configuration together.
fn resolve(configured: Configured) -> Result<Config> {
    Config::resolve(configured.settings, configured.config.as_deref())
}
