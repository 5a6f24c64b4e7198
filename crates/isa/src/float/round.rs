//! Taking a value apart, and rounding an exact result into a format.

use super::{Flags, Format, Rounding};

/// A finite number other than zero: `significand * 2^(exponent - 63)`, with bit 63 set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    pub(super) negative: bool,
    pub(super) exponent: i32,
    pub(super) significand: u64,
}

/// What an operand is, NaNs aside.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand {
    Zero,
    Infinite,
    Finite(Number),
}

pub(super) fn is_negative<F: Format>(bits: u64) -> bool {
    bits & F::SIGN != 0
}

pub(super) fn is_nan<F: Format>(bits: u64) -> bool {
    bits & !F::SIGN > F::INFINITY
}

pub(super) fn is_signalling<F: Format>(bits: u64) -> bool {
    is_nan::<F>(bits) && bits & F::QUIET == 0
}

pub(super) fn infinity<F: Format>(negative: bool) -> u64 {
    F::INFINITY | zero::<F>(negative)
}

pub(super) fn zero<F: Format>(negative: bool) -> u64 {
    if negative { F::SIGN } else { 0 }
}

/// The canonical NaN of an invalid operation.
pub(super) fn invalid<F: Format>(flags: &mut Flags) -> u64 {
    flags.insert(Flags::NV);
    F::NAN
}

/// The canonical NaN if any operand is a NaN, invalid if one of them is signalling.
pub(super) fn nan_of<F: Format, const N: usize>(
    operands: [u64; N],
    flags: &mut Flags,
) -> Option<u64> {
    if !operands.iter().any(|&bits| is_nan::<F>(bits)) {
        return None;
    }
    if operands.iter().any(|&bits| is_signalling::<F>(bits)) {
        flags.insert(Flags::NV);
    }
    Some(F::NAN)
}

/// Takes apart a value that is no NaN.
#[inline]
pub(super) fn unpack<F: Format>(bits: u64) -> Operand {
    let negative = is_negative::<F>(bits);
    let biased = ((bits & !F::SIGN) >> F::FRACTION_BITS) as i32;
    let fraction = (bits & F::FRACTION_MASK) << (63 - F::FRACTION_BITS);
    if biased == F::EXPONENT_MAX {
        Operand::Infinite
    } else if biased != 0 {
        Operand::Finite(Number {
            negative,
            exponent: biased - F::BIAS,
            significand: fraction | 1 << 63,
        })
    } else if fraction != 0 {
        let leading = fraction.leading_zeros();
        Operand::Finite(Number {
            negative,
            exponent: 1 - F::BIAS - leading as i32,
            significand: fraction << leading,
        })
    } else {
        Operand::Zero
    }
}

/// Shifts right; any lost bit leaves its trace in bit 0, which decides ties and exactness.
#[inline]
pub(super) fn shift_right_sticky(value: u128, shift: u32) -> u128 {
    match shift {
        0 => value,
        1..=127 => value >> shift | u128::from(value << (128 - shift) != 0),
        _ => u128::from(value != 0),
    }
}

/// Drops the low `extra` bits (1 to 63) of a magnitude; says whether they held anything.
#[inline]
pub(super) fn round_off(value: u64, extra: u32, negative: bool, rm: Rounding) -> (u64, bool) {
    let kept = value >> extra;
    // Left-aligned, so that one half is the same constant for every width.
    let rest = value << (64 - extra);
    (
        kept + u64::from(rounds_up(kept, rest, negative, rm)),
        rest != 0,
    )
}

/// Whether a magnitude `kept + rest / 2^64` rounds to `kept + 1`.
#[inline]
pub(super) fn rounds_up(kept: u64, rest: u64, negative: bool, rm: Rounding) -> bool {
    const HALF: u64 = 1 << 63;
    match rm {
        Rounding::NearestEven => rest > HALF || (rest == HALF && kept & 1 == 1),
        Rounding::TowardZero => false,
        Rounding::Down => negative && rest != 0,
        Rounding::Up => !negative && rest != 0,
        Rounding::NearestMaxMagnitude => rest >= HALF,
    }
}

/// Rounds a number, whose bit 0 may be sticky, and adds the flags OF, UF and NX as they arise.
#[inline]
pub(super) fn round<F: Format>(number: Number, rm: Rounding, flags: &mut Flags) -> u64 {
    let Number {
        negative,
        exponent,
        significand,
    } = number;
    let extra = 63 - F::FRACTION_BITS;
    let biased = exponent + F::BIAS;
    if biased >= F::EXPONENT_MAX {
        return overflow::<F>(negative, rm, flags);
    }
    let (rounded, inexact) = round_off(significand, extra, negative, rm);
    let magnitude = if biased >= 1 {
        // The leading bit of the significand adds the one that is missing in the exponent, and so
        // does a carry out of the rounding.
        let magnitude = ((biased as u64 - 1) << F::FRACTION_BITS) + rounded;
        if magnitude >= F::INFINITY {
            return overflow::<F>(negative, rm, flags);
        }
        if inexact {
            flags.insert(Flags::NX);
        }
        magnitude
    } else {
        // Tiny, unless rounding without a bound on the exponent reaches the smallest normal number.
        let tiny = biased < 0 || rounded >> (F::FRACTION_BITS + 1) == 0;
        let shifted = shift_right_sticky(significand.into(), (1 - biased) as u32) as u64;
        let (magnitude, inexact) = round_off(shifted, extra, negative, rm);
        if inexact {
            flags.insert(Flags::NX);
            if tiny {
                flags.insert(Flags::UF);
            }
        }
        magnitude
    };
    zero::<F>(negative) | magnitude
}

#[cold]
fn overflow<F: Format>(negative: bool, rm: Rounding, flags: &mut Flags) -> u64 {
    flags.insert(Flags::OF);
    flags.insert(Flags::NX);
    let to_infinity = match rm {
        Rounding::NearestEven | Rounding::NearestMaxMagnitude => true,
        Rounding::TowardZero => false,
        Rounding::Down => negative,
        Rounding::Up => !negative,
    };
    // The largest finite number precedes infinity.
    infinity::<F>(negative) - u64::from(!to_infinity)
}
