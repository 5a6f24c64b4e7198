//! Time, as the protocol counts it: instants of a clock of the caller's, what passes between them, and dates. In whole
//! microseconds; nothing here asks a clock, and nothing wraps.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// An instant of the caller's monotonic clock, in microseconds since an origin of its choice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Instant(pub u64);

/// A length of time, in microseconds. Sums and products stay at the longest, differences at none.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Duration(u64);

/// A date, in microseconds since 1970: of certificates, and of nothing that the protocol does.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Date(pub u64);

impl Instant {
    /// The instant so much later.
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.0))
    }

    /// What has passed since an earlier instant; nothing if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Date {
    /// The date so much later.
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.0))
    }
}

impl Duration {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// The longest.
    pub const MAX: Self = Self(u64::MAX);

    /// So many microseconds.
    pub const fn from_us(us: u64) -> Self {
        Self(us)
    }

    /// So many milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// So many seconds.
    pub const fn from_s(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// In microseconds.
    pub const fn us(self) -> u64 {
        self.0
    }

    /// Whether it is none.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// So many times as long.
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// By how much two differ.
    pub const fn abs_diff(self, other: Self) -> Self {
        Self(self.0.abs_diff(other.0))
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} us", self.0)
    }
}

impl Add for Duration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Duration {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Duration {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Duration {
    type Output = Self;

    fn mul(self, count: u64) -> Self {
        self.times(count)
    }
}

impl Div<u64> for Duration {
    type Output = Self;

    fn div(self, parts: u64) -> Self {
        Self(self.0 / parts)
    }
}

impl Sum for Duration {
    fn sum<I: Iterator<Item = Self>>(times: I) -> Self {
        times.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wraps() {
        let long = Duration::MAX;
        assert_eq!(long + Duration::from_us(1), long);
        assert_eq!(long * 3, long);
        assert_eq!(Duration::from_s(u64::MAX), long);
        assert_eq!(Duration::ZERO - long, Duration::ZERO);
        assert_eq!(Instant(5).after(long), Instant(u64::MAX));
        assert_eq!(Instant(5).since(Instant(9)), Duration::ZERO);
        assert_eq!(Instant(9).since(Instant(5)), Duration::from_us(4));
        let times = [Duration::from_ms(1), Duration::from_us(1)];
        assert_eq!(times.into_iter().sum::<Duration>().us(), 1_001);
    }
}
