//! Where guest registers live while translated code runs.

use isa::Precision;

use super::asm::{Asm, B64, Mem, R8, R9, R10, R11, R12, R13, RBX, RDI, RSI, Reg, Xmm};
use super::layout;

/// The registers that compiled code uses most, and where they live between blocks.
pub(super) const PINNED: [(u8, Reg); 9] = [
    (2, RBX),  // sp
    (8, R12),  // s0
    (9, R13),  // s1
    (10, R8),  // a0
    (11, R9),  // a1
    (12, R10), // a2
    (13, R11), // a3
    (14, RSI), // a4
    (15, RDI), // a5
];

/// The float registers that compiled code uses most, in host registers from XMM3 on: fa0 to fa5, ft0 to ft4, fs0 and
/// fs1. These are copies: memory has the same values.
const PINNED_FLOATS: [u8; 13] = [10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 8, 9];
const FIRST_PINNED: u8 = 3;

/// The host register of a guest float register.
pub(super) fn float_host(guest: u8) -> Option<Xmm> {
    let index = PINNED_FLOATS.iter().position(|pinned| *pinned == guest)?;
    Some(Xmm(FIRST_PINNED + index as u8))
}

/// Which guest registers are in host registers. The others are in memory.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Map {
    regs: [Option<Reg>; 32],
}

impl Default for Map {
    /// The map that holds between blocks.
    fn default() -> Map {
        Map::new(PINNED)
    }
}

/// The place in memory of a guest register: always, though its value may be elsewhere.
pub(super) fn home(guest: u8) -> Mem {
    layout::field(layout::X + 8 * i32::from(guest))
}

/// The place in memory of a guest float register.
pub(super) fn float_home(guest: u8) -> Mem {
    layout::field(layout::F + 8 * i32::from(guest))
}

impl Map {
    pub(super) fn new(pairs: impl IntoIterator<Item = (u8, Reg)>) -> Map {
        let mut map = Map { regs: [None; 32] };
        for (guest, host) in pairs {
            map.set(guest, host);
        }
        map
    }

    pub(super) fn set(&mut self, guest: u8, host: Reg) {
        self.regs[usize::from(guest)] = Some(host);
    }

    /// The host register of a guest register.
    pub(super) fn host(&self, guest: u8) -> Option<Reg> {
        self.regs[usize::from(guest & 31)]
    }

    fn pairs(&self) -> impl Iterator<Item = (u8, Reg)> {
        let hosted = |(guest, host): (u8, Option<Reg>)| host.map(|host| (guest, host));
        (0..).zip(self.regs).filter_map(hosted)
    }

    /// Copies all host registers to their homes.
    pub(super) fn save(&self, asm: &mut Asm) {
        for (guest, host) in self.pairs() {
            asm.store(home(guest), host);
        }
    }

    /// Copies homes to host registers.
    pub(super) fn reload(&self, asm: &mut Asm) {
        for (guest, host) in self.pairs() {
            asm.mov(B64, host, home(guest));
        }
        for (guest, host) in PINNED_FLOATS.into_iter().zip(FIRST_PINNED..) {
            asm.load_scalar(Precision::Double, Xmm(host), float_home(guest));
        }
    }
}
