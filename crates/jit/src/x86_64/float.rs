//! Float arithmetic on the host's, whose results and exceptions are those of RISC-V but for a few cases, all of which
//! are noticed and left to the software of crate isa.
//!
//! - It is only used while `mstatus.FS` is dirty and `frm` is "to nearest even": asked once a block.
//! - A NaN as result is made canonical; where the host's exceptions may differ then, software computes it.
//! - A single operand whose box is broken is left to the interpreter, with the rest of the block.
//!
//! All float registers are up to date in memory between instructions; host registers only hold copies
//! ([`super::map`]), so that nothing is to be done for them when code is left.

use isa::float::Rounding;
use isa::{CsrAccess, FloatOp, Op, Precision, SINK, effective_rounding};
use machine::hart::csr::status;

use super::asm::{
    Alu, B32, B64, Cond, Fused, Logic, Order, RAX, RCX, Reg, Rm, Scalar, Site, XMM0, XMM1, XMM2,
    Xmm,
};
use super::cold::Cold;
use super::emit::{Emitter, Exit, Leaf, Value};
use super::layout;
use super::map::{float_home, float_host};

/// The number of the CSR.
const FRM: u16 = 2;
/// The canonical NaNs, as registers hold them.
const NAN_SINGLE: u64 = 0xffff_ffff_7fc0_0000;
const NAN_DOUBLE: u64 = 0x7ff8_0000_0000_0000;

/// What is known of floats, within a block.
#[derive(Clone, Default)]
pub(super) struct Floats {
    /// The state that arithmetic needs was found.
    ready: bool,
    /// `mstatus.FS` was found not to be off.
    on: bool,
    /// Registers that hold a boxed single for sure, one bit each.
    boxed: u32,
    /// Jumps of this instruction that leave the rest of the block to the interpreter.
    rest: Vec<Site>,
}

impl Floats {
    /// A helper executed an instruction with this destination (perhaps an integer register).
    pub(super) fn helped(&mut self, rd: u8, is_float: bool) {
        self.ready &= is_float;
        self.on &= is_float;
        self.boxed &= !(1 << (rd & 31));
    }
}

impl Emitter<'_> {
    /// Makes sure that the arithmetic of the host is that of the guest at present.
    pub(super) fn float_ready(&mut self) {
        if self.facts.floats.ready {
            return;
        }
        if matches!(self.insn.op, Op::Fsw | Op::Fsd | Op::FmvXW | Op::FmvXD) {
            return self.float_on();
        }
        let dirty = status::FS as i32;
        self.asm.mov(B32, RAX, layout::MSTATUS);
        self.asm.alu_imm(Alu::And, B32, RAX, dirty);
        self.asm.alu(Alu::Or, B32, RAX, layout::FRM);
        self.asm.alu_imm(Alu::Cmp, B32, RAX, dirty);
        let site = self.asm.jump_if(Cond::NotEqual);
        self.facts.floats.rest.push(site);
        self.facts.floats.ready = true;
    }

    /// Makes sure that float registers may be read: more is not asked by what changes none, and a program that never
    /// computes with floats saves them all the same, in each `setjmp`.
    fn float_on(&mut self) {
        if self.facts.floats.on {
            return;
        }
        self.asm.mov(B32, RAX, layout::MSTATUS);
        self.asm.alu_imm(Alu::And, B32, RAX, status::FS as i32);
        let site = self.asm.jump_if(Cond::Equal);
        self.facts.floats.rest.push(site);
        self.facts.floats.on = true;
    }

    /// Of the float CSRs only the rounding mode is not left to a helper: libraries like to look at it.
    pub(super) fn float_csr(&mut self, csr: u16, access: CsrAccess) -> Result<Value, Exit> {
        if (csr, access) != (FRM, CsrAccess::Read) {
            return Err(Exit::Helper);
        }
        self.float_ready();
        Ok(Value::Leaf(Leaf::Const(0)))
    }

    /// To be called behind each instruction.
    pub(super) fn end_float(&mut self) {
        if self.region.is_some() {
            for site in std::mem::take(&mut self.facts.floats.rest) {
                self.leave_region(site);
            }
        }
        if !self.facts.floats.rest.is_empty() {
            self.cold.push(Cold::Rest {
                sites: std::mem::take(&mut self.facts.floats.rest),
                record: self.record(),
            });
        }
    }

    /// Makes sure that a register holds a boxed single.
    pub(super) fn need_box(&mut self, guest: u8) {
        let bit = 1 << guest;
        if self.facts.floats.boxed & bit == 0 {
            let mut upper = float_home(guest);
            upper.disp += 4;
            self.asm.alu_imm(Alu::Cmp, B32, upper, -1);
            let site = self.asm.jump_if(Cond::NotEqual);
            self.facts.floats.rest.push(site);
            self.facts.floats.boxed |= bit;
        }
    }

    pub(super) fn need_boxes(&mut self, precision: Precision, guests: &[u8]) {
        if precision == Precision::Single {
            for guest in guests {
                self.need_box(*guest);
            }
        }
    }

    /// Where a float register can be read.
    pub(super) fn float_operand(&self, guest: u8) -> Rm {
        float_host(guest).map_or(float_home(guest).into(), Rm::from)
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

    /// The host register of a float register, or `temp` with its value.
    fn float_in(&mut self, guest: u8, temp: Xmm) -> Xmm {
        float_host(guest).unwrap_or_else(|| {
            self.fetch_float(temp, guest);
            temp
        })
    }

    /// The register that a float result should be computed in.
    pub(super) fn float_destination(&self) -> Xmm {
        float_host(self.insn.rd).unwrap_or(XMM0)
    }

    /// Completes an instruction whose result is in its float destination.
    pub(super) fn put_float(&mut self, precision: Precision) {
        let rd = self.insn.rd;
        let dst = self.float_destination();
        self.asm
            .store_scalar(Precision::Double, float_home(rd), dst);
        match precision {
            Precision::Single => self.facts.floats.boxed |= 1 << rd,
            Precision::Double => self.facts.floats.boxed &= !(1 << rd),
        }
    }

    /// Completes an instruction whose result is in a general register.
    pub(super) fn put_integer(&mut self, from: Reg) {
        let rd = self.insn.rd;
        if rd != 0 && rd != SINK {
            let host = self.map.host(rd);
            self.put(rd, host, from);
        }
    }

    /// Puts the canonical NaN in the place of any other.
    pub(super) fn canonical(&mut self, precision: Precision) {
        let dst = self.float_destination();
        self.asm.compare_scalars(true, precision, dst, dst);
        let site = self.asm.jump_if(Cond::Parity);
        self.cold.push(Cold::Nan {
            site,
            back: self.asm.here(),
            dst,
            value: match precision {
                Precision::Single => NAN_SINGLE,
                Precision::Double => NAN_DOUBLE,
            },
        });
    }

    /// Completes an instruction that software executes if the jump at `site` is taken.
    pub(super) fn or_exactly(&mut self, site: Site, complete: impl FnOnce(&mut Self)) {
        complete(self);
        if self.region.is_some() {
            return self.leave_region(site);
        }
        // By the helper.
        self.asm.rcx_touched = true;
        self.cold.push(Cold::Exact {
            sites: vec![site],
            back: self.asm.here(),
            record: self.record(),
        });
    }

    /// The whole instruction, its destination included.
    pub(super) fn float_operation(
        &mut self,
        op: FloatOp,
        precision: Precision,
        rm: u8,
        operand: Value,
    ) -> Result<Value, Exit> {
        // `frm` is 0, or this is not reached.
        let rounding = effective_rounding(rm, 0).ok_or(Exit::Helper)?;
        let nearest = rounding == Rounding::NearestEven;
        let [a, b, c] = [self.insn.rs1, self.insn.rs2, self.insn.rs3];
        match op {
            FloatOp::Add if nearest => self.arithmetic_on(Scalar::Add, precision, a, b),
            FloatOp::Subtract if nearest => self.arithmetic_on(Scalar::Subtract, precision, a, b),
            FloatOp::Multiply if nearest => self.arithmetic_on(Scalar::Multiply, precision, a, b),
            FloatOp::Divide if nearest => self.arithmetic_on(Scalar::Divide, precision, a, b),
            FloatOp::SquareRoot if nearest => self.square_root(precision, a),
            FloatOp::MultiplyAdd
            | FloatOp::MultiplySubtract
            | FloatOp::NegatedMultiplyAdd
            | FloatOp::NegatedMultiplySubtract
                if nearest && self.thunks.fused =>
            {
                let op = match op {
                    FloatOp::MultiplyAdd => Fused::MultiplyAdd,
                    FloatOp::MultiplySubtract => Fused::MultiplySubtract,
                    FloatOp::NegatedMultiplyAdd => Fused::NegatedMultiplyAdd,
                    _ => Fused::NegatedMultiplySubtract,
                };
                self.fused(op, precision, [a, b, c]);
            }
            FloatOp::Minimum => self.extreme(Scalar::Minimum, Logic::Or, precision, a, b),
            FloatOp::Maximum => self.extreme(Scalar::Maximum, Logic::And, precision, a, b),
            FloatOp::Convert if nearest || precision == Precision::Double => {
                self.convert(precision, a);
            }
            FloatOp::Equal => self.equal(precision, a, b),
            // The other way round, so that a NaN makes the condition false.
            FloatOp::Less => self.ordered(Cond::Above, precision, b, a),
            FloatOp::LessOrEqual => self.ordered(Cond::AboveEqual, precision, b, a),
            FloatOp::ToI32 => self.convert_to_signed(rounding, precision, B32, a)?,
            FloatOp::ToI64 => self.convert_to_signed(rounding, precision, B64, a)?,
            FloatOp::ToU32 => self.convert_to_unsigned(rounding, precision, B32, a)?,
            FloatOp::ToU64 => self.convert_to_unsigned(rounding, precision, B64, a)?,
            // A double holds every word.
            FloatOp::FromI32 | FloatOp::FromU32 if nearest || precision == Precision::Double => {
                self.convert_integer(op, precision, operand);
            }
            FloatOp::FromI64 | FloatOp::FromU64 if nearest => {
                self.convert_integer(op, precision, operand);
            }
            FloatOp::FromI64 if precision == Precision::Double => {
                self.convert_small_integer(operand);
            }
            _ => return Err(Exit::Helper),
        }
        Ok(Value::Done)
    }

    fn arithmetic_on(&mut self, op: Scalar, precision: Precision, a: u8, b: u8) {
        self.need_boxes(precision, &[a, b]);
        let dst = self.float_destination();
        let second_is_dst = a != b && float_host(b) == Some(dst);
        let (left, right) = match op {
            Scalar::Add | Scalar::Multiply if second_is_dst => (b, self.float_operand(a)),
            _ if second_is_dst => {
                self.asm.mov_xmm(XMM1, dst);
                (a, XMM1.into())
            }
            _ => (a, self.float_operand(b)),
        };
        self.fetch_float(dst, left);
        self.asm.scalar(op, precision, dst, right);
        self.canonical(precision);
        self.put_float(precision);
    }

    fn square_root(&mut self, precision: Precision, a: u8) {
        self.need_boxes(precision, &[a]);
        let dst = self.float_destination();
        self.fetch_float(dst, a);
        self.asm.scalar(Scalar::SquareRoot, precision, dst, dst);
        self.canonical(precision);
        self.put_float(precision);
    }

    fn fused(&mut self, op: Fused, precision: Precision, [a, b, c]: [u8; 3]) {
        self.need_boxes(precision, &[a, b, c]);
        let dst = self.float_destination();
        let is_dst = |guest| float_host(guest) == Some(dst);
        let (order, middle, last) = if !is_dst(c) && is_dst(a) {
            (Order::AddSource, b, c)
        } else if !is_dst(c) && is_dst(b) {
            (Order::AddSource, a, c)
        } else {
            self.fetch_float(dst, c);
            match float_host(a) {
                Some(_) => (Order::AddDestination, a, b),
                None => (Order::AddDestination, b, a),
            }
        };
        let middle = self.float_in(middle, XMM1);
        let last = self.float_operand(last);
        self.asm.fused(op, order, precision, dst, middle, last);
        self.asm.compare_scalars(true, precision, dst, dst);
        // The host may call infinity times zero valid if a NaN is added.
        let site = self.asm.jump_if(Cond::Parity);
        self.or_exactly(site, |emitter| emitter.put_float(precision));
    }

    /// Minimum or maximum. The host takes the second operand of two zeros: both ways, then the sign bits decide.
    fn extreme(&mut self, op: Scalar, zeros: Logic, precision: Precision, a: u8, b: u8) {
        self.need_boxes(precision, &[a, b]);
        self.fetch_float(XMM1, a);
        self.fetch_float(XMM2, b);
        self.asm.compare_scalars(true, precision, XMM1, XMM2);
        let site = self.asm.jump_if(Cond::Parity);
        let dst = self.float_destination();
        self.asm.mov_xmm(dst, XMM1);
        self.asm.scalar(op, precision, dst, XMM2);
        self.asm.scalar(op, precision, XMM2, XMM1);
        self.asm.logic(zeros, dst, XMM2);
        self.or_exactly(site, |emitter| emitter.put_float(precision));
    }

    fn equal(&mut self, precision: Precision, a: u8, b: u8) {
        self.need_boxes(precision, &[a, b]);
        let left = self.float_in(a, XMM1);
        let right = self.float_operand(b);
        self.asm.compare_scalars(true, precision, left, right);
        self.asm.set(Cond::NoParity, RCX);
        self.asm.set(Cond::Equal, RAX);
        self.asm.alu(Alu::And, B32, RAX, RCX);
        let dst = self.destination(self.insn.rd);
        self.asm.load_extended(0, false, dst, RAX);
        self.put_integer(dst);
    }

    fn ordered(&mut self, cond: Cond, precision: Precision, a: u8, b: u8) {
        self.need_boxes(precision, &[a, b]);
        let left = self.float_in(a, XMM1);
        let right = self.float_operand(b);
        self.asm.compare_scalars(false, precision, left, right);
        let dst = self.destination(self.insn.rd);
        self.set_if(dst, cond);
        self.put_integer(dst);
    }
}
