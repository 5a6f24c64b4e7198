//! The command line of Futago.

#![forbid(unsafe_code)]

mod arbiter;
mod cluster;
mod console;
mod demo;
mod guest;
mod keys;
mod output;
mod sentence;
mod unprotected;
mod vm;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use sentence::sentence;

/// Keeps one virtual machine running on two hosts, so that the loss of either loses nothing.
#[derive(Parser)]
#[command(version, max_term_width = 80)]
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
    /// What a node starts, to look for the addresses of a host.
    #[command(hide = true)]
    Lookup {
        /// The host's name.
        host: String,
    },
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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return explain(&answer),
    };
    let result =
        node::log::start(arguments.log.as_deref()).and_then(|()| match arguments.command {
            Command::Demo(arguments) => demo::run(&arguments),
            Command::Run(arguments) => unprotected::run(arguments),
            Command::Record(arguments) => unprotected::record(arguments),
            Command::Replay(arguments) => unprotected::replay(arguments),
            Command::Node(arguments) => cluster::node(&arguments),
            Command::Switch(arguments) => cluster::switch(arguments),
            Command::Uplink(arguments) => cluster::uplink(arguments),
            Command::Lookup { host } => node::answer_lookups(&host).map(|()| ExitCode::SUCCESS),
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
    let result = result.and_then(|code| {
        output::finish()?;
        Ok(code)
    });
    let code = result.unwrap_or_else(|error| {
        node::log::say(&format!("futago: {}", sentence(&error)));
        ExitCode::FAILURE
    });
    node::log::finish();
    code
}

/// Prints what the command line led to instead of a command: help, or what is wrong with it.
fn explain(answer: &clap::Error) -> ExitCode {
    let printed = answer.print().and_then(|()| std::io::stdout().flush());
    match printed {
        // Whoever closed it has read enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let error = anyhow::Error::new(error).context("cannot write to standard output");
            node::log::say(&format!("futago: {}", sentence(&error)));
            ExitCode::FAILURE
        }
        _ => ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(u8::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn help_fits_80_columns() {
        let mut commands = vec![Arguments::command().max_term_width(80)];
        commands[0].build();
        while let Some(mut command) = commands.pop() {
            let name = command.get_bin_name().unwrap_or_default().to_owned();
            for help in [command.render_help(), command.render_long_help()] {
                for line in help.to_string().lines() {
                    assert!(line.chars().count() <= 80, "{name}: {line}");
                }
            }
            let shown = command
                .get_subcommands()
                .filter(|command| !command.is_hide_set());
            commands.extend(shown.cloned());
        }
    }
}
