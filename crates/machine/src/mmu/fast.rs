//! The fast view of the TLB: one dense array, for look-ups of a few machine instructions.

use super::context::{KIND, NO_KEY, SUPERVISOR, USER};
use crate::Ram;
use crate::ram::PAGE_BYTES;

/// Entries for each kind of access: a power of two.
pub const ENTRIES: usize = 16384;
/// Where the entries for loads start.
pub const FAST_LOADS: usize = 0;
/// Where the entries for stores start.
pub const FAST_STORES: usize = ENTRIES;
/// Where the entries for fetches start.
pub const FAST_FETCHES: usize = 2 * ENTRIES;
/// Entries in all.
pub(super) const SLOTS: usize = 3 * ENTRIES;

/// An entry that says that an access needs no check but this: the page is memory, and for stores is plain
/// ([`Ram::is_plain`]). A view that may be lost at any time, no part of the state.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Fast {
    /// The [`key`](super::Context::key) of page and context, or one that nothing has.
    pub tag: u64,
    /// For loads and stores what must be added to the virtual address to get the host's address of the
    /// byte, for fetches the offset of the page in memory.
    pub addend: u64,
}

const NONE: Fast = Fast {
    tag: NO_KEY,
    addend: 0,
};

/// The place of the page of `address` among the entries for one kind of access.
#[inline(always)]
pub(super) fn index(address: u64) -> usize {
    (address >> 12) as usize % ENTRIES
}

/// No fast entry for stores has the page. Else the number is that of the one that may have it, plus 1.
const NOWHERE: u16 = 0;
/// More than one may have it.
const ANYWHERE: u16 = u16::MAX;
/// Lent entries that are remembered before all are returned.
const LENT_MAX: usize = 256;

/// The fast entries, in slots: those for loads, then stores, then fetches.
pub(super) struct FastView {
    entries: Box<[Fast; SLOTS]>,
    /// Address and length of the memory that the entries point into.
    base: u64,
    len: u64,
    /// For each page of memory, which entry for stores may have it.
    stores_of: Vec<u16>,
    /// Slots of user pages that are tagged for S-mode while it may touch them; may name others too.
    lent: Vec<u32>,
}

impl FastView {
    pub(super) fn new(ram: &Ram) -> FastView {
        let entries = vec![NONE; SLOTS].into_boxed_slice();
        FastView {
            entries: entries.try_into().expect("as many as asked for"),
            base: ram.base_address() as u64,
            len: ram.len(),
            stores_of: vec![NOWHERE; ram.pages()],
            lent: Vec::with_capacity(LENT_MAX),
        }
    }

    #[inline]
    pub(super) fn is_of(&self, ram: &Ram) -> bool {
        self.base == ram.base_address() as u64 && self.len == ram.len()
    }

    pub(super) fn as_ptr(&self) -> *const Fast {
        self.entries.as_ptr()
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> &[Fast] {
        &*self.entries
    }

    #[inline(always)]
    pub(super) fn fetch_hit(&self, key: u64, address: u64) -> Option<usize> {
        let entry = &self.entries[FAST_FETCHES + index(address)];
        (entry.tag == key).then(|| entry.addend as usize + (address & 0xfff) as usize)
    }

    /// `part` is where the entries for the kind of access start. The key is that of the last byte, the place that of
    /// the first: if they are in different pages, the place of the one cannot hold the key of the other,
    /// and one comparison sees both misses.
    #[inline(always)]
    pub(super) fn data_hit(&self, part: usize, key: u64, address: u64) -> Option<usize> {
        let entry = &self.entries[part + index(address)];
        (entry.tag == key).then(|| {
            let host = entry.addend.wrapping_add(address);
            host.wrapping_sub(self.base) as usize
        })
    }

    /// Lets accesses with this key be fast: the page is at `offset` in memory. `lent` tells that a user page
    /// is meant that S-mode may not always touch.
    pub(super) fn set(&mut self, slot: usize, key: u64, offset: usize, lent: bool) {
        let addend = if slot >= FAST_FETCHES {
            offset as u64
        } else {
            let host = self.base.wrapping_add(offset as u64);
            host.wrapping_sub(key & !0xfff)
        };
        self.entries[slot] = Fast { tag: key, addend };
        if (FAST_STORES..FAST_FETCHES).contains(&slot) {
            let place = (slot - FAST_STORES + 1) as u16;
            let known = &mut self.stores_of[offset / PAGE_BYTES];
            *known = match *known {
                NOWHERE => place,
                same if same == place => place,
                _ => ANYWHERE,
            };
        }
        if lent {
            self.lent.push(slot as u32);
        }
    }

    /// Lets no access by this slot be fast.
    #[inline]
    pub(super) fn clear(&mut self, slot: usize) {
        self.entries[slot] = NONE;
    }

    /// Lets no store to the page at `offset` be fast: clears the one slot that may have it, or says that
    /// it may be `Err(`[`Anywhere`]`)`.
    pub(super) fn clear_stores_to(&mut self, offset: usize) -> Result<(), Anywhere> {
        let known = std::mem::replace(&mut self.stores_of[offset / PAGE_BYTES], NOWHERE);
        match known {
            NOWHERE => {}
            ANYWHERE => return Err(Anywhere),
            place => self.clear(FAST_STORES + usize::from(place) - 1),
        }
        Ok(())
    }

    /// No user page is tagged for S-mode any more.
    pub(super) fn lend_none(&mut self) {
        self.lent.clear();
    }

    #[inline]
    pub(super) fn lends(&self) -> bool {
        !self.lent.is_empty()
    }

    #[inline]
    pub(super) fn lends_all_it_may(&self) -> bool {
        self.lent.len() == LENT_MAX
    }

    /// Gives user pages that are tagged for S-mode back to user mode. `is_user` tells of a slot whether its
    /// page is a user page.
    pub(super) fn return_lent(&mut self, is_user: impl Fn(usize) -> bool) {
        for slot in self.lent.drain(..) {
            let tag = &mut self.entries[slot as usize].tag;
            if *tag & KIND == SUPERVISOR && is_user(slot as usize) {
                *tag ^= SUPERVISOR ^ USER;
            }
        }
    }
}

/// The fast entries for stores to a page may be in any slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Anywhere;
