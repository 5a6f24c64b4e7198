//! Where translated code finds the state of the machine: RBP is in the middle of the integer registers, R14 at the
//! start of the fast translations.

use std::mem::offset_of;

use machine::Cpu;
use machine::mmu::{ENTRIES, FAST_FETCHES, FAST_LOADS, FAST_STORES, Fast};

use super::asm::{Mem, RBP, at};

/// What RBP points to, from the start of the cpu: a displacement of one byte reaches all registers.
pub(super) const ORIGIN: usize = offset_of!(Cpu, hart.x) + 128;

/// The integer registers, from the start of the cpu; the float registers.
pub(super) const X: i32 = offset_of!(Cpu, hart.x) as i32;
pub(super) const F: i32 = offset_of!(Cpu, hart.f) as i32;

/// A field of the cpu.
pub(super) const fn field(offset: i32) -> Mem {
    at(RBP, offset - ORIGIN as i32)
}

/// The cpu itself.
pub(super) const CPU: Mem = field(0);
/// In translated code: the virtual address of the present page of code.
pub(super) const PC: Mem = field(offset_of!(Cpu, hart.pc) as i32);
/// In translated code: the position that must not be passed. R15 says how many are left.
pub(super) const POSITION: Mem = field(offset_of!(Cpu, hart.position) as i32);
pub(super) const MSTATUS: Mem = field(offset_of!(Cpu, hart.csr.mstatus) as i32);
pub(super) const FRM: Mem = field(offset_of!(Cpu, hart.csr.frm) as i32);
pub(super) const FETCH_CONTEXT: Mem = field(offset_of!(Cpu, tlb.fetch_context) as i32);
pub(super) const DATA_CONTEXT: Mem = field(offset_of!(Cpu, tlb.data_context) as i32);

pub(super) const MODE: Mem = field(offset_of!(Cpu, hart.mode) as i32);
pub(super) const RESERVATION: Mem = field(offset_of!(Cpu, hart.reservation) as i32);
pub(super) const LINES: Mem = field(offset_of!(Cpu, hart.lines) as i32);
pub(super) const TIMER_DUE: Mem = field(offset_of!(Cpu, hart.timer_due) as i32);
pub(super) const MIP: Mem = field(offset_of!(Cpu, hart.csr.mip) as i32);
pub(super) const SSCRATCH: Mem = field(offset_of!(Cpu, hart.csr.sscratch) as i32);
pub(super) const SEPC: Mem = field(offset_of!(Cpu, hart.csr.sepc) as i32);
pub(super) const SCAUSE: Mem = field(offset_of!(Cpu, hart.csr.scause) as i32);
pub(super) const STVAL: Mem = field(offset_of!(Cpu, hart.csr.stval) as i32);

const ENTRY: usize = size_of::<Fast>();
const TAG: usize = offset_of!(Fast, tag);
const ADDEND: usize = offset_of!(Fast, addend);

/// An address shifted right by this, and masked, is the distance of its entry from the start of its part.
pub(super) const INDEX_SHIFT: u8 = 12 - ENTRY.trailing_zeros() as u8;
pub(super) const INDEX_MASK: i32 = ((ENTRIES - 1) * ENTRY) as i32;
pub(super) const LOAD_TAG: i32 = (FAST_LOADS * ENTRY + TAG) as i32;
pub(super) const LOAD_ADDEND: i32 = (FAST_LOADS * ENTRY + ADDEND) as i32;
pub(super) const STORE_TAG: i32 = (FAST_STORES * ENTRY + TAG) as i32;
pub(super) const STORE_ADDEND: i32 = (FAST_STORES * ENTRY + ADDEND) as i32;
pub(super) const FETCH_TAG: i32 = (FAST_FETCHES * ENTRY + TAG) as i32;
pub(super) const FETCH_ADDEND: i32 = (FAST_FETCHES * ENTRY + ADDEND) as i32;
const _: () =
    assert!(ENTRY.is_power_of_two() && ENTRIES.is_power_of_two() && ENTRIES * 4096 <= 1 << 32);
