//! Access to CSRs by number: who may, and how they are changed.

use isa::CsrAccess;
use isa::csr::{MIP, SSTATUS};

use super::csr::{self, status};
use super::effects::{Effects, effects_of_status};
use super::{Cause, Hart, Trapped, registers};

impl Hart {
    /// One CSR instruction: the old value (of no meaning if it was not to be read), and what must follow.
    /// `time` is what the `time` CSR shows.
    ///
    /// # Errors
    /// The register does not exist, or may not be accessed in this way in the present mode: the instruction is illegal.
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
        if isa::csr::lowest_mode(number) > self.mode as u8 {
            return None;
        }
        if number == SSTATUS {
            let full = self.csr.read_mstatus();
            let old = full & (status::SUPERVISOR | status::UXL | status::SD);
            let changed = (modified(access, old, operand) ^ full) & status::SUPERVISOR;
            self.csr.mstatus ^= changed;
            return Some((old, effects_of_status(changed, self.csr.mstatus)));
        }
        let (register, writable) = self.storage(number)?;
        let old = *register;
        *register = modified(access, old, operand) & writable;
        Some((old, Effects::NONE))
    }

    /// [`Hart::access_csr`] for registers that have a row of their own.
    ///
    /// # Errors
    /// As [`Hart::access_csr`].
    #[inline(never)]
    pub(crate) fn access_other(
        &mut self,
        number: u16,
        access: CsrAccess,
        operand: u64,
        time: u64,
    ) -> Result<(u64, Effects), Trapped> {
        let writes = access != CsrAccess::Read;
        if writes && isa::csr::is_read_only(number)
            || isa::csr::lowest_mode(number) > self.mode as u8
        {
            return Err(self.raise(Cause::IllegalInstruction, 0));
        }
        let Some((register, old)) = registers::find(number)
            .and_then(|register| Some((register, (register.read)(self, number, time)?)))
        else {
            return Err(self.raise(Cause::IllegalInstruction, 0));
        };
        // A read-modify-write of mip acts on what software wrote, not on the line from outside.
        let base = if number == MIP {
            old & !csr::SEIP | self.csr.mip & csr::SEIP
        } else {
            old
        };
        if !writes {
            return Ok((old, Effects::NONE));
        }
        let value = modified(access, base, operand) & register.writable;
        Ok((old, (register.write)(self, number, value)))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use isa::csr as number;

    use crate::hart::Mode;

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
            kept(hart, number::MSTATUS, u64::MAX),
            status::WRITABLE | status::XL | status::SD
        );
        assert_eq!(
            kept(hart, number::MSTATUS, 2 << 11) & status::MPP,
            status::MPP,
            "old MPP stays"
        );
        assert_eq!(kept(hart, number::MISA, 0), csr::MISA);
        assert_eq!(kept(hart, number::MEDELEG, u64::MAX), 0xb3ff);
        assert_eq!(kept(hart, number::MIDELEG, u64::MAX), 0x222);
        assert_eq!(kept(hart, number::MIE, u64::MAX), 0xaaa);
        assert_eq!(kept(hart, number::MTVEC, 0x1001), 0x1001);
        assert_eq!(kept(hart, number::MTVEC, 0x2002), 0x1001);
        assert_eq!(kept(hart, number::MEPC, 0x1235), 0x1234);
        assert_eq!(
            kept(hart, number::SATP, 8 << 60 | u64::MAX >> 4) >> 44,
            0x801ff
        );
        assert_eq!(
            kept(hart, number::SATP, 10 << 60) >> 60,
            8,
            "Sv57 does not exist"
        );
        assert_eq!(kept(hart, number::PMPCFG0, 2), 0, "write without read");
        write(hart, number::MSTATUS, status::FS);
        assert_eq!(kept(hart, number::FCSR, 0x1ff), 0xff);
        assert_eq!(kept(hart, number::TSELECT, 5), 0);
        for absent in [0x3a1, 0x3c0, 0x747, 0x5a8, 0xc20, 0x30c] {
            assert!(read(hart, absent).is_err(), "{absent:#x}");
        }
        assert!(
            hart.access_csr(number::CYCLE, CsrAccess::Write, 0, 0)
                .is_err()
        );
    }

    #[test]
    fn counters() {
        let hart = &mut hart(Mode::Machine);
        hart.position = Position(100);
        assert_eq!(read(hart, number::CYCLE), Ok(100));
        write(hart, number::MINSTRET, 5);
        hart.position = Position(101);
        assert_eq!(read(hart, number::INSTRET), Ok(5));
        write(hart, number::MCOUNTINHIBIT, 4);
        hart.position = Position(110);
        assert_eq!(read(hart, number::MINSTRET), Ok(6));
        write(hart, number::MCOUNTINHIBIT, 0);
        hart.position = Position(113);
        assert_eq!(read(hart, number::MINSTRET), Ok(8));
        hart.mode = Mode::User;
        assert!(read(hart, number::TIME).is_err());
        hart.csr.mcounteren = 2;
        assert!(read(hart, number::TIME).is_err());
        hart.csr.scounteren = 2;
        assert_eq!(read(hart, number::TIME), Ok(77));
        assert!(read(hart, number::CYCLE).is_err());
    }

    #[test]
    fn what_does_not_retire_is_not_counted() {
        let hart = &mut hart(Mode::Machine);
        write(hart, number::MINSTRET, u64::MAX);
        hart.position = Position(3);
        hart.csr.note_not_retired();
        assert_eq!(
            read(hart, number::INSTRET),
            Ok(0),
            "of three attempts, one trapped"
        );
        write(hart, number::MCOUNTINHIBIT, 4);
        hart.csr.note_not_retired();
        assert_eq!(read(hart, number::INSTRET), Ok(1), "it stands still");
        assert_eq!(read(hart, number::CYCLE), Ok(3), "cycles are attempts");
    }

    #[test]
    fn which_changes_of_the_page_table_flush() {
        let hart = &mut hart(Mode::Machine);
        let mut flushes = |mode: u64, space: u64, table: u64| {
            let value = mode << 60 | space << 44 | table;
            let (_, effects) = hart
                .access_csr(number::SATP, CsrAccess::Write, value, 0)
                .unwrap();
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
        assert_eq!(access(CsrAccess::Clear, status::SIE), (all, Effects::NONE));
        assert_eq!(
            access(CsrAccess::Swap, status::SUM | status::MPP).1,
            Effects::FLUSH_LOADS
        );
        assert_eq!(
            access(CsrAccess::Read, 0),
            (status::SUM | status::UXL, Effects::NONE)
        );
        assert_eq!(access(CsrAccess::Write, 0).1, Effects::USER_PAGES);
        assert_eq!(hart.csr.mstatus, status::MPP | status::MPIE);
        hart.mode = Mode::User;
        assert!(read(hart, SSTATUS).is_err() && read(hart, number::SSCRATCH).is_err());
    }

    #[test]
    fn views() {
        let hart = &mut hart(Mode::Machine);
        write(hart, number::MIDELEG, 0x200);
        write(hart, number::SIE, u64::MAX);
        assert_eq!(read(hart, number::MIE), Ok(0x200), "only what is delegated");
        hart.lines = csr::SEIP;
        assert_eq!(read(hart, number::SIP), Ok(0x200));
        hart.access_csr(MIP, CsrAccess::Set, 2, 0).unwrap();
        hart.lines = 0;
        assert_eq!(read(hart, MIP), Ok(2), "the line was not written back");
        hart.mode = Mode::Supervisor;
        assert!(read(hart, number::MSTATUS).is_err());
        assert!(read(hart, number::STIMECMP).is_err());
        hart.csr.menvcfg = csr::STCE;
        hart.csr.mcounteren = 2;
        assert_eq!(read(hart, number::STIMECMP), Ok(0));
        hart.csr.mstatus |= status::TVM;
        assert!(read(hart, number::SATP).is_err());
        assert!(read(hart, number::FFLAGS).is_err(), "the float unit is off");
    }

    #[test]
    fn locked_protection() {
        let hart = &mut hart(Mode::Machine);
        write(hart, number::PMPADDR0, 16);
        write(hart, number::PMPADDR0 + 1, 32);
        write(hart, number::PMPCFG0, 0x8900);
        assert_eq!(
            kept(hart, number::PMPADDR0, 1),
            16,
            "the start of a locked range"
        );
        assert_eq!(kept(hart, number::PMPADDR0 + 1, 1), 32);
        assert_eq!(kept(hart, number::PMPCFG0, 0), 0x8900);
    }

    use crate::Position;
}
