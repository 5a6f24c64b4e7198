//! The half of a replica that decides: the replication protocol, the outputs that wait, and a state on its way. It is
//! driven by events and drained of effects; a node and a simulation do both alike.

use crate::command::Command;
use crate::effect::{Effect, Notice};
use crate::event::Event;
use crate::gate::OutputGate;
use crate::report::Report;
use crate::transit::{Arrived, Transit};
use machine::Output;
use replication::{
    Action, ArbiterOperation, Config, Core, Epoch, Footprint, HaltReason, Instant, Local, LogIndex,
    RoleStatus, Status,
};
use std::collections::VecDeque;

/// The guest stands still.
const FULL_PER_MILLE: u16 = 1_000;

/// Decides for one node of a replicated machine.
#[derive(Debug)]
pub struct Replica {
    core: Core,
    gate: OutputGate,
    /// Outputs are held for the owner rather than kept as copies.
    is_leader: bool,
    transit: Transit,
    /// The throttle that the protocol wants, and whether the full gate overrides it.
    throttle: u16,
    stands: bool,
    /// The arbiter was asked to let this node start the machine: it may have done so, whatever it answers.
    may_start: bool,
    /// Told to leave, and it must wait: a backup for its primary's leave, a starting node for what the arbiter has done.
    leaves: bool,
    /// It has gone live, and nothing was appended since.
    is_new: bool,
    halted: bool,
    /// Marks whose outputs a backup had no room for.
    dropped: u64,
    effects: VecDeque<Effect>,
}

impl Replica {
    /// A node that is no part of the machine yet. It holds about `outputs_bytes_max` bytes of outputs: a primary's guest
    /// stands still beyond, a backup forgets the oldest copies.
    pub fn new(config: Config, outputs_bytes_max: usize, now: Instant) -> Self {
        Self {
            core: Core::new(config, now),
            gate: OutputGate::new(outputs_bytes_max),
            is_leader: false,
            transit: Transit::default(),
            throttle: 0,
            stands: false,
            may_start: false,
            leaves: false,
            is_new: false,
            halted: false,
            dropped: 0,
            effects: VecDeque::new(),
        }
    }

    /// Takes in an event. Drain [`Replica::poll_effect`] afterwards: effects come in the order of their events.
    pub fn handle(&mut self, now: Instant, event: Event) {
        if self.halted {
            return;
        }
        self.take(now, event);
        self.balance();
        while let Some(action) = self.core.poll_action() {
            self.perform(action);
            self.balance();
        }
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to hand it [`Event::Timeout`], whatever happens until then.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.poll_timeout()
    }

    /// How the protocol stands.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// What the protocol keeps in memory.
    pub fn footprint(&self) -> Footprint {
        self.core.footprint()
    }

    /// Whether the machine goes on should this node end.
    pub fn may_leave(&self) -> bool {
        self.core.may_leave()
    }

    /// Marks whose outputs a backup dropped because too many were kept. Frames among them are lost, as on any
    /// network, should it take over; so is console output.
    pub fn outputs_dropped(&self) -> u64 {
        self.dropped
    }

    fn take(&mut self, now: Instant, event: Event) {
        let local = match event {
            Event::Timeout => return self.core.handle_timeout(now),
            Event::Message { from, message } => {
                return self.core.handle_message(now, from, message);
            }
            Event::Leave => return self.leave(now),
            Event::StateArrived {
                from,
                transfer,
                state,
            } => {
                let arrived = self.transit.arrive(from, transfer, state);
                return self.restore(arrived);
            }
            Event::Disconnected { peer } => {
                if let Some(transfer) = self.transit.lost(peer) {
                    let intact = false;
                    self.core
                        .handle_local(now, Local::StateRestored { transfer, intact });
                }
                Local::Disconnected { peer }
            }
            Event::Report(report) => match self.heed(report) {
                Some(local) => local,
                None => return,
            },
            Event::Start => Local::Start,
            Event::Join => Local::Join,
            Event::GiveUp => Local::GiveUp,
            Event::Room { bytes } => Local::Room { bytes },
            Event::Needs { bytes } => Local::Needs { bytes },
            Event::Connected { peer, host } => Local::Connected { peer, host },
            Event::Arbiter { request, reply } => Local::Arbiter { request, reply },
            Event::StateProgress {
                transfer,
                bytes,
                total,
            } => Local::TransferProgress {
                transfer,
                bytes,
                total,
            },
        };
        self.core.handle_local(now, local);
    }

    /// A node without the machine ends; one that may just have started it waits to learn that. A backup goes when its primary has gone on alone; a primary when its backup will take
    /// over, which it does on its own. Whoever has the only state stays.
    fn leave(&mut self, now: Instant) {
        self.core.handle_local(now, Local::Leave);
        match self.core.status().role {
            RoleStatus::Starting if self.may_start => {
                self.leaves = true;
                self.tell(Notice::LeavesIfNotStarted);
            }
            RoleStatus::Out | RoleStatus::Starting => self.halt(HaltReason::Left),
            RoleStatus::Backup => {
                self.leaves = true;
                self.tell(Notice::LeavesLater);
            }
            RoleStatus::Primary | RoleStatus::TakingOver => self.tell(Notice::Stays),
            // The protocol ends the one, and has ended the other.
            RoleStatus::Joining | RoleStatus::Halted(_) => {}
        }
    }

    /// Takes in what the executor reports: what to tell the protocol. `None`: nothing, for it is no concern of the
    /// protocol, or of a state that has been given up.
    fn heed(&mut self, report: Report) -> Option<Local> {
        if let Report::Restored { transfer, .. } = &report {
            self.transit.restored(*transfer);
        } else if self.transit.is_of_former_life() {
            return None;
        }
        Some(match report {
            Report::Appended {
                first,
                entries,
                outputs,
            } => {
                if std::mem::take(&mut self.is_new) {
                    self.tell(Notice::GoesOn);
                }
                // A report has few entries: they are what one slice of execution wrote.
                let number = |mark: LogIndex| mark.since(first) as u32;
                let marks = outputs.iter().map(|(mark, _)| number(*mark)).collect();
                for (mark, outputs) in outputs {
                    self.gate.hold(mark, outputs);
                }
                Local::Appended { entries, marks }
            }
            Report::Replayed { index, outputs } => {
                for (mark, outputs) in outputs {
                    self.gate.hold(mark, outputs);
                }
                while self.gate.is_full() && self.gate.drop_oldest() {
                    self.dropped += 1;
                }
                Local::Replayed { index }
            }
            Report::Requested { requests } => {
                for request in requests {
                    self.push(Effect::CarryOut(request));
                }
                return None;
            }
            Report::SnapshotTaken {
                transfer,
                from,
                state,
            } => {
                let bytes = state.len();
                self.tell(Notice::SnapshotTaken { bytes });
                self.transit.taken(transfer, state);
                Local::SnapshotTaken { transfer, from }
            }
            Report::Restored { transfer, result } => {
                let intact = result.is_ok();
                self.tell(match result {
                    Ok(()) => Notice::Restored,
                    Err(error) => Notice::NotRestored(error),
                });
                Local::StateRestored { transfer, intact }
            }
            Report::Verified => {
                self.tell(Notice::Verified);
                Local::Verified
            }
            Report::Diverged(divergence) => {
                self.tell(Notice::Diverged(divergence));
                Local::Diverged
            }
            Report::PoweredOff => {
                self.tell(Notice::PoweredOff);
                Local::PoweredOff
            }
            Report::ResetAsked => {
                self.tell(Notice::ResetAsked);
                Local::PoweredOff
            }
        })
    }

    /// Does what the protocol wants done.
    fn perform(&mut self, action: Action) {
        match action {
            Action::Explain { why } => self.tell(Notice::Explains { why }),
            Action::Refuse { peer, why } => self.tell(Notice::Refuses { peer, why }),
            Action::Send { to, message } => self.push(Effect::Send { to, message }),
            Action::Arbiter { request, operation } => {
                self.may_start |= matches!(operation, ArbiterOperation::Swap { .. });
                self.push(Effect::AskArbiter { request, operation });
            }
            Action::StandAside { record } => {
                self.may_start = false;
                match self.leaves {
                    true => self.halt(HaltReason::Left),
                    false => self.push(Effect::StandAside { record }),
                }
            }
            Action::Run { epoch } => {
                self.is_leader = true;
                if std::mem::take(&mut self.leaves) {
                    self.tell(Notice::Stays);
                }
                self.push(Effect::Announce {
                    epoch,
                    live_from: None,
                });
                self.command(Command::Run);
            }
            Action::GoLive { epoch, next } => {
                self.is_leader = true;
                self.is_new = true;
                if std::mem::take(&mut self.leaves) {
                    self.tell(Notice::StaysAfterAll);
                }
                self.push(Effect::Announce {
                    epoch,
                    live_from: Some(next),
                });
                self.command(Command::GoLive { next });
                let outputs = self.gate.release_all();
                self.speak(epoch, outputs);
            }
            Action::Release { up_to, epoch } => {
                let outputs = self.gate.release(up_to);
                self.speak(epoch, outputs);
            }
            Action::Forget { up_to } => drop(self.gate.release(up_to)),
            Action::TakeSnapshot { transfer } => self.command(Command::TakeSnapshot { transfer }),
            Action::SendState { to, transfer } => {
                if let Some(state) = self.transit.hand_over(transfer) {
                    self.push(Effect::SendState {
                        to,
                        transfer,
                        state,
                    });
                }
            }
            Action::ReceiveState {
                from,
                transfer,
                next,
            } => {
                self.gate.clear();
                self.push(Effect::ReceiveState {
                    from,
                    transfer,
                    next,
                });
                let arrived = self.transit.expect(from, transfer, next);
                self.restore(arrived);
            }
            Action::AbandonTransfer { transfer } => {
                self.transit.abandon(transfer);
                self.push(Effect::AbandonState { transfer });
            }
            Action::Replay { first, entries } => self.command(Command::Replay { first, entries }),
            Action::Throttle { brake } => {
                self.throttle = brake;
                self.press();
            }
            Action::Halt { reason } => self.halt(reason),
        }
    }

    fn restore(&mut self, arrived: Option<Arrived>) {
        if let Some(Arrived {
            transfer,
            next,
            state,
        }) = arrived
        {
            self.command(Command::Restore {
                transfer,
                next,
                state,
            });
        }
    }

    fn halt(&mut self, reason: HaltReason) {
        self.command(Command::Halt);
        self.push(Effect::Halt { reason });
        self.halted = true;
        self.gate.clear();
        self.transit.clear();
    }

    /// Lets the primary's guest stand still while the gate is full.
    fn balance(&mut self) {
        let stands = self.is_leader && !self.halted && self.gate.is_full();
        if stands != self.stands {
            self.stands = stands;
            self.press();
        }
    }

    fn press(&mut self) {
        let per_mille = match self.stands {
            true => FULL_PER_MILLE,
            false => self.throttle,
        };
        self.command(Command::Throttle { per_mille });
    }

    fn speak(&mut self, epoch: Epoch, outputs: Vec<Output>) {
        if !outputs.is_empty() {
            self.push(Effect::Speak { epoch, outputs });
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.push(Effect::Tell(notice));
    }

    fn command(&mut self, command: Command) {
        self.push(Effect::Command(command));
    }

    /// Nothing follows a halt.
    fn push(&mut self, effect: Effect) {
        if !self.halted {
            self.effects.push_back(effect);
        }
    }
}

#[cfg(test)]
mod tests;
