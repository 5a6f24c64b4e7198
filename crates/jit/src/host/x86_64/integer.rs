//! Integer arithmetic: from [`isa::Binary`] to host instructions.

use isa::{Binary, Comparison};

use super::asm::{Alu, B32, B64, Bits, Cond, RAX, RCX, RDX, Reg, Rm, Shift, Unary, at, indexed};
use super::emitter::Emitter;
use crate::plan::{Operand, Place};

const TEMP: Operand = Operand::At(Place::Temp);

/// `dst = op(a, b)`. The scratch registers change; `dst` may be where an operand is. If it is narrow, only the low word
/// counts.
pub(super) fn compute(
    e: &mut Emitter<'_>,
    dst: Reg,
    op: Binary,
    [a, b]: [Operand; 2],
    narrow: bool,
) {
    match op {
        Binary::Add => arithmetic(e, Alu::Add, B64, dst, a, b),
        Binary::Subtract => arithmetic(e, Alu::Sub, B64, dst, a, b),
        Binary::And => arithmetic(e, Alu::And, B64, dst, a, b),
        Binary::Or => arithmetic(e, Alu::Or, B64, dst, a, b),
        Binary::Xor => arithmetic(e, Alu::Xor, B64, dst, a, b),
        Binary::AddWord => {
            if b == Operand::Const(0) && a != TEMP {
                return sign_extend_word(e, dst, a, narrow);
            }
            arithmetic(e, Alu::Add, B32, dst, a, b);
        }
        Binary::SubtractWord => arithmetic(e, Alu::Sub, B32, dst, a, b),
        Binary::ShiftLeft => shift(e, Shift::Left, B64, dst, a, b),
        Binary::ShiftRight => shift(e, Shift::Right, B64, dst, a, b),
        Binary::ShiftRightSigned => shift(e, Shift::RightSigned, B64, dst, a, b),
        Binary::ShiftLeftWord => shift(e, Shift::Left, B32, dst, a, b),
        Binary::ShiftRightWord => shift(e, Shift::Right, B32, dst, a, b),
        Binary::ShiftRightSignedWord => shift(e, Shift::RightSigned, B32, dst, a, b),
        Binary::Less => {
            let cond = compare(e, Comparison::Less, a, b);
            e.set_if(dst, cond);
        }
        Binary::LessUnsigned => {
            let cond = compare(e, Comparison::LessUnsigned, a, b);
            e.set_if(dst, cond);
        }
        Binary::Multiply => multiply(e, B64, dst, a, b),
        Binary::MultiplyWord => multiply(e, B32, dst, a, b),
        Binary::MultiplyHigh => multiply_high(e, Unary::SignedMul, dst, a, b),
        Binary::MultiplyHighUnsigned => multiply_high(e, Unary::Mul, dst, a, b),
        Binary::MultiplyHighSignedUnsigned => multiply_high_mixed(e, dst, a, b),
        Binary::Divide => divide(e, B64, true, false, dst, a, b),
        Binary::DivideUnsigned => divide(e, B64, false, false, dst, a, b),
        Binary::Remainder => divide(e, B64, true, true, dst, a, b),
        Binary::RemainderUnsigned => divide(e, B64, false, true, dst, a, b),
        Binary::DivideWord => divide(e, B32, true, false, dst, a, b),
        Binary::DivideUnsignedWord => divide(e, B32, false, false, dst, a, b),
        Binary::RemainderWord => divide(e, B32, true, true, dst, a, b),
        Binary::RemainderUnsignedWord => divide(e, B32, false, true, dst, a, b),
        Binary::SignSingle
        | Binary::SignNegatedSingle
        | Binary::SignXorSingle
        | Binary::SignDouble
        | Binary::SignNegatedDouble
        | Binary::SignXorDouble => unreachable!("signs are injected by a step of their own"),
    }
    if !narrow && leaves_word(op) {
        e.extend_word(dst);
    }
}

/// Whether the host's instruction for it leaves the upper half zero.
fn leaves_word(op: Binary) -> bool {
    matches!(
        op,
        Binary::AddWord
            | Binary::SubtractWord
            | Binary::ShiftLeftWord
            | Binary::ShiftRightWord
            | Binary::ShiftRightSignedWord
            | Binary::MultiplyWord
    )
}

fn sign_extend_word(e: &mut Emitter<'_>, dst: Reg, a: Operand, narrow: bool) {
    match a {
        Operand::Const(value) => e.asm.mov_imm(dst, Binary::AddWord.evaluate(value, 0)),
        leaf if narrow => e.fetch(dst, leaf),
        leaf => {
            let operand = e.operand(leaf);
            e.asm.load_extended(2, true, dst, operand);
        }
    }
}

/// Addition, subtraction and logic. Of a 32-bit result the upper half is 0.
fn arithmetic(e: &mut Emitter<'_>, op: Alu, bits: Bits, dst: Reg, a: Operand, b: Operand) {
    match (a, b) {
        (_, Operand::Const(value)) => arithmetic_constant(e, op, bits, dst, a, value),
        (Operand::Const(value), _) if op != Alu::Sub => {
            arithmetic_constant(e, op, bits, dst, b, value);
        }
        (Operand::Const(0), _) => {
            e.fetch(dst, b);
            e.asm.unary(Unary::Neg, bits, dst);
        }
        (Operand::Const(value), _) => {
            e.fetch(RCX, b);
            e.asm.mov_imm(dst, value);
            e.asm.alu(op, bits, dst, RCX);
        }
        _ => {
            let (left, right) = (e.operand(a), e.operand(b));
            if right == Rm::Reg(dst) && left != right {
                if op == Alu::Sub {
                    e.asm.unary(Unary::Neg, bits, dst);
                    e.asm.alu(Alu::Add, bits, dst, left);
                } else {
                    e.asm.alu(op, bits, dst, left);
                }
                return;
            }
            match (op, left, right) {
                (Alu::Add, Rm::Reg(left), Rm::Reg(right)) if left != dst => {
                    e.asm.lea(bits, dst, indexed(left, right, 0, 0));
                }
                _ => {
                    e.fetch(dst, a);
                    e.asm.alu(op, bits, dst, right);
                }
            }
        }
    }
}

fn arithmetic_constant(e: &mut Emitter<'_>, op: Alu, bits: Bits, dst: Reg, a: Operand, value: u64) {
    // On words only the low half counts.
    let value = match bits {
        B32 => i64::from(value as i32),
        B64 => value.cast_signed(),
    };
    let Ok(short) = i32::try_from(value) else {
        if a == TEMP && dst == RCX {
            unreachable!("RCX is no destination of arithmetic");
        }
        e.asm.mov_imm(RCX, value.cast_unsigned());
        e.fetch(dst, a);
        e.asm.alu(op, bits, dst, RCX);
        return;
    };
    if let Operand::Const(constant) = a {
        e.asm.mov_imm(dst, constant);
        e.asm.alu_imm(op, bits, dst, short);
        return;
    }
    match (op, e.operand(a)) {
        (Alu::Add, Rm::Reg(left)) if left != dst => e.asm.lea(bits, dst, at(left, short)),
        (Alu::Sub, Rm::Reg(left)) if left != dst && short != i32::MIN => {
            e.asm.lea(bits, dst, at(left, -short));
        }
        // What a byte holds needs no mask.
        (Alu::And, operand) if short == 0xff => {
            e.asm.load_extended(0, false, dst, operand);
        }
        (Alu::Xor, _) if short == -1 => {
            e.fetch(dst, a);
            e.asm.unary(Unary::Not, bits, dst);
        }
        _ => {
            e.fetch(dst, a);
            e.asm.alu_imm(op, bits, dst, short);
        }
    }
}

fn shift(e: &mut Emitter<'_>, op: Shift, bits: Bits, dst: Reg, a: Operand, b: Operand) {
    if let Operand::Const(by) = b {
        let by = by as u8 & if bits == B64 { 63 } else { 31 };
        e.fetch(dst, a);
        if by != 0 {
            e.asm.shift_imm(op, bits, dst, by);
        }
    } else {
        // The host too takes the shift amount modulo the width.
        e.fetch(RCX, b);
        e.fetch(dst, a);
        e.asm.shift(op, bits, dst);
    }
}

fn multiply(e: &mut Emitter<'_>, bits: Bits, dst: Reg, a: Operand, b: Operand) {
    let (a, b) = match (a, b) {
        (Operand::Const(_), _) => (b, a),
        (_, b) if b != TEMP && !matches!(b, Operand::Const(_)) && e.operand(b) == Rm::Reg(dst) => {
            (b, a)
        }
        _ => (a, b),
    };
    if let Operand::Const(value) = b {
        match i32::try_from(value.cast_signed()) {
            Ok(short) if !matches!(a, Operand::Const(_)) => {
                let operand = e.operand(a);
                e.asm.imul_imm(bits, dst, operand, short);
            }
            _ => {
                e.asm.mov_imm(RCX, value);
                e.fetch(dst, a);
                e.asm.imul(bits, dst, RCX);
            }
        }
        return;
    }
    let operand = e.operand(b);
    e.fetch(dst, a);
    e.asm.imul(bits, dst, operand);
}

fn multiply_high(e: &mut Emitter<'_>, op: Unary, dst: Reg, a: Operand, b: Operand) {
    e.fetch(RCX, b);
    e.fetch(RAX, a);
    e.asm.unary(op, B64, RCX);
    e.asm.mov(B64, dst, RDX);
}

/// `a` signed, `b` unsigned: if `a` is negative, the unsigned product is too large by `b` times 2⁶⁴.
fn multiply_high_mixed(e: &mut Emitter<'_>, dst: Reg, a: Operand, b: Operand) {
    e.fetch(RCX, b);
    e.fetch(RAX, a);
    e.asm.unary(Unary::Mul, B64, RCX);
    e.fetch(RAX, a);
    e.asm.shift_imm(Shift::RightSigned, B64, RAX, 63);
    e.asm.alu(Alu::And, B64, RAX, RCX);
    e.asm.alu(Alu::Sub, B64, RDX, RAX);
    e.asm.mov(B64, dst, RDX);
}

/// Where the host would trap: a division by zero gives all ones and leaves the dividend, one by -1 is a
/// negation (which wraps) and leaves nothing.
fn divide(
    e: &mut Emitter<'_>,
    bits: Bits,
    signed: bool,
    remainder: bool,
    dst: Reg,
    a: Operand,
    b: Operand,
) {
    e.fetch(RCX, b);
    e.fetch(RAX, a);
    e.asm.test(bits, RCX, RCX);
    let by_zero = e.asm.jump_if(Cond::Equal);
    let by_minus_one = signed.then(|| {
        e.asm.alu_imm(Alu::Cmp, bits, RCX, -1);
        e.asm.jump_if(Cond::Equal)
    });
    if signed {
        e.asm.sign_into_rdx(bits);
        e.asm.unary(Unary::SignedDiv, bits, RCX);
    } else {
        e.clear(RDX);
        e.asm.unary(Unary::Div, bits, RCX);
    }
    let mut done = vec![e.asm.jump()];
    if let Some(by_minus_one) = by_minus_one {
        e.asm.land(by_minus_one);
        e.asm.unary(Unary::Neg, bits, RAX);
        e.clear(RDX);
        done.push(e.asm.jump());
    }
    e.asm.land(by_zero);
    if remainder {
        e.asm.mov(bits, RDX, RAX);
    } else {
        e.asm.mov_imm(RAX, u64::MAX);
    }
    for site in done {
        e.asm.land(site);
    }
    let result = if remainder { RDX } else { RAX };
    match bits {
        B32 => e.asm.load_extended(2, true, dst, result),
        B64 if dst != result => e.asm.mov(B64, dst, result),
        B64 => {}
    }
}

/// Emits a comparison of a value with zero or another; returns the condition under which it holds.
pub(super) fn compare(e: &mut Emitter<'_>, comparison: Comparison, a: Operand, b: Operand) -> Cond {
    if let Operand::Const(value) = a {
        // The operands change places.
        let cond = match comparison {
            Comparison::Equal => Cond::Equal,
            Comparison::NotEqual => Cond::NotEqual,
            Comparison::Less => Cond::Greater,
            Comparison::GreaterEqual => Cond::LessEqual,
            Comparison::LessUnsigned => Cond::Above,
            Comparison::GreaterEqualUnsigned => Cond::BelowEqual,
        };
        compare_with(e, b, value);
        return cond;
    }
    match b {
        Operand::Const(value) => compare_with(e, a, value),
        _ => match (e.operand(a), e.operand(b)) {
            (Rm::Reg(a), b) => e.asm.alu(Alu::Cmp, B64, a, b),
            (Rm::Mem(a), Rm::Reg(b)) => e.asm.alu_to(Alu::Cmp, B64, a, b),
            (a, b) => {
                e.asm.mov(B64, RDX, a);
                e.asm.alu(Alu::Cmp, B64, RDX, b);
            }
        },
    }
    match comparison {
        Comparison::Equal => Cond::Equal,
        Comparison::NotEqual => Cond::NotEqual,
        Comparison::Less => Cond::Less,
        Comparison::GreaterEqual => Cond::GreaterEqual,
        Comparison::LessUnsigned => Cond::Below,
        Comparison::GreaterEqualUnsigned => Cond::AboveEqual,
    }
}

fn compare_with(e: &mut Emitter<'_>, leaf: Operand, value: u64) {
    let operand = match leaf {
        Operand::Const(constant) => {
            e.asm.mov_imm(RDX, constant);
            Rm::Reg(RDX)
        }
        leaf => e.operand(leaf),
    };
    match (i32::try_from(value.cast_signed()), operand) {
        (Ok(0), Rm::Reg(reg)) => e.asm.test(B64, reg, reg),
        (Ok(short), operand) => e.asm.alu_imm(Alu::Cmp, B64, operand, short),
        (Err(_), operand) => {
            // Compared the other way round, the condition would be another.
            let reg = match operand {
                Rm::Reg(reg) => reg,
                operand => {
                    e.asm.mov(B64, RDX, operand);
                    RDX
                }
            };
            e.asm.mov_imm(RCX, value);
            e.asm.alu(Alu::Cmp, B64, reg, RCX);
        }
    }
}
