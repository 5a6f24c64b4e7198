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

#[cfg(test)]
mod tests {
    use super::super::{F32, F64};
    use super::*;

    /// The tests of both paths would pass if this one were never taken.
    #[test]
    fn everyday_operands_take_the_fast_path() {
        for accrued in [Flags::default(), Flags::NX] {
            let flags = &mut { accrued };
            let [a, b] = [1.1f64, -2.3].map(f64::to_bits);
            assert!(add::<F64>(a, b, flags).is_some());
            assert!(mul::<F64>(a, b, flags).is_some());
            assert!(div::<F64>(a, b, flags).is_some());
            assert!(sqrt::<F64>(a, flags).is_some());
            assert!(add::<F64>(a, F64::negate(a), flags).is_some());
            assert!(fused_multiply_add::<F64>(a, b, a, flags).is_some());
            let [a, b] = [1.1f32, -2.3].map(f32::to_bits);
            assert!(add::<F32>(a, b, flags).is_some());
            assert!(mul::<F32>(a, b, flags).is_some());
            assert!(div::<F32>(a, b, flags).is_some());
            assert!(sqrt::<F32>(a, flags).is_some());
            assert!(fused_multiply_add::<F32>(a, b, a, flags).is_some());
        }
    }

    #[test]
    fn what_could_raise_another_flag_is_refused() {
        let flags = &mut Flags::default();
        let (one, tiny, huge) = (1f64.to_bits(), 1, F64::INFINITY - 1);
        for special in [F64::NAN, F64::INFINITY, F64::INFINITY + 1] {
            assert_eq!(add::<F64>(one, special, flags), None);
            assert_eq!(mul::<F64>(special, one, flags), None);
            assert_eq!(div::<F64>(one, special, flags), None);
            assert_eq!(sqrt::<F64>(special, flags), None);
        }
        assert_eq!(add::<F64>(huge, huge, flags), None);
        assert_eq!(mul::<F64>(tiny, one, flags), None);
        assert_eq!(div::<F64>(one, 0, flags), None);
        assert_eq!(sqrt::<F64>(F64::negate(one), flags), None);
        assert_eq!(*flags, Flags::default());
    }
}
