//! Guest memory: bytes from [`RAM_BASE`] on, with what must be known of each page: whether it was written
//! since a digest last looked at it, and where an engine holds decoded code of it.

use crate::{GuestAddr, Width};

/// Nothing answers at that physical address, or not with that width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory or device answers at this physical address")]
pub struct AccessFault;

/// Where memory starts.
pub const RAM_BASE: u64 = 0x8000_0000;
/// Bytes in a page.
pub const PAGE_BYTES: usize = 4096;
/// Bytes in a line: code is tracked by lines, so that data may share a page with it.
const LINE_BYTES: usize = PAGE_BYTES / 64;

/// The guest's memory. An *offset* is a physical address minus [`RAM_BASE`]; a *page* is an offset divided by
/// [`PAGE_BYTES`].
#[derive(Clone)]
pub struct Ram {
    bytes: Vec<u8>,
    /// One bit a page: written since a digest last looked at it.
    dirty: Vec<u64>,
    /// The page at which the next digest begins to look.
    digest_next: usize,
    /// One bit a page: written ever. The others are zero, and a snapshot need not look at them.
    touched: Vec<u64>,
    /// How many they are.
    touched_pages: usize,
    /// One word a page: bit `n` says that an engine decoded code from line `n`.
    code: Vec<u64>,
    /// Pages whose decoded code was overwritten, in the order of the stores, each once.
    stale: Vec<u32>,
}

impl Ram {
    /// Memory of `len` zero bytes: a multiple of the page size, below 2⁴³.
    ///
    /// # Panics
    /// If the host cannot give that much.
    pub fn new(len: usize) -> Ram {
        Ram::try_new(len).expect("the host has that much memory")
    }

    /// The same, or `None` if the host cannot give that much.
    pub(crate) fn try_new(len: usize) -> Option<Ram> {
        assert!(len.is_multiple_of(PAGE_BYTES) && len >> 43 == 0);
        let pages = len / PAGE_BYTES;
        Some(Ram {
            bytes: bytemuck::allocation::try_zeroed_vec(len).ok()?,
            dirty: vec![0; pages.div_ceil(64)],
            digest_next: 0,
            touched: vec![0; pages.div_ceil(64)],
            touched_pages: 0,
            code: vec![0; pages],
            stale: Vec::new(),
        })
    }

    /// Size in bytes.
    #[expect(clippy::len_without_is_empty, reason = "memory is never empty")]
    #[inline(always)]
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where the host has the first byte: the same as long as this memory lives.
    #[inline]
    pub fn base_address(&self) -> usize {
        self.bytes.as_ptr() as usize
    }

    /// Number of pages.
    pub fn pages(&self) -> usize {
        self.code.len()
    }

    /// The offset of `len` bytes at `addr`, if all of them are memory.
    #[inline(always)]
    pub fn offset_of(&self, addr: GuestAddr, len: usize) -> Option<usize> {
        let offset = addr.0.wrapping_sub(RAM_BASE);
        let end = offset.checked_add(len as u64)?;
        (end <= self.len()).then_some(offset as usize)
    }

    /// Copies `out.len()` bytes from `addr` on, or nothing if not all of them are in memory.
    pub fn read(&self, addr: GuestAddr, out: &mut [u8]) -> Result<(), AccessFault> {
        let offset = self.offset_of(addr, out.len()).ok_or(AccessFault)?;
        out.copy_from_slice(&self.bytes[offset..offset + out.len()]);
        Ok(())
    }

    /// Stores `data` at `addr`, or nothing if not all of it is in memory.
    pub fn write(&mut self, addr: GuestAddr, data: &[u8]) -> Result<(), AccessFault> {
        let offset = self.offset_of(addr, data.len()).ok_or(AccessFault)?;
        self.bytes[offset..offset + data.len()].copy_from_slice(data);
        self.note_store(offset, data.len());
        Ok(())
    }

    /// The `N` bytes at `offset`; `None` beyond the end.
    #[inline(always)]
    pub fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..)?.first_chunk::<N>().copied()
    }

    /// Stores bytes at `offset` without noting it: for a page that is dirty and has no code
    /// ([`Ram::is_plain`]), or before [`Ram::note_store`]. `None`, without effect, beyond the end.
    #[inline(always)]
    pub fn store_plain<const N: usize>(&mut self, offset: usize, value: [u8; N]) -> Option<()> {
        *self.bytes.get_mut(offset..)?.first_chunk_mut::<N>()? = value;
        Some(())
    }

    /// The value at `addr`, zero-extended, if all of it is in memory.
    #[inline]
    pub(crate) fn load_width(&self, addr: GuestAddr, width: Width) -> Option<u64> {
        let offset = self.offset_of(addr, width.bytes() as usize)?;
        Some(match width {
            Width::Byte => u8::from_le_bytes(self.load(offset)?).into(),
            Width::Half => u16::from_le_bytes(self.load(offset)?).into(),
            Width::Word => u32::from_le_bytes(self.load(offset)?).into(),
            Width::Double => u64::from_le_bytes(self.load(offset)?),
        })
    }

    /// Stores the low bytes of `value` at `addr`, or nothing if not all of them are in memory.
    #[inline]
    pub(crate) fn store_width(&mut self, addr: GuestAddr, width: Width, value: u64) -> Option<()> {
        let len = width.bytes() as usize;
        let offset = self.offset_of(addr, len)?;
        match width {
            Width::Byte => self.store_plain(offset, (value as u8).to_le_bytes())?,
            Width::Half => self.store_plain(offset, (value as u16).to_le_bytes())?,
            Width::Word => self.store_plain(offset, (value as u32).to_le_bytes())?,
            Width::Double => self.store_plain(offset, value.to_le_bytes())?,
        }
        self.note_store(offset, len);
        Some(())
    }

    /// Whether stores to this page need no [`Ram::note_store`].
    #[inline]
    pub fn is_plain(&self, page: usize) -> bool {
        self.code[page] == 0 && self.dirty[page / 64] & (1 << (page % 64)) != 0
    }

    /// Marks pages dirty and code stale after a store of `len` bytes at `offset`.
    pub fn note_store(&mut self, offset: usize, len: usize) {
        if len == 0 {
            return;
        }
        let last = offset + len - 1;
        for page in offset / PAGE_BYTES..=last / PAGE_BYTES {
            self.dirty[page / 64] |= 1 << (page % 64);
            self.touch(page);
            if self.code[page] != 0 {
                let start = offset.max(page * PAGE_BYTES) % PAGE_BYTES;
                let end = last.min(page * PAGE_BYTES + PAGE_BYTES - 1) % PAGE_BYTES;
                if self.code[page] & lines(start, end) != 0 {
                    self.code[page] = 0;
                    self.stale.push(page as u32);
                }
            }
        }
    }

    /// Tells that an engine holds code decoded from `len` bytes at `offset`, all in one page. Returns whether
    /// this is the first code in its page: stores to it are no longer plain.
    pub fn note_code(&mut self, offset: usize, len: usize) -> bool {
        let (page, start) = (offset / PAGE_BYTES, offset % PAGE_BYTES);
        let first = self.code[page] == 0;
        self.code[page] |= lines(start, start + len - 1);
        first
    }

    /// Whether decoded code was overwritten since the last [`Ram::take_stale`].
    #[inline(always)]
    pub fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// The pages whose decoded code was overwritten.
    pub fn take_stale(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.stale)
    }

    /// The bytes of a page.
    pub fn page(&self, page: usize) -> &[u8] {
        &self.bytes[page * PAGE_BYTES..(page + 1) * PAGE_BYTES]
    }

    /// Which of the pages from `first` on, a multiple of 64, may hold anything but zeros: a bit each.
    pub(crate) fn touched(&self, first: usize) -> u64 {
        self.touched[first / 64]
    }

    /// Bytes of the pages that may hold anything but zeros: no snapshot's memory is larger.
    pub(crate) fn touched_bytes(&self) -> u64 {
        (self.touched_pages * PAGE_BYTES) as u64
    }

    fn touch(&mut self, page: usize) {
        let (word, bit) = (&mut self.touched[page / 64], 1 << (page % 64));
        self.touched_pages += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// Fills in a page of a snapshot: it is no more dirty than before.
    pub(crate) fn page_mut(&mut self, page: usize) -> &mut [u8] {
        self.touch(page);
        &mut self.bytes[page * PAGE_BYTES..(page + 1) * PAGE_BYTES]
    }

    /// Number of dirty pages.
    pub(crate) fn dirty_count(&self) -> u64 {
        self.dirty
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum()
    }

    /// Takes up to `most` dirty pages, which are dirty no more: from the one behind the last taken on, and around, so
    /// that each has its turn however often others are written.
    pub(crate) fn take_dirty(&mut self, most: usize) -> Vec<usize> {
        let mut taken = Vec::new();
        let words = self.dirty.len();
        let (first, upper) = (self.digest_next / 64, u64::MAX << (self.digest_next % 64));
        for round in 0..=words {
            // The first word comes twice: its upper pages first, its lower ones last.
            let mask = match round {
                0 => upper,
                _ if round == words => !upper,
                _ => u64::MAX,
            };
            let index = (first + round) % words;
            let word = &mut self.dirty[index];
            while *word & mask != 0 {
                if taken.len() >= most {
                    return taken;
                }
                let bit = (*word & mask).trailing_zeros() as usize;
                *word &= !(1 << bit);
                let page = index * 64 + bit;
                taken.push(page);
                self.digest_next = (page + 1) % self.code.len();
            }
        }
        taken
    }

    /// The page at which the next digest begins to look.
    pub(crate) fn digest_next(&self) -> usize {
        self.digest_next
    }

    /// The dirty marks, 64 pages a word.
    pub(crate) fn dirty_words(&self) -> &[u64] {
        &self.dirty
    }

    /// Restores the dirty marks and where a digest begins to look; `false` if there are more or fewer marks than
    /// pages, or no such page.
    pub(crate) fn set_dirty_words(&mut self, words: &[u64], next: u64) -> bool {
        let spare = self.dirty.len() * 64 - self.pages();
        if words.len() != self.dirty.len()
            || words
                .last()
                .is_some_and(|w| w.leading_zeros() < spare as u32)
        {
            return false;
        }
        let Some(next) = usize::try_from(next)
            .ok()
            .filter(|next| *next < self.pages())
        else {
            return false;
        };
        self.digest_next = next;
        self.dirty.copy_from_slice(words);
        // A dirty page is stored to without notice, also one that is all zeros and hence in no snapshot.
        for (touched, dirty) in self.touched.iter_mut().zip(words) {
            *touched |= dirty;
        }
        let touched = self.touched.iter().map(|word| word.count_ones() as usize);
        self.touched_pages = touched.sum();
        true
    }
}

/// The lines from `start` to `end` (inclusive), offsets in one page, as bits.
fn lines(start: usize, end: usize) -> u64 {
    let (first, last) = (start / LINE_BYTES, end / LINE_BYTES);
    (u64::MAX << first) & (u64::MAX >> (63 - last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        let mut ram = Ram::new(2 * PAGE_BYTES);
        let end = GuestAddr(RAM_BASE + 2 * PAGE_BYTES as u64);
        assert_eq!(ram.write(GuestAddr(end.0 - 2), &[1, 2]), Ok(()));
        assert_eq!(ram.write(GuestAddr(end.0 - 1), &[1, 2]), Err(AccessFault));
        assert_eq!(
            ram.write(GuestAddr(RAM_BASE - 1), &[1, 2]),
            Err(AccessFault)
        );
        assert_eq!(ram.write(GuestAddr(u64::MAX), &[1, 2]), Err(AccessFault));
        let mut out = [0; 2];
        assert_eq!(ram.read(GuestAddr(end.0 - 2), &mut out), Ok(()));
        assert_eq!(out, [1, 2]);
        assert_eq!(ram.load::<8>(2 * PAGE_BYTES - 7), None);
        assert_eq!(ram.load::<2>(2 * PAGE_BYTES - 2), Some([1, 2]));
    }

    #[test]
    fn marks() {
        let mut ram = Ram::new(130 * PAGE_BYTES);
        assert!(ram.note_code(70 * PAGE_BYTES + 64, 8));
        assert!(!ram.note_code(70 * PAGE_BYTES + 4095, 1));
        ram.note_store(69 * PAGE_BYTES + 4000, 160);
        assert!(!ram.has_stale(), "the store ends where the code starts");
        assert_eq!(ram.dirty_words(), [0, 3 << 5, 0]);
        assert!(ram.is_plain(69) && !ram.is_plain(70));
        ram.note_store(70 * PAGE_BYTES + 71, 1);
        assert_eq!(ram.take_stale(), [70]);
        ram.note_store(70 * PAGE_BYTES + 71, 1);
        assert!(!ram.has_stale() && ram.is_plain(70));
        assert_eq!(ram.take_dirty(9), [69, 70]);
        assert_eq!(ram.dirty_count(), 0);
        let words = [0, 0, 4];
        assert!(!ram.set_dirty_words(&words, 0) && !ram.set_dirty_words(&words[..2], 0));
        assert!(!ram.set_dirty_words(&[1, 0, 2], 130));
        assert!(ram.set_dirty_words(&[1, 0, 2], 7));
        assert_eq!((ram.dirty_count(), ram.digest_next()), (2, 7));
        assert_eq!(ram.touched(128), 2, "a snapshot sees plain stores to it");
        assert_eq!(ram.touched_bytes(), 4 * PAGE_BYTES as u64);
    }

    #[test]
    fn every_dirty_page_has_its_turn() {
        let mut ram = Ram::new(130 * PAGE_BYTES);
        assert!(ram.set_dirty_words(&[u64::MAX, u64::MAX, 3], 60));
        assert_eq!(ram.take_dirty(5), [60, 61, 62, 63, 64]);
        ram.note_store(60 * PAGE_BYTES, 1);
        let rest: Vec<_> = (65..130).chain(0..61).collect();
        assert_eq!(
            ram.take_dirty(1_000),
            rest,
            "what is written again waits for its turn"
        );
        assert_eq!(ram.take_dirty(1), []);
        ram.note_store(5 * PAGE_BYTES, 1);
        ram.note_store(128 * PAGE_BYTES, 1);
        assert_eq!(ram.take_dirty(1), [128]);
        assert_eq!(ram.take_dirty(1), [5]);
        assert_eq!(ram.take_dirty(0), []);
    }
}
