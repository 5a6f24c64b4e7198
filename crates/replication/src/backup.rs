//! The backup: it holds the log, acknowledges it, and lets its hart replay it.

mod arrivals;
mod state;
mod watch;

pub(crate) use state::Backup;

use crate::action::{Action, HaltReason, Local};
use crate::config::Mutation;
use crate::message::{LeaveReason, Message};
use crate::shared::Shared;
use crate::time::Instant;
use crate::turn::{Following, Next};
use crate::types::{Epoch, LogIndex, NodeId};
use bytes::Bytes;
use state::State;

impl Backup {
    pub(crate) fn on_message(
        &mut self,
        shared: &mut Shared,
        from: NodeId,
        message: Message,
    ) -> Next {
        if from != self.primary {
            return Next::Stay;
        }
        match message {
            Message::Append {
                epoch,
                transfer,
                first,
                entries,
                released,
                urgent,
                stamp,
            } if transfer == self.transfer => {
                self.hear(shared, epoch, released, stamp);
                self.append(shared, first, entries, urgent);
            }
            Message::Heartbeat {
                epoch,
                transfer,
                last,
                released,
                paired,
                urgent,
                stamp,
            } if transfer == self.transfer => {
                self.hear(shared, epoch, released, stamp);
                if paired && !self.paired {
                    // There is something to look at, and to prepare for.
                    self.look_at = self.look_at.min(shared.now);
                }
                self.paired = paired;
                self.announced = self.announced.max(last);
                if urgent {
                    self.acknowledge(shared);
                } else if self.announced > self.held {
                    self.acknowledge_gap(shared);
                }
            }
            Message::TransferStart { transfer, .. } if transfer == self.transfer => {
                self.heard = shared.now;
                self.acknowledge(shared);
            }
            Message::TransferStart {
                epoch,
                transfer,
                attempt,
                from,
            } if transfer > self.transfer && attempt == self.attempt && !self.is_ready() => {
                // The primary began anew; what was received of the earlier state is of no use.
                shared.act(Action::AbandonTransfer {
                    transfer: self.transfer,
                });
                let stream = Following {
                    primary: self.primary,
                    transfer,
                    epoch,
                    attempt,
                    first: from,
                };
                *self = Self::begin(shared, stream);
            }
            Message::Leave {
                transfer: Some(transfer),
                reason,
            } if transfer == self.transfer => {
                return match reason {
                    LeaveReason::PoweredOff => Next::Halt(HaltReason::PoweredOff),
                    _ if !self.is_ready() => self.start_over(shared),
                    _ => Next::Halt(self.dismissed()),
                };
            }
            _ => {}
        }
        Next::Stay
    }

    pub(crate) fn on_local(&mut self, shared: &mut Shared, local: &Local) -> Next {
        match *local {
            Local::StateRestored { transfer, intact } if transfer == self.transfer => {
                if !intact {
                    self.leave(shared, LeaveReason::StateDamaged);
                    return self.start_over(shared);
                }
                self.restored(shared);
            }
            Local::Verified => self.verified(shared),
            Local::Replayed { index } => {
                self.replay(shared, index);
                return self.suspect_sooner(shared);
            }
            Local::Diverged if !shared.mutated(Mutation::TakeOverDiverged) => {
                let transfer = self.transfer;
                shared.send(self.primary, Message::Diverged { transfer });
                return Next::Halt(HaltReason::Diverged);
            }
            Local::Connected { peer, .. } if peer == self.primary => {
                self.disconnected = None;
                self.acknowledge(shared);
                if self.leaving {
                    self.leave(shared, LeaveReason::Stopping);
                }
            }
            Local::Disconnected { peer } if peer == self.primary => {
                if !self.is_ready() {
                    // The bulk of the state travelled on that channel.
                    return self.start_over(shared);
                }
                self.disconnected.get_or_insert(shared.now);
            }
            Local::Leave => {
                self.leave(shared, LeaveReason::Stopping);
                // The record may name this one. Its primary may be leaving, too: the last one stays.
                self.leaving = self.is_ready() && !shared.mutated(Mutation::LeaveUnasked);
                if !self.leaving {
                    return Next::Halt(HaltReason::Left);
                }
            }
            Local::PoweredOff => self.powered_off = true,
            Local::Arbiter { request, reply } => return self.arbiter(shared, request, reply),
            _ => {}
        }
        Next::Stay
    }

    pub(crate) fn on_timeout(&mut self, shared: &mut Shared) -> Next {
        if let Some(next) = self.watch(shared) {
            return next;
        }
        if self.acknowledge_due(shared) <= shared.now {
            self.acknowledge(shared);
        }
        Next::Stay
    }

    pub(crate) fn deadline(&self, shared: &Shared) -> Instant {
        self.watch_at(shared).min(self.acknowledge_due(shared))
    }

    pub(crate) fn forgive(&mut self, shared: &Shared) {
        self.heard = shared.now;
        if let Some(disconnected) = &mut self.disconnected {
            *disconnected = shared.now;
        }
    }

    fn hear(&mut self, shared: &mut Shared, epoch: Epoch, released: LogIndex, stamp: u64) {
        self.heard = shared.now;
        if stamp > self.echo.0 {
            self.echo = (stamp, shared.now);
        }
        self.epoch = self.epoch.max(epoch);
        if released > self.released {
            self.released = released;
            shared.act(Action::Forget { up_to: released });
        }
    }

    fn append(
        &mut self,
        shared: &mut Shared,
        first: LogIndex,
        mut entries: Vec<Bytes>,
        urgent: bool,
    ) {
        let last = first.previous().plus(entries.len() as u64);
        self.announced = self.announced.max(last);
        if last > self.held && self.take(shared, first, &entries) {
            if first <= self.held.next() {
                entries.drain(..self.held.next().since(first) as usize);
                self.hold(shared, entries);
            } else {
                self.early.put(first, entries);
            }
        }
        if urgent {
            self.acknowledge(shared);
        } else if self.announced > self.held {
            self.acknowledge_gap(shared);
        } else {
            self.acknowledge_by(shared.now.after(shared.config.times.acknowledge));
        }
    }

    /// Whether there is room for entries of which the first has index `first`. What there is no room for is not taken,
    /// hence not acknowledged. Whatever comes next fits into an empty buffer.
    fn take(&self, shared: &Shared, first: LogIndex, entries: &[Bytes]) -> bool {
        let known = self.held.next().since(first).min(entries.len() as u64);
        let new = &entries[known as usize..];
        let bytes = new.iter().map(|entry| entry.len() as u64).sum::<u64>();
        let room = self.room(shared);
        let beyond = first.max(self.held.next()).since(self.held.next());
        if beyond == 0 && self.unreplayed.is_empty() {
            return true;
        }
        // What fills a gap makes way for what waits beyond it.
        let early = if beyond == 0 { 0 } else { self.early.bytes() };
        bytes + early <= room.bytes && beyond.saturating_add(new.len() as u64) <= room.entries
    }

    /// The entries after the last one held have come, and with them perhaps what waited for them.
    fn hold(&mut self, shared: &mut Shared, mut entries: Vec<Bytes>) {
        let first = self.held.next();
        let last = self.held.plus(entries.len() as u64);
        entries.extend(self.early.take_after(last));
        self.held = self.held.plus(entries.len() as u64);
        self.unreplayed_bytes += entries.iter().map(|entry| entry.len() as u64).sum::<u64>();
        self.unreplayed
            .extend(entries.iter().map(|entry| entry.len() as u32));
        match &mut self.state {
            State::Receiving { waiting } => waiting.extend(entries),
            State::Verifying | State::Following => shared.act(Action::Replay { first, entries }),
        }
    }

    /// Entries are missing: says so soon, but not for each that comes after them.
    fn acknowledge_gap(&mut self, shared: &mut Shared) {
        let due = self.sent.after(shared.config.times.acknowledge_gap);
        if due <= shared.now {
            self.acknowledge(shared);
        } else {
            self.acknowledge_by(due);
        }
    }

    fn acknowledge_by(&mut self, due: Instant) {
        self.acknowledge_at = Some(self.acknowledge_at.map_or(due, |at| at.min(due)));
    }

    fn acknowledge_due(&self, shared: &Shared) -> Instant {
        let beat = self.sent.after(shared.config.times.heartbeat);
        self.acknowledge_at.map_or(beat, |at| at.min(beat))
    }

    fn restored(&mut self, shared: &mut Shared) {
        if let State::Receiving { waiting } = &mut self.state {
            let entries = std::mem::take(waiting);
            self.state = State::Verifying;
            if shared.mutated(Mutation::ReadyBeforeDigest) {
                self.state = State::Following;
            }
            if !entries.is_empty() {
                let first = self.replayed.next();
                shared.act(Action::Replay { first, entries });
            }
            self.acknowledge(shared);
        }
    }

    /// From here on it may take over, should it have to.
    fn verified(&mut self, shared: &mut Shared) {
        if let State::Verifying = self.state {
            self.state = State::Following;
            self.acknowledge(shared);
        }
    }

    fn replay(&mut self, shared: &mut Shared, index: LogIndex) {
        shared.invariant(
            index <= self.replayed || index <= self.held && self.is_restored(),
            "the hart replays only what it was given",
        );
        while self.replayed < index.min(self.held) {
            self.replayed = self.replayed.next();
            let bytes = self.unreplayed.pop_front().unwrap_or_default();
            self.unreplayed_bytes -= u64::from(bytes);
        }
        let due = self.sent.after(shared.config.times.acknowledge_pause);
        if due <= shared.now {
            self.acknowledge(shared);
        } else {
            self.acknowledge_by(due);
        }
    }
}
