//! What enters the machine and what leaves it, as values.

use serde::{Deserialize, Serialize};

use crate::request::Completion;

/// Guest clock ticks per second (`mtime`, the `time` CSR).
pub const TICKS_PER_SECOND: u64 = 10_000_000;

/// A point on the guest clock and its speed from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Guest time, in ticks, at the position where the clock takes effect. A value below the guest's
    /// present time is taken as the present time: the clock never goes back.
    pub time: u64,
    /// Ticks per 2³² positions.
    pub rate: u64,
}

/// Something from outside, or not determined by the guest, that changes the machine at one position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// The guest clock is steered.
    Clock(Clock),
    /// An Ethernet frame (without virtio header) arrives at network device `device`.
    Frame {
        /// Index of the network device, in board order.
        device: u8,
        /// The frame, without a checksum.
        frame: Vec<u8>,
    },
    /// Bytes are typed at the serial console.
    Console(Vec<u8>),
    /// New seed for the generator behind the entropy device.
    Seed([u8; 32]),
    /// The translation caches and the reservation are emptied, so that a replica can start from here.
    Synchronize,
    /// The machine is told to reset.
    Reset,
    /// The machine is switched off.
    PowerOff,
    /// A request has ended.
    Completion(Completion),
}

impl Input {
    /// Bytes that are typed by it.
    pub fn typed_bytes(&self) -> u64 {
        match self {
            Input::Console(bytes) => bytes.len() as u64,
            _ => 0,
        }
    }

    /// Bytes that it carries, of those that can be many.
    pub fn bytes(&self) -> usize {
        match self {
            Input::Frame { frame, .. } => frame.len(),
            Input::Console(bytes) => bytes.len(),
            Input::Completion(completion) => completion.result.len(),
            _ => 0,
        }
    }
}

/// Something that the machine says to the outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// An Ethernet frame (without virtio header) from network device `device`.
    Frame {
        /// Index of the network device, in board order.
        device: u8,
        /// The frame, without a checksum.
        frame: Vec<u8>,
    },
    /// Bytes from the serial console.
    Console(Vec<u8>),
}

impl Output {
    /// Adds console bytes to outputs; adjacent ones become one.
    pub(crate) fn push_console(outputs: &mut Vec<Output>, bytes: &[u8]) {
        match outputs.last_mut() {
            Some(Output::Console(said)) => said.extend_from_slice(bytes),
            _ if bytes.is_empty() => {}
            _ => outputs.push(Output::Console(bytes.to_vec())),
        }
    }

    /// Bytes that it carries.
    pub fn bytes(&self) -> usize {
        match self {
            Output::Frame { frame, .. } => frame.len(),
            Output::Console(bytes) => bytes.len(),
        }
    }
}

/// Why a run ended. None of these is visible to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The asked position was reached.
    Reached,
    /// A network frame was sent, or much console output has gathered, or a request was made: they wait to be taken.
    Output,
    /// The hart waits for an interrupt (WFI) and none is pending; only an input or the clock can wake it.
    Idle,
    /// The guest switched itself off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
}
