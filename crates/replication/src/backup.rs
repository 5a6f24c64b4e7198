//! The backup: it holds the log, acknowledges it, and lets its hart replay it.

use crate::action::{Action, ArbiterReply, HaltReason, Local, RequestId};
use crate::arbitration::{Answer, Inquiry};
use crate::config::Mutation;
use crate::core::{Next, Role};
use crate::joining::Joining;
use crate::message::{LeaveReason, Message};
use crate::shared::Shared;
use crate::suspicion::{self, Allegiance, BackupView, Fitness, Verdict};
use crate::takeover::Takeover;
use crate::types::{Epoch, Instant, LogIndex, NodeId, Record, TransferId};
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
    /// Restored, and its digest agreed.
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
            Local::Replayed { index } => {
                self.replay(shared, index);
                return self.suspect_sooner(shared);
            }
            Local::Diverged if !shared.mutated(Mutation::TakeOverDiverged) => {
                let transfer = self.transfer;
                shared.send(self.primary, Message::Diverged { transfer });
                return Next::Halt(HaltReason::Diverged);
            }
            Local::Connected { peer } if peer == self.primary => {
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
        if self.unreplayed_bytes.saturating_add(bytes) > shared.config.bounds.unreplayed_bytes_max {
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
            State::Following => shared.act(Action::Replay { first, entries }),
        }
        if urgent {
            self.acknowledge(shared, false);
        } else {
            self.acknowledge_soon(shared);
        }
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

    fn acknowledge_soon(&mut self, shared: &Shared) {
        let due = shared.now.after(shared.config.times.acknowledge_us);
        self.acknowledge_at.get_or_insert(due);
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
            self.state = State::Following;
            if !entries.is_empty() {
                let first = self.replayed.next();
                shared.act(Action::Replay { first, entries });
            }
            self.acknowledge(shared, false);
        }
    }

    fn replay(&mut self, shared: &mut Shared, index: LogIndex) {
        shared.invariant(
            index <= self.replayed || index <= self.held && self.is_ready(),
            "the hart replays only what it was given",
        );
        while self.replayed < index.min(self.held) {
            self.replayed = self.replayed.next();
            let bytes = self.unreplayed.pop_front().unwrap_or_default();
            self.unreplayed_bytes -= u64::from(bytes);
        }
        self.acknowledge_soon(shared);
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

    fn suspect_at(&self, shared: &Shared) -> Instant {
        let times = &shared.config.times;
        let silence_us = match self.state {
            State::Receiving { .. } => times.suspect_in_transfer_us,
            State::Following => times.suspect_primary_us,
        };
        let at = self.heard.after(silence_us);
        match self.disconnected {
            Some(disconnected) => {
                // When both see the channel break, the primary is first to ask, as with silence.
                let grace_us = times.suspect_disconnected_us
                    + times
                        .suspect_primary_us
                        .saturating_sub(times.suspect_backup_us);
                at.min(disconnected.after(grace_us))
            }
            None => at,
        }
    }

    /// Does not wait out a pause whose reason is gone: all that is held is replayed now.
    fn suspect_sooner(&mut self, shared: &mut Shared) -> Next {
        if self.replayed == self.held
            && self.suspicion.as_ref().is_some_and(Inquiry::is_pausing)
            && shared.arbiter_reachable
            && self.suspect_at(shared) <= shared.now
        {
            self.suspicion = Some(Inquiry::start(shared));
        }
        Next::Stay
    }

    fn arbiter(&mut self, shared: &mut Shared, request: RequestId, reply: ArbiterReply) -> Next {
        let Some(inquiry) = &self.suspicion else {
            return Next::Stay;
        };
        let Some(answer) = inquiry.reply(shared, request, reply) else {
            return Next::Stay;
        };
        let me = Allegiance {
            machine: shared.config.machine,
            node: shared.config.node,
            primary: self.primary,
            begun_in: self.begun_in,
        };
        let view = BackupView::of(me, answer);
        let fitness = self.fitness(shared);
        match (self.verdict(shared, view, fitness), answer) {
            (Verdict::Change, Answer::Record(Some(record))) => self.take_over(shared, record),
            (Verdict::Withdraw, _) => {
                self.suspicion = None;
                Next::Stay
            }
            (Verdict::Off, _) => Next::Halt(HaltReason::PoweredOff),
            (Verdict::Leave | Verdict::Lose, _) if !self.is_ready() => self.start_over(shared),
            (Verdict::Leave | Verdict::Lose, _) => Next::Halt(HaltReason::Dismissed),
            (Verdict::Wait | Verdict::Change, _) => {
                if let Some(inquiry) = &mut self.suspicion {
                    inquiry.ask_later(shared);
                }
                Next::Stay
            }
        }
    }

    fn fitness(&self, shared: &Shared) -> Fitness {
        Fitness {
            heard: self.suspect_at(shared) > shared.now,
            complete: self.is_ready(),
            drained: self.replayed == self.held,
        }
    }

    fn verdict(&self, shared: &mut Shared, view: BackupView, mut fitness: Fitness) -> Verdict {
        if shared.mutated(Mutation::TakeOverIncomplete)
            && !fitness.heard
            && view == BackupView::PrimaryAlone
        {
            return Verdict::Change;
        }
        fitness.drained |= shared.mutated(Mutation::SkipDrain);
        let (verdict, why) = suspicion::backup(view, fitness);
        shared.decide(why);
        verdict
    }

    /// From here on nothing is acknowledged, ever (I4): a takeover has no stream to acknowledge.
    fn take_over(&mut self, shared: &mut Shared, record: Record) -> Next {
        shared.invariant(
            self.is_ready() && self.replayed == self.held,
            "I7: an incomplete backup never takes over",
        );
        let takeover = Takeover::start(
            shared,
            record,
            self.primary,
            self.transfer,
            (self.held, self.replayed),
            self.powered_off,
        );
        Next::become_role(Role::TakingOver(takeover))
    }
}
