//! From [`Insn`] to text that the GNU assembler takes back. Registers have their ABI names; targets are
//! relative to the instruction (`. + 8`), as the text does not know its address.

use std::fmt;

use crate::csr;
use crate::format::Format;
use crate::insn::Insn;
use crate::table::Op;

const X: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

const F: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
    "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
    "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

fn x(register: u8) -> &'static str {
    X[usize::from(register & 31)]
}

fn f(register: u8) -> &'static str {
    F[usize::from(register & 31)]
}

/// The name of a CSR; its number, if it has none.
fn csr_name(number: u16) -> String {
    csr::name(number).unwrap_or_else(|| format!("{number:#x}"))
}

impl fmt::Display for Insn {
    /// The expansion, if the instruction is compressed; `.2byte` or `.4byte`, if it is illegal.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Format::*;
        let Some(row) = self.op.row() else {
            return write!(out, ".{}byte {:#x}", self.length, self.bits);
        };
        let name = row.mnemonic;
        let (rd, rs1, rs2) = (x(self.rd), x(self.rs1), x(self.rs2));
        let (fd, fs1, fs2, fs3) = (f(self.rd), f(self.rs1), f(self.rs2), f(self.rs3));
        let imm = self.imm;
        match row.format {
            Bare | FenceInstruction => write!(out, "{name}"),
            Upper => write!(out, "{name} {rd}, {:#x}", imm.cast_unsigned() >> 12),
            Jump => write!(out, "{name} {rd}, . + {imm}"),
            Branch => write!(out, "{name} {rs1}, {rs2}, . + {imm}"),
            Indirect | Load => write!(out, "{name} {rd}, {imm}({rs1})"),
            Store => write!(out, "{name} {rs2}, {imm}({rs1})"),
            Immediate => write!(out, "{name} {rd}, {rs1}, {imm}"),
            Shift | ShiftWord => write!(out, "{name} {rd}, {rs1}, {imm:#x}"),
            Register => write!(out, "{name} {rd}, {rs1}, {rs2}"),
            Fence => write!(out, "{name} {}, {}", Order(imm >> 4), Order(imm)),
            FenceVma => write!(out, "{name} {rs1}, {rs2}"),
            Csr => write!(out, "{name} {rd}, {}, {rs1}", csr_name(self.csr())),
            CsrImmediate => write!(out, "{name} {rd}, {}, {}", csr_name(self.csr()), self.rs1),
            LoadReserved => write!(out, "{name}{} {rd}, ({rs1})", ordering(self.rm)),
            Atomic => write!(out, "{name}{} {rd}, {rs2}, ({rs1})", ordering(self.rm)),
            FloatLoad => write!(out, "{name} {fd}, {imm}({rs1})"),
            FloatStore => write!(out, "{name} {fs2}, {imm}({rs1})"),
            FloatFused => {
                write!(
                    out,
                    "{name} {fd}, {fs1}, {fs2}, {fs3}, {}",
                    rounding(self.rm)
                )
            }
            FloatArithmetic => write!(out, "{name} {fd}, {fs1}, {fs2}, {}", rounding(self.rm)),
            // Assemblers before binutils 2.41 take no mode where none is needed.
            FloatUnary if self.rm == 0 && self.op == Op::FcvtDS => {
                write!(out, "{name} {fd}, {fs1}")
            }
            FloatFromInteger if self.rm == 0 && matches!(self.op, Op::FcvtDW | Op::FcvtDWu) => {
                write!(out, "{name} {fd}, {rs1}")
            }
            FloatUnary => write!(out, "{name} {fd}, {fs1}, {}", rounding(self.rm)),
            FloatRegister => write!(out, "{name} {fd}, {fs1}, {fs2}"),
            FloatCompare => write!(out, "{name} {rd}, {fs1}, {fs2}"),
            FloatToInteger => write!(out, "{name} {rd}, {fs1}, {}", rounding(self.rm)),
            FloatFromInteger => write!(out, "{name} {fd}, {rs1}, {}", rounding(self.rm)),
            FloatToRegister => write!(out, "{name} {rd}, {fs1}"),
            FloatFromRegister => write!(out, "{name} {fd}, {rs1}"),
        }
    }
}

fn ordering(bits: u8) -> &'static str {
    ["", ".rl", ".aq", ".aqrl"][usize::from(bits & 3)]
}

fn rounding(mode: u8) -> &'static str {
    [
        "rne", "rtz", "rdn", "rup", "rmm", "reserved", "reserved", "dyn",
    ][usize::from(mode & 7)]
}

/// The accesses in the low four bits of a fence's set: input, output, reads, writes.
struct Order(i32);

impl fmt::Display for Order {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 & 15 == 0 {
            return out.write_str("0");
        }
        for (bit, name) in [(8, "i"), (4, "o"), (2, "r"), (1, "w")] {
            if self.0 & bit != 0 {
                out.write_str(name)?;
            }
        }
        Ok(())
    }
}
