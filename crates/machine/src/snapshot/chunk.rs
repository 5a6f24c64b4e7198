//! Memory in chunks of 64 pages, which are taken and put back one by one.

use super::error::SnapshotError;
use super::reader::Reader;
use crate::ram::{Observer, PAGE_BYTES, Ram};

/// Pages in a chunk.
const CHUNK_PAGES: usize = 64;
/// Bytes of an encoded chunk beside its pages.
const HEAD_BYTES: usize = 16;

/// Some of 64 consecutive pages of memory: those that are not all zeros.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    index: u32,
    present: u64,
    /// The present pages, one after the other, compressed.
    data: Vec<u8>,
}

/// Goes through memory as it was when this began, however it is written meanwhile.
#[must_use = "pages are kept for it until it is released"]
pub(super) struct Cursor {
    observer: Observer,
    /// The chunk that comes next.
    next: usize,
}

impl Cursor {
    /// No page is plain any more: whoever lets stores be fast must be told.
    pub(super) fn new(ram: &mut Ram) -> Cursor {
        Cursor {
            observer: ram.observe_and_keep(),
            next: 0,
        }
    }

    /// The next chunk that is not all zeros; `None` behind the last.
    pub(super) fn take(&mut self, ram: &mut Ram) -> Option<Chunk> {
        while self.next * CHUNK_PAGES < ram.pages() {
            let index = self.next;
            self.next += 1;
            let chunk = self.chunk(ram, index);
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
        None
    }

    fn chunk(&self, ram: &mut Ram, index: usize) -> Chunk {
        let first = index * CHUNK_PAGES;
        let end = ram.pages().min(first + CHUNK_PAGES);
        let mut present = 0;
        let mut pages = Vec::new();
        for page in first..end {
            let kept = ram.take_kept(&self.observer, page);
            if !ram.ever_written().contains(page) {
                continue;
            }
            let bytes = kept.as_deref().unwrap_or_else(|| ram.page(page));
            if bytes.iter().any(|&byte| byte != 0) {
                present |= 1 << (page - first);
                pages.extend_from_slice(bytes);
            }
        }
        let data = match present {
            0 => Vec::new(),
            _ => lz4_flex::block::compress(&pages),
        };
        Chunk {
            index: index as u32,
            present,
            data,
        }
    }

    pub(super) fn release(self, ram: &mut Ram) {
        ram.release(self.observer);
    }
}

impl Chunk {
    pub(super) fn is_empty(&self) -> bool {
        self.present == 0
    }

    pub(super) fn is_before(&self, other: &Chunk) -> bool {
        self.index < other.index
    }

    /// Puts its pages into memory, of which no observer is told. It may come from anyone.
    pub(crate) fn restore(&self, ram: &mut Ram) -> Result<(), SnapshotError> {
        let mut pages = vec![0; self.present.count_ones() as usize * PAGE_BYTES];
        let written = lz4_flex::block::decompress_into(&self.data, &mut pages);
        if written.ok() != Some(pages.len()) {
            return Err(SnapshotError::Memory);
        }
        let first = self.index as usize * CHUNK_PAGES;
        let present = (0..CHUNK_PAGES).filter(|page| self.present >> page & 1 != 0);
        for (page, bytes) in present.zip(pages.chunks_exact(PAGE_BYTES)) {
            if first + page >= ram.pages() {
                return Err(SnapshotError::Memory);
            }
            ram.page_mut(first + page).copy_from_slice(bytes);
        }
        Ok(())
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        HEAD_BYTES + self.data.len()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.present.to_le_bytes());
        out.extend_from_slice(&(self.data.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.data);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Chunk, SnapshotError> {
        let index = u32::from_le_bytes(reader.array()?);
        let present = u64::from_le_bytes(reader.array()?);
        let len = reader.number()?;
        Ok(Chunk {
            index,
            present,
            data: reader.bytes(len)?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GuestAddr;
    use crate::ram::RAM_BASE;

    #[test]
    fn memory_is_taken_as_it_was() {
        let mut ram = Ram::new(200 * PAGE_BYTES);
        let put = |ram: &mut Ram, page: u64, byte| {
            let at = GuestAddr(RAM_BASE + page * PAGE_BYTES as u64);
            ram.write(at, &[byte; 16]).unwrap();
        };
        put(&mut ram, 0, 1);
        put(&mut ram, 130, 2);
        let before = ram.clone();
        let mut cursor = Cursor::new(&mut ram);
        // One chunk is taken, others are written before it is their turn, among them one that was all zeros.
        let mut chunks: Vec<Chunk> = cursor.take(&mut ram).into_iter().collect();
        for page in [0, 70, 130, 131, 199] {
            put(&mut ram, page, 9);
        }
        while let Some(chunk) = cursor.take(&mut ram) {
            chunks.push(chunk);
        }
        cursor.release(&mut ram);
        assert_eq!(
            chunks.iter().map(|chunk| chunk.index).collect::<Vec<_>>(),
            [0, 2]
        );
        let mut restored = Ram::new(200 * PAGE_BYTES);
        for chunk in &chunks {
            chunk.restore(&mut restored).unwrap();
        }
        for page in 0..200 {
            assert_eq!(restored.page(page), before.page(page), "page {page}");
        }
    }
}
