//! How the guest clock follows the host's: when a clock entry is due, and what it says.
//!
//! The guest clock runs at a rate per position, so it is right as long as the guest executes at the speed
//! that was measured. When it drifts, the rate is bent so that the error shrinks over [`SETTLE`]; an error
//! so large that the process must have been paused, or the guest idle, is made good by one jump forward. The
//! guest clock never goes back: when it is ahead, it is slowed down until the host has caught up.

use machine::{Clock, Position, TICKS_PER_SECOND};
use std::cmp::Ordering;

const MILLISECOND: u64 = TICKS_PER_SECOND / 1_000;

/// Drift that is left alone, in ticks.
const TOLERANCE: u64 = MILLISECOND;
/// A guest clock that is behind by more than this jumps, in ticks.
const JUMP: u64 = 5 * MILLISECOND;
/// Time between two corrections of a small drift, at least, in ticks: no shorter than between entries that only say
/// that the guest runs, whose place a correction takes.
const PAUSE: u64 = 25 * MILLISECOND;
/// The same for a drift of more than [`LARGE`].
const PAUSE_LARGE: u64 = 5 * MILLISECOND;
/// Drift that shows that the guest's speed has changed, in ticks.
const LARGE: u64 = 2 * MILLISECOND;
/// A correction aims at being on time after this many ticks.
const SETTLE: u64 = 50 * MILLISECOND;
/// When more than this passes between two looks, the process was stopped, not slow, in ticks.
const STOPPED: u64 = 50 * MILLISECOND;
/// When this much more passes than the speed explains, the process probably had to wait for the host, in ticks.
const STOLEN: u64 = 2 * MILLISECOND;
/// Speed is measured over the last one to two of these, in ticks.
const WINDOW: u64 = 40 * MILLISECOND;
/// Samples are this long, in ticks. The second in a row that is more than a quarter faster, or slower, than the
/// average replaces it; the first may only mean that the host was busy with something else.
const SAMPLE: u64 = 3 * MILLISECOND;

/// Speeds that the guest clock can follow, in positions per second.
const SPEED_MIN: u64 = 2_000_000;
const SPEED_MAX: u64 = 50_000_000_000;
/// Taken before any measurement, in positions per second.
const SPEED_GUESS: u64 = 100_000_000;

/// The rate at which a guest of so many positions per second keeps up with the host.
const fn rate_of(speed: u64) -> u64 {
    ((TICKS_PER_SECOND as u128) << 32) as u64 / speed
}

const RATE_MIN: u64 = rate_of(SPEED_MAX);
const RATE_MAX: u64 = rate_of(SPEED_MIN);

/// Host ticks, and the positions executed in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    ticks: u64,
    positions: u64,
}

impl Span {
    fn add(&mut self, other: Self) {
        self.ticks += other.ticks;
        self.positions += other.positions;
    }

    /// How the speed compares with another; equal when they differ by less than a quarter.
    fn compare(self, other: Self) -> Ordering {
        let mine = u128::from(self.positions) * u128::from(other.ticks);
        let its = u128::from(other.positions) * u128::from(self.ticks);
        if mine.abs_diff(its) > its / 4 {
            mine.cmp(&its)
        } else {
            Ordering::Equal
        }
    }
}

/// Keeps guest time at host time plus a constant.
#[derive(Clone, Debug)]
pub(crate) struct Steering {
    /// Guest time less host time; set at the first look.
    lead: Option<i64>,
    /// Host time and position of the last look, while running.
    last: Option<(u64, u64)>,
    /// The sample being taken.
    sample: Span,
    /// The recent past in which the guest was running, and how the last sample compared with it.
    measured: Span,
    trend: Ordering,
    /// The last look found time stolen.
    stolen: bool,
    /// Host time of the last clock entry.
    corrected: u64,
    /// Rate of the last clock entry.
    rate: u64,
}

impl Steering {
    /// `rate` is the machine's present one; `lead` is guest time less host time where it is known.
    pub(crate) fn new(rate: u64, lead: Option<i64>) -> Self {
        Self {
            lead,
            last: None,
            sample: Span::default(),
            measured: Span::default(),
            trend: Ordering::Equal,
            stolen: false,
            corrected: 0,
            rate,
        }
    }

    /// Host time at which the guest clock should show `guest`.
    pub(crate) fn host_time(&self, guest: u64) -> Option<u64> {
        let lead = self.lead?;
        Some(guest.saturating_add_signed(lead.checked_neg()?))
    }

    /// What the guest clock should show at this host time; `guest` is what it does show.
    fn target(&mut self, host: u64, guest: u64) -> u64 {
        let first = (guest as i64).wrapping_sub(host as i64);
        host.saturating_add_signed(*self.lead.get_or_insert(first))
    }

    /// Looks at the clocks while the guest executes: the correction that is due, if any.
    pub(crate) fn running(&mut self, host: u64, at: Position, guest: u64) -> Option<Clock> {
        let target = self.target(host, guest);
        self.measure(host, at.0);
        let behind = target.saturating_sub(guest);
        let ahead = guest.saturating_sub(target);
        if behind > JUMP {
            let rate = self.speed_rate();
            return Some(self.correct(host, target, rate));
        }
        let straight = self.speed_rate();
        let since = host.saturating_sub(self.corrected);
        let bent = bend(straight, behind, ahead);
        // A rate that is nearly in force already need not be said again.
        let differs = |share| self.rate.abs_diff(bent) > bent / share;
        let due = match behind.max(ahead) {
            off if off > LARGE && since < PAUSE => since >= PAUSE_LARGE && differs(16),
            off if off > TOLERANCE => since >= PAUSE && differs(64),
            // The bend has done its work: left in force, it would overshoot.
            _ => since >= SETTLE && self.rate.abs_diff(straight) > straight / 64,
        };
        due.then(|| self.correct(host, guest, bent))
    }

    /// The guest wakes from waiting: its clock is set to the host's, or stays where it is ahead.
    pub(crate) fn waking(&mut self, host: u64, guest: u64) -> Clock {
        let target = self.target(host, guest);
        self.last = None;
        let ahead = guest.saturating_sub(target);
        let rate = bend(self.speed_rate(), 0, ahead);
        self.correct(host, target.max(guest), rate)
    }

    /// The guest has begun to wait: the time until it wakes says nothing about its speed.
    pub(crate) fn waiting(&mut self, host: u64, guest: u64) {
        self.target(host, guest);
        self.last = None;
    }

    fn correct(&mut self, host: u64, time: u64, rate: u64) -> Clock {
        self.corrected = host;
        self.rate = rate;
        Clock { time, rate }
    }

    fn measure(&mut self, host: u64, at: u64) {
        if let Some((host_before, at_before)) = self.last.replace((host, at)) {
            let passed = Span {
                ticks: host.saturating_sub(host_before),
                positions: at.saturating_sub(at_before),
            };
            if !self.is_stolen(passed) {
                self.sample.add(passed);
            }
        }
        if self.sample.ticks < SAMPLE {
            return;
        }
        let sample = std::mem::take(&mut self.sample);
        let trend_before = std::mem::replace(&mut self.trend, sample.compare(self.measured));
        if self.trend != Ordering::Equal && self.trend == trend_before {
            self.measured = sample;
            return;
        }
        self.measured.add(sample);
        if self.measured.ticks > 2 * WINDOW {
            self.measured.ticks /= 2;
            self.measured.positions /= 2;
        }
    }

    /// Whether the process did not run for a part of this span. Counted as slowness it would make the guest clock
    /// run ahead afterwards, and an error ahead is not made good by a jump. Twice in a row it is slowness.
    fn is_stolen(&mut self, passed: Span) -> bool {
        if passed.ticks >= STOPPED {
            return true;
        }
        let explained = u128::from(passed.positions) * u128::from(self.measured.ticks)
            / u128::from(self.measured.positions.max(1));
        let known = self.measured.positions > 0;
        let more = known && u128::from(passed.ticks) > 2 * explained + u128::from(STOLEN);
        let before = std::mem::replace(&mut self.stolen, more);
        more && !before
    }

    /// The rate for the measured speed; before any measurement, the present one or a guess.
    fn speed_rate(&self) -> u64 {
        let Span { ticks, positions } = self.measured;
        if ticks == 0 || positions == 0 {
            return if self.rate == 0 {
                rate_of(SPEED_GUESS)
            } else {
                self.rate.clamp(RATE_MIN, RATE_MAX)
            };
        }
        let rate = (u128::from(ticks) << 32) / u128::from(positions);
        u64::try_from(rate)
            .unwrap_or(RATE_MAX)
            .clamp(RATE_MIN, RATE_MAX)
    }
}

/// Bends a rate so that an error is gone after `SETTLE`: at most to a quarter, or to double. The result has
/// fourteen significant bits, so that its encoding is short.
fn bend(rate: u64, behind: u64, ahead: u64) -> u64 {
    let (behind, ahead) = (behind.min(SETTLE), ahead.min(SETTLE * 3 / 4));
    let bent = u128::from(rate) * u128::from(SETTLE + behind - ahead) / u128::from(SETTLE);
    let bent = u64::try_from(bent)
        .unwrap_or(RATE_MAX)
        .clamp(RATE_MIN, RATE_MAX);
    let spare = (u64::BITS - bent.leading_zeros()).saturating_sub(14);
    bent >> spare << spare
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guest that executes `speed(ms)` positions per millisecond, looked at every millisecond.
    struct Bench {
        steering: Steering,
        host: u64,
        at: u64,
        clock: Clock,
        since: u64,
        entries: u32,
        worst: u64,
    }

    impl Bench {
        fn new() -> Self {
            let rate = rate_of(SPEED_GUESS);
            Self {
                steering: Steering::new(rate, Some(0)),
                host: 0,
                at: 0,
                clock: Clock { time: 0, rate },
                since: 0,
                entries: 0,
                worst: 0,
            }
        }

        fn guest(&self) -> u64 {
            let ran = u128::from(self.at - self.since) * u128::from(self.clock.rate);
            self.clock.time + (ran >> 32) as u64
        }

        fn look(&mut self) {
            let guest = self.guest();
            if let Some(clock) = self.steering.running(self.host, Position(self.at), guest) {
                assert!(clock.time >= guest, "the guest clock went back");
                (self.clock, self.since) = (clock, self.at);
                self.entries += 1;
            }
        }

        fn run(&mut self, milliseconds: u64, speed: impl Fn(u64) -> u64) {
            self.worst = 0;
            for millisecond in 0..milliseconds {
                self.look();
                self.host += MILLISECOND;
                self.at += speed(millisecond);
                self.worst = self.worst.max(self.host.abs_diff(self.guest()));
            }
        }
    }

    #[test]
    fn a_steady_guest_needs_few_entries() {
        let mut bench = Bench::new();
        bench.run(1_000, |_| 73_000);
        bench.entries = 0;
        bench.run(10_000, |_| 73_000);
        assert!(bench.worst <= 2 * MILLISECOND, "off by {}", bench.worst);
        assert!(bench.entries <= 40, "{} entries", bench.entries);
    }

    #[test]
    fn an_uneven_guest_is_followed_within_milliseconds_at_a_bounded_price() {
        let mut bench = Bench::new();
        bench.run(500, |_| 50_000);
        bench.entries = 0;
        // The speed changes fourfold every 300 ms, with a noise of a quarter from look to look.
        bench.run(10_000, |ms| {
            let base = if ms / 300 % 2 == 0 { 40_000 } else { 160_000 };
            base + base / 4 * (ms * 7919 % 13) / 13
        });
        assert!(bench.worst <= 25 * MILLISECOND, "off by {}", bench.worst);
        assert!(bench.entries <= 1_000, "{} entries", bench.entries);
        bench.run(200, |_| 90_000);
        bench.run(1_000, |_| 90_000);
        assert!(bench.worst <= 2 * MILLISECOND, "off by {}", bench.worst);
    }

    #[test]
    fn a_host_that_is_busy_with_other_work_costs_few_entries() {
        let mut bench = Bench::new();
        bench.run(500, |_| 100_000);
        bench.entries = 0;
        // Every 25 ms or so the process is not run for up to 4 ms.
        for round in 0..400 {
            bench.run(25 + round % 5, |_| 100_000);
            bench.host += round * 7919 % 4 * MILLISECOND;
            let off = bench.host.abs_diff(bench.guest());
            assert!(off <= 10 * MILLISECOND, "off by {off}");
        }
        assert!(bench.entries <= 800, "{} entries", bench.entries);
    }

    #[test]
    fn a_pause_is_made_good_by_one_jump() {
        let mut bench = Bench::new();
        bench.run(500, |_| 100_000);
        let entries = bench.entries;
        bench.host += 3 * TICKS_PER_SECOND;
        bench.look();
        assert_eq!(bench.entries, entries + 1);
        assert_eq!(bench.guest(), bench.host);
        bench.run(300, |_| 100_000);
        assert!(bench.worst <= 2 * MILLISECOND, "off by {}", bench.worst);
    }

    #[test]
    fn a_guest_far_slower_than_the_clock_can_follow_still_sees_host_time() {
        let mut bench = Bench::new();
        bench.run(1_000, |_| 300);
        assert!(bench.worst <= 10 * MILLISECOND, "off by {}", bench.worst);
    }

    #[test]
    fn waking_sets_the_clock_and_measures_nothing() {
        let mut bench = Bench::new();
        bench.run(100, |_| 100_000);
        let before = bench.steering.speed_rate();
        bench.steering.waiting(bench.host, bench.guest());
        bench.host += 20 * TICKS_PER_SECOND;
        let clock = bench.steering.waking(bench.host, bench.guest());
        assert_eq!(clock.time, bench.host);
        assert_eq!(bench.steering.speed_rate(), before);
        assert_eq!(
            bench.steering.host_time(clock.time + 5),
            Some(bench.host + 5)
        );
        // Ahead of the host: stays, and runs slowly.
        let ahead = bench
            .steering
            .waking(bench.host, bench.host + 30 * MILLISECOND);
        assert_eq!(ahead.time, bench.host + 30 * MILLISECOND);
        assert!(ahead.rate < before);
    }
}
