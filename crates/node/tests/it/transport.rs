//! The log channel between real endpoints on loopback.

use bytes::Bytes;
use node::keys::create_keys;
use node::names;
use node::tls::{TlsIdentity, load_identity};
use node::transport::{
    FRAME_BYTES_MAX, Peer, RECEIVED_BYTES_MAX, Transport, TransportConfig, TransportEvent,
};
use replication::{Agreement, Epoch, Hello, LogIndex, Message, NodeId, Room, TransferId};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) transport: Transport,
    events: mpsc::Receiver<TransportEvent>,
}

/// Those of nodes of machine `m`.
pub(crate) fn identities(directory: &Path, names: &[&str]) -> Vec<TlsIdentity> {
    identities_of(directory, "m", names)
}

pub(crate) fn identities_of(directory: &Path, machine: &str, names: &[&str]) -> Vec<TlsIdentity> {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let files = create_keys(directory, machine, &names).unwrap();
    files
        .iter()
        .map(|files| load_identity(files).unwrap())
        .collect()
}

pub(crate) fn start(
    identity: &TlsIdentity,
    id: u64,
    machine: &str,
    listen: SocketAddr,
    peers: &[SocketAddr],
) -> Node {
    start_with(identity, id, machine, "256M", listen, peers)
}

fn start_with(
    identity: &TlsIdentity,
    id: u64,
    machine: &str,
    memory: &str,
    listen: SocketAddr,
    peers: &[SocketAddr],
) -> Node {
    start_config(identity, id, |config| {
        config.hello.machine = names::machine_id(machine);
        config.hello.machine_name = machine.to_owned();
        config.hello.agreement = Agreement::default().with("machine.memory", memory);
        config.listen = listen;
        config.peers = peers.iter().copied().map(Peer::from).collect();
    })
}

/// A node of machine `m` with a configuration of its own.
pub(crate) fn start_config(
    identity: &TlsIdentity,
    id: u64,
    change: impl FnOnce(&mut TransportConfig),
) -> Node {
    let (sender, events) = mpsc::channel(64);
    let id = NodeId::of_process(id, &identity.facts.subject.node);
    let mut config = TransportConfig {
        hello: Hello {
            machine: names::machine_id("m"),
            machine_name: "m".to_owned(),
            node: id,
            name: identity.facts.subject.node.clone(),
            agreement: Agreement::default(),
        },
        listen: any_port(),
        peers: Vec::new(),
        accepts: ["a", "b"].map(str::to_owned).to_vec(),
        idle_timeout: Duration::from_secs(2),
        state_bytes_max: 64 << 20,
    };
    change(&mut config);
    Node {
        id,
        transport: Transport::start(config, identity, sender).unwrap(),
        events,
    }
}

impl Node {
    pub(crate) async fn next(&mut self) -> TransportEvent {
        timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event comes in time")
            .unwrap()
    }

    pub(crate) async fn expect_connected(&mut self) -> NodeId {
        match self.next().await {
            TransportEvent::Connected { peer, .. } => peer,
            other => panic!("expected a connection, got {other:?}"),
        }
    }

    pub(crate) async fn expect_refused(&mut self, text: &str) {
        match self.next().await {
            TransportEvent::Refused { reason, .. } => assert!(reason.contains(text), "{reason}"),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
}

pub(crate) fn check(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

pub(crate) fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A port that was free a moment ago, on a loopback address of the caller's own, where nobody else binds.
fn free_address(host: u8) -> SocketAddr {
    std::net::UdpSocket::bind(SocketAddr::from(([127, 0, 7, host], 0)))
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(crate) fn append(first: u64, entries: usize) -> Message {
    Message::Append {
        epoch: Epoch(1),
        transfer: TransferId(1),
        first: LogIndex(first),
        entries: (0..entries)
            .map(|i| Bytes::from(vec![i as u8; 100]))
            .collect(),
        released: LogIndex(0),
        urgent: false,
        stamp: first,
    }
}

fn heartbeat(epoch: u64) -> Message {
    Message::Heartbeat {
        epoch: Epoch(epoch),
        transfer: TransferId(1),
        last: LogIndex(0),
        released: LogIndex(0),
        paired: true,
        urgent: false,
        stamp: epoch,
    }
}

#[test]
fn two_nodes_that_dial_each_other_get_one_connection() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let identities = identities(keys.path(), &["a", "b"]);
        let (at_a, at_b) = (free_address(1), free_address(2));
        let mut a = start(&identities[0], 1, "m", at_a, &[at_b]);
        let mut b = start(&identities[1], 2, "m", at_b, &[at_a]);
        assert_eq!(a.expect_connected().await, b.id);
        assert_eq!(b.expect_connected().await, a.id);
        for index in 0..200 {
            a.transport.send(b.id, append(1 + index * 3, 3));
        }
        b.transport.send(a.id, heartbeat(4));
        for index in 0..200 {
            match b.next().await {
                TransportEvent::Message { from, message, .. } => {
                    assert_eq!((from, message), (a.id, append(1 + index * 3, 3)));
                }
                other => panic!("expected a message, got {other:?}"),
            }
        }
        assert!(matches!(
            a.next().await,
            TransportEvent::Message {
                message: Message::Heartbeat {
                    epoch: Epoch(4),
                    ..
                },
                ..
            }
        ));
        assert_eq!(
            a.transport.counters().refused + b.transport.counters().refused,
            0
        );
        a.transport.close("node1 leaves").await;
        match b.next().await {
            TransportEvent::Disconnected { peer, cause } => {
                assert_eq!(peer, NodeId::of_process(1, "a"));
                assert!(cause.contains("node1 leaves"), "{cause}");
            }
            other => panic!("expected the end, got {other:?}"),
        }
    });
}

#[test]
fn state_travels_beside_the_log_and_can_be_abandoned() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let identities = identities(keys.path(), &["a", "b"]);
        let mut b = start(&identities[1], 2, "m", any_port(), &[]);
        let mut a = start(
            &identities[0],
            1,
            "m",
            any_port(),
            &[b.transport.local_address()],
        );
        a.expect_connected().await;
        b.expect_connected().await;
        let state = Bytes::from((0..20u32 << 20).map(|i| (i >> 8) as u8).collect::<Vec<_>>());
        let progress = a.transport.send_state(b.id, TransferId(1), state.clone());
        a.transport.abandon(TransferId(1));
        let sent = a.transport.send_state(b.id, TransferId(2), state.clone());
        a.transport.send(b.id, append(1, 1));
        let mut messages = 0;
        loop {
            match b.next().await {
                TransportEvent::Message { .. } => messages += 1,
                TransportEvent::StateReceived {
                    transfer,
                    state: received,
                    ..
                } => {
                    assert_eq!(transfer, TransferId(2));
                    assert!(received == state, "the state is damaged");
                    break;
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(messages, 1, "the log came first");
        assert!(progress.bytes_done() < progress.bytes_total());
        assert_eq!(sent.bytes_done(), state.len() as u64);
        assert_eq!(
            b.transport.receiving().unwrap().bytes_done(),
            state.len() as u64
        );
        // What is larger than the machine is no state: the peer is dropped and counted.
        a.transport
            .send_state(b.id, TransferId(3), Bytes::from(vec![0; 65 << 20]));
        b.expect_refused("larger than this machine").await;
        assert!(matches!(
            b.next().await,
            TransportEvent::Disconnected { .. }
        ));
        assert_eq!(b.transport.counters().refused, 1);
    });
}

#[test]
fn strangers_are_refused_and_told_why() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let other_keys = tempfile::tempdir().unwrap();
        let ours = identities(keys.path(), &["a", "b"]);
        let theirs = identities(other_keys.path(), &["x"]);
        let mut a = start(&ours[0], 1, "m", any_port(), &[]);
        let at_a = a.transport.local_address();
        let mut unknown = start(&theirs[0], 3, "m", any_port(), &[at_a]);
        unknown.expect_refused("certificate").await;
        a.expect_refused("certificate").await;
        drop(unknown);
        let mut other_machine = start(&ours[1], 4, "other", any_port(), &[at_a]);
        let certificate =
            "certificate is for node `a` of machine `m`, and this node is of machine `other`";
        other_machine.expect_refused(certificate).await;
        a.expect_refused(certificate).await;
        drop(other_machine);
        let mut itself = start(&ours[0], 1, "m", any_port(), &[at_a]);
        itself.expect_refused("this node itself").await;
        a.expect_refused("this node itself").await;
        drop(itself);
        let mut larger = start_with(&ours[1], 2, "m", "512M", any_port(), &[at_a]);
        larger
            .expect_refused("`machine.memory` is `512M` here and `256M` at node a")
            .await;
        a.expect_refused("`machine.memory` is `256M` here and `512M` at node b")
            .await;
        assert_eq!(a.transport.counters().refused, 4);
    });
}

#[test]
fn a_node_that_vanishes_and_comes_back_is_connected_again() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let identities = identities(keys.path(), &["a", "b"]);
        let mut b = start(&identities[1], 2, "m", free_address(3), &[]);
        let at_b = b.transport.local_address();
        let mut a = start(&identities[0], 1, "m", any_port(), &[at_b]);
        a.expect_connected().await;
        b.expect_connected().await;
        b.transport.close("restart").await;
        assert!(matches!(
            a.next().await,
            TransportEvent::Disconnected { .. }
        ));
        drop(b.events);
        // The old node's tasks let go of the port one after the other.
        let deadline = Instant::now() + PATIENCE;
        while std::net::UdpSocket::bind(at_b).is_err() {
            assert!(Instant::now() < deadline, "the port stays taken");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut b = start(&identities[1], 5, "m", at_b, &[]);
        assert_eq!(a.expect_connected().await, NodeId::of_process(5, "b"));
        assert_eq!(b.expect_connected().await, NodeId::of_process(1, "a"));
    });
}

#[test]
fn a_taken_port_is_explained() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let identity = &identities(keys.path(), &["a"])[0];
        let a = start(identity, 1, "m", any_port(), &[]);
        let config = TransportConfig {
            hello: Hello {
                machine: names::machine_id("m"),
                machine_name: "m".to_owned(),
                node: NodeId(2),
                name: "b".to_owned(),
                agreement: Agreement::default(),
            },
            listen: a.transport.local_address(),
            peers: Vec::new(),
            accepts: Vec::new(),
            idle_timeout: Duration::from_secs(2),
            state_bytes_max: 1,
        };
        let error = Transport::start(config, identity, mpsc::channel(1).0).unwrap_err();
        assert!(format!("{error:#}").contains("another program uses it"));
    });
}

#[test]
fn a_round_trip_is_quick() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let identities = identities(keys.path(), &["a", "b"]);
        let mut b = start(&identities[1], 2, "m", any_port(), &[]);
        let mut a = start(
            &identities[0],
            1,
            "m",
            any_port(),
            &[b.transport.local_address()],
        );
        a.expect_connected().await;
        b.expect_connected().await;
        let mut round_trips = Vec::new();
        for index in 1..=500 {
            let start = Instant::now();
            a.transport.send(b.id, append(index, 1));
            let _ = b.next().await;
            b.transport.send(
                a.id,
                Message::Acknowledge {
                    epoch: Epoch(1),
                    transfer: TransferId(1),
                    held: LogIndex(index),
                    replayed: LogIndex(0),
                    ready: true,
                    room: Room::default(),
                    beyond: Vec::new(),
                    echo: 0,
                    echo_age: replication::Duration::ZERO,
                },
            );
            let _ = a.next().await;
            round_trips.push(start.elapsed());
        }
        round_trips.sort_unstable();
        println!(
            "round trip: p50 {:?}, p99 {:?}",
            round_trips[250], round_trips[495]
        );
        assert!(
            round_trips[250] < Duration::from_millis(20),
            "{:?}",
            round_trips[250]
        );
    });
}

#[test]
fn a_peer_cannot_make_a_slow_node_hold_more_than_its_share() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let identities = identities(keys.path(), &["a", "b"]);
        let mut b = start(&identities[1], 2, "m", any_port(), &[]);
        let at_b = b.transport.local_address();
        let mut a = start(&identities[0], 1, "m", any_port(), &[at_b]);
        a.expect_connected().await;
        b.expect_connected().await;
        // Messages of about a MiB, whose sum is more than what may be held here and in QUIC's window together.
        let messages = (3 * RECEIVED_BYTES_MAX as u64) >> 20;
        let first = |number: u64| 1 + number * 10_000;
        for number in 0..messages {
            a.transport.send(b.id, append(first(number), 10_000));
        }
        // Nobody takes events: what comes in must come to a stand, and stay there.
        let mut received = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = b.transport.counters().bytes_received;
            if now == received && now > 0 {
                break;
            }
            received = now;
        }
        assert!(
            received <= (RECEIVED_BYTES_MAX + FRAME_BYTES_MAX) as u64,
            "{received} bytes were taken in"
        );
        for number in 0..messages {
            match b.next().await {
                TransportEvent::Message { message, .. } => {
                    assert_eq!(message, append(first(number), 10_000));
                }
                other => panic!("expected a message, got {other:?}"),
            }
        }
    });
}
