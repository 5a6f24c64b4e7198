//! Float exceptions: while translated code runs, those that its arithmetic raises are sticky bits of the host's MXCSR
//! and not yet in `fflags`. That arithmetic only runs while `mstatus.FS` is dirty, so nothing but `fflags` is late.
//!
//! Whatever leaves translated code, or reads or writes `fflags` from a helper, calls [`harvest`] first. Helpers may
//! raise exceptions of the host of their own, which must not be taken for the guest's: those that execute float
//! instructions call [`discard`] at the end.
#![allow(unsafe_code)]

use std::arch::asm;

use machine::Cpu;

/// MXCSR as every Rust program has it, without exceptions: all masked, to nearest, with subnormal numbers.
const DEFAULT: u32 = 0x1f80;
/// The sticky bits, without that of a subnormal operand, which the guest does not have.
const STICKY: u32 = 0x3d;

fn read() -> u32 {
    let mut mxcsr = 0_u32;
    // SAFETY: stores 4 bytes to where the pointer points, which is a variable of our own.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack)) };
    mxcsr
}

/// Forgets the exceptions that the host has seen.
#[inline]
pub(super) fn discard() {
    if read() != DEFAULT {
        let mxcsr = DEFAULT;
        // SAFETY: the control bits are as Rust wants them; exceptions that Rust's own arithmetic raised are of no
        // meaning to it.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack)) };
    }
}

/// Adds the exceptions that the host has seen since [`discard`] to `fflags`.
#[inline]
pub(super) fn harvest(cpu: &mut Cpu) {
    let seen = read() & STICKY;
    if seen != 0 {
        cpu.hart.csr.fflags |= u64::from(to_guest(seen));
        discard();
    }
}

/// From the order invalid, (subnormal,) division by zero, overflow, underflow, inexact to its reverse.
fn to_guest(sticky: u32) -> u32 {
    let at = |bit: u32| sticky >> bit & 1;
    at(0) << 4 | at(2) << 3 | at(3) << 2 | at(4) << 1 | at(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags() {
        use isa::float::Flags;
        let guest = |bit: u32| Flags::from_bits(to_guest(1 << bit) as u8);
        assert_eq!(guest(0), Flags::NV);
        assert_eq!(guest(2), Flags::DZ);
        assert_eq!(guest(3), Flags::OF);
        assert_eq!(guest(4), Flags::UF);
        assert_eq!(guest(5), Flags::NX);
        assert_eq!(to_guest(STICKY), 31);
    }

    #[test]
    fn sticky() {
        discard();
        assert_eq!(read(), DEFAULT);
        assert!(std::hint::black_box(1.0) / std::hint::black_box(3.0) < 0.5);
        assert_eq!(read(), DEFAULT | 1 << 5);
        discard();
        assert_eq!(read(), DEFAULT);
    }
}
