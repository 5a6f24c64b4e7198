//! The backup: it holds the log, acknowledges it, and lets its hart replay it.

mod watch;

use crate::action::{Action, HaltReason, Local};
use crate::arbitration::Inquiry;
use crate::config::Mutation;
use crate::core::{Next, Role};
use crate::joining::Joining;
use crate::message::{LeaveReason, Message};
use crate::shared::Shared;
use crate::types::{Epoch, Instant, LogIndex, NodeId, TransferId};
use bytes::Bytes;
use std::collections::VecDeque;

/// A backup, from the start of its state transfer until it leaves, or tries to take over.
#[derive(Debug)]
pub(crate) struct Backup {
    pub(crate) primary: NodeId,
    pub(crate) transfer: TransferId,
    /// The newest epoch that the primary has told.
    pub(crate) epoch: Epoch,
    /// Whether the primary says that the record is PAIR: for the status only.
    pub(crate) paired: bool,
    /// The primary's epoch at the start of the transfer.
    begun_in: Epoch,
    attempt: u64,
    state: State,
    /// Last entry held.
    pub(crate) held: LogIndex,
    pub(crate) replayed: LogIndex,
    /// Outputs up to here have left the primary.
    pub(crate) released: LogIndex,
    /// Sizes of the entries that are held and not replayed.
    unreplayed: VecDeque<u32>,
    unreplayed_bytes: u64,
    powered_off: bool,
    heard: Instant,
    sent: Instant,
    disconnected: Option<Instant>,
    acknowledge_at: Option<Instant>,
    /// The last entry that the primary has spoken of.
    pub(crate) announced: LogIndex,
    /// When the entries that are missing were last asked for, or first missed.
    missed: Option<Instant>,
    suspicion: Option<Inquiry>,
}

/// Whether the state is there.
#[derive(Debug)]
enum State {
    /// On its way; the log that follows it waits here.
    Receiving { waiting: Vec<Bytes> },
    /// Restored; the hart replays, and no digest was compared yet.
    Verifying,
    /// A digest agreed.
    Following,
}

impl Backup {
    /// Follows `primary` from the state that it is about to send; the first entry after that has index `from`.
    pub(crate) fn begin(
        shared: &mut Shared,
        primary: NodeId,
        transfer: TransferId,
        epoch: Epoch,
        attempt: u64,
        from: LogIndex,
    ) -> Self {
        shared.act(Action::ReceiveState {
            from: primary,
            transfer,
            next: from,
        });
        let mut backup = Self {
            primary,
            transfer,
            epoch,
            paired: false,
            begun_in: epoch,
            attempt,
            state: State::Receiving {
                waiting: Vec::new(),
            },
            held: from.previous(),
            replayed: from.previous(),
            released: LogIndex(0),
            unreplayed: VecDeque::new(),
            unreplayed_bytes: 0,
            powered_off: false,
            heard: shared.now,
            sent: shared.now,
            disconnected: None,
            acknowledge_at: None,
            announced: from.previous(),
            missed: None,
            suspicion: None,
        };
        backup.acknowledge(shared, false);
        backup
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Following)
    }

    fn is_restored(&self) -> bool {
        !matches!(self.state, State::Receiving { .. })
    }

    pub(crate) fn is_suspicious(&self) -> bool {
        self.suspicion.is_some()
    }

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
            } if transfer == self.transfer => {
                self.hear(shared, epoch, released);
                self.append(shared, first, entries, urgent);
            }
            Message::Heartbeat {
                epoch,
                transfer,
                last,
                released,
                paired,
            } if transfer == self.transfer => {
                self.hear(shared, epoch, released);
                self.paired = paired;
                self.announced = self.announced.max(last);
                self.miss(shared);
            }
            Message::TransferStart { transfer, .. } if transfer == self.transfer => {
                self.heard = shared.now;
                self.acknowledge(shared, false);
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
                *self = Self::begin(shared, self.primary, transfer, epoch, attempt, from);
            }
            Message::Leave {
                transfer: Some(transfer),
                reason,
            } if transfer == self.transfer => {
                return match reason {
                    LeaveReason::PoweredOff => Next::Halt(HaltReason::PoweredOff),
                    _ if !self.is_ready() => self.start_over(shared),
                    _ => Next::Halt(HaltReason::Dismissed),
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
                self.acknowledge(shared, self.announced > self.held);
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
                return Next::Halt(HaltReason::Dismissed);
            }
            Local::PoweredOff => self.powered_off = true,
            Local::Arbiter { request, reply } => return self.arbiter(shared, request, reply),
            _ => {}
        }
        Next::Stay
    }

    pub(crate) fn on_timeout(&mut self, shared: &mut Shared) -> Next {
        if let Some(inquiry) = &mut self.suspicion {
            if inquiry.pause_is_over(shared) && self.suspect_at(shared) > shared.now {
                self.suspicion = None;
            } else if let Some(inquiry) = &mut self.suspicion {
                inquiry.timeout(shared);
            }
        } else if self.suspect_at(shared) <= shared.now {
            let incomplete_may = shared.mutated(Mutation::TakeOverIncomplete);
            if !self.is_ready() && !incomplete_may {
                return self.start_over(shared);
            }
            self.suspicion = Some(Inquiry::start(shared));
        }
        self.miss(shared);
        if self.acknowledge_due(shared) <= shared.now {
            self.acknowledge(shared, false);
        }
        Next::Stay
    }

    pub(crate) fn deadline(&self, shared: &Shared) -> Instant {
        let suspicion = match &self.suspicion {
            Some(inquiry) => inquiry.deadline(),
            None => self.suspect_at(shared),
        };
        let missed = self
            .missed
            .map(|since| since.after(shared.config.times.resend_us));
        let due = suspicion.min(self.acknowledge_due(shared));
        missed.map_or(due, |missed| due.min(missed))
    }

    pub(crate) fn forgive(&mut self, shared: &Shared) {
        self.heard = shared.now;
        if let Some(disconnected) = &mut self.disconnected {
            *disconnected = shared.now;
        }
    }

    fn hear(&mut self, shared: &mut Shared, epoch: Epoch, released: LogIndex) {
        self.heard = shared.now;
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
        self.announced = self
            .announced
            .max(first.previous().plus(entries.len() as u64));
        let known = self.held.next().since(first);
        if first > self.held.next() || known >= entries.len() as u64 {
            // A gap, or nothing new: say what is held.
            self.miss(shared);
            if urgent {
                self.acknowledge(shared, false);
            }
            return;
        }
        entries.drain(..known as usize);
        let bytes = entries.iter().map(|entry| entry.len() as u64).sum::<u64>();
        if self.is_full(shared, bytes, entries.len()) {
            // Not taken, hence not acknowledged: the primary brakes, and says it again.
            self.miss(shared);
            return;
        }
        let first = self.held.next();
        self.held = self.held.plus(entries.len() as u64);
        self.unreplayed_bytes += bytes;
        self.unreplayed
            .extend(entries.iter().map(|entry| entry.len() as u32));
        self.missed = None;
        self.miss(shared);
        match &mut self.state {
            State::Receiving { waiting } => waiting.extend(entries),
            State::Verifying | State::Following => {
                shared.act(Action::Replay { first, entries });
            }
        }
        if urgent {
            self.acknowledge(shared, false);
        } else {
            self.acknowledge_by(shared.now.after(shared.config.times.acknowledge_us));
        }
    }

    /// Whether so much more would be above the bounds; whatever comes fits into an empty buffer.
    fn is_full(&self, shared: &Shared, bytes: u64, entries: usize) -> bool {
        let bounds = &shared.config.bounds;
        let entries = (self.unreplayed.len() + entries) as u64;
        !self.unreplayed.is_empty()
            && (self.unreplayed_bytes.saturating_add(bytes) > bounds.unreplayed_bytes_max
                || entries > bounds.unreplayed_entries_max.saturating_mul(2))
    }

    /// Asks for what is missing, if it has been missing for long enough.
    fn miss(&mut self, shared: &mut Shared) {
        if self.announced <= self.held {
            self.missed = None;
            return;
        }
        let since = *self.missed.get_or_insert(shared.now);
        if since.after(shared.config.times.resend_us) <= shared.now {
            self.missed = Some(shared.now);
            self.acknowledge(shared, true);
        }
    }

    fn acknowledge_by(&mut self, due: Instant) {
        self.acknowledge_at = Some(self.acknowledge_at.map_or(due, |at| at.min(due)));
    }

    fn acknowledge_due(&self, shared: &Shared) -> Instant {
        let beat = self.sent.after(shared.config.times.heartbeat_us);
        self.acknowledge_at.map_or(beat, |at| at.min(beat))
    }

    fn acknowledge(&mut self, shared: &mut Shared, resend: bool) {
        self.acknowledge_at = None;
        self.sent = shared.now;
        let held = match shared.mutated(Mutation::AcknowledgeAhead) {
            true => self.held.max(self.announced),
            false => self.held,
        };
        let message = Message::Acknowledge {
            epoch: self.epoch,
            transfer: self.transfer,
            held,
            replayed: self.replayed,
            ready: self.is_ready(),
            resend,
        };
        shared.send(self.primary, message);
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
            self.acknowledge(shared, false);
        }
    }

    /// From here on it may take over, should it have to.
    fn verified(&mut self, shared: &mut Shared) {
        if let State::Verifying = self.state {
            self.state = State::Following;
            self.acknowledge(shared, false);
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
        let due = self.sent.after(shared.config.times.acknowledge_pause_us);
        if due <= shared.now {
            self.acknowledge(shared, false);
        } else {
            self.acknowledge_by(due);
        }
    }

    fn leave(&self, shared: &mut Shared, reason: LeaveReason) {
        let transfer = Some(self.transfer);
        shared.send(self.primary, Message::Leave { transfer, reason });
    }

    /// Forgets a state that is not whole, and asks to join anew.
    fn start_over(&self, shared: &mut Shared) -> Next {
        shared.act(Action::AbandonTransfer {
            transfer: self.transfer,
        });
        Next::become_role(Role::Joining(Joining::again(shared, self.attempt)))
    }
}
