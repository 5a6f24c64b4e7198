//! The half of a replica that runs the guest, driven by commands, host time and a budget, and drained of reports.
//!
//! ```text
//!  Empty ──Restore──▶ Replaying ──GoLive (all applied)──▶ Recording ──guest stops──▶ Stopped
//!    Ready (has a machine) ──Run────────────────────────────▲
//!    Ready ──Follow──▶ Replaying
//!  any ──Restore──▶ Replaying (or Stopped, if it fails)     Replaying ──differs──▶ Stopped
//!  any ──Halt──▶ Halted
//! ```

use crate::command::Command;
use crate::config::{ExecutorConfig, ReplicationMode};
use crate::recording::Recording;
use crate::replaying::Replaying;
use crate::report::Report;
use crate::status::{Advice, ExecutorStatus};
use bytes::Bytes;
use machine::{Engine, Fault, Machine, Position, Snapshot};
use replication::{LogIndex, TransferId};
use std::collections::VecDeque;

/// Index of the first entry of a machine's log.
const FIRST: LogIndex = LogIndex(1);

/// A command that does not fit what the executor does: the caller broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// `Run` or `Follow` without a machine.
    #[error("told to run or to follow, without a machine that has not run yet")]
    NothingToRun,
    /// `Replay` or `GoLive` to one that does not replay.
    #[error("told to replay or go live, without being a backup")]
    NotReplaying,
    /// `TakeSnapshot` or `Digest` to one that does not record.
    #[error("told to take a snapshot or a digest, without being the primary")]
    NotRecording,
}

enum Role {
    /// It has no machine.
    Empty,
    Ready(Box<Machine>),
    Recording(Box<Recording>),
    Replaying(Box<Replaying>),
    /// Its machine, if it has one, executes no more.
    Stopped(Option<Box<Machine>>),
    Halted,
}

/// What a machine is for.
#[derive(Clone, Copy)]
enum Part {
    /// It is the machine.
    Leader,
    /// It follows the machine, from this entry on.
    Follower { next: LogIndex },
}

/// Makes the engine for a machine that is restored.
pub type EngineSource = Box<dyn Fn() -> Box<dyn Engine> + Send>;

/// Runs one replica's machine.
pub struct Executor {
    config: ExecutorConfig,
    engines: EngineSource,
    role: Role,
    reports: VecDeque<Report>,
    typed: u64,
    /// Digests that agreed, of machines that replay no more, and where the last of them did.
    digests_compared: u64,
    agreed: Position,
}

impl Executor {
    /// An executor with the machine that it may be told to run, or without one, to become a backup.
    pub fn new(machine: Option<Machine>, engines: EngineSource, config: ExecutorConfig) -> Self {
        let role = machine.map_or(Role::Empty, |machine| Role::Ready(Box::new(machine)));
        Self {
            config,
            engines,
            role,
            reports: VecDeque::new(),
            typed: 0,
            digests_compared: 0,
            agreed: Position(0),
        }
    }

    /// Takes a command at host time `host` (in guest clock ticks since an origin that stays the same).
    ///
    /// # Errors
    /// The command does not fit what the executor does; nothing has changed.
    pub fn handle(&mut self, host: u64, command: Command) -> Result<(), CommandError> {
        if matches!(self.role, Role::Halted) {
            return Ok(());
        }
        match command {
            Command::Run => return self.start(Part::Leader),
            Command::Follow { next } => return self.start(Part::Follower { next }),
            Command::Input(input) => {
                self.typed += input.typed_bytes();
                if let Role::Recording(recording) = &mut self.role {
                    recording.input(input);
                }
            }
            Command::TakeSnapshot { transfer } => match &mut self.role {
                Role::Recording(recording) => {
                    recording.snapshot(host, transfer, &mut self.reports);
                }
                Role::Stopped(_) => {}
                _ => return Err(CommandError::NotRecording),
            },
            Command::Digest => match &mut self.role {
                Role::Recording(recording) => recording.digest(host, &mut self.reports),
                Role::Stopped(_) => {}
                _ => return Err(CommandError::NotRecording),
            },
            Command::Restore {
                transfer,
                next,
                state,
            } => self.restore(transfer, next, &state),
            Command::Replay { first, entries } => match &mut self.role {
                Role::Replaying(replaying) => replaying.replay(host, first, &entries),
                // It has diverged, has no state or its guest is off: what comes late changes nothing.
                Role::Stopped(_) => {}
                _ => return Err(CommandError::NotReplaying),
            },
            Command::GoLive { next } => match &mut self.role {
                Role::Replaying(replaying) => {
                    replaying.go_live(next);
                    // At once if it can: the next command may be one that only a recording machine obeys.
                    if replaying.wants_to_go_live() {
                        self.leave_replay();
                    }
                }
                Role::Stopped(_) => {}
                _ => return Err(CommandError::NotReplaying),
            },
            Command::Throttle { per_mille } => {
                if let Role::Recording(recording) = &mut self.role {
                    recording.throttle(per_mille);
                }
            }
            Command::Halt => self.role = Role::Halted,
        }
        Ok(())
    }

    /// Executes up to about `budget` positions at host time `host`, and says when to come again. The budget
    /// bounds how stale `host` becomes: one millisecond's worth keeps the guest clock good.
    pub fn step(&mut self, host: u64, budget: u64) -> Advice {
        match &mut self.role {
            Role::Recording(recording) => {
                let advice = recording.step(host, budget, &mut self.reports);
                if recording.is_over() {
                    self.stop();
                }
                advice
            }
            Role::Replaying(replaying) => {
                let advice = replaying.step(host, budget, &mut self.reports);
                if replaying.wants_to_go_live() || replaying.is_over() {
                    self.leave_replay();
                    return Advice::Again;
                }
                advice
            }
            Role::Empty | Role::Ready(_) | Role::Stopped(_) | Role::Halted => {
                Advice::Wait { until: None }
            }
        }
    }

    /// The next report, if any. Drain it after each command and step.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// How it is doing.
    pub fn status(&self) -> ExecutorStatus {
        let mut status = ExecutorStatus {
            typed: self.typed,
            digests_compared: self.digests_compared,
            agreed: self.agreed,
            ..ExecutorStatus::default()
        };
        if let Some(machine) = self.machine() {
            status.position = machine.position();
            status.horizon = machine.position();
            status.touched_bytes = machine.touched_bytes();
            status.typed_waiting = machine.console_waiting() as u64;
            status.engine_faults = machine.faults().count();
        }
        match &self.role {
            Role::Recording(recording) => recording.add_to(&mut status),
            Role::Replaying(replaying) => replaying.add_to(&mut status),
            Role::Empty | Role::Ready(_) | Role::Stopped(_) | Role::Halted => {}
        }
        status
    }

    /// The first panic that was contained since this machine was made here.
    pub fn first_fault(&self) -> Option<&Fault> {
        self.machine()?.faults().first()
    }

    /// The machine, also where it has stopped; none before a restore, or after a halt.
    pub fn machine(&self) -> Option<&Machine> {
        match &self.role {
            Role::Ready(machine) => Some(machine),
            Role::Recording(recording) => Some(recording.machine()),
            Role::Replaying(replaying) => Some(replaying.machine()),
            Role::Stopped(machine) => machine.as_deref(),
            Role::Empty | Role::Halted => None,
        }
    }

    /// Gives the machine back, also where it has stopped.
    pub fn into_machine(mut self) -> Option<Machine> {
        self.stop();
        match self.role {
            Role::Stopped(machine) => machine.map(|machine| *machine),
            Role::Empty
            | Role::Ready(_)
            | Role::Recording(_)
            | Role::Replaying(_)
            | Role::Halted => None,
        }
    }

    /// The one place where the modes of replication differ: what a machine does for its part.
    fn begin(&mut self, machine: Machine, part: Part) {
        self.role = match self.config.mode {
            ReplicationMode::Replay => match part {
                Part::Leader => {
                    Role::Recording(Box::new(Recording::new(machine, FIRST, &self.config)))
                }
                Part::Follower { next } => Role::Replaying(Box::new(Replaying::new(machine, next))),
            },
        };
    }

    fn start(&mut self, part: Part) -> Result<(), CommandError> {
        match std::mem::replace(&mut self.role, Role::Empty) {
            Role::Ready(machine) => {
                self.begin(*machine, part);
                Ok(())
            }
            other => {
                self.role = other;
                Err(CommandError::NothingToRun)
            }
        }
    }

    fn restore(&mut self, transfer: TransferId, next: LogIndex, state: &Bytes) {
        // A former life is over either way, and its memory may be needed.
        self.stop();
        self.role = Role::Stopped(None);
        let machine = Snapshot::from_bytes(state)
            .and_then(|snapshot| Machine::restore(&snapshot, (self.engines)()));
        let result = machine.map(|machine| self.begin(machine, Part::Follower { next }));
        self.reports
            .push_back(Report::Restored { transfer, result });
    }

    /// Goes live, or stops.
    fn leave_replay(&mut self) {
        match std::mem::replace(&mut self.role, Role::Empty) {
            Role::Replaying(replaying) => {
                self.remember(&replaying);
                self.role = match replaying.into_recording(&self.config) {
                    Ok(recording) => Role::Recording(Box::new(recording)),
                    Err(machine) => Role::Stopped(Some(machine)),
                };
            }
            other => self.role = other,
        }
    }

    /// Keeps what is known of a replay that ends.
    fn remember(&mut self, replaying: &Replaying) {
        self.digests_compared += replaying.digests_compared();
        self.agreed = replaying.agreed();
    }

    /// Executes no more, and keeps the machine.
    fn stop(&mut self) {
        self.role = match std::mem::replace(&mut self.role, Role::Empty) {
            Role::Recording(recording) => Role::Stopped(Some(Box::new(recording.into_machine()))),
            Role::Replaying(replaying) => {
                self.remember(&replaying);
                Role::Stopped(Some(Box::new(replaying.into_machine())))
            }
            Role::Ready(machine) => Role::Stopped(Some(machine)),
            other => other,
        };
    }
}
