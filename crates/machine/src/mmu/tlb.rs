//! The software TLB: what the guest can see of cached translations (ARCHITECTURE.md, "The software TLB").

use crate::hart::{Access, Mode};

/// Entries in each of the three arrays.
pub const ENTRIES: usize = 1024;
/// A key that no page and context have: the kinds of context end at 5.
const NO_KEY: u64 = 7;
/// The offset of a page that is not memory.
pub const NO_OFFSET: usize = usize::MAX;
const ASID: u64 = 0x1ff << 3;

/// The low 12 bits of a key: bits 2 to 0 say in which kind of mode a translation holds, bits 11 to 3 in
/// which address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context(u64);

impl Context {
    /// The context of an access in `mode`, with this `satp` and `mstatus.SUM`.
    pub fn new(mode: Mode, satp: u64, sum: bool) -> Context {
        let paged = satp >> 60 != 0;
        let space = satp >> 44 & 0x1ff;
        Context(match mode {
            Mode::Machine => 5,
            Mode::Supervisor if !paged => 4,
            Mode::User if !paged => 3,
            Mode::Supervisor => (space << 3) | (1 + u64::from(sum)),
            Mode::User => space << 3,
        })
    }

    /// What an entry for the page of `address` is tagged with.
    #[inline(always)]
    pub fn key(self, address: u64) -> u64 {
        address & !0xfff | self.0
    }

    /// The privilege mode of the access.
    pub fn mode(self) -> Mode {
        match self.0 & 7 {
            0 | 3 => Mode::User,
            5 => Mode::Machine,
            _ => Mode::Supervisor,
        }
    }

    /// Whether addresses are translated.
    pub fn is_paged(self) -> bool {
        self.0 & 7 <= 2
    }

    /// Whether S-mode may touch user pages.
    pub fn may_touch_user(self) -> bool {
        self.0 & 7 == 2
    }
}

/// One cached translation.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The key, if an access needs no check but this one: the page is memory, and if this is in the array
    /// for stores, is plain (`Ram::is_plain`). A view that may be lost at any time, no part of the state.
    pub fast: u64,
    /// The offset in memory of the page, or [`NO_OFFSET`].
    pub offset: usize,
    /// The key under which it was entered.
    key: u64,
    /// Physical address of the page.
    page: u64,
    /// Bytes of address that the page table entry maps, less one.
    span: u64,
    /// Valid in all address spaces.
    global: bool,
}

const EMPTY: Entry = Entry {
    fast: NO_KEY,
    offset: NO_OFFSET,
    key: NO_KEY,
    page: 0,
    span: 0,
    global: false,
};

/// A translation found by a page walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Translation {
    /// Physical address of the 4 KiB page.
    pub(super) page: u64,
    /// Bytes of address that the page table entry maps, less one.
    pub(super) span: u64,
    /// Valid in all address spaces.
    pub(super) global: bool,
}

/// The entries for one kind of access, directly mapped by page number.
pub type Array = Box<[Entry; ENTRIES]>;

/// The place of an address in an [`Array`].
#[inline(always)]
fn index(address: u64) -> usize {
    (address >> 12) as usize % ENTRIES
}

/// All cached translations.
#[derive(Clone)]
pub struct Tlb {
    fetch: Array,
    load: Array,
    store: Array,
    /// Context of fetches and of loads and stores: follow the hart.
    pub fetch_context: Context,
    /// Context of loads and stores.
    pub data_context: Context,
    /// Addresses from the first to the last that any superpage may have entries for: an address outside
    /// needs no search for fragments.
    superpages: Option<(u64, u64)>,
}

impl Default for Tlb {
    fn default() -> Tlb {
        let array = || Box::new([EMPTY; ENTRIES]);
        Tlb {
            fetch: array(),
            load: array(),
            store: array(),
            fetch_context: Context::default(),
            data_context: Context::default(),
            superpages: None,
        }
    }
}

impl Tlb {
    /// The offset in memory of the code at `address`, if a fast entry has it.
    #[inline(always)]
    pub fn fetch_hit(&self, address: u64) -> Option<usize> {
        hit(&self.fetch, self.fetch_context, address, 1)
    }

    /// The offset in memory of `len` bytes at `address`, if a fast entry has all of them.
    #[inline(always)]
    pub fn load_hit(&self, address: u64, len: u64) -> Option<usize> {
        hit(&self.load, self.data_context, address, len)
    }

    /// The offset in memory of `len` bytes at `address`, if a fast entry has all of them.
    #[inline(always)]
    pub fn store_hit(&self, address: u64, len: u64) -> Option<usize> {
        hit(&self.store, self.data_context, address, len)
    }

    /// The entries for a kind of access, for engines that inline the look-up.
    pub fn array(&self, access: Access) -> &Array {
        match access {
            Access::Fetch => &self.fetch,
            Access::Load => &self.load,
            Access::Store => &self.store,
        }
    }

    fn array_mut(&mut self, access: Access) -> &mut Array {
        match access {
            Access::Fetch => &mut self.fetch,
            Access::Load => &mut self.load,
            Access::Store => &mut self.store,
        }
    }

    /// The context of a kind of access.
    pub(super) fn context(&self, access: Access) -> Context {
        if access == Access::Fetch {
            self.fetch_context
        } else {
            self.data_context
        }
    }

    /// The physical page of `address`, if it is cached.
    pub(super) fn look_up(&self, access: Access, address: u64) -> Option<u64> {
        let key = self.context(access).key(address);
        let entry = &self.array(access)[index(address)];
        let differ = entry.key ^ key;
        (differ == 0 || entry.global && differ & !ASID == 0).then_some(entry.page)
    }

    /// Caches a translation.
    pub(super) fn insert(&mut self, access: Access, address: u64, found: Translation) {
        if found.span > 0xfff {
            let first = address & !found.span;
            let last = first | found.span;
            let (lowest, highest) = self.superpages.unwrap_or((first, last));
            self.superpages = Some((lowest.min(first), highest.max(last)));
        }
        let key = self.context(access).key(address);
        self.array_mut(access)[index(address)] = Entry {
            fast: NO_KEY,
            offset: NO_OFFSET,
            key,
            page: found.page,
            span: found.span,
            global: found.global,
        };
    }

    /// Makes the entry that [`Tlb::look_up`] finds for `address` fast: its page is at `offset` in memory.
    pub(super) fn make_fast(&mut self, access: Access, address: u64, offset: usize) {
        let key = self.context(access).key(address);
        let entry = &mut self.array_mut(access)[index(address)];
        entry.fast = key;
        entry.offset = offset;
    }

    /// Lets no store to the page at `offset` be fast.
    pub fn slow_stores_to(&mut self, offset: usize) {
        for entry in self.store.iter_mut().filter(|entry| entry.offset == offset) {
            entry.fast = NO_KEY;
        }
    }

    /// Lets no store be fast.
    pub fn slow_stores(&mut self) {
        for entry in self.store.iter_mut() {
            entry.fast = NO_KEY;
        }
    }

    /// Forgets everything.
    pub fn flush(&mut self) {
        for access in [Access::Fetch, Access::Load, Access::Store] {
            self.array_mut(access).fill(EMPTY);
        }
        self.superpages = None;
    }

    /// Forgets all translations for loads.
    pub fn flush_loads(&mut self) {
        self.load.fill(EMPTY);
    }

    /// Forgets what SFENCE.VMA with these operands orders to forget. Entries of untranslated modes and the
    /// rest of an address space number beyond 9 bits do not matter.
    pub fn fence(&mut self, address: Option<u64>, space: Option<u64>) {
        let in_space = |entry: &Entry| match space {
            None => true,
            Some(space) => !entry.global && (entry.key & ASID) >> 3 == space & 0x1ff,
        };
        match address {
            None if space.is_none() => self.flush(),
            None => self.remove(in_space),
            Some(address) => {
                if self
                    .superpages
                    .is_some_and(|(first, last)| (first..=last).contains(&address))
                {
                    self.remove(|entry| {
                        (entry.key ^ address) & !(entry.span | 0xfff) == 0 && in_space(entry)
                    });
                    return;
                }
                for access in [Access::Fetch, Access::Load, Access::Store] {
                    let entry = &mut self.array_mut(access)[index(address)];
                    if (entry.key ^ address) & !0xfff == 0 && in_space(entry) {
                        *entry = EMPTY;
                    }
                }
            }
        }
    }

    fn remove(&mut self, which: impl Fn(&Entry) -> bool) {
        for access in [Access::Fetch, Access::Load, Access::Store] {
            for entry in self.array_mut(access).iter_mut() {
                if entry.key != NO_KEY && which(entry) {
                    *entry = EMPTY;
                }
            }
        }
    }

    /// A hash of everything that a guest could notice.
    pub(crate) fn hash(&self) -> blake3::Hash {
        let mut bytes = Vec::with_capacity(64 * 32);
        let mut hasher = blake3::Hasher::new();
        for access in [Access::Fetch, Access::Load, Access::Store] {
            for (index, entry) in self.array(access).iter().enumerate() {
                if entry.key != NO_KEY {
                    for word in [index as u64, entry.key, entry.page, entry.span] {
                        bytes.extend_from_slice(&word.to_le_bytes());
                    }
                    bytes.push(u8::from(entry.global));
                }
            }
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(&bytes);
            bytes.clear();
        }
        hasher.finalize()
    }
}

/// The key is that of the last byte, the place that of the first: if they are in different pages, the
/// place of the one cannot hold the key of the other, and one comparison sees both misses.
#[inline(always)]
fn hit(array: &Array, context: Context, address: u64, len: u64) -> Option<usize> {
    let entry = &array[index(address)];
    let key = context.key(address.wrapping_add(len - 1));
    (entry.fast == key).then(|| entry.offset + (address & 0xfff) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlb(space: u64) -> Tlb {
        let mut tlb = Tlb::default();
        enter(&mut tlb, space);
        tlb
    }

    fn enter(tlb: &mut Tlb, space: u64) {
        tlb.data_context = Context::new(Mode::Supervisor, 8 << 60 | space << 44, false);
    }

    fn insert(tlb: &mut Tlb, address: u64, span: u64, global: bool) {
        let found = Translation {
            page: 0x8000_0000,
            span,
            global,
        };
        tlb.insert(Access::Load, address, found);
    }

    fn has(tlb: &Tlb, address: u64) -> bool {
        tlb.look_up(Access::Load, address).is_some()
    }

    #[test]
    fn spaces_and_modes() {
        let mut tlb = tlb(1);
        insert(&mut tlb, 0x1000, 0xfff, false);
        insert(&mut tlb, 0x2000, 0xfff, true);
        assert!(has(&tlb, 0x1fff) && has(&tlb, 0x2000) && !has(&tlb, 0x3000));
        enter(&mut tlb, 2);
        assert!(!has(&tlb, 0x1000) && has(&tlb, 0x2000));
        tlb.make_fast(Access::Load, 0x2000, 0);
        assert_eq!(tlb.load_hit(0x2010, 8), Some(0x10));
        enter(&mut tlb, 1);
        assert_eq!(
            tlb.load_hit(0x2010, 8),
            None,
            "fast entries are of one space"
        );
        tlb.data_context = Context::new(Mode::Supervisor, 8 << 60 | 1 << 44, true);
        assert!(
            !has(&tlb, 0x1000) && !has(&tlb, 0x2000),
            "SUM is part of the tag"
        );
    }

    #[test]
    fn fences() {
        let fill = || {
            let mut tlb = tlb(1);
            insert(&mut tlb, 0x1000, 0xfff, false);
            insert(&mut tlb, 0x2000, 0xfff, true);
            insert(&mut tlb, 0x4020_3000, 0x1f_ffff, false);
            tlb
        };
        let left = |address, space| {
            let mut tlb = fill();
            tlb.fence(address, space);
            [0x1000, 0x2000, 0x4020_3000].map(|address| has(&tlb, address))
        };
        assert_eq!(left(None, None), [false; 3]);
        assert_eq!(left(None, Some(1)), [false, true, false]);
        assert_eq!(left(None, Some(2)), [true; 3]);
        assert_eq!(left(Some(0x1008), None), [false, true, true]);
        assert_eq!(left(Some(0x2000), Some(1)), [true; 3]);
        assert_eq!(left(Some(0x2000), None), [true, false, true]);
        assert_eq!(
            left(Some(0x403f_f000), None),
            [true, true, false],
            "a fragment"
        );
        assert_eq!(left(Some(0x4040_0000), None), [true; 3]);
    }
}
