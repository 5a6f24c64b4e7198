//! The command line of Futago.

#![forbid(unsafe_code)]

mod guest;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps one virtual machine running on two hosts, so that the loss of either loses nothing.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Guest images.
    #[command(subcommand)]
    Guest(guest::Command),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Guest(command) => guest::run(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told if standard error is closed.
            let _ = writeln!(std::io::stderr(), "futago: {error:#}");
            ExitCode::FAILURE
        }
    }
}
