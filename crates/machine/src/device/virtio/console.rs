//! Virtio console (virtio 1.2, section 5.3): one port, without size and control queues. What it says goes where
//! the serial port's bytes go.

use crate::device::uart::BACKLOG_MAX;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::io::Io;
use super::queue::{Queue, QueueError};
use crate::Output;
use crate::device::BadState;

/// Most bytes in one chain.
const CHAIN_BYTES_MAX: u64 = 64 * 1024;

/// A console device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    backlog: VecDeque<u8>,
    dropped: u64,
}

impl Console {
    pub(super) fn check(&self) -> Result<(), BadState> {
        if self.backlog.len() <= BACKLOG_MAX {
            return Ok(());
        }
        Err(BadState {
            device: "the virtio console",
            what: "its backlog is too long",
        })
    }

    pub(super) fn reset(&mut self) {
        self.backlog.clear();
    }

    /// Typed bytes that the guest has yet to read.
    pub(super) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// Keeps typed bytes until they are delivered.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let taken = &bytes[..bytes.len().min(BACKLOG_MAX - self.backlog.len())];
        let dropped = (bytes.len() - taken.len()) as u64;
        self.dropped = self.dropped.saturating_add(dropped);
        self.backlog.extend(taken);
    }

    /// Moves waiting bytes to the driver's buffers.
    pub(super) fn deliver(
        &mut self,
        queue: &mut Queue,
        io: &mut Io<'_>,
    ) -> Result<bool, QueueError> {
        for _ in 0..queue.waiting(io.ram)? {
            if self.backlog.is_empty() || io.turn.is_over() {
                break;
            }
            let chain = queue.pop(io.ram)?;
            if !chain.readable.is_empty() {
                return Err(QueueError::Unsuitable);
            }
            let len = (chain.writable_bytes() as usize).min(self.backlog.len());
            io.turn.charge(&chain, len as u64);
            let bytes: Vec<u8> = self.backlog.drain(..len).collect();
            let written = chain.write(io.ram, &bytes)?;
            queue.give_back(io.ram, chain.head, written)?;
        }
        if !self.backlog.is_empty() {
            queue.ask_notification(io.ram, 0, io.event_index())?;
        }
        queue.publish(io.ram, io.event_index())
    }

    /// Says what the driver has made available.
    pub(super) fn transmit(
        &mut self,
        queue: &mut Queue,
        io: &mut Io<'_>,
    ) -> Result<bool, QueueError> {
        for _ in 0..queue.waiting(io.ram)? {
            if io.turn.is_over() {
                break;
            }
            let chain = queue.pop(io.ram)?;
            if !chain.writable.is_empty() || chain.readable_bytes() > CHAIN_BYTES_MAX {
                return Err(QueueError::Unsuitable);
            }
            io.turn.charge(&chain, chain.readable_bytes());
            Output::push_console(io.outputs, &chain.read(io.ram, 0)?);
            queue.give_back(io.ram, chain.head, 0)?;
        }
        queue.ask_notification(io.ram, 0, io.event_index())?;
        queue.publish(io.ram, io.event_index())
    }
}
