//! Float arithmetic on the host's, whose results and exceptions are those of RISC-V but for a few cases, all of which
//! are noticed and left to the software of crate isa.
//!
//! All float registers are up to date in memory between instructions; host registers only hold copies
//! ([`super::pins`]), so that nothing is to be done for them when code is left.

use isa::{FloatOp, Precision};
use machine::hart::csr::status;

use super::asm::{
    Alu, B32, Cond, Fused, Logic, Order, RAX, RCX, Rm, Scalar, XMM0, XMM1, XMM2, Xmm,
};
use super::emitter::{Emitter, Stub};
use super::layout;
use super::pins::{float_home, float_host};
use crate::plan::{FloatUnit, Miss, Place};

/// The canonical NaNs, as registers hold them.
const NAN_SINGLE: u64 = 0xffff_ffff_7fc0_0000;
const NAN_DOUBLE: u64 = 0x7ff8_0000_0000_0000;

/// Makes sure that the float unit is as it must be.
pub(super) fn need(e: &mut Emitter<'_>, unit: FloatUnit, miss: Miss) {
    let dirty = status::FS as i32;
    e.asm.mov(B32, RAX, layout::MSTATUS);
    e.asm.alu_imm(Alu::And, B32, RAX, dirty);
    let site = match unit {
        FloatUnit::On => e.asm.jump_if(Cond::Equal),
        FloatUnit::Ready => {
            e.asm.alu(Alu::Or, B32, RAX, layout::FRM);
            e.asm.alu_imm(Alu::Cmp, B32, RAX, dirty);
            e.asm.jump_if(Cond::NotEqual)
        }
    };
    e.miss_rest(site, miss);
}

/// Makes sure that a register holds a boxed single.
pub(super) fn need_box(e: &mut Emitter<'_>, guest: u8, miss: Miss) {
    let mut upper = float_home(guest);
    upper.disp += 4;
    e.asm.alu_imm(Alu::Cmp, B32, upper, -1);
    let site = e.asm.jump_if(Cond::NotEqual);
    e.miss_rest(site, miss);
}

impl Emitter<'_> {
    /// The register that a float result should be computed in.
    pub(super) fn float_destination(&self, guest: u8) -> Xmm {
        float_host(guest).unwrap_or(XMM0)
    }

    /// `dst` = a float register, all of it.
    pub(super) fn fetch_float(&mut self, dst: Xmm, guest: u8) {
        match float_host(guest) {
            Some(src) if src == dst => {}
            Some(src) => self.asm.mov_xmm(dst, src),
            None => self
                .asm
                .load_scalar(Precision::Double, dst, float_home(guest)),
        }
    }
}

/// The host register of a float register, or `temp` with its value.
fn float_in(e: &mut Emitter<'_>, guest: u8, temp: Xmm) -> Xmm {
    float_host(guest).unwrap_or_else(|| {
        e.fetch_float(temp, guest);
        temp
    })
}

/// Completes an instruction whose result is in its float destination.
pub(super) fn put_float(e: &mut Emitter<'_>, guest: u8) {
    let dst = e.float_destination(guest);
    e.asm
        .store_scalar(Precision::Double, float_home(guest), dst);
}

/// The destination = the single in a temporary register, boxed.
pub(super) fn box_from(e: &mut Emitter<'_>, guest: u8, single: Xmm) {
    let dst = e.float_destination(guest);
    e.asm.set_ones(dst);
    e.asm.merge_single(dst, single);
}

/// Puts the canonical NaN in the place of any other.
pub(super) fn canonical(e: &mut Emitter<'_>, precision: Precision, guest: u8) {
    let dst = e.float_destination(guest);
    e.asm.compare_scalars(true, precision, dst, dst);
    let site = e.asm.jump_if(Cond::Parity);
    e.stubs.push_back(Stub::Nan {
        site,
        back: e.asm.here(),
        dst,
        value: match precision {
            Precision::Single => NAN_SINGLE,
            Precision::Double => NAN_DOUBLE,
        },
    });
}

/// From float registers to one, but for conversions.
pub(super) fn arithmetic(
    e: &mut Emitter<'_>,
    op: FloatOp,
    precision: Precision,
    to: u8,
    [a, b, c]: [u8; 3],
    miss: Miss,
) {
    match op {
        FloatOp::Add => two(e, Scalar::Add, precision, to, a, b),
        FloatOp::Subtract => two(e, Scalar::Subtract, precision, to, a, b),
        FloatOp::Multiply => two(e, Scalar::Multiply, precision, to, a, b),
        FloatOp::Divide => two(e, Scalar::Divide, precision, to, a, b),
        FloatOp::SquareRoot => square_root(e, precision, to, a),
        FloatOp::MultiplyAdd => fused(e, Fused::MultiplyAdd, precision, to, [a, b, c], miss),
        FloatOp::MultiplySubtract => {
            fused(e, Fused::MultiplySubtract, precision, to, [a, b, c], miss);
        }
        FloatOp::NegatedMultiplyAdd => {
            fused(e, Fused::NegatedMultiplyAdd, precision, to, [a, b, c], miss);
        }
        FloatOp::NegatedMultiplySubtract => {
            let op = Fused::NegatedMultiplySubtract;
            fused(e, op, precision, to, [a, b, c], miss);
        }
        FloatOp::Minimum => extreme(e, Scalar::Minimum, precision, to, [a, b], miss),
        FloatOp::Maximum => extreme(e, Scalar::Maximum, precision, to, [a, b], miss),
        _ => unreachable!("it has a step of its own, or none"),
    }
}

fn two(e: &mut Emitter<'_>, op: Scalar, precision: Precision, to: u8, a: u8, b: u8) {
    let dst = e.float_destination(to);
    let second_is_dst = a != b && float_host(b) == Some(dst);
    let (left, right) = match op {
        Scalar::Add | Scalar::Multiply if second_is_dst => (b, e.float_operand(a)),
        _ if second_is_dst => {
            e.asm.mov_xmm(XMM1, dst);
            (a, XMM1.into())
        }
        _ => (a, e.float_operand(b)),
    };
    e.fetch_float(dst, left);
    e.asm.scalar(op, precision, dst, right);
    canonical(e, precision, to);
    put_float(e, to);
}

fn square_root(e: &mut Emitter<'_>, precision: Precision, to: u8, a: u8) {
    let dst = e.float_destination(to);
    e.fetch_float(dst, a);
    e.asm.scalar(Scalar::SquareRoot, precision, dst, dst);
    canonical(e, precision, to);
    put_float(e, to);
}

fn fused(
    e: &mut Emitter<'_>,
    op: Fused,
    precision: Precision,
    to: u8,
    [a, b, c]: [u8; 3],
    miss: Miss,
) {
    let dst = e.float_destination(to);
    let is_dst = |guest| float_host(guest) == Some(dst);
    let (order, middle, last) = if !is_dst(c) && is_dst(a) {
        (Order::AddSource, b, c)
    } else if !is_dst(c) && is_dst(b) {
        (Order::AddSource, a, c)
    } else {
        e.fetch_float(dst, c);
        match float_host(a) {
            Some(_) => (Order::AddDestination, a, b),
            None => (Order::AddDestination, b, a),
        }
    };
    let middle = float_in(e, middle, XMM1);
    let last = e.float_operand(last);
    e.asm.fused(op, order, precision, dst, middle, last);
    e.asm.compare_scalars(true, precision, dst, dst);
    // The host may call infinity times zero valid if a NaN is added.
    let site = e.asm.jump_if(Cond::Parity);
    put_float(e, to);
    e.miss_here(site, miss);
}

/// Minimum or maximum. The host takes the second operand of two zeros: both ways, then the sign bits decide.
fn extreme(
    e: &mut Emitter<'_>,
    op: Scalar,
    precision: Precision,
    to: u8,
    [a, b]: [u8; 2],
    miss: Miss,
) {
    let zeros = match op {
        Scalar::Minimum => Logic::Or,
        _ => Logic::And,
    };
    e.fetch_float(XMM1, a);
    e.fetch_float(XMM2, b);
    e.asm.compare_scalars(true, precision, XMM1, XMM2);
    let site = e.asm.jump_if(Cond::Parity);
    let dst = e.float_destination(to);
    e.asm.mov_xmm(dst, XMM1);
    e.asm.scalar(op, precision, dst, XMM2);
    e.asm.scalar(op, precision, XMM2, XMM1);
    e.asm.logic(zeros, dst, XMM2);
    put_float(e, to);
    e.miss_here(site, miss);
}

/// A comparison, to an integer register. If it is one of order, it is whether `a` is greater, or equal.
pub(super) fn compare(
    e: &mut Emitter<'_>,
    op: FloatOp,
    precision: Precision,
    to: Place,
    a: u8,
    b: u8,
) {
    let left = float_in(e, a, XMM1);
    let right: Rm = e.float_operand(b);
    let dst = e.destination(to);
    let cond = match op {
        FloatOp::Equal => {
            e.asm.compare_scalars(true, precision, left, right);
            e.asm.set(Cond::NoParity, RCX);
            e.asm.set(Cond::Equal, RAX);
            e.asm.alu(Alu::And, B32, RAX, RCX);
            e.asm.load_extended(0, false, dst, RAX);
            return e.put(to, dst);
        }
        FloatOp::Less => Cond::Above,
        _ => Cond::AboveEqual,
    };
    e.asm.compare_scalars(false, precision, left, right);
    e.set_if(dst, cond);
    e.put(to, dst);
}
