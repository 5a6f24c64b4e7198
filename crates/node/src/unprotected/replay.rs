//! `futago replay`: repeats what a record says as fast as this host can, and compares on the way.

use super::record::final_state;
use crate::clock::HostClock;
use crate::engine::EngineChoice;
use crate::open_files;
use crate::sandbox::{Kind, Sandbox};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use eventlog::record::{End, Frame, RecordError, RecordReader, Snapshot};
use eventlog::{Divergence, Entry, Event, digest_from_bytes};
use machine::{Input, Machine, Output, Position};
use replica::{Advice, Command, Executor, ExecutorConfig, Report};
use replication::LogIndex;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Positions after which progress is told: a fraction of a second.
const SLICE: u64 = 20_000_000;
const READ_BYTES: usize = 1 << 20;
const HASH_BYTES: usize = 32;
/// An executor that was given a machine has one.
const GONE: &str = "the machine is gone";

/// The record does not hold what it should.
#[derive(Debug, Error)]
#[error("{0}")]
struct Damage(String);

/// Whether an error of [`replay`] says that the record is damaged or cut off, and not that it cannot be read, or is none.
pub fn is_damage(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(RecordError::Magic | RecordError::Version(_) | RecordError::TooLarge(_)) => false,
        Some(_) => true,
        None => error.is::<Damage>(),
    }
}

/// Options of `futago replay`.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The record.
    pub file: PathBuf,
    /// Also compare the whole state, byte by byte, at each snapshot and at the end.
    pub verify: bool,
    /// Which snapshot to start from; 0 is the beginning.
    pub from_snapshot: u64,
    /// What executes the guest.
    pub engine: EngineChoice,
    /// Whether the process gives up all that it needs no more once the record is open; for good.
    pub confined: bool,
}

/// What the replay did.
#[derive(Clone, Debug)]
pub struct ReplaySummary {
    /// What the record says of the machine.
    pub machine: String,
    /// Where it began, and where it ended.
    pub positions: (Position, Position),
    /// Entries applied.
    pub entries: u64,
    /// Digests that agreed.
    pub digests: u64,
    /// Snapshots that were equal, byte by byte.
    pub snapshots: u64,
    /// Time spent on executing.
    pub executing: Duration,
    /// Hash of the final state; none where the machine diverged before.
    pub state: Option<blake3::Hash>,
    /// The first difference.
    pub divergence: Option<Divergence>,
}

/// What a replay tells while it goes on.
#[derive(Debug)]
pub enum ReplayEvent<'a> {
    /// It has come so far.
    Position(Position),
    /// The guest said this on its console.
    Console(&'a [u8]),
}

/// Replays a record to its end, or to the first difference.
///
/// # Errors
/// The record cannot be read, is damaged or ends too early; it was replayed without difference up to there.
pub fn replay(
    options: &ReplayOptions,
    show: &mut dyn FnMut(ReplayEvent<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<ReplaySummary> {
    let mut replay = Replay {
        options,
        show,
        snapshots_seen: 0,
        clock: HostClock::system(),
        executor: None,
        next: LogIndex(1),
        replayed: LogIndex(0),
        summary: ReplaySummary {
            machine: String::new(),
            positions: (Position(0), Position(0)),
            entries: 0,
            digests: 0,
            snapshots: 0,
            executing: Duration::ZERO,
            state: None,
            divergence: None,
        },
    };
    let result = replay.read();
    if let Some(executor) = &replay.executor {
        replay.summary.positions.1 = executor.status().position;
    }
    replay.summary.entries = replay.replayed.0;
    match result {
        Ok(None) => {}
        Ok(Some(divergence)) => replay.summary.divergence = Some(divergence),
        Err(error) => {
            let file = options.file.display();
            let mut what = match &replay.executor {
                _ if is_damage(&error) => format!("the record {file} is damaged"),
                Some(_) => format!("cannot replay {file} to its end"),
                None => format!("cannot replay {file}"),
            };
            if replay.executor.is_some() {
                let position = replay.summary.positions.1.0;
                write!(what, " (up to position {position} there is no difference)")
                    .expect("a string takes all");
            }
            return Err(error.context(what));
        }
    }
    Ok(replay.summary)
}

struct Replay<'a> {
    options: &'a ReplayOptions,
    show: &'a mut dyn FnMut(ReplayEvent<'_>) -> anyhow::Result<()>,
    snapshots_seen: u64,
    clock: HostClock,
    /// From the chosen snapshot on.
    executor: Option<Executor>,
    /// Index of the next entry that is read, counted from there, and of the last one that was replayed.
    next: LogIndex,
    replayed: LogIndex,
    summary: ReplaySummary,
}

impl Replay<'_> {
    /// Reads and repeats the whole record; says where the machine differs first, if it does.
    fn read(&mut self) -> anyhow::Result<Option<Divergence>> {
        open_files::ensure_room(open_files::MACHINE_FILES)?;
        let mut file = File::open(&self.options.file).context("it cannot be opened")?;
        let mut sandbox = Sandbox::new(Kind::Machine, self.options.confined)?;
        sandbox.limit_files(&[])?;
        sandbox.limit_calls()?;
        let mut reader = RecordReader::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut end = None;
        loop {
            let length = file.read(&mut buffer).context("it cannot be read")?;
            if length == 0 {
                break;
            }
            reader.feed(&buffer[..length]);
            while let Some(frame) = reader.next_frame()? {
                let divergence = match frame {
                    Frame::Header(header) => {
                        ensure!(
                            header.semantics == machine::SEMANTICS,
                            "it was made by a Futago whose machines have semantics {}, and those of this one have {}: a guest \
                             would go other ways; replay it with a Futago of the same semantics",
                            header.semantics,
                            machine::SEMANTICS
                        );
                        self.summary.machine = header.machine;
                        None
                    }
                    Frame::Snapshot(snapshot) => self.take_snapshot(&snapshot)?,
                    Frame::Entries(entries) => self.repeat(entries)?,
                    Frame::End(whole) => {
                        end = Some(whole);
                        None
                    }
                };
                if divergence.is_some() {
                    return Ok(divergence);
                }
            }
        }
        reader.finish()?;
        let end = end.with_context(|| Damage("it has no end".to_owned()))?;
        self.compare_end(&end)
    }

    /// Starts from a snapshot, or compares it with the machine.
    fn take_snapshot(&mut self, snapshot: &Snapshot) -> anyhow::Result<Option<Divergence>> {
        let number = self.snapshots_seen;
        self.snapshots_seen += 1;
        if number == self.options.from_snapshot {
            let state = machine::Snapshot::from_bytes(&snapshot.state)
                .with_context(|| Damage(format!("its snapshot {number} is of no use")))?;
            let memory_bytes = state.config().map_or(0, |config| config.memory_bytes);
            let machine = Machine::restore(&state, self.options.engine.engine(memory_bytes)?)
                .with_context(|| Damage(format!("its snapshot {number} is of no use")))?;
            self.summary.positions.0 = machine.position();
            self.executor = Some(self.follow(machine)?);
            return Ok(None);
        }
        match self.executor.take() {
            Some(executor) if self.options.verify => {
                let after = executor.status().agreed;
                let mut machine = executor.into_machine().context(GONE)?;
                // The log has just done the same; a record that was tampered with may have not.
                machine
                    .apply(Input::Synchronize)
                    .context("a snapshot cannot be taken")?;
                let equal = machine.snapshot().to_bytes() == snapshot.state;
                let at = machine.position();
                self.executor = Some(self.follow(machine)?);
                if !equal {
                    let what = vec![format!(
                        "the state in snapshot {number} of the record, compared byte by byte"
                    )];
                    return Ok(Some(Divergence { after, at, what }));
                }
                self.summary.snapshots += 1;
            }
            other => self.executor = other,
        }
        Ok(None)
    }

    /// Lets a machine replay what comes next.
    fn follow(&mut self, machine: Machine) -> anyhow::Result<Executor> {
        let engines = self.options.engine.source(0);
        let mut executor = Executor::new(Some(machine), engines, ExecutorConfig::default());
        let next = self.next;
        executor.handle(self.clock.ticks(), Command::Follow { next })?;
        Ok(executor)
    }

    /// Repeats what entries say.
    fn repeat(&mut self, entries: Vec<Vec<u8>>) -> anyhow::Result<Option<Divergence>> {
        let Some(executor) = &mut self.executor else {
            return Ok(None);
        };
        for bytes in &entries {
            let entry = Entry::decode(bytes)
                .with_context(|| Damage("it holds an entry that is none".to_owned()))?;
            if matches!(entry.event, Event::Digest(_)) {
                self.summary.digests += 1;
            }
        }
        let first = self.next;
        self.next = first.plus(entries.len() as u64);
        let entries = entries.into_iter().map(Bytes::from).collect();
        executor.handle(self.clock.ticks(), Command::Replay { first, entries })?;
        let begun = Instant::now();
        let mut divergence = None;
        loop {
            let advice = executor.step(self.clock.ticks(), SLICE);
            while let Some(report) = executor.poll_report() {
                match report {
                    Report::Replayed { index, outputs } => {
                        self.replayed = index;
                        for output in outputs.into_iter().flat_map(|(_, outputs)| outputs) {
                            if let Output::Console(bytes) = output {
                                (self.show)(ReplayEvent::Console(&bytes))?;
                            }
                        }
                    }
                    Report::Diverged(what) => divergence = Some(what),
                    // What follows in the record shows that, or is too much.
                    Report::Verified | Report::PoweredOff | Report::ResetAsked => {}
                    Report::Appended { .. }
                    | Report::SnapshotTaken { .. }
                    | Report::Requested { .. }
                    | Report::Restored { .. } => {
                        bail!("a machine that replays reports a recording: this is a bug in Futago")
                    }
                }
            }
            if advice != Advice::Again {
                break;
            }
            (self.show)(ReplayEvent::Position(executor.status().position))?;
        }
        self.summary.executing += begun.elapsed();
        (self.show)(ReplayEvent::Position(executor.status().position))?;
        ensure!(
            divergence.is_some() || self.replayed.next() == self.next,
            Damage("it goes on after the machine was switched off".to_owned())
        );
        Ok(divergence)
    }

    /// Compares the final state with what the record's end says.
    fn compare_end(&mut self, end: &End) -> anyhow::Result<Option<Divergence>> {
        let Some(executor) = self.executor.take() else {
            bail!(
                "there is no snapshot {} to start from; the record has {}, and the first has number 0",
                self.options.from_snapshot,
                self.snapshots_seen
            );
        };
        let status = executor.status();
        let (after, at) = (status.agreed, status.position);
        self.summary.positions.1 = at;
        let Some((recorded, digest)) = end.digest.split_first_chunk::<HASH_BYTES>() else {
            bail!(Damage(
                "its end does not say what the final state is".to_owned()
            ));
        };
        let theirs = digest_from_bytes(digest).with_context(|| {
            Damage("the digest of its final state cannot be decoded".to_owned())
        })?;
        let (mine, state) = final_state(executor.into_machine().context(GONE)?)?;
        self.summary.state = Some(state);
        let mut what = mine.compare(&theirs);
        if what.is_empty() && state != *recorded {
            what.push("the final state, compared byte by byte".to_owned());
        }
        if at != end.position {
            what.push(format!(
                "the last position ({} and {})",
                at.0, end.position.0
            ));
        }
        Ok((!what.is_empty()).then_some(Divergence { after, at, what }))
    }
}
