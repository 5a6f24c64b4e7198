//! Addresses of hosts that are given by name. Whoever answers for names may take any time, and a confined node may ask nobody: a
//! process beside the node does, one for each name, and ends with it.

use anyhow::Context;
use std::io::{BufRead, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::pipe::{Receiver, Sender};

/// Of the addresses of one name, so many are used.
const ADDRESSES_MAX: usize = 8;

/// Who is asked for the addresses of one host.
#[derive(Debug)]
pub(crate) struct Lookup {
    questions: Sender,
    answers: Lines<BufReader<Receiver>>,
}

impl Lookup {
    /// Starts this very program to answer. Must be called within a tokio runtime, and before this process gives up to start
    /// programs.
    pub(crate) fn start(host: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(&program)
            .args(["lookup", "--", host])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A terminal's signals are for the node, which may have to stay.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mute = "the process that looks for names is mute";
        let questions = child.stdin.take().context(mute)?;
        let answers = child.stdout.take().context(mute)?;
        let answers = Receiver::from_owned_fd(answers.into()).context(mute)?;
        Ok(Self {
            questions: Sender::from_owned_fd(questions.into()).context(mute)?,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// The addresses that the name has now, at least one; or why there is none, as a phrase. Takes as long as it takes.
    ///
    /// # Errors
    /// The process has ended: there will be no other answer.
    pub(crate) async fn ask(&mut self) -> anyhow::Result<Result<Vec<IpAddr>, String>> {
        self.questions.write_all(b"\n").await?;
        let line = self.answers.next_line().await?;
        let line = line.context("the process that looks for names has ended")?;
        Ok(match line.strip_prefix(FOUND) {
            Some(addresses) => Ok(addresses
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect()),
            None => Err(line),
        })
    }
}

/// Begins a line with addresses; any other says why there are none.
const FOUND: &str = "found ";

/// What the process does: for each line of standard input, one line on standard output, until the node is gone.
///
/// # Errors
/// Standard output is closed.
pub fn answer_lookups(host: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        line?;
        match look_up(host) {
            Ok(addresses) => {
                let words: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                writeln!(out, "{FOUND}{}", words.join(" "))?;
            }
            Err(reason) => writeln!(out, "{}", reason.replace('\n', " "))?,
        }
        out.flush()?;
    }
    Ok(())
}

/// The addresses that a name has now, at least one; or why there is none, as a phrase. Blocks.
pub(crate) fn look_up(host: &str) -> Result<Vec<IpAddr>, String> {
    let found = (host, 0).to_socket_addrs().map_err(|error| {
        let said = error.to_string();
        // The library's name for the call means nothing to a user.
        let said = said.strip_prefix("failed to lookup address information: ");
        let said = said.map_or_else(|| error.to_string(), str::to_owned);
        format!("the host's name is not known here ({said})")
    })?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|address| address.ip()) {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err("the host's name has no address".to_owned()),
        false => Ok(addresses),
    }
}
