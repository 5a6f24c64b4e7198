//! Regions of hot code: the blocks of a page that come back to a block, with the registers that they use most in
//! host registers; or one long block.
//!
//! A region calls no helper. What is not fast in it is left to the other code for the page, or to the
//! interpreter.

use isa::{Format, Insn};
use machine::Ram;

use super::asm::Site;
use super::cold::{Cold, Leave};
use super::emit::{Emitter, Facts, Link};
use super::groups;
use super::memory::Access;
use super::registers::{Holding, Registers, uses};
use super::translate::{PAGE, ends_block};

/// Instructions of a region, in one block or several: no block can be paid for more.
pub(crate) const REGION_MAX: usize = 255;
/// A block that does not come back to itself is worth a region if it has so many instructions.
const ALONE_MIN: usize = 20;
/// How much more often a loop is executed than what is around it, as its logarithm.
const LOOP_LOG: u32 = 3;
/// Nested loops of which note is taken.
const DEPTH_MAX: u32 = 3;

/// A block of a page.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Offset of its first instruction in the page.
    pub(super) start: u16,
    pub(super) insns: Vec<Insn>,
    /// Offset of what is behind it, up to that of the next page.
    end: u16,
}

impl Block {
    /// In bytes.
    pub(super) fn len(&self) -> usize {
        usize::from(self.end - self.start)
    }

    fn last(&self) -> (&Insn, u16) {
        let last = &self.insns[self.insns.len() - 1];
        (last, self.end - u16::from(last.length))
    }

    /// Offsets in the page where code may go on behind it.
    fn next(&self) -> impl Iterator<Item = u16> {
        let (last, at) = self.last();
        let jumps = matches!(last.op.format(), Format::Branch | Format::Jump);
        let target = jumps.then(|| target(last, at)).flatten();
        target
            .into_iter()
            .chain((last.op.flow().falls_through()).then_some(self.end))
    }
}

/// The target in the page of a jump.
fn target(insn: &Insn, at: u16) -> Option<u16> {
    let target = i64::from(at) + i64::from(insn.imm);
    u16::try_from(target)
        .ok()
        .filter(|target| usize::from(*target) < PAGE)
}

/// Whether regions have such instructions.
fn is_for_regions(insn: &Insn) -> bool {
    match insn.op.format() {
        Format::Upper
        | Format::Branch
        | Format::Load
        | Format::Store
        | Format::Immediate
        | Format::Shift
        | Format::ShiftWord
        | Format::Register
        | Format::Fence => true,
        // Calls are likely to come back by an indirect jump, which no region has.
        Format::Jump => insn.discards_result(),
        _ => insn.op.is_float(),
    }
}

/// The code that a page may execute from an offset on without leaving it.
struct Explored {
    /// By half-words.
    insns: Vec<Option<Insn>>,
    /// Where blocks start.
    leaders: Vec<bool>,
}

impl Explored {
    fn from(ram: &Ram, page: usize, start: u16) -> Explored {
        let mut explored = Explored {
            insns: vec![None; PAGE / 2],
            leaders: vec![false; PAGE / 2],
        };
        let mut open = vec![start];
        while let Some(mut at) = open.pop() {
            explored.leaders[usize::from(at / 2)] = true;
            while usize::from(at) < PAGE && explored.insns[usize::from(at / 2)].is_none() {
                let Some(insn) = ram.instruction(page + usize::from(at)) else {
                    break;
                };
                if !is_for_regions(&insn) {
                    break;
                }
                explored.insns[usize::from(at / 2)] = Some(insn);
                if ends_block(insn.op) {
                    open.extend(target(&insn, at));
                }
                at += u16::from(insn.length);
                if !insn.op.flow().falls_through() {
                    break;
                }
                if ends_block(insn.op) && usize::from(at) < PAGE {
                    explored.leaders[usize::from(at / 2)] = true;
                }
            }
        }
        explored
    }

    /// Blocks in the order of their addresses.
    fn blocks(&mut self) -> Vec<Block> {
        let mut blocks = Vec::new();
        for at in (0..PAGE as u16).step_by(2) {
            if self.is_leader(at)
                && let Some(block) = self.block(at)
            {
                if !ends_block(block.last().0.op) && usize::from(block.end) < PAGE {
                    // It is as long as a block can be.
                    self.leaders[usize::from(block.end / 2)] = true;
                }
                blocks.push(block);
            }
        }
        blocks
    }

    fn is_leader(&self, at: u16) -> bool {
        self.leaders.get(usize::from(at / 2)).is_some_and(|is| *is)
    }

    fn block(&self, start: u16) -> Option<Block> {
        let mut block = Block {
            start,
            insns: Vec::new(),
            end: start,
        };
        while let Some(Some(insn)) = self.insns.get(usize::from(block.end / 2)) {
            block.insns.push(*insn);
            block.end += u16::from(insn.length);
            if ends_block(insn.op) || self.is_leader(block.end) || block.insns.len() == REGION_MAX {
                break;
            }
        }
        (!block.insns.is_empty()).then_some(block)
    }
}

/// The blocks from which code may come back to the one at `start`, if they are worth a region; or that block.
pub(super) fn find(ram: &Ram, page: usize, start: u16) -> Option<(Vec<Block>, Holding)> {
    let mut explored = Explored::from(ram, page, start);
    let mut blocks = explored.blocks();
    let comes_back = coming_back(&blocks, start);
    let is_loop = comes_back[usize::from(start / 2)];
    blocks.retain(|block| comes_back[usize::from(block.start / 2)]);
    let len: usize = blocks.iter().map(|block| block.insns.len()).sum();
    if is_loop && len <= REGION_MAX {
        let between = between(&blocks);
        let is_worth = between != Holding::default()
            || blocks.iter().any(|block| block.insns.len() >= ALONE_MIN);
        return is_worth.then_some((blocks, between));
    }
    let block = explored.block(start)?;
    (block.insns.len() >= ALONE_MIN).then(|| (vec![block], Holding::default()))
}

/// By half-words: the blocks from which code may come to `start`. Each is looked at once, however the guest's jumps lie.
fn coming_back(blocks: &[Block], start: u16) -> Vec<bool> {
    let mut jumps: Vec<(u16, u16)> = blocks
        .iter()
        .flat_map(|block| block.next().map(|to| (to, block.start)))
        .collect();
    jumps.sort_unstable();
    let mut comes_back = vec![false; PAGE / 2];
    let mut open = vec![start];
    while let Some(to) = open.pop() {
        let first = jumps.partition_point(|(other, _)| *other < to);
        for (_, from) in jumps[first..].iter().take_while(|(other, _)| *other == to) {
            if !std::mem::replace(&mut comes_back[usize::from(from / 2)], true) {
                open.push(*from);
            }
        }
    }
    comes_back
}

/// What is best held between the blocks of a loop.
fn between(blocks: &[Block]) -> Holding {
    let mut weights = [0; 32];
    let mut written = 0;
    for block in blocks {
        let around = |other: &&Block| {
            let back = other.next().min().is_some_and(|to| to <= block.start);
            back && other.start >= block.start
        };
        let depth = blocks.iter().filter(around).count() as u32;
        let weight = 1 << (LOOP_LOG * depth.min(DEPTH_MAX));
        written = block
            .insns
            .iter()
            .fold(written, |all, insn| all | insn.writes_x());
        for guest in 1..32 {
            weights[usize::from(guest)] += weight * uses(&block.insns, guest);
        }
    }
    Holding::heaviest(&weights, written)
}

/// A region that is emitted.
pub(super) struct Region {
    pub(super) registers: Registers,
    /// Offsets of its blocks in the page, ascending.
    pub(super) starts: Vec<u16>,
}

impl Emitter<'_> {
    /// The blocks of a region; tells the code of each, for whoever comes from outside.
    pub(super) fn emit_region(&mut self, blocks: &[Block], between: Holding) -> Vec<(u16, u32)> {
        let starts: Vec<u16> = blocks.iter().map(|block| block.start).collect();
        let mut inner = Vec::new();
        self.region = Some(Region {
            registers: Registers::new(between),
            starts: starts.clone(),
        });
        for (index, block) in blocks.iter().enumerate() {
            inner.push(self.asm.here());
            self.emit_block_of_region(block);
            let falls_through = block
                .insns
                .last()
                .is_none_or(|last| last.op.flow().falls_through());
            if falls_through {
                self.materialize(u32::MAX);
                self.settle_registers();
                if starts.get(index + 1) != Some(&block.end) {
                    self.jump_to_offset(block.end.into());
                }
            }
        }
        let links = std::mem::take(&mut self.links);
        self.emit_cold();
        self.region = None;
        for link in links {
            match starts.binary_search(&link.target) {
                Ok(index) => self.asm.direct(link.site, inner[index]),
                Err(_) => self.links.push(link),
            }
        }
        let mut outer = Vec::new();
        for (start, inner) in starts.into_iter().zip(inner) {
            outer.push((start, self.asm.here()));
            between.take_over(&Holding::default(), &mut self.asm);
            self.asm.jump_to(inner);
        }
        outer
    }

    fn emit_block_of_region(&mut self, block: &Block) {
        self.facts = Facts::default();
        self.access = Access::planned(groups::plan(&block.insns).unwrap_or_default());
        self.settle_registers();
        self.pay(block.insns.len() as u8, block.start);
        let mut offset = block.start;
        for (index, insn) in block.insns.iter().enumerate() {
            self.insn = *insn;
            self.offset = offset;
            self.ahead = (block.insns.len() - index) as u8;
            self.access.index = index;
            if !self.does_nothing(insn) && !self.put_off(&block.insns, index) {
                self.emit_in_region(&block.insns, index);
            }
            offset += u16::from(insn.length);
        }
    }

    fn emit_in_region(&mut self, block: &[Insn], index: usize) {
        let insn = &block[index];
        let rotation = self.rotation(insn);
        let wanted = match rotation {
            Some((source, ..)) => 1 << source,
            None => insn.reads_x(),
        };
        if rotation.is_none() {
            self.materialize(wanted);
        }
        if ends_block(insn.op) {
            self.materialize(u32::MAX);
        }
        self.before_write(insn.writes_x(), &block[index..]);
        let held = self.give_places(block, index, wanted);
        match rotation {
            Some(rotation) => self.rotate(rotation, held),
            None => {
                self.prepare_words(insn, held);
                self.instruction();
            }
        }
        self.note_near(insn);
        self.note_written();
    }

    /// Where the jump at `site` is taken, code outside of the region executes this instruction.
    pub(super) fn leave_region(&mut self, site: Site) {
        let mut leave = self.leave_here();
        leave.sites.push(site);
        self.cold.push(Cold::Leave(leave));
    }

    /// How code outside of the region executes this instruction.
    pub(super) fn leave_here(&self) -> Leave {
        let (starts, lazies) = match &self.region {
            Some(region) => (&*region.starts, region.registers.lazies.clone()),
            None => (&[][..], Vec::new()),
        };
        Leave {
            sites: Vec::new(),
            holding: self.holding(),
            lazies,
            float: self.insn.op.is_float().then_some(self.insn.rd & 31),
            positions: self.ahead,
            target: self.offset.into(),
            // Another block of this region would only come back here.
            step: starts.binary_search(&self.offset).is_ok(),
        }
    }

    /// Where the jump at `site` is taken, code goes on at an offset from the start of the page. The registers are
    /// those between blocks.
    pub(super) fn direct_in_region(&mut self, site: Site, target: i64) {
        let inside = u16::try_from(target).ok().filter(|target| {
            (self.region.as_ref()).is_some_and(|region| region.starts.binary_search(target).is_ok())
        });
        match inside {
            Some(target) => self.links.push(Link { site, target }),
            None => self.cold.push(Cold::Leave(Leave {
                sites: vec![site],
                holding: self.holding(),
                target,
                ..Leave::default()
            })),
        }
    }
}
