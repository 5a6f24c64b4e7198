//! One established connection: its four activities end together, and whichever ends first says why.

use super::bulk;
use super::endpoint::CLOSE_REFUSED;
use super::event::TransportEvent;
use super::frame::{FRAME_BYTES_MAX, FrameError, decode_message, put_frame, read_frame};
use super::handshake::sanitize;
use super::held::Holding;
use super::registry::{Queue, Registry};
use bytes::BytesMut;
use quinn::{ConnectionError, ReadError};
use replication::{Hello, NodeId};
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

/// Frames are written together up to so many bytes.
const WRITE_BYTES_MAX: usize = 256 << 10;

/// Why a connection ends.
enum End {
    /// It broke, or the peer closed it.
    Broken(String),
    /// The peer sent what no peer may send.
    Hostile(FrameError),
    /// This node is about to end and nobody takes events.
    Deaf,
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Read(ReadError::ConnectionLost(error)) => Self::from(error),
            FrameError::Read(error) => Self::Broken(error.to_string()),
            error => Self::Hostile(error),
        }
    }
}

impl From<ConnectionError> for End {
    fn from(error: ConnectionError) -> Self {
        Self::Broken(describe(&error))
    }
}

impl From<quinn::WriteError> for End {
    fn from(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::ConnectionLost(error) => Self::from(error),
            error => Self::Broken(error.to_string()),
        }
    }
}

impl<T> From<mpsc::error::SendError<T>> for End {
    fn from(_: mpsc::error::SendError<T>) -> Self {
        Self::Deaf
    }
}

/// A connection's end in words.
pub(super) fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            format!(
                "it closed the connection: {}",
                sanitize(&String::from_utf8_lossy(&close.reason))
            )
        }
        ConnectionError::Reset => "it has been restarted".to_owned(),
        ConnectionError::TimedOut => "it has been silent for too long".to_owned(),
        other => sanitize(&other.to_string()),
    }
}

/// Serves a registered connection until it ends.
pub(super) async fn serve(
    registry: &Registry,
    connection: quinn::Connection,
    peer: Hello,
    streams: (quinn::SendStream, quinn::RecvStream),
    queue: Queue,
) {
    let node = peer.node;
    let connected = TransportEvent::Connected {
        peer: node,
        name: sanitize(&peer.name),
        address: connection.remote_address(),
    };
    let (send, receive) = streams;
    let Queue {
        frames,
        state,
        queued_bytes,
    } = queue;
    let work = async {
        registry.events.send(connected).await?;
        tokio::select! {
            end = write_frames(send, frames, &queued_bytes) => end,
            end = read_frames(registry, receive, node) => end,
            end = read_datagrams(registry, &connection, node) => end,
            end = send_states(registry, &connection, state, node) => end,
            end = receive_states(registry, &connection, node) => end,
        }
    };
    let end: Result<(), End> = work.await;
    let cause = match end {
        Ok(()) => "the connection ended".to_owned(),
        Err(End::Broken(cause)) => cause,
        Err(End::Deaf) => "this node is ending".to_owned(),
        Err(End::Hostile(error)) => {
            registry
                .refuse(None, connection.remote_address(), error.to_string().into())
                .await;
            error.to_string()
        }
    };
    connection.close(CLOSE_REFUSED, cause.as_bytes());
    // In this order: the next connection to this peer must not be told before the end of this one.
    let _ = registry
        .events
        .send(TransportEvent::Disconnected { peer: node, cause })
        .await;
    registry.unregister(node);
}

async fn write_frames(
    mut stream: quinn::SendStream,
    mut frames: mpsc::Receiver<bytes::Bytes>,
    queued_bytes: &std::sync::atomic::AtomicUsize,
) -> Result<(), End> {
    let mut buffer = BytesMut::new();
    while let Some(payload) = frames.recv().await {
        let mut payload_bytes = payload.len();
        put_frame(&mut buffer, &payload);
        while buffer.len() < WRITE_BYTES_MAX {
            let Ok(payload) = frames.try_recv() else {
                break;
            };
            payload_bytes += payload.len();
            put_frame(&mut buffer, &payload);
        }
        stream.write_chunk(buffer.split().freeze()).await?;
        queued_bytes.fetch_sub(payload_bytes, Ordering::Relaxed);
    }
    Ok(())
}

async fn read_frames(
    registry: &Registry,
    mut stream: quinn::RecvStream,
    from: NodeId,
) -> Result<(), End> {
    let held = Holding::default();
    while let Some(payload) = read_frame(&mut stream, FRAME_BYTES_MAX).await? {
        registry
            .bytes_received
            .fetch_add(payload.len() as u64, Ordering::Relaxed);
        let message = decode_message(&payload)?;
        let held = held.take(payload.len(), &message).await;
        registry
            .events
            .send(TransportEvent::Message {
                from,
                message,
                held,
            })
            .await?;
    }
    Ok(())
}

async fn read_datagrams(
    registry: &Registry,
    connection: &quinn::Connection,
    from: NodeId,
) -> Result<(), End> {
    let held = Holding::default();
    loop {
        let payload = connection.read_datagram().await?;
        registry
            .bytes_received
            .fetch_add(payload.len() as u64, Ordering::Relaxed);
        let message = decode_message(&payload)?;
        if !message.is_datagram(u64::MAX) {
            return Err(End::Hostile(FrameError::NotDatagram));
        }
        let held = held.take(payload.len(), &message).await;
        registry
            .events
            .send(TransportEvent::Message {
                from,
                message,
                held,
            })
            .await?;
    }
}

async fn send_states(
    registry: &Registry,
    connection: &quinn::Connection,
    mut jobs: tokio::sync::watch::Receiver<
        Option<(bytes::Bytes, std::sync::Arc<bulk::TransferProgress>)>,
    >,
    to: NodeId,
) -> Result<(), End> {
    loop {
        let job = jobs.borrow_and_update().clone();
        if let Some((state, progress)) = job {
            if bulk::send(connection, state, &progress, &mut jobs).await? {
                let transfer = progress.transfer();
                registry
                    .events
                    .send(TransportEvent::StateSent { to, transfer })
                    .await?;
            } else {
                // Abandoned, perhaps for another one: look again.
                continue;
            }
        }
        if jobs.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn receive_states(
    registry: &Registry,
    connection: &quinn::Connection,
    from: NodeId,
) -> Result<(), End> {
    let states = Holding::default();
    loop {
        let stream = connection.accept_uni().await?;
        let received = bulk::receive(stream, registry.config.state_bytes_max, |progress| {
            registry.set_receiving(progress);
        })
        .await;
        match received {
            Ok((transfer, state)) => {
                let held = states.take_all().await;
                registry
                    .events
                    .send(TransportEvent::StateReceived {
                        from,
                        transfer,
                        state,
                        held,
                    })
                    .await?;
                // The next one must wait until somebody has looked at this one.
                drop(states.take_all().await);
            }
            // The sender thought better of it.
            Err(FrameError::Read(ReadError::Reset(_))) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
