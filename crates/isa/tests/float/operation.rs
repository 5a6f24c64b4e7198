//! The instructions of F and D that compute, by number, so that a record can name one.

use isa::float::{self, F32, F64, Flags, Format, Rounding};

/// One arithmetic instruction of either format. The numbers are those of tests/guest/float.c.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add = 0,
    Sub = 1,
    Mul = 2,
    Div = 3,
    Sqrt = 4,
    MultiplyAdd = 5,
    MultiplySub = 6,
    NegatedMultiplySub = 7,
    NegatedMultiplyAdd = 8,
    Min = 9,
    Max = 10,
    Equal = 11,
    Less = 12,
    LessOrEqual = 13,
    Classify = 14,
    ToI32 = 15,
    ToU32 = 16,
    ToI64 = 17,
    ToU64 = 18,
    FromI32 = 19,
    FromU32 = 20,
    FromI64 = 21,
    FromU64 = 22,
    /// To the other format.
    Convert = 23,
}

impl Operation {
    pub(crate) const ALL: [Operation; 24] = [
        Operation::Add,
        Operation::Sub,
        Operation::Mul,
        Operation::Div,
        Operation::Sqrt,
        Operation::MultiplyAdd,
        Operation::MultiplySub,
        Operation::NegatedMultiplySub,
        Operation::NegatedMultiplyAdd,
        Operation::Min,
        Operation::Max,
        Operation::Equal,
        Operation::Less,
        Operation::LessOrEqual,
        Operation::Classify,
        Operation::ToI32,
        Operation::ToU32,
        Operation::ToI64,
        Operation::ToU64,
        Operation::FromI32,
        Operation::FromU32,
        Operation::FromI64,
        Operation::FromU64,
        Operation::Convert,
    ];

    pub(crate) fn takes_integer(self) -> bool {
        (Operation::FromI32 as u8..=Operation::FromU64 as u8).contains(&(self as u8))
    }

    pub(crate) fn is_fused(self) -> bool {
        (Operation::MultiplyAdd as u8..=Operation::NegatedMultiplyAdd as u8).contains(&(self as u8))
    }

    /// Executes in the format `F`. A result narrower than 64 bits is zero-extended if it is a float,
    /// sign-extended if it is an integer.
    pub(crate) fn run<F: Format>(self, operands: [u64; 3], rm: Rounding, flags: &mut Flags) -> u64 {
        let [a, b, c] = operands.map(F::narrow);
        let integer = operands[0];
        let float = |bits: F::Bits| F::widen(bits);
        match self {
            Operation::Add => float(float::add::<F>(a, b, rm, flags)),
            Operation::Sub => float(float::sub::<F>(a, b, rm, flags)),
            Operation::Mul => float(float::mul::<F>(a, b, rm, flags)),
            Operation::Div => float(float::div::<F>(a, b, rm, flags)),
            Operation::Sqrt => float(float::sqrt::<F>(a, rm, flags)),
            Operation::MultiplyAdd => float(float::fused_multiply_add::<F>(a, b, c, rm, flags)),
            Operation::MultiplySub => float(float::fused_multiply_add::<F>(
                a,
                b,
                F::negate(c),
                rm,
                flags,
            )),
            Operation::NegatedMultiplySub => float(float::fused_multiply_add::<F>(
                F::negate(a),
                b,
                c,
                rm,
                flags,
            )),
            Operation::NegatedMultiplyAdd => float(float::fused_multiply_add::<F>(
                F::negate(a),
                b,
                F::negate(c),
                rm,
                flags,
            )),
            Operation::Min => float(float::min::<F>(a, b, flags)),
            Operation::Max => float(float::max::<F>(a, b, flags)),
            Operation::Equal => float::equal::<F>(a, b, flags).into(),
            Operation::Less => float::less::<F>(a, b, flags).into(),
            Operation::LessOrEqual => float::less_or_equal::<F>(a, b, flags).into(),
            Operation::Classify => float::classify::<F>(a).into(),
            Operation::ToI32 => i64::from(float::to_i32::<F>(a, rm, flags)) as u64,
            Operation::ToU32 => i64::from(float::to_u32::<F>(a, rm, flags) as i32) as u64,
            Operation::ToI64 => float::to_i64::<F>(a, rm, flags) as u64,
            Operation::ToU64 => float::to_u64::<F>(a, rm, flags),
            Operation::FromI32 => float(float::from_i32::<F>(integer as i32, rm, flags)),
            Operation::FromU32 => float(float::from_u32::<F>(integer as u32, rm, flags)),
            Operation::FromI64 => float(float::from_i64::<F>(integer as i64, rm, flags)),
            Operation::FromU64 => float(float::from_u64::<F>(integer, rm, flags)),
            Operation::Convert if F::FRACTION_BITS == F32::FRACTION_BITS => {
                float::convert::<F, F64>(a, rm, flags)
            }
            Operation::Convert => float::convert::<F, F32>(a, rm, flags).into(),
        }
    }
}
