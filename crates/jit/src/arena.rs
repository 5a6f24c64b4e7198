//! Memory for translated code, and for finding it. The only memory that is ever executable is here: it is mapped
//! twice, once to be written and once to be executed, and no mapping is both.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};

use machine::ram::PAGE_BYTES;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use crate::options::TABLE_BYTES;

/// A mapping of our own, unmapped when dropped.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(start: *mut core::ffi::c_void, len: usize) -> Mapping {
        Mapping {
            start: NonNull::new(start.cast()).expect("no mapping starts at 0"),
            len,
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length by the constructor of its owner, who is being dropped, so
        // that nobody can use it any more. Failing to unmap only leaks it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Memory for code, addressed by offset.
pub(crate) struct Arena {
    writable: Mapping,
    executable: Mapping,
}

// SAFETY: the mappings belong to this value alone; nothing about them is bound to a thread.
unsafe impl Send for Arena {}

impl Arena {
    /// An arena of `len` bytes, a multiple of the host's page size. Memory is taken as it is written.
    pub(crate) fn new(len: usize) -> io::Result<Arena> {
        let file = memfd_create("futago-code", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, len as u64)?;
        let map = |protection| {
            // SAFETY: a new mapping at an address that the kernel chooses, of a file that nobody else has.
            unsafe { mmap(ptr::null_mut(), len, protection, MapFlags::SHARED, &file, 0) }
                .map(|start| Mapping::new(start, len))
        };
        Ok(Arena {
            writable: map(ProtFlags::READ | ProtFlags::WRITE)?,
            executable: map(ProtFlags::READ | ProtFlags::EXEC)?,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.writable.len
    }

    /// The address at which the code at offset 0 is executed.
    pub(crate) fn address(&self) -> usize {
        self.executable.start.as_ptr() as usize
    }

    /// Puts code at an offset.
    ///
    /// # Panics
    /// If it does not fit there.
    pub(crate) fn write(&mut self, offset: u32, code: &[u8]) {
        let end = offset as usize + code.len();
        assert!(end <= self.len(), "code lies within the arena");
        // SAFETY: the destination is within the mapping, which is writable and not referred to by any
        // reference; the source is not in it, since the arena lends no slices.
        unsafe {
            let to = self.writable.start.as_ptr().add(offset as usize);
            ptr::copy_nonoverlapping(code.as_ptr(), to, code.len());
        }
    }
}

impl Arena {
    /// Puts a value at an offset, aligned for it: code may refer to it.
    pub(crate) fn put<T: Copy>(&mut self, offset: u32, value: T) {
        let end = offset as usize + size_of::<T>();
        let aligned = (offset as usize).is_multiple_of(align_of::<T>());
        assert!(end <= self.len() && aligned, "values lie within the arena");
        // SAFETY: as in `write`; mappings start at a page of the host, which is aligned for any value.
        unsafe {
            let to = self.writable.start.as_ptr().add(offset as usize);
            to.cast::<T>().write(value);
        }
    }
}

impl Arena {
    /// Gives back the view by which this part was written, so that the kernel counts it once, as what is executed. What is
    /// there stays, and may be written again; then that page is counted twice until the part is next given back.
    pub(crate) fn give_back_view(&mut self, part: Range<usize>) {
        let host_page = PAGE_BYTES; // of the host as of the guest: this is for x86-64
        let (start, end) = (
            part.start.next_multiple_of(host_page),
            part.end / host_page * host_page,
        );
        if start >= end {
            return;
        }
        assert!(end <= self.len(), "the part lies within the arena");
        // SAFETY: whole pages within the mapping, which is shared: they stay in the file, and are there again when they are
        // next touched. Failing only leaves them counted.
        let _ = unsafe {
            let from = self.writable.start.as_ptr().add(start);
            madvise(from.cast(), end - start, Advice::LinuxDontNeed)
        };
    }
}

/// Half-words of guest memory that are forgotten at once, if any of them has code.
const LINE: usize = PAGE_BYTES / 2 / u64::BITS as usize;

/// For each half-word of guest memory, the arena offset of the code that was translated from there on, or 0.
pub(crate) struct Entries {
    table: Mapping,
    len: usize,
    /// One word a page: bit `n` says that line `n` may have entries.
    used: Vec<u64>,
    /// Pages for which the table takes memory of the host, in the order in which they came, and as one bit each.
    taken: VecDeque<u32>,
    is_taken: Vec<u64>,
    taken_max: usize,
}

// SAFETY: as for `Arena`.
unsafe impl Send for Entries {}

impl Entries {
    /// A table for `memory_bytes` of guest memory. It takes memory only where it is written: for at most `pages_max`
    /// pages at a time.
    pub(crate) fn new(memory_bytes: u64, pages_max: usize) -> io::Result<Entries> {
        let len = usize::try_from(memory_bytes / 2).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let bytes = len * size_of::<u32>();
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new anonymous mapping at an address that the kernel chooses.
        let start = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                flags,
            )
        }?;
        let table = Mapping::new(start, bytes);
        // Huge pages would take more than is written. A kernel that has none refuses.
        // SAFETY: advice on the mapping that was just made changes nothing of what is in it.
        let _ = unsafe { madvise(start, bytes, Advice::LinuxNoHugepage) };
        Ok(Entries {
            table,
            len,
            used: vec![0; (len * 2).div_ceil(PAGE_BYTES)],
            taken: VecDeque::new(),
            is_taken: vec![0; (len * 2).div_ceil(PAGE_BYTES).div_ceil(64)],
            taken_max: pages_max,
        })
    }

    pub(crate) fn address(&self) -> usize {
        self.table.start.as_ptr() as usize
    }

    /// Bytes of guest memory that the table is for.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.len as u64 * 2
    }

    fn place(&self, offset: usize) -> *mut u32 {
        let index = offset / 2;
        assert!(index < self.len, "code is in guest memory");
        // SAFETY: the index was compared with the number of elements of the mapping.
        unsafe { self.table.start.as_ptr().cast::<u32>().add(index) }
    }

    /// The code for the instruction at an offset in guest memory; 0 if there is none.
    pub(crate) fn get(&self, offset: usize) -> u32 {
        // SAFETY: `place` points into the mapping, which is readable and zero at first.
        unsafe { self.place(offset).read() }
    }

    /// Sets it. Nothing may be in the way ([`Entries::in_the_way`]).
    pub(crate) fn set(&mut self, offset: usize, code: u32) {
        let page = offset / PAGE_BYTES;
        if !self.has_taken(page) {
            self.is_taken[page / 64] |= 1 << (page % 64);
            self.taken.push_back(page as u32);
        }
        // SAFETY: `place` points into the mapping, which is writable.
        unsafe { self.place(offset).write(code) }
        self.used[offset / PAGE_BYTES] |= 1 << (offset % PAGE_BYTES / 2 / LINE);
    }

    fn has_taken(&self, page: usize) -> bool {
        self.is_taken[page / 64] >> (page % 64) & 1 != 0
    }

    /// Before entries are set for a page: a page to be forgotten and given back first, if the table may not grow.
    pub(crate) fn in_the_way(&self, page: usize) -> Option<u32> {
        let is_full = self.taken.len() >= self.taken_max && !self.has_taken(page);
        is_full.then(|| self.taken.front().copied()).flatten()
    }

    /// Gives the memory back that the table has for the page that came first, and forgets its code.
    pub(crate) fn give_back(&mut self) {
        let Some(page) = self.taken.pop_front().map(|page| page as usize) else {
            return;
        };
        self.clear_page(page);
        self.is_taken[page / 64] &= !(1 << (page % 64));
        let first = self.place(page * PAGE_BYTES);
        self.place((page + 1) * PAGE_BYTES - 2);
        // SAFETY: the first and the last element for the page were both found to be in the mapping, which is private and
        // anonymous: what is there is zero, and zero again when it is next read. No reference points into it.
        let _ = unsafe { madvise(first.cast(), TABLE_BYTES, Advice::LinuxDontNeed) };
    }

    /// Bytes of the table that are taken, and of what is known of pages.
    #[cfg(test)]
    pub(crate) fn taken_bytes(&self) -> usize {
        let words = self.used.capacity() + self.is_taken.capacity();
        let list = self.taken.capacity() * size_of::<u32>();
        self.taken.len() * TABLE_BYTES + words * size_of::<u64>() + list
    }

    /// Pages for which the table takes memory.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Forgets the code of a page. Parts of the page that never had any are not touched.
    pub(crate) fn clear_page(&mut self, page: usize) {
        let mut used = std::mem::take(&mut self.used[page]);
        while used != 0 {
            let offset = page * PAGE_BYTES + used.trailing_zeros() as usize * LINE * 2;
            let first = self.place(offset);
            self.place(offset + LINE * 2 - 2);
            // SAFETY: the first and the last element of the line were both found to be in the mapping.
            unsafe { first.write_bytes(0, LINE) }
            used &= used - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_forgotten_one_by_one() {
        let mut entries = Entries::new(4 * PAGE_BYTES as u64, 4).unwrap();
        let last = 3 * PAGE_BYTES - 2;
        for offset in [2 * PAGE_BYTES - 2, 2 * PAGE_BYTES, last - 62, last] {
            entries.set(offset, 7);
        }
        entries.clear_page(2);
        entries.clear_page(2);
        assert_eq!(entries.get(2 * PAGE_BYTES - 2), 7);
        for offset in [2 * PAGE_BYTES, last - 62, last] {
            assert_eq!(entries.get(offset), 0);
        }
        entries.set(last, 8);
        assert_eq!(entries.get(last), 8);
        entries.clear_page(2);
        assert_eq!(entries.get(last), 0);
    }

    #[test]
    fn memory_is_given_back() {
        let mut entries = Entries::new(64 * PAGE_BYTES as u64, 3).unwrap();
        for page in (0..64).chain(0..64) {
            if let Some(first) = entries.in_the_way(page) {
                assert_ne!(entries.get(first as usize * PAGE_BYTES), 0);
                entries.give_back();
                assert_eq!(entries.get(first as usize * PAGE_BYTES), 0);
            }
            entries.set(page * PAGE_BYTES, 7);
            entries.set(page * PAGE_BYTES + 100, 7);
            assert!(entries.in_the_way(page).is_none() && entries.taken() <= 3);
        }
        assert_eq!(entries.taken(), 3);
    }
}
