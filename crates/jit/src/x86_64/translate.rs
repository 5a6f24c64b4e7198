//! Translation of a trace: blocks that follow each other in a page, from a first instruction on.

use isa::{Insn, Op, decode};
use machine::{Core, Ram};

use super::asm::{Asm, Site, displacement};
use super::cold::{Cold, Second};
use super::emit::{Emitter, Facts};
use super::groups;
use super::helpers::Record;
use super::memory::Access;
use super::region;
use super::thunks::Thunks;
use crate::arena::{Arena, Entries};

pub(super) const PAGE: usize = machine::ram::PAGE_BYTES;
/// Longest block, in instructions.
const BLOCK_MAX: usize = 64;
/// Instructions after which no new block is begun.
const TRACE_MAX: usize = 192;
/// No translation is longer: an instruction takes some 200 bytes at most.
pub(crate) const BYTES_MAX: usize = 256 * (TRACE_MAX + BLOCK_MAX);

/// Code for the arena.
pub(crate) struct Translation {
    start: u32,
    code: Vec<u8>,
    records: Vec<(u32, Record)>,
}

impl Translation {
    pub(crate) fn len(&self) -> usize {
        self.code.len()
    }

    /// The buffer that it was made in, empty.
    pub(crate) fn into_buffer(mut self) -> Vec<u8> {
        self.code.clear();
        self.code
    }

    pub(crate) fn place(&self, arena: &mut Arena) {
        arena.write(self.start, &self.code);
        for (offset, record) in &self.records {
            arena.put(*offset, *record);
        }
    }
}

/// Directs a jump in the arena to the code at another offset.
pub(crate) fn link(arena: &mut Arena, site: u32, code: u32) {
    arena.write(site, &displacement(Site(site), code));
}

/// Translates what is at `offset` in memory, and what follows it, to code for the arena from `start` on.
pub(crate) fn translate(
    core: &mut Core,
    entries: &mut Entries,
    thunks: &Thunks,
    offset: usize,
    start: u32,
    buffer: Vec<u8>,
) -> Translation {
    let page = offset / PAGE * PAGE;
    let mut emitter = Emitter::new(Asm::new(start, buffer), thunks, page as u64);
    let mut block = Vec::with_capacity(BLOCK_MAX);
    let mut made = 0;
    let mut at = offset % PAGE;
    loop {
        let end = decode_block(&core.bus.ram, page, at, &mut block);
        entries.set(page + at, emitter.asm.here());
        if block.is_empty() {
            // It straddles the end of the page.
            emitter.leave_to_interpreter(at as u16);
            break;
        }
        if core.bus.ram.note_code(page + at, end - at) {
            core.tlb.slow_stores_to(page);
        }
        emitter.emit_block(at as u16, &block);
        made += block.len();
        let last = block[block.len() - 1];
        let falls_through = !ends(last.op);
        // Behind a call, the return is likely to come.
        let returns = matches!(last.op, Op::Jal | Op::Jalr) && !last.discards_result();
        if end == PAGE {
            if falls_through {
                emitter.jump_to_offset(PAGE as i64);
            }
            break;
        }
        let known = entries.get(page + end) != 0;
        if falls_through && (known || made >= TRACE_MAX) {
            emitter.jump_to_offset(end as i64);
        }
        if known || made >= TRACE_MAX || !(falls_through || returns) {
            break;
        }
        at = end;
    }
    emitter.emit_cold();
    emitter.emit_links(|target| entries.get(page + usize::from(target)));
    Translation {
        start,
        records: std::mem::take(&mut emitter.records),
        code: emitter.asm.into_bytes(),
    }
}

/// A region of hot code.
pub(crate) struct Hot {
    pub(crate) translation: Translation,
    /// Offsets in memory of instructions, and the code that now is for them.
    pub(crate) entries: Vec<(usize, u32)>,
}

/// Translates the region that the instruction at `offset` in memory is in, if it is worth it.
pub(crate) fn translate_hot(
    core: &mut Core,
    entries: &Entries,
    thunks: &Thunks,
    offset: usize,
    start: u32,
) -> Option<Hot> {
    let page = offset / PAGE * PAGE;
    let (blocks, between) = region::find(&core.bus.ram, page, (offset % PAGE) as u16)?;
    for block in &blocks {
        let (at, len) = (page + usize::from(block.start), block.len());
        if core.bus.ram.note_code(at, len) {
            core.tlb.slow_stores_to(page);
        }
    }
    let mut emitter = Emitter::new(Asm::new(start, Vec::new()), thunks, page as u64);
    let outer = emitter.emit_region(&blocks, between);
    emitter.emit_links(|target| entries.get(page + usize::from(target)));
    let translation = Translation {
        start,
        records: std::mem::take(&mut emitter.records),
        code: emitter.asm.into_bytes(),
    };
    let place = |(offset, code)| (page + usize::from(offset), code);
    let hot = Hot {
        translation,
        entries: outer.into_iter().map(place).collect(),
    };
    (hot.translation.len() <= BYTES_MAX).then_some(hot)
}

/// Makes code in the arena go on at other code for the same.
pub(crate) fn replace(arena: &mut Arena, code: u32, by: u32) {
    let mut asm = Asm::new(code, Vec::new());
    asm.jump_to(by);
    arena.write(code, &asm.into_bytes());
}

/// Whether the next instruction is never the one behind it, but by a jump there.
pub(super) fn ends(op: Op) -> bool {
    matches!(
        op,
        Op::Jal | Op::Jalr | Op::Ecall | Op::Ebreak | Op::Sret | Op::Mret | Op::Wfi | Op::Illegal
    )
}

/// Whether a block ends behind it.
pub(super) fn ends_block(op: Op) -> bool {
    ends(op)
        || matches!(
            op,
            Op::Beq | Op::Bne | Op::Blt | Op::Bge | Op::Bltu | Op::Bgeu
        )
}

/// Decodes a block that starts at `at` in a page; returns where it ends. It is empty if its first instruction
/// straddles the end of the page.
fn decode_block(ram: &Ram, page: usize, at: usize, block: &mut Vec<Insn>) -> usize {
    block.clear();
    let mut at = at;
    while block.len() < BLOCK_MAX && at < PAGE {
        let Some(insn) = decode_at(ram, page + at, page + PAGE) else {
            break;
        };
        block.push(insn);
        at += usize::from(insn.length);
        if ends_block(insn.op) {
            break;
        }
    }
    at
}

/// The instruction at `at`, unless it goes beyond `end`.
pub(super) fn decode_at(ram: &Ram, at: usize, end: usize) -> Option<Insn> {
    let low = u16::from_le_bytes(ram.load(at)?);
    if Insn::length_of(low) == 2 {
        return Some(decode(low.into()).with_sink());
    }
    if at + 4 > end {
        return None;
    }
    Some(decode(u32::from_le_bytes(ram.load(at)?)).with_sink())
}

impl Emitter<'_> {
    /// A block whose first instruction is at an offset in the page.
    fn emit_block(&mut self, offset: u16, block: &[Insn]) {
        self.facts = Facts::default();
        self.pay(block.len() as u8, offset);
        let Some(plans) = groups::plan(block) else {
            self.access = Access::default();
            self.emit_from(offset, block, 0, |_, _| {});
            return;
        };
        // The first instruction that may go on in the second version.
        let mut start = (offset, 0, Facts::default());
        self.access = Access::planned(plans);
        self.emit_from(offset, block, 0, |emitter, index| {
            if emitter.access.to_second.is_empty() {
                start = (emitter.offset, index, emitter.facts.clone());
            }
        });
        let (offset, index, facts) = start;
        self.cold.push(Cold::Second(Box::new(Second {
            block: block.to_vec(),
            offset,
            index,
            facts,
            sites: std::mem::take(&mut self.access).to_second,
        })));
    }

    /// The second version of a block, in which each access is checked for itself.
    pub(super) fn emit_second(&mut self, second: Second) {
        self.facts = second.facts;
        self.access = Access::default();
        let block = &second.block;
        let end = self.emit_from(second.offset, block, second.index, |emitter, index| {
            let here = second.sites.iter().filter(|(_, target)| *target == index);
            for (site, _) in here {
                emitter.asm.land(*site);
            }
        });
        if !block.last().is_some_and(|last| ends(last.op)) {
            self.jump_to_offset(end);
        }
    }

    /// Instructions of a block from one on, which is at an offset in the page; returns where the block ends. `before`
    /// is called before each.
    fn emit_from(
        &mut self,
        offset: u16,
        block: &[Insn],
        index: usize,
        mut before: impl FnMut(&mut Self, usize),
    ) -> i64 {
        let mut offset = offset;
        for (index, insn) in block.iter().enumerate().skip(index) {
            self.insn = *insn;
            self.offset = offset;
            self.ahead = (block.len() - index) as u8;
            self.access.index = index;
            before(self, index);
            self.instruction();
            offset += u16::from(insn.length);
        }
        offset.into()
    }
}
