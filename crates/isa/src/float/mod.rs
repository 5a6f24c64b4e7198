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
mod environment;
pub mod exact;
mod fast;
mod format;
mod host;
mod round;

pub use compare::{classify, equal, less, less_or_equal, max, min};
pub use convert::{
    convert, from_i32, from_i64, from_u32, from_u64, to_i32, to_i64, to_u32, to_u64,
};
pub use environment::{Flags, Rounding};
pub use format::Format;
pub use host::{F32, F64};

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
