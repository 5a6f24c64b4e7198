//! Virtio network device (virtio 1.2, section 5.1), without offloads. Sending happens when the driver notifies;
//! what arrives goes to the driver's buffers, or waits for them.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::io::Io;
use super::queue::{Chain, Queue, QueueError};
use crate::Output;
use crate::device::BadState;

/// Sizes that an Ethernet frame may have, in bytes.
pub const FRAME_BYTES: RangeInclusive<usize> = 14..=FRAME_BYTES_MAX;
/// Longest frame, in bytes: segmentation offload allows more than Ethernet.
pub const FRAME_BYTES_MAX: usize = 65_550;

/// Frames that wait for the driver's buffers. More are dropped, as a real network card does.
pub const BACKLOG_MAX: usize = 256;
/// Bytes of these frames.
pub const BACKLOG_BYTES_MAX: usize = 1 << 20;
/// Descriptors of the driver's buffers for one frame: it is dropped where it takes more.
const FRAME_DESCRIPTORS_MAX: u64 = 4096;

const MAC: u64 = 1 << 5;
const MERGED_BUFFERS: u64 = 1 << 15;
const STATUS: u64 = 1 << 16;
/// What the device offers, beside what every device does.
pub(super) const FEATURES: u64 = MAC | MERGED_BUFFERS | STATUS;

const LINK_UP: u16 = 1;

/// The header before each frame: all zeros but for the number of buffers, in the last two bytes.
const HEADER_BYTES: usize = 12;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Net {
    index: u8,
    mac: [u8; 6],
    backlog: VecDeque<Vec<u8>>,
    received_dropped: u64,
    sent_malformed: u64,
}

/// Where a frame goes.
enum Place {
    /// Into these chains.
    Chains(Vec<Chain>),
    /// Nowhere until the driver offers more.
    Wait,
    /// Nowhere ever.
    TooLarge,
}

impl Net {
    /// The network device of that number on the board.
    pub(super) fn new(index: u8, mac: [u8; 6]) -> Net {
        Net {
            index,
            mac,
            backlog: VecDeque::new(),
            received_dropped: 0,
            sent_malformed: 0,
        }
    }

    pub(super) fn index(&self) -> u8 {
        self.index
    }

    pub(super) fn same_part(&self, other: &Net) -> bool {
        (self.index, self.mac) == (other.index, other.mac)
    }

    pub(super) fn check(&self) -> Result<(), BadState> {
        let possible = |frame: &Vec<u8>| FRAME_BYTES.contains(&frame.len());
        if self.backlog.len() <= BACKLOG_MAX
            && self.backlog_bytes() <= BACKLOG_BYTES_MAX
            && self.backlog.iter().all(possible)
        {
            return Ok(());
        }
        Err(BadState {
            device: "a network device",
            what: "its backlog is impossible",
        })
    }

    fn backlog_bytes(&self) -> usize {
        self.backlog.iter().map(Vec::len).sum()
    }

    fn note_dropped(&mut self, frames: u64) {
        self.received_dropped = self.received_dropped.saturating_add(frames);
    }

    /// Address, link status.
    pub(super) fn config(&self, offset: u64) -> u8 {
        match offset {
            0..6 => self.mac[offset as usize],
            6..8 => LINK_UP.to_le_bytes()[offset as usize - 6],
            _ => 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.note_dropped(self.backlog.len() as u64);
        self.backlog.clear();
    }

    /// Whether a frame can be kept.
    pub(super) fn has_room_for(&self, frame: &[u8]) -> bool {
        self.backlog.len() < BACKLOG_MAX && self.backlog_bytes() + frame.len() <= BACKLOG_BYTES_MAX
    }

    /// Keeps a frame until it is delivered.
    pub(super) fn receive(&mut self, frame: &[u8], running: bool) {
        if running && self.has_room_for(frame) {
            self.backlog.push_back(frame.to_vec());
        } else {
            self.note_dropped(1);
        }
    }

    /// Moves waiting frames to the driver's buffers.
    pub(super) fn deliver(
        &mut self,
        queue: &mut Queue,
        io: &mut Io<'_>,
    ) -> Result<bool, QueueError> {
        if self.backlog.is_empty() {
            return Ok(false);
        }
        let merged = io.features & MERGED_BUFFERS != 0;
        // Read once: what is written below might lie on the ring itself.
        let mut waiting = queue.waiting(io.ram)?;
        while let Some(frame) = self.backlog.front() {
            if io.turn.is_over() {
                break;
            }
            let bytes = HEADER_BYTES + frame.len();
            match find_place(queue, io, waiting, bytes, merged)? {
                Place::Wait => {
                    queue.ask_notification(io.ram, waiting, io.event_index())?;
                    break;
                }
                Place::TooLarge => self.note_dropped(1),
                Place::Chains(chains) => {
                    let count = chains.len() as u16;
                    let mut packet = vec![0; HEADER_BYTES];
                    packet[10..].copy_from_slice(&count.to_le_bytes());
                    packet.extend_from_slice(frame);
                    let mut rest = packet.as_slice();
                    queue.take(count);
                    waiting -= count;
                    for chain in chains {
                        let written = chain.write(io.ram, rest)?;
                        rest = &rest[written as usize..];
                        queue.give_back(io.ram, chain.head, written)?;
                    }
                }
            }
            self.backlog.pop_front();
        }
        queue.publish(io.ram, io.event_index())
    }

    /// Sends what the driver has made available.
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
            if !chain.writable.is_empty() {
                return Err(QueueError::Unsuitable);
            }
            let bytes = chain.readable_bytes().checked_sub(HEADER_BYTES as u64);
            let frame = bytes.filter(|bytes| FRAME_BYTES.contains(&(*bytes as usize)));
            io.turn.charge(&chain, frame.unwrap_or(0));
            if frame.is_some() {
                io.outputs.push(Output::Frame {
                    device: self.index,
                    frame: chain.read(io.ram, HEADER_BYTES as u64)?,
                });
            } else {
                self.sent_malformed = self.sent_malformed.saturating_add(1);
            }
            queue.give_back(io.ram, chain.head, 0)?;
        }
        queue.ask_notification(io.ram, 0, io.event_index())?;
        queue.publish(io.ram, io.event_index())
    }
}

/// Looks for chains that hold `bytes`: one, or with `merged` buffers several.
fn find_place(
    queue: &Queue,
    io: &mut Io<'_>,
    waiting: u16,
    bytes: usize,
    merged: bool,
) -> Result<Place, QueueError> {
    let mut chains = Vec::new();
    let (mut room, mut descriptors) = (0, 0);
    for ahead in 0..waiting {
        let chain = queue.peek(io.ram, ahead)?;
        if !chain.readable.is_empty() || chain.writable_bytes() < HEADER_BYTES as u64 {
            return Err(QueueError::Unsuitable);
        }
        room += chain.writable_bytes();
        descriptors += chain.descriptors();
        io.turn
            .charge(&chain, chain.writable_bytes().min(bytes as u64));
        chains.push(chain);
        if room >= bytes as u64 {
            return Ok(Place::Chains(chains));
        }
        if !merged || descriptors > FRAME_DESCRIPTORS_MAX {
            return Ok(Place::TooLarge);
        }
    }
    // The driver cannot offer more than the whole queue.
    if waiting == queue.size {
        return Ok(Place::TooLarge);
    }
    Ok(Place::Wait)
}
