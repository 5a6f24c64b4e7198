//! The memory map: which device answers at which address.

use isa::Width;

use crate::GuestAddr;
use crate::config::VIRTIO_SLOTS;
use crate::device::requester;
use crate::ram::AccessFault;

pub(crate) const ROM_BASE: u64 = 0x1000;
/// Largest boot ROM, in bytes.
pub(crate) const ROM_BYTES_MAX: usize = 0xf000;

/// Start address, size and device: the memory map. Sizes are those that answer on QEMU's board.
const MAP: [(u64, u64, Window); 7] = [
    (ROM_BASE, ROM_BYTES_MAX as u64, Window::Rom),
    (0x10_0000, 0x1000, Window::Test),
    (0x10_1000, 0x24, Window::Rtc),
    (0x10_2000, requester::BYTES, Window::Requester),
    (0x200_0000, 0xc000, Window::Clint),
    (0xc00_0000, 0x60_0000, Window::Plic),
    (0x1000_0000, 8, Window::Uart),
];
const VIRTIO_BASE: u64 = 0x1000_1000;
const VIRTIO_STRIDE: u64 = 0x1000;
const VIRTIO_BYTES: u64 = 0x200;

#[derive(Clone, Copy)]
pub(super) enum Window {
    Rom,
    Test,
    Rtc,
    Requester,
    Clint,
    Plic,
    Uart,
    Virtio(usize),
}

/// The device at `addr` and the offset in it, if all of the access falls into it, and is aligned where that matters.
pub(super) fn decode(addr: GuestAddr, width: Width) -> Result<(Window, u64), AccessFault> {
    let GuestAddr(addr) = addr;
    let (base, size, window) = match addr.checked_sub(VIRTIO_BASE) {
        Some(offset) if offset < VIRTIO_STRIDE * VIRTIO_SLOTS as u64 => {
            let slot = offset / VIRTIO_STRIDE;
            let base = VIRTIO_BASE + slot * VIRTIO_STRIDE;
            (base, VIRTIO_BYTES, Window::Virtio(slot as usize))
        }
        _ => *(MAP.iter())
            .find(|(base, size, _)| (*base..base + size).contains(&addr))
            .ok_or(AccessFault)?,
    };
    let offset = addr - base;
    let aligned = addr.is_multiple_of(width.bytes()) || matches!(window, Window::Rom);
    if aligned && offset + width.bytes() <= size {
        Ok((window, offset))
    } else {
        Err(AccessFault)
    }
}
