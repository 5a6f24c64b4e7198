//! The primary: the owner of the machine, alone or protected.

mod arming;

use crate::action::{Action, ArbiterReply, HaltReason, Local, RequestId};
use crate::arbitration::{Answer, Won};
use crate::config::Mutation;
use crate::core::Next;
use crate::look::Look;
use crate::message::{LeaveReason, Message};
use crate::output::{Outputs, Rule};
use crate::pacing::{Pacing, Refusal};
use crate::protection::Protection;
use crate::shared::Shared;
use crate::slow::{BRAKE_FOR_JOINER_MAX, brake_for_lag};
use crate::status::{Refused, TakeoverTimes};
use crate::suspicion::OwnerView;
use crate::transfer::{Acknowledgement, Owner};
use crate::types::{Epoch, Instant, LogIndex, Mode, NodeId, Record, TransferId};
use bytes::Bytes;
use std::collections::VecDeque;

/// The brake is told anew when it changes by so much, in thousandths.
const BRAKE_STEP: u16 = 25;

/// Told once when a backup turns out to be slow.
const SLOW: &str = "the backup cannot keep up: the machine is only as fast as it";

/// The owner of the machine.
#[derive(Debug)]
pub(crate) struct Primary {
    /// The arbiter's record as this node last wrote it.
    pub(crate) record: Record,
    /// The last entry appended.
    pub(crate) last: LogIndex,
    pub(crate) outputs: Outputs,
    pub(crate) protection: Protection,
    /// Nodes that asked to join and may, and their attempts.
    pub(crate) candidates: VecDeque<(NodeId, u64)>,
    pub(crate) pacing: Pacing,
    /// Who was refused last, and is no backup since.
    pub(crate) refused: Option<Refused>,
    /// The guest switched itself off.
    pub(crate) powered_off: bool,
    /// An operator ends this node.
    pub(crate) gives_up: bool,
    pub(crate) brake: u16,
    pub(crate) look: Look,
    /// How the machine came to this node, if it was another's before.
    pub(crate) takeover: Option<TakeoverTimes>,
}

impl Primary {
    /// The first owner, or the first after a power-off.
    pub(crate) fn first(shared: &mut Shared, won: &Won) -> Self {
        let record = won.record();
        shared.act(Action::Run {
            epoch: record.epoch,
        });
        Self::new(shared, record, LogIndex(0))
    }

    /// A backup that the arbiter made the owner, and that has replayed all it holds.
    pub(crate) fn after_takeover(
        shared: &mut Shared,
        won: &Won,
        held: LogIndex,
        powered_off: bool,
        times: TakeoverTimes,
    ) -> (Self, Next) {
        let record = won.record();
        shared.act(Action::GoLive {
            epoch: record.epoch,
            next: held.next(),
        });
        let mut primary = Self::new(shared, record, held);
        primary.powered_off = powered_off;
        primary.takeover = Some(times);
        let next = primary.advance(shared);
        (primary, next)
    }

    fn new(shared: &mut Shared, record: Record, last: LogIndex) -> Self {
        Self {
            look: Look::rest(shared),
            takeover: None,
            record,
            last,
            outputs: Outputs::new(last),
            protection: Protection::Alone,
            candidates: VecDeque::new(),
            pacing: Pacing::default(),
            refused: None,
            powered_off: false,
            gives_up: false,
            brake: 0,
        }
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner {
            epoch: self.record.epoch,
            released: self.outputs.released(),
            paired: matches!(self.record.mode, Mode::Pair { .. }),
        }
    }

    /// Whether its backup takes over should it end now: one that has spoken since it protects the machine, and that nobody doubts.
    pub(crate) fn may_leave(&self, shared: &Shared) -> bool {
        match &self.protection {
            Protection::Paired { stream, suspicion } => {
                let knows = stream.answered_in >= self.record.epoch;
                suspicion.is_none() && stream.cause(shared).is_none() && knows
            }
            Protection::Disarming { .. } => shared.mutated(Mutation::EndInDoubt),
            _ => false,
        }
    }

    pub(crate) fn on_message(
        &mut self,
        shared: &mut Shared,
        from: NodeId,
        message: &Message,
    ) -> Next {
        match message {
            &Message::Join { machine, .. } if machine != shared.config.machine => {
                let reason = LeaveReason::OtherMachine;
                let transfer = None;
                shared.send(from, Message::Leave { transfer, reason });
            }
            &Message::Join {
                attempt,
                room_bytes,
                ..
            } => self.join(shared, from, attempt, room_bytes),
            &Message::Acknowledge {
                epoch,
                transfer,
                held,
                replayed,
                ready,
                room,
                ref beyond,
                echo,
                echo_age_us,
            } => {
                let said = Acknowledgement {
                    epoch,
                    held,
                    replayed,
                    ready,
                    room,
                    beyond: beyond.clone(),
                    echo,
                    echo_age_us,
                };
                self.acknowledge(shared, from, transfer, said);
            }
            &Message::Diverged { transfer } => self.finish(from, transfer, Refusal::Diverged),
            &Message::Leave {
                transfer: Some(transfer),
                reason,
            } => match reason {
                LeaveReason::Superseded { epoch } if epoch <= self.record.epoch => {}
                LeaveReason::StateDamaged => self.finish(from, transfer, Refusal::StateUnusable),
                _ => self.finish(from, transfer, Refusal::Vanished),
            },
            &Message::Append {
                epoch, transfer, ..
            }
            | &Message::Heartbeat {
                epoch, transfer, ..
            }
            | &Message::TransferStart {
                epoch, transfer, ..
            } => {
                self.other_primary(shared, from, epoch, transfer);
            }
            Message::Leave { transfer: None, .. }
            | Message::Later { .. }
            | Message::Known { .. } => {}
        }
        self.advance(shared)
    }

    pub(crate) fn on_local(&mut self, shared: &mut Shared, local: Local) -> Next {
        match local {
            Local::Appended { entries, marks } => self.append(shared, &entries, &marks),
            Local::SnapshotTaken { transfer, from } => {
                shared.invariant(
                    from == self.last.next(),
                    "a snapshot stands before the next entry that the hart appends",
                );
                self.snapshot_taken(shared, transfer);
            }
            Local::Connected { peer, .. } => {
                let owner = self.owner();
                if let Some(stream) = self.protection.stream_mut().filter(|s| s.peer == peer) {
                    stream.connected(shared, owner);
                }
            }
            Local::Disconnected { peer } => self.disconnected(shared, peer),
            Local::TransferProgress {
                transfer,
                bytes,
                total,
            } => {
                let now = shared.now;
                if let Some(stream) = self
                    .protection
                    .stream_mut()
                    .filter(|s| s.transfer == transfer)
                {
                    stream.sent_bytes(now, bytes, total);
                }
            }
            Local::Arbiter { request, reply } => {
                let next = self.arbiter(shared, request, reply);
                if !matches!(next, Next::Stay) {
                    return next;
                }
            }
            Local::PoweredOff => self.powered_off = true,
            Local::GiveUp if shared.mutated(Mutation::GiveUpPair) => self.powered_off = true,
            Local::GiveUp => self.gives_up = true,
            Local::Leave if self.may_leave(shared) => return Next::Halt(HaltReason::Left),
            // Of a hart that replayed a moment ago, of an operator who mistook the role, or would end the only state.
            Local::Start
            | Local::Join
            | Local::Leave
            | Local::Room { .. }
            | Local::Needs { .. }
            | Local::StateRestored { .. }
            | Local::Verified
            | Local::Replayed { .. }
            | Local::Diverged => {}
        }
        self.advance(shared)
    }

    pub(crate) fn on_timeout(&mut self, shared: &mut Shared) -> Next {
        let owner = self.owner();
        if let Some(stream) = self.protection.stream_mut() {
            stream.on_timeout(shared, owner);
        }
        let next = self.arbiter_timeout(shared);
        if !matches!(next, Next::Stay) {
            return next;
        }
        self.advance(shared)
    }

    pub(crate) fn deadline(&self, shared: &Shared) -> Option<Instant> {
        let look = self.protection.is_at_rest().then(|| self.look.deadline());
        look.into_iter()
            .chain(self.protection.deadline(shared))
            .min()
    }

    pub(crate) fn forgive(&mut self, shared: &Shared) {
        if let Some(stream) = self.protection.stream_mut() {
            stream.forgive(shared);
        }
    }

    fn append(&mut self, shared: &mut Shared, entries: &[Bytes], marks: &[u32]) {
        let before = self.last;
        self.last = before.plus(entries.len() as u64);
        for mark in marks {
            let index = before.plus(u64::from(*mark) + 1);
            shared.invariant(
                index <= self.last,
                "a mark is one of the entries it came with",
            );
            self.outputs.add(index);
        }
        // What needs no acknowledgement leaves first, so that the stream can tell that it has.
        self.release(shared);
        let owner = self.owner();
        if let Some(stream) = self.protection.stream_mut() {
            stream.append(shared, owner, entries, !marks.is_empty());
        }
    }

    /// Lets out what the output rule allows (I2).
    pub(crate) fn release(&mut self, shared: &mut Shared) {
        if matches!(self.protection, Protection::Stopping { .. }) {
            // All has left that may. A guest that is given up goes on until the record says DOWN, and says nothing more.
            return;
        }
        let acknowledged = self
            .protection
            .stream()
            .map_or(LogIndex(0), |stream| stream.window.acknowledged());
        let rule = self.outputs.rule();
        let Some(up_to) = self.outputs.release(shared, acknowledged) else {
            return;
        };
        shared.invariant(
            match rule {
                Rule::Free => self.record.mode == Mode::Solo && !self.protection.in_doubt(),
                Rule::Acknowledged { sync } => up_to <= acknowledged.max(sync),
            },
            "I2: unacknowledged output leaves only in SOLO, by the owner",
        );
        let epoch = match self.record.epoch {
            Epoch(epoch) if shared.mutated(Mutation::StampOlderEpoch) => Epoch(epoch - 1),
            epoch => epoch,
        };
        shared.act(Action::Release { up_to, epoch });
    }

    fn acknowledge(
        &mut self,
        shared: &mut Shared,
        from: NodeId,
        transfer: TransferId,
        mut said: Acknowledgement,
    ) {
        let owner = self.owner();
        if let Some(stream) = self.protection.stream_mut() {
            if shared.mutated(Mutation::AcceptOlderEpochAcknowledge) && said.epoch < owner.epoch {
                said.epoch = owner.epoch;
                said.held = stream.window.last();
                said.replayed = said.held;
                stream.acknowledge(shared, owner, &said);
                return;
            }
            if stream.is_from(from, transfer) {
                stream.acknowledge(shared, owner, &said);
                return;
            }
        }
        // A backup of the past: it must not wait for ever for a stream that has ended.
        let reason = LeaveReason::Dismissed;
        let transfer = Some(transfer);
        shared.send(from, Message::Leave { transfer, reason });
    }

    fn finish(&mut self, from: NodeId, transfer: TransferId, why: Refusal) {
        if let Some(stream) = self.protection.stream_mut()
            && stream.is_from(from, transfer)
        {
            stream.finish(why);
        }
    }

    /// Another node speaks as the primary: one of the two is a zombie, and the arbiter knows which.
    fn other_primary(
        &mut self,
        shared: &mut Shared,
        from: NodeId,
        epoch: Epoch,
        transfer: TransferId,
    ) {
        if epoch < self.record.epoch {
            let message = Message::Leave {
                transfer: Some(transfer),
                reason: LeaveReason::Superseded {
                    epoch: self.record.epoch,
                },
            };
            shared.send(from, message);
        } else if let Some(stream) = self.protection.stream_mut() {
            stream.finish(Refusal::Vanished);
        }
    }

    fn disconnected(&mut self, shared: &mut Shared, peer: NodeId) {
        self.candidates.retain(|(node, _)| *node != peer);
        match &mut self.protection {
            Protection::Snapshotting(snapshotting) if snapshotting.peer == peer => {
                shared.act(Action::AbandonTransfer {
                    transfer: snapshotting.transfer,
                });
                let (now, host) = (shared.now, snapshotting.host);
                let times = &shared.config.times;
                self.pacing.failed(now, times, host, Refusal::Vanished);
                self.protection = Protection::Alone;
            }
            // The bulk of the state travelled on that channel.
            Protection::Copying(stream) if stream.peer == peer => stream.finish(Refusal::Vanished),
            protection => {
                if let Some(stream) = protection.stream_mut().filter(|s| s.peer == peer) {
                    stream.disconnected(shared);
                }
            }
        }
    }

    /// Tells the hart how hard to brake, when that has changed.
    pub(crate) fn apply_brake(&mut self, shared: &mut Shared) {
        let marks = (self.outputs.held() as u64).saturating_mul(1000);
        let half = shared.config.bounds.held_marks_max.max(2) / 2;
        let by_marks = (marks / half).saturating_sub(1000).min(1000) as u16;
        let by_stream = self.protection.stream();
        let by_stream = by_stream.map_or(0, |stream| stream.brake(shared));
        let brake = self.pace(shared, by_marks.max(by_stream));
        let edge = brake != self.brake && (brake == 0 || brake == 1000);
        if edge || brake.abs_diff(self.brake) >= BRAKE_STEP {
            self.brake = brake;
            shared.act(Action::Throttle { brake });
        }
    }

    /// The brake when the backup's pace is looked at, too: harder for one that lags far behind in a pair, and never a full
    /// stop for one that protects nothing yet.
    fn pace(&mut self, shared: &mut Shared, brake: u16) -> u16 {
        let alone = matches!(
            self.protection,
            Protection::Copying(_) | Protection::Closing { .. }
        );
        if alone && !shared.mutated(Mutation::StopForJoiner) {
            return brake.min(BRAKE_FOR_JOINER_MAX);
        }
        let (now, times) = (shared.now, &shared.config.times);
        let Some(stream) = self.protection.stream_mut().filter(|stream| stream.ready) else {
            return brake;
        };
        let lag_us = stream.lag_us(now);
        let brake = brake.max(brake_for_lag(lag_us, times));
        if stream.pace.look(now, lag_us, brake, times) {
            shared.decide(SLOW);
        }
        brake
    }

    /// Whether nobody protects it, as far as the record says.
    pub(crate) fn is_alone(&self) -> bool {
        self.record.mode == Mode::Solo
    }

    /// Whether this owner gives way to another that its own store does not know of: there must not be two. One that is
    /// protected goes on, since two nodes agree on it. Of two that are alone the later goes on, then the one with the lower name: so
    /// that each knows of the other's choice.
    pub(crate) fn yields_to(&self, other: &Record) -> bool {
        match (self.record.mode, other.mode) {
            (Mode::Pair { .. }, _) | (_, Mode::Down) => false,
            (_, Mode::Pair { .. }) => true,
            (_, Mode::Solo) => (other.epoch, self.record.owner) > (self.record.epoch, other.owner),
        }
    }

    /// Stops as the loser of the machine.
    pub(crate) fn lose(&mut self, shared: &mut Shared, record: Record) -> Next {
        if shared.mutated(Mutation::ReleaseOnLoss) {
            shared.act(Action::Release {
                up_to: self.last,
                epoch: self.record.epoch,
            });
        }
        Next::Halt(HaltReason::Lost { record })
    }

    fn arbiter(&mut self, shared: &mut Shared, request: RequestId, reply: ArbiterReply) -> Next {
        let next = if self.protection.is_at_rest() {
            match self.look.reply(shared, request, reply) {
                Some(answer) => self.looked(shared, answer),
                None => Next::Stay,
            }
        } else {
            let judged = self.protection.arbiter(shared, self.record, request, reply);
            self.judged(shared, judged)
        };
        match (next, reply) {
            // The answer to a question that is not asked any more: whoever is told that it lost must not go on.
            (
                Next::Stay,
                ArbiterReply::Current(Some(record)) | ArbiterReply::Refused(Some(record)),
            ) if record.owner != shared.config.node
                && !shared.mutated(Mutation::DropLateAnswer)
                && !shared.mutated(Mutation::IgnoreLostSwap) =>
            {
                self.looked(shared, Answer::Record(Some(record)))
            }
            (next, _) => next,
        }
    }

    /// What an owner that suspects nobody does about the record: it obeys it.
    fn looked(&mut self, shared: &mut Shared, answer: Answer) -> Next {
        match (OwnerView::of(shared, self.record, answer), answer) {
            (OwnerView::Changed, Answer::Record(Some(record))) => {
                shared.decide("the record was changed by another: this node must not go on");
                self.lose(shared, record)
            }
            _ => Next::Stay,
        }
    }

    fn arbiter_timeout(&mut self, shared: &mut Shared) -> Next {
        if self.protection.is_at_rest() {
            self.look.timeout(shared);
        }
        let judged = self.protection.arbiter_timeout(shared);
        self.judged(shared, judged)
    }
}
