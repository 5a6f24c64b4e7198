//! The software TLB: what the guest can see of cached translations (docs/machine.md, "The software TLB").

use std::ops::Range;

use super::context::{Context, KIND, NO_KEY, SPACE, SUPERVISOR, USER};
use super::fast::{ENTRIES, FAST_FETCHES, FAST_LOADS, FAST_STORES, Fast, FastView, SLOTS, index};
use super::slots::{Slots, words};
use crate::Ram;
use crate::hart::Access;
use crate::ram::RAM_BASE;

/// One cached translation.
#[derive(Clone, Copy)]
struct Entry {
    /// Page, address space and kind of page.
    key: u64,
    /// Physical address of the page; in its low bits [`GLOBAL`] and the level.
    page: u64,
}

/// Valid in all address spaces.
const GLOBAL: u64 = 1;
const LEVEL_SHIFT: u32 = 1;

/// A fence looks at the words of all sets of slots.
const FENCE_COST: u64 = 512;
/// To look at a slot, and perhaps to empty it.
const SLOT_COST: u64 = 4;

const EMPTY: Entry = Entry {
    key: NO_KEY,
    page: 0,
};

impl Entry {
    fn is_global(self) -> bool {
        self.page & GLOBAL != 0
    }

    /// Bytes of address that the page table entry maps, less one.
    fn span(self) -> u64 {
        span(self.page >> LEVEL_SHIFT & 3)
    }

    fn is_user(self) -> bool {
        self.key & KIND == USER
    }

    fn in_space(self, space: Option<u64>) -> bool {
        space.is_none_or(|space| !self.is_global() && self.key & SPACE == space << 3 & SPACE)
    }
}

fn span(level: u64) -> u64 {
    (0x1000 << (9 * level)) - 1
}

/// A translation found by a page walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Translation {
    /// Physical address of the 4 KiB page.
    pub(super) page: u64,
    /// Level of the page table entry: it maps 2^(9 level) pages.
    pub(super) level: u32,
    /// Valid in all address spaces.
    pub(super) global: bool,
    /// User mode may touch it, and S-mode only if `mstatus.SUM` is set.
    pub(super) user: bool,
}

/// Where the slots for a kind of access start.
#[inline(always)]
fn part(access: Access) -> usize {
    match access {
        Access::Load => FAST_LOADS,
        Access::Store => FAST_STORES,
        Access::Fetch => FAST_FETCHES,
    }
}

/// All cached translations: for each kind of access directly mapped by page number, each in one slot.
pub struct Tlb {
    /// Context of fetches: follows the hart.
    pub fetch_context: Context,
    /// Context of loads and stores.
    pub data_context: Context,
    /// Loads and stores act in S-mode, which may touch user pages.
    user_pages: bool,
    fast: FastView,
    entries: Box<[Entry; SLOTS]>,
    /// Slots that are not empty.
    present: Slots,
    /// Slots that are not empty, and valid in one address space only.
    local: Slots,
    superpages: Superpages,
    /// Slots that fences have looked at, for [`Tlb::take_cost`].
    looked_at: u64,
}

impl Tlb {
    /// No translations, for this memory.
    pub fn new(ram: &Ram) -> Tlb {
        let entries = vec![EMPTY; SLOTS].into_boxed_slice();
        Tlb {
            fetch_context: Context::default(),
            data_context: Context::default(),
            user_pages: false,
            fast: FastView::new(ram),
            entries: entries.try_into().ok().expect("as many as asked for"),
            present: Slots::new(),
            local: Slots::new(),
            superpages: Superpages::default(),
            looked_at: 0,
        }
    }

    /// Lets fast entries be of this memory: those of another are dropped. Costs nothing if it is the same.
    #[inline]
    pub fn attach(&mut self, ram: &Ram) {
        if !self.fast.is_of(ram) {
            self.fast = FastView::new(ram);
        }
    }

    /// The fast entries for engines that inline the look-up: [`ENTRIES`] each from [`FAST_LOADS`],
    /// [`FAST_STORES`] and [`FAST_FETCHES`] on, the place of an address among them `(address >> 12) % ENTRIES`.
    /// An access that crosses into another page looks at the place of its first byte for the key of its
    /// last. Valid as long as this structure; the entries are of the memory of [`Tlb::attach`].
    pub fn fast_ptr(&self) -> *const Fast {
        self.fast.as_ptr()
    }

    /// The offset in memory of the code at `address`, if a fast entry has it.
    #[inline(always)]
    pub fn fetch_hit(&self, address: u64) -> Option<usize> {
        self.fast
            .fetch_hit(self.fetch_context.key(address), address)
    }

    /// The offset in memory of `len` bytes at `address`, if a fast entry has all of them.
    #[inline(always)]
    pub(crate) fn load_hit(&self, address: u64, len: u64) -> Option<usize> {
        let key = self.data_context.key(address.wrapping_add(len - 1));
        self.fast.data_hit(FAST_LOADS, key, address)
    }

    /// The offset in memory of `len` bytes at `address`, if a fast entry has all of them.
    #[inline(always)]
    pub(crate) fn store_hit(&self, address: u64, len: u64) -> Option<usize> {
        let key = self.data_context.key(address.wrapping_add(len - 1));
        self.fast.data_hit(FAST_STORES, key, address)
    }

    /// Follows the hart: the contexts, and whether loads and stores act in S-mode with `mstatus.SUM` set.
    #[inline]
    pub(crate) fn enter(&mut self, fetch: Context, data: Context, user_pages: bool) {
        self.fetch_context = fetch;
        self.data_context = data;
        self.allow_user_pages(user_pages);
    }

    /// Follows `mstatus.SUM` alone.
    #[inline]
    pub(crate) fn allow_user_pages(&mut self, user_pages: bool) {
        self.user_pages = user_pages;
        if !user_pages && self.fast.lends() {
            self.return_lent();
        }
    }

    fn return_lent(&mut self) {
        let entries = &self.entries;
        self.fast.return_lent(|slot| entries[slot].is_user());
    }

    /// The context of a kind of access.
    #[inline]
    pub(super) fn context(&self, access: Access) -> Context {
        if access == Access::Fetch {
            self.fetch_context
        } else {
            self.data_context
        }
    }

    /// The physical page of `address`, if it is cached and the access may touch it.
    #[inline]
    pub(super) fn look_up(&self, access: Access, address: u64) -> Option<u64> {
        let entry = self.entries[part(access) + index(address)];
        let mut differ = entry.key ^ self.context(access).key(address);
        if self.user_pages && access != Access::Fetch && entry.is_user() {
            differ ^= SUPERVISOR ^ USER;
        }
        (differ == 0 || entry.is_global() && differ & !SPACE == 0).then_some(entry.page & !0xfff)
    }

    /// Caches a translation.
    pub(super) fn insert(&mut self, access: Access, address: u64, found: Translation) {
        self.superpages.note(address, found.level);
        let slot = part(access) + index(address);
        self.fast.clear(slot);
        self.entries[slot] = Entry {
            key: self.context(access).key_of_page(address, found.user),
            page: found.page | u64::from(found.level) << LEVEL_SHIFT | u64::from(found.global),
        };
        self.present.set(slot, true);
        self.local.set(slot, !found.global);
    }

    /// Makes the entry that [`Tlb::look_up`] finds for `address` fast: its page is at `offset` in memory.
    pub(super) fn make_fast(&mut self, access: Access, address: u64, offset: usize) {
        let slot = part(access) + index(address);
        let key = self.context(access).key(address);
        let lent = key & KIND == SUPERVISOR && self.entries[slot].is_user();
        if lent && self.fast.lends_all_it_may() {
            self.return_lent();
        }
        self.fast.set(slot, key, offset, lent);
    }

    /// Lets no store to the page at `offset` be fast.
    pub fn slow_stores_to(&mut self, offset: usize) {
        if self.fast.clear_stores_to(offset).is_ok() {
            return;
        }
        let page = RAM_BASE + offset as u64;
        for word in words(FAST_STORES..FAST_STORES + ENTRIES) {
            for slot in self.present.in_word(word) {
                if self.entries[slot].page & !0xfff == page {
                    self.fast.clear(slot);
                }
            }
        }
    }

    /// Lets no store be fast.
    pub(crate) fn slow_stores(&mut self) {
        for word in words(FAST_STORES..FAST_STORES + ENTRIES) {
            for slot in self.present.in_word(word) {
                self.fast.clear(slot);
            }
        }
    }

    /// Lets no access be fast.
    pub(crate) fn slow_all(&mut self) {
        for word in words(0..SLOTS) {
            for slot in self.present.in_word(word) {
                self.fast.clear(slot);
            }
        }
        self.fast.lend_none();
    }

    /// What fences have cost since the last call, in units of [`crate::Cpu::charge`].
    pub(crate) fn take_cost(&mut self) -> u64 {
        FENCE_COST + std::mem::take(&mut self.looked_at) * SLOT_COST
    }

    /// Forgets everything.
    pub fn flush(&mut self) {
        for word in words(0..SLOTS) {
            for slot in self.present.in_word(word) {
                self.looked_at += 1;
                self.forget(slot);
            }
        }
        self.superpages = Superpages::default();
    }

    /// Forgets all translations for loads.
    pub(crate) fn flush_loads(&mut self) {
        for word in words(FAST_LOADS..FAST_LOADS + ENTRIES) {
            for slot in self.present.in_word(word) {
                self.looked_at += 1;
                self.forget(slot);
            }
        }
    }

    /// Forgets what SFENCE.VMA with these operands orders to forget. Entries of untranslated modes and the
    /// rest of an address space number beyond 9 bits do not matter.
    pub fn fence(&mut self, address: Option<u64>, space: Option<u64>) {
        match (address, space) {
            (None, None) => self.flush(),
            (None, Some(_)) => {
                for word in words(0..SLOTS) {
                    for slot in self.local.in_word(word) {
                        self.looked_at += 1;
                        if self.entries[slot].in_space(space) {
                            self.forget(slot);
                        }
                    }
                }
            }
            (Some(address), _) => self.fence_range(address, address, space),
        }
    }

    /// Forgets translations of the pages that have `first` to `last`, and of larger pages that these are part of, as a
    /// fence of each would. Slots that fragments of larger pages may be in are looked at once, not for each page.
    pub(crate) fn fence_range(&mut self, first: u64, last: u64, space: Option<u64>) {
        let pages = first >> 12..=last >> 12;
        let mut fragments: Option<Range<usize>> = None;
        for address in pages.map(|page| page << 12) {
            for part in [FAST_LOADS, FAST_STORES, FAST_FETCHES] {
                let slot = part + index(address);
                let entry = self.entries[slot];
                if (entry.key ^ address) & !0xfff == 0 && entry.in_space(space) {
                    self.forget(slot);
                }
            }
            let more = self.superpages.fragments_at(address);
            if more.is_some() && more != fragments {
                // Of a range that is not long, this is so once or twice.
                self.fence_fragments(first, last, space, more.clone().unwrap_or_default());
                fragments = more;
            }
        }
    }

    /// Forgets what in these places, of each kind, is of a page that has an address from `first` to `last`.
    fn fence_fragments(&mut self, first: u64, last: u64, space: Option<u64>, places: Range<usize>) {
        for part in [FAST_LOADS, FAST_STORES, FAST_FETCHES] {
            for word in words(part + places.start..part + places.end) {
                for slot in self.present.in_word(word) {
                    self.looked_at += 1;
                    let entry = self.entries[slot];
                    let span = entry.span();
                    let start = entry.key & !span;
                    if start <= last && first <= start | span && entry.in_space(space) {
                        self.forget(slot);
                    }
                }
            }
        }
    }

    #[inline]
    fn forget(&mut self, slot: usize) {
        self.fast.clear(slot);
        self.entries[slot] = EMPTY;
        self.present.set(slot, false);
        self.local.set(slot, false);
    }

    /// The first entry in which two differ.
    pub fn difference(&self, other: &Tlb) -> Option<String> {
        let pairs = self.entries.iter().zip(other.entries.iter());
        let (slot, (one, two)) = (pairs.enumerate())
            .find(|(_, (one, two))| (one.key, one.page) != (two.key, two.page))?;
        let access = [Access::Fetch, Access::Load, Access::Store]
            .into_iter()
            .find(|access| (part(*access)..part(*access) + ENTRIES).contains(&slot))?;
        Some(format!(
            "a translation for {access:?}: {:#x} to {:#x} and {:#x} to {:#x}",
            one.key, one.page, two.key, two.page
        ))
    }

    /// A hash of everything that a guest could notice.
    pub(crate) fn hash(&self) -> blake3::Hash {
        let mut bytes = Vec::with_capacity(64 * 24);
        let mut hasher = blake3::Hasher::new();
        for word in words(0..SLOTS) {
            for slot in self.present.in_word(word) {
                let entry = self.entries[slot];
                for word in [slot as u64, entry.key, entry.page] {
                    bytes.extend_from_slice(&word.to_le_bytes());
                }
            }
            hasher.update(&bytes);
            bytes.clear();
        }
        hasher.finalize()
    }
}

/// Which addresses superpages may have entries for since the last flush: a fence of any other address need
/// not search for fragments.
#[derive(Clone, Copy, Default)]
struct Superpages {
    /// First and last address, for each half of the address space: programs and kernels.
    halves: [Option<(u64, u64)>; 2],
    /// Some are larger than level 1.
    giants: bool,
}

impl Superpages {
    fn note(&mut self, address: u64, level: u32) {
        if level == 0 {
            return;
        }
        let span = span(level.into());
        let (first, last) = (address & !span, address | span);
        let half = &mut self.halves[(address >> 63) as usize];
        let (lowest, highest) = half.unwrap_or((first, last));
        *half = Some((lowest.min(first), highest.max(last)));
        self.giants |= level > 1;
    }

    /// The places in which fragments of a superpage at `address` may be.
    fn fragments_at(&self, address: u64) -> Option<Range<usize>> {
        let (first, last) = self.halves[(address >> 63) as usize]?;
        if !(first..=last).contains(&address) {
            return None;
        }
        if self.giants {
            return Some(0..ENTRIES);
        }
        let place = index(address & !span(1));
        Some(place..place + 512)
    }
}

#[cfg(test)]
mod tests;
