//! Virtual time: what will happen, in order. Ties are broken by the order of scheduling.

use std::collections::BTreeMap;

/// What is to happen when, in microseconds of virtual time.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    now: u64,
    scheduled: u64,
    pending: BTreeMap<(u64, u64), T>,
}

impl<T> Queue<T> {
    /// An empty queue at time zero.
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            scheduled: 0,
            pending: BTreeMap::new(),
        }
    }

    /// Virtual time now.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Schedules `what` for `delay` microseconds from now.
    pub(crate) fn after(&mut self, delay: u64, what: T) {
        self.at(self.now + delay, what);
    }

    /// Schedules `what` for the instant `when`, or for now if that is past.
    pub(crate) fn at(&mut self, when: u64, what: T) {
        self.scheduled += 1;
        self.pending
            .insert((when.max(self.now), self.scheduled), what);
    }

    /// Lets `by` microseconds pass in which nothing happens: what was to come comes so much later.
    pub(crate) fn jump(&mut self, by: u64) {
        self.now += by;
        let pending = std::mem::take(&mut self.pending);
        let later = |((when, order), what)| ((when + by, order), what);
        self.pending = pending.into_iter().map(later).collect();
    }

    /// Moves time to the next thing that happens and takes it.
    pub(crate) fn next(&mut self) -> Option<T> {
        let ((when, _), what) = self.pending.pop_first()?;
        self.now = when;
        Some(what)
    }
}
