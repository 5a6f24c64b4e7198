//! The instructions on floats: SSE2, and the fused ones. Scalars are in the low bits of a register.

use isa::Precision;

use super::code::{Asm, B32, B64, Bits, Form, Mem, Reg, Rm};

/// A float register, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Xmm(pub(in super::super) u8);

pub(in super::super) const XMM0: Xmm = Xmm(0);
pub(in super::super) const XMM1: Xmm = Xmm(1);
pub(in super::super) const XMM2: Xmm = Xmm(2);

/// As an operand of an instruction that knows by itself that it is a float register.
impl From<Xmm> for Rm {
    fn from(xmm: Xmm) -> Rm {
        Rm::Reg(Reg(xmm.0))
    }
}

/// Arithmetic, by its opcode. Bits above the scalar stay as they are in the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Scalar {
    SquareRoot = 0x51,
    Add = 0x58,
    Multiply = 0x59,
    Subtract = 0x5c,
    Minimum = 0x5d,
    Divide = 0x5e,
    Maximum = 0x5f,
}

/// Fused arithmetic, by the low half of its opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fused {
    MultiplyAdd = 0x9,
    MultiplySubtract = 0xb,
    NegatedMultiplyAdd = 0xd,
    NegatedMultiplySubtract = 0xf,
}

/// What is multiplied and what is added, by the high half of the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Order {
    /// `dst = middle × dst + src`.
    AddSource = 0xa0,
    /// `dst = middle × src + dst`.
    AddDestination = 0xb0,
}

/// Where to round to, by its number in the immediate operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Direction {
    Down = 1,
    Up = 2,
}

/// On whole registers, by their opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Logic {
    And = 0x54,
    Or = 0x56,
    Xor = 0x57,
}

fn scalar_prefix(precision: Precision) -> Option<u8> {
    Some(match precision {
        Precision::Single => 0xf3,
        Precision::Double => 0xf2,
    })
}

impl Asm {
    fn sse(&mut self, prefix: Option<u8>, bits: Bits, opcode: u8, reg: u8, rm: Rm) {
        let form = Form {
            prefix,
            wide: bits == B64,
            low_byte: false,
            opcode: &[0x0f, opcode],
        };
        self.modrm(form, reg, rm, 0);
    }

    /// `dst = dst op src`; of the square root: `dst = √src`.
    pub(in super::super) fn scalar(
        &mut self,
        op: Scalar,
        precision: Precision,
        dst: Xmm,
        src: impl Into<Rm>,
    ) {
        self.sse(scalar_prefix(precision), B32, op as u8, dst.0, src.into());
    }

    /// `dst = ±(… × …) ± …`, rounded once. The host must have it.
    pub(in super::super) fn fused(
        &mut self,
        op: Fused,
        order: Order,
        precision: Precision,
        dst: Xmm,
        middle: Xmm,
        src: impl Into<Rm>,
    ) {
        let src = src.into();
        let (base, index) = match src {
            Rm::Reg(base) => (base.0, 0),
            Rm::Mem(mem) => (mem.base.0, mem.index.map_or(0, |(index, _)| index.0)),
            Rm::Code(_) => (0, 0),
        };
        let high = dst.0 >> 3 << 7 | index >> 3 << 6 | base >> 3 << 5;
        let wide = u8::from(precision == Precision::Double) << 7;
        self.bytes(&[
            0xc4,
            high ^ 0xe0 | 2,
            wide | (middle.0 ^ 15) << 3 | 1,
            order as u8 | op as u8,
        ]);
        self.operand(dst.0, src, 0);
    }

    /// Compares: "below" if `a < b`, "parity" if one is a NaN, and then also "below" and "equal". Invalid if one
    /// is a NaN, when `quiet` only if it is a signalling one.
    pub(in super::super) fn compare_scalars(
        &mut self,
        quiet: bool,
        precision: Precision,
        a: Xmm,
        b: impl Into<Rm>,
    ) {
        let prefix = (precision == Precision::Double).then_some(0x66);
        let opcode = if quiet { 0x2e } else { 0x2f };
        self.sse(prefix, B32, opcode, a.0, b.into());
    }

    /// Copies a whole register.
    pub(in super::super) fn mov_xmm(&mut self, dst: Xmm, src: Xmm) {
        self.sse(None, B32, 0x28, dst.0, src.into());
    }

    /// `dst = dst op src`, all 128 bits. A place in memory must be aligned.
    pub(in super::super) fn logic(&mut self, op: Logic, dst: Xmm, src: impl Into<Rm>) {
        self.sse(None, B32, op as u8, dst.0, src.into());
    }

    /// Sets all bits.
    pub(in super::super) fn set_ones(&mut self, dst: Xmm) {
        self.sse(Some(0x66), B32, 0x76, dst.0, dst.into());
    }

    /// Loads a scalar; the bits above become 0.
    pub(in super::super) fn load_scalar(&mut self, precision: Precision, dst: Xmm, src: Mem) {
        self.sse(scalar_prefix(precision), B32, 0x10, dst.0, src.into());
    }

    pub(in super::super) fn store_scalar(&mut self, precision: Precision, dst: Mem, src: Xmm) {
        self.sse(scalar_prefix(precision), B32, 0x11, src.0, dst.into());
    }

    /// Copies the lowest 32 bits only.
    pub(in super::super) fn merge_single(&mut self, dst: Xmm, src: Xmm) {
        self.sse(
            scalar_prefix(Precision::Single),
            B32,
            0x10,
            dst.0,
            src.into(),
        );
    }

    /// `dst` = bits of a general register or in memory; those above become 0.
    pub(in super::super) fn bits_to_xmm(&mut self, bits: Bits, dst: Xmm, src: impl Into<Rm>) {
        self.sse(Some(0x66), bits, 0x6e, dst.0, src.into());
    }

    /// `dst` = the low bits of `src`.
    pub(in super::super) fn bits_from_xmm(&mut self, bits: Bits, dst: Reg, src: Xmm) {
        self.sse(Some(0x66), bits, 0x7e, src.0, dst.into());
    }

    /// `dst` = the scalar `src`, which is of the other precision.
    pub(in super::super) fn convert_to(
        &mut self,
        precision: Precision,
        dst: Xmm,
        src: impl Into<Rm>,
    ) {
        let from = match precision {
            Precision::Single => Precision::Double,
            Precision::Double => Precision::Single,
        };
        self.sse(scalar_prefix(from), B32, 0x5a, dst.0, src.into());
    }

    /// `dst` = a signed integer, of which only the scalar bits of `dst` change.
    pub(in super::super) fn convert_from_integer(
        &mut self,
        precision: Precision,
        bits: Bits,
        dst: Xmm,
        src: impl Into<Rm>,
    ) {
        self.sse(scalar_prefix(precision), bits, 0x2a, dst.0, src.into());
    }

    /// `dst` = the scalar as a signed integer, towards zero or to the nearest even; the lowest integer if
    /// there is none.
    pub(in super::super) fn convert_to_integer(
        &mut self,
        toward_zero: bool,
        precision: Precision,
        bits: Bits,
        dst: Reg,
        src: impl Into<Rm>,
    ) {
        let opcode = if toward_zero { 0x2c } else { 0x2d };
        self.sse(scalar_prefix(precision), bits, opcode, dst.0, src.into());
    }

    /// `dst` = `src` rounded to an integral value, which is never inexact. The host must have it.
    pub(in super::super) fn round_quietly(
        &mut self,
        direction: Direction,
        precision: Precision,
        dst: Xmm,
        src: impl Into<Rm>,
    ) {
        let form = Form {
            prefix: Some(0x66),
            wide: false,
            low_byte: false,
            opcode: match precision {
                Precision::Single => &[0x0f, 0x3a, 0x0a],
                Precision::Double => &[0x0f, 0x3a, 0x0b],
            },
        };
        self.modrm(form, dst.0, src.into(), 1);
        self.byte(direction as u8 | 8);
    }
}
