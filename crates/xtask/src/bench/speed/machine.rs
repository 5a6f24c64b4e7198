//! One machine that runs workloads: started, listened to, ended. Its guest marks on the console where each begins and
//! ends, and the host's clock counts, or the processor time of the machine's process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::memory::Resident;

/// So long a machine is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(5);
/// The lines of the console that tell what went wrong.
const LAST_LINES: usize = 3;

/// How a workload went.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// How long it took, and what the work came to.
    Done(Taken, String),
    /// It did not end, or not well, because of this.
    Failed(String),
}

/// How long something took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Taken {
    /// By the host's clock.
    pub(super) wall: f64,
    /// Processor time of all threads of the machine's process, but not of its children.
    pub(super) processor: f64,
}

/// When a line came.
#[derive(Clone, Copy)]
struct Moment {
    instant: Instant,
    /// Processor time of the process so far, in seconds.
    processor: f64,
}

impl Moment {
    fn now(process: u32) -> Self {
        Self {
            instant: Instant::now(),
            processor: processor_seconds(process),
        }
    }

    fn since(self, begin: Self) -> Taken {
        Taken {
            wall: self.instant.duration_since(begin.instant).as_secs_f64(),
            processor: (self.processor - begin.processor).max(0.0),
        }
    }
}

/// A program and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    /// A search path for libraries, if it needs one.
    pub(super) libraries: Option<String>,
}

/// How machines are listened to.
#[derive(Clone, Debug)]
pub(super) struct Ear {
    /// A guest that says nothing for so long hangs.
    pub(super) patience: Duration,
    /// Where all that machines say is appended.
    pub(super) log: PathBuf,
}

/// A machine that ends with this value.
struct Machine {
    process: Child,
    /// Each line of its console, and when it was there.
    lines: Receiver<(Moment, String)>,
    begin: Moment,
    patience: Duration,
    log: File,
    last: Vec<String>,
    /// Whether nothing more will come.
    lost: bool,
}

impl Machine {
    fn start(line: &Line, ear: &Ear) -> Result<Self> {
        let log = File::options().create(true).append(true).open(&ear.log);
        let log = log.with_context(|| format!("cannot write {}", ear.log.display()))?;
        let instant = Instant::now();
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
        let id = process.id();
        let (sender, lines) = channel();
        let said = process.stdout.take().context("its output is a pipe")?;
        let complained = process.stderr.take().context("its errors are a pipe")?;
        let own = sender.clone();
        // Both threads end with the process' pipes.
        thread::spawn(move || listen(said, id, |line| own.send(line).is_ok()));
        thread::spawn(move || {
            for line in BufReader::new(complained).lines().map_while(Result::ok) {
                let _ = sender.send((Moment::now(id), line));
            }
        });
        Ok(Self {
            process,
            lines,
            begin: Moment {
                instant,
                processor: 0.0,
            },
            patience: ear.patience,
            log,
            last: Vec::new(),
            lost: false,
        })
    }

    /// The next line of the console, or why there is none.
    fn line(&mut self) -> Result<(Moment, String), String> {
        let why = match self.lines.recv_timeout(self.patience) {
            Ok((moment, line)) => {
                // The log is for people; a measurement does not fail for it.
                let _ = writeln!(self.log, "{line}");
                self.last.push(line.clone());
                if self.last.len() > LAST_LINES {
                    self.last.remove(0);
                }
                return Ok((moment, line));
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
fn listen(said: ChildStdout, process: u32, mut tell: impl FnMut((Moment, String)) -> bool) {
    for line in BufReader::new(said).split(b'\n').map_while(Result::ok) {
        let now = Moment::now(process);
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if !tell((now, line)) {
            return;
        }
    }
}

/// Processor time of a process' threads, in seconds; 0 where the kernel does not count it.
fn processor_seconds(process: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return 0.0;
    };
    // The first number is nanoseconds on a processor (Documentation/scheduler/sched-stats.rst in the kernel's sources).
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let counts = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        counts.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 * 1e-9
}

/// From the start of the process until the console says `ready`; and what memory the machine holds after having been
/// idle for a while.
pub(super) fn boot(line: &Line, ready: &str, ear: &Ear) -> Result<(Outcome, Option<Resident>)> {
    let mut machine = Machine::start(line, ear)?;
    loop {
        match machine.line() {
            Ok((moment, line)) if line.contains(ready) => {
                let outcome = Outcome::Done(moment.since(machine.begin), String::new());
                thread::sleep(IDLE);
                return Ok((outcome, Resident::of(machine.process.id())));
            }
            Ok(_) => {}
            Err(why) => return Ok((Outcome::Failed(why), None)),
        }
    }
}

/// Runs the workloads of these names, and tells each outcome as it comes. A machine that ends too early costs the
/// workload that it was at; the others then have another machine.
pub(super) fn work(
    line: impl Fn(&[&str]) -> Result<Line>,
    names: &[&str],
    ear: &Ear,
    mut tell: impl FnMut(&str, Outcome),
) -> Result<()> {
    let mut left = names;
    while !left.is_empty() {
        let mut machine = Machine::start(&line(left)?, ear)?;
        let mut begin = None;
        while let Some((name, rest)) = left.split_first() {
            let outcome = match machine.line() {
                Err(why) => Outcome::Failed(why),
                Ok((moment, line)) => match parse(&line, name) {
                    None => continue,
                    Some(Mark::Begin) => {
                        begin = Some(moment);
                        continue;
                    }
                    Some(Mark::Failed(why)) => Outcome::Failed(why),
                    Some(Mark::End(sum)) => match begin {
                        Some(begin) => Outcome::Done(moment.since(begin), sum),
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
        let ear = Ear {
            patience: Duration::from_secs(60),
            log: "/dev/null".into(),
        };
        work(line, &["a", "b", "c"], &ear, |name, outcome| {
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
