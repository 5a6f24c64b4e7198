//! Who wants to know which pages were written. Each observer has a set of its own: the pages that were written since it last
//! looked at them. It may also ask that a page is kept for it as it was when it began, before the first write to it.
//!
//! Nothing here is visible to the guest, and a page that every observer knows to be written costs nothing more.

use std::collections::BTreeMap;

use super::pages::PageSet;

/// A registered observer of one memory.
#[derive(Debug)]
pub(crate) struct Observer(usize);

/// What one observer knows.
#[derive(Clone)]
struct Observed {
    /// The pages that were written since it last looked at them.
    written: PageSet,
    /// Of those that were written since it began: what they were, if it wants that.
    kept: Option<BTreeMap<usize, Box<[u8]>>>,
}

/// All observers of one memory.
#[derive(Clone)]
pub(super) struct Observers {
    each: Vec<Option<Observed>>,
    /// The pages that are in the sets of all: whoever writes to them need not say so.
    in_all: PageSet,
}

impl Observers {
    pub(super) fn new(pages: usize) -> Observers {
        let mut in_all = PageSet::new(pages);
        in_all.fill();
        Observers {
            each: Vec::new(),
            in_all,
        }
    }

    #[inline]
    pub(super) fn all_know(&self, page: usize) -> bool {
        self.in_all.contains(page)
    }

    /// To be called before a page is written, which now contains `bytes`.
    #[inline]
    pub(super) fn note(&mut self, page: usize, bytes: &[u8]) {
        if !self.all_know(page) {
            self.tell(page, bytes);
        }
    }

    #[cold]
    fn tell(&mut self, page: usize, bytes: &[u8]) {
        for observed in self.each.iter_mut().flatten() {
            if let Some(kept) = &mut observed.kept
                && !observed.written.contains(page)
            {
                kept.insert(page, bytes.into());
            }
            observed.written.insert(page);
        }
        self.in_all.insert(page);
    }

    /// Registers an observer, for which nothing is written yet. `keeps`: pages are kept for it.
    pub(super) fn register(&mut self, keeps: bool) -> Observer {
        let observed = Observed {
            written: PageSet::new(self.in_all.pages()),
            kept: keeps.then(BTreeMap::new),
        };
        self.in_all.clear();
        let free = self.each.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.each.push(None);
            self.each.len() - 1
        });
        self.each[place] = Some(observed);
        Observer(place)
    }

    /// Forgets an observer, and what was kept for it.
    #[expect(clippy::needless_pass_by_value, reason = "it is used up")]
    pub(super) fn release(&mut self, observer: Observer) {
        self.each[observer.0] = None;
        self.find_known_to_all();
    }

    fn find_known_to_all(&mut self) {
        self.in_all.fill();
        for observed in self.each.iter().flatten() {
            self.in_all.intersect(&observed.written);
        }
    }

    fn of(&self, observer: &Observer) -> &Observed {
        let observed = self.each[observer.0].as_ref();
        observed.expect("an observer is registered until it is released")
    }

    fn of_mut(&mut self, observer: &Observer) -> &mut Observed {
        let observed = self.each[observer.0].as_mut();
        observed.expect("an observer is registered until it is released")
    }

    pub(super) fn written(&self, observer: &Observer) -> &PageSet {
        &self.of(observer).written
    }

    /// What an observer knows from elsewhere.
    pub(super) fn set_written(&mut self, observer: &Observer, written: PageSet) {
        self.of_mut(observer).written = written;
        self.find_known_to_all();
    }

    /// An observer has looked at a page: it waits for the next write to it.
    pub(super) fn looked_at(&mut self, observer: &Observer, page: usize) {
        self.of_mut(observer).written.remove(page);
        self.in_all.remove(page);
    }

    /// What a page was when the observer began, if it was written since. It is given once, and neither kept any longer nor
    /// kept again.
    pub(super) fn take_kept(&mut self, observer: &Observer, page: usize) -> Option<Box<[u8]>> {
        let observed = self.of_mut(observer);
        observed.written.insert(page);
        observed.kept.as_mut()?.remove(&page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_set() {
        let mut observers = Observers::new(70);
        assert!(observers.all_know(69), "nobody asks");
        let one = observers.register(false);
        assert!(!observers.all_know(69));
        observers.note(69, &[]);
        let two = observers.register(false);
        assert!(!observers.all_know(69));
        observers.note(3, &[]);
        assert!(observers.all_know(3) && !observers.all_know(69));
        let count = |observers: &Observers| {
            let written = |observer| observers.written(observer).count();
            (written(&one), written(&two))
        };
        assert_eq!(count(&observers), (2, 1));
        observers.looked_at(&one, 3);
        assert!(!observers.all_know(3));
        assert_eq!(count(&observers), (1, 1));
        observers.note(3, &[]);
        assert!(observers.all_know(3));
        let known = PageSet::from_words(70, &[2, 0]).unwrap();
        observers.set_written(&two, known);
        assert_eq!(count(&observers), (2, 1));
        assert!(!observers.all_know(3) && !observers.all_know(1));
        observers.release(two);
        assert!(observers.all_know(3) && observers.all_know(69) && !observers.all_know(1));
    }

    #[test]
    fn pages_are_kept_as_they_were() {
        let mut observers = Observers::new(70);
        let plain = observers.register(false);
        let keeper = observers.register(true);
        observers.note(5, &[1]);
        observers.note(5, &[2]);
        observers.looked_at(&plain, 5);
        observers.note(5, &[3]);
        assert_eq!(observers.take_kept(&keeper, 5).as_deref(), Some(&[1][..]));
        assert_eq!(observers.take_kept(&keeper, 5), None, "once");
        assert_eq!(observers.take_kept(&keeper, 6), None, "it was not written");
        observers.note(6, &[4]);
        assert_eq!(
            observers.take_kept(&keeper, 6),
            None,
            "nobody wants it again"
        );
        observers.release(keeper);
        let next = observers.register(true);
        assert_eq!(observers.take_kept(&next, 5), None, "it is another");
    }
}
