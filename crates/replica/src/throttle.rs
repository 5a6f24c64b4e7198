//! Lets a guest run for a part of the time only.

use machine::TICKS_PER_SECOND;

/// It rests at least this long at a time, in ticks: shorter sleeps cost more than they slow down.
const REST_MIN: u64 = TICKS_PER_SECOND / 1_000;
/// The longest that one step is taken to have run, in ticks: beyond, the process was stopped.
const RAN_MAX: u64 = TICKS_PER_SECOND / 50;
/// At or above this it stands still.
const FULL_PER_MILLE: u16 = 1_000;

/// How much of the time a guest rests, and what it owes.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    per_mille: u16,
    /// Host time at which the last step began to execute.
    ran_from: Option<u64>,
    /// Ticks that it owes to rest.
    debt: u64,
    /// Host time until which it rests.
    until: u64,
}

impl Throttle {
    /// Sets the part of the time in which the guest rests, in thousandths.
    pub(crate) fn set(&mut self, per_mille: u16) {
        self.per_mille = per_mille.min(FULL_PER_MILLE);
    }

    /// The guest began to execute.
    pub(crate) fn ran_from(&mut self, host: u64) {
        self.ran_from = Some(host);
    }

    /// Whether to rest now: until when, or until told otherwise.
    pub(crate) fn rest(&mut self, host: u64) -> Option<Option<u64>> {
        let ran = self.ran_from.take();
        if self.per_mille == 0 {
            (self.debt, self.until) = (0, 0);
            return None;
        }
        if self.per_mille >= FULL_PER_MILLE {
            return Some(None);
        }
        if let Some(from) = ran {
            let ran = host.saturating_sub(from).min(RAN_MAX);
            let rests = u64::from(self.per_mille);
            self.debt += ran * rests / (u64::from(FULL_PER_MILLE) - rests);
        }
        if self.debt >= REST_MIN {
            // No rest so long that easing the throttle would not be felt.
            self.until = host + self.debt.min(RAN_MAX);
            self.debt = self.debt.saturating_sub(RAN_MAX).min(RAN_MAX);
        }
        (self.until > host).then_some(Some(self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks that a guest may run in ten seconds, when each step takes 0.7 ms.
    fn ran(per_mille: u16) -> u64 {
        let mut throttle = Throttle::default();
        throttle.set(per_mille);
        let (mut host, mut ran) = (0, 0);
        while host < 10 * TICKS_PER_SECOND {
            match throttle.rest(host) {
                Some(until) => host = until.unwrap_or(u64::MAX),
                None => {
                    throttle.ran_from(host);
                    host += 7_000;
                    ran += 7_000;
                }
            }
        }
        ran
    }

    #[test]
    fn a_throttle_leaves_its_share_of_the_time() {
        assert_eq!(ran(1_000), 0);
        assert!(ran(0) >= 10 * TICKS_PER_SECOND);
        for per_mille in [100, 500, 900] {
            let wanted = TICKS_PER_SECOND / 100 * (1_000 - u64::from(per_mille));
            let off = ran(per_mille).abs_diff(wanted);
            assert!(off < wanted / 10, "{per_mille}: {off} off {wanted}");
        }
    }
}
