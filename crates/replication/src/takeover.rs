//! A backup that has asked the arbiter for the machine. It holds no stream: it neither takes in entries nor
//! acknowledges any, whatever the outcome (I4).

use crate::action::{HaltReason, Local};
use crate::arbitration::{Change, Outcome};
use crate::config::Mutation;
use crate::message::{Message, Room};
use crate::shared::Shared;
use crate::time::{Duration, Instant};
use crate::turn::{Attempt, Next, Succession};
use crate::types::{LogIndex, Mode, NodeId, Record, TakeoverTimes, TransferId};

/// From the first attempt at the record until its outcome is certain.
#[derive(Debug)]
pub(crate) struct Takeover {
    change: Change,
    /// The node that was the primary, and the stream that came from it.
    pub(crate) former: NodeId,
    transfer: TransferId,
    /// Last entry held, hence the last that can have been acknowledged.
    pub(crate) held: LogIndex,
    pub(crate) replayed: LogIndex,
    powered_off: bool,
    /// Until it was asked for.
    times: TakeoverTimes,
    asked: Instant,
}

impl Takeover {
    /// Asks the arbiter to make this node the owner, as the backup that the record names.
    pub(crate) fn start(shared: &mut Shared, attempt: &Attempt) -> Self {
        shared.attempt_takeover();
        let new = shared.successor(Some(attempt.record), Mode::Solo);
        Self {
            change: Change::start(shared, Some(attempt.record), new),
            former: attempt.former,
            transfer: attempt.transfer,
            held: attempt.held,
            replayed: attempt.replayed,
            powered_off: attempt.powered_off,
            times: attempt.times,
            asked: shared.now,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.change.deadline()
    }

    /// The record that the takeover writes.
    pub(crate) fn target(&self) -> Record {
        self.change.target()
    }

    /// Nothing that anyone says matters now; only the arbiter does.
    pub(crate) fn on_message(
        &mut self,
        shared: &mut Shared,
        from: NodeId,
        message: &Message,
    ) -> Next {
        if shared.mutated(Mutation::AcknowledgeAfterTakeover)
            && let Message::Append {
                epoch,
                transfer,
                first,
                ref entries,
                ..
            } = *message
            && from == self.former
            && transfer == self.transfer
        {
            let message = Message::Acknowledge {
                epoch,
                transfer,
                held: first.previous().plus(entries.len() as u64),
                replayed: self.replayed,
                ready: true,
                room: Room::default(),
                beyond: Vec::new(),
                echo: 0,
                echo_age: Duration::ZERO,
            };
            shared.send(from, message);
        }
        Next::Stay
    }

    pub(crate) fn on_local(&mut self, shared: &mut Shared, local: &Local) -> Next {
        match *local {
            Local::Arbiter { request, reply } => {
                let outcome = self.change.reply(shared, request, reply);
                self.conclude(shared, outcome)
            }
            Local::Diverged if !shared.mutated(Mutation::TakeOverDiverged) => {
                Next::Halt(HaltReason::Diverged)
            }
            Local::Replayed { index } => {
                self.replayed = self.replayed.max(index);
                Next::Stay
            }
            Local::PoweredOff => {
                self.powered_off = true;
                Next::Stay
            }
            _ => Next::Stay,
        }
    }

    pub(crate) fn on_timeout(&mut self, shared: &mut Shared) -> Next {
        let outcome = self.change.timeout(shared);
        self.conclude(shared, outcome)
    }

    fn conclude(&self, shared: &mut Shared, outcome: Option<Outcome>) -> Next {
        match outcome {
            None => Next::Stay,
            Some(Outcome::Lost(record)) if record.mode == Mode::Down => {
                Next::Halt(HaltReason::of_down(record, self.former))
            }
            Some(Outcome::Lost(record)) => Next::Halt(HaltReason::Lost { record }),
            Some(Outcome::Won(won)) => {
                shared.invariant(
                    self.replayed == self.held,
                    "I3: everything acknowledged is replayed before the first live event",
                );
                let times = TakeoverTimes {
                    swapped: shared.now.since(self.asked),
                    ..self.times
                };
                Next::Succeed(Box::new(Succession {
                    won,
                    held: self.held,
                    powered_off: self.powered_off,
                    times,
                }))
            }
        }
    }
}
