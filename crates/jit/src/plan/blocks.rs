//! Guest bytes become instructions, and these blocks.

use isa::{Flow, Insn, Op, decode_first};

pub(crate) const PAGE: usize = machine::ram::PAGE_BYTES;

/// A page of guest memory.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) bytes: &'a [u8],
}

/// Whether a block ends behind an instruction. One behind which other rules hold does not end it: a helper executes it, and
/// looks.
pub(crate) fn ends_block(op: Op) -> bool {
    op.flow() == Flow::Branch || !op.flow().falls_through()
}

impl Page<'_> {
    /// The instruction at an offset in the page, unless it goes beyond the page.
    pub(crate) fn decode(&self, at: usize) -> Option<Insn> {
        decode_first(self.bytes.get(at..)?)
    }

    /// Decodes a block of at most `max` instructions that starts at an offset in the page; returns where it ends. It is
    /// empty if its first instruction goes beyond the page.
    pub(crate) fn decode_block(&self, start: usize, max: usize, block: &mut Vec<Insn>) -> usize {
        block.clear();
        let mut at = start;
        while block.len() < max && at < PAGE {
            let Some(insn) = self.decode(at) else {
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
}
