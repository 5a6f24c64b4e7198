//! How much strangers may ask of the log channel: so many datagrams a second each, and so many in all. What a host can do about
//! those that lie about their address is to bound the sum.

use crate::bucket::Bucket;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Instant;

/// Datagrams a second that one source may send, and at once after a silence. A handshake takes about ten.
const SOURCE_DATAGRAMS: u64 = 200;
/// The same for all sources together: some hundredths of a processor's time.
const ALL_DATAGRAMS: u64 = 4000;
/// Sources that are told apart. Two that fall together share an allowance; nobody can know which do.
const SOURCES: usize = 1024;

#[derive(Debug)]
pub(super) struct Allowances {
    hasher: RandomState,
    sources: Vec<Bucket>,
    all: Bucket,
}

impl Allowances {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            hasher: RandomState::new(),
            sources: vec![Bucket::new(now, SOURCE_DATAGRAMS); SOURCES],
            all: Bucket::new(now, ALL_DATAGRAMS),
        }
    }

    /// Whether so many datagrams from a source may be looked at.
    pub(super) fn admit(&mut self, now: Instant, source: IpAddr, datagrams: u64) -> bool {
        let slot = self.hasher.hash_one(source) as usize % SOURCES;
        self.sources[slot].take(now, datagrams) && self.all.take(now, datagrams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn admitted(allowances: &mut Allowances, now: Instant, source: u32, count: usize) -> usize {
        let source = IpAddr::V4(Ipv4Addr::from(source));
        (0..count)
            .filter(|_| allowances.admit(now, source, 1))
            .count()
    }

    #[test]
    fn a_source_uses_up_its_own_allowance_and_all_together_theirs() {
        let start = Instant::now();
        let mut allowances = Allowances::new(start);
        assert_eq!(admitted(&mut allowances, start, 1, 10_000), 200);
        assert_eq!(
            admitted(&mut allowances, start, 2, 10),
            10,
            "another has its own"
        );
        let later = start + Duration::from_millis(500);
        assert_eq!(admitted(&mut allowances, later, 1, 10_000), 100);
        let sum: usize = (3..5000)
            .map(|source| admitted(&mut allowances, later, source, 50))
            .sum();
        assert!((3000..=4000).contains(&sum), "{sum}");
        let much_later = later + Duration::from_secs(3600);
        assert_eq!(admitted(&mut allowances, much_later, 1, 10_000), 200);
    }
}
