//! Which part of the arena is whose: a ring of segments, of which the oldest is given up for new code.

use crate::Unsupported;
use crate::host::BYTES_MAX;

/// The arena is divided into about so many segments: giving one up takes less than a few milliseconds.
const SEGMENTS: usize = 64;
/// No segment is smaller.
const SEGMENT_MIN: usize = 2 * BYTES_MAX;
/// Fewer segments would give up code that is in use.
const SEGMENTS_MIN: usize = 4;

pub(crate) struct Cache {
    /// Where the first segment starts: behind what is never given up.
    first: usize,
    segment_bytes: usize,
    /// The pages that code in each segment was translated from.
    segments: Vec<Vec<u32>>,
    current: usize,
    /// Arena offset of the free part of the present segment.
    free: usize,
}

impl Cache {
    /// A cache in an arena of `bytes`, of which the first `reserved` are taken.
    pub(crate) fn new(bytes: usize, reserved: usize) -> Result<Cache, Unsupported> {
        let first = reserved.next_multiple_of(64);
        let segment_bytes = SEGMENT_MIN.max(bytes / SEGMENTS) / 64 * 64;
        let count = bytes.saturating_sub(first) / segment_bytes;
        // Offsets have 32 bits, and displacements 31.
        if count < SEGMENTS_MIN || bytes > i32::MAX as usize {
            return Err(Unsupported::CacheSize(bytes));
        }
        Ok(Cache {
            first,
            segment_bytes,
            segments: vec![Vec::new(); count],
            current: 0,
            free: first,
        })
    }

    fn end(&self) -> usize {
        self.first + (self.current + 1) * self.segment_bytes
    }

    /// Whether there is room for the longest translation.
    pub(crate) fn has_room(&self) -> bool {
        self.free + BYTES_MAX <= self.end()
    }

    /// Goes on to the oldest segment: the pages whose code must be forgotten, some perhaps twice.
    pub(crate) fn give_up_oldest(&mut self) -> Vec<u32> {
        self.current = (self.current + 1) % self.segments.len();
        self.free = self.first + self.current * self.segment_bytes;
        std::mem::take(&mut self.segments[self.current])
    }

    /// The arena offset for the next translation.
    pub(crate) fn start(&self) -> u32 {
        self.free as u32
    }

    /// Takes `bytes` for code of a page.
    pub(crate) fn take(&mut self, bytes: usize, page: u32) {
        assert!(bytes <= BYTES_MAX, "a translation of {bytes} bytes");
        self.free += bytes.next_multiple_of(16);
        let pages = &mut self.segments[self.current];
        if pages.last() != Some(&page) {
            pages.push(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring() {
        assert!(Cache::new(SEGMENT_MIN * 3, 0).is_err());
        let mut cache = Cache::new(SEGMENT_MIN * 4 + 64, 10).unwrap();
        assert_eq!(cache.start(), 64);
        let mut places = Vec::new();
        let mut given_up = Vec::new();
        for page in 0..12 {
            if !cache.has_room() {
                given_up.push(cache.give_up_oldest());
            }
            places.push(cache.start() as usize);
            cache.take(BYTES_MAX, page);
            cache.take(0, page);
        }
        assert_eq!(places[8], places[0]);
        assert!(
            places
                .iter()
                .all(|at| at + BYTES_MAX <= SEGMENT_MIN * 4 + 64)
        );
        assert_eq!(given_up, [vec![], vec![], vec![], vec![0, 1], vec![2, 3]]);
    }
}
