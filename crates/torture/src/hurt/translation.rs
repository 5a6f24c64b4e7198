//! Scenes about address translation: page tables of any content, which overlap what runs; `satp` and fences in loops.

use isa::Op;

use super::{DATA, MSTATUS, PLAYGROUND, SATP, TABLES, Writer};
use machine::hart::csr::status;
use machine::ram::RAM_BASE;

const SV39: u64 = 8 << 60;
const SV48: u64 = 9 << 60;
/// All permissions, accessed, dirty.
const LEAF: u64 = 0xcf;
const PAGE: u64 = 4096;
/// Where the alias of memory lies.
const ALIAS: u64 = 0x4000_0000;

/// S-mode's loads and stores, done by M-mode.
fn enter(writer: &mut Writer<'_, '_>, mode: u64) {
    writer.code.constant(5, status::MPP);
    writer.code.imm(Op::Csrrc, 0, 5, MSTATUS);
    writer
        .code
        .constant(5, status::MPRV | mode << status::MPP_SHIFT);
    writer.code.imm(Op::Csrrs, 0, 5, MSTATUS);
}

fn leave(writer: &mut Writer<'_, '_>) {
    writer.code.constant(5, status::MPRV);
    writer.code.imm(Op::Csrrc, 0, 5, MSTATUS);
}

fn satp(mode: u64, space: u64, root: u64) -> u64 {
    mode | space << 44 | root >> 12
}

/// Memory at its place and at [`ALIAS`], for S-mode.
pub(super) fn alias(writer: &mut Writer<'_, '_>) {
    for entry in [1, 2] {
        writer.poke(Op::Sd, TABLES + entry * 8, RAM_BASE >> 2 | LEAF);
    }
    writer.code.constant(5, satp(SV39, 1, TABLES));
    writer.code.imm(Op::Csrrw, 0, 5, SATP);
    writer.code.bare(Op::SfenceVma);
}

/// Stores x`value` to the start of the function at x18, by its alias.
pub(super) fn store_by_alias(writer: &mut Writer<'_, '_>, value: u8) {
    writer.code.constant(6, RAM_BASE - ALIAS);
    writer.code.reg(Op::Sub, 6, 18, 6);
    enter(writer, 1);
    writer.code.store(Op::Sw, value, 6, 0);
    leave(writer);
}

/// An entry of a table: most often a good one.
fn entry(writer: &mut Writer<'_, '_>) -> u64 {
    let page = match writer.random.below(8) {
        0 => RAM_BASE + PAGE * writer.random.below(16) as u64,
        1 => TABLES + PAGE * writer.random.below(8) as u64,
        2 => RAM_BASE,
        3 => writer.random.integer() & ((1 << 56) - PAGE),
        4 => PLAYGROUND + PAGE * writer.random.below(64) as u64,
        _ => DATA + PAGE * writer.random.below(64) as u64,
    };
    let flags = match writer.random.below(8) {
        0 => writer.random.bits() & 0xff,
        1 => 1,
        // Neither accessed nor dirty yet.
        2 | 3 => 0x0f,
        4 => LEAF | 0x10,
        5 => LEAF | 0x20,
        _ => LEAF,
    };
    page >> 2 & !0x3ff | flags | if writer.random.one_in(32) { 1 << 63 } else { 0 }
}

/// Tables that are changed, left, entered again and fenced while loads and stores go through them.
pub(super) fn tables(writer: &mut Writer<'_, '_>) {
    writer.skip_traps(true);
    // Roots for Sv39 and Sv48, a middle, leaves.
    let [root, other, middle, leaves] = [0, 1, 2, 3].map(|page| TABLES + page * PAGE);
    let branch = |to: u64| to >> 2 | 1;
    for (at, value) in [
        (root, branch(middle)),
        (root + 8, RAM_BASE >> 2 | LEAF),
        (root + 16, RAM_BASE >> 2 | LEAF | 0x20),
        (middle, branch(leaves)),
        (middle + 8, DATA >> 2 | LEAF),
        (other, branch(root)),
    ] {
        writer.poke(Op::Sd, at, value);
    }
    for number in 0..32 {
        let value = entry(writer);
        writer.poke(Op::Sd, leaves + number * 8, value);
    }
    // Fills the translation caches: with entries of giants where that is wanted.
    if writer.bytes.byte() & 1 == 0 {
        sweep(writer, satp(SV39, 3, root));
    }
    let times = 2 + u64::from(writer.bytes.byte());
    let deeds = 2 + usize::from(writer.bytes.byte() % 24);
    let spaces = [
        satp(SV39, 1, root),
        satp(SV39, 2, root),
        satp(SV48, 1, other),
        0,
    ];
    writer.repeat(times, |writer| {
        for _ in 0..deeds {
            deed(writer, &spaces, leaves);
        }
    });
    leave(writer);
}

/// Touches many pages of a gigapage, and then fences single pages of it.
fn sweep(writer: &mut Writer<'_, '_>, space: u64) {
    writer.code.constant(5, space);
    writer.code.imm(Op::Csrrw, 0, 5, SATP);
    enter(writer, 1);
    writer.code.constant(18, ALIAS);
    writer.code.constant(19, PAGE);
    writer.repeat(2000, |writer| {
        writer.code.imm(Op::Lw, 6, 18, 0);
        writer.code.store(Op::Sw, 6, 18, 0);
        writer.code.reg(Op::Add, 18, 18, 19);
    });
    let times = 1 + u64::from(writer.bytes.half()) % 2000;
    let address = if writer.bytes.byte() & 1 == 0 { 18 } else { 0 };
    writer.code.constant(20, 5);
    writer.repeat(times, |writer| {
        writer.code.reg(Op::SfenceVma, 0, address, 20);
    });
}

fn deed(writer: &mut Writer<'_, '_>, spaces: &[u64], leaves: u64) {
    match writer.random.below(10) {
        0 | 1 => {
            let space = writer.random.pick(spaces);
            writer.code.constant(5, space);
            writer.code.imm(Op::Csrrw, 0, 5, SATP);
        }
        2 => {
            let registers = [0, 18, 19];
            let (address, space) = (
                writer.random.pick(&registers),
                writer.random.pick(&registers),
            );
            writer.code.reg(Op::SfenceVma, 0, address, space);
        }
        3 => {
            leave(writer);
            let value = entry(writer);
            let at = leaves + 8 * writer.random.below(32) as u64;
            writer.poke(Op::Sd, at, value);
        }
        4 => {
            let mode = writer.random.below(2) as u64;
            enter(writer, mode);
        }
        5 => {
            let bits = writer.random.pick(&[status::SUM, status::MXR]);
            let op = writer.random.pick(&[Op::Csrrs, Op::Csrrc]);
            writer.code.constant(5, bits);
            writer.code.imm(op, 0, 5, MSTATUS);
        }
        kind => {
            // Near the end of a page, so that some are on two.
            let page = writer.random.below(36) as u64 * PAGE;
            let offset = writer.random.pick(&[0, 8, 0xff8, 0xffd]);
            let half = writer.random.pick(&[0, ALIAS, 0x20_0000, u64::MAX << 38]);
            writer.code.constant(18, half.wrapping_add(page + offset));
            let op = if kind < 8 { Op::Ld } else { Op::Sd };
            if op == Op::Ld {
                writer.code.imm(op, 6, 18, 0);
            } else {
                writer.code.store(op, 6, 18, 0);
            }
        }
    }
}
