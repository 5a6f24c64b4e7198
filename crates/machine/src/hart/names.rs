//! Names of the registers, in the order of [`super::Hart::registers`].

use isa::csr as number;

/// Number of registers before the CSRs: pc, x1 to x31, f0 to f31.
pub(super) const CSRS_FROM: usize = 1 + 31 + 32;

const X: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// The CSRs, in order. Before them is the mode, and behind them is what is kept like one.
const CSRS: [u16; 44] = [
    number::MSTATUS,
    number::MEDELEG,
    number::MIDELEG,
    number::MIE,
    number::MIP,
    number::MTVEC,
    number::MSCRATCH,
    number::MEPC,
    number::MCAUSE,
    number::MTVAL,
    number::MCOUNTEREN,
    number::MCOUNTINHIBIT,
    number::MENVCFG,
    number::MCYCLE,
    number::MINSTRET,
    number::STVEC,
    number::SSCRATCH,
    number::SEPC,
    number::SCAUSE,
    number::STVAL,
    number::SCOUNTEREN,
    number::SENVCFG,
    number::SATP,
    number::STIMECMP,
    number::FFLAGS,
    number::FRM,
    number::PMPCFG0,
    number::PMPCFG2,
    number::PMPADDR0,
    number::PMPADDR0 + 1,
    number::PMPADDR0 + 2,
    number::PMPADDR0 + 3,
    number::PMPADDR0 + 4,
    number::PMPADDR0 + 5,
    number::PMPADDR0 + 6,
    number::PMPADDR0 + 7,
    number::PMPADDR0 + 8,
    number::PMPADDR0 + 9,
    number::PMPADDR0 + 10,
    number::PMPADDR0 + 11,
    number::PMPADDR0 + 12,
    number::PMPADDR0 + 13,
    number::PMPADDR0 + 14,
    number::PMPADDR0 + 15,
];
const RESERVATION: usize = CSRS.len();
const WAITING: usize = RESERVATION + 1;
pub(super) const CSR_COUNT: usize = 1 + CSRS.len() + 2;

/// The name of the register at `index` in digests and snapshots.
pub fn register_name(index: usize) -> String {
    match index {
        0 => "pc".to_owned(),
        1..32 => format!("x{index} ({})", X[index]),
        32..CSRS_FROM => format!("f{}", index - 32),
        CSRS_FROM => "mode".to_owned(),
        _ => match index - CSRS_FROM - 1 {
            RESERVATION => "reservation".to_owned(),
            WAITING => "waiting".to_owned(),
            csr => (CSRS.get(csr).copied())
                .and_then(number::name)
                .unwrap_or_else(|| format!("number {index}, which this version does not have")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some() {
        assert_eq!(register_name(5), "x5 (t0)");
        assert_eq!(register_name(63), "f31");
        assert_eq!(register_name(64), "mode");
        assert_eq!(register_name(65), "mstatus");
        assert_eq!(register_name(64 + 44), "pmpaddr15");
        assert_eq!(register_name(64 + 46), "waiting");
        assert!(register_name(64 + 47).starts_with("number 111"));
    }
}
