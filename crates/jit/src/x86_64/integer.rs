//! Integer arithmetic: from [`isa::Binary`] to host instructions.

use isa::{Binary, Comparison};

use super::asm::{Alu, B32, B64, Bits, Cond, RAX, RCX, RDX, Reg, Rm, Shift, Unary, at, indexed};
use super::emit::{Emitter, Leaf};

impl Emitter<'_> {
    /// `dst = op(a, b)`. The scratch registers change; `dst` may be where an operand is.
    pub(super) fn compute(&mut self, dst: Reg, op: Binary, a: Leaf, b: Leaf) {
        match op {
            Binary::Add => self.arithmetic(Alu::Add, B64, dst, a, b),
            Binary::Subtract => self.arithmetic(Alu::Sub, B64, dst, a, b),
            Binary::And => self.arithmetic(Alu::And, B64, dst, a, b),
            Binary::Or => self.arithmetic(Alu::Or, B64, dst, a, b),
            Binary::Xor => self.arithmetic(Alu::Xor, B64, dst, a, b),
            Binary::AddWord => {
                if b == Leaf::Const(0) && a != Leaf::Temp {
                    return self.sign_extend_word(dst, a);
                }
                self.arithmetic(Alu::Add, B32, dst, a, b);
                self.extend_word(dst);
            }
            Binary::SubtractWord => {
                self.arithmetic(Alu::Sub, B32, dst, a, b);
                self.extend_word(dst);
            }
            Binary::ShiftLeft => self.shift(Shift::Left, B64, dst, a, b),
            Binary::ShiftRight => self.shift(Shift::Right, B64, dst, a, b),
            Binary::ShiftRightSigned => self.shift(Shift::RightSigned, B64, dst, a, b),
            Binary::ShiftLeftWord => self.shift(Shift::Left, B32, dst, a, b),
            Binary::ShiftRightWord => self.shift(Shift::Right, B32, dst, a, b),
            Binary::ShiftRightSignedWord => self.shift(Shift::RightSigned, B32, dst, a, b),
            Binary::Less => {
                let cond = self.compare_leaves(Comparison::Less, a, b);
                self.set_if(dst, cond);
            }
            Binary::LessUnsigned => {
                let cond = self.compare_leaves(Comparison::LessUnsigned, a, b);
                self.set_if(dst, cond);
            }
            Binary::Multiply => self.multiply(B64, dst, a, b),
            Binary::MultiplyWord => {
                self.multiply(B32, dst, a, b);
                self.extend_word(dst);
            }
            Binary::MultiplyHigh => self.multiply_high(Unary::SignedMul, dst, a, b),
            Binary::MultiplyHighUnsigned => self.multiply_high(Unary::Mul, dst, a, b),
            Binary::MultiplyHighSignedUnsigned => self.multiply_high_mixed(dst, a, b),
            Binary::Divide => self.divide(B64, true, false, dst, a, b),
            Binary::DivideUnsigned => self.divide(B64, false, false, dst, a, b),
            Binary::Remainder => self.divide(B64, true, true, dst, a, b),
            Binary::RemainderUnsigned => self.divide(B64, false, true, dst, a, b),
            Binary::DivideWord => self.divide(B32, true, false, dst, a, b),
            Binary::DivideUnsignedWord => self.divide(B32, false, false, dst, a, b),
            Binary::RemainderWord => self.divide(B32, true, true, dst, a, b),
            Binary::RemainderUnsignedWord => self.divide(B32, false, true, dst, a, b),
            Binary::SignSingle
            | Binary::SignNegatedSingle
            | Binary::SignXorSingle
            | Binary::SignDouble
            | Binary::SignNegatedDouble
            | Binary::SignXorDouble => unreachable!("signs are injected where floats are written"),
        }
    }

    fn sign_extend_word(&mut self, dst: Reg, a: Leaf) {
        match a {
            Leaf::Const(value) => self.asm.mov_imm(dst, Binary::AddWord.evaluate(value, 0)),
            leaf if self.narrow => self.fetch(dst, leaf),
            leaf => {
                let operand = self.operand(leaf);
                self.asm.load_extended(2, true, dst, operand);
            }
        }
    }

    /// Addition, subtraction and logic. Of a 32-bit result the upper half is 0.
    fn arithmetic(&mut self, op: Alu, bits: Bits, dst: Reg, a: Leaf, b: Leaf) {
        match (a, b) {
            (_, Leaf::Const(value)) => self.arithmetic_constant(op, bits, dst, a, value),
            (Leaf::Const(value), _) if op != Alu::Sub => {
                self.arithmetic_constant(op, bits, dst, b, value);
            }
            (Leaf::Const(0), _) => {
                self.fetch(dst, b);
                self.asm.unary(Unary::Neg, bits, dst);
            }
            (Leaf::Const(value), _) => {
                self.fetch(RCX, b);
                self.asm.mov_imm(dst, value);
                self.asm.alu(op, bits, dst, RCX);
            }
            _ => {
                let (left, right) = (self.operand(a), self.operand(b));
                if right == Rm::Reg(dst) && left != right {
                    if op == Alu::Sub {
                        self.asm.unary(Unary::Neg, bits, dst);
                        self.asm.alu(Alu::Add, bits, dst, left);
                    } else {
                        self.asm.alu(op, bits, dst, left);
                    }
                    return;
                }
                match (op, left, right) {
                    (Alu::Add, Rm::Reg(left), Rm::Reg(right)) if left != dst => {
                        self.asm.lea(bits, dst, indexed(left, right, 0, 0));
                    }
                    _ => {
                        self.fetch(dst, a);
                        self.asm.alu(op, bits, dst, right);
                    }
                }
            }
        }
    }

    fn arithmetic_constant(&mut self, op: Alu, bits: Bits, dst: Reg, a: Leaf, value: u64) {
        // On words only the low half counts.
        let value = match bits {
            B32 => i64::from(value as i32),
            B64 => value.cast_signed(),
        };
        let Ok(short) = i32::try_from(value) else {
            if a == Leaf::Temp && dst == RCX {
                unreachable!("RCX is no destination of arithmetic");
            }
            self.asm.mov_imm(RCX, value.cast_unsigned());
            self.fetch(dst, a);
            self.asm.alu(op, bits, dst, RCX);
            return;
        };
        if let Leaf::Const(constant) = a {
            self.asm.mov_imm(dst, constant);
            self.asm.alu_imm(op, bits, dst, short);
            return;
        }
        match (op, self.operand(a)) {
            (Alu::Add, Rm::Reg(left)) if left != dst => self.asm.lea(bits, dst, at(left, short)),
            (Alu::Sub, Rm::Reg(left)) if left != dst && short != i32::MIN => {
                self.asm.lea(bits, dst, at(left, -short));
            }
            // What a byte holds needs no mask.
            (Alu::And, operand) if short == 0xff => {
                self.asm.load_extended(0, false, dst, operand);
            }
            (Alu::Xor, _) if short == -1 => {
                self.fetch(dst, a);
                self.asm.unary(Unary::Not, bits, dst);
            }
            _ => {
                self.fetch(dst, a);
                self.asm.alu_imm(op, bits, dst, short);
            }
        }
    }

    fn shift(&mut self, op: Shift, bits: Bits, dst: Reg, a: Leaf, b: Leaf) {
        if let Leaf::Const(by) = b {
            let by = by as u8 & if bits == B64 { 63 } else { 31 };
            self.fetch(dst, a);
            if by != 0 {
                self.asm.shift_imm(op, bits, dst, by);
            }
        } else {
            // The host too takes the shift amount modulo the width.
            self.fetch(RCX, b);
            self.fetch(dst, a);
            self.asm.shift(op, bits, dst);
        }
        if bits == B32 {
            self.extend_word(dst);
        }
    }

    fn multiply(&mut self, bits: Bits, dst: Reg, a: Leaf, b: Leaf) {
        let (a, b) = match (a, b) {
            (Leaf::Const(_), _) => (b, a),
            (_, b)
                if b != Leaf::Temp
                    && !matches!(b, Leaf::Const(_))
                    && self.operand(b) == Rm::Reg(dst) =>
            {
                (b, a)
            }
            _ => (a, b),
        };
        if let Leaf::Const(value) = b {
            match i32::try_from(value.cast_signed()) {
                Ok(short) if !matches!(a, Leaf::Const(_)) => {
                    let operand = self.operand(a);
                    self.asm.imul_imm(bits, dst, operand, short);
                }
                _ => {
                    self.asm.mov_imm(RCX, value);
                    self.fetch(dst, a);
                    self.asm.imul(bits, dst, RCX);
                }
            }
            return;
        }
        let operand = self.operand(b);
        self.fetch(dst, a);
        self.asm.imul(bits, dst, operand);
    }

    fn multiply_high(&mut self, op: Unary, dst: Reg, a: Leaf, b: Leaf) {
        self.fetch(RCX, b);
        self.fetch(RAX, a);
        self.asm.unary(op, B64, RCX);
        self.asm.mov(B64, dst, RDX);
    }

    /// `a` signed, `b` unsigned: if `a` is negative, the unsigned product is too large by `b` times 2⁶⁴.
    fn multiply_high_mixed(&mut self, dst: Reg, a: Leaf, b: Leaf) {
        self.fetch(RCX, b);
        self.fetch(RAX, a);
        self.asm.unary(Unary::Mul, B64, RCX);
        self.fetch(RAX, a);
        self.asm.shift_imm(Shift::RightSigned, B64, RAX, 63);
        self.asm.alu(Alu::And, B64, RAX, RCX);
        self.asm.alu(Alu::Sub, B64, RDX, RAX);
        self.asm.mov(B64, dst, RDX);
    }

    /// Where the host would trap: a division by zero gives all ones and leaves the dividend, one by -1 is a
    /// negation (which wraps) and leaves nothing.
    fn divide(&mut self, bits: Bits, signed: bool, remainder: bool, dst: Reg, a: Leaf, b: Leaf) {
        self.fetch(RCX, b);
        self.fetch(RAX, a);
        self.asm.test(bits, RCX, RCX);
        let by_zero = self.asm.jump_if(Cond::Equal);
        let by_minus_one = signed.then(|| {
            self.asm.alu_imm(Alu::Cmp, bits, RCX, -1);
            self.asm.jump_if(Cond::Equal)
        });
        if signed {
            self.asm.sign_into_rdx(bits);
            self.asm.unary(Unary::SignedDiv, bits, RCX);
        } else {
            self.clear(RDX);
            self.asm.unary(Unary::Div, bits, RCX);
        }
        let mut done = vec![self.asm.jump()];
        if let Some(by_minus_one) = by_minus_one {
            self.asm.land(by_minus_one);
            self.asm.unary(Unary::Neg, bits, RAX);
            self.clear(RDX);
            done.push(self.asm.jump());
        }
        self.asm.land(by_zero);
        if remainder {
            self.asm.mov(bits, RDX, RAX);
        } else {
            self.asm.mov_imm(RAX, u64::MAX);
        }
        for site in done {
            self.asm.land(site);
        }
        let result = if remainder { RDX } else { RAX };
        match bits {
            B32 => self.asm.load_extended(2, true, dst, result),
            B64 if dst != result => self.asm.mov(B64, dst, result),
            B64 => {}
        }
    }

    /// Emits a comparison of a value with zero or another; returns the condition under which it holds.
    pub(super) fn compare_leaves(&mut self, comparison: Comparison, a: Leaf, b: Leaf) -> Cond {
        if let Leaf::Const(value) = a {
            // The operands change places.
            let cond = match comparison {
                Comparison::Equal => Cond::Equal,
                Comparison::NotEqual => Cond::NotEqual,
                Comparison::Less => Cond::Greater,
                Comparison::GreaterEqual => Cond::LessEqual,
                Comparison::LessUnsigned => Cond::Above,
                Comparison::GreaterEqualUnsigned => Cond::BelowEqual,
            };
            self.compare_with(b, value);
            return cond;
        }
        match b {
            Leaf::Const(value) => self.compare_with(a, value),
            _ => match (self.operand(a), self.operand(b)) {
                (Rm::Reg(a), b) => self.asm.alu(Alu::Cmp, B64, a, b),
                (Rm::Mem(a), Rm::Reg(b)) => self.asm.alu_to(Alu::Cmp, B64, a, b),
                (a, b) => {
                    self.asm.mov(B64, RDX, a);
                    self.asm.alu(Alu::Cmp, B64, RDX, b);
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

    fn compare_with(&mut self, leaf: Leaf, value: u64) {
        let operand = match leaf {
            Leaf::Const(constant) => {
                self.asm.mov_imm(RDX, constant);
                Rm::Reg(RDX)
            }
            leaf => self.operand(leaf),
        };
        match (i32::try_from(value.cast_signed()), operand) {
            (Ok(0), Rm::Reg(reg)) => self.asm.test(B64, reg, reg),
            (Ok(short), operand) => self.asm.alu_imm(Alu::Cmp, B64, operand, short),
            (Err(_), operand) => {
                // Compared the other way round, the condition would be another.
                let reg = match operand {
                    Rm::Reg(reg) => reg,
                    operand => {
                        self.asm.mov(B64, RDX, operand);
                        RDX
                    }
                };
                self.asm.mov_imm(RCX, value);
                self.asm.alu(Alu::Cmp, B64, reg, RCX);
            }
        }
    }
}
