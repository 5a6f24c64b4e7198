//! Conversions between floats of both precisions and integers.

use isa::float::Rounding;
use isa::{FloatOp, Precision};

use super::asm::{Alu, B32, B64, Bits, Cond, Direction, Logic, RAX, RCX, Rm, Shift, XMM1};
use super::emit::{Emitter, Exit, Leaf, Value};
use super::map::{float_home, float_host};

impl Emitter<'_> {
    /// From the other precision.
    pub(super) fn convert(&mut self, precision: Precision, a: u8) {
        let dst = self.float_destination();
        match precision {
            Precision::Double => {
                self.need_box(a);
                self.fetch_float(dst, a);
                self.asm.convert_to(precision, dst, dst);
            }
            Precision::Single => {
                let src = if float_host(a) == Some(dst) {
                    self.asm.mov_xmm(XMM1, dst);
                    XMM1.into()
                } else {
                    self.float_operand(a)
                };
                self.asm.set_ones(dst);
                self.asm.convert_to(precision, dst, src);
            }
        }
        self.canonical(precision);
        self.put_float(precision);
    }

    /// The integer is computed in RAX, and then moved: until then the destination must stay as it is.
    fn put_converted(&mut self, bits: Bits) {
        let dst = self.destination(self.insn.rd);
        match bits {
            B32 => self.asm.load_extended(2, true, dst, RAX),
            B64 if dst != RAX => self.asm.mov(B64, dst, RAX),
            B64 => {}
        }
        self.put_integer(dst);
    }

    /// By the host's conversion, which knows the lowest integer too.
    pub(super) fn convert_to_signed(
        &mut self,
        rounding: Rounding,
        precision: Precision,
        bits: Bits,
        a: u8,
    ) -> Result<(), Exit> {
        let direction = match rounding {
            Rounding::NearestEven | Rounding::TowardZero => None,
            Rounding::Down if self.thunks.rounds => Some(Direction::Down),
            Rounding::Up if self.thunks.rounds => Some(Direction::Up),
            _ => return Err(Exit::Helper),
        };
        let toward_zero = rounding != Rounding::NearestEven;
        self.need_boxes(precision, &[a]);
        let src = self.float_operand(a);
        let mut integral = src;
        if let Some(direction) = direction {
            self.asm.round_quietly(direction, precision, XMM1, src);
            integral = XMM1.into();
        }
        self.asm
            .convert_to_integer(toward_zero, precision, bits, RAX, integral);
        // The lowest integer overflows: it may stand for "none".
        self.asm.alu_imm(Alu::Cmp, bits, RAX, 1);
        let site = self.asm.jump_if(Cond::Overflow);
        if direction.is_some() {
            // For the exception "inexact": towards zero there is an integer, too.
            self.asm.convert_to_integer(true, precision, bits, RCX, src);
        }
        self.or_exactly(site, |emitter| emitter.put_converted(bits));
        Ok(())
    }

    /// By the conversion to a signed double-word, if there can be no other exception than "inexact": positive (which
    /// the bits say, taken for an unsigned integer) and small enough.
    pub(super) fn convert_to_unsigned(
        &mut self,
        rounding: Rounding,
        precision: Precision,
        bits: Bits,
        a: u8,
    ) -> Result<(), Exit> {
        let toward_zero = match rounding {
            Rounding::NearestEven => false,
            Rounding::TowardZero => true,
            _ => return Err(Exit::Helper),
        };
        self.need_boxes(precision, &[a]);
        let (wide, bound) = match (precision, bits) {
            (Precision::Single, B32) => (B32, 0x4f80_0000),
            (Precision::Single, B64) => (B32, 0x5f00_0000),
            (Precision::Double, B32) => (B64, 0x41ef_ffff_ffe0_0000),
            (Precision::Double, B64) => (B64, 0x43e0_0000_0000_0000),
        };
        match float_host(a) {
            Some(host) => self.asm.bits_from_xmm(wide, RAX, host),
            None => self.asm.mov(wide, RAX, float_home(a)),
        }
        self.asm.mov_imm(RCX, bound);
        self.asm.alu(Alu::Cmp, wide, RAX, RCX);
        let site = self.asm.jump_if(Cond::AboveEqual);
        let src = self.float_operand(a);
        self.asm
            .convert_to_integer(toward_zero, precision, B64, RAX, src);
        self.or_exactly(site, |emitter| emitter.put_converted(bits));
        Ok(())
    }

    /// From a signed double-word to a double, for any rounding: only if there is nothing to be rounded.
    pub(super) fn convert_small_integer(&mut self, operand: Value) {
        let leaf = self.settle(operand);
        self.fetch(RAX, leaf);
        self.asm.mov_imm(RCX, 1 << 53);
        self.asm.alu(Alu::Add, B64, RCX, RAX);
        self.asm.shift_imm(Shift::Right, B64, RCX, 54);
        let site = self.asm.jump_if(Cond::NotEqual);
        let dst = self.float_destination();
        self.asm.logic(Logic::Xor, dst, dst);
        self.asm
            .convert_from_integer(Precision::Double, B64, dst, RAX);
        self.or_exactly(site, |emitter| emitter.put_float(Precision::Double));
    }

    /// From an integer.
    pub(super) fn convert_integer(&mut self, op: FloatOp, precision: Precision, operand: Value) {
        let leaf = self.settle(operand);
        let (src, bits): (Rm, _) = match (op, leaf) {
            (FloatOp::FromI32, Leaf::X(_)) => (self.operand(leaf), B32),
            (FloatOp::FromI64, Leaf::X(_)) => (self.operand(leaf), B64),
            (FloatOp::FromU32, Leaf::X(_)) => {
                let word = self.operand(leaf);
                self.asm.mov(B32, RAX, word);
                (RAX.into(), B64)
            }
            _ => {
                self.fetch(RAX, leaf);
                match op {
                    FloatOp::FromI32 => (RAX.into(), B32),
                    FloatOp::FromU32 => {
                        self.asm.mov(B32, RAX, RAX);
                        (RAX.into(), B64)
                    }
                    _ => (RAX.into(), B64),
                }
            }
        };
        let negative = (op == FloatOp::FromU64).then(|| {
            self.asm.test(B64, RAX, RAX);
            self.asm.jump_if(Cond::Negative)
        });
        let dst = self.float_destination();
        // Other bits of the destination stay: those of a box. And it should not be waited for.
        match precision {
            Precision::Single => self.asm.set_ones(dst),
            Precision::Double => self.asm.logic(Logic::Xor, dst, dst),
        }
        self.asm.convert_from_integer(precision, bits, dst, src);
        match negative {
            Some(site) => self.or_exactly(site, |emitter| emitter.put_float(precision)),
            None => self.put_float(precision),
        }
    }
}
