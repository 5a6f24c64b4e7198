//! What all translated code shares: the way in, the ways out, and the ways to the helpers. Made once, at the start of
//! the arena.

use super::asm::{
    Alu, Asm, B32, B64, Cond, R8, R9, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP,
    Reg, Shift, at, indexed,
};
use super::conventions::{MASKS, frame, reason, verdict};
use super::layout::{self, FETCH_ADDEND, FETCH_TAG};
use super::{helpers, pins};

/// Arena offsets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Thunks {
    pub(crate) enter: u32,
    /// The address in the hart is where to go on, but there is no code for it. Its page was not looked up.
    pub(super) miss: u32,
    /// To be left at the offset in EAX, before its instruction: too few positions are left.
    pub(super) tail: u32,
    /// To be left at the offset in EAX: the next instruction is the interpreter's.
    pub(super) step: u32,
    /// To be left at the offset in EAX, for which there is no code. ECX is the jump that leads there.
    pub(super) link: u32,
    pub(super) load: u32,
    pub(super) store: u32,
    pub(super) execute: u32,
    /// For the interpreter: the rest of a block.
    pub(super) rest: u32,
    /// [`MASKS`].
    pub(super) masks: u32,
    /// The host has fused multiplication and addition.
    pub(super) fused: bool,
    /// The host rounds to integral values.
    pub(super) rounds: bool,
}

/// Room for them: several times of what they take, which no guest can change.
const ROOM: usize = 16 << 10;
const SAVED: [Reg; 6] = [RBX, RBP, R12, R13, R14, R15];

impl Thunks {
    /// Makes them at offset 0, where an empty entry leads.
    pub(crate) fn make() -> (Thunks, Vec<u8>) {
        let mut asm = Asm::new(0, Vec::new(), ROOM);
        let mut thunks = Thunks {
            fused: std::arch::is_x86_feature_detected!("fma"),
            rounds: std::arch::is_x86_feature_detected!("sse4.1"),
            ..Thunks::default()
        };

        let empty = asm.jump();

        let leave = asm.here();
        // What a link is about.
        asm.mov(B64, RDX, RCX);
        asm.alu_imm(Alu::Add, B64, RSP, frame::BYTES);
        for reg in SAVED.into_iter().rev() {
            asm.pop(reg);
        }
        asm.ret();

        // An empty entry: RDX is the offset in memory of the instruction.
        asm.land(empty);
        asm.mov(B32, RAX, RDX);
        thunks.miss = asm.here();
        asm.alu_imm(Alu::And, B32, RAX, 0xfff);
        for (place, why) in [
            (None, reason::LOOK_UP),
            (Some(&mut thunks.tail), reason::TAIL),
            (Some(&mut thunks.step), reason::STEP),
            (Some(&mut thunks.link), reason::LINK),
        ] {
            if let Some(place) = place {
                *place = asm.here();
            }
            asm.alu_to(Alu::Add, B64, layout::PC, RAX);
            pins::save(&mut asm);
            asm.mov(B64, RAX, layout::POSITION);
            asm.alu(Alu::Sub, B64, RAX, R15);
            asm.store(layout::POSITION, RAX);
            asm.mov_imm(RAX, why);
            asm.jump_to(leave);
        }

        let resume = asm.here();
        asm.mov(B64, R15, RAX);
        pins::reload(&mut asm);
        asm.mov(B64, RAX, layout::PC);
        indirect_jump(&mut asm, thunks.miss);

        thunks.load = asm.here();
        pins::save(&mut asm);
        asm.mov(B64, RDX, RCX);
        asm.mov(B64, RSI, RAX);
        call(&mut asm, helpers::address_of_load(), resume, leave);

        thunks.store = asm.here();
        pins::save(&mut asm);
        asm.mov(B64, R9, RDX);
        asm.mov(B64, RDX, RCX);
        asm.mov(B64, RSI, RAX);
        call(&mut asm, helpers::address_of_store(), resume, leave);

        thunks.execute = asm.here();
        pins::save(&mut asm);
        asm.mov(B64, RDX, RCX);
        call(&mut asm, helpers::address_of_execute(), resume, leave);

        thunks.rest = asm.here();
        pins::save(&mut asm);
        asm.mov(B64, RDX, RCX);
        call(&mut asm, helpers::address_of_rest(), resume, leave);

        thunks.enter = asm.here();
        for reg in SAVED {
            asm.push(reg);
        }
        asm.alu_imm(Alu::Sub, B64, RSP, frame::BYTES);
        asm.mov(B64, RBP, RDI);
        asm.mov(B64, R14, RSI);
        asm.mov(B64, R15, RDX);
        asm.mov(B64, RAX, at(RSP, frame::ARGUMENTS));
        asm.store(at(RSP, frame::MEMORY), RAX);
        asm.mov(B64, RAX, at(RSP, frame::ARGUMENTS + 8));
        asm.store(at(RSP, frame::BOARD), RAX);
        asm.mov(B64, RAX, RCX);
        asm.store(at(RSP, frame::ENTRIES), R8);
        asm.store(at(RSP, frame::CODE), R9);
        pins::reload(&mut asm);
        asm.jump_reg(RAX);

        asm.align(16);
        thunks.masks = asm.here();
        for mask in MASKS {
            asm.bytes(&mask.to_le_bytes());
        }

        assert!(!asm.is_full(), "there is ample room for the thunks");
        (thunks, asm.into_bytes())
    }
}

/// Calls a helper with the cpu, two arguments of its own in RSI and RDX, the positions left, the board, and perhaps a
/// third of its own in R9. Registers are in the hart meanwhile. On the stack is where to return to.
fn call(asm: &mut Asm, helper: usize, resume: u32, leave: u32) {
    asm.lea(B64, RDI, layout::CPU);
    asm.mov(B64, RCX, R15);
    asm.mov(B64, R8, at(RSP, frame::BOARD + 8));
    asm.alu_imm(Alu::Sub, B64, RSP, 8);
    asm.mov_imm(RAX, helper as u64);
    asm.call_reg(RAX);
    asm.alu_imm(Alu::Add, B64, RSP, 8);
    asm.test(B32, RDX, RDX);
    let other = asm.jump_if(Cond::NotEqual);
    pins::reload(asm);
    asm.ret();
    asm.land(other);
    asm.alu_imm(Alu::Add, B64, RSP, 8);
    asm.alu_imm(Alu::Cmp, B32, RDX, verdict::RESUME as i32);
    asm.jump_if_to(Cond::Equal, resume);
    asm.mov_imm(RAX, reason::LEFT);
    asm.jump_to(leave);
}

/// Goes on at the virtual address in RAX, wherever that is.
pub(super) fn indirect_jump(asm: &mut Asm, miss: u32) {
    look_up(asm, miss);
    asm.alu_imm(Alu::And, B32, RAX, 0xfff);
    asm.mov(B64, RDX, indexed(R14, RCX, 0, FETCH_ADDEND));
    asm.alu(Alu::Add, B64, RDX, RAX);
    enter_code(asm);
}

/// Goes on at an offset in the page whose virtual address is in RAX.
pub(super) fn jump_across(asm: &mut Asm, offset: u16, miss: u32) {
    asm.alu_imm(Alu::Or, B64, RAX, offset.into());
    look_up(asm, miss);
    asm.mov(B64, RDX, indexed(R14, RCX, 0, FETCH_ADDEND));
    if offset != 0 {
        asm.alu_imm(Alu::Add, B64, RDX, offset.into());
    }
    enter_code(asm);
}

/// Makes the page of the virtual address in RAX the present one, and its index that in RCX.
fn look_up(asm: &mut Asm, miss: u32) {
    asm.mov(B32, RCX, RAX);
    asm.shift_imm(Shift::Right, B32, RCX, layout::INDEX_SHIFT);
    asm.alu_imm(Alu::And, B32, RCX, layout::INDEX_MASK);
    asm.mov(B64, RDX, RAX);
    asm.alu_imm(Alu::And, B64, RDX, -4096);
    asm.store(layout::PC, RDX);
    asm.alu(Alu::Or, B64, RDX, layout::FETCH_CONTEXT);
    asm.alu(Alu::Cmp, B64, RDX, indexed(R14, RCX, 0, FETCH_TAG));
    asm.jump_if_to(Cond::NotEqual, miss);
}

/// Goes on at the offset in memory in RDX, in the hart's page.
fn enter_code(asm: &mut Asm) {
    asm.mov(B64, RCX, at(RSP, frame::ENTRIES));
    asm.mov(B32, RAX, indexed(RCX, RDX, 1, 0));
    asm.alu(Alu::Add, B64, RAX, at(RSP, frame::CODE));
    asm.jump_reg(RAX);
}
