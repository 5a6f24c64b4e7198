//! What a replica is told.

use crate::report::Report;
use bytes::Bytes;
use replication::{ArbiterReply, HostId, Message, NodeId, RequestId, TransferId};

/// Something that happens to a replica.
#[derive(Clone, Debug)]
pub enum Event {
    /// The instant of [`Replica::poll_timeout`](crate::Replica::poll_timeout) has come. Harmless at any other.
    Timeout,
    /// This node has the machine's initial state, and may start it if nobody else is or was the machine.
    Start,
    /// This node has no state, and offers itself as a backup to every node that it is connected to.
    Join,
    /// The node is to end, as soon as the machine goes on without it: [`Effect::Halt`](crate::Effect::Halt) follows, at
    /// once or later, unless it has the machine's only state.
    Leave,
    /// The machine is to end with this node, unless a backup protects it.
    GiveUp,
    /// How much memory this node has for a state that comes in. Said anew when it has changed.
    Room {
        /// In bytes.
        bytes: u64,
    },
    /// How much memory a node needs to take in this node's state. Said anew when it has changed.
    Needs {
        /// In bytes.
        bytes: u64,
    },
    /// A channel to `peer` is open.
    Connected {
        /// The other node.
        peer: NodeId,
        /// Its host, as the channel proves it.
        host: HostId,
    },
    /// The channel to `peer` is gone, and with it what was on its way.
    Disconnected {
        /// The other node.
        peer: NodeId,
    },
    /// A message from a peer.
    Message {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// The arbiter answered.
    Arbiter {
        /// The request.
        request: RequestId,
        /// The answer.
        reply: ArbiterReply,
    },
    /// So much of a state has been sent.
    StateProgress {
        /// The transfer.
        transfer: TransferId,
        /// In bytes.
        bytes: u64,
        /// How much it is in all.
        total: u64,
    },
    /// A state has come in whole. It may be earlier than [`Effect::ReceiveState`](crate::Effect::ReceiveState).
    StateArrived {
        /// Who sent it.
        from: NodeId,
        /// By which transfer.
        transfer: TransferId,
        /// Its bytes.
        state: Bytes,
    },
    /// The executor reports.
    Report(Report),
}
