//! A backup that cannot keep up: how it is told from one that is late for a moment, how hard the primary brakes for it, and when
//! it is given up.
//!
//! Up to a lag of `lag_max` the window alone sets the brake, and leaves the guest a tenth of its speed. A backup of a pair
//! that is still further behind stops the guest at `lag_stop`, so that its lag is bounded whatever the policy. A guest
//! that is not protected yet is slowed for a joiner, and never stopped: a joiner that cannot keep up is dismissed instead.

use crate::config::{SlowBackup, Times};
use crate::time::{Duration, Instant};

/// The hardest brake for a joiner, in thousandths: one that replays at a tenth of the guest's speed can still catch up.
pub(crate) const BRAKE_FOR_JOINER_MAX: u16 = 900;
/// The hardest brake that the window asks for because of lag in time, in thousandths: only a bound on memory stops the guest. A
/// backup that starts with a long log to catch up with can do so while the guest goes on slowly.
pub(crate) const BRAKE_BY_TIME_MAX: u64 = 900;

/// The brake for the lag of a pair's backup beyond what the window brakes for, in thousandths.
pub(crate) fn brake_for_lag(lag: Duration, times: &Times) -> u16 {
    let beyond = (lag - times.lag_max).us();
    let range = (times.lag_stop - times.lag_max).us().max(1);
    let more = beyond.saturating_mul(1000 - BRAKE_BY_TIME_MAX) / range;
    match beyond {
        0 => 0,
        _ => (BRAKE_BY_TIME_MAX + more).min(1000) as u16,
    }
}

/// Watches whether a backup keeps up.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Since when it has not.
    since: Option<Instant>,
    /// It has not for so long that it counts as slow.
    slow: bool,
}

impl Pace {
    /// Looks at the lag and at the brake that it led to; says whether the backup has just become slow.
    pub(crate) fn look(&mut self, now: Instant, lag: Duration, brake: u16, times: &Times) -> bool {
        if lag < times.slow_lag || brake < times.slow_brake {
            *self = Self::default();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let slow = now.since(since) >= times.slow;
        slow && !std::mem::replace(&mut self.slow, slow)
    }

    /// The node itself stood still: what it saw before proves nothing.
    pub(crate) fn forgive(&mut self) {
        self.since = None;
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether the backup is to be given up.
    pub(crate) fn gives_up(&self, policy: SlowBackup) -> bool {
        self.slow && policy == SlowBackup::Drop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brake_for_lag_goes_on_where_the_window_s_ends_and_stops_the_guest() {
        let times = Times::default();
        assert_eq!(brake_for_lag(times.lag_max, &times), 0);
        let steps = (1..=100).map(|part| times.lag_stop * part / 100);
        let brakes: Vec<_> = steps.map(|lag| brake_for_lag(lag, &times)).collect();
        assert!(brakes.is_sorted(), "{brakes:?}");
        assert_eq!(brakes.last(), Some(&1000));
        assert!(!brakes[..99].contains(&1000), "{brakes:?}");
        assert!(brakes.iter().all(|brake| *brake == 0 || *brake >= 900));
    }

    #[test]
    fn a_backup_is_slow_when_it_lags_for_long_although_the_guest_brakes() {
        let times = Times::default();
        let mut pace = Pace::default();
        let begun = Instant(1);
        let (lag, brake) = (times.slow_lag, times.slow_brake);
        assert!(!pace.look(begun, lag, brake, &times));
        assert!(!pace.look(Instant(times.slow.us()), lag, brake, &times));
        assert!(
            !pace.look(
                Instant(times.slow.us()),
                lag - Duration::from_us(1),
                brake,
                &times
            ),
            "anew"
        );
        assert!(!pace.look(begun.after(times.slow), lag, brake, &times));
        let late = begun.after(times.slow * 2);
        assert!(pace.look(late, lag, brake, &times) && pace.is_slow());
        assert!(!pace.look(late, lag, brake, &times), "told once");
        assert!(pace.gives_up(SlowBackup::Drop) && !pace.gives_up(SlowBackup::Brake));
        assert!(!pace.look(late, lag, brake - 1, &times) && !pace.is_slow());
    }
}
