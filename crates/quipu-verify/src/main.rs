//! The `quipu-verify` program: checks Go checksum databases without trusting them.

mod audit;
mod check;
mod cli;
mod database;
mod doctor;
mod evidence;
mod exit;
mod generate;
mod goenv;
mod local;
mod lookup;
mod monitor;
mod net;
mod output;
mod progress;
mod prove;
mod report;
mod runtime;
mod sums;
mod verify_proof;
mod why;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::{Cli, Command};
use exit::Exit;

fn main() -> ExitCode {
    let exit = run(Cli::parse()).unwrap_or_else(|error| {
        eprintln!("quipu-verify: {error:#}");
        Exit::of_error(&error)
    });
    exit.into()
}

fn run(cli: Cli) -> Result<Exit> {
    match cli.command {
        Command::Audit(args) => audit::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Lookup(args) => lookup::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Monitor(args) => monitor::run(&args),
        Command::Prove(args) => prove::run(&args),
        Command::VerifyProof(args) => verify_proof::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Evidence(args) => evidence::run(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
    }
}
