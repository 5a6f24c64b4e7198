//! The two formats: their widths, their special values, and the host type of each.

use std::fmt::Debug;
use std::hash::Hash;

use host::Host;

/// The bridge to the host's arithmetic. It seals [`Format`] too: nobody outside can name it.
pub(super) mod host {
    use std::ops::{Add, Div, Mul, Sub};

    pub trait Host {
        type Value: Copy
            + PartialEq
            + Add<Output = Self::Value>
            + Sub<Output = Self::Value>
            + Mul<Output = Self::Value>
            + Div<Output = Self::Value>;

        fn value(bits: u64) -> Self::Value;
        fn bits(value: Self::Value) -> u64;
        fn sqrt(value: Self::Value) -> Self::Value;

        /// `a * b + c` of finite operands rounded once to nearest even, and whether that was
        /// inexact; the second part is meaningless unless the result is safely normal. `None` where the
        /// host has no cheap way.
        fn fused_multiply_add(
            a: Self::Value,
            b: Self::Value,
            c: Self::Value,
        ) -> Option<(Self::Value, bool)>;
    }
}

/// A binary interchange format of IEEE 754: [`F32`] or [`F64`], and no other.
pub trait Format: Host + Copy + Debug + 'static {
    /// The unsigned integer that holds one value.
    type Bits: Copy + Eq + Ord + Hash + Debug;

    /// Explicit bits of the significand: 23 or 52.
    const FRACTION_BITS: u32;
    /// Bits of the biased exponent: 8 or 11.
    const EXPONENT_BITS: u32;

    /// The largest biased exponent, that of infinities and NaNs. Half of it is the bias.
    const EXPONENT_MAX: i32 = (1 << Self::EXPONENT_BITS) - 1;
    /// The bias of the exponent: 127 or 1023.
    const BIAS: i32 = Self::EXPONENT_MAX >> 1;
    /// The sign bit.
    const SIGN: u64 = 1 << (Self::FRACTION_BITS + Self::EXPONENT_BITS);
    /// The fraction's bits.
    const FRACTION_MASK: u64 = (1 << Self::FRACTION_BITS) - 1;
    /// Plus infinity.
    const INFINITY: u64 = (Self::EXPONENT_MAX as u64) << Self::FRACTION_BITS;
    /// The bit that makes a NaN quiet.
    const QUIET: u64 = 1 << (Self::FRACTION_BITS - 1);
    /// The canonical NaN: positive, quiet, no payload.
    const NAN: u64 = Self::INFINITY | Self::QUIET;

    /// The bits as an integer that holds either format.
    fn widen(bits: Self::Bits) -> u64;
    /// The inverse of [`Format::widen`]; higher bits are dropped.
    fn narrow(wide: u64) -> Self::Bits;

    /// The value with its sign bit inverted, NaNs included.
    #[inline]
    fn negate(bits: Self::Bits) -> Self::Bits {
        Self::narrow(Self::widen(bits) ^ Self::SIGN)
    }
}

/// binary32, single precision (the F extension).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct F32;

/// binary64, double precision (the D extension).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct F64;

impl Format for F32 {
    type Bits = u32;
    const FRACTION_BITS: u32 = 23;
    const EXPONENT_BITS: u32 = 8;

    #[inline]
    fn widen(bits: u32) -> u64 {
        bits.into()
    }

    #[inline]
    fn narrow(wide: u64) -> u32 {
        wide as u32
    }
}

impl Format for F64 {
    type Bits = u64;
    const FRACTION_BITS: u32 = 52;
    const EXPONENT_BITS: u32 = 11;

    #[inline]
    fn widen(bits: u64) -> u64 {
        bits
    }

    #[inline]
    fn narrow(wide: u64) -> u64 {
        wide
    }
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

    /// In double precision the product is exact, and the sum is rounded to odd (Boldo and Melquiond,
    /// *Emulation of FMA and correctly rounded sums*, 2008), so that rounding it again is harmless.
    #[inline]
    fn fused_multiply_add(a: f32, b: f32, c: f32) -> Option<(f32, bool)> {
        let (product, addend) = (f64::from(a) * f64::from(b), f64::from(c));
        let sum = product + addend;
        let shifted = sum - product;
        let error = (product - (sum - shifted)) + (addend - shifted);
        let bits = sum.to_bits();
        let odd = if error == 0.0 || bits & 1 == 1 {
            sum
        } else if error.is_sign_negative() == sum.is_sign_negative() {
            f64::from_bits(bits.wrapping_add(1))
        } else {
            f64::from_bits(bits.wrapping_sub(1))
        };
        let result = odd as f32;
        Some((result, error != 0.0 || f64::from(result) != odd))
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

    /// Without a fused instruction, doubling the precision costs more than the integers do.
    #[inline]
    fn fused_multiply_add(_: f64, _: f64, _: f64) -> Option<(f64, bool)> {
        None
    }
}
