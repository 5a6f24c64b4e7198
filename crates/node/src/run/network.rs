//! The network of an unprotected machine: a plain peer of QEMU's stream protocol.

use super::Incoming;
use crate::switch::{put_frame, take_frame};
use anyhow::Context;
use bytes::BytesMut;
use crossbeam_channel::Sender;
use machine::Input;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;
use tracing::warn;

const READ_BYTES: usize = 256 << 10;
/// A peer that does not read for so long loses the frame.
const WRITE_MAX: Duration = Duration::from_millis(100);

pub(super) struct StreamNetwork {
    stream: UnixStream,
    lost: bool,
}

impl StreamNetwork {
    pub(super) fn connect(socket: &Path, sender: Sender<Incoming>) -> anyhow::Result<Self> {
        let context = || {
            format!(
                "cannot connect to the network socket {}; start `futago switch` first",
                socket.display()
            )
        };
        let stream = UnixStream::connect(socket).with_context(context)?;
        stream
            .set_write_timeout(Some(WRITE_MAX))
            .with_context(context)?;
        let reader = stream.try_clone().with_context(context)?;
        thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || receive(reader, &sender))
            .context("cannot start the network's thread")?;
        Ok(Self {
            stream,
            lost: false,
        })
    }

    /// Sends a frame; once the network is gone, frames are lost.
    pub(super) fn send(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        if self.lost {
            return Ok(());
        }
        let mut wire = BytesMut::with_capacity(frame.len() + 4);
        put_frame(&mut wire, frame);
        if let Err(error) = self.stream.write_all(&wire) {
            // Part of a frame may be out: the stream cannot be used any more.
            self.lost = true;
            let stuck = error.kind() == ErrorKind::WouldBlock;
            let why = if stuck {
                "the peer does not read".to_owned()
            } else {
                error.to_string()
            };
            warn!("the network is gone, the machine goes on without: {why}");
        }
        Ok(())
    }
}

fn receive(mut stream: UnixStream, sender: &Sender<Incoming>) {
    let mut received = BytesMut::new();
    let mut piece = vec![0; READ_BYTES];
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => received.extend_from_slice(&piece[..count]),
        }
        loop {
            match take_frame(&mut received) {
                Ok(Some(frame)) => {
                    let frame = frame.to_vec();
                    // Full: dropped, as on a wire.
                    let _ = sender.try_send(Incoming::Input(Input::Frame { device: 0, frame }));
                }
                Ok(None) => break,
                Err(error) => {
                    warn!("the network is gone: {error}");
                    return;
                }
            }
        }
    }
}
