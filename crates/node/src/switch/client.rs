//! A node's port: it says hello with its epoch, then sends and receives frames.

use super::frame::take_frame;
use super::hello::SwitchHello;
use super::port::{OutQueue, read_some, write_forever};
use crate::config::MacAddress;
use anyhow::Context;
use bytes::{Bytes, BytesMut};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// What a port tells its node.
#[derive(Debug)]
pub enum SwitchEvent {
    /// A frame came in.
    Frame(Bytes),
    /// The connection is gone, and why.
    Closed(String),
}

#[derive(Debug)]
struct Shared {
    stream: UnixStream,
    queue: Mutex<OutQueue>,
    wake: Notify,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, OutQueue> {
        // Nothing within can panic half-way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to a switch, or to any peer that speaks QEMU's stream protocol. Dropping it closes it.
#[derive(Debug)]
pub struct SwitchClient {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl SwitchClient {
    /// Connects, and says `hello` if there is one to say. Events go to `events`; frames that find no room there are
    /// dropped, as on a wire.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(
        socket: &Path,
        hello: Option<SwitchHello>,
        events: mpsc::Sender<SwitchEvent>,
    ) -> anyhow::Result<Self> {
        let context = || {
            format!(
                "cannot connect to the network socket {}; start `futago switch` first",
                socket.display()
            )
        };
        // A UNIX socket connects at once or not at all, so this may be done in place: the caller goes on with a port
        // that is open.
        let stream = std::os::unix::net::UnixStream::connect(socket).with_context(context)?;
        stream.set_nonblocking(true).with_context(context)?;
        let stream = UnixStream::from_std(stream).with_context(context)?;
        let shared = Arc::new(Shared {
            stream,
            queue: Mutex::default(),
            wake: Notify::new(),
        });
        let task = tokio::spawn(serve(Arc::clone(&shared), events));
        let client = Self { shared, task };
        if let Some(hello) = hello {
            client.send(&hello.to_frame());
        }
        Ok(client)
    }

    /// Sends a frame. When this returns, the frame is in the kernel and leaves even if this process dies, unless the
    /// switch is slower than the guest: then it waits in a bounded queue, and is dropped when that is full (`false`).
    pub fn send(&self, frame: &[u8]) -> bool {
        let mut queue = self.shared.queue();
        let taken = queue.push(frame);
        // An error shows again to the task, which reports it.
        let _ = queue.write(&self.shared.stream);
        if !queue.is_empty() {
            self.shared.wake.notify_one();
        }
        taken
    }
}

impl Drop for SwitchClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(shared: Arc<Shared>, events: mpsc::Sender<SwitchEvent>) {
    let read = async {
        let mut received = BytesMut::new();
        while read_some(&shared.stream, &mut received)
            .await
            .context("it broke")?
        {
            while let Some(frame) = take_frame(&mut received)? {
                // Full: dropped. Closed: the node is ending.
                let _ = events.try_send(SwitchEvent::Frame(frame));
            }
        }
        anyhow::Ok(())
    };
    let write = write_forever(&shared.stream, &shared.wake, |stream| {
        shared.queue().write(stream)
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
