//! Where guest registers are while translated code runs: between blocks, and in slots.

use isa::Precision;

use super::asm::{Asm, B64, Mem, R8, R9, R10, R11, R12, R13, RBX, RDI, RSI, Reg, Xmm};
use super::layout;
use crate::plan::SLOTS;

/// The registers that compiled code uses most.
pub(super) const PINNED: [u8; SLOTS] = [
    2,  // sp
    8,  // s0
    9,  // s1
    10, // a0
    11, // a1
    12, // a2
    13, // a3
    14, // a4
    15, // a5
];

/// The host registers that are slots. Between blocks, they hold [`PINNED`].
const SLOT: [Reg; SLOTS] = [RBX, R12, R13, R8, R9, R10, R11, RSI, RDI];

/// A slot.
pub(super) fn slot(number: u8) -> Reg {
    SLOT[usize::from(number)]
}

/// The float registers that compiled code uses most, in host registers from XMM3 on: fa0 to fa5, ft0 to ft4, fs0 and
/// fs1. These are copies: memory has the same values.
const PINNED_FLOATS: [u8; 13] = [10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 8, 9];
const FIRST_PINNED: u8 = 3;

/// The host register of a guest float register.
pub(super) fn float_host(guest: u8) -> Option<Xmm> {
    let index = PINNED_FLOATS.iter().position(|pinned| *pinned == guest)?;
    Some(Xmm(FIRST_PINNED + index as u8))
}

/// The place in memory of a guest register: always, though its value may be elsewhere.
pub(super) fn home(guest: u8) -> Mem {
    layout::field(layout::X + 8 * i32::from(guest))
}

/// The place in memory of a guest float register.
pub(super) fn float_home(guest: u8) -> Mem {
    layout::field(layout::F + 8 * i32::from(guest))
}

/// Copies all slots to the homes of what they hold between blocks.
pub(super) fn save(asm: &mut Asm) {
    for (guest, host) in PINNED.into_iter().zip(SLOT) {
        asm.store(home(guest), host);
    }
}

/// Copies homes to host registers.
pub(super) fn reload(asm: &mut Asm) {
    for (guest, host) in PINNED.into_iter().zip(SLOT) {
        asm.mov(B64, host, home(guest));
    }
    for (guest, host) in PINNED_FLOATS.into_iter().zip(FIRST_PINNED..) {
        asm.load_scalar(Precision::Double, Xmm(host), float_home(guest));
    }
}
