//! Virtio devices behind the MMIO transport.

use serde::{Deserialize, Serialize};

use super::BadState;
use crate::Output;
use crate::board::Board;
use crate::bus::Width;
use crate::ram::Ram;

/// Number of virtio slots on the board.
pub const SLOTS: usize = 8;

/// Sizes that an Ethernet frame may have.
pub const FRAME_BYTES: std::ops::RangeInclusive<usize> = 14..=65550;

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Virtio {}

/// The slots of a board out of reset.
pub fn slots(_board: &Board) -> Vec<Virtio> {
    vec![Virtio {}; SLOTS]
}

/// Says whether this state can have come from that board.
pub fn check(_board: &Board, slots: &[Virtio]) -> Result<(), BadState> {
    if slots.len() == SLOTS {
        return Ok(());
    }
    Err(BadState {
        device: "the virtio slots",
        what: "wrong number of slots",
    })
}

/// Adds console bytes to the outputs.
pub fn push_console(outputs: &mut Vec<Output>, bytes: &[u8]) {
    match outputs.last_mut() {
        Some(Output::Console(said)) => said.extend_from_slice(bytes),
        _ if bytes.is_empty() => {}
        _ => outputs.push(Output::Console(bytes.to_vec())),
    }
}

impl Virtio {
    /// Which network device this is.
    pub fn net_index(&self) -> Option<u8> {
        None
    }

    /// Level of the interrupt line.
    pub fn line(&self) -> bool {
        false
    }

    /// Reads a register.
    pub fn load(&mut self, offset: u64, _width: Width) -> u64 {
        match offset {
            0 => 0x7472_6976,
            4 => 2,
            _ => 0,
        }
    }

    /// Writes a register.
    pub fn store(&mut self, _: u64, _: Width, _: u64, _: &mut Ram, _: &mut Vec<Output>) {}

    /// A frame arrives.
    pub fn receive_frame(&mut self, _frame: &[u8], _ram: &mut Ram) {}

    /// Typed bytes arrive; says whether they were taken.
    pub fn receive_console(&mut self, _bytes: &[u8], _ram: &mut Ram) -> bool {
        false
    }

    /// New seed for an entropy device.
    pub fn seed(&mut self, _seed: &[u8; 32]) {}
}
