//! The hart as a list of numbers: for snapshots and digests.

use super::csr::{self, Csrs, status};
use super::names::{CSR_COUNT, CSRS_FROM};
use super::{Exception, Hart, Mode, Pmp, register_name};
use crate::Position;

/// Registers that no hart can have: a damaged or hostile snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saved register {0} is impossible")]
pub struct BadRegister(String);

impl Hart {
    /// Every register, in a fixed order ([`register_name`]); not the position.
    pub fn registers(&self) -> Vec<u64> {
        let mut list = Vec::with_capacity(CSRS_FROM + CSR_COUNT);
        list.push(self.pc);
        list.extend_from_slice(&self.x[1..32]);
        list.extend_from_slice(&self.f);
        let csr = &self.csr;
        let half = |first: usize| {
            u64::from_le_bytes(*csr.pmpcfg[first..].first_chunk().expect("eight of sixteen"))
        };
        list.extend_from_slice(&[
            self.mode as u64,
            csr.mstatus,
            csr.medeleg,
            csr.mideleg,
            csr.mie,
            csr.mip,
            csr.mtvec,
            csr.mscratch,
            csr.mepc,
            csr.mcause,
            csr.mtval,
            csr.mcounteren,
            csr.mcountinhibit,
            csr.menvcfg,
            csr.cycle,
            csr.instret,
            csr.stvec,
            csr.sscratch,
            csr.sepc,
            csr.scause,
            csr.stval,
            csr.scounteren,
            csr.senvcfg,
            csr.satp,
            csr.stimecmp,
            csr.fflags,
            csr.frm,
            half(0),
            half(8),
        ]);
        list.extend_from_slice(&csr.pmpaddr);
        list.push(self.reservation);
        list.push(u64::from(self.waiting));
        list
    }

    /// The hart with these registers at `position`.
    ///
    /// # Errors
    /// A register is not one that a hart can have: the list is damaged, or hostile.
    pub(crate) fn from_registers(list: &[u64], position: Position) -> Result<Hart, BadRegister> {
        let bad = |index| BadRegister(register_name(index));
        if list.len() != CSRS_FROM + CSR_COUNT {
            return Err(BadRegister("list".to_owned()));
        }
        if list[0] & 1 != 0 {
            return Err(bad(0));
        }
        let mut hart = Hart::new(list[0]);
        hart.position = position;
        hart.x[1..32].copy_from_slice(&list[1..32]);
        hart.f.copy_from_slice(&list[32..64]);
        let mut index = CSRS_FROM;
        // The next register, if it has no bits but `mask`.
        let mut next = |mask: u64| {
            let value = list[index];
            index += 1;
            if value & !mask == 0 {
                Ok(value)
            } else {
                Err(bad(index - 1))
            }
        };
        let all = u64::MAX;
        hart.mode = Mode::from_bits(next(3)?).ok_or_else(|| bad(CSRS_FROM))?;
        let mut csr = Csrs {
            mstatus: next(status::WRITABLE)?,
            medeleg: next(csr::DELEGABLE)?,
            mideleg: next(csr::SUPERVISOR_INTERRUPTS)?,
            mie: next(csr::INTERRUPTS)?,
            mip: next(csr::SUPERVISOR_INTERRUPTS)?,
            mtvec: next(!2)?,
            mscratch: next(all)?,
            mepc: next(!1)?,
            mcause: next(all)?,
            mtval: next(all)?,
            mcounteren: next(0xffff_ffff)?,
            mcountinhibit: next(csr::INHIBIT_WRITABLE)?,
            menvcfg: next(csr::MENVCFG_WRITABLE)?,
            cycle: next(all)?,
            instret: next(all)?,
            stvec: next(!2)?,
            sscratch: next(all)?,
            sepc: next(!1)?,
            scause: next(all)?,
            stval: next(all)?,
            scounteren: next(0xffff_ffff)?,
            senvcfg: next(csr::SENVCFG_WRITABLE)?,
            satp: next(csr::SATP_WRITABLE)?,
            stimecmp: next(all)?,
            fflags: next(31)?,
            frm: next(7)?,
            ..Csrs::default()
        };
        let config = 0x9f9f_9f9f_9f9f_9f9f;
        csr.pmpcfg[..8].copy_from_slice(&next(config)?.to_le_bytes());
        csr.pmpcfg[8..].copy_from_slice(&next(config)?.to_le_bytes());
        for addr in &mut csr.pmpaddr {
            *addr = next((1 << 54) - 1)?;
        }
        hart.reservation = next(all)?;
        hart.waiting = next(1)? != 0;
        if csr.mstatus & status::MPP == 2 << status::MPP_SHIFT {
            return Err(bad(CSRS_FROM + 1));
        }
        if !matches!(csr.satp >> 60, 0 | 8 | 9) {
            return Err(BadRegister("satp".to_owned()));
        }
        hart.pmp = Pmp::new(&csr);
        hart.csr = csr;
        hart.exception = Exception::default();
        Ok(hart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_impossible_values() {
        let mut hart = Hart::new(0x8000_0000);
        hart.x[7] = 3;
        hart.csr.pmpcfg[9] = 0x1f;
        hart.csr.mstatus = status::MPP;
        hart.reservation = 64;
        let list = hart.registers();
        let again = Hart::from_registers(&list, Position(5)).unwrap();
        assert_eq!(again.registers(), list);
        for (index, value) in [
            (0, 1),
            (64, 2),
            (65, 2 << 11),
            (70, 2),
            (87, 10 << 60),
            (91, 0x60),
            (110, 2),
        ] {
            let mut list = list.clone();
            list[index] = value;
            let error = Hart::from_registers(&list, Position(5)).err();
            assert_eq!(error, Some(BadRegister(register_name(index))), "{index}");
        }
        assert!(Hart::from_registers(&list[1..], Position(5)).is_err());
    }
}
