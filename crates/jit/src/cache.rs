//! Which part of the arena is whose: a ring of segments, of which the oldest is given up for new code. What it holds is
//! forgotten little by little while the segment before it fills, so that no one translation waits for all of it.

use std::ops::Range;

use crate::options::Unsupported;

/// The arena is divided into about so many segments: one of them is always empty, or on the way.
const SEGMENTS: usize = 64;
/// Translations of the largest size for which each segment has room, at least.
const LARGEST_MIN: usize = 2;
/// Fewer segments would give up code that is in use.
const SEGMENTS_MIN: usize = 4;
/// Translations start at multiples of this.
const GRAIN: usize = 16;
/// Each translation takes at least so much, however short it is: hence notes of pages, of 4 bytes each, take at most 1/16 of
/// the cache.
const TAKEN_BYTES_MIN: usize = 64;

pub(crate) struct Cache {
    /// Where the first segment starts: behind what is never given up.
    first: usize,
    segment_bytes: usize,
    /// Bytes that a translation may take: so many are free before one begins.
    room: usize,
    /// The pages that code in each segment was translated from, each once, hence at most one for each [`TAKEN_BYTES_MIN`] of
    /// it; those of the next segment are in `leaving`.
    segments: Vec<Vec<u32>>,
    current: usize,
    /// Arena offset of the free part of the present segment.
    free: usize,
    /// Pages that must be forgotten before the next segment is used, and how many these were.
    leaving: Vec<u32>,
    leaving_first: usize,
    /// Counts the segments that were begun, from 1 on.
    turn: u32,
    /// For pages by number, the turn in which one was last noted.
    noted: Vec<u32>,
}

impl Cache {
    /// A cache in an arena of `bytes`, of which the first `reserved` are taken, for translations that have `room` bytes
    /// each: a multiple of 16.
    pub(crate) fn new(bytes: usize, reserved: usize, room: usize) -> Result<Cache, Unsupported> {
        let first = reserved.next_multiple_of(64);
        let segment_bytes = (LARGEST_MIN * room).max(bytes / SEGMENTS) / 64 * 64;
        let count = bytes.saturating_sub(first) / segment_bytes;
        // Offsets have 32 bits, and displacements 31.
        if count < SEGMENTS_MIN || bytes > i32::MAX as usize {
            return Err(Unsupported::CacheSize(bytes));
        }
        Ok(Cache {
            first,
            segment_bytes,
            room,
            segments: vec![Vec::new(); count],
            current: 0,
            free: first,
            leaving: Vec::new(),
            leaving_first: 0,
            turn: 1,
            noted: Vec::new(),
        })
    }

    fn end(&self) -> usize {
        self.first + (self.current + 1) * self.segment_bytes
    }

    /// Bytes that a translation may take.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// Whether there is room for the longest translation.
    pub(crate) fn has_room(&self) -> bool {
        self.free + self.room <= self.end()
    }

    /// A page whose code must be forgotten before the next translation, if there is one. They are spread over the
    /// segment: the part of them that is left is never larger than the part of the segment that is.
    pub(crate) fn forget(&mut self) -> Option<u32> {
        let left = self.end().saturating_sub(self.free + self.room);
        let may_wait = self.leaving_first * left / (self.segment_bytes - self.room);
        (self.leaving.len() > may_wait)
            .then(|| self.leaving.pop())
            .flatten()
    }

    /// Goes on to the oldest segment, whose code was all forgotten. Returns where in the arena the one before lies.
    ///
    /// # Panics
    /// If some was not: [`Cache::forget`] must have nothing more to tell.
    pub(crate) fn go_on(&mut self) -> Range<usize> {
        let full = self.end() - self.segment_bytes..self.end();
        assert!(
            self.leaving.is_empty(),
            "code is forgotten before it is overwritten"
        );
        // It grew by doubling.
        self.segments[self.current].shrink_to_fit();
        let count = self.segments.len();
        self.current = (self.current + 1) % count;
        self.free = self.first + self.current * self.segment_bytes;
        self.leaving = std::mem::take(&mut self.segments[(self.current + 1) % count]);
        self.leaving_first = self.leaving.len();
        self.turn = self.turn.wrapping_add(1);
        if self.turn == 0 {
            // What was noted so many turns ago is not to be taken for a note of this one.
            self.noted.fill(0);
            self.turn = 1;
        }
        full
    }

    /// Bytes for notes of pages: in segments, and by page.
    #[cfg(test)]
    pub(crate) fn notes_bytes(&self) -> usize {
        let segments: usize = self.segments.iter().map(Vec::capacity).sum();
        (segments + self.leaving.capacity() + self.noted.capacity()) * size_of::<u32>()
    }

    /// The arena offset for the next translation.
    pub(crate) fn start(&self) -> u32 {
        self.free as u32
    }

    /// Takes `bytes` for code of a page.
    pub(crate) fn take(&mut self, bytes: usize, page: u32) {
        assert!(bytes <= self.room, "a translation of {bytes} bytes");
        self.free += bytes.max(TAKEN_BYTES_MIN).next_multiple_of(GRAIN);
        let place = page as usize;
        if place >= self.noted.len() {
            self.noted.resize(place + 1, 0);
        }
        if self.noted[place] != self.turn {
            self.noted[place] = self.turn;
            self.segments[self.current].push(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 1 << 16;
    const SEGMENT: usize = LARGEST_MIN * ROOM;

    /// What had to be forgotten before each of so many translations of `bytes`, each of another page.
    fn fill(cache: &mut Cache, pages: Range<u32>, bytes: usize) -> Vec<Vec<u32>> {
        let mut forgotten = Vec::new();
        for page in pages {
            let mut now: Vec<u32> = std::iter::from_fn(|| cache.forget()).collect();
            if !cache.has_room() {
                cache.go_on();
                now.extend(std::iter::from_fn(|| cache.forget()));
            }
            forgotten.push(now);
            cache.take(bytes, page);
        }
        forgotten
    }

    #[test]
    fn ring() {
        assert!(Cache::new(SEGMENT * 3, 0, ROOM).is_err());
        let mut cache = Cache::new(SEGMENT * 4 + 64, 10, ROOM).unwrap();
        assert_eq!(cache.start(), 64);
        let mut places = Vec::new();
        let mut forgotten = Vec::new();
        for page in 0..12 {
            forgotten.extend(fill(&mut cache, page..page + 1, ROOM));
            places.push(cache.start() as usize - ROOM);
        }
        assert_eq!(places[8], places[0]);
        assert!(places.iter().all(|at| at + ROOM <= SEGMENT * 4 + 64));
        let all: Vec<u32> = forgotten[..=8].concat();
        assert!(
            all.contains(&0) && all.contains(&1),
            "before they are overwritten"
        );
        assert_eq!(
            forgotten[..6].concat(),
            [0; 0],
            "not as long as there is room"
        );
    }

    #[test]
    fn much_is_forgotten_little_by_little() {
        let bytes = 64;
        let mut cache = Cache::new(SEGMENT * 8, 0, ROOM).unwrap();
        let traces = (SEGMENT - ROOM) / bytes + 1;
        let pages = traces as u32 * 8;
        assert!(
            fill(&mut cache, 0..pages, bytes)[..traces * 6]
                .concat()
                .is_empty()
        );
        let most = fill(&mut cache, pages..2 * pages, bytes)
            .iter()
            .map(Vec::len)
            .max();
        assert!(most <= Some(2), "{most:?} pages at once");
    }

    #[test]
    fn notes_are_few_however_short_code_is() {
        let mut cache = Cache::new(SEGMENT * 8, 0, ROOM).unwrap();
        let pages = (SEGMENT * 8 / GRAIN) as u32;
        fill(&mut cache, 0..pages, 1);
        let others = (0..).zip(&cache.segments);
        let full = others.filter(|(segment, _)| *segment != cache.current);
        let notes: usize = full.map(|(_, pages)| pages.capacity()).sum();
        let share = SEGMENT * 8 / TAKEN_BYTES_MIN;
        assert!(notes > share / 4 && notes <= share, "{notes} of {share}");
    }

    #[test]
    fn a_page_is_forgotten_once_for_a_segment() {
        let mut cache = Cache::new(SEGMENT * 4, 0, ROOM).unwrap();
        for _ in 0..100 {
            cache.take(64, 5);
            cache.take(64, 6);
        }
        assert_eq!(cache.segments[0], [5, 6]);
    }

    #[test]
    fn a_page_is_noted_even_where_turns_come_round() {
        let mut cache = Cache::new(SEGMENT * 4, 0, ROOM).unwrap();
        cache.take(64, 5);
        cache.turn = u32::MAX;
        while cache.forget().is_some() {}
        cache.go_on();
        assert_eq!(cache.turn, 1);
        cache.take(64, 5);
        assert_eq!(cache.segments[cache.current], [5]);
    }
}
