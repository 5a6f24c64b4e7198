//! What lies behind those CSRs that are more than storage: counters, views of other registers, values that do not exist.

use super::csr::{self, status};
use super::effects::{Effects, effects_of_satp, effects_of_status};
use super::pmp::{self, Pmp};
use super::{Hart, Mode};

impl Hart {
    /// Whether a counter (bit of `mcounteren`) may be read in the present mode.
    pub(super) fn counter_enabled(&self, number: u16) -> bool {
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

    pub(super) fn cycles(&self) -> u64 {
        self.counter(self.csr.cycle, csr::CYCLE_INHIBIT)
    }

    pub(super) fn instructions_retired(&self) -> u64 {
        self.counter(self.csr.instret, csr::INSTRET_INHIBIT)
    }

    /// `value`, unless the float unit is off.
    pub(super) fn float_state(&self, value: u64) -> Option<u64> {
        (self.csr.mstatus & status::FS != 0).then_some(value)
    }

    pub(super) fn write_float_state(&mut self, frm: u64, fflags: u64) -> Effects {
        (self.csr.frm, self.csr.fflags) = (frm, fflags);
        self.csr.mstatus |= status::FS;
        Effects::NONE
    }

    /// Writes those bits of what software sets in `mip`.
    pub(super) fn write_pending(&mut self, mask: u64, value: u64) -> Effects {
        self.csr.mip = self.csr.mip & !mask | value & mask;
        Effects::INTERRUPTS
    }

    pub(super) fn write_satp(&mut self, value: u64) -> Effects {
        if !matches!(value >> 60, 0 | 8 | 9) {
            return Effects::NONE;
        }
        let changed = self.csr.satp ^ value;
        self.csr.satp = value;
        effects_of_satp(changed)
    }

    pub(super) fn write_mstatus(&mut self, value: u64) -> Effects {
        let old = self.csr.mstatus;
        let mut new = value;
        if new & status::MPP == 2 << status::MPP_SHIFT {
            new = new & !status::MPP | old & status::MPP;
        }
        self.csr.mstatus = new;
        effects_of_status(old ^ new, new)
    }

    /// What a counter is to hold so that the next instruction reads `value`: this one is not counted.
    pub(super) fn uncounted(&self, value: u64, inhibit: u64) -> u64 {
        if self.csr.mcountinhibit & inhibit != 0 {
            value
        } else {
            value.wrapping_sub(self.position.0 + 1)
        }
    }

    pub(super) fn write_inhibit(&mut self, value: u64) -> Effects {
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
        Effects::NONE
    }

    /// Eight configurations, as one register shows them.
    pub(super) fn eight_pmpcfg(&self, first: usize) -> u64 {
        let bytes = self.csr.pmpcfg[first..].first_chunk();
        u64::from_le_bytes(*bytes.expect("eight entries a register"))
    }

    pub(super) fn write_pmpcfg(&mut self, first: usize, value: u64) -> Effects {
        for (mut byte, entry) in value
            .to_le_bytes()
            .into_iter()
            .zip(&mut self.csr.pmpcfg[first..])
        {
            if *entry & pmp::LOCKED != 0 {
                continue;
            }
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

    pub(super) fn write_pmpaddr(&mut self, index: usize, value: u64) -> Effects {
        let config = &self.csr.pmpcfg;
        let next = config.get(index + 1).copied().unwrap_or(0);
        let end_of_locked = next & pmp::LOCKED != 0 && next & pmp::ADDRESS_MODE == pmp::TOR;
        if config[index] & pmp::LOCKED != 0 || end_of_locked {
            return Effects::NONE;
        }
        self.csr.pmpaddr[index] = value;
        self.pmp = Pmp::new(&self.csr);
        Effects::FLUSH
    }
}
