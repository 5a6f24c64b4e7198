//! Conversions between the formats, and to and from integers.

use super::round::{
    Number, Operand, infinity, is_nan, is_negative, nan_of, round, rounds_up, shift_right_sticky,
    unpack, zero,
};
use super::{Flags, Format, Rounding};

/// The value in another format (`fcvt.s.d`, `fcvt.d.s`). Widening is exact.
#[inline]
pub fn convert<From: Format, To: Format>(
    a: From::Bits,
    rm: Rounding,
    flags: &mut Flags,
) -> To::Bits {
    let a = From::widen(a);
    if nan_of::<From, 1>([a], flags).is_some() {
        return To::narrow(To::NAN);
    }
    let negative = is_negative::<From>(a);
    To::narrow(match unpack::<From>(a) {
        Operand::Zero => zero::<To>(negative),
        Operand::Infinite => infinity::<To>(negative),
        Operand::Finite(number) => round::<To>(number, rm, flags),
    })
}

/// The nearest `i32` in the direction of `rm` (`fcvt.w`). Out of range: the nearest bound, a NaN
/// counting as plus infinity, and invalid instead of inexact.
#[inline]
pub fn to_i32<F: Format>(a: F::Bits, rm: Rounding, flags: &mut Flags) -> i32 {
    to_integer::<F>(F::widen(a), 1 << 31, i32::MAX as u64, rm, flags) as i32
}

/// The nearest `u32` in the direction of `rm` (`fcvt.wu`), as [`to_i32`].
#[inline]
pub fn to_u32<F: Format>(a: F::Bits, rm: Rounding, flags: &mut Flags) -> u32 {
    to_integer::<F>(F::widen(a), 0, u32::MAX.into(), rm, flags) as u32
}

/// The nearest `i64` in the direction of `rm` (`fcvt.l`), as [`to_i32`].
#[inline]
pub fn to_i64<F: Format>(a: F::Bits, rm: Rounding, flags: &mut Flags) -> i64 {
    to_integer::<F>(F::widen(a), 1 << 63, i64::MAX as u64, rm, flags) as i64
}

/// The nearest `u64` in the direction of `rm` (`fcvt.lu`), as [`to_i32`].
#[inline]
pub fn to_u64<F: Format>(a: F::Bits, rm: Rounding, flags: &mut Flags) -> u64 {
    to_integer::<F>(F::widen(a), 0, u64::MAX, rm, flags)
}

/// The integer in two's complement, with the magnitudes of the lowest and the highest one allowed.
#[inline]
fn to_integer<F: Format>(
    bits: u64,
    lowest: u64,
    highest: u64,
    rm: Rounding,
    flags: &mut Flags,
) -> u64 {
    if is_nan::<F>(bits) {
        flags.insert(Flags::NV);
        return highest;
    }
    let negative = is_negative::<F>(bits);
    let bound = if negative { lowest } else { highest };
    let magnitude = match unpack::<F>(bits) {
        Operand::Zero => return 0,
        Operand::Finite(number) if number.exponent < 64 => {
            // A fixed point with 64 bits on either side.
            let significand = u128::from(number.significand) << 64;
            let fixed = shift_right_sticky(significand, (63 - number.exponent) as u32);
            let (kept, rest) = ((fixed >> 64) as u64, fixed as u64);
            let up = rounds_up(kept, rest, negative, rm);
            kept.checked_add(up.into())
                .filter(|&magnitude| magnitude <= bound)
                .map(|magnitude| (magnitude, rest != 0))
        }
        Operand::Finite(_) | Operand::Infinite => None,
    };
    let magnitude = match magnitude {
        Some((magnitude, inexact)) => {
            if inexact {
                flags.insert(Flags::NX);
            }
            magnitude
        }
        None => {
            flags.insert(Flags::NV);
            bound
        }
    };
    if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    }
}

/// The float nearest to an `i32` (`fcvt.s.w`, `fcvt.d.w`). Zero is +0.
#[inline]
pub fn from_i32<F: Format>(value: i32, rm: Rounding, flags: &mut Flags) -> F::Bits {
    from_i64::<F>(value.into(), rm, flags)
}

/// The float nearest to a `u32` (`fcvt.s.wu`, `fcvt.d.wu`).
#[inline]
pub fn from_u32<F: Format>(value: u32, rm: Rounding, flags: &mut Flags) -> F::Bits {
    from_u64::<F>(value.into(), rm, flags)
}

/// The float nearest to an `i64` (`fcvt.s.l`, `fcvt.d.l`). Zero is +0.
#[inline]
pub fn from_i64<F: Format>(value: i64, rm: Rounding, flags: &mut Flags) -> F::Bits {
    from_magnitude::<F>(value < 0, value.unsigned_abs(), rm, flags)
}

/// The float nearest to a `u64` (`fcvt.s.lu`, `fcvt.d.lu`).
#[inline]
pub fn from_u64<F: Format>(value: u64, rm: Rounding, flags: &mut Flags) -> F::Bits {
    from_magnitude::<F>(false, value, rm, flags)
}

fn from_magnitude<F: Format>(
    negative: bool,
    magnitude: u64,
    rm: Rounding,
    flags: &mut Flags,
) -> F::Bits {
    if magnitude == 0 {
        return F::narrow(0);
    }
    let leading = magnitude.leading_zeros();
    let number = Number {
        negative,
        exponent: 63 - leading as i32,
        significand: magnitude << leading,
    };
    F::narrow(round::<F>(number, rm, flags))
}
