//! What a primary learns of the path to its backup: how long a round trip takes, how much arrives in a second, and
//! hence how much may be under way at once, and when something that has not arrived is late.

use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// So much may be under way before anything is known, and however little there was to say lately,
const FLIGHT_BYTES_FIRST: u64 = 8 << 10;
/// unless the path loses even that; so much always.
const FLIGHT_BYTES_MIN: u64 = 2 << 10;
/// A round that loses more than one byte in so many says that the path is full; links that merely lose lose less.
const FULL_ONE_IN: u64 = 5;
/// Twice what the path holds may be under way, so that the rate can grow; once, where that is too much. In tenths.
const GAIN_MAX: u64 = 20;
const GAIN_MIN: u64 = 10;
/// Assumed for the first round trip.
const ROUND_TRIP_FIRST: Duration = Duration::from_ms(50);
/// The shortest round trip of so long a time is taken for the path's own; a longer one is that of a queue.
const MINIMUM: Duration = Duration::from_s(10);
/// The fastest of so many rounds is taken for what the path carries.
const ROUNDS_MAX: usize = 10;
/// A round in which the rate is measured lasts at least so long: acknowledgements come in bursts.
const ROUND_MIN: Duration = Duration::from_ms(10);
/// A datagram that was overtaken is waited for at least so much longer than a round trip.
const LATE_MIN: Duration = Duration::from_us(500);
/// One that nothing overtook, at least so much longer.
const SILENT_MIN: Duration = Duration::from_ms(1);
/// A round trip that is longer than twice the shortest, and so much, owes it to a queue.
const QUEUE: Duration = Duration::from_ms(2);
/// Beyond this, doubling the wait serves nobody.
const BACKOFF_MAX: u32 = 6;
/// The share of losses is an average over about so many spans.
const LOSS_OVER: u32 = 128;
/// Above this share, in millionths, a link is one that loses.
const LOSSY_PPM: u32 = 4_000;

/// The path, as far as acknowledgements have shown it.
#[derive(Debug)]
pub(crate) struct Path {
    /// Smoothed round trip and its mean deviation (RFC 6298); none before the first.
    smoothed: Option<(Duration, Duration)>,
    /// The shortest round trip, and when it was measured.
    minimum: (Duration, Instant),
    round_began: Instant,
    round_bytes: u64,
    round_lost: u64,
    /// What may be under way without any rate that was measured, and how many times what was.
    floor: u64,
    gain: u64,
    /// Bytes a second of the last rounds.
    rates: VecDeque<u64>,
    loss_ppm: u32,
}

impl Path {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            smoothed: None,
            minimum: (ROUND_TRIP_FIRST, now),
            round_began: now,
            round_bytes: 0,
            round_lost: 0,
            floor: FLIGHT_BYTES_FIRST,
            gain: GAIN_MAX,
            rates: VecDeque::new(),
            loss_ppm: 0,
        }
    }

    /// A round trip was measured.
    pub(crate) fn measured(&mut self, now: Instant, trip: Duration) {
        if self.smoothed.is_none() {
            // What was assumed before is worth nothing.
            self.minimum = (trip, now);
        }
        self.smoothed = Some(match self.smoothed {
            None => (trip, trip / 2),
            Some((smoothed, deviation)) => {
                let off = smoothed.abs_diff(trip);
                ((smoothed * 7 + trip) / 8, (deviation * 3 + off) / 4)
            }
        });
        let (minimum, at) = self.minimum;
        if trip <= minimum || now.since(at) > MINIMUM {
            self.minimum = (trip, now);
        }
    }

    /// So many bytes turned out to have arrived.
    pub(crate) fn delivered(&mut self, now: Instant, bytes: u64) {
        self.round_bytes += bytes;
        let took = now.since(self.round_began);
        if took >= self.round_trip().max(ROUND_MIN) {
            let rate = self.round_bytes.saturating_mul(1_000_000) / took.us();
            self.rates.push_back(rate);
            if self.rates.len() > ROUNDS_MAX {
                self.rates.pop_front();
            }
            if self.round_lost * FULL_ONE_IN > self.round_bytes + self.round_lost {
                self.floor = (self.floor / 2).max(FLIGHT_BYTES_MIN);
                self.gain = (self.gain - 2).max(GAIN_MIN);
            } else {
                self.floor = (self.floor + self.floor / 4).min(FLIGHT_BYTES_FIRST);
                self.gain = (self.gain + 1).min(GAIN_MAX);
            }
            (self.round_began, self.round_bytes, self.round_lost) = (now, 0, 0);
        }
    }

    /// So many bytes are taken for lost.
    pub(crate) fn lost(&mut self, bytes: u64) {
        self.round_lost += bytes;
    }

    /// A span that arrived had been sent once, or more often.
    pub(crate) fn arrived(&mut self, again: bool) {
        let loss = if again { 1_000_000 } else { 0 };
        self.loss_ppm = (self.loss_ppm * (LOSS_OVER - 1) + loss) / LOSS_OVER;
    }

    /// Whether the link loses so much that it pays to say things twice: then a queue must not be what loses.
    pub(crate) fn wants_repetition(&self) -> bool {
        let alone = self.minimum.0 * 2 + QUEUE;
        self.is_lossy() && self.round_trip() <= alone && self.gain == GAIN_MAX
    }

    /// Whether the link loses more than seldom.
    pub(crate) fn is_lossy(&self) -> bool {
        self.loss_ppm >= LOSSY_PPM
    }

    /// The smoothed round trip.
    pub(crate) fn round_trip(&self) -> Duration {
        self.smoothed
            .map_or(ROUND_TRIP_FIRST, |(smoothed, _)| smoothed)
    }

    /// What the path alone may add to a lag: a round trip, and, where it loses, the wait for what is sent again.
    pub(crate) fn trip_usual(&self) -> Duration {
        let again = match self.is_lossy() {
            true => self.silent(0),
            false => Duration::ZERO,
        };
        self.round_trip() + again
    }

    fn deviation(&self) -> Duration {
        self.smoothed
            .map_or(ROUND_TRIP_FIRST, |(_, deviation)| deviation)
    }

    /// Bytes that may be under way: some times what the path holds at the rate that it has shown.
    pub(crate) fn flight_bytes(&self, most: u64) -> u64 {
        let rate = self.rates.iter().copied().max().unwrap_or_default();
        let trip = self.minimum.0.max(ROUND_MIN);
        let holds = rate.saturating_mul(trip.us()) / 1_000_000;
        (holds.saturating_mul(self.gain) / 10).clamp(self.floor.min(most), most)
    }

    /// Something sent so long ago is lost if what was sent later has arrived.
    pub(crate) fn overtaken(&self) -> Duration {
        let trip = self.round_trip();
        trip + (trip / 4).max(self.deviation()).max(LATE_MIN)
    }

    /// Something sent so long ago is sent again if nothing at all was heard; `tries` times already.
    pub(crate) fn silent(&self, tries: u32) -> Duration {
        let wait = self.round_trip() + (self.deviation() * 4).max(SILENT_MIN);
        wait * (1 << tries.min(BACKOFF_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS_40: Duration = Duration::from_ms(40);

    #[test]
    fn waits_follow_the_round_trip() {
        let mut path = Path::new(Instant(0));
        for round in 0..100u64 {
            path.measured(Instant(round * 1_000), MS_40);
        }
        assert_eq!(path.round_trip(), MS_40);
        assert!(path.silent(0).us() < 42_000 && path.overtaken().us() <= 50_000);
        assert!(path.silent(2) > path.silent(0) * 3);
    }

    #[test]
    fn what_may_be_under_way_follows_bandwidth_and_delay() {
        let mut path = Path::new(Instant(0));
        let most = 8 << 20;
        assert_eq!(path.flight_bytes(most), FLIGHT_BYTES_FIRST);
        path.measured(Instant(0), MS_40);
        for round in 1..100u64 {
            // 10 MB a second.
            path.delivered(Instant(round * 1_000), 10_000);
        }
        let flight = path.flight_bytes(most);
        assert!((700_000..900_000).contains(&flight), "{flight}");
        assert_eq!(path.flight_bytes(1_000), 1_000);
    }

    #[test]
    fn a_path_that_is_full_is_given_less() {
        let mut path = Path::new(Instant(0));
        path.measured(Instant(0), Duration::from_ms(10));
        for round in 1..30u64 {
            path.lost(1_000);
            path.delivered(Instant(round * 10_000), 1_000);
        }
        assert_eq!(path.flight_bytes(8 << 20), FLIGHT_BYTES_MIN);
        for round in 30..60u64 {
            path.lost(50);
            path.delivered(Instant(round * 10_000), 1_000);
        }
        assert_eq!(path.flight_bytes(8 << 20), FLIGHT_BYTES_FIRST);
    }

    #[test]
    fn a_link_that_loses_is_known_for_it() {
        let mut path = Path::new(Instant(0));
        (0..1_000).for_each(|span| path.arrived(span % 50 == 0));
        assert!(path.is_lossy());
        (0..2_000).for_each(|_| path.arrived(false));
        assert!(!path.is_lossy());
    }
}
