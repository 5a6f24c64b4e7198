//! Conversions between floats of both precisions and integers.

use isa::float::Rounding;
use isa::{FloatOp, Precision};

use super::asm::{Alu, B32, B64, Bits, Cond, Direction, Logic, RAX, RCX, Rm, Shift, Site, XMM1};
use super::emitter::Emitter;
use super::float::{canonical, put_float};
use super::pins::{float_home, float_host};
use crate::plan::{Miss, Operand, Place};

/// From the other precision.
pub(super) fn convert(e: &mut Emitter<'_>, precision: Precision, to: u8, a: u8) {
    let dst = e.float_destination(to);
    match precision {
        Precision::Double => {
            e.fetch_float(dst, a);
            e.asm.convert_to(precision, dst, dst);
        }
        Precision::Single => {
            let src = if float_host(a) == Some(dst) {
                e.asm.mov_xmm(XMM1, dst);
                XMM1.into()
            } else {
                e.float_operand(a)
            };
            e.asm.set_ones(dst);
            e.asm.convert_to(precision, dst, src);
        }
    }
    canonical(e, precision, to);
    put_float(e, to);
}

/// To an integer. It is computed in RAX, and then moved: until then the destination must stay as it is.
pub(super) fn to_integer(
    e: &mut Emitter<'_>,
    op: FloatOp,
    precision: Precision,
    rounding: Rounding,
    (to, a): (Place, u8),
    miss: Miss,
) {
    let bits = match op {
        FloatOp::ToI32 | FloatOp::ToU32 => B32,
        _ => B64,
    };
    let site = match op {
        FloatOp::ToI32 | FloatOp::ToI64 => to_signed(e, rounding, precision, bits, a),
        _ => to_unsigned(e, rounding == Rounding::TowardZero, precision, bits, a),
    };
    let dst = e.destination(to);
    match bits {
        B32 => e.asm.load_extended(2, true, dst, RAX),
        B64 => e.move_to(dst, RAX),
    }
    e.put(to, dst);
    e.miss_here(site, miss);
}

/// By the host's conversion, which knows the lowest integer too.
fn to_signed(
    e: &mut Emitter<'_>,
    rounding: Rounding,
    precision: Precision,
    bits: Bits,
    a: u8,
) -> Site {
    let direction = match rounding {
        Rounding::Down => Some(Direction::Down),
        Rounding::Up => Some(Direction::Up),
        _ => None,
    };
    let toward_zero = rounding != Rounding::NearestEven;
    let src = e.float_operand(a);
    let mut integral = src;
    if let Some(direction) = direction {
        e.asm.round_quietly(direction, precision, XMM1, src);
        integral = XMM1.into();
    }
    e.asm
        .convert_to_integer(toward_zero, precision, bits, RAX, integral);
    // The lowest integer overflows: it may stand for "none".
    e.asm.alu_imm(Alu::Cmp, bits, RAX, 1);
    let site = e.asm.jump_if(Cond::Overflow);
    if direction.is_some() {
        // For the exception "inexact": towards zero there is an integer, too.
        e.asm.convert_to_integer(true, precision, bits, RCX, src);
    }
    site
}

/// By the conversion to a signed double-word, if there can be no other exception than "inexact": positive (which
/// the bits say, taken for an unsigned integer) and small enough.
fn to_unsigned(
    e: &mut Emitter<'_>,
    toward_zero: bool,
    precision: Precision,
    bits: Bits,
    a: u8,
) -> Site {
    let (wide, bound) = match (precision, bits) {
        (Precision::Single, B32) => (B32, 0x4f80_0000),
        (Precision::Single, B64) => (B32, 0x5f00_0000),
        (Precision::Double, B32) => (B64, 0x41ef_ffff_ffe0_0000),
        (Precision::Double, B64) => (B64, 0x43e0_0000_0000_0000),
    };
    match float_host(a) {
        Some(host) => e.asm.bits_from_xmm(wide, RAX, host),
        None => e.asm.mov(wide, RAX, float_home(a)),
    }
    e.asm.mov_imm(RCX, bound);
    e.asm.alu(Alu::Cmp, wide, RAX, RCX);
    let site = e.asm.jump_if(Cond::AboveEqual);
    let src = e.float_operand(a);
    e.asm
        .convert_to_integer(toward_zero, precision, B64, RAX, src);
    site
}

/// From an integer.
pub(super) fn from_integer(
    e: &mut Emitter<'_>,
    op: FloatOp,
    precision: Precision,
    (to, operand): (u8, Operand),
    exact: bool,
    miss: Miss,
) {
    if exact {
        return from_small_integer(e, to, operand, miss);
    }
    let in_register = matches!(operand, Operand::At(Place::Slot(_) | Place::Home(_)));
    let (src, bits): (Rm, _) = match op {
        FloatOp::FromI32 if in_register => (e.operand(operand), B32),
        FloatOp::FromI64 if in_register => (e.operand(operand), B64),
        FloatOp::FromU32 if in_register => {
            let word = e.operand(operand);
            e.asm.mov(B32, RAX, word);
            (RAX.into(), B64)
        }
        _ => {
            e.fetch(RAX, operand);
            match op {
                FloatOp::FromI32 => (RAX.into(), B32),
                FloatOp::FromU32 => {
                    e.asm.mov(B32, RAX, RAX);
                    (RAX.into(), B64)
                }
                _ => (RAX.into(), B64),
            }
        }
    };
    let negative = (op == FloatOp::FromU64).then(|| {
        e.asm.test(B64, RAX, RAX);
        e.asm.jump_if(Cond::Negative)
    });
    let dst = e.float_destination(to);
    // Other bits of the destination stay: those of a box. And it should not be waited for.
    match precision {
        Precision::Single => e.asm.set_ones(dst),
        Precision::Double => e.asm.logic(Logic::Xor, dst, dst),
    }
    e.asm.convert_from_integer(precision, bits, dst, src);
    put_float(e, to);
    if let Some(site) = negative {
        e.miss_here(site, miss);
    }
}

/// From a signed double-word to a double, for any rounding: only if there is nothing to be rounded.
fn from_small_integer(e: &mut Emitter<'_>, to: u8, operand: Operand, miss: Miss) {
    e.fetch(RAX, operand);
    e.asm.mov_imm(RCX, 1 << 53);
    e.asm.alu(Alu::Add, B64, RCX, RAX);
    e.asm.shift_imm(Shift::Right, B64, RCX, 54);
    let site = e.asm.jump_if(Cond::NotEqual);
    let dst = e.float_destination(to);
    e.asm.logic(Logic::Xor, dst, dst);
    e.asm.convert_from_integer(Precision::Double, B64, dst, RAX);
    put_float(e, to);
    e.miss_here(site, miss);
}
