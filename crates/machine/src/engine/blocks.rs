//! Decoded code, by physical page.

use isa::{Insn, Op, decode};

use crate::Ram;
use crate::ram::PAGE_BYTES;

/// Longest block, in instructions.
const BLOCK_LEN_MAX: usize = 64;
/// Decoded instructions that are kept before all are dropped: 128 MiB.
const INSNS_MAX: usize = 8 << 20;

/// Decoded blocks of a page. A block is a run of instructions of which only the last may jump.
struct Page {
    /// For each half-word: 0, or one more than the number of the block that starts there.
    block_at: Box<[u16; PAGE_BYTES / 2]>,
    /// Where each block is in `insns`.
    blocks: Vec<(u32, u32)>,
    insns: Vec<Insn>,
}

/// The decoded code of the whole memory.
#[derive(Default)]
pub(super) struct Blocks {
    pages: Vec<Option<Box<Page>>>,
    insns: usize,
}

impl Blocks {
    /// The block that starts at `offset` in memory, if it is decoded.
    #[inline(always)]
    pub(super) fn get(&self, offset: usize) -> Option<&[Insn]> {
        let page = self.pages.get(offset / PAGE_BYTES)?.as_ref()?;
        let block = page.block_at[offset % PAGE_BYTES / 2];
        let (first, end) = *page.blocks.get(usize::from(block).wrapping_sub(1))?;
        page.insns.get(first as usize..end as usize)
    }

    /// Decodes the block that starts at `offset`. Returns whether the page had no code before, or `None` if
    /// the first instruction straddles the end of the page.
    #[cold]
    pub(super) fn decode(&mut self, ram: &mut Ram, offset: usize) -> Option<bool> {
        if self.insns > INSNS_MAX {
            self.clear();
        }
        let number = offset / PAGE_BYTES;
        if self.pages.len() != ram.pages() {
            self.pages.resize_with(ram.pages(), || None);
        }
        let page = self.pages[number].get_or_insert_with(|| {
            Box::new(Page {
                block_at: Box::new([0; PAGE_BYTES / 2]),
                blocks: Vec::new(),
                insns: Vec::new(),
            })
        });
        let first = page.insns.len();
        let mut at = offset;
        let end = (number + 1) * PAGE_BYTES;
        while page.insns.len() - first < BLOCK_LEN_MAX {
            let Some(insn) = decode_at(ram, at, end) else {
                break;
            };
            page.insns.push(insn);
            at += usize::from(insn.length);
            if ends_block(insn.op) {
                break;
            }
        }
        if at == offset {
            return None;
        }
        page.blocks.push((first as u32, page.insns.len() as u32));
        page.block_at[offset % PAGE_BYTES / 2] = page.blocks.len() as u16;
        self.insns += page.insns.len() - first;
        Some(ram.note_code(offset, at - offset))
    }

    /// Drops the code of a page.
    pub(super) fn drop_page(&mut self, page: u32) {
        if let Some(page) = self.pages.get_mut(page as usize).and_then(Option::take) {
            self.insns -= page.insns.len();
        }
    }

    /// Drops everything. Marks in memory stay: they only make stores slower.
    pub(super) fn clear(&mut self) {
        self.pages.fill_with(|| None);
        self.insns = 0;
    }
}

/// The instruction at `at`, unless it goes beyond `end`.
fn decode_at(ram: &Ram, at: usize, end: usize) -> Option<Insn> {
    if at >= end {
        return None;
    }
    let low = u16::from_le_bytes(ram.load(at)?);
    if Insn::length_of(low) == 2 {
        return Some(decode(low.into()).with_sink());
    }
    if at + 4 > end {
        return None;
    }
    Some(decode(u32::from_le_bytes(ram.load(at)?)).with_sink())
}

/// Whether the instruction after this one may be another than the one behind it, or be fetched otherwise.
fn ends_block(op: Op) -> bool {
    matches!(
        op,
        Op::Jal
            | Op::Jalr
            | Op::Beq
            | Op::Bne
            | Op::Blt
            | Op::Bge
            | Op::Bltu
            | Op::Bgeu
            | Op::Ecall
            | Op::Ebreak
            | Op::Sret
            | Op::Mret
            | Op::Wfi
            | Op::SfenceVma
            | Op::FenceI
            | Op::Illegal
            | Op::Csrrw
            | Op::Csrrs
            | Op::Csrrc
            | Op::Csrrwi
            | Op::Csrrsi
            | Op::Csrrci
    )
}
