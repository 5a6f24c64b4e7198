//! Which pages have an instruction that ends in another page: code that is void if that page is overwritten.
//!
//! The guest decides which pages these are, so there are bounds; at a bound the code of one page is forgotten.

use std::collections::BTreeMap;

/// Pages that are known to end in the same other page: so many are forgotten at once when that is overwritten. Most are
/// followed by one page in all address spaces.
pub(crate) const SAME_PAGE_MAX: usize = 16;

pub(crate) struct Straddled {
    /// For pages, the one that an instruction of theirs ends in.
    follows: BTreeMap<u32, u32>,
    /// The reverse.
    before: BTreeMap<u32, Vec<u32>>,
    /// Pages of which this is known at a time.
    max: usize,
}

impl Straddled {
    pub(crate) fn new(max: usize) -> Straddled {
        Straddled {
            follows: BTreeMap::new(),
            before: BTreeMap::new(),
            max,
        }
    }

    /// Before `page` is noted as one that goes on in `other`: a page to be forgotten first, as often as there is one.
    pub(crate) fn in_the_way(&self, other: u32) -> Option<u32> {
        match self.before.get(&other) {
            Some(pages) if pages.len() >= SAME_PAGE_MAX => pages.first().copied(),
            _ if self.follows.len() >= self.max => {
                self.follows.first_key_value().map(|(page, _)| *page)
            }
            _ => None,
        }
    }

    /// Notes that an instruction of `page` ends in `other`.
    pub(crate) fn note(&mut self, page: u32, other: u32) {
        self.forget(page);
        self.follows.insert(page, other);
        self.before.entry(other).or_default().push(page);
    }

    /// The code of `page` is forgotten.
    pub(crate) fn forget(&mut self, page: u32) {
        let Some(other) = self.follows.remove(&page) else {
            return;
        };
        if let Some(pages) = self.before.get_mut(&other) {
            pages.retain(|known| *known != page);
            if pages.is_empty() {
                self.before.remove(&other);
            }
        }
    }

    /// A page with an instruction that ends in `other`, if there is one.
    pub(crate) fn before(&self, other: u32) -> Option<u32> {
        self.before
            .get(&other)
            .and_then(|pages| pages.first().copied())
    }

    /// Pages of which something is known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.follows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes, as the engine does it; returns the pages that had to be forgotten.
    fn note(straddled: &mut Straddled, page: u32, other: u32) -> Vec<u32> {
        let mut forgotten = Vec::new();
        while let Some(page) = straddled.in_the_way(other) {
            straddled.forget(page);
            forgotten.push(page);
        }
        straddled.note(page, other);
        forgotten
    }

    #[test]
    fn pages_are_forgotten_with_what_is_known_of_them() {
        let mut straddled = Straddled::new(1000);
        note(&mut straddled, 1, 2);
        note(&mut straddled, 3, 2);
        note(&mut straddled, 1, 4);
        assert_eq!(straddled.before(2), Some(3), "1 goes on elsewhere now");
        straddled.forget(3);
        assert_eq!(straddled.before(2), None);
        assert_eq!((straddled.before(4), straddled.len()), (Some(1), 1));
    }

    #[test]
    fn however_many_pages_there_are() {
        let mut straddled = Straddled::new(100);
        for page in 0..1000 {
            note(&mut straddled, page, page % 300);
            assert!(straddled.len() <= 100 && straddled.before.len() <= 100);
        }
        assert_eq!(straddled.len(), 100);
    }

    #[test]
    fn however_many_go_on_in_the_same() {
        let mut straddled = Straddled::new(1000);
        let forgotten: Vec<u32> = (0..100)
            .flat_map(|page| note(&mut straddled, page, 7))
            .collect();
        assert_eq!(straddled.len(), SAME_PAGE_MAX);
        assert_eq!(forgotten.len(), 100 - SAME_PAGE_MAX);
    }
}
