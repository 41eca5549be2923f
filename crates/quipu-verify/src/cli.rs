//! The command line: one command, one file that has its arguments and does its work.

use clap::{Parser, Subcommand};

use crate::{audit, check, doctor, evidence, generate, lookup, monitor, prove, verify_proof, why};

/// Checks Go checksum databases, and what came through them, without trusting anything but their keys.
#[derive(Debug, Parser)]
#[command(
    name = "quipu-verify",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 good, 1 failed or could not check, 2 wrong usage, 3 misbehaviour proven \
                        (the evidence is in a file whose path is printed), 4 checked and a difference found."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check every hash of go.sum files or of a module cache against the log.
    Check(check::Check),
    /// Check every record and tile of a log against its signed head.
    Audit(audit::Audit),
    /// Look a module version up and prove that the log holds it.
    Lookup(lookup::Lookup),
    /// Show who holds which hashes of a module version, and why they differ.
    Why(why::Why),
    /// Follow a log: check each step, report new versions, and say when it misbehaves or stalls.
    Monitor(monitor::Monitor),
    /// Write a file that proves every line of a go.sum, or one record, to others.
    Prove(prove::Prove),
    /// Check proof files offline, and a go.sum against them.
    VerifyProof(verify_proof::VerifyProof),
    /// Say what leaks, what is unverified and what is broken in the go set-up of this machine.
    Doctor(doctor::Doctor),
    /// Check evidence against a database offline.
    Evidence(evidence::Accusations),
    /// Print a shell's completions of these commands.
    Completions(generate::Completions),
    /// Write the manual pages of these commands.
    Man(generate::Man),
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
