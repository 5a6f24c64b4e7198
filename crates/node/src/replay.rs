//! A record, followed to its end: every digest on the way and the final state must be what was recorded.

use crate::vm;
use anyhow::{Context, bail};
use eventlog::record::{Frame, RecordReader};
use eventlog::{Entry, Event, ReplayState, Replayer};
use machine::{Interpreter, InterpreterOptions, Machine, Output, Position, Snapshot};
use std::fs::File;
use std::io::{Read, Write, stdout};
use std::path::PathBuf;

const READ_BYTES: usize = 1 << 20;
/// Positions executed at once.
const BUDGET: u64 = 10_000_000;

/// What to replay, and how.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The record.
    pub record: PathBuf,
    /// Begin with this snapshot of the record, counted from 0.
    pub snapshot: usize,
    /// Execute without the engine's block cache: slower, and must come to the same.
    pub without_block_cache: bool,
    /// Show what the guest said.
    pub console: bool,
}

/// What a replay found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Log entries applied.
    pub entries: u64,
    /// Digests compared, the final one included; all were equal.
    pub digests: u64,
    /// Where the replay began.
    pub from: Position,
    /// Where it ended.
    pub to: Position,
    /// Snapshots in the record.
    pub snapshots: usize,
}

/// Replays a record to its end.
///
/// # Errors
/// A record that cannot be read, is corrupt or cut short, or that this machine does not follow: where, and in what.
pub fn replay(options: &ReplayOptions) -> anyhow::Result<ReplayReport> {
    let name = options.record.display();
    let mut file =
        File::open(&options.record).with_context(|| format!("cannot open the record {name}"))?;
    let mut reader = RecordReader::new();
    let mut piece = vec![0; READ_BYTES];
    let mut player = Player {
        options,
        replayer: None,
        report: ReplayReport::default(),
        ended: false,
    };
    loop {
        let count = file
            .read(&mut piece)
            .with_context(|| format!("cannot read the record {name}"))?;
        if count == 0 {
            break;
        }
        reader.feed(&piece[..count]);
        while let Some(frame) = reader.next_frame().with_context(|| player.so_far())? {
            player
                .take(frame)
                .with_context(|| format!("the record {name}"))?;
        }
    }
    reader.finish().with_context(|| player.so_far())?;
    if player.replayer.is_none() {
        bail!(
            "the record {name} has {} snapshots: there is no number {}",
            player.report.snapshots,
            options.snapshot
        );
    }
    Ok(player.report)
}

struct Player<'a> {
    options: &'a ReplayOptions,
    replayer: Option<Replayer>,
    report: ReplayReport,
    /// The machine is off, as the log said.
    ended: bool,
}

impl Player<'_> {
    fn so_far(&self) -> String {
        format!(
            "the record {} can be followed to position {} only",
            self.options.record.display(),
            self.report.to.0
        )
    }

    fn take(&mut self, frame: Frame) -> anyhow::Result<()> {
        match frame {
            Frame::Header(_) => Ok(()),
            Frame::Snapshot(snapshot) => {
                if self.report.snapshots == self.options.snapshot {
                    let machine = self.restore(&snapshot.state)?;
                    self.report.from = machine.position();
                    self.report.to = machine.position();
                    self.replayer = Some(Replayer::new(machine));
                }
                self.report.snapshots += 1;
                Ok(())
            }
            Frame::Entries(entries) => {
                for entry in entries {
                    self.push(&entry)?;
                }
                self.follow()
            }
            Frame::End(end) => {
                let Some(replayer) = self.replayer.take() else {
                    return Ok(());
                };
                let mut machine = replayer.into_machine();
                let recorded = eventlog::digest_from_bytes(&end.digest)
                    .context("its final digest is malformed")?;
                let differs = recorded.compare(&machine.digest());
                if !differs.is_empty() {
                    bail!(
                        "its final state differs at position {}: {}",
                        machine.position().0,
                        differs.join("; ")
                    );
                }
                self.report.digests += 1;
                self.replayer = Some(Replayer::new(machine));
                Ok(())
            }
        }
    }

    fn restore(&self, state: &[u8]) -> anyhow::Result<Machine> {
        let snapshot = Snapshot::from_bytes(state).context("its snapshot cannot be used")?;
        let engine = if self.options.without_block_cache {
            Box::new(Interpreter::new(InterpreterOptions { block_cache: false }))
        } else {
            vm::engine()
        };
        Machine::restore(&snapshot, engine).context("its snapshot cannot be used")
    }

    fn push(&mut self, entry: &[u8]) -> anyhow::Result<()> {
        let Some(replayer) = &mut self.replayer else {
            return Ok(());
        };
        if self.ended {
            return Ok(());
        }
        if let Ok(Entry {
            event: Event::Digest(_),
            ..
        }) = Entry::decode(entry)
        {
            self.report.digests += 1;
        }
        // Guest time goes on from the log alone: nothing goes live after this.
        replayer
            .push(entry, 0)
            .context("has a log entry that cannot be used")
    }

    /// Executes everything that was given.
    fn follow(&mut self) -> anyhow::Result<()> {
        let Some(replayer) = &mut self.replayer else {
            return Ok(());
        };
        while !self.ended {
            let step = replayer.step(BUDGET);
            self.report.entries += step.applied;
            self.report.to = replayer.machine().position();
            if self.options.console {
                show(step.outputs.iter().flat_map(|(_, outputs)| outputs))?;
            }
            match step.state {
                ReplayState::NeedsLog => return Ok(()),
                ReplayState::Running => {}
                ReplayState::PoweredOff | ReplayState::Reset => self.ended = true,
                ReplayState::Diverged(divergence) => bail!(
                    "is not followed by this machine: they differ between positions {} and {}: {}",
                    divergence.after.0,
                    divergence.at.0,
                    divergence.what.join("; ")
                ),
            }
        }
        Ok(())
    }
}

fn show<'a>(outputs: impl Iterator<Item = &'a Output>) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for output in outputs {
        if let Output::Console(bytes) = output {
            out.write_all(bytes)
                .context("cannot write to standard output")?;
        }
    }
    out.flush().context("cannot write to standard output")
}
