//! The two formats: their widths and their special values.

use std::fmt::Debug;
use std::hash::Hash;

use super::host::{F32, F64, Host};

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
