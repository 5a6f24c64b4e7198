//! Guest memory: bytes from [`RAM_BASE`] on, with what must be known of each page: who knows that it was written, and where an
//! engine holds decoded code of it.

mod observers;
mod pages;

pub(crate) use self::observers::Observer;
pub use self::pages::PageSet;

use self::observers::Observers;
use isa::{Insn, decode_first};

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
    observers: Observers,
    /// The pages that were written ever. The others are zero, and a snapshot need not look at them.
    ever_written: PageSet,
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
            observers: Observers::new(pages),
            ever_written: PageSet::new(pages),
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
    ///
    /// # Errors
    /// Not all of it is memory; nothing is copied.
    pub fn read(&self, addr: GuestAddr, out: &mut [u8]) -> Result<(), AccessFault> {
        let offset = self.offset_of(addr, out.len()).ok_or(AccessFault)?;
        out.copy_from_slice(&self.bytes[offset..offset + out.len()]);
        Ok(())
    }

    /// Stores `data` at `addr`, or nothing if not all of it is in memory.
    ///
    /// # Errors
    /// Not all of it is memory; nothing is stored.
    pub fn write(&mut self, addr: GuestAddr, data: &[u8]) -> Result<(), AccessFault> {
        let offset = self.offset_of(addr, data.len()).ok_or(AccessFault)?;
        self.note_store(offset, data.len());
        self.bytes[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }

    /// The `N` bytes at `offset`; `None` beyond the end.
    #[inline(always)]
    pub fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..)?.first_chunk::<N>().copied()
    }

    /// Stores bytes at `offset` without noting it: for a page that is plain
    /// ([`Ram::is_plain`]), or after [`Ram::note_store`]. `None`, without effect, beyond the end.
    #[inline(always)]
    pub(crate) fn store_plain<const N: usize>(
        &mut self,
        offset: usize,
        value: [u8; N],
    ) -> Option<()> {
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
        self.note_store(offset, len);
        match width {
            Width::Byte => self.store_plain(offset, (value as u8).to_le_bytes())?,
            Width::Half => self.store_plain(offset, (value as u16).to_le_bytes())?,
            Width::Word => self.store_plain(offset, (value as u32).to_le_bytes())?,
            Width::Double => self.store_plain(offset, value.to_le_bytes())?,
        }
        Some(())
    }

    /// Whether stores to this page need no [`Ram::note_store`].
    #[inline]
    pub fn is_plain(&self, page: usize) -> bool {
        self.code[page] == 0 && self.observers.all_know(page) && self.ever_written.contains(page)
    }

    /// Tells observers, and marks code stale, before a store of `len` bytes at `offset`.
    pub(crate) fn note_store(&mut self, offset: usize, len: usize) {
        if len == 0 {
            return;
        }
        let last = offset + len - 1;
        for page in offset / PAGE_BYTES..=last / PAGE_BYTES {
            let bytes = &self.bytes[page * PAGE_BYTES..(page + 1) * PAGE_BYTES];
            self.observers.note(page, bytes);
            self.ever_written.insert(page);
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

    /// The instruction at `offset`, if all of it is in that page.
    #[inline]
    pub fn instruction(&self, offset: usize) -> Option<Insn> {
        let end = (offset / PAGE_BYTES + 1) * PAGE_BYTES;
        decode_first(self.bytes.get(offset..end)?)
    }

    /// The bytes of a page.
    pub fn page(&self, page: usize) -> &[u8] {
        &self.bytes[page * PAGE_BYTES..(page + 1) * PAGE_BYTES]
    }

    /// The pages that may hold anything but zeros.
    pub fn ever_written(&self) -> &PageSet {
        &self.ever_written
    }

    /// Bytes of the pages that may hold anything but zeros: no snapshot's memory is larger.
    pub(crate) fn touched_bytes(&self) -> u64 {
        (self.ever_written.count() * PAGE_BYTES) as u64
    }

    /// Fills in a page of a snapshot, which no observer is told.
    pub(crate) fn page_mut(&mut self, page: usize) -> &mut [u8] {
        self.ever_written.insert(page);
        &mut self.bytes[page * PAGE_BYTES..(page + 1) * PAGE_BYTES]
    }

    /// From here on, notes for an observer which pages are written. No page is plain any more: whoever lets stores be fast
    /// must be told.
    pub(crate) fn observe(&mut self) -> Observer {
        self.observers.register(false)
    }

    /// The same, and each page is kept as it is before it is first written.
    pub(crate) fn observe_and_keep(&mut self) -> Observer {
        self.observers.register(true)
    }

    /// Ends what [`Ram::observe`] or [`Ram::observe_and_keep`] began.
    pub(crate) fn release(&mut self, observer: Observer) {
        self.observers.release(observer);
    }

    /// The pages that were written since an observer looked at them.
    pub(crate) fn written(&self, observer: &Observer) -> &PageSet {
        self.observers.written(observer)
    }

    /// Sets what an observer knows to be written, as a snapshot says. What is written is stored to without notice, also a page
    /// that is all zeros and hence in no snapshot.
    pub(crate) fn set_written(&mut self, observer: &Observer, written: PageSet) {
        self.ever_written.unite(&written);
        self.observers.set_written(observer, written);
    }

    /// Takes up to `most` of the pages that were written since an observer looked at them, in turn from page `next` on: it has
    /// looked at them now. They are not plain any more.
    pub(crate) fn take_written(
        &mut self,
        observer: &Observer,
        next: &mut usize,
        most: usize,
    ) -> Vec<usize> {
        let pages = self.written(observer).in_turn(next, most);
        for &page in &pages {
            self.observers.looked_at(observer, page);
        }
        pages
    }

    /// What a page was when an observer began that keeps pages, if it was written since. It is given once, and from here on
    /// this page is not kept.
    pub(crate) fn take_kept(&mut self, observer: &Observer, page: usize) -> Option<Box<[u8]>> {
        self.observers.take_kept(observer, page)
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
        let observer = ram.observe();
        assert!(ram.note_code(70 * PAGE_BYTES + 64, 8));
        assert!(!ram.note_code(70 * PAGE_BYTES + 4095, 1));
        ram.note_store(69 * PAGE_BYTES + 4000, 160);
        assert!(!ram.has_stale(), "the store ends where the code starts");
        assert_eq!(ram.written(&observer).words(), [0, 3 << 5, 0]);
        assert!(ram.is_plain(69) && !ram.is_plain(70));
        ram.note_store(70 * PAGE_BYTES + 71, 1);
        assert_eq!(ram.take_stale(), [70]);
        ram.note_store(70 * PAGE_BYTES + 71, 1);
        assert!(!ram.has_stale() && ram.is_plain(70));
        assert_eq!(ram.take_written(&observer, &mut 0, 9), [69, 70]);
        assert!(!ram.is_plain(69) && !ram.is_plain(70));
        assert_eq!(ram.written(&observer).count(), 0);
        let words = PageSet::from_words(130, &[1, 0, 2]).unwrap();
        ram.set_written(&observer, words);
        assert!(ram.is_plain(0) && ram.is_plain(129) && !ram.is_plain(69));
        assert_eq!(ram.ever_written().words(), [1, 3 << 5, 2]);
        assert_eq!(ram.touched_bytes(), 4 * PAGE_BYTES as u64);
    }

    #[test]
    fn a_page_that_was_never_written_is_not_plain() {
        let mut ram = Ram::new(2 * PAGE_BYTES);
        assert!(!ram.is_plain(1), "a snapshot would not see it");
        ram.note_store(PAGE_BYTES, 8);
        assert!(ram.is_plain(1) && !ram.is_plain(0));
    }

    #[test]
    fn pages_are_kept_before_they_are_written() {
        let mut ram = Ram::new(3 * PAGE_BYTES);
        let at = |offset: usize| GuestAddr(RAM_BASE + offset as u64);
        ram.write(at(PAGE_BYTES), &[7; PAGE_BYTES]).unwrap();
        let observer = ram.observe_and_keep();
        ram.write(at(PAGE_BYTES - 1), &[1, 2]).unwrap();
        ram.store_width(at(PAGE_BYTES), Width::Double, u64::MAX)
            .unwrap();
        let kept = ram.take_kept(&observer, 1).unwrap();
        assert!(kept.iter().all(|&byte| byte == 7));
        let kept = ram.take_kept(&observer, 0).unwrap();
        assert!(kept.iter().all(|&byte| byte == 0));
        assert_eq!(ram.take_kept(&observer, 2), None);
        ram.release(observer);
    }
}
