//! Floats to and from memory, between registers, and their signs.

use isa::{Binary, Op, Precision, Width};

use super::asm::{B32, B64, Logic, RAX, Rm, XMM0, XMM1, Xmm};
use super::cold::Cold;
use super::emit::{Emitter, Leaf, Value};
use super::layout::{LOAD_ADDEND, LOAD_TAG};
use super::memory::log;

/// Masks in the arena, 16 bytes each and aligned.
pub(super) const MASKS: [u128; 4] = [
    SIGN_SINGLE as u128,
    SIGN_DOUBLE as u128,
    !(SIGN_SINGLE as u128),
    !(SIGN_DOUBLE as u128),
];
const SIGN_SINGLE: u64 = 1 << 31;
const SIGN_DOUBLE: u64 = 1 << 63;

impl Emitter<'_> {
    /// Where a mask is: the sign, or all but the sign.
    fn mask(&self, precision: Precision, others: bool) -> Rm {
        let single = precision == Precision::Single;
        let index = u32::from(others) << 1 | u32::from(!single);
        Rm::Code(self.thunks.masks + 16 * index)
    }

    /// The whole of `fld` or `flw`, from the address on.
    pub(super) fn load_float(&mut self, address: Value, width: Width) -> Value {
        let precision = if log(width) == 2 {
            Precision::Single
        } else {
            Precision::Double
        };
        let dst = self.float_destination();
        let into = match precision {
            Precision::Single => XMM1,
            Precision::Double => dst,
        };
        if let Some(place) = self.group_place(LOAD_TAG, LOAD_ADDEND) {
            self.asm.load_scalar(precision, into, place);
        } else {
            let address = self.address(address);
            let (site, place) = self.look_up_load(address, width);
            self.asm.load_scalar(precision, into, place);
            self.not_fast(site, |site, emitter| Cold::LoadFloat {
                site,
                back: emitter.asm.here(),
                address,
                dst: into,
                record: emitter.record(),
            });
        }
        if precision == Precision::Single {
            self.box_from(XMM1);
        }
        self.put_float(precision);
        Value::Done
    }

    /// The destination = the single in a temporary register, boxed.
    fn box_from(&mut self, single: Xmm) {
        let dst = self.float_destination();
        self.asm.set_ones(dst);
        self.asm.merge_single(dst, single);
    }

    /// Writes the destination of an instruction that does not compute.
    pub(super) fn write_float(&mut self, value: Value) {
        let dst = self.float_destination();
        match (self.insn.op, value) {
            // A load or an operation, complete.
            (_, Value::Done) => {}
            (Op::FmvWX, Value::Binary(Binary::Or, leaf, _)) => {
                let src = self.float_bits(leaf);
                let temp = if dst == XMM0 { XMM1 } else { XMM0 };
                self.asm.bits_to_xmm(B32, temp, src);
                self.box_from(temp);
                self.put_float(Precision::Single);
            }
            (_, Value::Binary(op, Leaf::F(a), Leaf::F(b))) => self.sign(op, a, b),
            (Op::FmvWX, value) => {
                // A known value, box included.
                let leaf = self.settle(value);
                let src = self.float_bits(leaf);
                self.asm.bits_to_xmm(B64, dst, src);
                self.put_float(Precision::Single);
            }
            (_, value) => {
                let leaf = self.settle(value);
                let src = self.float_bits(leaf);
                self.asm.bits_to_xmm(B64, dst, src);
                self.put_float(Precision::Double);
            }
        }
    }

    /// Where the bits of an integer can be read.
    fn float_bits(&mut self, leaf: Leaf) -> Rm {
        match leaf {
            Leaf::Const(value) => {
                self.asm.mov_imm(RAX, value);
                RAX.into()
            }
            leaf => self.operand(leaf),
        }
    }

    /// Sign injection.
    fn sign(&mut self, op: Binary, a: u8, b: u8) {
        let precision = match op {
            Binary::SignSingle | Binary::SignNegatedSingle | Binary::SignXorSingle => {
                self.need_box(a);
                self.need_box(b);
                Precision::Single
            }
            _ => Precision::Double,
        };
        let (sign, others) = (self.mask(precision, false), self.mask(precision, true));
        let dst = self.float_destination();
        let negated = matches!(op, Binary::SignNegatedSingle | Binary::SignNegatedDouble);
        let product = matches!(op, Binary::SignXorSingle | Binary::SignXorDouble);
        if a == b {
            self.fetch_float(dst, a);
            if negated {
                self.asm.logic(Logic::Xor, dst, sign);
            } else if product {
                self.asm.logic(Logic::And, dst, others);
            }
        } else {
            self.fetch_float(XMM1, b);
            if negated {
                self.asm.logic(Logic::Xor, XMM1, sign);
            }
            self.asm.logic(Logic::And, XMM1, sign);
            self.fetch_float(dst, a);
            if product {
                self.asm.logic(Logic::Xor, dst, XMM1);
            } else {
                self.asm.logic(Logic::And, dst, others);
                self.asm.logic(Logic::Or, dst, XMM1);
            }
        }
        self.put_float(precision);
    }
}
