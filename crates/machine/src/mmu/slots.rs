//! Sets of slots of the TLB, so that nobody has to look at the empty ones.

use std::ops::Range;

use super::fast::SLOTS;

const WORD_BITS: usize = 64;

/// The words of a [`Slots`] that hold a range of slots, both ends multiples of 64.
pub(super) fn words(slots: Range<usize>) -> Range<usize> {
    slots.start / WORD_BITS..slots.end / WORD_BITS
}

/// A set of slots: one bit each.
pub(super) struct Slots(Box<[u64; SLOTS / WORD_BITS]>);

impl Slots {
    pub(super) fn new() -> Slots {
        Slots(Box::new([0; SLOTS / WORD_BITS]))
    }

    #[inline]
    pub(super) fn set(&mut self, slot: usize, present: bool) {
        let bit = 1 << (slot % WORD_BITS);
        let word = &mut self.0[slot / WORD_BITS];
        *word = *word & !bit | if present { bit } else { 0 };
    }

    /// The members in one word, ascending: as they are now, whatever happens to the set meanwhile.
    #[inline]
    pub(super) fn in_word(&self, word: usize) -> impl Iterator<Item = usize> + use<> {
        let mut bits = self.0[word];
        std::iter::from_fn(move || {
            let bit = bits.trailing_zeros() as usize;
            (bits != 0).then(|| {
                bits &= bits - 1;
                word * WORD_BITS + bit
            })
        })
    }
}
