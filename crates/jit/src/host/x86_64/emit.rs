//! From a plan to host code: step by step, and nothing is decided here but which instructions of the host do it.

use isa::Precision;

use super::asm::{
    Alu, Asm, B32, B64, Cond, R14, R15, RAX, RCX, Rm, Shift, Site, displacement, indexed,
};
use super::cold;
use super::emitter::{Emitter, Link, Scratch, Stub};
use super::helpers::Record;
use super::pins::{PINNED, float_home, float_host, home, slot};
use super::thunks::{self, Thunks};
use super::{atomic, csr, float, float_convert, float_move, integer, layout, memory};
use crate::arena::Arena;
use crate::plan::{Operand, PAGE, Place, Plan, Section, Step, Target, To};

/// What plans take of this host.
pub(crate) fn target(thunks: &Thunks) -> Target {
    Target {
        pinned: PINNED,
        fused: thunks.fused,
        rounds: thunks.rounds,
    }
}

/// Code for the arena.
pub(crate) struct Code {
    start: u32,
    pub(crate) bytes: Vec<u8>,
    records: Vec<(u32, Record)>,
    /// Not all fitted: it is of no use.
    pub(crate) is_full: bool,
    /// The arena offset of each block of the plan, for whoever comes from other code.
    pub(crate) entries: Vec<u32>,
}

impl Code {
    /// Puts it where it was made for.
    pub(crate) fn place(&self, arena: &mut Arena) {
        arena.write(self.start, &self.bytes);
        for (offset, record) in &self.records {
            arena.put(*offset, *record);
        }
    }
}

/// Emits a plan for the page at an offset in memory, for the arena from `start` on, where it has so much room. `entry` tells
/// the code that there is for an offset in the page, or 0.
pub(crate) fn emit(
    plan: &Plan,
    thunks: &Thunks,
    page: u64,
    (start, room): (u32, usize),
    buffer: Vec<u8>,
    entry: impl Fn(u16) -> u32,
    scratch: &mut Scratch,
) -> Code {
    let asm = Asm::new(start, buffer, room);
    let mut blocks = std::mem::take(&mut scratch.blocks);
    let mut e = Emitter::new(asm, thunks, plan, page, scratch);
    let mut entries = Vec::with_capacity(plan.blocks.len());
    let entered = |step: &Step| matches!(step, Step::Entry(_));
    let straight = plan.steps.iter().position(entered);
    let straight = straight.unwrap_or(plan.steps.len());
    for step in &plan.steps[..straight] {
        if let Step::Block(_) = step {
            blocks.push(e.asm.here());
        }
        emit_step(&mut e, step);
    }
    while !e.asm.is_full()
        && let Some(stub) = e.stubs.pop_front()
    {
        emit_stub(&mut e, stub);
    }
    for step in &plan.steps[straight..] {
        if let Step::Entry(_) = step {
            entries.push(e.asm.here());
        }
        emit_step(&mut e, step);
    }
    for (site, block) in e.to_blocks.drain(..) {
        e.asm.direct(site, blocks[usize::from(block)]);
    }
    let is_region = !entries.is_empty();
    if !is_region {
        entries.extend_from_slice(&blocks);
    }
    cold::links(&mut e, |target| {
        let inside = plan
            .blocks
            .binary_search_by_key(&target, |block| block.start);
        match inside {
            Ok(index) if !is_region => entries[index],
            _ => entry(target),
        }
    });
    e.stubs.clear();
    blocks.clear();
    (scratch.stubs, scratch.blocks) = (e.stubs, blocks);
    (scratch.links, scratch.to_blocks) = (e.links, e.to_blocks);
    Code {
        start,
        is_full: e.asm.is_full(),
        records: e.records,
        bytes: e.asm.into_bytes(),
        entries,
    }
}

fn emit_stub(e: &mut Emitter<'_>, stub: Stub) {
    match stub {
        Stub::Section { site, section } => {
            e.asm.land(site);
            emit_section(e, section);
        }
        Stub::Sections { sites, section } => {
            for site in sites {
                e.asm.land(site);
            }
            emit_section(e, section);
        }
        Stub::Second { section, again } => {
            for step in e.plan.section(section) {
                emit_step(e, step);
                if let Step::Insn(insn) = step {
                    for (site, _) in again.iter().filter(|(_, target)| target == insn) {
                        e.asm.land(*site);
                    }
                }
            }
        }
        Stub::OtherPage {
            site,
            back,
            address,
            tag,
            miss,
        } => {
            let site = memory::other_page(e, site, back, address, tag);
            let section = miss;
            e.stubs.push_back(Stub::Section { site, section });
        }
        stub => cold::emit(e, stub),
    }
}

fn emit_section(e: &mut Emitter<'_>, section: Section) {
    for step in e.plan.section(section) {
        emit_step(e, step);
    }
}

/// A jump that was emitted goes on there.
fn direct(e: &mut Emitter<'_>, site: Site, to: To) {
    match to {
        To::Page(target) => e.links.push(Link { site, target }),
        To::Block(block) => e.to_blocks.push((site, block)),
        To::Section(section) => e.stubs.push_back(Stub::Section { site, section }),
        To::Offset(_) => unreachable!("jumps were directed"),
    }
}

fn emit_step(e: &mut Emitter<'_>, step: &Step) {
    match *step {
        Step::Block(_) | Step::Entry(_) | Step::Defer(_) => {}
        Step::Insn(insn) => e.insn = insn,
        Step::Behind => e.behind(),
        Step::Charge { positions, exit } => {
            e.asm.alu_imm(Alu::Sub, B64, R15, positions.into());
            let site = e.asm.jump_if(Cond::Below);
            direct(e, site, To::Section(exit));
        }
        Step::Refund(positions) => e.asm.alu_imm(Alu::Add, B64, R15, positions.into()),
        Step::ExpectNextPage { memory, exit } => expect_next_page(e, memory, exit),
        Step::Second(section) => {
            let again = std::mem::take(&mut e.again);
            e.stubs.push_back(Stub::Second { section, again });
        }
        Step::Spill { guest, slot: from } => e.asm.store(home(guest), slot(from)),
        Step::Fill { guest, slot: to } => e.asm.mov(B64, slot(to), home(guest)),
        Step::Extend(slots) => {
            for number in (0..16).filter(|number| slots >> number & 1 != 0) {
                e.extend_word(slot(number));
            }
        }
        Step::ReloadFloat(guest) => {
            if let Some(host) = float_host(guest) {
                (e.asm).load_scalar(Precision::Double, host, float_home(guest));
            }
        }
        Step::Set { dst, value } => set(e, dst, value),
        Step::Move { dst, src } => {
            let to = e.destination(dst);
            e.fetch(to, src);
            e.put(dst, to);
        }
        Step::PageAddress { dst, offset } => {
            let to = e.destination(dst);
            e.page_address(to, offset);
            e.put(dst, to);
        }
        Step::Link { dst, offset } => {
            // Not RAX, which has the target.
            let to = match dst {
                Place::Slot(number) => slot(number),
                _ => RCX,
            };
            e.page_address(to, offset);
            e.put(dst, to);
        }
        Step::Compute {
            op,
            dst,
            a,
            b,
            narrow,
        } => {
            let to = e.destination(dst);
            integer::compute(e, to, op, [a, b], narrow);
            e.put(dst, to);
        }
        Step::Materialize { op, dst, src, by } => {
            let to = e.destination(dst);
            let operands = [Operand::At(src), Operand::Const(by.into())];
            integer::compute(e, to, op, operands, false);
            e.put(dst, to);
        }
        Step::Rotate {
            dst,
            src,
            by,
            word,
            narrow,
        } => {
            let to = e.destination(dst);
            e.fetch(to, Operand::At(src));
            let bits = if word { B32 } else { B64 };
            e.asm.shift_imm(Shift::RotateRight, bits, to, by);
            if word && !narrow {
                e.extend_word(to);
            }
            e.put(dst, to);
        }
        Step::Load {
            width,
            signed,
            dst,
            address,
            access,
            miss,
        } => memory::load(e, width, signed, dst, address, (access, miss)),
        Step::LoadFloat {
            precision,
            dst,
            address,
            access,
            miss,
        } => memory::load_float(e, precision, dst, address, (access, miss)),
        Step::Store {
            width,
            value,
            address,
            access,
            miss,
        } => memory::store(e, width, value, address, (access, miss)),
        Step::LoadReserved {
            width,
            dst,
            address,
            miss,
        } => atomic::load_reserved(e, width, dst, address, miss),
        Step::StoreConditional {
            width,
            dst,
            address,
            value,
            miss,
        } => atomic::store_conditional(e, width, (dst, address), value, miss),
        Step::Amo {
            amo,
            width,
            dst,
            address,
            operand,
            miss,
        } => atomic::amo(e, amo, width, (dst, address), operand, miss),
        Step::Csr {
            csr,
            access,
            dst,
            operand,
            miss,
        } => csr::access(e, csr, access, (dst, operand), miss),
        Step::NeedFloat { unit, miss } => float::need(e, unit, miss),
        Step::NeedBox { float, miss } => float::need_box(e, float, miss),
        Step::Float {
            op: isa::FloatOp::Convert,
            precision,
            dst,
            operands: [a, ..],
            ..
        } => float_convert::convert(e, precision, dst, a),
        Step::Float {
            op,
            precision,
            dst,
            operands,
            miss,
        } => float::arithmetic(e, op, precision, dst, operands, miss),
        Step::FloatCompare {
            op,
            precision,
            dst,
            a,
            b,
        } => float::compare(e, op, precision, dst, a, b),
        Step::FloatToInteger {
            op,
            precision,
            rounding,
            dst,
            a,
            miss,
        } => float_convert::to_integer(e, op, precision, rounding, (dst, a), miss),
        Step::FloatFromInteger {
            op,
            precision,
            dst,
            src,
            exact,
            miss,
        } => float_convert::from_integer(e, op, precision, (dst, src), exact, miss),
        Step::FloatSign { op, dst, a, b } => float_move::sign(e, op, dst, a, b),
        Step::FloatBits { dst, src, single } => float_move::bits(e, dst, src, single),
        Step::Helper => {
            let site = e.call(e.thunks.execute);
            let record = e.record();
            e.stubs.push_back(Stub::Record { site, record });
        }
        Step::Compare { comparison, a, b } => e.cond = integer::compare(e, comparison, a, b),
        Step::Branch(to) => {
            let site = e.asm.jump_if(e.cond);
            direct(e, site, to);
        }
        Step::Jump(to) => {
            let site = e.asm.jump();
            direct(e, site, to);
        }
        Step::Target { base, offset } => {
            e.fetch(RAX, base);
            if offset != 0 {
                e.asm.alu_imm(Alu::Add, B64, RAX, offset);
            }
            e.asm.alu_imm(Alu::And, B64, RAX, -2);
        }
        Step::JumpTo(target) => {
            e.fetch(RAX, target);
            thunks::indirect_jump(&mut e.asm, e.thunks.miss);
        }
        Step::Cross(target) => {
            e.page_address(RAX, target & !(PAGE as i64 - 1));
            let offset = (target & (PAGE as i64 - 1)) as u16;
            thunks::jump_across(&mut e.asm, offset, e.thunks.miss);
        }
        Step::Tail(offset) => {
            e.asm.mov_imm(RAX, offset.into());
            e.asm.jump_to(e.thunks.tail);
        }
        Step::Interpret(offset) => {
            e.asm.mov_imm(RAX, offset.into());
            e.asm.jump_to(e.thunks.step);
        }
        Step::Guest(_) | Step::Due(_) | Step::FallThrough(_) | Step::Settle => {
            unreachable!("the plan is not complete")
        }
    }
}

fn set(e: &mut Emitter<'_>, dst: Place, value: u64) {
    let to = e.destination(dst);
    match (i32::try_from(value.cast_signed()), dst) {
        (Ok(short), Place::Home(guest)) => e.asm.store_imm(3, home(guest), short),
        _ => {
            e.asm.mov_imm(to, value);
            e.put(dst, to);
        }
    }
}

/// Goes to a section unless the next page of addresses is the one at the offset `other` in memory.
fn expect_next_page(e: &mut Emitter<'_>, other: u64, exit: Section) {
    e.page_address(RAX, PAGE as i64);
    e.asm.mov(B32, RCX, RAX);
    memory::index_of_page(e);
    e.asm.alu(Alu::Or, B64, RAX, layout::FETCH_CONTEXT);
    (e.asm).alu(Alu::Cmp, B64, RAX, indexed(R14, RCX, 0, layout::FETCH_TAG));
    let unknown = e.asm.jump_if(Cond::NotEqual);
    e.asm.mov_imm(RAX, other);
    let addend = indexed(R14, RCX, 0, layout::FETCH_ADDEND);
    e.asm.alu(Alu::Cmp, B64, RAX, Rm::from(addend));
    let elsewhere = e.asm.jump_if(Cond::NotEqual);
    e.stubs.push_back(Stub::Sections {
        sites: [unknown, elsewhere],
        section: exit,
    });
}

/// Bytes of a jump: no code is shorter.
const JUMP_BYTES: usize = 5;

/// Makes code in the arena go on at other code for the same.
pub(crate) fn replace(arena: &mut Arena, code: u32, by: u32) {
    let mut asm = Asm::new(code, Vec::new(), JUMP_BYTES);
    asm.jump_to(by);
    arena.write(code, &asm.into_bytes());
}

/// Directs a jump in the arena to the code at another offset.
pub(crate) fn link(arena: &mut Arena, site: u32, code: u32) {
    arena.write(site, &displacement(Site(site), code));
}
