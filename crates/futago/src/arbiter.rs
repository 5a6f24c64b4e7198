//! The arbiter's store and the record in it: made on purpose, shown, and given up by a person.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use node::arbiter::{RecordView, init_store, list, recover, show, what_is_given_up};
use serde_json::json;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a directory a store: once, on a filesystem that every host of its machines sees.
    Init(Init),
    /// Show a machine's record, or which machines there are, and how each is.
    Show(Show),
    /// Give up whatever state of a machine may still live, so that its nodes may start it anew.
    Recover(Recover),
}

#[derive(Args)]
pub(crate) struct Init {
    /// The directory; it is created where it is missing.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Which record.
#[derive(Args)]
pub(crate) struct Which {
    /// The store's directory, as `arbiter.directory` names it.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    /// The machine, as `machine.name` names it.
    #[arg(value_name = "MACHINE")]
    machine: String,
}

#[derive(Args)]
pub(crate) struct Show {
    /// The store's directory, as `arbiter.directory` names it.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    /// The machine, as `machine.name` names it; all, in a line each, if none is named.
    #[arg(value_name = "MACHINE")]
    machine: Option<String>,
    /// One line of JSON; of all machines, a list.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Recover {
    #[command(flatten)]
    which: Which,
    /// Go on to a higher epoch than this one: for a store that was restored from an older copy.
    #[arg(long, value_name = "EPOCH", default_value_t = 0)]
    beyond: u64,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Runs `futago arbiter`.
pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    let mut out = crate::output::lock();
    match command {
        Command::Init(arguments) => {
            let id = init_store(&arguments.directory)?;
            writeln!(out, "{} is store {id}", arguments.directory.display())?;
        }
        Command::Show(Show {
            directory,
            machine: Some(machine),
            json,
        }) => print(&mut out, &show(directory, machine)?, *json)?,
        Command::Show(arguments) => return show_all(&mut out, arguments),
        Command::Recover(arguments) => {
            let Which { directory, machine } = &arguments.which;
            let view = show(directory, machine)?;
            if !arguments.yes {
                ask(&view)?;
            }
            let view = recover(directory, machine, arguments.beyond)?;
            print(&mut out, &view, false)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows all machines; those whose records cannot be read, too.
fn show_all(out: &mut impl Write, arguments: &Show) -> Result<ExitCode> {
    let (store, machines) = list(&arguments.directory)?;
    let is_readable = machines.iter().all(|listed| listed.record.is_ok());
    if arguments.json {
        let views = machines.iter().map(|listed| match &listed.record {
            Ok(view) => serde_json::to_value(view),
            Err(error) => Ok(json!({
                "machine": listed.machine,
                "error": crate::sentence::sentence(error),
            })),
        });
        let views: Vec<_> = views.collect::<Result<_, _>>()?;
        writeln!(out, "{}", serde_json::to_string(&views)?)?;
    } else {
        writeln!(out, "{} is store {store}", arguments.directory.display())?;
        for listed in &machines {
            let how = match &listed.record {
                Ok(view) => view.summary(),
                Err(error) => crate::sentence::sentence(error),
            };
            writeln!(out, "{}: {how}", listed.machine)?;
        }
        if machines.is_empty() {
            writeln!(out, "no machine has been started with it yet")?;
        }
    }
    Ok(match is_readable {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn print(out: &mut impl Write, view: &RecordView, json: bool) -> Result<()> {
    if json {
        writeln!(out, "{}", serde_json::to_string(view)?)?;
    } else {
        writeln!(out, "{view}")?;
    }
    Ok(())
}

/// Says what is given up, and asks twice.
fn ask(view: &RecordView) -> Result<()> {
    let mut said = std::io::stderr().lock();
    writeln!(said, "{view}\n\n{}\n", what_is_given_up(view))?;
    let questions = [
        (
            "Are all of the machine's nodes ended, or to be given up? Answer `yes`: ",
            "yes",
        ),
        (
            "Type the machine's name to give it up: ",
            view.machine.as_str(),
        ),
    ];
    for (question, wanted) in questions {
        write!(said, "{question}")?;
        said.flush()?;
        let mut answer = String::new();
        let length = std::io::stdin().lock().read_line(&mut answer)?;
        if length == 0 || !std::io::stdin().is_terminal() {
            // Nobody ended the line that people see.
            writeln!(said)?;
        }
        if answer.trim() != wanted {
            bail!("nothing was changed: the answer was not `{wanted}` (`--yes` does not ask)");
        }
    }
    Ok(())
}
