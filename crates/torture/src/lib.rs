//! Those who mean harm: guests, instructions, and bytes that claim to be a machine. Each takes any bytes as the description of its
//! deeds, and panics where a promise of this crate is broken. Tests run them on random bytes, `cargo xtask fuzz` on
//! bytes that lead them further.
#![forbid(unsafe_code)]

mod assembler;
pub mod boot;
pub mod bus;
pub mod floats;
pub mod generate;
pub mod guest;
pub mod htif;
pub mod hurt;
pub mod kernel;
pub mod lockstep;
mod program;
pub mod snapshot;
pub mod trial;

use machine::config::{BoardConfig, MEMORY_BYTES_MIN, NetConfig};
use machine::device::virtio::net::{BACKLOG_BYTES_MAX, FRAME_BYTES};
use machine::device::virtio::turn::TURN_BYTES_MAX;

/// Most bytes that the devices of [`board`] keep, beside memory: what has arrived and nobody took.
pub const DEVICES_BYTES_MAX: usize = BACKLOG_BYTES_MAX + (256 << 10);
/// Most bytes that one access to a device of [`board`] makes it say: what each of two queues says in a turn, with its
/// last chain.
pub const OUTPUT_BYTES_MAX: usize = 2 * (TURN_BYTES_MAX as usize + *FRAME_BYTES.end());

/// The board that they have.
pub fn board() -> BoardConfig {
    BoardConfig {
        memory_bytes: MEMORY_BYTES_MIN,
        net: vec![NetConfig {
            mac: [0x52, 0x54, 0, 0, 0, 1],
        }],
        entropy: true,
        console: true,
    }
}

/// The bytes that are left; zeros follow the last.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn word(&mut self) -> u32 {
        u32::from(self.half()) | u32::from(self.half()) << 16
    }
}
