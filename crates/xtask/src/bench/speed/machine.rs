//! One machine that runs workloads: started, listened to, ended. Its guest marks on the console where each begins and
//! ends, and the host's clock counts.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A guest that says nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// The lines of the console that tell what went wrong.
const LAST_LINES: usize = 3;

/// How a workload went.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Seconds, and the number that the work came to.
    Done(f64, String),
    /// It did not end, or not well, because of this.
    Failed(String),
}

/// A program and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    /// A search path for libraries, if it needs one.
    pub(super) libraries: Option<String>,
}

/// A machine that ends with this value.
struct Machine {
    process: Child,
    /// Each line of its console, and when it was there.
    lines: Receiver<(Instant, String)>,
    begin: Instant,
    last: Vec<String>,
    /// Whether nothing more will come.
    lost: bool,
}

impl Machine {
    fn start(line: &Line) -> Result<Self> {
        let begin = Instant::now();
        let mut command = Command::new(&line.program);
        command.args(&line.arguments);
        if let Some(libraries) = &line.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", line.program))?;
        let (sender, lines) = channel();
        let said = process.stdout.take().context("its output is a pipe")?;
        let complained = process.stderr.take().context("its errors are a pipe")?;
        let own = sender.clone();
        // Both threads end with the process' pipes.
        thread::spawn(move || listen(said, |line| own.send(line).is_ok()));
        thread::spawn(move || {
            for line in BufReader::new(complained).lines().map_while(Result::ok) {
                let _ = sender.send((Instant::now(), line));
            }
        });
        Ok(Self {
            process,
            lines,
            begin,
            last: Vec::new(),
            lost: false,
        })
    }

    /// The next line of the console, or why there is none.
    fn line(&mut self) -> Result<(Instant, String), String> {
        let why = match self.lines.recv_timeout(SILENCE_MAX) {
            Ok((instant, line)) => {
                self.last.push(line.clone());
                if self.last.len() > LAST_LINES {
                    self.last.remove(0);
                }
                return Ok((instant, line));
            }
            Err(RecvTimeoutError::Timeout) => "the guest hangs",
            Err(RecvTimeoutError::Disconnected) => "the machine ended",
        };
        self.lost = true;
        Err(format!("{why}; last it said: {}", self.last.join(" | ")))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Whether it lived or not, it is dead.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Stamps each line as it arrives.
fn listen(said: ChildStdout, mut tell: impl FnMut((Instant, String)) -> bool) {
    for line in BufReader::new(said).split(b'\n').map_while(Result::ok) {
        let now = Instant::now();
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if !tell((now, line)) {
            return;
        }
    }
}

/// Seconds from the start of the process until the console says `ready`.
pub(super) fn boot(line: &Line, ready: &str) -> Result<Outcome> {
    let mut machine = Machine::start(line)?;
    loop {
        match machine.line() {
            Ok((instant, line)) if line.contains(ready) => {
                let seconds = instant.duration_since(machine.begin).as_secs_f64();
                return Ok(Outcome::Done(seconds, String::new()));
            }
            Ok(_) => {}
            Err(why) => return Ok(Outcome::Failed(why)),
        }
    }
}

/// Runs the workloads of these names, and tells each outcome as it comes. A machine that ends too early costs the
/// workload that it was at; the others then have another machine.
pub(super) fn work(
    line: impl Fn(&[&str]) -> Result<Line>,
    names: &[&str],
    mut tell: impl FnMut(&str, Outcome),
) -> Result<()> {
    let mut left = names;
    while !left.is_empty() {
        let mut machine = Machine::start(&line(left)?)?;
        let mut begin = None;
        while let Some((name, rest)) = left.split_first() {
            let outcome = match machine.line() {
                Err(why) => Outcome::Failed(why),
                Ok((instant, line)) => match parse(&line, name) {
                    None => continue,
                    Some(Mark::Begin) => {
                        begin = Some(instant);
                        continue;
                    }
                    Some(Mark::Failed(why)) => Outcome::Failed(why),
                    Some(Mark::End(sum)) => match begin {
                        Some(begin) => {
                            Outcome::Done(instant.duration_since(begin).as_secs_f64(), sum)
                        }
                        None => Outcome::Failed("it ended before it began".to_owned()),
                    },
                },
            };
            tell(name, outcome);
            left = rest;
            begin = None;
            if machine.lost {
                break;
            }
        }
    }
    Ok(())
}

/// What the guest says about a workload.
#[derive(Debug, PartialEq)]
enum Mark {
    Begin,
    End(String),
    Failed(String),
}

/// Understands `bench: begin NAME`, `bench: end NAME SUM` and `bench: failed NAME: WHY`.
fn parse(line: &str, name: &str) -> Option<Mark> {
    let (_, words) = line.split_once("bench: ")?;
    let (verb, rest) = words.split_once(' ')?;
    let after = rest.strip_prefix(name)?;
    match verb {
        "begin" if after.is_empty() => Some(Mark::Begin),
        "end" => Some(Mark::End(after.strip_prefix(' ')?.to_owned())),
        "failed" => Some(Mark::Failed(after.strip_prefix(": ")?.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        assert_eq!(parse("bench: begin alu", "alu"), Some(Mark::Begin));
        assert_eq!(
            parse("[ 1.0] bench: end alu 12 3", "alu"),
            Some(Mark::End("12 3".into()))
        );
        assert_eq!(
            parse("bench: failed alu: it broke", "alu"),
            Some(Mark::Failed("it broke".into()))
        );
        assert_eq!(parse("bench: begin alumni", "alu"), None);
        assert_eq!(parse("login:", "alu"), None);
    }

    /// A machine that dies after its first workload of each start.
    #[test]
    fn a_dead_machine_costs_one_workload() {
        let line = |names: &[&str]| {
            let name = names[0];
            let script =
                format!("echo 'bench: begin {name}'; echo 'bench: end {name} 7'; echo oops");
            Ok(Line {
                program: "sh".into(),
                arguments: vec!["-c".into(), script],
                libraries: None,
            })
        };
        let mut outcomes = Vec::new();
        work(line, &["a", "b", "c"], |name, outcome| {
            outcomes.push((name.to_owned(), matches!(outcome, Outcome::Done(..))));
        })
        .unwrap();
        let expected = [("a", true), ("b", false), ("c", true)];
        assert_eq!(
            outcomes,
            expected.map(|(name, done)| (name.to_owned(), done))
        );
    }
}
