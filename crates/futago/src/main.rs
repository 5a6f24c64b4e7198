//! The command line of Futago.

#![forbid(unsafe_code)]

mod guest;
mod unprotected;
mod vm;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Keeps one virtual machine running on two hosts, so that the loss of either loses nothing.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to log to standard error, as in the environment variable RUST_LOG: a level, or MODULE=LEVEL,…
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one machine, unprotected. Ctrl-A x ends it.
    Run(unprotected::Run),
    /// Run one machine, and record all that it takes to repeat it.
    Record(unprotected::Record),
    /// Repeat what was recorded, and compare.
    Replay(unprotected::Replay),
    /// Guest images.
    #[command(subcommand)]
    Guest(guest::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = start_log(arguments.log.as_deref()).and_then(|()| match arguments.command {
        Command::Run(arguments) => unprotected::run(arguments),
        Command::Record(arguments) => unprotected::record(arguments),
        Command::Replay(arguments) => unprotected::replay(arguments),
        Command::Guest(command) => guest::run(command).map(|()| ExitCode::SUCCESS),
    });
    result.unwrap_or_else(|error| {
        // Nobody is left to be told if standard error is closed.
        let _ = writeln!(std::io::stderr(), "futago: {}", sentence(&error));
        ExitCode::FAILURE
    })
}

fn start_log(filter: Option<&str>) -> anyhow::Result<()> {
    let filter = match filter {
        Some(filter) => EnvFilter::try_new(filter)
            .map_err(|error| anyhow::anyhow!("`--log {filter}` is no filter: {error}"))?,
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    Ok(())
}

/// The whole chain of causes in one line.
fn sentence(error: &anyhow::Error) -> String {
    format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
