//! The host's floating point: the type of each format, and fused multiplication in terms of plain
//! operations.

use std::ops::{Add, Div, Mul, Sub};

/// binary32, single precision (the F extension).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct F32;

/// binary64, double precision (the D extension).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct F64;

/// The bridge from a format to the host. It seals [`Format`](super::Format) too: nobody outside can name it.
pub trait Host {
    /// The host's type of the format.
    type Value: Copy
        + PartialEq
        + Add<Output = Self::Value>
        + Sub<Output = Self::Value>
        + Mul<Output = Self::Value>
        + Div<Output = Self::Value>;

    /// The value of these bits.
    fn value(bits: u64) -> Self::Value;
    /// The bits of a value.
    fn bits(value: Self::Value) -> u64;
    /// The square root.
    fn sqrt(value: Self::Value) -> Self::Value;

    /// `a * b + c` rounded once to nearest even, and whether that was inexact. Both are meaningless
    /// unless the result is safely normal. `None` where the operands could overflow or underflow on
    /// the way.
    fn fused_multiply_add(
        a: Self::Value,
        b: Self::Value,
        c: Self::Value,
    ) -> Option<(Self::Value, bool)>;
}

impl Host for F32 {
    type Value = f32;

    #[inline]
    fn value(bits: u64) -> f32 {
        f32::from_bits(bits as u32)
    }

    #[inline]
    fn bits(value: f32) -> u64 {
        value.to_bits().into()
    }

    #[inline]
    fn sqrt(value: f32) -> f32 {
        value.sqrt()
    }

    /// In double precision the product is exact, and the sum is rounded to odd, so that rounding it
    /// again is harmless.
    #[inline]
    fn fused_multiply_add(a: f32, b: f32, c: f32) -> Option<(f32, bool)> {
        let (sum, inexact) = odd_sum(f64::from(a) * f64::from(b), f64::from(c));
        let result = sum as f32;
        Some((result, inexact || f64::from(result) != sum))
    }
}

impl Host for F64 {
    type Value = f64;

    #[inline]
    fn value(bits: u64) -> f64 {
        f64::from_bits(bits)
    }

    #[inline]
    fn bits(value: f64) -> u64 {
        value.to_bits()
    }

    #[inline]
    fn sqrt(value: f64) -> f64 {
        value.sqrt()
    }

    /// Boldo and Melquiond, *Emulation of FMA and correctly rounded sums: proved algorithms using
    /// rounding to odd* (2008), algorithm 5. Sums cannot underflow inexactly, so that only the
    /// product needs bounds at both ends.
    #[inline]
    fn fused_multiply_add(a: f64, b: f64, c: f64) -> Option<(f64, bool)> {
        const EXPONENT_MAX: i32 = 0x7ff;
        const BIAS: i32 = EXPONENT_MAX / 2;
        const FACTORS: std::ops::Range<i32> = BIAS - 450..BIAS + 450;
        const ADDEND_END: i32 = BIAS + 950;
        let exponent = |value: f64| (value.to_bits() >> 52) as i32 & EXPONENT_MAX;
        let is_safe = FACTORS.contains(&exponent(a))
            & FACTORS.contains(&exponent(b))
            & (exponent(c) < ADDEND_END);
        if !is_safe {
            return None;
        }
        let (product, product_rest) = two_product(a, b);
        let (low, low_rest) = two_sum(c, product_rest);
        let (high, high_rest) = two_sum(product, low);
        let (rest, rest_inexact) = odd_sum(low_rest, high_rest);
        let (result, error) = two_sum(high, rest);
        Some((result, rest_inexact || error != 0.0))
    }
}

/// `a + b` as the rounded sum and its error, exactly (Knuth).
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let shifted = sum - a;
    (sum, (a - (sum - shifted)) + (b - shifted))
}

/// `a * b` as the rounded product and its error, exactly (Dekker), away from overflow and underflow.
#[inline]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let ((a_high, a_low), (b_high, b_low)) = (split(a), split(b));
    let rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (product, rest)
}

/// Two halves of 26 bits and a sign each, whose products are exact (Veltkamp).
#[inline]
fn split(value: f64) -> (f64, f64) {
    const SPLITTER: f64 = ((1 << 27) + 1) as f64;
    let scaled = SPLITTER * value;
    let high = scaled - (scaled - value);
    (high, value - high)
}

/// `a + b` rounded to odd: to the neighbour whose last bit is one, unless exact. The second part
/// says whether it was inexact. An odd last bit stands for all that lies beyond it, as a sticky bit
/// does.
#[inline]
fn odd_sum(a: f64, b: f64) -> (f64, bool) {
    let (sum, error) = two_sum(a, b);
    let bits = sum.to_bits();
    let inexact = error != 0.0;
    let even = bits & 1 == 0;
    // A step in the direction of the error; magnitudes grow with the bits.
    let step = if error.is_sign_negative() == sum.is_sign_negative() {
        1
    } else {
        u64::MAX
    };
    let odd = bits.wrapping_add(if inexact & even { step } else { 0 });
    (f64::from_bits(odd), inexact)
}
