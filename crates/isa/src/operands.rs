//! Where the operands are in the 32 bits, and which values of them are reserved.

use crate::format::Format;
use crate::insn::{Insn, SINK};
use crate::table::Op;

impl Insn {
    /// The 32-bit encoding of the operation with its operands, each cut to the size of its field. A
    /// compressed instruction encodes as its expansion, an illegal one as its own bits.
    #[must_use]
    pub fn encode(&self) -> u32 {
        self.op
            .row()
            .map_or(self.bits, |row| row.matching | row.format.insert(self))
    }

    /// This instruction, 4 bytes long, with [`Insn::bits`] computed from the other fields.
    #[must_use]
    pub fn assembled(self) -> Self {
        Self {
            bits: self.encode(),
            length: 4,
            ..self
        }
    }

    /// The same instruction with [`SINK`] for a destination of x0, so that an interpreter with a
    /// 33rd register slot can write without a test.
    #[must_use]
    pub fn with_sink(self) -> Self {
        if self.rd == 0 && self.op.format().writes_x() {
            Self { rd: SINK, ..self }
        } else {
            self
        }
    }
}

impl Format {
    /// The instruction `op` with the operands that this format finds in `bits`; [`Op::Illegal`] if
    /// an operand has a reserved value.
    pub(crate) fn extract(self, op: Op, bits: u32) -> Insn {
        use Format::*;
        let rd = field(bits, 7, 5);
        let rs1 = field(bits, 15, 5);
        let rs2 = field(bits, 20, 5);
        let mut insn = Insn {
            bits,
            ..Insn::new(op)
        };
        match self {
            Bare => {}
            Upper => {
                insn.rd = rd;
                insn.imm = (bits & 0xffff_f000).cast_signed();
            }
            Jump => {
                insn.rd = rd;
                insn.imm = jump_offset(bits);
            }
            Indirect | Load | Immediate | FloatLoad | Fence | FenceInstruction => {
                insn.rd = rd;
                insn.rs1 = rs1;
                insn.imm = bits.cast_signed() >> 20;
            }
            Branch => {
                insn.rs1 = rs1;
                insn.rs2 = rs2;
                insn.imm = branch_offset(bits);
            }
            Store | FloatStore => {
                insn.rs1 = rs1;
                insn.rs2 = rs2;
                insn.imm = (bits.cast_signed() >> 25) << 5 | i32::from(rd);
            }
            Shift | ShiftWord => {
                insn.rd = rd;
                insn.rs1 = rs1;
                insn.imm = (bits >> 20 & 0x3f).cast_signed();
            }
            Csr | CsrImmediate => {
                insn.rd = rd;
                insn.rs1 = rs1;
                insn.imm = (bits >> 20).cast_signed();
            }
            Register | FloatRegister | FloatCompare => {
                insn.rd = rd;
                insn.rs1 = rs1;
                insn.rs2 = rs2;
            }
            FenceVma => {
                insn.rs1 = rs1;
                insn.rs2 = rs2;
            }
            LoadReserved | Atomic => {
                insn.rd = rd;
                insn.rs1 = rs1;
                insn.rs2 = rs2;
                insn.rm = field(bits, 25, 2);
            }
            FloatToRegister | FloatFromRegister => {
                insn.rd = rd;
                insn.rs1 = rs1;
            }
            FloatFused | FloatArithmetic | FloatUnary | FloatToInteger | FloatFromInteger => {
                insn.rd = rd;
                insn.rs1 = rs1;
                insn.rm = field(bits, 12, 3);
                if matches!(self, FloatFused | FloatArithmetic) {
                    insn.rs2 = rs2;
                }
                if self == FloatFused {
                    insn.rs3 = field(bits, 27, 5);
                }
                if matches!(insn.rm, 5 | 6) {
                    return Insn::illegal(bits, 4);
                }
            }
        }
        insn
    }

    /// The bits of the operands of `insn`, each cut to its field.
    pub(crate) fn insert(self, insn: &Insn) -> u32 {
        use Format::*;
        let rd = u32::from(insn.rd & 31) << 7;
        let rs1 = u32::from(insn.rs1 & 31) << 15;
        let rs2 = u32::from(insn.rs2 & 31) << 20;
        let rounding = u32::from(insn.rm & 7) << 12;
        let imm = insn.imm.cast_unsigned();
        match self {
            Bare => 0,
            Upper => rd | imm & 0xffff_f000,
            Jump => {
                rd | (imm >> 20 & 1) << 31
                    | (imm >> 1 & 0x3ff) << 21
                    | (imm >> 11 & 1) << 20
                    | (imm >> 12 & 0xff) << 12
            }
            Branch => {
                rs1 | rs2
                    | (imm >> 12 & 1) << 31
                    | (imm >> 5 & 0x3f) << 25
                    | (imm >> 1 & 0xf) << 8
                    | (imm >> 11 & 1) << 7
            }
            Indirect | Load | Immediate | FloatLoad | Fence | FenceInstruction | Csr
            | CsrImmediate => rd | rs1 | imm << 20,
            Store | FloatStore => rs1 | rs2 | (imm >> 5) << 25 | (imm & 31) << 7,
            Shift => rd | rs1 | (imm & 63) << 20,
            ShiftWord => rd | rs1 | (imm & 31) << 20,
            Register | FloatRegister | FloatCompare => rd | rs1 | rs2,
            FenceVma => rs1 | rs2,
            LoadReserved => rd | rs1 | u32::from(insn.rm & 3) << 25,
            Atomic => rd | rs1 | rs2 | u32::from(insn.rm & 3) << 25,
            FloatToRegister | FloatFromRegister => rd | rs1,
            FloatFused => rd | rs1 | rs2 | rounding | u32::from(insn.rs3 & 31) << 27,
            FloatArithmetic => rd | rs1 | rs2 | rounding,
            FloatUnary | FloatToInteger | FloatFromInteger => rd | rs1 | rounding,
        }
    }
}

/// `count` bits (at most 8) of `bits` from bit `low` on.
fn field(bits: u32, low: u32, count: u32) -> u8 {
    // The mask makes it fit.
    (bits >> low & ((1 << count) - 1)) as u8
}

fn jump_offset(bits: u32) -> i32 {
    (bits.cast_signed() >> 31) << 20
        | (bits & 0x000f_f000).cast_signed()
        | (bits >> 20 & 1).cast_signed() << 11
        | (bits >> 21 & 0x3ff).cast_signed() << 1
}

fn branch_offset(bits: u32) -> i32 {
    (bits.cast_signed() >> 31) << 12
        | (bits >> 7 & 1).cast_signed() << 11
        | (bits >> 25 & 0x3f).cast_signed() << 5
        | (bits >> 8 & 0xf).cast_signed() << 1
}
