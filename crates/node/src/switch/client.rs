//! A node's port: it proves whose it is, then sends and receives frames.

use super::frame::take_frame;
use super::port::{OutQueue, read_some, write_forever};
use super::word::{Nonce, Word, is_reserved, sentence};
use crate::config::MacAddress;
use anyhow::Context;
use bytes::{Bytes, BytesMut};
use replication::{Claim, Epoch, MachineId, MachineKey, NodeId, Verdict};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// What a port tells its node.
#[derive(Debug)]
pub enum SwitchEvent {
    /// The switch lets this node speak for its machine, in the epoch that was claimed last.
    Admitted,
    /// A frame came in.
    Frame(Bytes),
    /// The connection is gone, and why.
    Closed(String),
}

/// For whom a port speaks, and what proves it.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// The machine.
    pub machine: MachineId,
    /// Its key at this switch.
    pub key: MachineKey,
    /// The node itself.
    pub node: NodeId,
    /// The guest's MAC address.
    pub mac: MacAddress,
    /// The epoch in which it speaks.
    pub epoch: Epoch,
}

/// Frames that went nowhere, since whoever owns this began to count.
#[derive(Debug, Default)]
pub struct PortCounters {
    /// Frames of the type that only nodes and switches may send, from the guest or for it.
    pub reserved: AtomicU64,
    /// Frames of the guest that the network was too slow for.
    pub sent_overflowed: AtomicU64,
    /// Frames of the network that the node was too slow for.
    pub received_overflowed: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    stream: UnixStream,
    sending: Mutex<Sending>,
    wake: Notify,
    counters: Arc<PortCounters>,
}

#[derive(Debug, Default)]
struct Sending {
    queue: OutQueue,
    /// Frames that wait until the switch has answered.
    held: OutQueue,
    speaker: Option<Speaker>,
    /// What claims on this connection are made over.
    nonce: Option<Nonce>,
    /// Whether frames may go.
    open: bool,
}

impl Sending {
    /// The claim of what this port speaks for now. None before the switch asked.
    fn claim(&self) -> Option<Word> {
        let (speaker, nonce) = (self.speaker.as_ref()?, self.nonce.as_ref()?);
        let Speaker {
            machine,
            node,
            epoch,
            mac,
            ..
        } = *speaker;
        let claim = Claim {
            machine,
            epoch,
            address: mac.0,
            node,
        };
        Some(Word::Claim {
            claim,
            proof: speaker.key.prove(nonce, &claim),
        })
    }
}

impl Shared {
    fn sending(&self) -> MutexGuard<'_, Sending> {
        // Nothing within can panic half-way through a change.
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands to the kernel what may go; the task goes on with what it does not take now.
    fn write(&self, sending: &mut Sending) {
        // An error shows again to the task, which reports it.
        let _ = sending.queue.write(&self.stream);
        if !sending.queue.is_empty() {
            self.wake.notify_one();
        }
    }
}

/// A connection to a switch, or to any peer that speaks QEMU's stream protocol. Dropping it closes it.
#[derive(Debug)]
pub struct SwitchClient {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl SwitchClient {
    /// Connects. With a `speaker`, frames are held until the switch has admitted it; without one, the port is a plain
    /// one. Events go to `events`; as long as there is no room, frames are
    /// left with the switch.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(
        socket: &Path,
        speaker: Option<Speaker>,
        counters: Arc<PortCounters>,
        events: mpsc::Sender<SwitchEvent>,
    ) -> anyhow::Result<Self> {
        let stream = open(socket)?;
        let stream = UnixStream::from_std(stream).with_context(|| unusable(socket))?;
        let shared = Arc::new(Shared {
            stream,
            sending: Mutex::new(Sending {
                open: speaker.is_none(),
                speaker,
                ..Sending::default()
            }),
            wake: Notify::new(),
            counters,
        });
        let task = tokio::spawn(serve(Arc::clone(&shared), events));
        Ok(Self { shared, task })
    }

    /// Sends a frame. When this returns, the frame is in the kernel and leaves even if this process dies, unless the
    /// switch has not admitted this port yet or is slower than the guest: then it waits in a bounded queue, and is dropped
    /// when that is full. A frame by which a guest would speak to the switch is dropped, too.
    pub fn send(&self, frame: &[u8]) {
        if is_reserved(frame) {
            count(&self.shared.counters.reserved);
            return;
        }
        let sending = &mut *self.shared.sending();
        let queue = if sending.open {
            &mut sending.queue
        } else {
            &mut sending.held
        };
        if !queue.push(frame) {
            count(&self.shared.counters.sent_overflowed);
        }
        self.shared.write(sending);
    }

    /// Claims a newer epoch for what is sent from here on.
    pub fn speak_as(&self, epoch: Epoch) {
        let sending = &mut *self.shared.sending();
        let Some(speaker) = &mut sending.speaker else {
            return;
        };
        speaker.epoch = epoch;
        if let Some(claim) = sending.claim() {
            sending.queue.push(&claim.to_frame());
            self.shared.write(sending);
        }
    }
}

impl Drop for SwitchClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects, at once or not at all: whoever waits for a switch that is stopped would miss all else.
fn open(socket: &Path) -> anyhow::Result<StdStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connected =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).and_then(|stream| {
            connect(&stream, &SocketAddrUnix::new(socket)?)?;
            Ok(stream.into())
        });
    connected.map_err(|error| match error {
        Errno::AGAIN => anyhow::anyhow!(
            "the switch at {} takes no connection: is its process stopped?",
            socket.display()
        ),
        Errno::CONNREFUSED if is_socket(socket).is_err() => anyhow::anyhow!(
            "cannot connect to the network socket {}: it is no socket; name the one that `futago switch --socket` or passt listens on",
            socket.display()
        ),
        Errno::NAMETOOLONG => anyhow::anyhow!(
            "{} is no network socket: a socket's path has at most 107 bytes",
            socket.display()
        ),
        error => anyhow::Error::new(error).context(unusable(socket)),
    })
}

fn unusable(socket: &Path) -> String {
    format!(
        "cannot connect to the network socket {}; start `futago switch` first",
        socket.display()
    )
}

/// Whether a port could be opened at `socket` just now.
///
/// # Errors
/// One sentence on why not.
pub fn can_connect(socket: &Path) -> anyhow::Result<()> {
    open(socket).map(drop)
}

/// Whether there is a socket at `socket`, whoever listens there.
///
/// # Errors
/// One sentence on what there is instead.
pub fn is_socket(socket: &Path) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(socket).with_context(|| unusable(socket))?;
    anyhow::ensure!(
        metadata.file_type().is_socket(),
        "{}: it is no socket",
        unusable(socket)
    );
    Ok(())
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

async fn serve(shared: Arc<Shared>, events: mpsc::Sender<SwitchEvent>) {
    let read = async {
        let mut received = BytesMut::new();
        while read_some(&shared.stream, &mut received)
            .await
            .context("it broke")?
        {
            while let Some(frame) = take_frame(&mut received)? {
                let event = if is_reserved(&frame) {
                    hear(&shared, &frame)?
                } else {
                    Some(SwitchEvent::Frame(frame))
                };
                if let Some(event) = event {
                    // Closed: the node is ending.
                    let _ = events.send(event).await;
                }
            }
        }
        anyhow::Ok(())
    };
    let write = write_forever(&shared.stream, &shared.wake, |stream| {
        shared.sending().queue.write(stream)
    });
    let end = tokio::select! {
        end = read => end,
        end = write => end.context("it broke"),
    };
    let cause = end.map_or_else(
        |error| format!("{error:#}"),
        |()| "the switch closed it".to_owned(),
    );
    let _ = events.send(SwitchEvent::Closed(cause)).await;
}

/// The switch asks, or answers. A plain port only counts it.
fn hear(shared: &Shared, frame: &[u8]) -> anyhow::Result<Option<SwitchEvent>> {
    let sending = &mut *shared.sending();
    let Some(speaker) = &sending.speaker else {
        count(&shared.counters.reserved);
        return Ok(None);
    };
    match Word::from_frame(frame)
        .context("the switch asks for the machine's proof in words that are none")?
    {
        Word::Challenge { nonce } if sending.nonce.is_none() => {
            sending.nonce = Some(nonce);
            if let Some(claim) = sending.claim() {
                sending.queue.push(&claim.to_frame());
                shared.write(sending);
            }
            Ok(None)
        }
        // What became of an older claim does not matter any more.
        Word::Answer { epoch, verdict } if epoch == speaker.epoch => {
            anyhow::ensure!(verdict == Verdict::Admitted, "{}", sentence(verdict));
            if !sending.open {
                sending.open = true;
                let Sending { queue, held, .. } = sending;
                queue.append(held);
                shared.write(sending);
            }
            Ok(Some(SwitchEvent::Admitted))
        }
        Word::Challenge { .. } | Word::Claim { .. } | Word::Answer { .. } => {
            count(&shared.counters.reserved);
            Ok(None)
        }
    }
}

/// A reverse ARP request (RFC 903) by which every switch on the way learns where `mac` is now.
pub fn announcement(mac: MacAddress) -> Vec<u8> {
    const FRAME_BYTES: usize = 60;
    let mut frame = Vec::with_capacity(FRAME_BYTES);
    frame.extend_from_slice(&[0xff; 6]);
    frame.extend_from_slice(&mac.0);
    // EtherType RARP, Ethernet, IPv4, address lengths, operation 3: request reverse.
    frame.extend_from_slice(&[0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3]);
    for _ in ["sender", "target"] {
        frame.extend_from_slice(&mac.0);
        frame.extend_from_slice(&[0; 4]);
    }
    frame.resize(FRAME_BYTES, 0);
    frame
}
