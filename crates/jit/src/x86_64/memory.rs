//! Loads and stores: the fast translations are asked in line, everything else is a helper's.

use isa::{Precision, Width};

use super::asm::{Alu, B32, B64, Cond, R14, RCX, RDX, Reg, Rm, Shift, Site, at, indexed};
use super::cold::Cold;
use super::emit::{Emitter, Leaf};
use super::layout::{
    DATA_CONTEXT, INDEX_MASK, INDEX_SHIFT, LOAD_ADDEND, LOAD_TAG, STORE_ADDEND, STORE_TAG,
};
use super::map::float_host;

/// The logarithm of the bytes of an access.
pub(super) fn log(width: Width) -> u8 {
    width.bytes().trailing_zeros() as u8
}

impl Emitter<'_> {
    /// Leaves the index of the page of `address` in RCX, and jumps if an access of `width` is not fast.
    pub(super) fn look_up(&mut self, address: Reg, width: Width, tag: i32) -> Site {
        self.asm.mov(B32, RCX, address);
        self.asm.shift_imm(Shift::Right, B32, RCX, INDEX_SHIFT);
        self.asm.alu_imm(Alu::And, B32, RCX, INDEX_MASK);
        // The page of the last byte, at the place of the first: one that straddles pages finds nothing.
        match width.bytes() as i32 - 1 {
            0 => self.asm.mov(B64, RDX, address),
            last => self.asm.lea(B64, RDX, at(address, last)),
        }
        self.asm.alu_imm(Alu::And, B64, RDX, -4096);
        self.asm.alu(Alu::Or, B64, RDX, DATA_CONTEXT);
        self.asm.alu(Alu::Cmp, B64, RDX, indexed(R14, RCX, 0, tag));
        self.asm.jump_if(Cond::NotEqual)
    }

    /// `dst` = what is at `address`, which is in RAX or in a register of the guest.
    pub(super) fn load_from(&mut self, address: Reg, width: Width, signed: bool, dst: Reg) {
        let site = self.look_up(address, width, LOAD_TAG);
        self.asm.mov(B64, RCX, indexed(R14, RCX, 0, LOAD_ADDEND));
        self.asm
            .load_extended(log(width), signed, dst, indexed(RCX, address, 0, 0));
        self.cold.push(Cold::Load {
            site,
            back: self.asm.here(),
            address,
            dst,
            record: self.record(),
        });
    }

    /// Stores a value at `address`, which is in RAX or in a register of the guest.
    pub(super) fn store_to(&mut self, address: Reg, width: Width, value: Leaf) {
        let site = self.look_up(address, width, STORE_TAG);
        self.asm.mov(B64, RCX, indexed(R14, RCX, 0, STORE_ADDEND));
        let place = indexed(RCX, address, 0, 0);
        match value {
            Leaf::Const(value) if let Ok(short) = i32::try_from(value.cast_signed()) => {
                self.asm.store_imm(log(width), place, short);
            }
            Leaf::F(guest) if let Some(host) = float_host(guest) => {
                let precision = match width {
                    Width::Word => Precision::Single,
                    _ => Precision::Double,
                };
                self.asm.store_scalar(precision, place, host);
            }
            value => {
                let from = match value {
                    Leaf::X(_) if let Rm::Reg(host) = self.operand(value) => host,
                    value => {
                        self.fetch(RDX, value);
                        RDX
                    }
                };
                self.asm.store_sized(log(width), place, from);
            }
        }
        self.cold.push(Cold::Store {
            site,
            back: self.asm.here(),
            address,
            value,
            record: self.record(),
        });
    }
}
