//! Who may be in a handshake: a bounded number at once, few from one source, and under load only those that have shown that they
//! receive at the address that they send from.

use super::peer::Peer;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Peers that may be in their handshake at once.
const PLACES_MAX: usize = 64;
/// From so many on, a source must show that its address is its own (QUIC's Retry).
const PLACES_UNPROVEN_MAX: usize = 16;
/// Places that one source may take.
const PLACES_PER_SOURCE_MAX: usize = 4;
/// Places that are kept for the hosts of configured peers.
const PLACES_FOR_PEERS: usize = 16;

/// What to do with a connection that wants to come in.
#[derive(Debug)]
pub(super) enum Admission {
    /// It may shake hands, as long as this lives.
    Place(Place),
    /// It must first show that its address is its own.
    Prove,
    /// There is no place.
    Full,
}

#[derive(Debug, Default)]
pub(super) struct Places {
    peers: Vec<Peer>,
    taken: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Places {
    pub(super) fn new(peers: &[Peer]) -> Arc<Self> {
        Arc::new(Self {
            peers: peers.to_vec(),
            taken: Mutex::default(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        // Each change is a single operation.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a connection from `source`, which has proven that this is its address or has not.
    pub(super) fn ask(self: &Arc<Self>, source: IpAddr, proven: bool) -> Admission {
        let source = source.to_canonical();
        let mut taken = self.taken();
        let all: usize = taken.values().sum();
        let own = taken.get(&source).copied().unwrap_or(0);
        // Half of a source's places are for those who have proven that it is theirs.
        if !proven && (all >= PLACES_UNPROVEN_MAX || own >= PLACES_PER_SOURCE_MAX / 2) {
            return Admission::Prove;
        }
        let most = if self.peers.iter().any(|peer| peer.is_at(source)) {
            PLACES_MAX
        } else {
            PLACES_MAX - PLACES_FOR_PEERS
        };
        if all >= most || own >= PLACES_PER_SOURCE_MAX {
            return Admission::Full;
        }
        taken.insert(source, own + 1);
        Admission::Place(Place {
            places: Arc::clone(self),
            source,
        })
    }
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(own) = taken.get_mut(&self.source) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    fn address(last: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(last))
    }

    #[test]
    fn strangers_prove_themselves_under_load_and_leave_room_for_peers() {
        let peer = address(1_000_000);
        let places = Places::new(&[SocketAddr::new(peer, 7).into()]);
        let mut held = Vec::new();
        let mut take = |source, proven| match places.ask(source, proven) {
            Admission::Place(place) => {
                held.push(place);
                "place"
            }
            Admission::Prove => "prove",
            Admission::Full => "full",
        };
        for proven in [false, false, true, true] {
            assert_eq!(take(address(1), proven), "place");
        }
        assert_eq!(take(address(1), true), "full", "one source has few places");
        for _ in 0..2 {
            assert_eq!(take(address(2), false), "place");
        }
        let half = "whoever forges an address leaves room for whoever has it";
        assert_eq!(take(address(2), false), "prove", "{half}");
        for source in 3..13 {
            assert_eq!(take(address(source), false), "place");
        }
        assert_eq!(take(address(20), false), "prove");
        for source in 20..52 {
            assert_eq!(take(address(source), true), "place");
        }
        assert_eq!(take(address(100), true), "full");
        assert_eq!(take(peer, false), "prove");
        assert_eq!(take(peer, true), "place", "there is room for peers");
        held.clear();
        assert!(matches!(
            places.ask(address(100), false),
            Admission::Place(_)
        ));
    }
}
