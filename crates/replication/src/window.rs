//! The primary's end of a log stream: entries sent and not acknowledged, how far behind the backup is, and how
//! hard the primary must brake for it.

use crate::config::{Bounds, Config};
use crate::message::ENTRY_EXTRA_BYTES;
use crate::slow::BRAKE_BY_TIME_MAX;
use crate::time::{Duration, Instant};
use crate::types::LogIndex;
use bytes::Bytes;
use std::collections::VecDeque;

/// Appends are dated at most so often, so that the dates of a whole lag are few.
const DATE_MIN: Duration = Duration::from_ms(1);

/// The entries after the last one acknowledged.
#[derive(Debug)]
pub(crate) struct Window {
    acknowledged: LogIndex,
    replayed: LogIndex,
    entries: VecDeque<Bytes>,
    bytes: u64,
    /// When entries were appended: (the last entry of a batch, its instant), oldest first.
    dates: VecDeque<(LogIndex, Instant)>,
    /// Sizes of entries that are acknowledged and not replayed, and their sum.
    unreplayed: VecDeque<u32>,
    unreplayed_bytes: u64,
    overflowed: bool,
}

/// Entries that may travel in one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Too many bytes for a datagram.
    pub(crate) large: bool,
    /// Bytes of the first entry.
    first_bytes: u64,
}

impl Chunk {
    /// Its first entry alone.
    pub(crate) fn one(self) -> Self {
        Self {
            entries: 1,
            bytes: self.first_bytes,
            ..self
        }
    }
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
            unreplayed: VecDeque::new(),
            unreplayed_bytes: 0,
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
            Some((end, date)) if now.since(*date) < DATE_MIN => *end = last,
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
                self.unreplayed.push_back(entry.len() as u32);
                self.unreplayed_bytes += entry.len() as u64;
            }
            self.acknowledged = self.acknowledged.next();
        }
        while self.replayed < replayed {
            self.unreplayed_bytes -= u64::from(self.unreplayed.pop_front().unwrap_or_default());
            self.replayed = self.replayed.next();
        }
        while self
            .dates
            .front()
            .is_some_and(|(end, _)| *end <= self.replayed)
        {
            self.dates.pop_front();
        }
        true
    }

    /// What of the entries from `first` on may travel in one message; none if there are none.
    pub(crate) fn chunk(&self, first: LogIndex, bounds: &Bounds) -> Option<Chunk> {
        let skip = usize::try_from(first.since(self.acknowledged.next())).ok()?;
        let bytes_of = |entry: &Bytes| entry.len() as u64;
        let costs = |entry: &Bytes| bytes_of(entry) + ENTRY_EXTRA_BYTES;
        let first_entry = self.entries.get(skip)?;
        let large = costs(first_entry) > bounds.datagram_bytes_max;
        let most = match large {
            true => bounds.append_bytes_max,
            false => bounds.datagram_bytes_max,
        };
        let mut chunk = Chunk {
            entries: 1,
            bytes: bytes_of(first_entry),
            large,
            first_bytes: bytes_of(first_entry),
        };
        let mut cost = costs(first_entry);
        for entry in self.entries.range(skip + 1..) {
            cost += costs(entry);
            let fits = cost <= most && large == (costs(entry) > bounds.datagram_bytes_max);
            if !fits {
                break;
            }
            chunk.entries += 1;
            chunk.bytes += bytes_of(entry);
        }
        Some(chunk)
    }

    /// The entries from `first` to `last`, as far as they are here.
    pub(crate) fn range(&self, first: LogIndex, last: LogIndex) -> Vec<Bytes> {
        let from = first.since(self.acknowledged.next()) as usize;
        let to = (last.since(self.acknowledged) as usize).min(self.entries.len());
        if from >= to {
            return Vec::new();
        }
        self.entries.range(from..to).cloned().collect()
    }

    /// Bytes of the oldest entry that is not acknowledged, if there is one.
    pub(crate) fn first_bytes(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.len() as u64)
    }

    pub(crate) fn unacknowledged(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn unreplayed(&self) -> u64 {
        self.last().since(self.replayed)
    }

    /// How long the oldest entry that is not replayed has waited.
    pub(crate) fn lag(&self, now: Instant) -> Duration {
        self.dates
            .front()
            .map_or(Duration::ZERO, |(_, appended)| now.since(*appended))
    }

    /// How long the oldest entry that is not acknowledged has waited.
    fn link_lag(&self, now: Instant) -> Duration {
        let known = (self.dates).partition_point(|(last, _)| *last <= self.acknowledged);
        (self.dates.get(known)).map_or(Duration::ZERO, |(_, appended)| now.since(*appended))
    }

    /// Half full or more: the backup should say at once how far it is.
    pub(crate) fn is_filling(&self, bounds: &Bounds) -> bool {
        self.unacknowledged() >= bounds.window_entries_max / 2
            || self.bytes >= bounds.window_bytes_max / 2
    }

    /// Bytes that wait for an acknowledgement.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The brake in thousandths: nothing up to half of each bound, then linear up to a full stop at the bound.
    /// `restoring`: the backup does not replay yet, so only the link can lag behind. `trip`: what the lag owes to the
    /// link's delay, which no brake makes shorter.
    pub(crate) fn brake(
        &self,
        now: Instant,
        config: &Config,
        restoring: bool,
        trip: Duration,
    ) -> u16 {
        if self.overflowed {
            return 1000;
        }
        let (times, bounds) = (&config.times, &config.bounds);
        let fraction = |amount: u64, from: u64, to: u64| -> u64 {
            (amount.saturating_sub(from).saturating_mul(1000) / to.saturating_sub(from).max(1))
                .min(1000)
        };
        let half = |amount: u64, to: u64| fraction(amount, to / 2, to);
        let lag = match restoring {
            true => self.link_lag(now),
            false => self.lag(now),
        };
        let lag = (lag - trip).us();
        let (target, most) = (times.lag_target.us(), times.lag_max.us());
        let lag = fraction(lag, target, most).min(BRAKE_BY_TIME_MAX);
        let brake = lag
            .max(half(self.unacknowledged(), bounds.window_entries_max))
            .max(half(self.bytes, bounds.window_bytes_max))
            .max(half(self.unreplayed(), bounds.unreplayed_entries_max))
            .max(half(self.unreplayed_bytes, bounds.unreplayed_bytes_max));
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
            let brake = window.brake(Instant(0), &config, false, Duration::ZERO);
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
        assert_eq!(window.lag(Instant(10_000)).us(), 9_000);
        assert!(window.acknowledge(LogIndex(2), LogIndex(1)));
        assert_eq!(window.lag(Instant(10_000)).us(), 1_000);
        assert!(window.acknowledge(LogIndex(2), LogIndex(2)));
        assert_eq!(window.lag(Instant(99_000)), Duration::ZERO);
    }

    #[test]
    fn chunks_fit_a_datagram_or_travel_by_stream() {
        let mut config = config();
        config.bounds.datagram_bytes_max = 20;
        config.bounds.append_bytes_max = 100;
        let mut window = Window::new(LogIndex(1));
        let sizes = [4, 4, 4, 30, 30, 4, 300];
        for size in sizes {
            window.push(Instant(0), &entries(1, size), &config.bounds);
        }
        let chunks = [
            (1, (2, 8)),
            (3, (1, 4)),
            (4, (2, 60)),
            (6, (1, 4)),
            (7, (1, 300)),
        ];
        for (first, (entries, bytes)) in chunks {
            let chunk = window.chunk(LogIndex(first), &config.bounds).unwrap();
            assert_eq!(
                (chunk.entries, chunk.bytes),
                (entries, bytes),
                "from {first}"
            );
            assert_eq!(chunk.large, sizes[first as usize - 1] > 20);
            let last = LogIndex(first).plus(entries).previous();
            let range = window.range(LogIndex(first), last);
            assert_eq!(range.iter().map(Bytes::len).sum::<usize>() as u64, bytes);
        }
        assert_eq!(window.chunk(LogIndex(8), &config.bounds), None);
        assert!(window.range(LogIndex(8), LogIndex(9)).is_empty());
    }

    #[test]
    fn brakes_for_a_link_that_cannot_carry_the_log_while_the_state_is_under_way() {
        let config = config();
        let mut window = Window::new(LogIndex(1));
        window.push(Instant(0), &entries(1, 1), &config.bounds);
        window.push(Instant(100_000), &entries(1, 1), &config.bounds);
        let brake = |window: &Window, ms| {
            window.brake(Instant(400_000), &config, true, Duration::from_ms(ms))
        };
        assert_eq!(brake(&window, 0), 900);
        assert_eq!(brake(&window, 330), 0);
        assert!(window.acknowledge(LogIndex(1), LogIndex(0)));
        assert_eq!(brake(&window, 225), 0);
        assert!(window.acknowledge(LogIndex(2), LogIndex(0)));
        assert_eq!(brake(&window, 0), 0);
    }

    #[test]
    fn brakes_for_bytes_that_the_backup_has_not_replayed() {
        let mut config = config();
        config.bounds.unreplayed_bytes_max = 100;
        let mut window = Window::new(LogIndex(1));
        window.push(Instant(0), &entries(3, 25), &config.bounds);
        assert!(window.acknowledge(LogIndex(3), LogIndex(0)));
        assert_eq!(window.unreplayed_bytes, 75);
        assert_eq!(
            window.brake(Instant(0), &config, false, Duration::ZERO),
            500
        );
        assert!(window.acknowledge(LogIndex(3), LogIndex(2)));
        assert_eq!(window.brake(Instant(0), &config, false, Duration::ZERO), 0);
    }
}
