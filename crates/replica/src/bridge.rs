//! Between the replication core and the hart: turns the hart's reports into what the core is told, and the
//! core's actions into commands for the hart, outputs for the outside and work for the node. Shared by
//! `node` and `sim`.

use crate::command::{HartCommand, HartReport};
use crate::gate::OutputGate;
use bytes::Bytes;
use machine::Output;
use replication::{Action, Epoch, HaltReason, Local, LogIndex, NodeId, TransferId};

/// What is to be done about one action of the core, in order.
#[derive(Debug)]
pub enum Effect {
    /// Give this to the hart.
    Hart(HartCommand),
    /// These outputs leave the machine, stamped with the owner's epoch.
    Speak {
        /// The owner's epoch.
        epoch: Epoch,
        /// In order.
        outputs: Vec<Output>,
    },
    /// Send a snapshot's bytes to `to`, by bulk.
    SendState {
        /// The new backup.
        to: NodeId,
        /// The transfer.
        transfer: TransferId,
        /// The bytes.
        state: Bytes,
    },
    /// Receive the bytes of this transfer from `from`, and give them to [`Bridge::state_received`].
    ReceiveState {
        /// Who sends.
        from: NodeId,
        /// The transfer.
        transfer: TransferId,
    },
    /// Stop sending or receiving the bytes of this transfer.
    AbandonTransfer {
        /// The transfer.
        transfer: TransferId,
    },
    /// Nothing more may leave this node, for good.
    Halt {
        /// Why.
        reason: HaltReason,
    },
    /// Not about the machine: a message to send, a request to the arbiter, and whatever else is the node's own.
    Node(Action),
}

/// Keeps the outputs, the snapshot being sent and the count of log entries of one replica.
#[derive(Debug)]
pub struct Bridge {
    gate: OutputGate,
    /// Index of the primary's next entry.
    next: LogIndex,
    /// Outputs are held for the owner rather than kept as copies.
    primary: bool,
    /// The snapshot taken for a transfer that is not over.
    snapshot: Option<(TransferId, Bytes)>,
    /// The state that is to come in, and the entry to apply to it first.
    awaited: Option<(TransferId, LogIndex)>,
    /// The hart is to become the replica of another state: what it reports before that is of a former life.
    restoring: Option<TransferId>,
    /// The brake that the core wants, and whether the full gate overrides it.
    brake: u16,
    stands: bool,
    halted: bool,
    /// Copies of outputs that a backup had no room for.
    dropped: u64,
}

impl Bridge {
    /// A bridge that holds about `bytes_max` bytes of outputs.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            gate: OutputGate::new(bytes_max),
            next: LogIndex(1),
            primary: false,
            snapshot: None,
            awaited: None,
            restoring: None,
            brake: 0,
            stands: false,
            halted: false,
            dropped: 0,
        }
    }

    /// The outputs that are held, for people.
    pub fn gate(&self) -> &OutputGate {
        &self.gate
    }

    /// Marks whose outputs a backup dropped because too many were kept. Frames among them are lost, as on any
    /// network, should it take over; so is console output.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes in what the hart reports: what to tell the core, which must be told in the same order. `None`: it
    /// concerns a state that has been given up.
    pub fn report(&mut self, report: HartReport) -> Option<Local> {
        if let HartReport::Restored { transfer, .. } = &report {
            self.restoring.take_if(|restoring| restoring == transfer);
        } else if self.restoring.is_some() {
            return None;
        }
        if self.halted {
            return None;
        }
        Some(match report {
            HartReport::Appended { entries, outputs } => {
                let first = self.next;
                self.next.0 += entries.len() as u64;
                let marks = outputs.iter().map(|(number, _)| *number).collect();
                for (number, outputs) in outputs {
                    self.gate
                        .hold(LogIndex(first.0 + u64::from(number)), outputs);
                }
                Local::Appended { entries, marks }
            }
            HartReport::Replayed { index, outputs } => {
                for (mark, outputs) in outputs {
                    self.gate.hold(mark, outputs);
                }
                while self.gate.is_full() && self.gate.drop_oldest() {
                    self.dropped += 1;
                }
                Local::Replayed { index }
            }
            HartReport::SnapshotTaken {
                transfer,
                from,
                state,
            } => {
                self.snapshot = Some((transfer, state));
                Local::SnapshotTaken { transfer, from }
            }
            HartReport::Restored { transfer, result } => Local::StateRestored {
                transfer,
                intact: result.is_ok(),
            },
            HartReport::Verified => Local::Verified,
            HartReport::Diverged(_) => Local::Diverged,
            HartReport::PoweredOff | HartReport::ResetAsked => Local::PoweredOff,
        })
    }

    /// The primary's gate is full, or has room again: call after [`Bridge::report`] and [`Bridge::action`], and
    /// give the hart what comes back.
    pub fn back_pressure(&mut self) -> Option<HartCommand> {
        let stands = self.primary && !self.halted && self.gate.is_full();
        if stands == self.stands {
            return None;
        }
        self.stands = stands;
        let brake = self.effective_brake();
        Some(HartCommand::Throttle { brake })
    }

    /// Takes in the bytes of a transfer, once all have come. `None`: they are not awaited any more.
    pub fn state_received(&mut self, transfer: TransferId, state: Bytes) -> Option<HartCommand> {
        let (_, next) = self
            .awaited
            .take_if(|(awaited, _)| *awaited == transfer && !self.halted)?;
        Some(HartCommand::Restore {
            transfer,
            next,
            state,
        })
    }

    /// What to do about an action of the core, in this order and before its next action.
    pub fn action(&mut self, action: Action) -> Vec<Effect> {
        if self.halted {
            return Vec::new();
        }
        match action {
            Action::Run { .. } => {
                self.primary = true;
                let next = self.next;
                vec![Effect::Hart(HartCommand::Run { next })]
            }
            Action::Release { up_to, epoch } => speak(epoch, self.gate.release(up_to)),
            Action::TakeSnapshot { transfer } => {
                vec![Effect::Hart(HartCommand::TakeSnapshot { transfer })]
            }
            Action::SendState { to, transfer } => match self.snapshot.take() {
                Some((taken, state)) if taken == transfer => vec![Effect::SendState {
                    to,
                    transfer,
                    state,
                }],
                other => {
                    self.snapshot = other;
                    Vec::new()
                }
            },
            Action::AbandonTransfer { transfer } => {
                self.snapshot.take_if(|(taken, _)| *taken == transfer);
                self.awaited.take_if(|(awaited, _)| *awaited == transfer);
                vec![Effect::AbandonTransfer { transfer }]
            }
            Action::ReceiveState {
                from,
                transfer,
                next,
            } => {
                self.gate.clear();
                self.next = next;
                self.awaited = Some((transfer, next));
                self.restoring = Some(transfer);
                vec![Effect::ReceiveState { from, transfer }]
            }
            Action::Replay { first, entries } => {
                vec![Effect::Hart(HartCommand::Replay { first, entries })]
            }
            Action::Forget { up_to } => {
                self.gate.release(up_to);
                Vec::new()
            }
            Action::GoLive { epoch, next } => {
                self.primary = true;
                self.next = next;
                let mut effects = vec![Effect::Hart(HartCommand::GoLive { next })];
                effects.extend(speak(epoch, self.gate.release_all()));
                effects
            }
            Action::Throttle { brake } => {
                self.brake = brake;
                let brake = self.effective_brake();
                vec![Effect::Hart(HartCommand::Throttle { brake })]
            }
            Action::Halt { reason } => {
                self.halted = true;
                self.gate.clear();
                self.snapshot = None;
                vec![Effect::Hart(HartCommand::Halt), Effect::Halt { reason }]
            }
            other => vec![Effect::Node(other)],
        }
    }

    fn effective_brake(&self) -> u16 {
        if self.stands { 1_000 } else { self.brake }
    }
}

fn speak(epoch: Epoch, outputs: Vec<Output>) -> Vec<Effect> {
    if outputs.is_empty() {
        return Vec::new();
    }
    vec![Effect::Speak { epoch, outputs }]
}
