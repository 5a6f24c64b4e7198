//! Traps: entry, return, and which interrupt comes first (manual, volume II, "Machine-Level ISA").

use super::csr::{self, status};
use super::{Cause, Exception, Hart, Mode, NO_RESERVATION, Trapped};

const INTERRUPT: u64 = 1 << 63;
/// Interrupts by falling priority.
const PRIORITY: [u64; 6] = [
    csr::MEIP,
    csr::MSIP,
    csr::MTIP,
    csr::SEIP,
    csr::SSIP,
    csr::STIP,
];

impl Hart {
    /// The interrupt that must be taken before the next instruction, as a bit of `mip`.
    #[inline]
    pub(crate) fn due_interrupt(&self) -> Option<u64> {
        let pending = self.pending() & self.csr.mie;
        if pending == 0 {
            return None;
        }
        self.first_due(pending)
    }

    fn first_due(&self, pending: u64) -> Option<u64> {
        let enabled = |bit| self.csr.mstatus & bit != 0;
        let machine = pending & !self.csr.mideleg;
        let supervisor = pending & self.csr.mideleg;
        let due = if machine != 0 && (self.mode < Mode::Machine || enabled(status::MIE)) {
            machine
        } else if supervisor != 0
            && (self.mode < Mode::Supervisor
                || self.mode == Mode::Supervisor && enabled(status::SIE))
        {
            supervisor
        } else {
            return None;
        };
        PRIORITY.into_iter().find(|bit| due & bit != 0)
    }

    /// Enters the handler of an interrupt.
    pub(crate) fn take_interrupt(&mut self, bit: u64) {
        let number = u64::from(bit.trailing_zeros());
        let delegated = self.csr.mideleg & bit != 0;
        self.enter_trap(INTERRUPT | number, 0, delegated);
    }

    /// Enters the handler of the exception that ended the present instruction.
    pub fn take_exception(&mut self) {
        let Exception { cause, value } = self.exception;
        let number = cause as u64;
        let delegated = self.csr.medeleg >> number & 1 != 0;
        self.enter_trap(number, value, delegated);
    }

    /// A trap taken in M-mode is never delegated. The reservation is given up.
    fn enter_trap(&mut self, cause: u64, value: u64, delegated: bool) {
        let offset = |vector: u64| {
            let vectored = vector & 1 != 0 && cause & INTERRUPT != 0;
            if vectored {
                (cause & !INTERRUPT) * 4
            } else {
                0
            }
        };
        self.reservation = NO_RESERVATION;
        self.waiting = false;
        let csr = &mut self.csr;
        let old = csr.mstatus;
        if delegated && self.mode < Mode::Machine {
            csr.scause = cause;
            csr.sepc = self.pc;
            csr.stval = value;
            let mut new = old & !(status::SIE | status::SPIE | status::SPP);
            if old & status::SIE != 0 {
                new |= status::SPIE;
            }
            if self.mode == Mode::Supervisor {
                new |= status::SPP;
            }
            csr.mstatus = new;
            self.mode = Mode::Supervisor;
            self.pc = (csr.stvec & !3).wrapping_add(offset(csr.stvec));
        } else {
            csr.mcause = cause;
            csr.mepc = self.pc;
            csr.mtval = value;
            let mut new = old & !(status::MIE | status::MPIE | status::MPP);
            if old & status::MIE != 0 {
                new |= status::MPIE;
            }
            new |= (self.mode as u64) << status::MPP_SHIFT;
            csr.mstatus = new;
            self.mode = Mode::Machine;
            self.pc = (csr.mtvec & !3).wrapping_add(offset(csr.mtvec));
        }
    }

    /// MRET: returns the next address. The reservation is given up.
    ///
    /// # Errors
    /// It is illegal below M-mode.
    pub fn machine_return(&mut self) -> Result<u64, Trapped> {
        if self.mode != Mode::Machine {
            return Err(self.raise(Cause::IllegalInstruction, 0));
        }
        let old = self.csr.mstatus;
        let mode = Mode::from_bits((old & status::MPP) >> status::MPP_SHIFT)
            .expect("MPP never holds the reserved mode");
        let mut new = old & !(status::MIE | status::MPP) | status::MPIE;
        if old & status::MPIE != 0 {
            new |= status::MIE;
        }
        if mode != Mode::Machine {
            new &= !status::MPRV;
        }
        self.csr.mstatus = new;
        self.mode = mode;
        self.reservation = NO_RESERVATION;
        Ok(self.csr.mepc)
    }

    /// SRET: returns the next address. The reservation is given up.
    ///
    /// # Errors
    /// It is illegal in U-mode, and in S-mode where `mstatus.TSR` says so.
    pub fn supervisor_return(&mut self) -> Result<u64, Trapped> {
        let old = self.csr.mstatus;
        if self.mode == Mode::User || self.mode == Mode::Supervisor && old & status::TSR != 0 {
            return Err(self.raise(Cause::IllegalInstruction, 0));
        }
        let mut new = old & !(status::SIE | status::SPP | status::MPRV) | status::SPIE;
        if old & status::SPIE != 0 {
            new |= status::SIE;
        }
        self.mode = if old & status::SPP != 0 {
            Mode::Supervisor
        } else {
            Mode::User
        };
        self.csr.mstatus = new;
        self.reservation = NO_RESERVATION;
        Ok(self.csr.sepc)
    }

    /// ECALL.
    pub fn environment_call(&mut self) -> Trapped {
        let cause = match self.mode {
            Mode::User => Cause::CallFromUser,
            Mode::Supervisor => Cause::CallFromSupervisor,
            Mode::Machine => Cause::CallFromMachine,
        };
        self.raise(cause, 0)
    }

    /// WFI: from here on the hart waits, unless something is pending.
    ///
    /// # Errors
    /// It is illegal in U-mode, and below M-mode where `mstatus.TW` says so.
    pub fn wait_for_interrupt(&mut self) -> Result<(), Trapped> {
        let timeout = self.mode != Mode::Machine && self.csr.mstatus & status::TW != 0;
        if self.mode == Mode::User || timeout {
            return Err(self.raise(Cause::IllegalInstruction, 0));
        }
        self.waiting = true;
        Ok(())
    }

    /// Whether SFENCE.VMA is allowed.
    ///
    /// # Errors
    /// It is illegal in U-mode, and in S-mode where `mstatus.TVM` says so.
    pub(crate) fn check_fence(&mut self) -> Result<(), Trapped> {
        let trapped = self.mode == Mode::Supervisor && self.csr.mstatus & status::TVM != 0;
        if self.mode == Mode::User || trapped {
            return Err(self.raise(Cause::IllegalInstruction, 0));
        }
        Ok(())
    }
}
