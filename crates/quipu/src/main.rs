//! The `quipu` program: an auditable Go checksum database and module proxy.

mod audit_log;
mod backup;
mod bundle;
mod cli;
mod config;
mod export;
mod files;
mod fsck;
mod hooks;
mod id_token;
mod import;
mod keys;
mod logging;
mod logins;
mod oidc;
mod opening;
mod output;
mod pack;
mod policy;
mod progress;
mod publish;
mod quarantine;
mod remote;
mod replay;
mod restore;
mod serve;
mod source_test;
mod sources;
mod status;
mod store;
mod time;
mod token;
mod upstream;
mod view;
mod wanted;
mod warm;
mod who;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::{AuditLogCommand, Cli, Command, ConfigCommand, Configured, KeyCommand, SourceCommand};
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
        Command::Import(import) => return import::run(*import),
        Command::Export(export) => return export::run(&export),
        Command::Warm(warm) => return warm::run(&warm),
        Command::Status(status) => return status::run(&status),
        Command::Publish(publish) => return publish::run(&publish),
        Command::Token(command) => return token::run(command),
        Command::AuditLog(AuditLogCommand::Check(check)) => return audit_log::check(check),
        Command::Source(SourceCommand::Test(test)) => return source_test::command(*test),
        Command::Who(who) => return who::run(&who),
        Command::Quarantine(command) => return quarantine::run(&command),
        Command::Config(ConfigCommand::Check(configured)) => {
            let config = resolve(*configured)?;
            config.tls()?;
            config.check_patterns()?;
            policy::rulebook(&config.set.policy)?;
            sources::check(&config)?;
            oidc::check(&config)?;
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
