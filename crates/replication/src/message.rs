//! What two replicas say to each other. The bulk of a state transfer travels beside these messages.

use crate::types::{Epoch, LogIndex, MachineId, NodeId, TransferId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A message between the nodes of one machine. All but `Heartbeat` need an ordered, reliable channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A node without state offers itself as a backup.
    Join {
        /// The machine it wants to protect.
        machine: MachineId,
    },
    /// The primary starts a state transfer; the log from `from` on follows as `Append`.
    TransferStart {
        /// The primary's epoch.
        epoch: Epoch,
        /// The transfer that this begins.
        transfer: TransferId,
        /// Index of the first log entry after the state.
        from: LogIndex,
    },
    /// The new backup holds and has verified the state of this transfer.
    TransferDone {
        /// The transfer.
        transfer: TransferId,
    },
    /// Log entries.
    Append {
        /// The primary's epoch.
        epoch: Epoch,
        /// Index of the first entry.
        first: LogIndex,
        /// The entries, in order.
        entries: Vec<Bytes>,
        /// Outputs up to the mark at this index have left; the backup may forget its copies.
        released: LogIndex,
    },
    /// The backup holds every entry up to `held` in its log buffer, and has replayed up to `replayed`.
    Acknowledge {
        /// The epoch under which it does so.
        epoch: Epoch,
        /// Last entry held.
        held: LogIndex,
        /// Last entry replayed.
        replayed: LogIndex,
    },
    /// Sign of life, sent as a datagram when nothing else was sent.
    Heartbeat {
        /// The sender's epoch.
        epoch: Epoch,
    },
    /// The backup's state differs from the primary's: it must be created anew.
    Diverged {
        /// Epoch of the backup.
        epoch: Epoch,
    },
    /// The sender leaves the pair or refuses the join.
    Leave {
        /// The node that the record names as the owner, where known.
        owner: Option<NodeId>,
    },
}
