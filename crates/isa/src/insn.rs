//! The decoded instruction.

use crate::table::Op;

/// The register number that stands for "x0 as a destination" in instructions prepared by
/// [`Insn::with_sink`].
pub const SINK: u8 = 32;

/// One decoded instruction. Fields that the operation does not have are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// What it does.
    pub op: Op,
    /// Destination register, 0 to 31, or [`SINK`].
    pub rd: u8,
    /// First source register, 0 to 31; the immediate of `csrrwi`, `csrrsi` and `csrrci`.
    pub rs1: u8,
    /// Second source register, 0 to 31.
    pub rs2: u8,
    /// Third source register, 0 to 31.
    pub rs3: u8,
    /// Rounding mode: 0 to 4, or 7 for the one in `frm`. For atomics the ordering: bit 0 release, bit 1
    /// acquire.
    pub rm: u8,
    /// Bytes in memory: 2 or 4.
    pub length: u8,
    /// Immediate operand, sign-extended and scaled to bytes; the number of a CSR (0 to 4095).
    pub imm: i32,
    /// The bits in memory, zero-extended: what `mtval` shows if the instruction turns out illegal.
    pub bits: u32,
}

// Four to a cache line.
const _: () = assert!(size_of::<Insn>() == 16);

impl Insn {
    /// `op` with all operands zero. To be filled in and given its [`Insn::bits`] by
    /// [`Insn::assembled`].
    #[must_use]
    pub const fn new(op: Op) -> Self {
        Self {
            op,
            rd: 0,
            rs1: 0,
            rs2: 0,
            rs3: 0,
            rm: 0,
            length: 4,
            imm: 0,
            bits: 0,
        }
    }

    /// The illegal instruction of `length` bytes that `bits` are.
    #[must_use]
    pub const fn illegal(bits: u32, length: u8) -> Self {
        Self {
            length,
            bits,
            ..Self::new(Op::Illegal)
        }
    }

    /// Bytes of the instruction that starts with the half-word `low`: 2 or 4. Longer encodings are
    /// reserved; they are taken for illegal instructions of 4 bytes.
    #[must_use]
    pub const fn length_of(low: u16) -> u8 {
        if low & 3 == 3 { 4 } else { 2 }
    }

    /// Whether the destination is x0, in either spelling.
    #[inline(always)]
    #[must_use]
    pub const fn discards_result(&self) -> bool {
        self.rd & 31 == 0
    }

    /// The number of the CSR that a CSR instruction accesses, 0 to 4095.
    #[inline(always)]
    #[must_use]
    pub const fn csr(&self) -> u16 {
        (self.imm & 0xfff) as u16
    }
}
