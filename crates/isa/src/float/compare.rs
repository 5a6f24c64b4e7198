//! Minimum, maximum, comparisons, and the class of a value.

use super::round::{invalid, is_nan, is_negative, is_signalling};
use super::{Flags, Format};

/// The smaller operand (`fmin`), where -0 is below +0. A NaN loses against a number; two NaNs give the
/// canonical one. A signalling NaN is invalid.
pub fn min<F: Format>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> F::Bits {
    select::<F>(a, b, false, flags)
}

/// The larger operand (`fmax`), where -0 is below +0. NaNs are treated as in [`min`].
pub fn max<F: Format>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> F::Bits {
    select::<F>(a, b, true, flags)
}

fn select<F: Format>(a: F::Bits, b: F::Bits, larger: bool, flags: &mut Flags) -> F::Bits {
    let (wide_a, wide_b) = (F::widen(a), F::widen(b));
    if is_signalling::<F>(wide_a) || is_signalling::<F>(wide_b) {
        flags.insert(Flags::NV);
    }
    match (is_nan::<F>(wide_a), is_nan::<F>(wide_b)) {
        (true, true) => F::narrow(F::NAN),
        (true, false) => b,
        (false, true) => a,
        (false, false) => {
            let a_first = key::<F>(wide_a) <= key::<F>(wide_b);
            if a_first != larger { a } else { b }
        }
    }
}

/// An integer in the order of the numbers, with -0 next below +0.
#[inline]
fn key<F: Format>(bits: u64) -> i64 {
    let magnitude = (bits & !F::SIGN) as i64;
    if is_negative::<F>(bits) {
        !magnitude
    } else {
        magnitude
    }
}

/// `a == b` (`feq`). Quiet: only a signalling NaN is invalid.
#[inline]
pub fn equal<F: Format>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> bool {
    let (a, b) = (F::widen(a), F::widen(b));
    if is_nan::<F>(a) || is_nan::<F>(b) {
        if is_signalling::<F>(a) || is_signalling::<F>(b) {
            flags.insert(Flags::NV);
        }
        return false;
    }
    a == b || are_zeros::<F>(a, b)
}

/// `a < b` (`flt`). Signalling: any NaN is invalid.
#[inline]
pub fn less<F: Format>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> bool {
    let (a, b) = (F::widen(a), F::widen(b));
    if is_nan::<F>(a) || is_nan::<F>(b) {
        invalid::<F>(flags);
        return false;
    }
    key::<F>(a) < key::<F>(b) && !are_zeros::<F>(a, b)
}

/// `a <= b` (`fle`). Signalling: any NaN is invalid.
#[inline]
pub fn less_or_equal<F: Format>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> bool {
    let (a, b) = (F::widen(a), F::widen(b));
    if is_nan::<F>(a) || is_nan::<F>(b) {
        invalid::<F>(flags);
        return false;
    }
    key::<F>(a) <= key::<F>(b) || are_zeros::<F>(a, b)
}

#[inline]
fn are_zeros<F: Format>(a: u64, b: u64) -> bool {
    (a | b) & !F::SIGN == 0
}

/// The class of a value as a mask with one bit set (`fclass`): from bit 0, -infinity, negative
/// normal, negative subnormal, -0, +0, positive subnormal, positive normal, +infinity, signalling NaN,
/// quiet NaN.
pub fn classify<F: Format>(a: F::Bits) -> u16 {
    let bits = F::widen(a);
    let magnitude = bits & !F::SIGN;
    if is_nan::<F>(bits) {
        return if is_signalling::<F>(bits) {
            1 << 8
        } else {
            1 << 9
        };
    }
    let distance = if magnitude == 0 {
        0
    } else if magnitude <= F::FRACTION_MASK {
        1
    } else if magnitude < F::INFINITY {
        2
    } else {
        3
    };
    1 << if is_negative::<F>(bits) {
        3 - distance
    } else {
        4 + distance
    }
}
