//! The primary: the owner of the machine, alone or protected.

mod arming;
mod state;

pub(crate) use state::Primary;

use crate::action::{Action, ArbiterReply, HaltReason, Local, RequestId};
use crate::arbitration::{Answer, Won};
use crate::config::Mutation;
use crate::flight::Acknowledgement;
use crate::message::{LeaveReason, Message};
use crate::pacing::Refusal;
use crate::protection::Protection;
use crate::shared::Shared;
use crate::suspicion::OwnerView;
use crate::turn::{Next, Succession};
use crate::types::{Epoch, LogIndex, NodeId, TransferId};
use bytes::Bytes;

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
    pub(crate) fn after_takeover(shared: &mut Shared, succession: &Succession) -> (Self, Next) {
        let record = succession.won.record();
        shared.act(Action::GoLive {
            epoch: record.epoch,
            next: succession.held.next(),
        });
        let mut primary = Self::new(shared, record, succession.held);
        primary.powered_off = succession.powered_off;
        primary.takeover = Some(succession.times);
        let next = primary.advance(shared);
        (primary, next)
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
                echo_age,
            } => {
                let said = Acknowledgement {
                    epoch,
                    held,
                    replayed,
                    ready,
                    room,
                    beyond: beyond.clone(),
                    echo,
                    echo_age,
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
