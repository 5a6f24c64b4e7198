//! Where the addresses of plain peers were last heard: bounded for each port, so that none can make others forgotten.

use crate::config::MacAddress;
use replication::PortId;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// An address that was not heard for so long is forgotten.
pub(super) const ADDRESS_AGE_MAX: Duration =
    Duration::from_micros(replication::ADDRESS_AGE_MAX.us());
/// Addresses remembered of one port; a further one takes the place of the one that was silent longest, roughly.
pub(in crate::switch) const ADDRESSES_PER_PORT_MAX: usize = 256;

/// What came of hearing an address on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is the port's.
    Own,
    /// It is the port's, and took the place of another one of that port.
    Displaced,
    /// It is another port's.
    Foreign,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    port: PortId,
    at: Instant,
}

/// The table. Its hash is seeded anew in each process.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    seen: HashMap<MacAddress, Seen>,
    /// The addresses of each port with when they were heard, as it was known when they came to their place.
    by_port: HashMap<PortId, VecDeque<(MacAddress, Instant)>>,
}

impl Addresses {
    /// `address` was heard on `port`. An address stays with its port until that is closed or it was silent for
    /// [`ADDRESS_AGE_MAX`], unless the port `may_take` it.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        address: MacAddress,
        port: PortId,
        may_take: bool,
    ) -> Heard {
        if let Some(seen) = self.seen.get_mut(&address) {
            if seen.port == port {
                seen.at = now;
                return Heard::Own;
            }
            if !may_take && now.duration_since(seen.at) < ADDRESS_AGE_MAX {
                return Heard::Foreign;
            }
        }
        self.forget(address);
        let mut heard = Heard::Own;
        let own = self.by_port.entry(port).or_default();
        // Whoever was heard since it came to its place gets another one at the end: each hearing pays for one such turn.
        while own.len() >= ADDRESSES_PER_PORT_MAX
            && let Some((oldest, known_at)) = own.pop_front()
        {
            match self.seen.get(&oldest) {
                Some(seen) if seen.port == port && seen.at > known_at => {
                    own.push_back((oldest, seen.at));
                }
                Some(seen) if seen.port == port => {
                    self.seen.remove(&oldest);
                    heard = Heard::Displaced;
                }
                _ => {}
            }
        }
        own.push_back((address, now));
        self.seen.insert(address, Seen { port, at: now });
        heard
    }

    /// The port of an address that is still remembered.
    pub(super) fn find(&self, now: Instant, address: MacAddress) -> Option<PortId> {
        let seen = self.seen.get(&address)?;
        (now.duration_since(seen.at) < ADDRESS_AGE_MAX).then_some(seen.port)
    }

    /// The address is nobody's any more.
    pub(super) fn forget(&mut self, address: MacAddress) {
        if let Some(seen) = self.seen.remove(&address)
            && let Some(own) = self.by_port.get_mut(&seen.port)
        {
            own.retain(|(other, _)| *other != address);
        }
    }

    /// A port was closed.
    pub(super) fn close(&mut self, port: PortId) {
        for (address, _) in self.by_port.remove(&port).into_iter().flatten() {
            self.seen.remove(&address);
        }
    }

    /// The addresses of a port, the newest last.
    pub(super) fn of(&self, port: PortId) -> impl Iterator<Item = MacAddress> {
        let own = self.by_port.get(&port);
        own.into_iter().flatten().map(|(address, _)| *address)
    }

    /// Every address.
    pub(super) fn iter(&self) -> impl Iterator<Item = MacAddress> {
        self.seen.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> MacAddress {
        let [a, b, c, d] = number.to_be_bytes();
        MacAddress([2, 0, a, b, c, d])
    }

    #[test]
    fn a_port_that_says_many_addresses_displaces_only_its_own() {
        let mut now = Instant::now();
        let mut addresses = Addresses::default();
        let (quiet, loud) = (PortId(1), PortId(2));
        addresses.hear(now, address(u32::MAX), quiet, false);
        let mut displaced = 0;
        for number in 0..10_000 {
            now += Duration::from_millis(1);
            // This one is heard all the time, and stays.
            addresses.hear(now, address(0), loud, false);
            if addresses.hear(now, address(number), loud, false) == Heard::Displaced {
                displaced += 1;
            }
        }
        assert_eq!(displaced, 10_000 - ADDRESSES_PER_PORT_MAX);
        assert_eq!(addresses.iter().count(), ADDRESSES_PER_PORT_MAX + 1);
        assert_eq!(addresses.find(now, address(u32::MAX)), Some(quiet));
        assert_eq!(addresses.find(now, address(0)), Some(loud));
        addresses.close(loud);
        assert_eq!(addresses.iter().count(), 1);
        assert_eq!(addresses.by_port.len(), 1);
    }

    #[test]
    fn an_address_stays_with_its_port_until_it_is_aged() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        let mut hear =
            |after, port, may_take| addresses.hear(now + after, address(7), PortId(port), may_take);
        let aged = ADDRESS_AGE_MAX;
        assert_eq!(hear(Duration::ZERO, 1, false), Heard::Own);
        assert_eq!(hear(Duration::ZERO, 2, false), Heard::Foreign);
        assert_eq!(hear(aged, 2, false), Heard::Own, "aged");
        assert_eq!(hear(aged, 3, true), Heard::Own, "by its rank");
        assert_eq!(hear(aged, 2, false), Heard::Foreign);
        addresses.close(PortId(3));
        assert_eq!(addresses.iter().count(), 0);
    }
}
