//! Who is connected. The one thing that the tasks of the log channel share, so that two nodes that dial each other end
//! up with one connection, and so that the node can send without knowing tasks.

use super::bulk::TransferProgress;
use super::endpoint::CLOSE_REFUSED;
use super::event::{TransportConfig, TransportCounters, TransportEvent};
use super::gate::Gate;
use super::handshake::Refusal;
use super::trust::Trust;
use bytes::Bytes;
use replication::{NodeId, TransferId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};

/// Bytes that may wait for one peer before it counts as not reading.
const QUEUE_BYTES_MAX: usize = 256 << 20;
/// Peers that may be connected at once: those of one machine, some of them twice while an old process of theirs is not yet known to
/// be gone.
const PEERS_MAX: usize = 16;
/// A dial that has had no answer for so long was sent to nobody.
const DIAL_FRESH: Duration = Duration::from_millis(300);
/// Items that may wait for one peer.
const QUEUE_ITEMS_MAX: usize = 64 << 10;

/// What waits to be sent to a peer.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// The payload of a frame.
    Frame(Bytes),
    /// The bulk of a transfer.
    State {
        /// All of it.
        state: Bytes,
        /// Updated while it is sent.
        progress: Arc<TransferProgress>,
    },
}

/// The receiving side of a peer's queue, held by its task.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) frames: mpsc::Receiver<Bytes>,
    pub(super) state: watch::Receiver<Option<(Bytes, Arc<TransferProgress>)>>,
    pub(super) queued_bytes: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Peer {
    connection: quinn::Connection,
    address: SocketAddr,
    frames: mpsc::Sender<Bytes>,
    state: watch::Sender<Option<(Bytes, Arc<TransferProgress>)>>,
    queued_bytes: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(super) struct Registry {
    pub(super) config: TransportConfig,
    pub(super) trust: Trust,
    gate: Arc<Gate>,
    pub(super) events: mpsc::Sender<TransportEvent>,
    /// Something in the registry changed: whoever waits for that looks again.
    pub(super) changed: Notify,
    table: Mutex<Table>,
    refused: AtomicU64,
    pub(super) handshakes_dropped: AtomicU64,
    pub(super) bytes_sent: AtomicU64,
    pub(super) bytes_received: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    peers: BTreeMap<NodeId, Peer>,
    /// Since when each is dialled without an answer; none once there is one.
    dialing: BTreeMap<SocketAddr, Option<Instant>>,
    receiving: Option<Arc<TransferProgress>>,
    /// What connections that are gone sent.
    wire_bytes_gone: u64,
}

/// Bytes of the IPv4 and UDP headers of a datagram.
const HEADER_BYTES: u64 = 28;

/// What a connection has sent on the wire.
fn wire_bytes(connection: &quinn::Connection) -> u64 {
    let sent = connection.stats().udp_tx;
    sent.bytes + HEADER_BYTES * sent.datagrams
}

impl Registry {
    pub(super) fn new(
        config: TransportConfig,
        trust: Trust,
        gate: Arc<Gate>,
        events: mpsc::Sender<TransportEvent>,
    ) -> Self {
        Self {
            config,
            trust,
            gate,
            events,
            changed: Notify::new(),
            table: Mutex::default(),
            refused: AtomicU64::new(0),
            handshakes_dropped: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            bytes_received: AtomicU64::new(0),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Each change below is a single map operation: a panic elsewhere leaves no half-made state.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a dial to `address` may start now: not while its node, which has all of `addresses`, is connected.
    pub(super) fn start_dial(&self, address: SocketAddr, addresses: &[SocketAddr]) -> bool {
        let mut table = self.table();
        let connected = (table.peers.values()).any(|peer| addresses.contains(&peer.address));
        let free = !connected && !table.dialing.contains_key(&address);
        if free {
            table.dialing.insert(address, Some(Instant::now()));
        }
        free
    }

    /// Somebody is there, and answers the dial.
    pub(super) fn answered(&self, address: SocketAddr) {
        if let Some(began) = self.table().dialing.get_mut(&address) {
            *began = None;
        }
    }

    pub(super) fn end_dial(&self, address: SocketAddr) {
        self.table().dialing.remove(&address);
    }

    /// Whether a connection that `peer` dialled from `address` should give way: to one that exists, or to a dial of ours,
    /// which wins if our identity is the lower one, and if it has just begun: one that has long had no answer began when nobody
    /// was there, and would take its time to begin anew.
    pub(super) fn gives_way(&self, peer: NodeId, address: SocketAddr) -> bool {
        let table = self.table();
        let began = table.dialing.get(&address);
        let is_fresh = |began: &Option<Instant>| began.is_none_or(|at| at.elapsed() < DIAL_FRESH);
        let is_fresh = began.is_some_and(is_fresh);
        table.peers.contains_key(&peer) || is_fresh && self.config.hello.node < peer
    }

    /// Registers a connection; none if there is one to that peer already.
    pub(super) fn register(&self, peer: NodeId, connection: &quinn::Connection) -> Option<Queue> {
        let (frames, frames_out) = mpsc::channel(QUEUE_ITEMS_MAX);
        let (state, state_out) = watch::channel(None);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let mut table = self.table();
        if table.peers.contains_key(&peer) || table.peers.len() >= PEERS_MAX {
            return None;
        }
        self.gate.welcome(connection.remote_address());
        table.peers.insert(
            peer,
            Peer {
                connection: connection.clone(),
                address: connection.remote_address(),
                frames,
                state,
                queued_bytes: Arc::clone(&queued_bytes),
            },
        );
        drop(table);
        self.changed.notify_waiters();
        Some(Queue {
            frames: frames_out,
            state: state_out,
            queued_bytes,
        })
    }

    pub(super) fn unregister(&self, peer: NodeId) {
        let mut table = self.table();
        if let Some(gone) = table.peers.remove(&peer) {
            // A node that was restarted may be here already, from the same address.
            if !table
                .peers
                .values()
                .any(|peer| peer.address == gone.address)
            {
                self.gate.forget(gone.address);
            }
            table.wire_bytes_gone += wire_bytes(&gone.connection);
        }
        drop(table);
        self.changed.notify_waiters();
    }

    pub(super) fn send(&self, to: NodeId, outgoing: Outgoing) {
        let table = self.table();
        let Some(peer) = table.peers.get(&to) else {
            return;
        };
        match outgoing {
            Outgoing::Frame(payload) => {
                let bytes = payload.len();
                let queued = peer.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
                if queued + bytes > QUEUE_BYTES_MAX || peer.frames.try_send(payload).is_err() {
                    peer.connection
                        .close(CLOSE_REFUSED, b"you do not read what is sent to you");
                }
                self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            Outgoing::State { state, progress } => {
                peer.state.send_replace(Some((state, progress)));
            }
        }
    }

    /// Whether the payload was taken: not if it is too large for a datagram.
    pub(super) fn send_datagram(&self, to: NodeId, payload: Bytes) -> bool {
        let table = self.table();
        let Some(peer) = table.peers.get(&to) else {
            return true;
        };
        let bytes = payload.len() as u64;
        // What cannot be sent on a connection that ends is lost, as it would be on the way.
        let sent = peer.connection.send_datagram(payload);
        if matches!(sent, Err(quinn::SendDatagramError::TooLarge)) {
            return false;
        }
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Closes connections to peers whose certificate has been withdrawn; says how many.
    pub(super) fn close_withdrawn(&self) -> usize {
        let table = self.table();
        let withdrawn = table
            .peers
            .values()
            .filter(|peer| self.trust.is_withdrawn(&peer.connection));
        withdrawn
            .map(|peer| {
                peer.connection
                    .close(CLOSE_REFUSED, b"your certificate was withdrawn");
            })
            .count()
    }

    pub(super) fn abandon(&self, transfer: TransferId) {
        let mut table = self.table();
        for peer in table.peers.values() {
            peer.state.send_if_modified(|job| {
                let is_it = job
                    .as_ref()
                    .is_some_and(|(_, progress)| progress.transfer() == transfer);
                if is_it {
                    *job = None;
                }
                is_it
            });
        }
        if table
            .receiving
            .as_ref()
            .is_some_and(|progress| progress.transfer() == transfer)
        {
            table.receiving = None;
        }
    }

    pub(super) fn set_receiving(&self, progress: Arc<TransferProgress>) {
        self.table().receiving = Some(progress);
    }

    pub(super) fn receiving(&self) -> Option<Arc<TransferProgress>> {
        self.table().receiving.clone()
    }

    pub(super) fn round_trip(&self, peer: NodeId) -> Option<Duration> {
        self.table()
            .peers
            .get(&peer)
            .map(|peer| peer.connection.rtt())
    }

    pub(super) fn counters(&self) -> TransportCounters {
        let table = self.table();
        let open = table
            .peers
            .values()
            .map(|peer| wire_bytes(&peer.connection));
        TransportCounters {
            wire_bytes_sent: table.wire_bytes_gone + open.sum::<u64>(),
            refused: self.refused.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            strangers_dropped: self.gate.dropped(),
            handshakes_dropped: self.handshakes_dropped.load(Ordering::Relaxed),
        }
    }

    /// Reports that nobody answers where a peer is dialled, unless it has come by itself meanwhile.
    pub(super) async fn unanswered(&self, written: &str, addresses: &[SocketAddr]) {
        let has_come = (self.table().peers.values())
            .any(|peer| addresses.contains(&peer.connection.remote_address()));
        if has_come {
            return;
        }
        let (written, addresses) = (written.to_owned(), addresses.to_vec());
        let event = TransportEvent::Unanswered { written, addresses };
        // As below.
        let _ = self.events.send(event).await;
    }

    /// Counts and reports a peer that was turned away; `written` is its place in the configuration, if it was dialled.
    pub(super) async fn refuse(
        &self,
        written: Option<&str>,
        address: SocketAddr,
        refusal: Refusal,
    ) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        // Nobody listens any more when the node is about to end.
        let _ = self
            .events
            .send(TransportEvent::Refused {
                written: written.map(str::to_owned),
                address,
                reason: refusal.reason,
                differs: refusal.differs,
            })
            .await;
    }
}
