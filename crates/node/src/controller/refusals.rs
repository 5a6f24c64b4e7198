//! What is said of peers that were turned away: each reason once, and again after a while, but never more lines than somebody can
//! read. What was left out is counted.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The same reason of the same source is said again after this time.
const AGAIN: Duration = Duration::from_secs(60);
/// Lines in any [`WINDOW`], whatever the reasons.
const LINES_MAX: usize = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// The lines of the last [`AGAIN`], oldest first.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    said: VecDeque<(Instant, IpAddr, String)>,
    left_out: u64,
    left_out_since: u64,
}

impl Refusals {
    /// Whether to say this, and how much was left out before it.
    pub(super) fn say(&mut self, now: Instant, source: IpAddr, reason: &str) -> Option<u64> {
        let over = |at: Instant| now.saturating_duration_since(at) >= AGAIN.max(WINDOW);
        while self.said.front().is_some_and(|(at, ..)| over(*at)) {
            self.said.pop_front();
        }
        let known =
            |(_, whose, what): &(Instant, IpAddr, String)| *whose == source && what == reason;
        if self.said.len() >= LINES_MAX || self.said.iter().any(known) {
            self.left_out += 1;
            self.left_out_since += 1;
            return None;
        }
        self.said.push_back((now, source, reason.to_owned()));
        Some(std::mem::take(&mut self.left_out_since))
    }

    /// How much has not been said so far.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn each_reason_is_said_once_a_minute_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let at = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        assert_eq!(refusals.say(start, at(1), "expired"), Some(0));
        assert_eq!(refusals.say(start, at(1), "expired"), None);
        assert_eq!(refusals.say(start, at(2), "expired"), Some(1));
        let lines = (0..200)
            .filter(|&last| refusals.say(start, at(last), "noise").is_some())
            .count();
        assert_eq!(lines, LINES_MAX - 2);
        assert_eq!(refusals.left_out(), 1 + 200 - lines as u64);
        let later = start + AGAIN;
        assert_eq!(
            refusals.say(later, at(1), "expired"),
            Some(200 - lines as u64)
        );
        assert!(refusals.said.len() <= LINES_MAX);
    }
}
