//! Nodes that are no part of the machine yet: one that wants to start it, and one that wants to join it.

use crate::action::{Action, ArbiterReply, HaltReason, Local, RequestId};
use crate::arbitration::{Answer, Change, Inquiry, Outcome};
use crate::look::Look;
use crate::message::{LeaveReason, Message};
use crate::pacing::Refused;
use crate::shared::Shared;
use crate::time::Instant;
use crate::turn::{Following, Next};
use crate::types::{Mode, NodeId, Record};

/// A node that has the machine's initial state, and asks the arbiter whether it may start it.
#[derive(Debug)]
pub(crate) enum Starting {
    Reading(Inquiry),
    Changing(Change),
}

/// What one who wants to start finds in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// No record.
    Nothing,
    /// DOWN.
    Down,
    /// An owner, alive or not.
    Owned,
    /// No answer, or another machine's record.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Change,
    StandAside,
    Wait,
}

struct Row {
    name: &'static str,
    found: &'static [Found],
    verdict: Verdict,
}

const TABLE: &[Row] = &[
    Row {
        name: "first start, or cold start after a power-off",
        found: &[Found::Nothing, Found::Down],
        verdict: Verdict::Change,
    },
    Row {
        name: "the machine has an owner: only its backup may succeed it",
        found: &[Found::Owned],
        verdict: Verdict::StandAside,
    },
    Row {
        name: "without the arbiter nobody changes role",
        found: &[Found::Unknown],
        verdict: Verdict::Wait,
    },
];

const DOUBTED: &str =
    "a peer has seen a record that this store does not show: the machine is not started by it";

fn judge(shared: &mut Shared, found: Found) -> Verdict {
    let row = TABLE.iter().find(|row| row.found.contains(&found));
    let row = row.expect("a test proves that every input has its row");
    shared.decide(row.name);
    row.verdict
}

impl Starting {
    pub(crate) fn begin(shared: &mut Shared) -> Self {
        Self::Reading(Inquiry::start(shared))
    }

    pub(crate) fn deadline(&self) -> Instant {
        match self {
            Self::Reading(inquiry) => inquiry.deadline(),
            Self::Changing(change) => change.deadline(),
        }
    }

    pub(crate) fn on_local(&mut self, shared: &mut Shared, local: &Local) -> Next {
        match *local {
            Local::Arbiter { request, reply } => self.arbiter(shared, request, reply),
            _ => Next::Stay,
        }
    }

    pub(crate) fn on_timeout(&mut self, shared: &mut Shared) -> Next {
        match self {
            Self::Reading(inquiry) => {
                inquiry.timeout(shared);
                Next::Stay
            }
            Self::Changing(change) => {
                let outcome = change.timeout(shared);
                Self::conclude(shared, outcome)
            }
        }
    }

    fn arbiter(&mut self, shared: &mut Shared, request: RequestId, reply: ArbiterReply) -> Next {
        match self {
            Self::Reading(inquiry) => {
                let Some(answer) = inquiry.reply(shared, request, reply) else {
                    return Next::Stay;
                };
                let (found, record) = match answer {
                    Answer::Unavailable => (Found::Unknown, None),
                    Answer::Record(None) => (Found::Nothing, None),
                    Answer::Record(Some(r)) if r.machine != shared.config.machine => {
                        (Found::Unknown, None)
                    }
                    Answer::Record(Some(r)) if r.mode == Mode::Down => (Found::Down, Some(r)),
                    Answer::Record(Some(r)) => (Found::Owned, Some(r)),
                };
                let is_free = matches!(found, Found::Nothing | Found::Down);
                if is_free && shared.testimony.is_doubted() {
                    if shared.testimony.is_new_doubt() {
                        shared.decide(DOUBTED);
                    }
                    inquiry.ask_later(shared);
                    return Next::Stay;
                }
                match (judge(shared, found), record) {
                    (Verdict::StandAside, Some(record)) => Self::stand_aside(shared, record),
                    (Verdict::Change, expected) => {
                        let new = shared.successor(expected, Mode::Solo);
                        *self = Self::Changing(Change::start(shared, expected, new));
                        Next::Stay
                    }
                    (Verdict::Wait | Verdict::StandAside, _) => {
                        inquiry.ask_later(shared);
                        Next::Stay
                    }
                }
            }
            Self::Changing(change) => {
                let outcome = change.reply(shared, request, reply);
                Self::conclude(shared, outcome)
            }
        }
    }

    fn conclude(shared: &mut Shared, outcome: Option<Outcome>) -> Next {
        match outcome {
            None => Next::Stay,
            // Somebody ended meanwhile what nobody had begun: it may still be started.
            Some(Outcome::Lost(record)) if record.mode == Mode::Down => Next::Start,
            // Nothing has run here: this node may still become a backup.
            Some(Outcome::Lost(record)) => Self::stand_aside(shared, record),
            Some(Outcome::Won(won)) => Next::Lead(Box::new(won)),
        }
    }

    fn stand_aside(shared: &mut Shared, record: Record) -> Next {
        shared.act(Action::StandAside { record });
        Next::StandAside
    }
}

/// The owner of a machine that is not down, as far as the store has shown one.
fn shown_owner(shared: &Shared) -> Option<NodeId> {
    let shown = shared.testimony.shown();
    let owned = shown.filter(|record| record.mode != Mode::Down);
    owned.map(|record| record.owner)
}

/// A node without state that asks every node it knows to take it as a backup.
#[derive(Debug)]
pub(crate) struct Joining {
    attempt: u64,
    ask_at: Instant,
    look: Look,
    /// The owner that the record has shown meanwhile.
    owner: Option<NodeId>,
    /// What the primary said last, instead of sending its state.
    pub(crate) refused: Option<Refused>,
}

impl Joining {
    pub(crate) fn begin(shared: &mut Shared) -> Self {
        let mut joining = Self {
            attempt: 1,
            ask_at: shared.now,
            look: Look::rest(shared),
            owner: shown_owner(shared),
            refused: None,
        };
        joining.ask(shared);
        joining
    }

    /// After a transfer that came to nothing: not at once, since what ended it may end the next.
    pub(crate) fn again(shared: &mut Shared, attempt: u64) -> Self {
        Self {
            attempt: attempt + 1,
            ask_at: shared.now.after(shared.config.times.join),
            look: Look::rest(shared),
            owner: shown_owner(shared),
            refused: None,
        }
    }

    fn ask(&mut self, shared: &mut Shared) {
        self.ask_at = shared.now.after(shared.config.times.join);
        let peers: Vec<_> = shared.connected.keys().copied().collect();
        for peer in peers {
            self.ask_one(shared, peer);
        }
    }

    fn ask_one(&self, shared: &mut Shared, peer: NodeId) {
        let message = Message::Join {
            machine: shared.config.machine,
            attempt: self.attempt,
            room_bytes: shared.room_bytes,
        };
        shared.send(peer, message);
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.ask_at.min(self.look.deadline())
    }

    pub(crate) fn on_message(
        &mut self,
        shared: &mut Shared,
        from: NodeId,
        message: &Message,
    ) -> Next {
        match *message {
            Message::TransferStart {
                epoch,
                transfer,
                attempt,
                from: first,
            } if attempt == self.attempt => Next::Follow(Following {
                primary: from,
                transfer,
                epoch,
                attempt,
                first,
            }),
            Message::Later { attempt, why, wait } if attempt == self.attempt => {
                self.refused = Some(Refused {
                    peer: from,
                    why,
                    until: shared.now.after(wait),
                });
                Next::Stay
            }
            Message::Leave {
                transfer: None,
                reason: LeaveReason::OtherMachine,
            } => Next::Halt(HaltReason::OtherMachine),
            _ => Next::Stay,
        }
    }

    pub(crate) fn on_local(&mut self, shared: &mut Shared, local: &Local) -> Next {
        match *local {
            Local::Connected { peer, .. } => self.ask_one(shared, peer),
            Local::Leave => return Next::Halt(HaltReason::Left),
            Local::Arbiter { request, reply } => {
                if let Some(Answer::Record(Some(record))) = self.look.reply(shared, request, reply)
                {
                    return self.looked(record);
                }
            }
            _ => {}
        }
        Next::Stay
    }

    /// A machine that ends while this node waits for it is waited for no longer: whoever is to start it is started.
    fn looked(&mut self, record: Record) -> Next {
        match (record.mode, self.owner) {
            (Mode::Down, None) => Next::Stay,
            (Mode::Down, Some(owner)) => Next::Halt(HaltReason::of_down(record, owner)),
            _ => {
                self.owner = Some(record.owner);
                Next::Stay
            }
        }
    }

    pub(crate) fn on_timeout(&mut self, shared: &mut Shared) -> Next {
        if self.ask_at <= shared.now {
            self.ask(shared);
        }
        self.look.timeout(shared);
        Next::Stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_found_has_exactly_one_row() {
        for found in [Found::Nothing, Found::Down, Found::Owned, Found::Unknown] {
            let rows: Vec<_> = TABLE
                .iter()
                .filter(|row| row.found.contains(&found))
                .map(|row| row.name)
                .collect();
            assert_eq!(rows.len(), 1, "{found:?}: {rows:?}");
        }
    }
}
