//! Dialling and accepting. Both ends of a pair may do both; the registry sees to it that one connection comes of it.

use super::connection::{describe, serve};
use super::endpoint::{CLOSE_DUPLICATE, CLOSE_REFUSED};
use super::event::TransportEvent;
use super::handshake::{self, HandshakeError, Refusal, Reply, sanitize};
use super::peer::Peer;
use super::places::{Admission, Places};
use super::registry::Registry;
use crate::keys::NODE_SERVER_NAME;
use quinn::ConnectionError;
use replication::{Hello, NodeId};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// First pause after a dial that failed; it doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two dials.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Pause after a dial that the other side turned away, which will not change soon.
const BACKOFF_REFUSED: Duration = Duration::from_secs(3);
/// Nobody has to answer sooner.
const UNANSWERED_MAX: Duration = Duration::from_secs(2);
/// A peer must have said who it is within this time.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);
/// TLS errors are QUIC transport errors from this code on (RFC 9001, 4.8).
const CRYPTO_ERRORS: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;
/// TLS's `certificate_expired` (RFC 8446, 6): it is not good now.
const CERTIFICATE_EXPIRED: u64 = 0x100 + 45;

/// For how long nobody has answered at an address, and whether that was told.
struct Silence {
    since: Instant,
    told: bool,
}

impl Silence {
    fn begin() -> Self {
        Self {
            since: Instant::now(),
            told: false,
        }
    }

    /// Waits until it is to be told.
    async fn is_long(&self) {
        if self.told {
            std::future::pending::<()>().await;
        }
        sleep_until(self.since + UNANSWERED_MAX).await;
    }
}

/// How a dial ended without a connection that was served.
enum DialEnd {
    /// Nobody there, or the network broke.
    Unreachable,
    /// There is another connection to the same node.
    Duplicate,
    /// One of the two does not want the other.
    Refused(Refusal),
}

type Streams = (quinn::SendStream, quinn::RecvStream);

/// Keeps a connection to a peer for as long as the node lives. Where it has several addresses, they have their turns.
pub(super) async fn dial(endpoint: quinn::Endpoint, mut peer: Peer, registry: Arc<Registry>) {
    let mut backoff = BACKOFF_MIN;
    let mut last_refusal = None;
    let mut silence = Silence::begin();
    let mut turn = 0;
    loop {
        let addresses = peer.addresses();
        let Some(&address) = addresses.get(turn % addresses.len().max(1)) else {
            if !find(&mut peer, &registry).await {
                return;
            }
            silence = Silence::begin();
            continue;
        };
        let changed = registry.changed.notified();
        if !registry.start_dial(address, &addresses) {
            changed.await;
            silence = Silence::begin();
            continue;
        }
        let outcome = {
            let mut attempt = pin!(timeout(
                HANDSHAKE_MAX,
                introduce(&endpoint, address, &registry)
            ));
            tokio::select! {
                outcome = &mut attempt => outcome,
                () = silence.is_long() => {
                    silence.told = true;
                    registry.unanswered(peer.written(), &addresses).await;
                    attempt.await
                }
            }
        };
        let registered = match outcome {
            Ok(Ok((connection, peer, streams))) => {
                if let Some(queue) = registry.register(peer.node, &connection) {
                    still_trusted(&registry, peer.node, &connection)
                        .map(|()| (connection, peer, streams, queue))
                        .map_err(DialEnd::Refused)
                } else {
                    connection.close(CLOSE_DUPLICATE, b"there is a connection already");
                    Err(DialEnd::Duplicate)
                }
            }
            Ok(Err(end)) => Err(end),
            Err(_) => Err(DialEnd::Unreachable),
        };
        registry.end_dial(address);
        if !matches!(registered, Err(DialEnd::Unreachable)) {
            silence = Silence::begin();
        }
        match registered {
            Ok((connection, peer, streams, queue)) => {
                serve(&registry, connection, peer, streams, queue).await;
                backoff = BACKOFF_MIN;
                last_refusal = None;
                silence = Silence::begin();
            }
            Err(DialEnd::Refused(refusal)) => {
                // Counted and told once, not with each try.
                if last_refusal.as_ref() != Some(&refusal) {
                    last_refusal = Some(refusal.clone());
                    registry
                        .refuse(Some(peer.written()), address, refusal)
                        .await;
                }
                // It may be another's address by now.
                peer.look_again();
                turn += 1;
                sleep(BACKOFF_REFUSED).await;
                // This node was silent, not the peer.
                silence = Silence::begin();
                continue;
            }
            Err(DialEnd::Unreachable) => {
                if silence.told {
                    // Whoever is there next is another.
                    last_refusal = None;
                }
                turn += 1;
                if turn % addresses.len() == 0 {
                    // Its host may have moved.
                    peer.look_again();
                }
            }
            Err(DialEnd::Duplicate) => {}
        }
        if registry.events.is_closed() {
            return;
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// Looks for the addresses of a peer until it has any; says whether it has, before the node has ended.
async fn find(peer: &mut Peer, registry: &Registry) -> bool {
    let mut told = false;
    loop {
        let (written, addresses) = (peer.written().to_owned(), peer.addresses());
        if !addresses.is_empty() {
            // Whoever listens to nothing any more is found out below.
            if told {
                let event = TransportEvent::Known { written, addresses };
                let _ = registry.events.send(event).await;
            }
            return true;
        }
        if let Some(problem) = peer.problem().filter(|_| !told) {
            told = true;
            let event = TransportEvent::Unknown { written, problem };
            let _ = registry.events.send(event).await;
        }
        if registry.events.is_closed() {
            return false;
        }
        peer.look_again();
        peer.answered(BACKOFF_MAX).await;
        if peer.addresses().is_empty() {
            sleep(BACKOFF_MAX).await;
        }
    }
}

async fn introduce(
    endpoint: &quinn::Endpoint,
    address: SocketAddr,
    registry: &Registry,
) -> Result<(quinn::Connection, Hello, Streams), DialEnd> {
    let connecting = endpoint
        .connect_with(registry.trust.client(), address, NODE_SERVER_NAME)
        .map_err(|error| DialEnd::Refused(error.to_string().into()))?;
    let connection = connecting.await.map_err(|error| lost(&error))?;
    registry.answered(address);
    match greet(&connection, registry).await {
        Ok((peer, streams)) => Ok((connection, peer, streams)),
        Err(error) => {
            // The peer's close says more than the stream that broke with it.
            if let Some(reason) = connection.close_reason() {
                return Err(lost(&reason));
            }
            connection.close(
                CLOSE_REFUSED,
                error.refusal(&registry.config.hello.name).as_bytes(),
            );
            Err(match error {
                HandshakeError::Duplicate => DialEnd::Duplicate,
                error => DialEnd::Refused((&error).into()),
            })
        }
    }
}

/// The dialler's half of the handshake.
async fn greet(
    connection: &quinn::Connection,
    registry: &Registry,
) -> Result<(Hello, Streams), HandshakeError> {
    let me = &registry.config.hello;
    let shown = registry.trust.check(connection)?;
    let lost = |error: ConnectionError| HandshakeError::Refused(describe(&error));
    let (mut send, mut receive) = connection.open_bi().await.map_err(lost)?;
    handshake::write(&mut send, me).await?;
    match handshake::read(&mut receive).await? {
        Reply::Accepted(peer) => {
            registry.trust.check_hello(&shown, &peer)?;
            Ok((peer, (send, receive)))
        }
        Reply::Differs(peer) => {
            registry.trust.check_hello(&shown, &peer)?;
            Err(HandshakeError::Refused(
                "it finds a difference that there is not".to_owned(),
            ))
        }
        Reply::Duplicate => Err(HandshakeError::Duplicate),
        Reply::Refused(reason) => Err(HandshakeError::Refused(sanitize(&reason))),
    }
}

fn lost(error: &ConnectionError) -> DialEnd {
    match error {
        ConnectionError::TransportError(inner) if u64::from(inner.code) == CERTIFICATE_EXPIRED => {
            let reason = format!(
                "its certificate has expired, or the hosts' clocks differ ({}); `futago keys renew` makes a new one",
                sanitize(&inner.reason)
            );
            DialEnd::Refused(reason.into())
        }
        ConnectionError::ConnectionClosed(close)
            if u64::from(close.error_code) == CERTIFICATE_EXPIRED =>
        {
            let reason = "this node's certificate has expired, or the hosts' clocks differ; `futago keys renew` makes a new one";
            DialEnd::Refused(reason.to_owned().into())
        }
        ConnectionError::TransportError(inner)
            if CRYPTO_ERRORS.contains(&u64::from(inner.code)) =>
        {
            let reason = format!(
                "its certificate is not of this machine's authority ({}); give both nodes keys of the same `futago keys` run",
                sanitize(&inner.reason)
            );
            DialEnd::Refused(reason.into())
        }
        ConnectionError::ConnectionClosed(close)
            if CRYPTO_ERRORS.contains(&u64::from(close.error_code)) =>
        {
            let reason = "it does not accept this node's certificate; give both nodes keys of the same `futago keys` run";
            DialEnd::Refused(reason.to_owned().into())
        }
        ConnectionError::ApplicationClosed(close) if close.error_code == CLOSE_REFUSED => {
            DialEnd::Refused(describe(error).into())
        }
        ConnectionError::ApplicationClosed(close) if close.error_code == CLOSE_DUPLICATE => {
            DialEnd::Duplicate
        }
        _ => DialEnd::Unreachable,
    }
}

/// Takes connections that come in, for as long as the node lives.
pub(super) async fn accept(endpoint: quinn::Endpoint, registry: Arc<Registry>) {
    let places = Places::new(&registry.config.peers);
    while let Some(incoming) = endpoint.accept().await {
        let source = incoming.remote_address().ip();
        let place = match places.ask(source, incoming.remote_address_validated()) {
            Admission::Place(place) => place,
            // It comes again with a token, at once if it is one that can.
            Admission::Prove if incoming.may_retry() => {
                // Cannot fail: it may retry.
                let _ = incoming.retry();
                continue;
            }
            _ => {
                // Not answered: whoever is meant by an address that is not the sender's would be bothered.
                incoming.ignore();
                registry.handshakes_dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            let address = incoming.remote_address();
            let admitted = timeout(HANDSHAKE_MAX, admit(incoming, &registry)).await;
            match admitted {
                Ok(Ok(Some((connection, peer, streams, queue)))) => {
                    drop(place);
                    serve(&registry, connection, peer, streams, queue).await;
                }
                Ok(Ok(None)) => {}
                Ok(Err(refusal)) => registry.refuse(None, address, refusal).await,
                Err(_) => {
                    let reason = "it did not say who it is".to_owned();
                    registry.refuse(None, address, reason.into()).await;
                }
            }
        });
    }
}

type Admitted = (quinn::Connection, Hello, Streams, super::registry::Queue);

/// The acceptor's half of the handshake; none for a duplicate, and for one that went away by itself.
async fn admit(
    incoming: quinn::Incoming,
    registry: &Registry,
) -> Result<Option<Admitted>, Refusal> {
    let connection = match incoming.await {
        Ok(connection) => connection,
        Err(error) => return gone(&error),
    };
    let (mut send, mut receive) = match connection.accept_bi().await {
        Ok(streams) => streams,
        Err(error) => return gone(&error),
    };
    let me = &registry.config.hello;
    let checked = async {
        let shown = registry.trust.check(&connection)?;
        let peer = handshake::read::<Hello>(&mut receive).await?;
        registry.trust.check_hello(&shown, &peer)?;
        Ok(peer)
    };
    let checked: Result<Hello, HandshakeError> = checked.await;
    let peer = match checked {
        Ok(peer) => peer,
        Err(HandshakeError::Frame(super::FrameError::Read(_))) => return Ok(None),
        Err(error) => {
            let reply = match error {
                HandshakeError::Differs { .. } => Reply::Differs(me.clone()),
                _ => Reply::Refused(error.refusal(&me.name)),
            };
            turn_away(&connection, &mut send, &reply).await;
            return Err((&error).into());
        }
    };
    let queue = if registry.gives_way(peer.node, connection.remote_address()) {
        None
    } else {
        registry.register(peer.node, &connection)
    };
    let Some(queue) = queue else {
        turn_away(&connection, &mut send, &Reply::Duplicate).await;
        return Ok(None);
    };
    still_trusted(registry, peer.node, &connection)?;
    if handshake::write(&mut send, &Reply::Accepted(me.clone()))
        .await
        .is_err()
    {
        registry.unregister(peer.node);
        return Ok(None);
    }
    Ok(Some((connection, peer, (send, receive), queue)))
}

/// A certificate may be withdrawn during the handshake: whoever is registered by then is closed, and whoever is not yet finds
/// out here.
fn still_trusted(
    registry: &Registry,
    peer: NodeId,
    connection: &quinn::Connection,
) -> Result<(), Refusal> {
    if !registry.trust.is_withdrawn(connection) {
        return Ok(());
    }
    registry.unregister(peer);
    connection.close(CLOSE_REFUSED, b"your certificate was withdrawn");
    Err("its certificate was withdrawn during the handshake"
        .to_owned()
        .into())
}

/// A peer that went away: by itself, or because one of the two does not want the other.
fn gone(error: &ConnectionError) -> Result<Option<Admitted>, Refusal> {
    match lost(error) {
        DialEnd::Refused(refusal) => Err(refusal),
        DialEnd::Unreachable | DialEnd::Duplicate => Ok(None),
    }
}

/// Says why, and leaves the closing to the other side, so that the reply is read before the connection is gone.
async fn turn_away(connection: &quinn::Connection, send: &mut quinn::SendStream, reply: &Reply) {
    if handshake::write(send, reply).await.is_ok() {
        let _ = send.finish();
        let _ = timeout(HANDSHAKE_MAX / 2, connection.closed()).await;
    }
    connection.close(CLOSE_REFUSED, b"the handshake failed");
}
