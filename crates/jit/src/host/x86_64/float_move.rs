//! Floats from integer registers, and their signs.

use isa::{Binary, Precision};

use super::asm::{B32, B64, Logic, RAX, Rm, XMM0, XMM1};
use super::emitter::Emitter;
use super::float::{box_from, put_float};
use crate::plan::Operand;

/// Where a mask is: the sign, or all but the sign.
fn mask(e: &Emitter<'_>, precision: Precision, others: bool) -> Rm {
    let single = precision == Precision::Single;
    let index = u32::from(others) << 1 | u32::from(!single);
    Rm::Code(e.thunks.masks + 16 * index)
}

/// A float register gets the bits of a single, in a box, or all of its bits.
pub(super) fn bits(e: &mut Emitter<'_>, to: u8, operand: Operand, single: bool) {
    let dst = e.float_destination(to);
    let src = match operand {
        Operand::Const(value) => {
            e.asm.mov_imm(RAX, value);
            RAX.into()
        }
        operand => e.operand(operand),
    };
    if single {
        let temp = if dst == XMM0 { XMM1 } else { XMM0 };
        e.asm.bits_to_xmm(B32, temp, src);
        box_from(e, to, temp);
    } else {
        e.asm.bits_to_xmm(B64, dst, src);
    }
    put_float(e, to);
}

/// Sign injection.
pub(super) fn sign(e: &mut Emitter<'_>, op: Binary, to: u8, a: u8, b: u8) {
    let precision = match op {
        Binary::SignSingle | Binary::SignNegatedSingle | Binary::SignXorSingle => Precision::Single,
        _ => Precision::Double,
    };
    let (sign, others) = (mask(e, precision, false), mask(e, precision, true));
    let dst = e.float_destination(to);
    let negated = matches!(op, Binary::SignNegatedSingle | Binary::SignNegatedDouble);
    let product = matches!(op, Binary::SignXorSingle | Binary::SignXorDouble);
    if a == b {
        e.fetch_float(dst, a);
        if negated {
            e.asm.logic(Logic::Xor, dst, sign);
        } else if product {
            e.asm.logic(Logic::And, dst, others);
        }
    } else {
        e.fetch_float(XMM1, b);
        if negated {
            e.asm.logic(Logic::Xor, XMM1, sign);
        }
        e.asm.logic(Logic::And, XMM1, sign);
        e.fetch_float(dst, a);
        if product {
            e.asm.logic(Logic::Xor, dst, XMM1);
        } else {
            e.asm.logic(Logic::And, dst, others);
            e.asm.logic(Logic::Or, dst, XMM1);
        }
    }
    put_float(e, to);
}
