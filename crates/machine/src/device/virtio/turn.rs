//! Turns: how much a device does for a queue at once. The hart stands still meanwhile, so that a driver, however much it
//! asks for, gets a part now and the rest in later turns of the guest clock.

use super::queue::Chain;

/// Bytes that are moved before a turn ends; the chain that goes beyond is finished.
pub const TURN_BYTES_MAX: u64 = 1 << 20;
/// Descriptors that are read before a turn ends; the chain that goes beyond is finished.
pub(crate) const TURN_DESCRIPTORS_MAX: u64 = 16 << 10;
/// Guest clock ticks from a turn that left a rest to the next: 100 µs, or 10 GB/s.
pub(crate) const TURN_PAUSE_TICKS: u64 = 1_000;

/// What one turn has done.
#[derive(Debug, Default)]
pub(super) struct Turn {
    bytes: u64,
    descriptors: u64,
    left_rest: bool,
}

impl Turn {
    /// A chain was read, and so many bytes will be moved for it.
    pub(super) fn charge(&mut self, chain: &Chain, bytes: u64) {
        self.descriptors += chain.descriptors();
        self.bytes += bytes;
    }

    /// Whether what the caller has left to do must wait for the next turn.
    pub(super) fn is_over(&mut self) -> bool {
        self.left_rest |= self.bytes >= TURN_BYTES_MAX || self.descriptors >= TURN_DESCRIPTORS_MAX;
        self.left_rest
    }

    /// What it cost, in units of [`crate::Cpu::charge`].
    pub(super) fn cost(&self) -> u64 {
        self.bytes / 4 + self.descriptors * 8
    }

    /// Whether something was left to do.
    pub(super) fn left_rest(&self) -> bool {
        self.left_rest
    }
}
