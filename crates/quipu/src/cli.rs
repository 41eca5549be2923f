//! The command line, as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use quipu_note::VerifierKey;

use crate::config::Settings;
use crate::import::Kind;
use crate::source_test::SourceTest;

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
    /// Copy the log, consistently, while the server may be running.
    Backup(Backup),
    /// Bring a log back from a backup and whatever newer copy can be had, or vouch for a moved one or a lost guard.
    Restore(Box<Restore>),
    /// Take in what others have collected: module caches, trees of other proxies, bundles, go.sum files.
    Import(Box<Import>),
    /// Write modules with the proofs that they are in the log, for places without network.
    Export(Box<Export>),
    /// Have a running server fetch and log what go.sum or go.mod files name, before anybody asks for it.
    Warm(Warm),
    /// Show how a running server is doing.
    Status(Status),
    /// Publish a version of a module to a running server.
    Publish(Publish),
    /// Make, list and revoke tokens; the server may be running.
    #[command(subcommand)]
    Token(TokenCommand),
    /// The log of what was done to a server, and by whom.
    #[command(subcommand)]
    AuditLog(AuditLogCommand),
    /// Show which tokens have downloaded a module version; the server may be running.
    Who(Who),
    /// Take module versions out of service with a reason, or let them back. Their records stay in the log.
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Try where modules come from.
    #[command(subcommand)]
    Source(SourceCommand),
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
pub(crate) enum SourceCommand {
    /// Fetch a module as the server would, and say step by step what works and what does not. Stores and logs nothing.
    Test(Box<SourceTest>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration and say what is wrong with it.
    Check(Box<Configured>),
    /// Print the configuration in force as TOML, with the origin of each setting.
    Show(Box<Configured>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Serve this version no longer; the running server takes note within two seconds.
    Add {
        /// The version
        #[arg(value_name = "MODULE@VERSION")]
        module: String,
        /// Why, in one line: clients are shown it
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        data: DataDir,
    },
    /// Serve this version again.
    Remove {
        /// The version
        #[arg(value_name = "MODULE@VERSION")]
        module: String,
        #[command(flatten)]
        data: DataDir,
    },
    /// Print what is in quarantine, since when and why.
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataDir,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Who got the zip has the code; `go.mod only` is who looked at the version and did not take it. Downloads \
                        without a token of this server are `anonymous`, from wherever they came. Times are UTC: of the first \
                        download, and of the first one on the last day with any.\n\n\
                        Exit codes: 0 shown, also if there is nobody to show; 1 there is no record, or it could not be read."
)]
pub(crate) struct Who {
    /// A version, or globs of module paths as in `go help private`: all versions of what they match
    #[arg(value_name = "MODULE@VERSION|PATTERNS")]
    pub(crate) what: String,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, Args)]
pub(crate) struct DataDir {
    /// Data directory of the server
    #[arg(long, env = "QUIPU_DATA", default_value = "quipu-data")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the log is good, 1 it could not be checked, 3 the log's key has signed two \
                       histories (the evidence is kept in DIR/evidence), 4 a difference was found."
)]
pub(crate) struct Fsck {
    /// Data directory of the server, or a backup
    #[arg(default_value = "quipu-data", env = "QUIPU_DATA")]
    pub(crate) dir: PathBuf,
    /// File that remembers the last signed head [default: DIR.guard]
    #[arg(long, env = "QUIPU_GUARD")]
    pub(crate) guard: Option<PathBuf>,
    /// Print the verdict as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The signing key is never copied: keep it safe by itself. Nor is the module cache: it can be \
                        fetched again, as far as its origins have it. What is published here cannot: copy \
                        DATA/modules too, like any directory."
)]
pub(crate) struct Backup {
    /// Directory to make; it must not exist
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without FROM the log stays as it is, and --moved or --new-guard says what you vouch for. The \
                        server must not be running. Exit code 4: the records that can be had are not those that were \
                        signed."
)]
pub(crate) struct Restore {
    /// Backup or data directory to bring records from
    #[arg(required_unless_present_any = ["moved", "new_guard"])]
    pub(crate) from: Option<PathBuf>,
    /// Newer copy of this log: a data directory, or the URL of another quipu or a mirror. Repeatable
    #[arg(long, value_name = "URL|DIR")]
    pub(crate) newer: Vec<String>,
    /// This copied or moved data directory (or guard) is the only one that will ever be written again
    #[arg(long, conflicts_with = "new_guard")]
    pub(crate) moved: bool,
    /// The guard is lost, and nobody has seen a signed head larger than the log that is here
    #[arg(long)]
    pub(crate) new_guard: bool,
    #[command(flatten)]
    pub(crate) token: TokenArg,
    #[command(flatten)]
    pub(crate) configured: Configured,
}

#[derive(Debug, Args)]
#[command(
    mut_arg("url", |url| url.help("URL of the running server at which go.sum files are looked up [default: http://127.0.0.1:8080]")),
    after_help = "What lies at each PATH is found out by itself. go.sum files: every version is looked up at the running \
                        server --url, which logs it, and compared. Module files: taken into the data directory (--data), whose \
                        server must not be running, after each was verified like a fetched one; what is there already is \
                        compared, so an interrupted import is simply run again. Bundles: taken when all of it is proven by \
                        the key --db.\n\n\
                        Exit codes: 0 all there and equal, 1 something could not be taken or looked up, 3 the key of a \
                        bundle's log has signed two histories, 4 a hash differs or a bundle is refused."
)]
pub(crate) struct Import {
    /// go.sum files, GOMODCACHE, the tree of a module proxy, the disk of Athens, or a bundle (directory or .tar)
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// What lies there, if it is not recognised
    #[arg(long)]
    pub(crate) kind: Option<Kind>,
    /// For a bundle: the verifier key of the log it is of [default: this server's own]
    #[arg(long, value_name = "VKEY")]
    pub(crate) db: Option<VerifierKey>,
    /// Say what would be taken in and what differs, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) caller: Caller,
    #[command(flatten)]
    pub(crate) configured: Configured,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A bundle is served by any file server, or lies where a go command finds it: GOPROXY=file://DIR with \
                        GOSUMDB set to this log's key (`quipu key show`). Another server takes it in with `quipu import`. \
                        go.mod files and MODULE@VERSION bring the stored files of what they require along; a go.sum is \
                        exact. Reads only: the server may be running.\n\n\
                        Exit codes: 0 all exported, 1 failed, or something named is not stored or not logged (the rest is \
                        written; `quipu warm` fetches it)."
)]
pub(crate) struct Export {
    /// go.sum or go.mod files, or single versions
    #[arg(required_unless_present = "all", value_name = "go.sum|go.mod|MODULE@VERSION")]
    pub(crate) what: Vec<String>,
    /// Everything that is stored, with all hash tiles of the log
    #[arg(long, conflicts_with = "what")]
    pub(crate) all: bool,
    /// What to write: a directory, or a tar if the name ends in .tar
    #[arg(short, long, value_name = "DIR|FILE.tar")]
    pub(crate) output: PathBuf,
    /// Also what this server refuses: what is in quarantine and what its policy denies
    #[arg(long)]
    pub(crate) refused_too: bool,
    /// Only what an earlier bundle does not have, or what was logged after a signed head (a file with `/latest`)
    #[arg(long, value_name = "BUNDLE|HEAD")]
    pub(crate) since: Option<PathBuf>,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) configured: Configured,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all of it is cached and logged, 1 something could not be had (it is named)."
)]
pub(crate) struct Warm {
    /// go.sum or go.mod files, or single versions
    #[arg(required = true, value_name = "go.sum|go.mod|MODULE@VERSION")]
    pub(crate) what: Vec<String>,
    /// URL of the server
    #[arg(long, env = "QUIPU_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// Module versions under way at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) parallel: u16,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) caller: Caller,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 ready, 1 not ready or not reached.")]
pub(crate) struct Status {
    /// URL of the server
    #[arg(long, env = "QUIPU_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) caller: Caller,
}

/// What a server is asked with.
#[derive(Debug, Args)]
pub(crate) struct Caller {
    #[command(flatten)]
    pub(crate) token: TokenArg,
    /// Show the ID token of this CI job instead of a token of the server
    #[arg(long, conflicts_with = "token_file")]
    pub(crate) oidc: bool,
    /// Whom the ID token is for [default: the name of the log in GOSUMDB]
    #[arg(long, env = "QUIPU_AUDIENCE")]
    pub(crate) audience: Option<String>,
}

/// A token of a server.
#[derive(Debug, Args)]
pub(crate) struct TokenArg {
    /// File that holds a token of the server
    #[arg(long, env = "QUIPU_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A directory is packed as the go command packs a module; what version control systems keep is left \
                        out. With --oidc a CI job needs no secret: the token comes from QUIPU_ID_TOKEN (GitLab CI), or is asked \
                        for at ACTIONS_ID_TOKEN_REQUEST_URL (GitHub and Forgejo Actions). Exit codes: 0 published, or the same \
                        content was published before; 1 refused or failed; 4 this version has other content there."
)]
pub(crate) struct Publish {
    /// Directory of a module, or module zip
    #[arg(value_name = "DIR|ZIP")]
    pub(crate) source: PathBuf,
    /// Version to publish, such as v1.2.3
    #[arg(long = "version", value_name = "VERSION")]
    pub(crate) module_version: String,
    /// URL of the server
    #[arg(long, env = "QUIPU_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) to: String,
    /// Print what is in the log as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) caller: Caller,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it: the only time that it is shown.
    New(TokenNew),
    /// List tokens: id, name, what they allow, until when, when they were last used.
    List {
        #[command(flatten)]
        data: DataDir,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token; it ends within a second.
    Revoke {
        /// Its id, as listed
        id: String,
        #[command(flatten)]
        data: DataDir,
        /// Print what was revoked as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Scopes: read and publish are for the modules that the patterns match; audit is for what names all \
                        modules (data tiles, feeds); admin for metrics. A client sends the token as the password of \
                        Basic (in .netrc) or as Bearer (GOAUTH)."
)]
pub(crate) struct TokenNew {
    /// What it allows: read, publish, audit, admin. Repeatable, or separated by commas
    #[arg(long, required = true, value_delimiter = ',', value_parser = crate::token::parse_scope)]
    pub(crate) scope: Vec<quipu_server::Scope>,
    /// Module paths that read and publish are for: globs as in `go help private`. Repeatable
    #[arg(long)]
    pub(crate) pattern: Vec<String>,
    /// When it ends: never, 90d, 12h, or a date such as 2027-01-31
    #[arg(long, default_value = "90d")]
    pub(crate) expires: String,
    /// What it is for
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditLogCommand {
    /// Check that every entry is there and unchanged.
    Check(AuditLogCheck),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Whoever can write the file can write a whole new one, or cut off its end: note the hash that is \
                        printed elsewhere, and give it with --known the next time. Exit codes: 0 good, 1 could not be \
                        read, 4 not good."
)]
pub(crate) struct AuditLogCheck {
    /// File to check [default: DATA/audit.log]
    pub(crate) file: Option<PathBuf>,
    /// Hash of an entry, noted earlier, that must still be there
    #[arg(long, value_name = "HASH")]
    pub(crate) known: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data: DataDir,
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
