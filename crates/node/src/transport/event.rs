//! What a node brings to its log channel, what the channel tells it, and what it counts.

use super::held::Held;
use super::peer::Peer;
use bytes::Bytes;
use replication::{Hello, Message, NodeId, TransferId};
use std::net::SocketAddr;
use std::time::Duration;

/// What a node brings to its log channel.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// What this node says of itself.
    pub hello: Hello,
    /// UDP address to listen on, and to dial from.
    pub listen: SocketAddr,
    /// Whom to dial.
    pub peers: Vec<Peer>,
    /// Names of the nodes that may pair with this one.
    pub accepts: Vec<String>,
    /// Silence after which a connection is given up. Longer than the protocol's suspicion.
    pub idle_timeout: Duration,
    /// Largest state that a peer may send, in bytes.
    pub state_bytes_max: u64,
}

/// What the log channel tells the node. In order for each peer.
#[derive(Debug)]
pub enum TransportEvent {
    /// A peer of this machine and version, configured as this node is, is connected.
    Connected {
        /// Its identity.
        peer: NodeId,
        /// Its name, for people.
        name: String,
        /// Its address.
        address: SocketAddr,
    },
    /// The connection to a peer is gone.
    Disconnected {
        /// The peer.
        peer: NodeId,
        /// Why, as a phrase.
        cause: String,
    },
    /// A message came in.
    Message {
        /// From whom.
        from: NodeId,
        /// What.
        message: Message,
        /// Its share of what the peer may make this node hold, until this is dropped.
        held: Held,
    },
    /// The bulk of a state transfer has come in whole.
    StateReceived {
        /// From whom.
        from: NodeId,
        /// Which transfer.
        transfer: TransferId,
        /// Its bytes.
        state: Bytes,
        /// The peer can send no other state until this is dropped.
        held: Held,
    },
    /// The bulk of a state transfer has been handed to the network whole.
    StateSent {
        /// To whom.
        to: NodeId,
        /// Which transfer.
        transfer: TransferId,
    },
    /// Nobody has answered where a peer is dialled, for some time. Told once, until somebody does.
    Unanswered {
        /// The peer, as the configuration has it.
        written: String,
        /// Its addresses.
        addresses: Vec<SocketAddr>,
    },
    /// A peer's name has no address. Told once, until it has one.
    Unknown {
        /// The peer, as the configuration has it.
        written: String,
        /// Why, as a phrase.
        problem: String,
    },
    /// It has one now.
    Known {
        /// The peer, as the configuration has it.
        written: String,
        /// Its addresses.
        addresses: Vec<SocketAddr>,
    },
    /// A peer was turned away, or turned this node away.
    Refused {
        /// The peer, as the configuration has it, where it was dialled.
        written: Option<String>,
        /// Its address.
        address: SocketAddr,
        /// Why, as a sentence.
        reason: String,
        /// Whether it is because the two are configured otherwise, so that neither can ever join the other.
        differs: bool,
    },
}

/// What the log channel counts, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportCounters {
    /// Peers turned away: unknown certificate, other version, machine or configuration, malformed bytes.
    pub refused: u64,
    /// Bytes of messages sent, before QUIC's own framing.
    pub bytes_sent: u64,
    /// Bytes sent on the wire, with all headers from IPv4 up, acknowledgements and states.
    pub wire_bytes_sent: u64,
    /// Bytes of messages received.
    pub bytes_received: u64,
    /// Datagrams of strangers that were dropped before anybody looked into them, since there were too many.
    pub strangers_dropped: u64,
    /// Handshakes for which there was no place.
    pub handshakes_dropped: u64,
}
