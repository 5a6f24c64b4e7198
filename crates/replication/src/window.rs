//! The primary's end of a log stream: entries sent and not acknowledged, how far behind the backup is, and how
//! hard the primary must brake for it.

use crate::config::{Bounds, Config};
use crate::types::{Instant, LogIndex};
use bytes::Bytes;
use std::collections::VecDeque;

/// Appends are dated at most so often, so that the dates of a whole lag are few.
const DATE_US_MIN: u64 = 1_000;

/// The hardest brake for lag in time alone: only a bound on memory stops the guest. A backup that starts with a
/// long log to catch up with can do so while the guest goes on slowly.
const BRAKE_BY_TIME_MAX: u64 = 900;

/// The entries after the last one acknowledged.
#[derive(Debug)]
pub(crate) struct Window {
    acknowledged: LogIndex,
    replayed: LogIndex,
    entries: VecDeque<Bytes>,
    bytes: u64,
    /// When entries were appended: (the last entry of a batch, its instant), oldest first.
    dates: VecDeque<(LogIndex, Instant)>,
    overflowed: bool,
}

impl Window {
    /// A stream whose first entry has index `from`.
    pub(crate) fn new(from: LogIndex) -> Self {
        Self {
            acknowledged: from.previous(),
            replayed: from.previous(),
            entries: VecDeque::new(),
            bytes: 0,
            dates: VecDeque::new(),
            overflowed: false,
        }
    }

    pub(crate) fn acknowledged(&self) -> LogIndex {
        self.acknowledged
    }

    pub(crate) fn replayed(&self) -> LogIndex {
        self.replayed
    }

    pub(crate) fn last(&self) -> LogIndex {
        self.acknowledged.plus(self.entries.len() as u64)
    }

    /// Whether the backup fell so far behind that entries it needs are forgotten: it cannot be kept.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    pub(crate) fn push(&mut self, now: Instant, entries: &[Bytes], bounds: &Bounds) {
        if self.overflowed {
            return;
        }
        self.entries.extend(entries.iter().cloned());
        self.bytes += entries.iter().map(|entry| entry.len() as u64).sum::<u64>();
        if self.entries.len() as u64 > bounds.window_entries_max.saturating_mul(2)
            || self.bytes > bounds.window_bytes_max.saturating_mul(2)
        {
            self.overflowed = true;
            self.entries = VecDeque::new();
            self.dates = VecDeque::new();
            self.bytes = 0;
            return;
        }
        let last = self.last();
        match self.dates.back_mut() {
            Some((end, date)) if now.since(*date) < DATE_US_MIN => *end = last,
            _ => self.dates.push_back((last, now)),
        }
    }

    /// Takes in an acknowledgement: false if it claims what was never sent.
    pub(crate) fn acknowledge(&mut self, held: LogIndex, replayed: LogIndex) -> bool {
        if self.overflowed || held > self.last() || replayed > held {
            return false;
        }
        while self.acknowledged < held {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes -= entry.len() as u64;
            }
            self.acknowledged = self.acknowledged.next();
        }
        self.replayed = self.replayed.max(replayed);
        while self
            .dates
            .front()
            .is_some_and(|(end, _)| *end <= self.replayed)
        {
            self.dates.pop_front();
        }
        true
    }

    /// The entries from `first` on, in batches of bounded size.
    pub(crate) fn batches(&self, first: LogIndex, bytes_max: u64) -> Vec<(LogIndex, Vec<Bytes>)> {
        let skip = first.since(self.acknowledged.next()) as usize;
        let mut index = first.max(self.acknowledged.next());
        let mut batches: Vec<(LogIndex, Vec<Bytes>)> = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.iter().skip(skip) {
            match batches.last_mut() {
                Some((_, batch)) if bytes + entry.len() as u64 <= bytes_max => {
                    batch.push(entry.clone());
                }
                _ => {
                    batches.push((index, vec![entry.clone()]));
                    bytes = 0;
                }
            }
            bytes += entry.len() as u64;
            index = index.next();
        }
        batches
    }

    pub(crate) fn unacknowledged(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn unreplayed(&self) -> u64 {
        self.last().since(self.replayed)
    }

    /// How long the oldest entry that is not replayed has waited.
    pub(crate) fn lag_us(&self, now: Instant) -> u64 {
        self.dates
            .front()
            .map_or(0, |(_, appended)| now.since(*appended))
    }

    /// Half full or more: the backup should say at once how far it is.
    pub(crate) fn is_filling(&self, bounds: &Bounds) -> bool {
        self.unacknowledged() >= bounds.window_entries_max / 2
            || self.bytes >= bounds.window_bytes_max / 2
    }

    /// The brake in thousandths: nothing up to half of each bound, then linear up to a full stop at the bound.
    /// `restoring`: the backup does not replay yet, so its lag in time means nothing.
    pub(crate) fn brake(&self, now: Instant, config: &Config, restoring: bool) -> u16 {
        if self.overflowed {
            return 1000;
        }
        let (times, bounds) = (&config.times, &config.bounds);
        let fraction = |amount: u64, from: u64, to: u64| -> u64 {
            (amount.saturating_sub(from).saturating_mul(1000) / to.saturating_sub(from).max(1))
                .min(1000)
        };
        let half = |amount: u64, to: u64| fraction(amount, to / 2, to);
        let lag = if restoring {
            0
        } else {
            let lag = fraction(self.lag_us(now), times.lag_target_us, times.lag_us_max);
            lag.min(BRAKE_BY_TIME_MAX)
        };
        let brake = lag
            .max(half(self.unacknowledged(), bounds.window_entries_max))
            .max(half(self.bytes, bounds.window_bytes_max))
            .max(half(self.unreplayed(), bounds.unreplayed_entries_max));
        brake as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{MachineId, NodeId};

    fn entries(count: usize, bytes: usize) -> Vec<Bytes> {
        (0..count).map(|_| Bytes::from(vec![0; bytes])).collect()
    }

    fn config() -> Config {
        let mut config = Config::new(MachineId(1), NodeId(1), 1);
        config.bounds.window_entries_max = 10;
        config
    }

    #[test]
    fn brakes_smoothly_to_a_full_stop_and_gives_up_at_twice_the_bound() {
        let config = config();
        let mut window = Window::new(LogIndex(5));
        let mut last = 0;
        for _ in 0..10 {
            window.push(Instant(0), &entries(1, 1), &config.bounds);
            let brake = window.brake(Instant(0), &config, false);
            assert!(brake >= last && brake - last <= 200, "{last} then {brake}");
            last = brake;
        }
        assert_eq!(last, 1000);
        window.push(Instant(0), &entries(10, 1), &config.bounds);
        assert!(!window.overflowed());
        window.push(Instant(0), &entries(1, 1), &config.bounds);
        assert!(window.overflowed());
        assert!(!window.acknowledge(LogIndex(5), LogIndex(5)));
    }

    #[test]
    fn acknowledgements_are_cumulative_and_cannot_claim_the_future() {
        let config = config();
        let mut window = Window::new(LogIndex(5));
        window.push(Instant(0), &entries(4, 3), &config.bounds);
        assert!(window.acknowledge(LogIndex(7), LogIndex(6)));
        assert!(window.acknowledge(LogIndex(6), LogIndex(4)), "a late one");
        assert_eq!(window.acknowledged(), LogIndex(7));
        assert_eq!(window.replayed(), LogIndex(6));
        assert!(!window.acknowledge(LogIndex(9), LogIndex(6)));
        assert!(!window.acknowledge(LogIndex(8), LogIndex(9)));
        assert_eq!(window.last(), LogIndex(8));
    }

    #[test]
    fn lag_is_the_age_of_the_oldest_entry_not_replayed() {
        let config = config();
        let mut window = Window::new(LogIndex(1));
        window.push(Instant(1_000), &entries(1, 1), &config.bounds);
        window.push(Instant(9_000), &entries(1, 1), &config.bounds);
        assert_eq!(window.lag_us(Instant(10_000)), 9_000);
        assert!(window.acknowledge(LogIndex(2), LogIndex(1)));
        assert_eq!(window.lag_us(Instant(10_000)), 1_000);
        assert!(window.acknowledge(LogIndex(2), LogIndex(2)));
        assert_eq!(window.lag_us(Instant(99_000)), 0);
    }

    #[test]
    fn batches_are_bounded_and_start_where_asked() {
        let config = config();
        let mut window = Window::new(LogIndex(1));
        window.push(Instant(0), &entries(5, 4), &config.bounds);
        let batches = window.batches(LogIndex(2), 8);
        let shape: Vec<_> = batches.iter().map(|(i, b)| (i.0, b.len())).collect();
        assert_eq!(shape, [(2, 2), (4, 2)]);
    }
}
