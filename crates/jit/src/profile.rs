//! Where the hart is seen when it is looked at: what is seen often is hot.

use std::collections::BTreeMap;

use machine::ram::PAGE_BYTES;

/// Code is hot when it was seen so often.
const HOT: u8 = 3;
/// Nothing more is to be done about it.
const DONE: u8 = u8::MAX;
/// Of so many places note is taken, then all is forgotten.
const PLACES_MAX: usize = 1 << 14;

#[derive(Default)]
pub(crate) struct Seen {
    /// How often, by the offset in memory.
    counts: BTreeMap<usize, u8>,
}

impl Seen {
    /// Counts once more; whether the code there has just become hot. That is said once.
    pub(crate) fn is_hot_now(&mut self, offset: usize) -> bool {
        if self.counts.len() >= PLACES_MAX {
            self.counts.clear();
        }
        let count = self.counts.entry(offset).or_default();
        if *count == DONE {
            return false;
        }
        *count += 1;
        if *count < HOT {
            return false;
        }
        *count = DONE;
        true
    }

    /// Nothing more is to be done about what is there.
    pub(crate) fn is_done(&mut self, offset: usize) {
        self.counts.insert(offset, DONE);
    }

    /// Forgets a page, whose code is gone.
    pub(crate) fn forget(&mut self, page: u32) {
        let start = page as usize * PAGE_BYTES;
        let places = self.counts.range(start..start + PAGE_BYTES);
        let gone: Vec<usize> = places.map(|(offset, _)| *offset).collect();
        for offset in gone {
            self.counts.remove(&offset);
        }
    }
}
