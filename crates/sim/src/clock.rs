//! The clocks of hosts: none is quite right, and one stops while its host is suspended.

use crate::random::Random;

/// How fast clocks go, in thousandths of the true speed.
const RATES: [u64; 6] = [1_000, 1_000, 999, 1_001, 950, 1_050];

/// A clock that shows microseconds of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    rate: u64,
    /// What it showed, and the true time then.
    shown: u64,
    since: u64,
    stopped: bool,
}

impl Clock {
    /// Some clock, at the true time `now`.
    pub(crate) fn new(random: &mut Random, now: u64) -> Self {
        Self {
            rate: *random.choose(&RATES),
            shown: random.between(0, 1 << 40),
            since: now,
            stopped: false,
        }
    }

    /// What it shows at the true time `now`.
    pub(crate) fn at(&self, now: u64) -> u64 {
        let passed = if self.stopped { 0 } else { now - self.since };
        self.shown + passed * self.rate / 1_000
    }

    /// The true time at which it shows `local`.
    pub(crate) fn when(&self, local: u64) -> u64 {
        self.since + (local.saturating_sub(self.shown) * 1_000).div_ceil(self.rate)
    }

    /// Its host is suspended.
    pub(crate) fn stop(&mut self, now: u64) {
        self.shown = self.at(now);
        (self.since, self.stopped) = (now, true);
    }

    /// Its host goes on.
    pub(crate) fn go(&mut self, now: u64) {
        if self.stopped {
            (self.since, self.stopped) = (now, false);
        }
    }
}
