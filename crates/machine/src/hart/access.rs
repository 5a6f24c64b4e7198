//! Access to CSRs by number: who may, what is read, what a write leaves, and what it entails.

use isa::CsrAccess;

use super::csr::{self, Csrs, status};
use super::pmp::{self, Pmp};
use super::{Cause, Hart, Mode, Trapped};

/// What must follow a CSR write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects(u8);

impl Effects {
    /// The mode of translation may have changed, or whether S-mode may touch user pages.
    pub const CONTEXT: Effects = Effects(1);
    /// Cached translations for loads are void.
    pub const FLUSH_LOADS: Effects = Effects(2);
    /// All cached translations are void.
    pub const FLUSH: Effects = Effects(4);
    /// Another interrupt may be due.
    pub const INTERRUPTS: Effects = Effects(8);
    /// A timer was set.
    pub const TIMER: Effects = Effects(16);
    /// Whether S-mode may touch user pages has changed, and nothing else of translation.
    pub const USER_PAGES: Effects = Effects(32);

    /// Whether this effect is among them.
    #[inline]
    pub fn has(self, effect: Effects) -> bool {
        self.0 & effect.0 != 0
    }

    #[inline]
    fn and(self, other: Effects) -> Effects {
        Effects(self.0 | other.0)
    }
}

const NONE: Effects = Effects(0);
const SSTATUS: u16 = 0x100;

impl Hart {
    /// One CSR instruction: the old value (of no meaning if it was not to be read), and what must follow.
    /// `time` is what the `time` CSR shows.
    #[inline]
    pub fn access_csr(
        &mut self,
        number: u16,
        access: CsrAccess,
        operand: u64,
        time: u64,
    ) -> Result<(u64, Effects), Trapped> {
        match self.access_often_used(number, access, operand) {
            Some(done) => Ok(done),
            None => self.access_other(number, access, operand, time),
        }
    }

    /// [`Hart::access_csr`] for registers that kernels touch with each system call and lock, and that always
    /// may be read and written from some mode on; `None` for any other, or in a lower mode.
    #[inline]
    pub(crate) fn access_often_used(
        &mut self,
        number: u16,
        access: CsrAccess,
        operand: u64,
    ) -> Option<(u64, Effects)> {
        if number >> 8 & 3 > self.mode as u16 {
            return None;
        }
        if number == SSTATUS {
            let full = self.csr.read_mstatus();
            let old = full & (status::SUPERVISOR | status::UXL | status::SD);
            let changed = (modified(access, old, operand) ^ full) & status::SUPERVISOR;
            self.csr.mstatus ^= changed;
            return Some((old, effects_of(changed, self.csr.mstatus)));
        }
        let (register, writable) = self.storage(number)?;
        let old = *register;
        *register = modified(access, old, operand) & writable;
        Some((old, NONE))
    }

    #[inline(never)]
    pub(crate) fn access_other(
        &mut self,
        number: u16,
        access: CsrAccess,
        operand: u64,
        time: u64,
    ) -> Result<(u64, Effects), Trapped> {
        let writes = access != CsrAccess::Read;
        let read_only = number >> 10 == 3;
        let lowest = number >> 8 & 3;
        if (writes && read_only) || lowest > self.mode as u16 {
            return Err(self.raise(Cause::IllegalInstruction, 0));
        }
        let Some(old) = self.read_csr(number, time) else {
            return Err(self.raise(Cause::IllegalInstruction, 0));
        };
        // A read-modify-write of mip acts on what software wrote, not on the line from outside.
        let base = if number == 0x344 {
            old & !csr::SEIP | self.csr.mip & csr::SEIP
        } else {
            old
        };
        if !writes {
            return Ok((old, NONE));
        }
        Ok((old, self.write_csr(number, modified(access, base, operand))))
    }

    /// A register that does nothing but to keep what was written: with its writable bits.
    #[inline]
    fn storage(&mut self, number: u16) -> Option<(&mut u64, u64)> {
        const ALL: u64 = u64::MAX;
        let csr = &mut self.csr;
        Some(match number {
            0x106 => (&mut csr.scounteren, 0xffff_ffff),
            0x10a => (&mut csr.senvcfg, csr::SENVCFG_WRITABLE),
            0x140 => (&mut csr.sscratch, ALL),
            0x141 => (&mut csr.sepc, !1),
            0x142 => (&mut csr.scause, ALL),
            0x143 => (&mut csr.stval, ALL),
            0x302 => (&mut csr.medeleg, csr::DELEGABLE),
            0x306 => (&mut csr.mcounteren, 0xffff_ffff),
            0x340 => (&mut csr.mscratch, ALL),
            0x341 => (&mut csr.mepc, !1),
            0x342 => (&mut csr.mcause, ALL),
            0x343 => (&mut csr.mtval, ALL),
            _ => return None,
        })
    }

    /// Whether a counter (bit of `mcounteren`) may be read in the present mode.
    fn counter_enabled(&self, number: u16) -> bool {
        let bit = 1 << (number & 31);
        self.mode == Mode::Machine
            || self.csr.mcounteren & bit != 0
                && (self.mode == Mode::Supervisor || self.csr.scounteren & bit != 0)
    }

    fn counter(&self, base: u64, inhibit: u64) -> u64 {
        if self.csr.mcountinhibit & inhibit != 0 {
            base
        } else {
            base.wrapping_add(self.position.0)
        }
    }

    /// What a CSR that is not often used shows; `None` if it does not exist or may not be read at present.
    fn read_csr(&self, number: u16, time: u64) -> Option<u64> {
        let csr = &self.csr;
        let float = csr.mstatus & status::FS != 0;
        Some(match number {
            0x001 if float => csr.fflags,
            0x002 if float => csr.frm,
            0x003 if float => csr.frm << 5 | csr.fflags,

            0x104 => csr.mie & csr.mideleg,
            0x105 => csr.stvec,
            0x144 => self.pending() & csr.mideleg,
            0x14d => {
                let allowed = csr.supervisor_timer() && csr.mcounteren & 2 != 0;
                if self.mode != Mode::Machine && !allowed {
                    return None;
                }
                csr.stimecmp
            }
            0x180 => {
                if self.mode == Mode::Supervisor && csr.mstatus & status::TVM != 0 {
                    return None;
                }
                csr.satp
            }

            0x300 => csr.read_mstatus(),
            0x301 => csr::MISA,
            0x303 => csr.mideleg,
            0x304 => csr.mie,
            0x305 => csr.mtvec,
            0x30a => csr.menvcfg,
            0x320 => csr.mcountinhibit,
            0x323..=0x33f => 0,
            0x344 => self.pending(),
            0x3a0 | 0x3a2 => {
                let first = usize::from(number - 0x3a0) * 4;
                let bytes = csr.pmpcfg[first..].first_chunk();
                u64::from_le_bytes(*bytes.expect("eight entries a register"))
            }
            0x3b0..=0x3bf => csr.pmpaddr[usize::from(number - 0x3b0)],
            // Triggers: none.
            0x7a0..=0x7a4 => 0,
            0xb00 => self.counter(csr.cycle, csr::CYCLE_INHIBIT),
            0xb02 => self.counter(csr.instret, csr::INSTRET_INHIBIT),
            0xb03..=0xb1f => 0,

            0xc00..=0xc1f => {
                if !self.counter_enabled(number) {
                    return None;
                }
                match number {
                    0xc00 => self.counter(csr.cycle, csr::CYCLE_INHIBIT),
                    0xc01 => time,
                    0xc02 => self.counter(csr.instret, csr::INSTRET_INHIBIT),
                    _ => 0,
                }
            }
            // mvendorid, marchid, mimpid, mhartid, mconfigptr
            0xf11..=0xf15 => 0,
            _ => return None,
        })
    }

    /// Writes a CSR that [`Hart::read_csr`] knows; values that it cannot have are made legal.
    fn write_csr(&mut self, number: u16, value: u64) -> Effects {
        let csr = &mut self.csr;
        match number {
            0x001..=0x003 => {
                match number {
                    1 => csr.fflags = value & 31,
                    2 => csr.frm = value & 7,
                    _ => (csr.frm, csr.fflags) = (value >> 5 & 7, value & 31),
                }
                csr.mstatus |= status::FS;
            }
            0x104 => {
                csr.mie = csr.mie & !csr.mideleg | value & csr.mideleg;
                return Effects::INTERRUPTS;
            }
            0x105 => write_vector(&mut csr.stvec, value),
            0x144 => {
                let mask = csr::SSIP & csr.mideleg;
                csr.mip = csr.mip & !mask | value & mask;
                return Effects::INTERRUPTS;
            }
            0x14d => {
                csr.stimecmp = value;
                return Effects::TIMER;
            }
            0x180 => {
                if matches!(value >> 60, 0 | 8 | 9) {
                    let new = value & csr::SATP_WRITABLE;
                    let changed = csr.satp ^ new;
                    csr.satp = new;
                    return effects_of_satp(changed);
                }
            }
            0x300 => return write_mstatus(csr, value),
            0x303 => {
                csr.mideleg = value & csr::SUPERVISOR_INTERRUPTS;
                return Effects::INTERRUPTS;
            }
            0x304 => {
                csr.mie = value & csr::INTERRUPTS;
                return Effects::INTERRUPTS;
            }
            0x305 => write_vector(&mut csr.mtvec, value),
            0x30a => {
                csr.menvcfg = value & csr::MENVCFG_WRITABLE;
                return Effects::TIMER;
            }
            0x320 => self.write_inhibit(value & csr::INHIBIT_WRITABLE),
            0x344 => {
                let timer = if csr.supervisor_timer() { csr::STIP } else { 0 };
                let mask = csr::SUPERVISOR_INTERRUPTS & !timer;
                csr.mip = csr.mip & !mask | value & mask;
                return Effects::INTERRUPTS;
            }
            0x3a0 | 0x3a2 => return self.write_pmpcfg(usize::from(number - 0x3a0) * 4, value),
            0x3b0..=0x3bf => return self.write_pmpaddr(usize::from(number - 0x3b0), value),
            // The next instruction reads what was written: this one is not counted.
            0xb00 => self.csr.cycle = self.uncounted(value, csr::CYCLE_INHIBIT),
            0xb02 => self.csr.instret = self.uncounted(value, csr::INSTRET_INHIBIT),
            // misa, counters that stay 0, triggers: nothing to write.
            _ => {}
        }
        NONE
    }

    fn uncounted(&self, value: u64, inhibit: u64) -> u64 {
        if self.csr.mcountinhibit & inhibit != 0 {
            value
        } else {
            value.wrapping_sub(self.position.0 + 1)
        }
    }

    fn write_inhibit(&mut self, value: u64) {
        let next = self.position.0 + 1;
        let changed = self.csr.mcountinhibit ^ value;
        for (bit, counter) in [
            (csr::CYCLE_INHIBIT, &mut self.csr.cycle),
            (csr::INSTRET_INHIBIT, &mut self.csr.instret),
        ] {
            if changed & bit != 0 {
                *counter = if value & bit != 0 {
                    counter.wrapping_add(next)
                } else {
                    counter.wrapping_sub(next)
                };
            }
        }
        self.csr.mcountinhibit = value;
    }

    fn write_pmpcfg(&mut self, first: usize, value: u64) -> Effects {
        for (byte, entry) in value
            .to_le_bytes()
            .into_iter()
            .zip(&mut self.csr.pmpcfg[first..])
        {
            if *entry & pmp::LOCKED != 0 {
                continue;
            }
            let mut byte = byte & 0x9f;
            if byte & (pmp::READ | pmp::WRITE) == pmp::WRITE {
                byte &= !pmp::WRITE;
            }
            *entry = byte;
        }
        self.pmp = Pmp::new(&self.csr);
        Effects::FLUSH
    }

    /// Opens all of memory to all modes, as firmware does for the system that it starts.
    pub(crate) fn allow_all_memory(&mut self) {
        self.csr.pmpcfg[0] = 0x1f;
        self.csr.pmpaddr[0] = (1 << 54) - 1;
        self.pmp = Pmp::new(&self.csr);
    }

    fn write_pmpaddr(&mut self, index: usize, value: u64) -> Effects {
        let config = &self.csr.pmpcfg;
        let next = config.get(index + 1).copied().unwrap_or(0);
        let end_of_locked = next & pmp::LOCKED != 0 && next & pmp::ADDRESS_MODE == pmp::TOR;
        if config[index] & pmp::LOCKED != 0 || end_of_locked {
            return NONE;
        }
        self.csr.pmpaddr[index] = value & ((1 << 54) - 1);
        self.pmp = Pmp::new(&self.csr);
        Effects::FLUSH
    }
}

fn write_mstatus(csr: &mut Csrs, value: u64) -> Effects {
    let old = csr.mstatus;
    let mut new = value & status::WRITABLE;
    if new & status::MPP == 2 << status::MPP_SHIFT {
        new = new & !status::MPP | old & status::MPP;
    }
    csr.mstatus = new;
    effects_of(old ^ new, new)
}

/// What follows when these bits of `mstatus` change.
#[inline]
fn effects_of(changed: u64, new: u64) -> Effects {
    let mut effects = NONE;
    if changed & new & (status::SIE | status::MIE) != 0 {
        effects = effects.and(Effects::INTERRUPTS);
    }
    if changed & status::SUM != 0 {
        effects = effects.and(Effects::USER_PAGES);
    }
    if changed & (status::MPRV | status::MPP) != 0 {
        effects = effects.and(Effects::CONTEXT);
    }
    if changed & status::MXR != 0 {
        effects = effects.and(Effects::FLUSH_LOADS);
    }
    effects
}

/// What follows when these bits of `satp` change. Who has one address space number for all page tables relies on QEMU, which
/// forgets all translations with each change; who has several, and changes them with the table, does not want it.
fn effects_of_satp(changed: u64) -> Effects {
    let same_space = changed & csr::SATP_SPACE == 0;
    if changed & csr::SATP_MODE != 0 || changed & csr::SATP_TABLE != 0 && same_space {
        return Effects::CONTEXT.and(Effects::FLUSH);
    }
    Effects::CONTEXT
}

/// What a register that shows `old` is to hold.
#[inline]
fn modified(access: CsrAccess, old: u64, operand: u64) -> u64 {
    match access {
        CsrAccess::Read => old,
        CsrAccess::Write | CsrAccess::Swap => operand,
        CsrAccess::Set => old | operand,
        CsrAccess::Clear => old & !operand,
    }
}

/// Vectors other than direct and vectored do not exist: the old value stays.
fn write_vector(vector: &mut u64, value: u64) {
    if value & 2 == 0 {
        *vector = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hart(mode: Mode) -> Hart {
        Hart {
            mode,
            ..Hart::new(0)
        }
    }

    fn write(hart: &mut Hart, number: u16, value: u64) {
        hart.access_csr(number, CsrAccess::Write, value, 0).unwrap();
    }

    fn read(hart: &mut Hart, number: u16) -> Result<u64, Trapped> {
        hart.access_csr(number, CsrAccess::Read, 0, 77)
            .map(|(value, _)| value)
    }

    fn kept(hart: &mut Hart, number: u16, value: u64) -> u64 {
        write(hart, number, value);
        read(hart, number).unwrap()
    }

    #[test]
    fn legal_values() {
        let hart = &mut hart(Mode::Machine);
        assert_eq!(
            kept(hart, 0x300, u64::MAX),
            status::WRITABLE | status::XL | status::SD
        );
        assert_eq!(
            kept(hart, 0x300, 2 << 11) & status::MPP,
            status::MPP,
            "old MPP stays"
        );
        assert_eq!(kept(hart, 0x301, 0), csr::MISA);
        assert_eq!(kept(hart, 0x302, u64::MAX), 0xb3ff);
        assert_eq!(kept(hart, 0x303, u64::MAX), 0x222);
        assert_eq!(kept(hart, 0x304, u64::MAX), 0xaaa);
        assert_eq!(kept(hart, 0x305, 0x1001), 0x1001);
        assert_eq!(kept(hart, 0x305, 0x2002), 0x1001);
        assert_eq!(kept(hart, 0x341, 0x1235), 0x1234);
        assert_eq!(kept(hart, 0x180, 8 << 60 | u64::MAX >> 4) >> 44, 0x801ff);
        assert_eq!(kept(hart, 0x180, 10 << 60) >> 60, 8, "Sv57 does not exist");
        assert_eq!(kept(hart, 0x3a0, 2), 0, "write without read");
        write(hart, 0x300, status::FS);
        assert_eq!(kept(hart, 0x003, 0x1ff), 0xff);
        assert_eq!(kept(hart, 0x7a0, 5), 0);
        for absent in [0x3a1, 0x3c0, 0x747, 0x5a8, 0xc20, 0x30c] {
            assert!(read(hart, absent).is_err(), "{absent:#x}");
        }
        assert!(hart.access_csr(0xc00, CsrAccess::Write, 0, 0).is_err());
    }

    #[test]
    fn counters() {
        let hart = &mut hart(Mode::Machine);
        hart.position = Position(100);
        assert_eq!(read(hart, 0xc00), Ok(100));
        write(hart, 0xb02, 5);
        hart.position = Position(101);
        assert_eq!(read(hart, 0xc02), Ok(5));
        write(hart, 0x320, 4);
        hart.position = Position(110);
        assert_eq!(read(hart, 0xb02), Ok(6));
        write(hart, 0x320, 0);
        hart.position = Position(113);
        assert_eq!(read(hart, 0xb02), Ok(8));
        hart.mode = Mode::User;
        assert!(read(hart, 0xc01).is_err());
        hart.csr.mcounteren = 2;
        assert!(read(hart, 0xc01).is_err());
        hart.csr.scounteren = 2;
        assert_eq!(read(hart, 0xc01), Ok(77));
        assert!(read(hart, 0xc00).is_err());
    }

    #[test]
    fn what_does_not_retire_is_not_counted() {
        let hart = &mut hart(Mode::Machine);
        write(hart, 0xb02, u64::MAX);
        hart.position = Position(3);
        hart.csr.note_not_retired();
        assert_eq!(read(hart, 0xc02), Ok(0), "of three attempts, one trapped");
        write(hart, 0x320, 4);
        hart.csr.note_not_retired();
        assert_eq!(read(hart, 0xc02), Ok(1), "it stands still");
        assert_eq!(read(hart, 0xc00), Ok(3), "cycles are attempts");
    }

    #[test]
    fn which_changes_of_the_page_table_flush() {
        let hart = &mut hart(Mode::Machine);
        let mut flushes = |mode: u64, space: u64, table: u64| {
            let value = mode << 60 | space << 44 | table;
            let (_, effects) = hart.access_csr(0x180, CsrAccess::Write, value, 0).unwrap();
            effects.has(Effects::FLUSH)
        };
        assert!(flushes(8, 0, 5), "another mode");
        assert!(!flushes(8, 0, 5) && flushes(8, 0, 6), "the same space");
        assert!(!flushes(8, 1, 7) && !flushes(8, 2, 8), "each its own");
        assert!(flushes(9, 2, 8) && flushes(0, 0, 0));
    }

    #[test]
    fn supervisor_status() {
        let hart = &mut hart(Mode::Supervisor);
        hart.csr.mstatus = status::MPP | status::MPIE;
        let mut access = |access, operand| hart.access_csr(SSTATUS, access, operand, 0).unwrap();
        assert_eq!(
            access(CsrAccess::Set, !status::SIE),
            (status::UXL, Effects::USER_PAGES.and(Effects::FLUSH_LOADS))
        );
        let all = status::SUPERVISOR | status::UXL | status::SD;
        assert_eq!(
            access(CsrAccess::Set, status::SIE),
            (all & !status::SIE, Effects::INTERRUPTS)
        );
        assert_eq!(access(CsrAccess::Clear, status::SIE), (all, NONE));
        assert_eq!(
            access(CsrAccess::Swap, status::SUM | status::MPP).1,
            Effects::FLUSH_LOADS
        );
        assert_eq!(
            access(CsrAccess::Read, 0),
            (status::SUM | status::UXL, NONE)
        );
        assert_eq!(access(CsrAccess::Write, 0).1, Effects::USER_PAGES);
        assert_eq!(hart.csr.mstatus, status::MPP | status::MPIE);
        hart.mode = Mode::User;
        assert!(read(hart, SSTATUS).is_err() && read(hart, 0x140).is_err());
    }

    #[test]
    fn views() {
        let hart = &mut hart(Mode::Machine);
        write(hart, 0x303, 0x200);
        write(hart, 0x104, u64::MAX);
        assert_eq!(read(hart, 0x304), Ok(0x200), "only what is delegated");
        hart.lines = csr::SEIP;
        assert_eq!(read(hart, 0x144), Ok(0x200));
        hart.access_csr(0x344, CsrAccess::Set, 2, 0).unwrap();
        hart.lines = 0;
        assert_eq!(read(hart, 0x344), Ok(2), "the line was not written back");
        hart.mode = Mode::Supervisor;
        assert!(read(hart, 0x300).is_err());
        assert!(read(hart, 0x14d).is_err());
        hart.csr.menvcfg = csr::STCE;
        hart.csr.mcounteren = 2;
        assert_eq!(read(hart, 0x14d), Ok(0));
        hart.csr.mstatus |= status::TVM;
        assert!(read(hart, 0x180).is_err());
        assert!(read(hart, 0x001).is_err(), "the float unit is off");
    }

    #[test]
    fn locked_protection() {
        let hart = &mut hart(Mode::Machine);
        write(hart, 0x3b0, 16);
        write(hart, 0x3b1, 32);
        write(hart, 0x3a0, 0x8900);
        assert_eq!(kept(hart, 0x3b0, 1), 16, "the start of a locked range");
        assert_eq!(kept(hart, 0x3b1, 1), 32);
        assert_eq!(kept(hart, 0x3a0, 0), 0x8900);
    }

    use crate::Position;
}
