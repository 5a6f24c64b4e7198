//! Sets of pages.

/// A set of pages of memory: one bit each, 64 to a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSet {
    words: Vec<u64>,
    pages: usize,
    count: usize,
}

impl PageSet {
    /// None of so many pages.
    pub(crate) fn new(pages: usize) -> PageSet {
        PageSet {
            words: vec![0; pages.div_ceil(64)],
            pages,
            count: 0,
        }
    }

    /// Whether a page is in it.
    #[inline]
    pub fn contains(&self, page: usize) -> bool {
        self.words[page / 64] & (1 << (page % 64)) != 0
    }

    /// How many pages are in it.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The pages, 64 a word.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(super) fn insert(&mut self, page: usize) {
        let (word, bit) = (&mut self.words[page / 64], 1 << (page % 64));
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }

    pub(super) fn remove(&mut self, page: usize) {
        let (word, bit) = (&mut self.words[page / 64], 1 << (page % 64));
        self.count -= usize::from(*word & bit != 0);
        *word &= !bit;
    }

    /// Of so many pages.
    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    pub(super) fn fill(&mut self) {
        self.words.fill(u64::MAX);
        if !self.pages.is_multiple_of(64)
            && let Some(last) = self.words.last_mut()
        {
            *last >>= 64 - self.pages % 64;
        }
        self.count = self.pages;
    }

    pub(super) fn clear(&mut self) {
        self.words.fill(0);
        self.count = 0;
    }

    /// Adds the members of another set.
    pub(super) fn unite(&mut self, other: &PageSet) {
        self.combine(other, |ours, theirs| ours | theirs);
    }

    /// Leaves only members of both sets.
    pub(super) fn intersect(&mut self, other: &PageSet) {
        self.combine(other, |ours, theirs| ours & theirs);
    }

    fn combine(&mut self, other: &PageSet, how: impl Fn(u64, u64) -> u64) {
        for (ours, theirs) in self.words.iter_mut().zip(&other.words) {
            *ours = how(*ours, *theirs);
        }
        self.recount();
    }

    fn recount(&mut self) {
        let ones = self.words.iter().map(|word| word.count_ones() as usize);
        self.count = ones.sum();
    }

    /// The set with these words; `None` if there are more or fewer than pages.
    pub(crate) fn from_words(pages: usize, words: &[u64]) -> Option<PageSet> {
        let mut set = PageSet::new(pages);
        let spare = words.len() * 64 - pages.min(words.len() * 64);
        let last_is_sound = (words.last()).is_none_or(|last| last.leading_zeros() >= spare as u32);
        if words.len() != set.words.len() || !last_is_sound {
            return None;
        }
        set.words.copy_from_slice(words);
        set.recount();
        Some(set)
    }

    /// Up to `most` members, from page `next` on, and around, so that each has its turn however often others come in. Behind
    /// the last of them is the new `next`.
    pub(super) fn in_turn(&self, next: &mut usize, most: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let words = self.words.len();
        let (first, upper) = (*next / 64, u64::MAX << (*next % 64));
        for round in 0..=words {
            // The first word comes twice: its upper pages first, its lower ones last.
            let mask = match round {
                0 => upper,
                _ if round == words => !upper,
                _ => u64::MAX,
            };
            let index = (first + round) % words;
            let mut word = self.words[index] & mask;
            while word != 0 {
                if found.len() >= most {
                    return found;
                }
                let page = index * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                found.push(page);
                *next = (page + 1) % self.pages;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_another_size_are_refused() {
        assert_eq!(PageSet::from_words(130, &[0, 0, 4]), None);
        assert_eq!(PageSet::from_words(130, &[0, 0]), None);
        assert_eq!(PageSet::from_words(130, &[0, 0, 0, 0]), None);
        let set = PageSet::from_words(130, &[1, 0, 2]).unwrap();
        assert_eq!((set.count(), set.words()), (2, &[1, 0, 2][..]));
        assert!(set.contains(0) && set.contains(129) && !set.contains(128));
    }

    #[test]
    fn members_are_counted() {
        let mut set = PageSet::new(70);
        for page in [3, 64, 3] {
            set.insert(page);
        }
        assert_eq!(set.count(), 2);
        let mut other = PageSet::new(70);
        other.insert(64);
        other.insert(69);
        let mut both = set.clone();
        both.intersect(&other);
        assert_eq!((both.count(), both.contains(64)), (1, true));
        both.unite(&set);
        assert_eq!(both, set);
        set.remove(3);
        set.remove(3);
        assert_eq!(set.count(), 1);
        set.fill();
        assert_eq!((set.count(), set.words()[1]), (70, 63));
        set.clear();
        assert_eq!(set, PageSet::new(70));
    }

    #[test]
    fn each_member_has_its_turn() {
        let mut set = PageSet::from_words(130, &[u64::MAX, u64::MAX, 3]).unwrap();
        let mut next = 60;
        assert_eq!(set.in_turn(&mut next, 5), [60, 61, 62, 63, 64]);
        assert_eq!(next, 65);
        let rest: Vec<_> = (65..130).chain(0..65).collect();
        assert_eq!(set.in_turn(&mut next, 1_000), rest);
        assert_eq!(next, 65);
        set.clear();
        assert_eq!(set.in_turn(&mut next, 1), []);
        set.insert(5);
        set.insert(128);
        assert_eq!(set.in_turn(&mut next, 1), [128]);
        assert_eq!(set.in_turn(&mut next, 1), [5]);
        assert_eq!(set.in_turn(&mut next, 0), []);
    }
}
