//! Names of the registers, in the order of [`super::Hart::registers`].

/// Number of registers before the CSRs: pc, x1 to x31, f0 to f31.
pub(super) const CSRS_FROM: usize = 1 + 31 + 32;

const X: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// The CSRs (and what is kept like one), in order.
pub(super) const CSRS: [&str; CSR_COUNT] = [
    "mode",
    "mstatus",
    "medeleg",
    "mideleg",
    "mie",
    "mip",
    "mtvec",
    "mscratch",
    "mepc",
    "mcause",
    "mtval",
    "mcounteren",
    "mcountinhibit",
    "menvcfg",
    "mcycle",
    "minstret",
    "stvec",
    "sscratch",
    "sepc",
    "scause",
    "stval",
    "scounteren",
    "senvcfg",
    "satp",
    "stimecmp",
    "fflags",
    "frm",
    "pmpcfg0",
    "pmpcfg2",
    "pmpaddr0",
    "pmpaddr1",
    "pmpaddr2",
    "pmpaddr3",
    "pmpaddr4",
    "pmpaddr5",
    "pmpaddr6",
    "pmpaddr7",
    "pmpaddr8",
    "pmpaddr9",
    "pmpaddr10",
    "pmpaddr11",
    "pmpaddr12",
    "pmpaddr13",
    "pmpaddr14",
    "pmpaddr15",
    "reservation",
    "waiting",
];
pub(super) const CSR_COUNT: usize = 47;

/// The name of the register at `index` in digests and snapshots.
pub fn register_name(index: usize) -> String {
    match index {
        0 => "pc".to_owned(),
        1..32 => format!("x{index} ({})", X[index]),
        32..CSRS_FROM => format!("f{}", index - 32),
        _ => match CSRS.get(index - CSRS_FROM) {
            Some(name) => (*name).to_owned(),
            None => format!("number {index}, which this version does not have"),
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
        assert_eq!(register_name(64 + 46), "waiting");
    }
}
