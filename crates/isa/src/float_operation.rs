//! What the float operations compute, on whole register values: boxing here, arithmetic in
//! [`crate::float`].

use crate::float::{self, F32, F64, Flags, Format, Rounding};
use crate::operation::{box_single, unbox_single};

/// The format that a float operation works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// binary32, boxed in a register.
    Single,
    /// binary64.
    Double,
}

/// An operation that can raise float exceptions, or needs a rounding mode, or looks into a float.
/// `a`, `b` and `c` are its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatOp {
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// `a × b`.
    Multiply,
    /// `a ÷ b`.
    Divide,
    /// `√a`.
    SquareRoot,
    /// `a × b + c`, rounded once (`fmadd`).
    MultiplyAdd,
    /// `a × b - c`, rounded once (`fmsub`).
    MultiplySubtract,
    /// `-(a × b) + c`, rounded once (`fnmsub`).
    NegatedMultiplyAdd,
    /// `-(a × b) - c`, rounded once (`fnmadd`).
    NegatedMultiplySubtract,
    /// The smaller of `a` and `b`.
    Minimum,
    /// The larger of `a` and `b`.
    Maximum,
    /// `a` from the other precision; the precision of the operation is that of the result.
    Convert,
    /// 1 if `a = b`, quietly, else 0.
    Equal,
    /// 1 if `a < b`, else 0.
    Less,
    /// 1 if `a ≤ b`, else 0.
    LessOrEqual,
    /// The class of `a`, one bit of ten.
    Classify,
    /// `a` as a signed word, sign-extended.
    ToI32,
    /// `a` as an unsigned word, sign-extended.
    ToU32,
    /// `a` as a signed double-word.
    ToI64,
    /// `a` as an unsigned double-word.
    ToU64,
    /// The float of the signed low word of `a`.
    FromI32,
    /// The float of the unsigned low word of `a`.
    FromU32,
    /// The float of the signed double-word `a`.
    FromI64,
    /// The float of the unsigned double-word `a`.
    FromU64,
}

/// The rounding mode of an instruction whose `rm` field is `rm`, while that of `fcsr` is `frm`; none if
/// the instruction is illegal for it.
#[inline]
#[must_use]
pub fn effective_rounding(rm: u8, frm: u8) -> Option<Rounding> {
    Rounding::from_bits(if rm == 7 { frm } else { rm })
}

/// A format as registers hold it.
trait Register: Format {
    fn unpack(register: u64) -> Self::Bits;
    fn pack(bits: Self::Bits) -> u64;
    /// Converts a register that holds the other format.
    fn convert(other: u64, rounding: Rounding, flags: &mut Flags) -> Self::Bits;
}

impl Register for F32 {
    #[inline(always)]
    fn unpack(register: u64) -> u32 {
        unbox_single(register)
    }

    #[inline(always)]
    fn pack(bits: u32) -> u64 {
        box_single(bits)
    }

    #[inline(always)]
    fn convert(other: u64, rounding: Rounding, flags: &mut Flags) -> u32 {
        float::convert::<F64, F32>(other, rounding, flags)
    }
}

impl Register for F64 {
    #[inline(always)]
    fn unpack(register: u64) -> u64 {
        register
    }

    #[inline(always)]
    fn pack(bits: u64) -> u64 {
        bits
    }

    #[inline(always)]
    fn convert(other: u64, rounding: Rounding, flags: &mut Flags) -> u64 {
        float::convert::<F32, F64>(unbox_single(other), rounding, flags)
    }
}

impl FloatOp {
    /// The result, as the destination register holds it: an integer or a (boxed) float. Adds the
    /// exceptions to `flags`. Operands that the operation does not have are ignored, as is the
    /// rounding mode where nothing is rounded.
    #[inline]
    #[must_use]
    pub fn evaluate(
        self,
        precision: Precision,
        rounding: Rounding,
        operands: [u64; 3],
        flags: &mut Flags,
    ) -> u64 {
        match precision {
            Precision::Single => self.evaluate_in::<F32>(rounding, operands, flags),
            Precision::Double => self.evaluate_in::<F64>(rounding, operands, flags),
        }
    }

    #[inline]
    fn evaluate_in<F: Register>(
        self,
        rounding: Rounding,
        operands: [u64; 3],
        flags: &mut Flags,
    ) -> u64 {
        let raw = operands[0];
        let [a, b, c] = operands.map(F::unpack);
        let float = match self {
            FloatOp::Add => float::add::<F>(a, b, rounding, flags),
            FloatOp::Subtract => float::sub::<F>(a, b, rounding, flags),
            FloatOp::Multiply => float::mul::<F>(a, b, rounding, flags),
            FloatOp::Divide => float::div::<F>(a, b, rounding, flags),
            FloatOp::SquareRoot => float::sqrt::<F>(a, rounding, flags),
            FloatOp::MultiplyAdd => float::fused_multiply_add::<F>(a, b, c, rounding, flags),
            FloatOp::MultiplySubtract => {
                float::fused_multiply_add::<F>(a, b, F::negate(c), rounding, flags)
            }
            FloatOp::NegatedMultiplyAdd => {
                float::fused_multiply_add::<F>(F::negate(a), b, c, rounding, flags)
            }
            FloatOp::NegatedMultiplySubtract => {
                float::fused_multiply_add::<F>(F::negate(a), b, F::negate(c), rounding, flags)
            }
            FloatOp::Minimum => float::min::<F>(a, b, flags),
            FloatOp::Maximum => float::max::<F>(a, b, flags),
            FloatOp::Convert => F::convert(raw, rounding, flags),
            FloatOp::FromI32 => float::from_i32::<F>((raw as u32).cast_signed(), rounding, flags),
            FloatOp::FromU32 => float::from_u32::<F>(raw as u32, rounding, flags),
            FloatOp::FromI64 => float::from_i64::<F>(raw.cast_signed(), rounding, flags),
            FloatOp::FromU64 => float::from_u64::<F>(raw, rounding, flags),

            FloatOp::Equal => return u64::from(float::equal::<F>(a, b, flags)),
            FloatOp::Less => return u64::from(float::less::<F>(a, b, flags)),
            FloatOp::LessOrEqual => return u64::from(float::less_or_equal::<F>(a, b, flags)),
            FloatOp::Classify => return u64::from(float::classify::<F>(a)),
            FloatOp::ToI32 => return word(float::to_i32::<F>(a, rounding, flags)),
            FloatOp::ToU32 => {
                return word(float::to_u32::<F>(a, rounding, flags).cast_signed());
            }
            FloatOp::ToI64 => return float::to_i64::<F>(a, rounding, flags).cast_unsigned(),
            FloatOp::ToU64 => return float::to_u64::<F>(a, rounding, flags),
        };
        F::pack(float)
    }
}

fn word(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}
