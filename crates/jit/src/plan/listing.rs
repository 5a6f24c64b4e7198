//! A plan: steps in a row, the sections that are off the straight path, and what both refer to.

use isa::Insn;

use super::parts::Section;
use super::step::Step;

/// A guest instruction of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) insn: Insn,
    /// Its offset in the page.
    pub(crate) offset: u16,
    /// Positions that its block was charged for and that are not executed yet: from this instruction on.
    pub(crate) charged: u8,
}

/// Guest instructions that are executed from the first on, to the last unless one traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Offset of its first instruction in the page.
    pub(crate) start: u16,
    /// Offset of what is behind it, up to that of the next page and a half-word.
    pub(crate) end: u16,
    /// Its instructions in the plan.
    pub(crate) first: u16,
    pub(crate) len: u16,
}

/// From which host code is made. Kept for its capacity from one translation to the next.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) insns: Vec<Planned>,
    pub(crate) blocks: Vec<Block>,
    /// In the order of their execution.
    pub(crate) steps: Vec<Step>,
    /// Of all sections.
    pub(crate) aside: Vec<Step>,
    /// Where in `aside` each section begins, and where it ends.
    pub(crate) sections: Vec<(u32, u32)>,
}

impl Plan {
    /// Makes it a plan for nothing.
    pub(crate) fn clear(&mut self) {
        self.insns.clear();
        self.blocks.clear();
        self.steps.clear();
        self.aside.clear();
        self.sections.clear();
    }

    /// Adds a block of instructions whose first is at an offset in the page; returns its number.
    pub(crate) fn add_block(&mut self, start: u16, insns: &[Insn]) -> u16 {
        let (number, first) = (self.blocks.len() as u16, self.insns.len() as u16);
        let mut offset = start;
        for (index, insn) in insns.iter().enumerate() {
            self.insns.push(Planned {
                insn: *insn,
                offset,
                charged: (insns.len() - index) as u8,
            });
            offset += u16::from(insn.length);
        }
        self.blocks.push(Block {
            start,
            end: offset,
            first,
            len: insns.len() as u16,
        });
        number
    }

    /// The instructions of a block.
    pub(crate) fn of_block(&self, block: Block) -> &[Planned] {
        &self.insns[usize::from(block.first)..usize::from(block.first + block.len)]
    }

    /// A new section of these steps.
    pub(crate) fn add_section(&mut self, steps: &[Step]) -> Section {
        let start = self.aside.len() as u32;
        self.aside.extend_from_slice(steps);
        self.end_section(start)
    }

    /// A new section of the steps that were added to `aside` from `start` on.
    pub(crate) fn end_section(&mut self, start: u32) -> Section {
        self.sections.push((start, self.aside.len() as u32));
        Section((self.sections.len() - 1) as u16)
    }

    pub(crate) fn section(&self, section: Section) -> &[Step] {
        let (start, end) = self.sections[usize::from(section.0)];
        &self.aside[start as usize..end as usize]
    }
}
