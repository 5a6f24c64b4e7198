//! Instruction formats: which operands an instruction has, and which register files they name.

/// Where the operands of an instruction are, named after what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// No operands.
    Bare,
    /// `rd, imm[31:12]`.
    Upper,
    /// `rd, pc-relative target` of 21 bits.
    Jump,
    /// `rd, imm(rs1)`, a jump.
    Indirect,
    /// `rs1, rs2, pc-relative target` of 13 bits.
    Branch,
    /// `rd, imm(rs1)`.
    Load,
    /// `rs2, imm(rs1)`.
    Store,
    /// `rd, rs1, imm` of 12 bits.
    Immediate,
    /// `rd, rs1, shift amount` of 6 bits.
    Shift,
    /// `rd, rs1, shift amount` of 5 bits.
    ShiftWord,
    /// `rd, rs1, rs2`.
    Register,
    /// `predecessors, successors`; all other fields are ignored, and kept.
    Fence,
    /// `fence.i`: no operands; all other fields are ignored, and kept.
    FenceInstruction,
    /// `rs1, rs2`: address and address space.
    FenceVma,
    /// `rd, csr, rs1`.
    Csr,
    /// `rd, csr, uimm`, with the 5-bit immediate in the place of `rs1`.
    CsrImmediate,
    /// `rd, (rs1)`, with ordering bits.
    LoadReserved,
    /// `rd, rs2, (rs1)`, with ordering bits.
    Atomic,
    /// `fd, imm(rs1)`.
    FloatLoad,
    /// `fs2, imm(rs1)`.
    FloatStore,
    /// `fd, fs1, fs2, fs3, rm`.
    FloatFused,
    /// `fd, fs1, fs2, rm`.
    FloatArithmetic,
    /// `fd, fs1, rm`.
    FloatUnary,
    /// `fd, fs1, fs2`, never rounded.
    FloatRegister,
    /// `rd, fs1, fs2`, never rounded.
    FloatCompare,
    /// `rd, fs1, rm`.
    FloatToInteger,
    /// `fd, rs1, rm`.
    FloatFromInteger,
    /// `rd, fs1`, never rounded.
    FloatToRegister,
    /// `fd, rs1`, never rounded.
    FloatFromRegister,
}
