//! What the handler does at each interrupt or call: one of many deeds, which a draw chooses.

use isa::Op;

use super::super::super::assembler::{Assembler, Label};
use super::super::{FAR, Setting};
use super::{
    A, B, C, DEEDS_DONE, DRAWN, Exits, FRM, HERE, LEAVES, Level, OTHER_LEAVES, OTHER_SATP, PATCHES,
    PATCHES_MAX, PC, SATP, STATUS, count_indexed, rebase,
};
use machine::hart::Mode;
use machine::hart::csr::status;

/// Deeds that the kernel chooses from.
pub(in super::super) const DEEDS: usize = 16;

/// Does what the draw says.
pub(super) fn choose_deed(code: &mut Assembler, level: Level, setting: Setting, exits: Exits) {
    code.imm(Op::Srli, A, DRAWN, 33);
    code.imm(Op::Andi, A, A, DEEDS as i32 - 1);
    count_indexed(code, DEEDS_DONE);
    let table = code.label();
    code.imm(Op::Slli, A, A, 2);
    code.address(B, table);
    code.reg(Op::Add, A, A, B);
    code.imm(Op::Jalr, 0, A, 0);
    code.place(table);
    let deeds: Vec<Label> = (0..DEEDS).map(|_| code.label()).collect();
    for deed in &deeds {
        code.jump(0, *deed);
    }
    for (number, label) in deeds.into_iter().enumerate() {
        code.place(label);
        deed(code, number, level, setting, exits);
        code.jump(0, exits.resume);
    }
}

fn deed(code: &mut Assembler, number: usize, level: Level, setting: Setting, exits: Exits) {
    match number {
        // A page is taken away: with a fence of its address, without one, with one of everything.
        0..=2 => {
            some_leaf(code);
            code.store(Op::Sd, 0, A, 0);
            match number {
                0 => code.reg(Op::SfenceVma, 0, C, 0),
                1 => {}
                _ => code.reg(Op::SfenceVma, 0, 0, 0),
            }
        }
        // Its accessed and dirty bits are.
        3 => {
            some_leaf(code);
            code.imm(Op::Ld, B, A, 0);
            code.imm(Op::Andi, B, B, !0xc0);
            code.store(Op::Sd, B, A, 0);
            code.reg(Op::SfenceVma, 0, C, 0);
        }
        4 => {
            code.imm(Op::Andi, A, DRAWN, 3);
            code.reg(Op::SfenceVma, 0, 0, A);
        }
        5 | 6 if setting.paged => {
            switch_space(code);
            if number == 6 {
                code.reg(Op::SfenceVma, 0, 0, 0);
            }
        }
        // Floats are off, initial, clean or dirty.
        7 => change_status(code, 40, status::FS),
        8 => change_status(code, 30, status::SUM | status::MXR),
        9 if setting.mode != Mode::Machine => {
            code.constant(A, level.from_supervisor);
            code.reg(Op::Xor, STATUS, STATUS, A);
            if setting.paged {
                rebase(code, level);
            }
        }
        // The other alias of the same mode.
        10 if setting.paged => {
            code.constant(A, level.from_supervisor);
            code.reg(Op::And, A, A, STATUS);
            code.constant(B, 0x2_0000);
            let done = code.label();
            code.branch(Op::Bne, A, 0, done);
            code.constant(B, 0x4_0000);
            code.place(done);
            code.reg(Op::Xor, PC, PC, B);
        }
        11 | 12 => {
            code.imm(Op::Srli, A, DRAWN, 40);
            code.imm(Op::Andi, A, A, PATCHES_MAX as i32 - 1);
            code.imm(Op::Slli, A, A, 4);
            code.reg(Op::Add, A, A, HERE);
            code.imm(Op::Ld, B, A, PATCHES);
            code.imm(Op::Ld, C, A, PATCHES + 8);
            code.store(Op::Sw, C, B, 0);
            if number == 12 {
                code.bare(Op::FenceI);
            }
        }
        // Seldom one that is invalid. The float unit must be on for that.
        13 => {
            code.constant(A, status::FS);
            code.imm(Op::Csrrs, 0, A, level.status);
            code.imm(Op::Srli, A, DRAWN, 50);
            code.imm(Op::Srli, B, DRAWN, 53);
            code.reg(Op::And, A, A, B);
            code.imm(Op::Andi, A, A, 7);
            code.imm(Op::Csrrw, 0, A, FRM);
        }
        // Rarely: from the start.
        14 => {
            code.imm(Op::Srli, A, DRAWN, 50);
            code.imm(Op::Andi, A, A, 7);
            code.branch(Op::Beq, A, 0, exits.restart);
        }
        // The alias with the same places in the caches of translations.
        15 if setting.paged => {
            code.constant(A, FAR);
            code.reg(Op::Xor, PC, PC, A);
        }
        _ => {}
    }
}

/// The address of a leaf in [`A`], and of the page that it maps in [`C`].
fn some_leaf(code: &mut Assembler) {
    code.imm(Op::Srli, A, DRAWN, 45);
    code.imm(Op::Andi, A, A, 0x77);
    code.imm(Op::Slli, C, A, 12);
    code.imm(Op::Slli, A, A, 3);
    code.imm(Op::Ld, B, HERE, LEAVES);
    code.reg(Op::Add, A, A, B);
}

fn switch_space(code: &mut Assembler) {
    code.imm(Op::Ld, A, HERE, OTHER_SATP);
    code.imm(Op::Csrrw, A, A, SATP);
    code.store(Op::Sd, A, HERE, OTHER_SATP);
    code.imm(Op::Ld, A, HERE, OTHER_LEAVES);
    code.imm(Op::Ld, B, HERE, LEAVES);
    code.store(Op::Sd, A, HERE, LEAVES);
    code.store(Op::Sd, B, HERE, OTHER_LEAVES);
}

/// Draws the bits of `mask` in [`STATUS`] anew.
fn change_status(code: &mut Assembler, shift: i32, mask: u64) {
    code.imm(Op::Srli, A, DRAWN, shift);
    code.constant(B, mask);
    code.imm(Op::Slli, C, A, 13);
    code.reg(Op::Xor, A, A, C);
    code.reg(Op::And, A, A, B);
    code.imm(Op::Xori, B, B, -1);
    code.reg(Op::And, STATUS, STATUS, B);
    code.reg(Op::Or, STATUS, STATUS, A);
}
