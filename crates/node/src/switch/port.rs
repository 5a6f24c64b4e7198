//! The bytes of one port: a socket, what came in, and a bounded queue of what goes out.

use super::frame::put_frame;
use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::io::{self, ErrorKind};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// Bytes that may wait for a peer that does not read; beyond, frames are dropped, as on a wire.
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Read at once.
const READ_BYTES: usize = 256 << 10;

/// What waits to be written to a socket.
#[derive(Debug, Default)]
pub(super) struct OutQueue {
    bytes: BytesMut,
}

impl OutQueue {
    /// Queues a frame; `false` if there is no room.
    pub(super) fn push(&mut self, frame: &[u8]) -> bool {
        if self.bytes.len() + frame.len() > QUEUE_BYTES_MAX {
            return false;
        }
        put_frame(&mut self.bytes, frame);
        true
    }

    /// Queues whole frames, as they are sent.
    pub(super) fn push_frames(&mut self, frames: &[u8]) {
        self.bytes.extend_from_slice(frames);
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes out what waits.
    #[cfg(test)]
    pub(super) fn take(&mut self) -> BytesMut {
        self.bytes.split()
    }

    /// Takes over what waits in `other`, behind what waits here.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.bytes.unsplit(other.bytes.split());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Hands everything to the kernel; `WouldBlock` if it does not take it all now. Asks the kernel itself, not tokio's
    /// memory of what the kernel said last: on a socket just opened tokio knows nothing yet.
    pub(super) fn write(&mut self, stream: &UnixStream) -> io::Result<()> {
        while !self.bytes.is_empty() {
            match rustix::net::send(
                stream,
                &self.bytes,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.bytes.advance(written),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Reads what has come in, at least one byte; `false` at the end of the stream.
pub(super) async fn read_some(stream: &UnixStream, received: &mut BytesMut) -> io::Result<bool> {
    loop {
        stream.readable().await?;
        received.reserve(READ_BYTES);
        match stream.try_read_buf(received) {
            Ok(count) => return Ok(count > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Calls `write`, which hands the socket's queue to the kernel, whenever `wake` says that something waits.
pub(super) async fn write_forever(
    stream: &UnixStream,
    wake: &Notify,
    mut write: impl FnMut(&UnixStream) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        wake.notified().await;
        stream
            .async_io(Interest::WRITABLE, || write(stream))
            .await?;
    }
}
