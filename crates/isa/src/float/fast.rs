//! Round-to-nearest-even on the host's floating point, where only NX can arise.
//!
//! Each function returns `None` unless the host's result is a number that neither overflowed nor can
//! have underflowed. A result with a NaN or infinite operand, or a division by zero, is an infinity, a NaN
//! or a zero, and refused by the same test of the result's exponent.

use super::{Flags, Format};

fn exponent<F: Format>(bits: u64) -> i32 {
    ((bits & !F::SIGN) >> F::FRACTION_BITS) as i32
}

/// Not rounded from or to a subnormal number or zero, and at least a factor of two from overflow.
fn is_safe<F: Format>(result: u64) -> bool {
    (2..F::EXPONENT_MAX - 1).contains(&exponent::<F>(result))
}

fn is_normal<F: Format>(bits: u64) -> bool {
    (1..F::EXPONENT_MAX).contains(&exponent::<F>(bits))
}

/// The significand of a normal number, with its leading bit.
fn significand<F: Format>(bits: u64) -> u128 {
    (bits & F::FRACTION_MASK | 1 << F::FRACTION_BITS).into()
}

#[inline]
fn accrue(inexact: bool, flags: &mut Flags) {
    flags.insert(if inexact { Flags::NX } else { Flags::default() });
}

/// Subnormal sums are exact, hence only the upper end needs care. `a + b = sum + error` holds exactly
/// (Knuth's TwoSum) as long as nothing overflows.
#[inline]
pub(super) fn add<F: Format>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> Option<F::Bits> {
    let (a, b) = (F::value(F::widen(a)), F::value(F::widen(b)));
    let sum = a + b;
    let result = F::bits(sum);
    if exponent::<F>(result) >= F::EXPONENT_MAX - 1 {
        return None;
    }
    if !flags.contains(Flags::NX) {
        let shifted = sum - a;
        let error = (a - (sum - shifted)) + (b - shifted);
        accrue(error != F::value(0), flags);
    }
    Some(F::narrow(result))
}

#[inline]
pub(super) fn mul<F: Format>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> Option<F::Bits> {
    let (a, b) = (F::widen(a), F::widen(b));
    let result = F::bits(F::value(a) * F::value(b));
    if !is_safe::<F>(result) {
        return None;
    }
    if !flags.contains(Flags::NX) {
        if !is_normal::<F>(a) || !is_normal::<F>(b) {
            return None;
        }
        // The product has one bit more or less; those below the precision must be zero.
        let product = significand::<F>(a) * significand::<F>(b);
        let carry = (product >> (2 * F::FRACTION_BITS + 1)) as u32;
        let lost = product & ((1 << (F::FRACTION_BITS + carry)) - 1);
        accrue(lost != 0, flags);
    }
    Some(F::narrow(result))
}

#[inline]
pub(super) fn div<F: Format>(a: F::Bits, b: F::Bits, flags: &mut Flags) -> Option<F::Bits> {
    let (a, b) = (F::widen(a), F::widen(b));
    let result = F::bits(F::value(a) / F::value(b));
    if !is_safe::<F>(result) {
        return None;
    }
    if !flags.contains(Flags::NX) {
        if !is_normal::<F>(a) || !is_normal::<F>(b) {
            return None;
        }
        accrue(
            !is_product::<F>(a, significand::<F>(result) * significand::<F>(b)),
            flags,
        );
    }
    Some(F::narrow(result))
}

#[inline]
pub(super) fn sqrt<F: Format>(a: F::Bits, flags: &mut Flags) -> Option<F::Bits> {
    let a = F::widen(a);
    // A negative operand has its sign bit above the exponent.
    if !(1..F::EXPONENT_MAX as u64).contains(&(a >> F::FRACTION_BITS)) {
        return None;
    }
    let result = F::bits(F::sqrt(F::value(a)));
    if !flags.contains(Flags::NX) {
        let root = significand::<F>(result);
        accrue(!is_product::<F>(a, root * root), flags);
    }
    Some(F::narrow(result))
}

/// Whether the product of two significands is the significand of `a`, up to a power of two. The
/// power itself is right because the rounded result is.
fn is_product<F: Format>(a: u64, product: u128) -> bool {
    let a = significand::<F>(a) << F::FRACTION_BITS;
    product == a || product == a << 1
}

#[inline]
pub(super) fn fused_multiply_add<F: Format>(
    a: F::Bits,
    b: F::Bits,
    c: F::Bits,
    flags: &mut Flags,
) -> Option<F::Bits> {
    let [a, b, c] = [a, b, c].map(|bits| F::value(F::widen(bits)));
    let (result, inexact) = F::fused_multiply_add(a, b, c)?;
    let result = F::bits(result);
    if !is_safe::<F>(result) {
        return None;
    }
    accrue(inexact, flags);
    Some(F::narrow(result))
}
