//! What two replicas say to each other. The bulk of a state transfer travels beside these messages.
//!
//! Every message may be lost, repeated, delayed or overtaken without harm to safety; a lost one is made good by
//! what is said again (`Join`, `Heartbeat`, `Acknowledge`), or sent again by a primary that sees from the
//! acknowledgements what has not arrived (`Append`). Small messages therefore travel as datagrams.

use crate::entries;
use crate::pacing::Refusal;
use crate::time::Duration;
use crate::types::{Epoch, LogIndex, MachineId, Record, TransferId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What an entry takes in a message beside its bytes, at most: its length.
pub(crate) const ENTRY_EXTRA_BYTES: u64 = 3;

/// A message between the nodes of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A node without state offers itself as a backup; said again until a transfer starts.
    Join {
        /// The machine it wants to protect.
        machine: MachineId,
        /// Raised each time that the node starts over with asking, so that an old answer is told from a new one.
        attempt: u64,
        /// Memory that it has for the machine's state, in bytes.
        room_bytes: u64,
    },
    /// The primary's answer to a `Join` that cannot be met now. The guest was not stopped for it.
    Later {
        /// The `Join` that this answers.
        attempt: u64,
        /// Why.
        why: Refusal,
        /// When to expect something else, from now.
        wait: Duration,
    },
    /// The newest record that the sender's store has shown: said when a channel opens, and when there is a newer one. It
    /// decides nothing about the machine, but two stores where there should be one show by it.
    Known {
        /// The record; none if there is none yet.
        record: Option<Record>,
    },
    /// The primary starts a state transfer; the log from `from` on follows as `Append`.
    TransferStart {
        /// The primary's epoch.
        epoch: Epoch,
        /// The transfer that this begins. It names the log stream that follows, too.
        transfer: TransferId,
        /// The `Join` that this answers.
        attempt: u64,
        /// Index of the first log entry after the state.
        from: LogIndex,
    },
    /// Log entries.
    Append {
        /// The primary's epoch.
        epoch: Epoch,
        /// The stream.
        transfer: TransferId,
        /// Index of the first entry.
        first: LogIndex,
        /// The entries, in order; no more than [`APPEND_ENTRIES_MAX`](crate::APPEND_ENTRIES_MAX) where they are read.
        #[serde(deserialize_with = "entries::bounded")]
        entries: Vec<Bytes>,
        /// Outputs up to the mark at this index have left; the backup may forget its copies.
        released: LogIndex,
        /// Acknowledge at once: an output waits for it.
        urgent: bool,
        /// When it was sent, by the primary's clock in microseconds; no two messages of a stream bear the same.
        stamp: u64,
    },
    /// The backup holds every entry up to `held` in its log buffer, and has replayed up to `replayed`. Also the
    /// backup's sign of life.
    Acknowledge {
        /// The newest epoch that the primary has told it.
        epoch: Epoch,
        /// The stream.
        transfer: TransferId,
        /// Last entry held.
        held: LogIndex,
        /// Last entry replayed.
        replayed: LogIndex,
        /// Whether the state was restored and its digest agreed.
        ready: bool,
        /// How much it takes of what follows `held`. Nothing: it is full, and says so again when it is not any more.
        room: Room,
        /// Entries that have come although others before them are missing: (first, last), in order, at most
        /// [`BEYOND_MAX`]. The oldest, if not all.
        #[serde(deserialize_with = "entries::ranges")]
        beyond: Vec<(LogIndex, LogIndex)>,
        /// The newest stamp that has come in; 0: none.
        echo: u64,
        /// How long ago that was.
        echo_age: Duration,
    },
    /// The primary's sign of life, sent when nothing else was sent.
    Heartbeat {
        /// The primary's epoch.
        epoch: Epoch,
        /// The stream.
        transfer: TransferId,
        /// The last entry sent.
        last: LogIndex,
        /// As in `Append`.
        released: LogIndex,
        /// Whether the primary's record says `Pair`: for the backup's status only, it proves nothing.
        paired: bool,
        /// Acknowledge at once: the link loses messages, and signs of life must be many in both directions.
        urgent: bool,
        /// As in `Append`.
        stamp: u64,
    },
    /// The backup's state differs from the primary's: it must be created anew.
    Diverged {
        /// The stream.
        transfer: TransferId,
    },
    /// The sender ends the stream, or refuses the join.
    Leave {
        /// The stream that ends; none when a join is refused.
        transfer: Option<TransferId>,
        /// Why.
        reason: LeaveReason,
    },
}

/// How much a backup can take, counted from the entry after the last one that it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Bytes of entries.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

/// Ranges in `Acknowledge::beyond`, at most.
pub(crate) const BEYOND_MAX: usize = 16;

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaveReason {
    /// The node asked to join is a replica of another machine.
    OtherMachine,
    /// The primary runs without this backup now.
    Dismissed,
    /// The receiver takes itself for the primary, but the sender is, since this epoch.
    Superseded {
        /// The sender's epoch.
        epoch: Epoch,
    },
    /// The machine was switched off.
    PoweredOff,
    /// The backup could not use the state sent to it, and will ask anew.
    StateDamaged,
    /// The backup was told by its operator to stop.
    Stopping,
}

impl Message {
    /// Whether a node that is sound could say it.
    pub(crate) fn is_possible(&self) -> bool {
        match self {
            Self::TransferStart { from, .. } => from.is_possible(),
            _ => true,
        }
    }

    /// Whether the message must travel as an unordered datagram, where these take so many bytes of entries
    /// ([`crate::Bounds::datagram_bytes_max`]): the loss of one is made good by the next, or noticed and made good by the
    /// primary within about a round trip. It relies on a channel for all others, and is patient with them.
    pub fn is_datagram(&self, datagram_bytes_max: u64) -> bool {
        match self {
            Self::Heartbeat { .. } | Self::Acknowledge { .. } => true,
            Self::Append { entries, .. } => {
                let costs = entries
                    .iter()
                    .map(|entry| entry.len() as u64 + ENTRY_EXTRA_BYTES);
                costs.sum::<u64>() <= datagram_bytes_max
            }
            _ => false,
        }
    }

    /// Bytes of the entries in it.
    pub fn entry_bytes(&self) -> u64 {
        match self {
            Self::Append { entries, .. } => entries.iter().map(|entry| entry.len() as u64).sum(),
            _ => 0,
        }
    }
}
