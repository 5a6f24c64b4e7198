//! What is known of an instruction without executing it: where it goes on, what it touches. Each fact of an operation stands
//! in its row of [`crate::table`], or follows from its format; every match here is exhaustive.

use crate::flow::{Access, Flow};
use crate::format::Format;
use crate::insn::{Insn, SINK};
use crate::table::Op;

impl Op {
    /// Where it goes on.
    #[must_use]
    pub fn flow(self) -> Flow {
        self.row().map_or(Flow::Trap, |row| row.flow)
    }

    /// What it accesses in memory, if it does.
    #[must_use]
    pub fn access(self) -> Option<Access> {
        self.row()?.access
    }

    /// An instruction of the F or D extension.
    #[must_use]
    pub fn is_float(self) -> bool {
        self.format().is_float()
    }
}

impl Format {
    /// Whether the instruction names a float register, or its result is one.
    #[must_use]
    pub const fn is_float(self) -> bool {
        use Format::*;
        match self {
            FloatLoad | FloatStore | FloatFused | FloatArithmetic | FloatUnary | FloatRegister
            | FloatCompare | FloatToInteger | FloatFromInteger | FloatToRegister
            | FloatFromRegister => true,
            Bare | Upper | Jump | Indirect | Branch | Load | Store | Immediate | Shift
            | ShiftWord | Register | Fence | FenceInstruction | FenceVma | Csr | CsrImmediate
            | LoadReserved | Atomic => false,
        }
    }

    /// Whether `rd` names an integer register that is written.
    #[must_use]
    pub const fn writes_x(self) -> bool {
        use Format::*;
        match self {
            Upper | Jump | Indirect | Load | Immediate | Shift | ShiftWord | Register | Csr
            | CsrImmediate | LoadReserved | Atomic | FloatCompare | FloatToInteger
            | FloatToRegister => true,
            Bare | Branch | Store | Fence | FenceInstruction | FenceVma | FloatLoad
            | FloatStore | FloatFused | FloatArithmetic | FloatUnary | FloatRegister
            | FloatFromInteger | FloatFromRegister => false,
        }
    }

    /// Whether the instruction has a rounding mode in bits 14 to 12.
    #[must_use]
    pub const fn has_rounding(self) -> bool {
        use Format::*;
        match self {
            FloatFused | FloatArithmetic | FloatUnary | FloatToInteger | FloatFromInteger => true,
            Bare | Upper | Jump | Indirect | Branch | Load | Store | Immediate | Shift
            | ShiftWord | Register | Fence | FenceInstruction | FenceVma | Csr | CsrImmediate
            | LoadReserved | Atomic | FloatLoad | FloatStore | FloatRegister | FloatCompare
            | FloatToRegister | FloatFromRegister => false,
        }
    }

    /// Whether `rs1` and `rs2` name integer registers that are read.
    const fn reads_x(self) -> (bool, bool) {
        use Format::*;
        match self {
            Branch | Store | Register | FenceVma | Atomic => (true, true),
            Indirect | Load | Immediate | Shift | ShiftWord | Csr | LoadReserved | FloatLoad
            | FloatStore | FloatFromInteger | FloatFromRegister => (true, false),
            Bare | Upper | Jump | Fence | FenceInstruction | CsrImmediate | FloatFused
            | FloatArithmetic | FloatUnary | FloatRegister | FloatCompare | FloatToInteger
            | FloatToRegister => (false, false),
        }
    }
}

impl Insn {
    /// The integer registers that it reads, one bit each; x0 is none.
    #[must_use]
    pub fn reads_x(&self) -> u32 {
        let (first, second) = self.op.format().reads_x();
        let bit = |reads: bool, register: u8| u32::from(reads) << (register & 31);
        (bit(first, self.rs1) | bit(second, self.rs2)) & !1
    }

    /// The integer register that it writes, as a bit; x0 is none.
    #[must_use]
    pub fn writes_x(&self) -> u32 {
        if self.op.format().writes_x() && self.rd != SINK {
            1 << (self.rd & 31) & !1
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TABLE;

    #[test]
    fn what_accesses_memory_says_so_in_its_format() {
        use Format::*;
        for row in TABLE {
            let accesses = match row.format {
                Load | Store | LoadReserved | Atomic | FloatLoad | FloatStore => true,
                Bare | Upper | Jump | Indirect | Branch | Immediate | Shift | ShiftWord
                | Register | Fence | FenceInstruction | FenceVma | Csr | CsrImmediate
                | FloatFused | FloatArithmetic | FloatUnary | FloatRegister | FloatCompare
                | FloatToInteger | FloatFromInteger | FloatToRegister | FloatFromRegister => false,
            };
            assert_eq!(row.access.is_some(), accesses, "{}", row.mnemonic);
            // The width is in bits 13 and 12, and 14 says that a loaded value is zero-extended.
            if let Some(access) = row.access {
                let code = row.matching >> 12 & 7;
                assert_eq!(access.width.bytes(), 1 << (code & 3), "{}", row.mnemonic);
                let signed = matches!(row.format, Load | LoadReserved | Atomic) && code < 4;
                assert_eq!(access.signed, signed, "{}", row.mnemonic);
            }
        }
    }

    #[test]
    fn jumps_say_so_in_their_format() {
        use Format::*;
        for row in TABLE {
            let flow = match row.format {
                Branch => Flow::Branch,
                Jump | Indirect => Flow::Jump,
                Csr | CsrImmediate | FenceVma => Flow::Context,
                FenceInstruction => Flow::Refetch,
                Bare => row.flow,
                Upper | Load | Store | Immediate | Shift | ShiftWord | Register | Fence
                | LoadReserved | Atomic | FloatLoad | FloatStore | FloatFused | FloatArithmetic
                | FloatUnary | FloatRegister | FloatCompare | FloatToInteger | FloatFromInteger
                | FloatToRegister | FloatFromRegister => Flow::Next,
            };
            assert_eq!(row.flow, flow, "{}", row.mnemonic);
        }
        let bare = [
            (Op::Ecall, Flow::Trap),
            (Op::Ebreak, Flow::Trap),
            (Op::Sret, Flow::Return),
            (Op::Mret, Flow::Return),
            (Op::Wfi, Flow::Wait),
            (Op::Illegal, Flow::Trap),
        ];
        for (op, flow) in bare {
            assert_eq!(op.flow(), flow, "{op:?}");
        }
    }

    #[test]
    fn registers_that_are_read_and_written() {
        let insn = |op, rd, rs1, rs2| Insn {
            rd,
            rs1,
            rs2,
            ..Insn::new(op)
        };
        let facts = |insn: Insn| (insn.reads_x(), insn.writes_x());
        assert_eq!(facts(insn(Op::Add, 3, 4, 5)), (1 << 4 | 1 << 5, 1 << 3));
        assert_eq!(facts(insn(Op::Add, SINK, 0, 5)), (1 << 5, 0));
        assert_eq!(facts(insn(Op::Sd, 0, 4, 4)), (1 << 4, 0));
        assert_eq!(facts(insn(Op::Csrrwi, 7, 9, 0)), (0, 1 << 7), "uimm");
        assert_eq!(facts(insn(Op::FaddD, 3, 4, 5)), (0, 0));
        assert_eq!(facts(insn(Op::FltD, 3, 4, 5)), (0, 1 << 3));
        assert_eq!(facts(insn(Op::Fsd, 0, 4, 5)), (1 << 4, 0));
        assert_eq!(facts(insn(Op::Fence, 3, 4, 0)), (0, 0), "ignored fields");
    }
}
