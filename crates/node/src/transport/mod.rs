//! The log channel: QUIC between the nodes of one machine, both ends known by certificate.
//!
//! Each pair of nodes has one connection, whoever dialled it. On it run
//! - one bidirectional stream of frames: the handshake, then those [`replication::Message`]s that must come;
//! - datagrams: the log, its acknowledgements and heartbeats, as far as they fit. What is lost of them the protocol
//!   notices, and says again, sooner than QUIC would, and without holding up what came after it;
//! - one unidirectional stream per state transfer, of lower priority, so that bulk never delays the log.
//!
//! A connection is a task of its own. It shares with the rest only the [`registry`](self) of who is connected, and
//! speaks to the node by [`TransportEvent`]s.

mod allowance;
mod bulk;
mod congestion;
mod connection;
mod dial;
mod endpoint;
mod event;
mod frame;
mod gate;
mod handshake;
mod held;
pub mod hostile;
mod peer;
mod places;
mod registry;
mod trust;

pub use bulk::TransferProgress;
pub(crate) use endpoint::bind_port;
pub use event::{TransportConfig, TransportCounters, TransportEvent};
pub use frame::{FRAME_BYTES_MAX, FrameError, decode_message, encode_message, split_message};
pub use handshake::{HandshakeError, PROTOCOL_VERSION};
pub use held::{Held, RECEIVED_BYTES_MAX};
pub use peer::Peer;
pub(crate) use peer::addresses_of;

use crate::tls::TlsIdentity;
use bytes::Bytes;
use registry::{Outgoing, Registry};
use replication::{DATAGRAM_BYTES_MAX, Message, NodeId, TransferId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use trust::Trust;

/// The log channel of one node.
#[derive(Debug)]
pub struct Transport {
    registry: Arc<Registry>,
    endpoint: quinn::Endpoint,
    local_address: SocketAddr,
}

impl Transport {
    /// Binds the socket and starts to listen and to dial. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(
        config: TransportConfig,
        identity: &TlsIdentity,
        events: mpsc::Sender<TransportEvent>,
    ) -> anyhow::Result<Self> {
        let (endpoint, gate) = endpoint::bind(&config, identity)?;
        let local_address = endpoint.local_addr()?;
        let client = endpoint::client_config(&config, identity);
        let trust = Trust::new(&config.hello, &config.accepts, identity, client);
        let registry = Arc::new(Registry::new(config, trust, gate, events));
        tokio::spawn(dial::accept(endpoint.clone(), Arc::clone(&registry)));
        for peer in &registry.config.peers {
            let (peer, registry) = (peer.clone(), Arc::clone(&registry));
            tokio::spawn(dial::dial(endpoint.clone(), peer, registry));
        }
        Ok(Self {
            registry,
            endpoint,
            local_address,
        })
    }

    /// The address that was bound.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Sends a message. Where there is no connection it is lost, as on a cut network; a peer that does not
    /// read is disconnected.
    pub fn send(&self, to: NodeId, message: Message) {
        if message.is_datagram(DATAGRAM_BYTES_MAX) {
            let payload = encode_message(&message);
            if self.registry.send_datagram(to, payload) {
                return;
            }
        }
        for part in split_message(message) {
            self.registry
                .send(to, Outgoing::Frame(encode_message(&part)));
        }
    }

    /// Sends the bulk of a state transfer beside the messages. Its progress can be read from the result.
    pub fn send_state(
        &self,
        to: NodeId,
        transfer: TransferId,
        state: Bytes,
    ) -> Arc<TransferProgress> {
        let progress = Arc::new(TransferProgress::new(transfer, state.len() as u64));
        self.registry.send(
            to,
            Outgoing::State {
                state,
                progress: Arc::clone(&progress),
            },
        );
        progress
    }

    /// The state that is coming in, if any.
    pub fn receiving(&self) -> Option<Arc<TransferProgress>> {
        self.registry.receiving()
    }

    /// Stops what is under way for a transfer.
    pub fn abandon(&self, transfer: TransferId) {
        self.registry.abandon(transfer);
    }

    /// The counters.
    pub fn counters(&self) -> TransportCounters {
        self.registry.counters()
    }

    /// Round-trip time to a peer as QUIC measures it.
    pub fn round_trip(&self, peer: NodeId) -> Option<Duration> {
        self.registry.round_trip(peer)
    }

    /// A handle by which the node's certificate can be exchanged while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader {
            registry: Arc::clone(&self.registry),
            endpoint: self.endpoint.clone(),
        }
    }

    /// When this node's certificate ends.
    pub fn certificate_ends(&self) -> SystemTime {
        self.registry.trust.ends()
    }

    /// Closes every connection, telling the peers so, and waits (briefly) for the farewell to leave.
    pub async fn close(self, reason: &str) {
        self.endpoint
            .close(endpoint::CLOSE_LEAVING, reason.as_bytes());
        let _ = tokio::time::timeout(endpoint::FAREWELL_MAX, self.endpoint.wait_idle()).await;
    }
}

/// Exchanges what a running node shows and accepts.
#[derive(Clone, Debug)]
pub struct Reloader {
    registry: Arc<Registry>,
    endpoint: quinn::Endpoint,
}

impl Reloader {
    /// From now on, connections are made with this identity and its list of withdrawn certificates. Those that there are go on,
    /// but for peers whose certificate has been withdrawn; says how many those were.
    pub fn reload(&self, identity: &TlsIdentity) -> usize {
        let config = &self.registry.config;
        self.endpoint
            .set_server_config(Some(endpoint::server_config(config, identity)));
        let client = endpoint::client_config(config, identity);
        self.registry.trust.replace(identity, client);
        self.registry.close_withdrawn()
    }

    /// When this node's certificate ends.
    pub fn certificate_ends(&self) -> SystemTime {
        self.registry.trust.ends()
    }
}
