//! The hart side of a replica: what the hart thread of a node does, driven by commands, host time and a
//! budget, and drained of reports.
//!
//! ```text
//!  Vacant ──Restore──▶ Backup ──GoLive (all applied)──▶ Primary ──guest stops──▶ Stopped
//!    Ready (has a machine) ──Run──────────────────────────▲
//!  any ──Restore──▶ Backup (or Stopped, if it fails)      Backup ──differs──▶ Stopped
//!  any ──Halt──▶ Halted
//! ```

use crate::backup::Backup;
use crate::command::{HartCommand, HartReport};
use crate::primary::Primary;
use bytes::Bytes;
use eventlog::RecorderConfig;
use machine::{Engine, Fault, Machine, Position, Snapshot};
use replication::{LogIndex, TransferId};
use std::collections::VecDeque;

/// What a hart is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HartConfig {
    /// How often the primary writes entries of its own accord.
    pub recorder: RecorderConfig,
    /// Most inputs that wait for the primary; what comes beyond is dropped, as by a device without room.
    pub inputs_max: usize,
}

impl Default for HartConfig {
    fn default() -> Self {
        Self {
            recorder: RecorderConfig::default(),
            inputs_max: 1_024,
        }
    }
}

/// When to call [`Hart::step`] again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// At once.
    Again,
    /// At this host time (in ticks), where given, or after the next command, whichever is first.
    Wait {
        /// In host ticks.
        until: Option<u64>,
    },
}

/// A command that does not fit what the hart is: the caller broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HartError {
    /// `Run` without a machine.
    #[error("told to run, without a machine that has not run yet")]
    NothingToRun,
    /// `Replay` or `GoLive` on what is no backup.
    #[error("told to replay or go live, without being a backup")]
    NoBackup,
    /// `TakeSnapshot` on what is no primary.
    #[error("told to take a snapshot, without being the primary")]
    NoPrimary,
}

/// How the hart is doing, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HartStatus {
    /// Where the machine is.
    pub position: Position,
    /// As far as the log allows a backup to run; the position itself on a primary.
    pub horizon: Position,
    /// Entries given to a backup and not yet applied.
    pub queued: usize,
    /// Bytes of memory that the guest has ever written.
    pub touched_bytes: u64,
    /// Typed bytes that this hart was ever given, and those of them that the guest has yet to read.
    pub typed: u64,
    /// See `typed`.
    pub typed_waiting: u64,
    /// Inputs that wait for their turn, or for room in the machine.
    pub inputs_waiting: usize,
    /// Inputs dropped for want of room, since this hart began.
    pub inputs_dropped: u64,
    /// Panics that were contained since this machine was made here.
    pub engine_faults: u64,
}

enum Role {
    Vacant,
    Ready(Box<Machine>),
    Primary(Box<Primary>),
    Backup(Box<Backup>),
    Stopped,
    Halted,
}

/// Makes the engine for a machine that is restored.
pub type EngineSource = Box<dyn Fn() -> Box<dyn Engine> + Send>;

/// The hart side of one replica.
pub struct Hart {
    config: HartConfig,
    engines: EngineSource,
    role: Role,
    reports: VecDeque<HartReport>,
    typed: u64,
}

impl Hart {
    /// A hart with the machine that it may be told to run, or without one, to become a backup.
    pub fn new(machine: Option<Machine>, engines: EngineSource, config: HartConfig) -> Self {
        let role = machine.map_or(Role::Vacant, |machine| Role::Ready(Box::new(machine)));
        Self {
            config,
            engines,
            role,
            reports: VecDeque::new(),
            typed: 0,
        }
    }

    /// Takes a command at host time `host` (in guest clock ticks since an origin that stays the same).
    pub fn handle(&mut self, host: u64, command: HartCommand) -> Result<(), HartError> {
        if matches!(self.role, Role::Halted) {
            return Ok(());
        }
        match command {
            HartCommand::Run { next } => return self.start(next),
            HartCommand::Input(input) => {
                self.typed += input.typed_bytes();
                if let Role::Primary(primary) = &mut self.role {
                    primary.input(input);
                }
            }
            HartCommand::TakeSnapshot { transfer } => match &mut self.role {
                Role::Primary(primary) => primary.snapshot(host, transfer, &mut self.reports),
                Role::Stopped => {}
                _ => return Err(HartError::NoPrimary),
            },
            HartCommand::Restore {
                transfer,
                next,
                state,
            } => self.restore(transfer, next, &state),
            HartCommand::Replay { first, entries } => match &mut self.role {
                Role::Backup(backup) => backup.replay(host, first, &entries),
                // It has diverged, has no state or its guest is off: what comes late changes nothing.
                Role::Stopped => {}
                _ => return Err(HartError::NoBackup),
            },
            HartCommand::GoLive { next } => match &mut self.role {
                Role::Backup(backup) => {
                    backup.go_live(next);
                    // At once if it can: the next command may be one that only a primary obeys.
                    if backup.wants_to_go_live() {
                        self.leave_backup();
                    }
                }
                Role::Stopped => {}
                _ => return Err(HartError::NoBackup),
            },
            HartCommand::Throttle { brake } => {
                if let Role::Primary(primary) = &mut self.role {
                    primary.throttle(brake);
                }
            }
            HartCommand::Halt => self.role = Role::Halted,
        }
        Ok(())
    }

    /// Executes up to about `budget` positions at host time `host`, and says when to come again. The budget
    /// bounds how stale `host` becomes: one millisecond's worth keeps the guest clock good.
    pub fn step(&mut self, host: u64, budget: u64) -> Advice {
        let wait = Advice::Wait { until: None };
        match &mut self.role {
            Role::Primary(primary) => {
                let advice = primary.step(host, budget, &mut self.reports);
                if primary.is_over() {
                    self.role = Role::Stopped;
                    return wait;
                }
                advice
            }
            Role::Backup(backup) => {
                let advice = backup.step(host, budget, &mut self.reports);
                if backup.wants_to_go_live() || backup.is_over() {
                    self.leave_backup();
                    return Advice::Again;
                }
                advice
            }
            Role::Vacant | Role::Ready(_) | Role::Stopped | Role::Halted => wait,
        }
    }

    /// The next report, if any. Drain it after each command and step.
    pub fn poll_report(&mut self) -> Option<HartReport> {
        self.reports.pop_front()
    }

    /// How it is doing.
    pub fn status(&self) -> HartStatus {
        let status = match &self.role {
            Role::Primary(primary) => primary.status(),
            Role::Backup(backup) => backup.status(),
            _ => HartStatus::default(),
        };
        HartStatus {
            typed: self.typed,
            ..status
        }
    }

    /// The first panic that was contained since this machine was made here.
    pub fn first_fault(&self) -> Option<&Fault> {
        self.machine()?.faults().first()
    }

    /// The machine, for checks from outside; none before a restore, or after the guest or hart stopped.
    pub fn machine(&self) -> Option<&Machine> {
        match &self.role {
            Role::Ready(machine) => Some(machine),
            Role::Primary(primary) => Some(primary.machine()),
            Role::Backup(backup) => Some(backup.machine()),
            Role::Vacant | Role::Stopped | Role::Halted => None,
        }
    }

    fn start(&mut self, next: LogIndex) -> Result<(), HartError> {
        match std::mem::replace(&mut self.role, Role::Vacant) {
            Role::Ready(machine) => {
                let primary = Primary::new(*machine, next, &self.config);
                self.role = Role::Primary(Box::new(primary));
                Ok(())
            }
            other => {
                self.role = other;
                Err(HartError::NothingToRun)
            }
        }
    }

    fn restore(&mut self, transfer: TransferId, next: LogIndex, state: &Bytes) {
        let machine = Snapshot::from_bytes(state)
            .map_err(|error| error.to_string())
            .and_then(|snapshot| {
                Machine::restore(&snapshot, (self.engines)()).map_err(|error| error.to_string())
            });
        let result = match machine {
            Ok(machine) => {
                self.role = Role::Backup(Box::new(Backup::new(machine, next)));
                Ok(())
            }
            Err(error) => {
                self.role = Role::Stopped;
                Err(error)
            }
        };
        self.reports
            .push_back(HartReport::Restored { transfer, result });
    }

    fn leave_backup(&mut self) {
        let Role::Backup(backup) = std::mem::replace(&mut self.role, Role::Stopped) else {
            return;
        };
        if let Some(primary) = backup.into_primary(&self.config) {
            self.role = Role::Primary(Box::new(primary));
        }
    }
}
