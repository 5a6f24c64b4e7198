//! What each CSR holds, one row each: the bits of it that can be written (WARL), how it is read, and how it is written. Numbers, names
//! and what follows from a number are in [`isa::csr`]; whatever is in that table has to be here, or this does not compile.

use isa::csr as number;

use super::csr::{self, status};
use super::effects::Effects;
use super::{Hart, Mode};

const ALL: u64 = u64::MAX;
/// What exists of an address of memory protection.
const PMP_ADDRESS: u64 = (1 << 54) - 1;
/// What exists of eight configurations of memory protection.
const PMP_CONFIGURATIONS: u64 = 0x9f9f_9f9f_9f9f_9f9f;

/// Registers that do nothing but to keep what was written, and that kernels touch with each system call.
macro_rules! kept {
    ($($number:ident $field:ident $writable:expr;)*) => {
        const KEPT: &[u16] = &[$(number::$number),*];

        impl Hart {
            /// Where such a register is, and its writable bits; `None` for any other.
            #[inline]
            pub(super) fn storage(&mut self, number: u16) -> Option<(&mut u64, u64)> {
                match number {
                    $(number::$number => Some((&mut self.csr.$field, $writable)),)*
                    _ => None,
                }
            }
        }
    };
}

kept! {
    SCOUNTEREN scounteren 0xffff_ffff;
    SENVCFG    senvcfg    csr::SENVCFG_WRITABLE;
    SSCRATCH   sscratch   ALL;
    SEPC       sepc       csr::EPC_WRITABLE;
    SCAUSE     scause     ALL;
    STVAL      stval      ALL;
    MEDELEG    medeleg    csr::DELEGABLE;
    MCOUNTEREN mcounteren 0xffff_ffff;
    MSCRATCH   mscratch   ALL;
    MEPC       mepc       csr::EPC_WRITABLE;
    MCAUSE     mcause     ALL;
    MTVAL      mtval      ALL;
}

/// A CSR that does more than to keep what was written, or several that are alike.
pub(super) struct Register {
    /// That of the first.
    number: u16,
    /// The bits that may be other than they are after reset. What is written is cut to them.
    pub(super) writable: u64,
    /// What the one with this number shows, given the guest's clock; `None` if it may not be accessed at present.
    pub(super) read: fn(&Hart, u16, u64) -> Option<u64>,
    /// Writes to the one with this number, which may be accessed; values that it cannot have are made legal.
    pub(super) write: fn(&mut Hart, u16, u64) -> Effects,
}

/// A row.
const fn register(
    number: u16,
    writable: u64,
    read: fn(&Hart, u16, u64) -> Option<u64>,
    write: fn(&mut Hart, u16, u64) -> Effects,
) -> Register {
    Register {
        number,
        writable,
        read,
        write,
    }
}

/// A row whose register stays as it is.
const fn constant(number: u16, read: fn(&Hart, u16, u64) -> Option<u64>) -> Register {
    register(number, 0, read, |_, _, _| Effects::NONE)
}

/// A row whose register does not exist, and shows that by 0.
const fn zero(number: u16) -> Register {
    constant(number, |_, _, _| Some(0))
}

static REGISTERS: &[Register] = &ROWS;
const ROWS: [Register; 37] = [
    register(
        number::FFLAGS,
        0x1f,
        |hart, _, _| hart.float_state(hart.csr.fflags),
        |hart, _, value| hart.write_float_state(hart.csr.frm, value),
    ),
    register(
        number::FRM,
        7,
        |hart, _, _| hart.float_state(hart.csr.frm),
        |hart, _, value| hart.write_float_state(value, hart.csr.fflags),
    ),
    register(
        number::FCSR,
        0xff,
        |hart, _, _| hart.float_state(hart.csr.frm << 5 | hart.csr.fflags),
        |hart, _, value| hart.write_float_state(value >> 5, value & 0x1f),
    ),
    register(
        number::SIE,
        ALL,
        |hart, _, _| Some(hart.csr.mie & hart.csr.mideleg),
        |hart, _, value| {
            let csr = &mut hart.csr;
            csr.mie = csr.mie & !csr.mideleg | value & csr.mideleg;
            Effects::INTERRUPTS
        },
    ),
    register(
        number::STVEC,
        ALL,
        |hart, _, _| Some(hart.csr.stvec),
        |hart, _, value| write_vector(&mut hart.csr.stvec, value),
    ),
    register(
        number::SIP,
        csr::SSIP,
        |hart, _, _| Some(hart.pending() & hart.csr.mideleg),
        |hart, _, value| hart.write_pending(csr::SSIP & hart.csr.mideleg, value),
    ),
    register(
        number::STIMECMP,
        ALL,
        |hart, _, _| {
            let allowed = hart.csr.supervisor_timer() && hart.csr.mcounteren & 2 != 0;
            (hart.mode == Mode::Machine || allowed).then_some(hart.csr.stimecmp)
        },
        |hart, _, value| {
            hart.csr.stimecmp = value;
            Effects::TIMER
        },
    ),
    register(
        number::SATP,
        csr::SATP_WRITABLE,
        |hart, _, _| {
            let forbidden = hart.mode == Mode::Supervisor && hart.csr.mstatus & status::TVM != 0;
            (!forbidden).then_some(hart.csr.satp)
        },
        |hart, _, value| hart.write_satp(value),
    ),
    register(
        number::MSTATUS,
        status::WRITABLE,
        |hart, _, _| Some(hart.csr.read_mstatus()),
        |hart, _, value| hart.write_mstatus(value),
    ),
    constant(number::MISA, |_, _, _| Some(csr::MISA)),
    register(
        number::MIDELEG,
        csr::SUPERVISOR_INTERRUPTS,
        |hart, _, _| Some(hart.csr.mideleg),
        |hart, _, value| {
            hart.csr.mideleg = value;
            Effects::INTERRUPTS
        },
    ),
    register(
        number::MIE,
        csr::INTERRUPTS,
        |hart, _, _| Some(hart.csr.mie),
        |hart, _, value| {
            hart.csr.mie = value;
            Effects::INTERRUPTS
        },
    ),
    register(
        number::MTVEC,
        ALL,
        |hart, _, _| Some(hart.csr.mtvec),
        |hart, _, value| write_vector(&mut hart.csr.mtvec, value),
    ),
    register(
        number::MENVCFG,
        csr::MENVCFG_WRITABLE,
        |hart, _, _| Some(hart.csr.menvcfg),
        |hart, _, value| {
            hart.csr.menvcfg = value;
            Effects::TIMER
        },
    ),
    register(
        number::MCOUNTINHIBIT,
        csr::INHIBIT_WRITABLE,
        |hart, _, _| Some(hart.csr.mcountinhibit),
        |hart, _, value| hart.write_inhibit(value),
    ),
    zero(number::MHPMEVENT3),
    register(
        number::MIP,
        csr::SUPERVISOR_INTERRUPTS,
        |hart, _, _| Some(hart.pending()),
        |hart, _, value| {
            let timer = if hart.csr.supervisor_timer() {
                csr::STIP
            } else {
                0
            };
            hart.write_pending(csr::SUPERVISOR_INTERRUPTS & !timer, value)
        },
    ),
    register(
        number::PMPCFG0,
        PMP_CONFIGURATIONS,
        |hart, _, _| Some(hart.eight_pmpcfg(0)),
        |hart, _, value| hart.write_pmpcfg(0, value),
    ),
    register(
        number::PMPCFG2,
        PMP_CONFIGURATIONS,
        |hart, _, _| Some(hart.eight_pmpcfg(8)),
        |hart, _, value| hart.write_pmpcfg(8, value),
    ),
    register(
        number::PMPADDR0,
        PMP_ADDRESS,
        |hart, number, _| Some(hart.csr.pmpaddr[usize::from(number - number::PMPADDR0)]),
        |hart, number, value| hart.write_pmpaddr(usize::from(number - number::PMPADDR0), value),
    ),
    // Triggers: none.
    zero(number::TSELECT),
    zero(number::TDATA1),
    zero(number::TDATA2),
    zero(number::TDATA3),
    zero(number::TINFO),
    register(
        number::MCYCLE,
        ALL,
        |hart, _, _| Some(hart.cycles()),
        |hart, _, value| {
            hart.csr.cycle = hart.uncounted(value, csr::CYCLE_INHIBIT);
            Effects::NONE
        },
    ),
    register(
        number::MINSTRET,
        ALL,
        |hart, _, _| Some(hart.instructions_retired()),
        |hart, _, value| {
            hart.csr.instret = hart.uncounted(value, csr::INSTRET_INHIBIT);
            Effects::NONE
        },
    ),
    zero(number::MHPMCOUNTER3),
    constant(number::CYCLE, |hart, number, _| {
        hart.counter_enabled(number).then(|| hart.cycles())
    }),
    constant(number::TIME, |hart, number, time| {
        hart.counter_enabled(number).then_some(time)
    }),
    constant(number::INSTRET, |hart, number, _| {
        hart.counter_enabled(number)
            .then(|| hart.instructions_retired())
    }),
    constant(number::HPMCOUNTER3, |hart, number, _| {
        hart.counter_enabled(number).then_some(0)
    }),
    zero(number::MVENDORID),
    zero(number::MARCHID),
    zero(number::MIMPID),
    zero(number::MHARTID),
    zero(number::MCONFIGPTR),
];

/// By number: the place of its row, from 1 on.
static INDEX: [u8; 4096] = index();

/// The row of a register; `None` if it does not exist, or only keeps what was written.
pub(super) fn find(number: u16) -> Option<&'static Register> {
    let row = *INDEX.get(usize::from(number))?;
    REGISTERS.get(usize::from(row).wrapping_sub(1))
}

/// The rows of [`isa::csr::TABLE`], each of which must have been found here once.
const fn index() -> [u8; 4096] {
    let mut index = [0; 4096];
    let mut found = 0;
    let mut at = 0;
    while at < number::TABLE.len() {
        let known = &number::TABLE[at];
        match place(known.number) {
            Some(row) => {
                let mut number = known.number;
                while number < known.number + known.count {
                    index[number as usize] = row as u8 + 1;
                    number += 1;
                }
                found += 1;
            }
            None => assert!(
                is_often_used(known.number),
                "a CSR of isa::csr has no row here"
            ),
        }
        at += 1;
    }
    assert!(found == ROWS.len(), "a row here is not in isa::csr");
    index
}

const fn place(number: u16) -> Option<usize> {
    let mut row = 0;
    while row < ROWS.len() {
        if ROWS[row].number == number {
            return Some(row);
        }
        row += 1;
    }
    None
}

/// Whether [`Hart::access_often_used`] is about it.
const fn is_often_used(number: u16) -> bool {
    let mut at = 0;
    while at < KEPT.len() {
        if KEPT[at] == number {
            return true;
        }
        at += 1;
    }
    number == number::SSTATUS
}

/// Vectors other than direct and vectored do not exist: the old value stays.
fn write_vector(vector: &mut u64, value: u64) -> Effects {
    if value & 2 == 0 {
        *vector = value;
    }
    Effects::NONE
}
