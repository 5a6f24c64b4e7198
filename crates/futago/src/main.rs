//! The command line of Futago.

#![forbid(unsafe_code)]

mod arbiter;
mod cluster;
mod demo;
mod guest;
mod keys;
mod output;
mod unprotected;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps one virtual machine running on two hosts, so that the loss of either loses nothing.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to log to standard error, instead of warnings and what happens to the machine: off, error,
    /// warn, info, debug or trace, or MODULE=LEVEL,… RUST_LOG in the environment says it, too
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The whole story on this machine: a guest outlives the kills of its primaries.
    Demo(demo::Demo),
    /// Run one machine, unprotected. Ctrl-A x ends it.
    Run(unprotected::Run),
    /// Run one machine, and record all that it takes to repeat it.
    Record(unprotected::Record),
    /// Repeat what was recorded, and compare.
    Replay(unprotected::Replay),
    /// One host's side of a protected machine, whichever its role.
    Node(cluster::Node),
    /// An Ethernet switch for replicas on one machine, with passt as its way out.
    Switch(cluster::Switch),
    /// What a confined switch starts, to keep its uplink.
    #[command(hide = true)]
    Uplink(cluster::KeptUplink),
    /// Ask a running node how it is.
    Status(cluster::Status),
    /// The console of a running node's guest. Ctrl-A x leaves it.
    Console(cluster::Control),
    /// Exchange the roles of primary and backup. Not built yet.
    Swap(cluster::Control),
    /// Tell a running node to leave; its peer goes on.
    Stop(cluster::Stop),
    /// The store of the record that says who is the machine, and what only a person may decide.
    #[command(subcommand)]
    Arbiter(arbiter::Command),
    /// Certificates by which the nodes of a machine know each other.
    Keys(keys::Keys),
    /// Guest images.
    #[command(subcommand)]
    Guest(guest::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result =
        node::log::start(arguments.log.as_deref()).and_then(|()| match arguments.command {
            Command::Demo(arguments) => demo::run(&arguments),
            Command::Run(arguments) => unprotected::run(arguments),
            Command::Record(arguments) => unprotected::record(arguments),
            Command::Replay(arguments) => unprotected::replay(arguments),
            Command::Node(arguments) => cluster::node(&arguments),
            Command::Switch(arguments) => cluster::switch(arguments),
            Command::Uplink(arguments) => cluster::uplink(arguments),
            Command::Status(arguments) => cluster::status(&arguments),
            Command::Console(arguments) => cluster::console(&arguments),
            Command::Swap(_) => Err(anyhow::anyhow!(
                "exchanging the roles is not built yet; stop the primary, and its backup takes over"
            )),
            Command::Stop(arguments) => cluster::stop(&arguments),
            Command::Arbiter(command) => arbiter::run(&command),
            Command::Keys(arguments) => keys::run(&arguments),
            Command::Guest(command) => guest::run(command).map(|()| ExitCode::SUCCESS),
        });
    let code = result.unwrap_or_else(|error| {
        node::log::say(&format!("futago: {}", sentence(&error)));
        ExitCode::FAILURE
    });
    node::log::finish();
    code
}

/// The whole chain of causes in one line.
fn sentence(error: &anyhow::Error) -> String {
    format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
