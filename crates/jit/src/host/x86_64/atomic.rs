//! Atomic instructions. There is one hart, and nothing else touches memory while it runs: plain accesses will do.

use isa::{Amo, Width};
use machine::hart::NO_RESERVATION;

use super::asm::{Alu, B32, B64, Cond, R14, RAX, RCX, RDX, RSP, Reg, Rm, at, indexed};
use super::conventions::frame;
use super::emitter::Emitter;
use super::layout::{self, LOAD_ADDEND, LOAD_TAG, STORE_ADDEND, STORE_TAG};
use super::memory::{log, look_up};
use crate::plan::{Miss, Operand, Place};

/// The register that holds the address.
fn address(e: &mut Emitter<'_>, place: Place) -> Reg {
    match e.place(place) {
        Rm::Reg(host) => host,
        home => {
            e.asm.mov(B64, RAX, home);
            RAX
        }
    }
}

fn must_be_aligned(e: &mut Emitter<'_>, address: Reg, width: Width, miss: Miss) {
    e.asm.test_imm(address, width.bytes() as i32 - 1);
    let misaligned = e.asm.jump_if(Cond::NotEqual);
    e.miss(misaligned, miss);
}

/// Leaves the host's address of an access to `address`, which is in RAX or in a slot, in RCX. If it is not fast, it is a miss.
fn place(e: &mut Emitter<'_>, address: Reg, width: Width, (tag, addend): (i32, i32), miss: Miss) {
    let site = look_up(e, address, width.bytes() as i32, tag);
    e.miss(site, miss);
    e.asm.mov(B64, RCX, indexed(R14, RCX, 0, addend));
    e.asm.alu(Alu::Add, B64, RCX, address);
}

/// RDX = the offset in memory of what is at the host's address in RCX.
fn offset_of_place(e: &mut Emitter<'_>) {
    e.asm.mov(B64, RDX, RCX);
    e.asm.alu(Alu::Sub, B64, RDX, at(RSP, frame::MEMORY));
}

pub(super) fn load_reserved(e: &mut Emitter<'_>, width: Width, to: Place, from: Place, miss: Miss) {
    let address = address(e, from);
    must_be_aligned(e, address, width, miss);
    place(e, address, width, (LOAD_TAG, LOAD_ADDEND), miss);
    offset_of_place(e);
    e.asm.store(layout::RESERVATION, RDX);
    e.asm.load_extended(log(width), true, RDX, at(RCX, 0));
    e.put_from(to, RDX);
}

pub(super) fn store_conditional(
    e: &mut Emitter<'_>,
    width: Width,
    (to, into): (Place, Place),
    value: Operand,
    miss: Miss,
) {
    let address = address(e, into);
    must_be_aligned(e, address, width, miss);
    // Without any reservation the address is not translated.
    e.asm
        .alu_imm(Alu::Cmp, B64, layout::RESERVATION, NO_RESERVATION as i32);
    let none = e.asm.jump_if(Cond::Equal);
    place(e, address, width, (STORE_TAG, STORE_ADDEND), miss);
    offset_of_place(e);
    e.asm.alu(Alu::Cmp, B64, RDX, layout::RESERVATION);
    e.asm
        .store_imm(3, layout::RESERVATION, NO_RESERVATION as i32);
    let other = e.asm.jump_if(Cond::NotEqual);
    e.fetch(RDX, value);
    e.asm.store_sized(log(width), at(RCX, 0), RDX);
    e.clear(RDX);
    let done = e.asm.jump();
    e.asm.land(none);
    e.asm.land(other);
    e.asm.mov_imm(RDX, 1);
    e.asm.land(done);
    e.put_from(to, RDX);
}

pub(super) fn amo(
    e: &mut Emitter<'_>,
    amo: Amo,
    width: Width,
    (to, into): (Place, Place),
    operand: Operand,
    miss: Miss,
) {
    let address = address(e, into);
    must_be_aligned(e, address, width, miss);
    place(e, address, width, (STORE_TAG, STORE_ADDEND), miss);
    e.asm.load_extended(log(width), true, RDX, at(RCX, 0));
    e.fetch(RAX, operand);
    let bits = if width == Width::Word { B32 } else { B64 };
    let choose = |e: &mut Emitter<'_>, unless: Cond| {
        e.asm.alu(Alu::Cmp, bits, RDX, RAX);
        e.asm.cmov(unless, bits, RAX, RDX);
    };
    match amo {
        Amo::Swap => {}
        Amo::Add => e.asm.alu(Alu::Add, bits, RAX, RDX),
        Amo::Xor => e.asm.alu(Alu::Xor, bits, RAX, RDX),
        Amo::And => e.asm.alu(Alu::And, bits, RAX, RDX),
        Amo::Or => e.asm.alu(Alu::Or, bits, RAX, RDX),
        Amo::Minimum => choose(e, Cond::Less),
        Amo::Maximum => choose(e, Cond::Greater),
        Amo::MinimumUnsigned => choose(e, Cond::Below),
        Amo::MaximumUnsigned => choose(e, Cond::Above),
    }
    e.asm.store_sized(log(width), at(RCX, 0), RAX);
    e.put_from(to, RDX);
}
