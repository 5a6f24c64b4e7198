//! How the owner is protected: from alone, by way of a state transfer, to a pair, and back.
//!
//! ```text
//!           join          taken           ready, near         ack >= sync        won
//!  Alone ───────▶ Snapshotting ──▶ Copying ──────▶ Closing ───────────▶ Arming ───────▶ Paired
//!    ▲                 │              │               │                                   │
//!    ├──── gone ───────┴──────────────┴───────────────┘                         suspected │
//!    └──────────────────────────── won ◀──────────────── Disarming ◀──────────────────────┘
//!
//!  power-off: Alone, Copying, Closing, or Paired with everything acknowledged ──▶ Stopping ──▶ halt
//!  a lost change, from anywhere ──▶ halt
//! ```

use crate::action::{ArbiterReply, RequestId};
use crate::arbitration::{Answer, Change, Inquiry, Outcome, Won};
use crate::shared::Shared;
use crate::suspicion::{self, Verdict};
use crate::time::Instant;
use crate::transfer::Stream;
use crate::types::{HostId, LogIndex, NodeId, Record, TransferId};

/// Where the owner is on the way.
#[derive(Debug)]
pub(crate) enum Protection {
    /// SOLO, with no backup in sight.
    Alone,
    /// SOLO; the snapshot for a new backup is being taken.
    Snapshotting(Snapshotting),
    /// SOLO; state and log are on their way, outputs leave freely.
    Copying(Stream),
    /// SOLO; outputs after `sync` are held, and the backup is about to hold all up to there.
    Closing { stream: Stream, sync: LogIndex },
    /// SOLO or PAIR, nobody knows yet; outputs leave by acknowledgement only.
    Arming { stream: Stream, change: Change },
    /// PAIR; when the backup is suspected, the record is read first.
    Paired {
        stream: Stream,
        suspicion: Option<Inquiry>,
    },
    /// PAIR or SOLO, or lost to the backup; outputs leave by acknowledgement only.
    Disarming { stream: Stream, change: Change },
    /// On the way to DOWN.
    Stopping {
        stream: Option<Stream>,
        change: Change,
    },
}

/// A snapshot on its way, and for whom.
#[derive(Debug)]
pub(crate) struct Snapshotting {
    pub(crate) peer: NodeId,
    pub(crate) host: HostId,
    pub(crate) attempt: u64,
    pub(crate) transfer: TransferId,
}

/// What the arbiter's answer leads to.
pub(crate) enum Judged {
    Nothing,
    Armed(Won),
    Disarmed(Won),
    Stopped,
    Suspect(Verdict),
    Lost(Record),
}

impl Protection {
    pub(crate) fn stream(&self) -> Option<&Stream> {
        match self {
            Self::Alone | Self::Snapshotting(_) => None,
            Self::Copying(stream)
            | Self::Closing { stream, .. }
            | Self::Arming { stream, .. }
            | Self::Paired { stream, .. }
            | Self::Disarming { stream, .. } => Some(stream),
            Self::Stopping { stream, .. } => stream.as_ref(),
        }
    }

    pub(crate) fn stream_mut(&mut self) -> Option<&mut Stream> {
        match self {
            Self::Alone | Self::Snapshotting(_) => None,
            Self::Copying(stream)
            | Self::Closing { stream, .. }
            | Self::Arming { stream, .. }
            | Self::Paired { stream, .. }
            | Self::Disarming { stream, .. } => Some(stream),
            Self::Stopping { stream, .. } => stream.as_mut(),
        }
    }

    /// Whether a change towards, or from, PAIR has been sent and its outcome is not known.
    pub(crate) fn in_doubt(&self) -> bool {
        matches!(self, Self::Arming { .. } | Self::Disarming { .. })
    }

    /// Whether the arbiter is asked for nothing: the time for a look at the record.
    pub(crate) fn is_at_rest(&self) -> bool {
        match self {
            Self::Alone
            | Self::Snapshotting(_)
            | Self::Copying(_)
            | Self::Closing { .. }
            | Self::Paired {
                suspicion: None, ..
            } => true,
            Self::Arming { .. }
            | Self::Paired { .. }
            | Self::Disarming { .. }
            | Self::Stopping { .. } => false,
        }
    }

    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Alone)
    }

    pub(crate) fn deadline(&self, shared: &Shared) -> Option<Instant> {
        let own = match self {
            Self::Alone | Self::Snapshotting(_) => None,
            Self::Copying(stream) | Self::Closing { stream, .. } => Some(stream.suspect_at(shared)),
            Self::Arming { change, .. }
            | Self::Disarming { change, .. }
            | Self::Stopping { change, .. } => Some(change.deadline()),
            Self::Paired { stream, suspicion } => Some(match suspicion {
                Some(inquiry) => inquiry.deadline(),
                None => stream.suspect_at(shared),
            }),
        };
        let beat = self.stream().map(|stream| stream.due(shared));
        own.into_iter().chain(beat).min()
    }

    /// Takes in an answer of the arbiter; `mine` is the record that this node wrote last.
    pub(crate) fn arbiter(
        &mut self,
        shared: &mut Shared,
        mine: Record,
        request: RequestId,
        reply: ArbiterReply,
    ) -> Judged {
        match self {
            Self::Alone | Self::Snapshotting(_) | Self::Copying(_) | Self::Closing { .. } => {
                Judged::Nothing
            }
            Self::Arming { change, .. } => match change.reply(shared, request, reply) {
                None => Judged::Nothing,
                Some(Outcome::Won(won)) => Judged::Armed(won),
                Some(Outcome::Lost(record)) => Judged::Lost(record),
            },
            Self::Disarming { change, .. } => match change.reply(shared, request, reply) {
                None => Judged::Nothing,
                Some(Outcome::Won(won)) => Judged::Disarmed(won),
                Some(Outcome::Lost(record)) => Judged::Lost(record),
            },
            Self::Stopping { change, .. } => match change.reply(shared, request, reply) {
                None => Judged::Nothing,
                Some(Outcome::Won(_)) => Judged::Stopped,
                Some(Outcome::Lost(record)) => Judged::Lost(record),
            },
            Self::Paired { stream, suspicion } => {
                let Some(inquiry) = suspicion else {
                    return Judged::Nothing;
                };
                let Some(answer) = inquiry.reply(shared, request, reply) else {
                    return Judged::Nothing;
                };
                let view = suspicion::OwnerView::of(shared, mine, answer);
                let (verdict, why) = suspicion::owner(view, stream.cause(shared));
                shared.decide(why);
                match (verdict, answer) {
                    (Verdict::Lose, Answer::Record(Some(record))) => Judged::Lost(record),
                    _ => Judged::Suspect(verdict),
                }
            }
        }
    }

    pub(crate) fn arbiter_timeout(&mut self, shared: &mut Shared) -> Judged {
        let outcome = match self {
            Self::Arming { change, .. } => change
                .timeout(shared)
                .map(|o| (o, Judged::Armed as fn(Won) -> Judged)),
            Self::Disarming { change, .. } => change
                .timeout(shared)
                .map(|o| (o, Judged::Disarmed as fn(Won) -> Judged)),
            Self::Stopping { change, .. } => change
                .timeout(shared)
                .map(|o| (o, (|_| Judged::Stopped) as fn(Won) -> Judged)),
            Self::Paired {
                stream,
                suspicion: Some(inquiry),
            } => {
                if inquiry.pause_is_over(shared) && stream.cause(shared).is_none() {
                    return Judged::Suspect(Verdict::Withdraw);
                }
                inquiry.timeout(shared);
                None
            }
            _ => None,
        };
        match outcome {
            None => Judged::Nothing,
            Some((Outcome::Won(won), then)) => then(won),
            Some((Outcome::Lost(record), _)) => Judged::Lost(record),
        }
    }
}
