//! `futago keys`: certificates by which the nodes of a machine know each other.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use node::certificate::date;
use node::keys::{
    self, AUTHORITY_CERTIFICATE_FILE, AUTHORITY_KEY_FILE, DAYS_DEFAULT, NodeKeyFiles,
    load_withdrawn,
};
use node::status::days_left;

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = false,
    subcommand_negates_reqs = true
)]
pub(crate) struct Keys {
    /// Where the keys are. An authority that is there already issues the new certificates.
    #[arg(long, value_name = "DIRECTORY", default_value = "keys", global = true)]
    directory: PathBuf,
    /// The machine that the nodes are of: `machine.name` in their configurations.
    #[arg(long, value_name = "NAME", required = true)]
    machine: Option<String>,
    /// Days that the certificates are good for.
    #[arg(long, value_name = "DAYS", default_value_t = DAYS_DEFAULT, global = true, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Names of the nodes.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Whose certificates there are, and when they end.
    Show {
        /// Names of nodes; all if none is given.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Issue certificates anew, for the same keys. Copy them to their hosts, and send SIGHUP to the nodes.
    Renew {
        /// Names of nodes.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Take back every certificate that was issued to a node, and remove its files here. Copy the list to the hosts, and
    /// send SIGHUP to the nodes.
    Withdraw {
        /// The node.
        #[arg(value_name = "NAME")]
        name: String,
        /// Its machine, where its certificate is not there to say it.
        #[arg(long = "machine", value_name = "NAME")]
        machine_name: Option<String>,
    },
}

/// Runs `futago keys`.
pub(crate) fn run(arguments: &Keys) -> Result<ExitCode> {
    let mut out = crate::output::lock();
    let (directory, days) = (&arguments.directory, arguments.days);
    match &arguments.command {
        None => {
            let machine = arguments.machine.as_deref().unwrap_or_default();
            let ends = keys::in_days(days);
            for files in keys::create_keys_until(directory, machine, &arguments.names, ends)? {
                writeln!(
                    out,
                    "{}\n{}",
                    files.certificate.display(),
                    files.key.display()
                )?;
            }
            writeln!(out, "good until {}", date(ends))?;
            writeln!(
                out,
                "each host takes {AUTHORITY_CERTIFICATE_FILE} and its own two files; {AUTHORITY_KEY_FILE} stays at home"
            )?;
        }
        Some(Command::Show { names }) => {
            keys::check_authority(directory)?;
            let names = if names.is_empty() {
                keys::names_in(directory)?
            } else {
                names.clone()
            };
            if names.is_empty() {
                bail!(
                    "{} holds no node's certificate; `futago keys --machine NAME a b` makes two",
                    directory.display()
                );
            }
            for name in names {
                let files = NodeKeyFiles::in_directory(directory, &name);
                let facts = keys::read_facts(&files.certificate)?;
                let state = if load_withdrawn(&files.withdrawn)?.holds(&facts.credential()) {
                    "was withdrawn".to_owned()
                } else {
                    days_left(facts.days_left(SystemTime::now()))
                };
                let (subject, ends) = (&facts.subject, date(facts.ends));
                writeln!(out, "{name}: {subject}, until {ends}, {state}")?;
            }
        }
        Some(Command::Renew { names }) => {
            for name in names {
                let files = keys::renew_keys(directory, name, keys::in_days(days))?;
                writeln!(out, "{}", files.certificate.display())?;
            }
        }
        Some(Command::Withdraw { name, machine_name }) => {
            let list = keys::withdraw_keys(directory, name, machine_name.as_deref())?;
            writeln!(out, "{}", list.display())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
