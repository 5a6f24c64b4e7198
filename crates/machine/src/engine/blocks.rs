//! Decoded code, by physical page.

use isa::Insn;

use crate::Ram;
use crate::ram::PAGE_BYTES;

/// Longest block, in instructions.
const BLOCK_LEN_MAX: usize = 64;
/// Bits of [`Place`] for the length of a block.
const LEN_BITS: u32 = 7;
/// Decoded instructions, current or dropped, that are kept before all are forgotten: 16 MiB.
const INSNS_MAX: usize = 1 << 20;
/// Pages with decoded code before all are forgotten: 16 MiB. A guest may jump into each page of its memory.
const PAGES_MAX: usize = 2 << 10;

/// Where a block is among all instructions: its start, and in the lowest bits its length. 0: there is none.
type Place = u32;

/// For each half-word of a page, the block that starts there. A block is a run of instructions of which
/// only the last may jump.
type Page = Box<[Place; PAGE_BYTES / 2]>;

/// The decoded code of the whole memory.
#[derive(Default)]
pub(super) struct Blocks {
    pages: Vec<Option<Page>>,
    /// Pages taken since all were forgotten: never fewer than there are.
    taken: usize,
    insns: Vec<Insn>,
}

impl Blocks {
    /// The block that starts at `offset` in memory, if it is decoded.
    #[inline(always)]
    pub(super) fn get(&self, offset: usize) -> Option<&[Insn]> {
        let page = self.pages.get(offset / PAGE_BYTES)?.as_ref()?;
        let place = page[offset % PAGE_BYTES / 2];
        if place == 0 {
            return None;
        }
        let start = (place >> LEN_BITS) as usize;
        self.insns
            .get(start..start + (place & ((1 << LEN_BITS) - 1)) as usize)
    }

    /// Decodes the block that starts at `offset`. Returns whether the page had no code before, or `None` if
    /// the first instruction straddles the end of the page.
    #[cold]
    pub(super) fn decode(&mut self, ram: &mut Ram, offset: usize) -> Option<bool> {
        if self.insns.len() > INSNS_MAX - BLOCK_LEN_MAX || self.taken == PAGES_MAX {
            // Marks in memory stay: they only make stores slower.
            self.pages.fill_with(|| None);
            self.taken = 0;
            self.insns.clear();
        }
        let number = offset / PAGE_BYTES;
        if self.pages.len() != ram.pages() {
            self.pages.resize_with(ram.pages(), || None);
        }
        let start = self.insns.len();
        let mut at = offset;
        let end = (number + 1) * PAGE_BYTES;
        while at < end && self.insns.len() - start < BLOCK_LEN_MAX {
            let Some(insn) = ram.instruction(at) else {
                break;
            };
            self.insns.push(insn);
            at += usize::from(insn.length);
            if insn.op.flow().ends_block() {
                break;
            }
        }
        if at == offset {
            return None;
        }
        let len = self.insns.len() - start;
        let page = self.pages[number].get_or_insert_with(|| {
            self.taken += 1;
            Box::new([0; PAGE_BYTES / 2])
        });
        page[offset % PAGE_BYTES / 2] = (start as u32) << LEN_BITS | len as u32;
        Some(ram.note_code(offset, at - offset))
    }

    /// Drops the code of a page.
    pub(super) fn drop_page(&mut self, page: u32) {
        if let Some(page) = self.pages.get_mut(page as usize) {
            *page = None;
        }
    }
}
