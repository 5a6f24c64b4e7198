//! An allowance that fills up with time (a token bucket).

use std::time::{Duration, Instant};

/// What may be done now, of something that may be done so often a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// What comes together in a second, and at most.
    rate: u64,
    left: u64,
    since: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(now: Instant, rate: u64) -> Self {
        Self {
            rate,
            left: rate,
            since: now,
        }
    }

    /// Takes `count` from what has come together, if it is there.
    pub(crate) fn take(&mut self, now: Instant, count: u64) -> bool {
        let elapsed = now
            .saturating_duration_since(self.since)
            .min(Duration::from_secs(1));
        let new = (elapsed.as_micros() as u64 * self.rate) / 1_000_000;
        if new > 0 {
            self.left = (self.left + new).min(self.rate);
            self.since = now;
        }
        let enough = self.left >= count;
        if enough {
            self.left -= count;
        }
        enough
    }
}
