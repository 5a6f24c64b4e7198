//! The guest clock: a pure function of the position and of the newest clock entry (docs/machine.md,
//! "Position and time").

use serde::{Deserialize, Serialize};

use crate::{Clock, Position};

/// The newest clock entry and where it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestClock {
    clock: Clock,
    at: Position,
}

/// One guest tick (100 ns) for every ten positions: what the clock does before its first entry.
const RATE_AT_RESET: u64 = (1 << 32) / 10;

impl Default for GuestClock {
    fn default() -> GuestClock {
        GuestClock {
            clock: Clock {
                time: 0,
                rate: RATE_AT_RESET,
            },
            at: Position(0),
        }
    }
}

impl GuestClock {
    /// Guest time in ticks at `position`, which is not before the newest entry.
    #[inline]
    pub fn time(&self, position: Position) -> u64 {
        let passed = u128::from(position.0 - self.at.0) * u128::from(self.clock.rate);
        let ticks = u64::try_from(passed >> 32).unwrap_or(u64::MAX);
        self.clock.time.saturating_add(ticks)
    }

    /// The first position, not before the newest entry, at which the time is at least `ticks`. `None`:
    /// never.
    pub(crate) fn position_of(&self, ticks: u64) -> Option<Position> {
        let Some(wait) = ticks.checked_sub(self.clock.time).filter(|&wait| wait > 0) else {
            return Some(self.at);
        };
        if self.clock.rate == 0 {
            return None;
        }
        let passed = (u128::from(wait) << 32).div_ceil(u128::from(self.clock.rate));
        self.at
            .0
            .checked_add(u64::try_from(passed).ok()?)
            .map(Position)
    }

    /// Where the newest entry took effect.
    pub(crate) fn at(&self) -> Position {
        self.at
    }

    /// Steers the clock from `position` on. A time below the present one is taken as the present one.
    pub fn set(&mut self, clock: Clock, position: Position) {
        let time = clock.time.max(self.time(position));
        *self = GuestClock {
            clock: Clock { time, ..clock },
            at: position,
        };
    }

    /// The clock as an entry at `position` would have to state it to change nothing but the fraction of a
    /// tick.
    pub fn clock(&self, position: Position) -> Clock {
        Clock {
            time: self.time(position),
            rate: self.clock.rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_exact() {
        let mut clock = GuestClock::default();
        for (time, rate, at) in [
            (7, RATE_AT_RESET, 3),
            (1000, 1, 5),
            (1001, u64::MAX, 9),
            (1_000_000, 3 << 32, 10),
        ] {
            clock.set(Clock { time, rate }, Position(at));
            for ticks in [0, 1, 999, 1001, 1_000_001, 1_000_007, 1 << 40] {
                let Some(position) = clock.position_of(ticks) else {
                    continue;
                };
                assert!(clock.time(position) >= ticks);
                assert!(position.0 == at || clock.time(Position(position.0 - 1)) < ticks);
            }
        }
    }

    #[test]
    fn never_backwards() {
        let mut clock = GuestClock::default();
        clock.set(Clock { time: 500, rate: 0 }, Position(10));
        clock.set(Clock { time: 100, rate: 0 }, Position(20));
        assert_eq!(clock.time(Position(30)), 500);
        assert_eq!(clock.position_of(501), None);
        assert_eq!(clock.clock(Position(40)).time, 500);
    }
}
