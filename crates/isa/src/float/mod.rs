//! IEEE 754 binary32 and binary64 as the F and D extensions define them.
//!
//! Source: *The RISC-V Instruction Set Manual*, volume I, chapters "F" and "D", version 2.2. Values
//! are bit patterns; the rounding mode and the accrued exception flags are arguments. NaN boxing, sign
//! injection and the `frm` register belong to the caller. Every NaN that an operation makes is
//! the canonical quiet NaN, and tininess is detected after rounding.
//!
//! Each arithmetic function has two paths that give the same bits and flags:
//!
//! - [`exact`] works on integers only, for every operand and rounding mode;
//! - the fast path uses the host's floating point, for round-to-nearest-even and results far from
//!   overflow and underflow. There no flag but NX can arise, and an integer or floating residual tells
//!   whether the result is exact. Where NX has already accrued, even that is not computed.
//!
//! # Determinism
//!
//! Rust defines `+`, `-`, `*`, `/`, `sqrt` and the casts on `f32` and `f64` as the IEEE 754 operations,
//! rounded to nearest even, with subnormals, in the format of the type; x86-64 (SSE2), AArch64 and
//! RISC-V hosts all do so in hardware. Only the payload and the sign of a NaN may differ, and no NaN of
//! the host leaves the fast path: its result has exponent bits that rule NaN and infinity out.
//! Rust does not contract `a * b + c`, and `mul_add` is not used, since its speed (and, on
//! poor C libraries, its value) depends on the host. Hence the bits of every result are a function of the
//! arguments alone.

mod compare;
mod convert;
pub mod exact;
mod fast;
mod format;
mod host;
mod round;

pub use compare::{classify, equal, less, less_or_equal, max, min};
pub use convert::{
    convert, from_i32, from_i64, from_u32, from_u64, to_i32, to_i64, to_u32, to_u64,
};
pub use format::{F32, F64, Format};

/// How a result that has no exact representation is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rounding {
    /// To the nearest value, ties to even (RNE, 0).
    #[default]
    NearestEven,
    /// Towards zero (RTZ, 1).
    TowardZero,
    /// Towards minus infinity (RDN, 2).
    Down,
    /// Towards plus infinity (RUP, 3).
    Up,
    /// To the nearest value, ties away from zero (RMM, 4).
    NearestMaxMagnitude,
}

impl Rounding {
    /// All modes, in the order of their encodings.
    pub const ALL: [Rounding; 5] = [
        Rounding::NearestEven,
        Rounding::TowardZero,
        Rounding::Down,
        Rounding::Up,
        Rounding::NearestMaxMagnitude,
    ];

    /// The mode with this encoding in `frm`; `None` for the reserved encodings and for the dynamic
    /// one (7), which names `frm` itself.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Rounding> {
        match bits {
            0 => Some(Rounding::NearestEven),
            1 => Some(Rounding::TowardZero),
            2 => Some(Rounding::Down),
            3 => Some(Rounding::Up),
            4 => Some(Rounding::NearestMaxMagnitude),
            _ => None,
        }
    }
}

/// A set of accrued exceptions, in the layout of `fflags`. Operations add to it and never remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u8);

impl Flags {
    /// Inexact.
    pub const NX: Flags = Flags(1);
    /// Underflow: tiny after rounding, and inexact.
    pub const UF: Flags = Flags(2);
    /// Overflow.
    pub const OF: Flags = Flags(4);
    /// Division of a finite number by zero.
    pub const DZ: Flags = Flags(8);
    /// Invalid operation.
    pub const NV: Flags = Flags(16);

    /// The flags in the low five bits of `fflags`; other bits are dropped.
    #[inline]
    pub const fn from_bits(bits: u8) -> Flags {
        Flags(bits & 0x1f)
    }

    /// The value of `fflags`.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Adds all of `other`.
    #[inline]
    pub const fn insert(&mut self, other: Flags) {
        self.0 |= other.0;
    }

    /// Whether all of `other` are set.
    #[inline]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// `a + b` (`fadd`).
#[inline]
pub fn add<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    if rm == Rounding::NearestEven
        && let Some(sum) = fast::add::<F>(a, b, flags)
    {
        return sum;
    }
    exact::add::<F>(a, b, rm, flags)
}

/// `a - b` (`fsub`).
#[inline]
pub fn sub<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    add::<F>(a, F::negate(b), rm, flags)
}

/// `a * b` (`fmul`).
#[inline]
pub fn mul<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    if rm == Rounding::NearestEven
        && let Some(product) = fast::mul::<F>(a, b, flags)
    {
        return product;
    }
    exact::mul::<F>(a, b, rm, flags)
}

/// `a / b` (`fdiv`).
#[inline]
pub fn div<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    if rm == Rounding::NearestEven
        && let Some(quotient) = fast::div::<F>(a, b, flags)
    {
        return quotient;
    }
    exact::div::<F>(a, b, rm, flags)
}

/// The square root of `a` (`fsqrt`).
#[inline]
pub fn sqrt<F: Format>(a: F::Bits, rm: Rounding, flags: &mut Flags) -> F::Bits {
    if rm == Rounding::NearestEven
        && let Some(root) = fast::sqrt::<F>(a, flags)
    {
        return root;
    }
    exact::sqrt::<F>(a, rm, flags)
}

/// `a * b + c`, rounded once (`fmadd`). Infinity times zero is invalid even when `c` is a quiet NaN.
///
/// The other three fused instructions negate operands: `fmsub` is `(a, b, -c)`, `fnmsub` is
/// `(-a, b, c)`, `fnmadd` is `(-a, b, -c)`; see [`Format::negate`].
#[inline]
pub fn fused_multiply_add<F: Format>(
    a: F::Bits,
    b: F::Bits,
    c: F::Bits,
    rm: Rounding,
    flags: &mut Flags,
) -> F::Bits {
    if rm == Rounding::NearestEven
        && let Some(result) = fast::fused_multiply_add::<F>(a, b, c, flags)
    {
        return result;
    }
    exact::fused_multiply_add::<F>(a, b, c, rm, flags)
}
