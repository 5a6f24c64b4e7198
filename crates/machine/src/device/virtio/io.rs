//! What a virtio device works with while it serves a queue.

use super::turn::Turn;
use crate::Output;
use crate::ram::Ram;

/// Feature bits of every device (section 6).
pub(super) mod feature {
    pub(in super::super) const INDIRECT_DESC: u64 = 1 << 28;
    pub(in super::super) const EVENT_IDX: u64 = 1 << 29;
    pub(in super::super) const VERSION_1: u64 = 1 << 32;
}

/// What is around a device.
pub struct Surroundings<'a> {
    /// Guest memory.
    pub ram: &'a mut Ram,
    /// Where it speaks.
    pub outputs: &'a mut Vec<Output>,
    /// What it costs is added here, in units of [`crate::Cpu::charge`].
    pub cost: &'a mut u64,
    /// The guest clock.
    pub now: u64,
}

/// What a device works with while it serves a queue.
pub(super) struct Io<'a> {
    pub(super) ram: &'a mut Ram,
    pub(super) outputs: &'a mut Vec<Output>,
    /// What the driver accepted.
    pub(super) features: u64,
    pub(super) turn: Turn,
}

impl Io<'_> {
    pub(super) fn event_index(&self) -> bool {
        self.features & feature::EVENT_IDX != 0
    }
}
