//! How the primary arms and disarms its protection: every step between alone and a pair.

use super::state::Primary;
use crate::action::{Action, HaltReason};
use crate::arbitration::{Change, Inquiry, Won};
use crate::config::Mutation;
use crate::look::Look;
use crate::message::{LeaveReason, Message};
use crate::output::Rule;
use crate::pacing::{Refusal, Refused};
use crate::pairing::{Pairing, pairing};
use crate::protection::{Judged, Protection, Snapshotting};
use crate::shared::Shared;
use crate::suspicion::Verdict;
use crate::transfer::Stream;
use crate::turn::Next;
use crate::types::{HostId, LogIndex, Mode, NodeId, TransferId};

impl Primary {
    /// A node asks to become the backup.
    pub(crate) fn join(
        &mut self,
        shared: &mut Shared,
        from: NodeId,
        attempt: u64,
        room_bytes: u64,
    ) {
        let Some(&host) = shared.connected.get(&from) else {
            // Said on a channel that is gone: state could not be sent there, and the node asks again on the next one.
            return;
        };
        match &mut self.protection {
            Protection::Snapshotting(snapshotting) if snapshotting.peer == from => {
                snapshotting.attempt = snapshotting.attempt.max(attempt);
                return;
            }
            Protection::Copying(stream) if stream.peer == from => {
                if attempt <= stream.attempt {
                    stream.answer_again(shared);
                    return;
                }
                // It started over: what was sent is lost.
                stream.finish(Refusal::Vanished);
            }
            // One that has been ready is told that it is dismissed, and does not come back as the same node.
            protection if protection.stream().is_some_and(|s| s.peer == from) => return,
            _ => {}
        }
        let piles_up = shared.mutated(Mutation::PileUpCandidates);
        if !piles_up {
            self.candidates.retain(|(node, _)| *node != from);
        }
        if !self.admits(shared, from, host, attempt, room_bytes) {
            return;
        }
        if piles_up || self.candidates.len() < shared.config.bounds.candidates_max {
            self.candidates.push_back((from, attempt));
        }
    }

    /// Whether the guest may be stopped for this joiner now; it is told why not.
    fn admits(
        &mut self,
        shared: &mut Shared,
        peer: NodeId,
        host: HostId,
        attempt: u64,
        room_bytes: u64,
    ) -> bool {
        let (now, times) = (shared.now, &shared.config.times);
        let room = (shared.needs_bytes, room_bytes);
        let judged = self.pacing.judge(now, times, host, room);
        let Err((why, wait)) = judged else {
            return true;
        };
        if shared.mutated(Mutation::JoinWithoutPacing) {
            return true;
        }
        let until = now.after(wait);
        self.refused = Some(Refused { peer, why, until });
        if self.pacing.is_news(now, host, why) {
            shared.act(Action::Refuse { peer, why });
        }
        let later = Message::Later { attempt, why, wait };
        shared.send(peer, later);
        false
    }

    /// A transfer to this host came to nothing, or its backup was no use.
    fn note_failure(&mut self, shared: &Shared, stream: &Stream, why: Refusal) {
        let times = &shared.config.times;
        self.pacing.failed(shared.now, times, stream.host, why);
    }

    pub(crate) fn snapshot_taken(&mut self, shared: &mut Shared, taken: TransferId) {
        let times = &shared.config.times;
        self.pacing.taken(shared.now, times, taken);
        match self.protection.take() {
            Protection::Snapshotting(Snapshotting {
                peer,
                host,
                attempt,
                transfer,
            }) if transfer == taken => {
                let epoch = self.record.epoch;
                let first = self.last.next();
                let names = (peer, host, transfer, attempt);
                let stream = Stream::begin(shared, names, epoch, first);
                shared.act(Action::SendState { to: peer, transfer });
                self.protection = Protection::Copying(stream);
            }
            other => {
                self.protection = other;
                shared.act(Action::AbandonTransfer { transfer: taken });
            }
        }
    }

    /// Does everything that the present state allows, until nothing more is.
    pub(crate) fn advance(&mut self, shared: &mut Shared) -> Next {
        loop {
            self.release(shared);
            if self.gives_up && self.may_leave(shared) {
                shared.decide("the machine is protected: it is left to the backup, and not ended");
                return Next::Halt(HaltReason::Left);
            }
            if !self.step(shared) {
                self.apply_brake(shared);
                return Next::Stay;
            }
        }
    }

    /// Goes one step on the way, if it can.
    fn step(&mut self, shared: &mut Shared) -> bool {
        let ends = self.powered_off || self.gives_up;
        match self.protection.take() {
            Protection::Alone if ends => self.stop(shared, None),
            Protection::Alone => match self.candidates.pop_front() {
                Some((peer, attempt)) => self.take_snapshot(shared, peer, attempt),
                None => return false,
            },
            Protection::Snapshotting(snapshotting) if ends => {
                let transfer = snapshotting.transfer;
                shared.act(Action::AbandonTransfer { transfer });
                self.stop(shared, None);
            }
            Protection::Copying(stream) | Protection::Closing { stream, .. } if ends => {
                self.outputs.set_rule(Rule::Free);
                self.release(shared);
                self.stop(shared, Some(stream));
            }
            Protection::Copying(mut stream) => {
                stream.judge(shared);
                return self.pair(shared, stream, None);
            }
            Protection::Closing { mut stream, sync } => {
                stream.judge(shared);
                return self.pair(shared, stream, Some(sync));
            }
            Protection::Paired {
                mut stream,
                suspicion: None,
            } => {
                stream.judge(shared);
                return self.guard(shared, stream);
            }
            other => {
                self.protection = other;
                return false;
            }
        }
        true
    }

    /// Begins with a candidate, unless what has happened since it asked speaks against it: then it asks again.
    fn take_snapshot(&mut self, shared: &mut Shared, peer: NodeId, attempt: u64) {
        let Some(&host) = shared.connected.get(&peer) else {
            return;
        };
        if !self.admits(shared, peer, host, attempt, u64::MAX) {
            return;
        }
        let transfer = shared.new_transfer(self.record.epoch);
        self.pacing.asked(shared.now, transfer);
        shared.act(Action::TakeSnapshot { transfer });
        self.protection = Protection::Snapshotting(Snapshotting {
            peer,
            host,
            attempt,
            transfer,
        });
    }

    /// On the way from a lone primary to a pair, by the table.
    fn pair(&mut self, shared: &mut Shared, mut stream: Stream, sync: Option<LogIndex>) -> bool {
        let (decision, why) = pairing(stream.progress(shared, sync));
        if decision != Pairing::Wait {
            shared.decide(why);
        }
        match (decision, sync) {
            (Pairing::Wait, None) => {
                self.protection = Protection::Copying(stream);
                return false;
            }
            (Pairing::Wait, Some(sync)) => {
                self.protection = Protection::Closing { stream, sync };
                return false;
            }
            (Pairing::Drop, _) => {
                // The record says SOLO and nobody was asked to change it: what was held is free.
                self.outputs.set_rule(Rule::Free);
                let why = stream.failure().unwrap_or(Refusal::Vanished);
                self.note_failure(shared, &stream, why);
                self.part(shared, &stream, LeaveReason::Dismissed);
            }
            (Pairing::Close, _) => {
                let sync = self.last;
                if !shared.mutated(Mutation::PairBeforeHolding) {
                    self.outputs.set_rule(Rule::Acknowledged { sync });
                }
                stream.closing = Some(shared.now);
                // So that the backup says at once how far it is.
                stream.heartbeat(shared, self.owner(), true);
                self.protection = Protection::Closing { stream, sync };
            }
            (Pairing::Arm, sync) => {
                shared.invariant(
                    stream.ready
                        && sync.is_some_and(|sync| {
                            self.outputs.rule() == Rule::Acknowledged { sync }
                                && stream.window.acknowledged() >= sync
                        }),
                    "I6: PAIR is asked for when every output since the sync point is held",
                );
                let mode = Mode::Pair {
                    backup: stream.peer,
                };
                stream.closing = None;
                let change = self.change(shared, mode);
                self.protection = Protection::Arming { stream, change };
            }
        }
        true
    }

    /// In a pair: suspect the backup, or switch off.
    fn guard(&mut self, shared: &mut Shared, stream: Stream) -> bool {
        if stream.cause(shared).is_some() {
            if shared.mutated(Mutation::ReleaseOnSuspicion) {
                self.outputs.set_rule(Rule::Free);
            }
            self.look = Look::rest(shared);
            let suspicion = Some(Inquiry::start(shared));
            self.protection = Protection::Paired { stream, suspicion };
            return true;
        }
        if self.powered_off && stream.window.acknowledged() == self.last {
            self.stop(shared, Some(stream));
            return true;
        }
        let suspicion = None;
        self.protection = Protection::Paired { stream, suspicion };
        false
    }

    fn stop(&mut self, shared: &mut Shared, stream: Option<Stream>) {
        let change = self.change(shared, Mode::Down);
        self.protection = Protection::Stopping { stream, change };
    }

    fn change(&mut self, shared: &mut Shared, mode: Mode) -> Change {
        self.look = Look::rest(shared);
        let new = shared.successor(Some(self.record), mode);
        Change::start(shared, Some(self.record), new)
    }

    /// Tells a backup that its stream has ended.
    fn part(&self, shared: &mut Shared, stream: &Stream, reason: LeaveReason) {
        if !stream.ready {
            let transfer = stream.transfer;
            shared.act(Action::AbandonTransfer { transfer });
        }
        let transfer = Some(stream.transfer);
        shared.send(stream.peer, Message::Leave { transfer, reason });
    }

    /// Acts on what the arbiter said.
    pub(crate) fn judged(&mut self, shared: &mut Shared, judged: Judged) -> Next {
        let protection = self.protection.take();
        match (judged, protection) {
            (Judged::Armed(won), Protection::Arming { mut stream, .. }) => {
                self.adopt(shared, &won);
                if shared.mutated(Mutation::PairBeforeHolding) {
                    let sync = self.last;
                    self.outputs.set_rule(Rule::Acknowledged { sync });
                }
                stream.protects = true;
                stream.heartbeat(shared, self.owner(), false);
                self.pacing.paired(shared.now, stream.host);
                self.refused.take_if(|refused| refused.peer == stream.peer);
                shared.prepare(self.record);
                let suspicion = None;
                self.protection = Protection::Paired { stream, suspicion };
            }
            (Judged::Disarmed(won), Protection::Disarming { stream, .. }) => {
                self.adopt(shared, &won);
                self.outputs.set_rule(Rule::Free);
                // One that only fell silent may come back at once.
                if let Some(why) = stream.failure().filter(|why| *why != Refusal::Vanished) {
                    self.note_failure(shared, &stream, why);
                }
                self.part(shared, &stream, LeaveReason::Dismissed);
            }
            (Judged::Stopped, Protection::Stopping { stream, .. }) => {
                if let Some(stream) = stream {
                    self.part(shared, &stream, LeaveReason::PoweredOff);
                }
                return Next::Halt(HaltReason::PoweredOff);
            }
            (Judged::Suspect(verdict), Protection::Paired { stream, suspicion }) => {
                self.suspect(shared, verdict, stream, suspicion);
            }
            (Judged::Lost(record), _) => return self.lose(shared, record),
            (_, protection) => self.protection = protection,
        }
        Next::Stay
    }

    fn suspect(
        &mut self,
        shared: &mut Shared,
        verdict: Verdict,
        stream: Stream,
        suspicion: Option<Inquiry>,
    ) {
        self.protection = match (verdict, suspicion) {
            (Verdict::Withdraw, _) => Protection::Paired {
                stream,
                suspicion: None,
            },
            (Verdict::Change, _) => {
                let change = self.change(shared, Mode::Solo);
                Protection::Disarming { stream, change }
            }
            (_, mut suspicion) => {
                if let Some(inquiry) = &mut suspicion {
                    inquiry.ask_later(shared);
                }
                Protection::Paired { stream, suspicion }
            }
        };
    }

    fn adopt(&mut self, shared: &Shared, won: &Won) {
        let record = won.record();
        shared.invariant(
            record.epoch > self.record.epoch && record.owner == shared.config.node,
            "I1: epochs strictly increase and have at most one owner each",
        );
        self.record = record;
    }
}
