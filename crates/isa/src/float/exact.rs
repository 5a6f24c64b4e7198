//! Arithmetic on integers, exact for every operand and rounding mode.
//!
//! The functions of [`super`] give the same results sooner; these are their fallback and the measure
//! they are tested against.

use super::round::{
    Number, Operand, infinity, invalid, is_negative, nan_of, round, shift_right_sticky, unpack,
    zero,
};
use super::{Flags, Format, Rounding};

/// A number with twice the precision: `significand * 2^(exponent - 126)`, with bit 126 set. Bit 127
/// is room for the carry of one addition.
#[derive(Clone, Copy)]
struct Wide {
    negative: bool,
    exponent: i32,
    significand: u128,
}

impl Wide {
    fn of(number: Number) -> Wide {
        Wide {
            negative: number.negative,
            exponent: number.exponent,
            significand: u128::from(number.significand) << 63,
        }
    }

    /// The exact product. Operands have at most 53 significant bits, so that the shift loses none.
    fn product(a: Number, b: Number) -> Wide {
        let product = u128::from(a.significand) * u128::from(b.significand);
        let carry = (product >> 127) as u32;
        Wide {
            negative: a.negative != b.negative,
            exponent: a.exponent + b.exponent + carry as i32,
            significand: product >> carry,
        }
    }

    /// Half the precision, with bit 0 sticky, from any significand but zero.
    fn narrow(self) -> Number {
        let leading = self.significand.leading_zeros();
        let aligned = self.significand << leading;
        Number {
            negative: self.negative,
            exponent: self.exponent + 1 - leading as i32,
            significand: (aligned >> 64) as u64 | u64::from(aligned as u64 != 0),
        }
    }
}

/// The sum of two numbers that each have at least two zero bits at the low end of the significand:
/// then a sticky bit 0 is never reached by cancellation, which takes more than one bit only
/// when the exponents differ by at most one and nothing was shifted out.
fn sum<F: Format>(a: Wide, b: Wide, rm: Rounding, flags: &mut Flags) -> u64 {
    let (large, small) = if (a.exponent, a.significand) >= (b.exponent, b.significand) {
        (a, b)
    } else {
        (b, a)
    };
    let aligned = shift_right_sticky(small.significand, large.exponent.abs_diff(small.exponent));
    let significand = if large.negative == small.negative {
        large.significand + aligned
    } else {
        large.significand - aligned
    };
    if significand == 0 {
        return zero::<F>(rm == Rounding::Down);
    }
    round::<F>(
        Wide {
            significand,
            ..large
        }
        .narrow(),
        rm,
        flags,
    )
}

/// The sum of two zeros.
fn zero_sum<F: Format>(a_negative: bool, b_negative: bool, rm: Rounding) -> u64 {
    zero::<F>(if a_negative == b_negative {
        a_negative
    } else {
        rm == Rounding::Down
    })
}

/// `a + b`.
pub fn add<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    let (a, b) = (F::widen(a), F::widen(b));
    if let Some(nan) = nan_of::<F, 2>([a, b], flags) {
        return F::narrow(nan);
    }
    F::narrow(match (unpack::<F>(a), unpack::<F>(b)) {
        (Operand::Finite(a), Operand::Finite(b)) => sum::<F>(Wide::of(a), Wide::of(b), rm, flags),
        (Operand::Infinite, Operand::Infinite) if a != b => invalid::<F>(flags),
        (Operand::Infinite, _) => a,
        (_, Operand::Infinite) => b,
        (Operand::Zero, Operand::Zero) => {
            zero_sum::<F>(is_negative::<F>(a), is_negative::<F>(b), rm)
        }
        (Operand::Zero, _) => b,
        (_, Operand::Zero) => a,
    })
}

/// `a - b`.
pub fn sub<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    add::<F>(a, F::negate(b), rm, flags)
}

/// `a * b`.
pub fn mul<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    let (a, b) = (F::widen(a), F::widen(b));
    if let Some(nan) = nan_of::<F, 2>([a, b], flags) {
        return F::narrow(nan);
    }
    let negative = is_negative::<F>(a ^ b);
    F::narrow(match (unpack::<F>(a), unpack::<F>(b)) {
        (Operand::Finite(a), Operand::Finite(b)) => {
            round::<F>(Wide::product(a, b).narrow(), rm, flags)
        }
        (Operand::Infinite, Operand::Zero) | (Operand::Zero, Operand::Infinite) => {
            invalid::<F>(flags)
        }
        (Operand::Infinite, _) | (_, Operand::Infinite) => infinity::<F>(negative),
        (Operand::Zero, _) | (_, Operand::Zero) => zero::<F>(negative),
    })
}

/// `a / b`.
pub fn div<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    let (a, b) = (F::widen(a), F::widen(b));
    if let Some(nan) = nan_of::<F, 2>([a, b], flags) {
        return F::narrow(nan);
    }
    let negative = is_negative::<F>(a ^ b);
    F::narrow(match (unpack::<F>(a), unpack::<F>(b)) {
        (Operand::Finite(a), Operand::Finite(b)) => round::<F>(quotient(a, b), rm, flags),
        (Operand::Infinite, Operand::Infinite) | (Operand::Zero, Operand::Zero) => {
            invalid::<F>(flags)
        }
        (Operand::Infinite, _) => infinity::<F>(negative),
        (Operand::Zero, _) | (_, Operand::Infinite) => zero::<F>(negative),
        (_, Operand::Zero) => {
            flags.insert(Flags::DZ);
            infinity::<F>(negative)
        }
    })
}

fn quotient(a: Number, b: Number) -> Number {
    // The larger the dividend, the shorter the shift: the quotient always has its top bit at 63.
    let borrow = u32::from(a.significand < b.significand);
    let dividend = u128::from(a.significand) << (63 + borrow);
    let divisor = u128::from(b.significand);
    let quotient = dividend / divisor;
    Number {
        negative: a.negative != b.negative,
        exponent: a.exponent - b.exponent - borrow as i32,
        significand: quotient as u64 | u64::from(quotient * divisor != dividend),
    }
}

/// The square root of `a`.
pub fn sqrt<F: Format>(a: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    let a = F::widen(a);
    if let Some(nan) = nan_of::<F, 1>([a], flags) {
        return F::narrow(nan);
    }
    F::narrow(match unpack::<F>(a) {
        Operand::Zero => a,
        _ if is_negative::<F>(a) => invalid::<F>(flags),
        Operand::Infinite => a,
        Operand::Finite(number) => {
            // An even exponent halves exactly; the odd one goes into the radicand.
            let odd = (number.exponent & 1) as u32;
            let radicand = u128::from(number.significand) << (63 + odd);
            let root = radicand.isqrt();
            let root = Number {
                negative: false,
                exponent: number.exponent >> 1,
                significand: root as u64 | u64::from(root * root != radicand),
            };
            round::<F>(root, rm, flags)
        }
    })
}

/// `a * b + c`, rounded once.
pub fn fused_multiply_add<F: Format>(
    a: F::Bits,
    b: F::Bits,
    c: F::Bits,
    rm: Rounding,
    flags: &mut Flags,
) -> F::Bits {
    let (a, b, c) = (F::widen(a), F::widen(b), F::widen(c));
    if let Some(nan) = nan_of::<F, 3>([a, b, c], flags) {
        let magnitudes = [a & !F::SIGN, b & !F::SIGN];
        if magnitudes == [F::INFINITY, 0] || magnitudes == [0, F::INFINITY] {
            flags.insert(Flags::NV);
        }
        return F::narrow(nan);
    }
    let negative = is_negative::<F>(a ^ b);
    let addend = unpack::<F>(c);
    F::narrow(match (unpack::<F>(a), unpack::<F>(b)) {
        (Operand::Finite(a), Operand::Finite(b)) => {
            let product = Wide::product(a, b);
            match addend {
                Operand::Finite(addend) => sum::<F>(product, Wide::of(addend), rm, flags),
                Operand::Infinite => c,
                Operand::Zero => round::<F>(product.narrow(), rm, flags),
            }
        }
        (Operand::Infinite, Operand::Zero) | (Operand::Zero, Operand::Infinite) => {
            invalid::<F>(flags)
        }
        (Operand::Infinite, _) | (_, Operand::Infinite) => match addend {
            Operand::Infinite if is_negative::<F>(c) != negative => invalid::<F>(flags),
            _ => infinity::<F>(negative),
        },
        (Operand::Zero, _) | (_, Operand::Zero) => match addend {
            Operand::Zero => zero_sum::<F>(negative, is_negative::<F>(c), rm),
            _ => c,
        },
    })
}
