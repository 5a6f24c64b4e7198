//! Which blocks of a page are a region: those that come back to a block; or one long block.

use isa::{Format, Insn};

use super::blocks::{PAGE, Page, ends_block};

/// Instructions of a region, in one block or several: no block can be charged for more.
pub(crate) const REGION_MAX: usize = 255;
/// A block that does not come back to itself is worth a region if it has so many instructions.
pub(crate) const ALONE_MIN: usize = 20;

/// A block of a page.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Offset of its first instruction in the page.
    pub(crate) start: u16,
    pub(crate) insns: Vec<Insn>,
    /// Offset of what is behind it, up to that of the next page.
    pub(crate) end: u16,
}

impl Found {
    fn last(&self) -> (&Insn, u16) {
        let last = &self.insns[self.insns.len() - 1];
        (last, self.end - u16::from(last.length))
    }

    /// Offsets in the page where code may go on behind it.
    pub(crate) fn next(&self) -> impl Iterator<Item = u16> {
        let (last, at) = self.last();
        let jumps = matches!(last.op.format(), Format::Branch | Format::Jump);
        let target = jumps.then(|| target(last, at)).flatten();
        target
            .into_iter()
            .chain(last.op.flow().falls_through().then_some(self.end))
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
        Format::FloatLoad
        | Format::FloatStore
        | Format::FloatFused
        | Format::FloatArithmetic
        | Format::FloatUnary
        | Format::FloatRegister
        | Format::FloatCompare
        | Format::FloatToInteger
        | Format::FloatFromInteger
        | Format::FloatToRegister
        | Format::FloatFromRegister => true,
        Format::Bare
        | Format::Indirect
        | Format::FenceInstruction
        | Format::FenceVma
        | Format::Csr
        | Format::CsrImmediate
        | Format::LoadReserved
        | Format::Atomic => false,
    }
}

/// The code that a page may execute from an offset on without leaving it.
struct Explored {
    insns: Vec<Insn>,
    /// By half-words: the number of the instruction there, from 1 on.
    numbers: Vec<u16>,
    /// Where blocks start.
    leaders: Vec<bool>,
}

impl Explored {
    fn from(page: Page<'_>, start: u16) -> Explored {
        let mut explored = Explored {
            insns: Vec::new(),
            numbers: vec![0; PAGE / 2],
            leaders: vec![false; PAGE / 2],
        };
        let mut open = vec![start];
        while let Some(mut at) = open.pop() {
            explored.leaders[usize::from(at / 2)] = true;
            while usize::from(at) < PAGE && explored.numbers[usize::from(at / 2)] == 0 {
                let Some(insn) = page.decode(usize::from(at)) else {
                    break;
                };
                if !is_for_regions(&insn) {
                    break;
                }
                explored.insns.push(insn);
                explored.numbers[usize::from(at / 2)] = explored.insns.len() as u16;
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
    fn blocks(&mut self) -> Vec<Found> {
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

    fn insn(&self, at: u16) -> Option<Insn> {
        let number = *self.numbers.get(usize::from(at / 2))?;
        self.insns.get(usize::from(number).checked_sub(1)?).copied()
    }

    fn is_leader(&self, at: u16) -> bool {
        self.leaders.get(usize::from(at / 2)).is_some_and(|is| *is)
    }

    fn block(&self, start: u16) -> Option<Found> {
        let mut block = Found {
            start,
            insns: Vec::new(),
            end: start,
        };
        while let Some(insn) = self.insn(block.end) {
            block.insns.push(insn);
            block.end += u16::from(insn.length);
            if ends_block(insn.op) || self.is_leader(block.end) || block.insns.len() == REGION_MAX {
                break;
            }
        }
        (!block.insns.is_empty()).then_some(block)
    }
}

/// What code from an offset on may be a region.
pub(crate) enum Candidate {
    /// The blocks from which code may come back to the one there.
    Loop(Vec<Found>),
    /// That block.
    Alone(Found),
}

/// The candidate at an offset in a page.
pub(crate) fn candidate(page: Page<'_>, start: u16) -> Option<Candidate> {
    let mut explored = Explored::from(page, start);
    let mut blocks = explored.blocks();
    let comes_back = coming_back(&blocks, start);
    let is_loop = comes_back[usize::from(start / 2)];
    blocks.retain(|block| comes_back[usize::from(block.start / 2)]);
    let len: usize = blocks.iter().map(|block| block.insns.len()).sum();
    if is_loop && len <= REGION_MAX {
        return Some(Candidate::Loop(blocks));
    }
    explored.block(start).map(Candidate::Alone)
}

/// By half-words: the blocks from which code may come to `start`. Each is looked at once, however the guest's jumps lie.
fn coming_back(blocks: &[Found], start: u16) -> Vec<bool> {
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
