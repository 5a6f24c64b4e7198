//! While a state is on its way, log and state share a link: the log goes first, so it is the guest that decides how much of the link
//! is left. On a link that is slow enough for that to matter, it is slowed until the log takes its share.

use crate::slow::BRAKE_FOR_JOINER_MAX;
use crate::time::{Duration, Instant};

/// The log may take one byte in so many.
const LOG_ONE_IN: u64 = 8;
/// What is on its way is compared so often; when the state does not move at all, after so many times that.
const LOOK: Duration = Duration::from_ms(400);
const LOOKS_IN_VAIN: u64 = 3;
/// A guest is slowed for so long at most for a state that does not move: it takes four looks until the brake is at its
/// hardest, and one more, and its node says now and then only how far the state is.
pub const BRAKED_IN_VAIN_MAX: Duration = LOOK.times(6 * LOOKS_IN_VAIN);
/// What a message adds to its entries on the wire: its own fields, and those of QUIC, UDP and IP.
const MESSAGE_EXTRA_BYTES: u64 = 80;

/// What was sent since the last look, and the brake that followed from it.
#[derive(Debug)]
pub(crate) struct Sharing {
    looked: Instant,
    /// Bytes of the state that were sent until then.
    state_bytes: u64,
    log_bytes: u64,
    brake: u16,
    /// The state did not move although the brake was at its hardest: until it does, there is none.
    in_vain: bool,
}

impl Sharing {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            looked: now,
            state_bytes: 0,
            log_bytes: 0,
            brake: 0,
            in_vain: false,
        }
    }

    /// Entries of so many bytes were sent in one message.
    pub(crate) fn log_sent(&mut self, bytes: u64) {
        self.log_bytes += bytes + MESSAGE_EXTRA_BYTES;
    }

    /// So many bytes of the state were sent, out of `total`.
    pub(crate) fn state_sent(&mut self, now: Instant, bytes: u64, total: u64) {
        let took = now.since(self.looked);
        let state = bytes.saturating_sub(self.state_bytes);
        if took < LOOK || state == 0 && took < LOOK * LOOKS_IN_VAIN {
            return;
        }
        let log = std::mem::take(&mut self.log_bytes);
        (self.looked, self.state_bytes) = (now, bytes);
        if bytes >= total {
            // The last of it is on its way, and leaves as much room as before.
            return;
        }
        if state == 0 && self.brake == BRAKE_FOR_JOINER_MAX {
            // It is not the log that keeps the state from coming through.
            self.brake = 0;
            self.in_vain = true;
        }
        self.in_vain &= state == 0;
        if self.in_vain {
            return;
        }
        let speed = u64::from(1000 - self.brake);
        let fitting = speed.saturating_mul(state + log) / (log * LOG_ONE_IN).max(1);
        // The guest's log follows its speed only roughly: half the way at a time.
        let speed = (speed + fitting.min(1000)) / 2;
        self.brake = ((1000 - speed) as u16).min(BRAKE_FOR_JOINER_MAX);
    }

    /// Whether the state does not move, whatever the brake.
    pub(crate) fn is_in_vain(&self) -> bool {
        self.in_vain
    }

    /// How hard to brake, in thousandths.
    pub(crate) fn brake(&self) -> u16 {
        self.brake
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: u64 = 100 << 20;

    /// When so many looks are over.
    fn looked(looks: u64) -> Instant {
        Instant(0).after(LOOK * looks)
    }

    /// Goes on for some looks on a link of `rate` bytes a second, with a guest that logs `log` bytes a second at full speed;
    /// the share of the log at the end, in thousandths, and the brake.
    fn after(looks: u64, rate: u64, log: u64) -> (u64, u16) {
        let (mut sharing, mut state, mut share) = (Sharing::new(Instant(0)), 0, 0);
        for look in 1..=looks {
            let took = |bytes: u64| bytes * LOOK.us() / 1_000_000;
            let said = took(log * (1000 - u64::from(sharing.brake())) / 1000).min(took(rate));
            sharing.log_bytes += said;
            state += took(rate) - said;
            sharing.state_sent(looked(look), state, TOTAL);
            share = said * 1000 / took(rate);
        }
        (share, sharing.brake())
    }

    #[test]
    fn a_guest_that_logs_much_is_slowed_until_its_log_takes_its_share() {
        let (share, brake) = after(40, 1_000_000, 500_000);
        assert!((110..=130).contains(&share), "{share}");
        assert!((700..800).contains(&brake), "{brake}");
        // Even where the log would take all of the link.
        let (share, brake) = after(60, 1_000_000, 2_000_000);
        assert!(share <= 210, "{share}");
        assert_eq!(brake, BRAKE_FOR_JOINER_MAX);
    }

    #[test]
    fn a_guest_that_logs_little_is_not_slowed() {
        assert_eq!(after(40, 1_000_000, 100_000).1, 0);
        assert_eq!(after(40, 100_000_000, 5_000_000).1, 0);
    }

    #[test]
    fn the_brake_stays_when_all_is_sent_and_ends_when_the_log_becomes_little() {
        let mut sharing = Sharing::new(Instant(0));
        sharing.log_sent(800_000);
        sharing.state_sent(looked(1), 100_000, TOTAL);
        let brake = sharing.brake();
        assert!(brake > 0);
        sharing.log_sent(800_000);
        sharing.state_sent(looked(2), TOTAL, TOTAL);
        assert_eq!(sharing.brake(), brake);
        let mut sharing = Sharing {
            brake: 900,
            ..Sharing::new(Instant(0))
        };
        for look in 1..20 {
            sharing.state_sent(looked(look), look * 100_000, TOTAL);
        }
        assert!(sharing.brake() < 10);
    }

    #[test]
    fn a_joiner_that_takes_nothing_slows_the_guest_for_a_moment_only() {
        let mut sharing = Sharing::new(Instant(0));
        let (mut hardest, mut brakes) = (0, 0);
        for look in 1..100 {
            sharing.log_sent(100_000);
            sharing.state_sent(looked(look), 1_000, TOTAL);
            hardest = hardest.max(sharing.brake());
            brakes += u64::from(sharing.brake() > 0);
        }
        assert_eq!(hardest, BRAKE_FOR_JOINER_MAX);
        assert!(LOOK * brakes <= BRAKED_IN_VAIN_MAX, "{brakes}");
        assert_eq!(sharing.brake(), 0);
        sharing.state_sent(looked(100), 2_000, TOTAL);
        assert!(sharing.brake() > 0, "it moves again");
    }
}
