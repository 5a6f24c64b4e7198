//! Translation of a trace: blocks that follow each other in a page, from a first instruction on.

use isa::{Flow, Insn, Op, decode};
use machine::{Board, Cpu, Ram};

use super::asm::{Alu, Asm, B32, B64, Cond, R14, RAX, RCX, Site, displacement, indexed};
use super::cold::{Cold, Leave, Second};
use super::emit::{Emitter, Facts};
use super::groups;
use super::helpers::Record;
use super::layout;
use super::memory::Access;
use super::region;
use super::thunks::Thunks;
use crate::arena::{Arena, Entries};

pub(super) const PAGE: usize = machine::ram::PAGE_BYTES;
/// Longest block, in instructions.
const BLOCK_MAX: usize = 64;
/// Instructions after which no new block is begun.
const TRACE_MAX: usize = 192;
/// Most traces have no more blocks.
const BLOCKS_LIKELY: usize = 32;

/// Code for the arena.
pub(crate) struct Translation {
    start: u32,
    code: Vec<u8>,
    records: Vec<(u32, Record)>,
    /// Bytes that were made in vain, since not all fitted.
    vain: usize,
    /// The offset in memory of another page that it depends on.
    pub(crate) depends_on: Option<usize>,
}

impl Translation {
    /// Bytes that were made, also those that are not in it.
    pub(crate) fn made(&self) -> usize {
        self.vain + self.code.len()
    }

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

/// Translates what is at `offset` in memory, and what follows it, to code for the arena from `start` on: as much of it
/// as fits into `room` bytes. What does not fit is tried again with half the instructions, down to one; if that
/// does not fit, there is code that leaves it to the interpreter.
pub(crate) fn translate(
    cpu: &mut Cpu,
    board: &mut Board,
    entries: &mut Entries,
    thunks: &Thunks,
    offset: usize,
    (start, room): (u32, usize),
    buffer: Vec<u8>,
) -> Translation {
    let page = offset / PAGE * PAGE;
    let mut emitter = Emitter::new(Asm::new(start, buffer, room), thunks, page as u64);
    let mut limit = TRACE_MAX;
    let mut trace = emitter.emit_trace(cpu, board, entries, offset, limit);
    let mut vain = 0;
    while emitter.asm.is_full() {
        let mut buffer = emitter.asm.into_bytes();
        vain += buffer.len();
        buffer.clear();
        emitter = Emitter::new(Asm::new(start, buffer, room), thunks, page as u64);
        limit /= 2;
        if limit == 0 {
            trace = Trace::from((offset % PAGE) as u16, start);
            emitter.leave_to_interpreter((offset % PAGE) as u16);
            break;
        }
        trace = emitter.emit_trace(cpu, board, entries, offset, limit);
    }
    trace.note(cpu, board, entries, page);
    Translation {
        start,
        records: std::mem::take(&mut emitter.records),
        code: emitter.asm.into_bytes(),
        vain,
        depends_on: trace.depends_on,
    }
}

/// What a trace was made of.
struct Trace {
    /// Offsets in the page of its blocks, ascending, and the code of each.
    blocks: Vec<(u16, u32)>,
    /// Where it ends in the page.
    end: usize,
    /// The offset in memory of another page that it depends on.
    depends_on: Option<usize>,
}

impl Trace {
    /// One whose first block is at an offset in the page.
    fn from(at: u16, code: u32) -> Trace {
        Trace {
            blocks: vec![(at, code)],
            end: usize::from(at) + 2,
            depends_on: None,
        }
    }

    /// The code of the block at an offset in the page, or 0.
    fn code_at(&self, at: u16) -> u32 {
        let found = self.blocks.binary_search_by_key(&at, |(at, _)| *at);
        found.map_or(0, |index| self.blocks[index].1)
    }

    /// Makes it what is executed, in the page at an offset in memory.
    fn note(&self, cpu: &mut Cpu, board: &mut Board, entries: &mut Entries, page: usize) {
        for (at, code) in &self.blocks {
            entries.set(page + usize::from(*at), *code);
        }
        if let Some((first, _)) = self.blocks.first() {
            let first = usize::from(*first);
            note_code(cpu, board, page + first, self.end - first);
        }
        if let Some(other) = self.depends_on {
            note_code(cpu, board, other, 2);
        }
    }
}

/// Tells memory that there is code of `len` bytes at `offset`, all in one page.
fn note_code(cpu: &mut Cpu, board: &mut Board, offset: usize, len: usize) {
    if board.ram.note_code(offset, len) {
        cpu.tlb.slow_stores_to(offset / PAGE * PAGE);
    }
}

/// The offset in a page of an instruction that straddles its end.
const STRADDLING: usize = PAGE - 2;

/// The offset in memory of the page behind the hart's, if it is among the fast translations.
fn next_page(cpu: &Cpu) -> Option<usize> {
    let next = (cpu.hart.pc & !0xfff).wrapping_add(PAGE as u64);
    cpu.tlb.fetch_hit(next)
}

/// Whether the instruction at `offset` in memory, where the hart is, can be translated: not if it straddles the end of
/// its page, and the other half is not at hand.
pub(crate) fn is_at_hand(cpu: &Cpu, board: &Board, offset: usize) -> bool {
    offset % PAGE != STRADDLING
        || board.ram.instruction(offset).is_some()
        || next_page(cpu).is_some()
}

/// A region of hot code.
pub(crate) struct Hot {
    pub(crate) translation: Translation,
    /// Offsets in memory of instructions, and the code that now is for them.
    pub(crate) entries: Vec<(usize, u32)>,
}

/// Translates the region that the instruction at `offset` in memory is in, if it is worth it and fits into `room` bytes; else
/// says how many bytes were made in vain.
pub(crate) fn translate_hot(
    cpu: &mut Cpu,
    board: &mut Board,
    entries: &Entries,
    thunks: &Thunks,
    offset: usize,
    (start, room): (u32, usize),
) -> Result<Hot, usize> {
    let page = offset / PAGE * PAGE;
    let found = region::find(&board.ram, page, (offset % PAGE) as u16);
    let (blocks, between) = found.ok_or(0usize)?;
    let mut emitter = Emitter::new(Asm::new(start, Vec::new(), room), thunks, page as u64);
    let outer = emitter.emit_region(&blocks, between);
    emitter.emit_links(|target| entries.get(page + usize::from(target)));
    if emitter.asm.is_full() {
        return Err(emitter.asm.into_bytes().len());
    }
    for block in &blocks {
        note_code(cpu, board, page + usize::from(block.start), block.len());
    }
    let translation = Translation {
        start,
        records: std::mem::take(&mut emitter.records),
        code: emitter.asm.into_bytes(),
        vain: 0,
        depends_on: None,
    };
    let place = |(offset, code)| (page + usize::from(offset), code);
    Ok(Hot {
        translation,
        entries: outer.into_iter().map(place).collect(),
    })
}

/// Bytes of a jump: no code is shorter.
const JUMP_BYTES: usize = 5;

/// Makes code in the arena go on at other code for the same.
pub(crate) fn replace(arena: &mut Arena, code: u32, by: u32) {
    let mut asm = Asm::new(code, Vec::new(), JUMP_BYTES);
    asm.jump_to(by);
    arena.write(code, &asm.into_bytes());
}

/// Whether a block ends behind it.
pub(super) fn ends_block(op: Op) -> bool {
    op.flow() == Flow::Branch || !op.flow().falls_through()
}

/// Decodes a block of at most `max` instructions that starts at `at` in a page; returns where it ends. It is empty if its first instruction
/// straddles the end of the page.
fn decode_block(ram: &Ram, page: usize, at: usize, max: usize, block: &mut Vec<Insn>) -> usize {
    block.clear();
    let mut at = at;
    while block.len() < max && at < PAGE {
        let Some(insn) = ram.instruction(page + at) else {
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

impl Emitter<'_> {
    /// The trace from what is at `offset` in memory on, where the hart is: after `limit` instructions no block is begun,
    /// and none is longer.
    fn emit_trace(
        &mut self,
        cpu: &Cpu,
        board: &Board,
        entries: &Entries,
        offset: usize,
        limit: usize,
    ) -> Trace {
        let page = offset / PAGE * PAGE;
        let mut trace = Trace {
            blocks: Vec::with_capacity(BLOCKS_LIKELY),
            end: offset % PAGE,
            depends_on: None,
        };
        let mut block = Vec::with_capacity(BLOCK_MAX);
        let mut made = 0;
        let mut at = offset % PAGE;
        loop {
            let end = decode_block(&board.ram, page, at, limit.min(BLOCK_MAX), &mut block);
            let here = self.asm.here();
            if block.is_empty() {
                trace.depends_on = self.emit_straddling(cpu, board, page);
                if trace.depends_on.is_some() {
                    trace.blocks.push((at as u16, here));
                    trace.end = PAGE;
                } else {
                    self.jump_to_offset(at as i64);
                }
                break;
            }
            trace.blocks.push((at as u16, here));
            trace.end = end;
            self.emit_block(at as u16, &block);
            made += block.len();
            let last = block[block.len() - 1];
            let falls_through = last.op.flow().falls_through();
            // Behind a call, the return is likely to come.
            let returns = matches!(last.op, Op::Jal | Op::Jalr) && !last.discards_result();
            if end == PAGE {
                if falls_through {
                    self.jump_to_offset(PAGE as i64);
                }
                break;
            }
            let over = made >= limit || entries.get(page + end) != 0;
            if falls_through && over {
                self.jump_to_offset(end as i64);
            }
            if over || self.asm.is_full() || !(falls_through || returns) {
                break;
            }
            at = end;
        }
        self.emit_cold();
        self.emit_links(|target| match trace.code_at(target) {
            0 => entries.get(page + usize::from(target)),
            code => code,
        });
        trace
    }

    /// An instruction that straddles the end of the hart's page, executed as long as the other half is in the page where
    /// it is now, which is returned. There is no code if it is not at hand.
    fn emit_straddling(&mut self, cpu: &Cpu, board: &Board, page: usize) -> Option<usize> {
        let other = next_page(cpu)?;
        let ram = &board.ram;
        let halves = [ram.load(page + STRADDLING)?, ram.load(other)?];
        let [low, high] = halves.map(|half| u32::from(u16::from_le_bytes(half)));
        self.expect_next_page(STRADDLING as u16, other as u64);
        let insn = decode(low | high << 16).with_sink();
        self.emit_block(STRADDLING as u16, &[insn]);
        if insn.op.flow().falls_through() {
            self.jump_to_offset(PAGE as i64 + 2);
        }
        Some(other)
    }

    /// Leaves the instruction at `offset` to the interpreter unless the next page is at the offset `other` in memory.
    fn expect_next_page(&mut self, offset: u16, other: u64) {
        self.page_address(RAX, PAGE as i64);
        self.asm.mov(B32, RCX, RAX);
        self.index_of_page();
        self.asm.alu(Alu::Or, B64, RAX, layout::FETCH_CONTEXT);
        (self.asm).alu(Alu::Cmp, B64, RAX, indexed(R14, RCX, 0, layout::FETCH_TAG));
        let unknown = self.asm.jump_if(Cond::NotEqual);
        self.asm.mov_imm(RAX, other);
        (self.asm).alu(
            Alu::Cmp,
            B64,
            RAX,
            indexed(R14, RCX, 0, layout::FETCH_ADDEND),
        );
        let elsewhere = self.asm.jump_if(Cond::NotEqual);
        self.cold.push(Cold::Leave(Leave {
            sites: vec![unknown, elsewhere],
            target: offset.into(),
            step: true,
            ..Leave::default()
        }));
    }

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
        if block
            .last()
            .is_none_or(|last| last.op.flow().falls_through())
        {
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
