//! A link between two nodes as bad as wanted: a relay of UDP packets that delays, loses, reorders and queues them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Larger payloads than an Ethernet frame carries are dropped in silence, as on the Internet.
const PAYLOAD_BYTES_MAX: usize = 1472;
/// Headers of Ethernet, IPv4 and UDP, which take their time on the wire, too.
const HEADER_BYTES: usize = 42;
/// What a router keeps when packets come faster than they can leave.
const QUEUE_BYTES_MAX: usize = 256 << 10;
/// So much may be on its way on a link whose bandwidth has no bound.
const FLIGHT_BYTES_MAX: usize = 64 << 20;
/// Out of a thousand packets so many come late, where packets are reordered.
const LATE_PER_MILLE: u64 = 50;
/// Threads look so often whether the relay has ended.
const LOOK: Duration = Duration::from_millis(100);

/// How good or bad a link is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) round_trip: Duration,
    /// Out of a thousand packets so many are lost, in each direction.
    pub(super) loss_per_mille: u64,
    /// Some packets come late, by up to half a round trip.
    pub(super) reorders: bool,
    /// In each direction, of Ethernet's frames.
    pub(super) bits_per_second: Option<u64>,
}

/// A relay at work. It ends with this value.
pub(super) struct Relay {
    /// Where each end finds the other.
    pub(super) addresses: [SocketAddr; 2],
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    over: AtomicBool,
    ways: [Way; 2],
}

/// One direction.
#[derive(Default)]
struct Way {
    lane: Mutex<Lane>,
    changed: Condvar,
}

#[derive(Default)]
struct Lane {
    /// When each packet leaves, and in which order packets of one instant do.
    packets: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    bytes: usize,
    count: u64,
    /// When the last bit that was accepted will have left the router.
    busy_until: Option<Instant>,
}

impl Relay {
    /// Relays between `ends`, each of which must send to its own of the relay's addresses.
    pub(super) fn start(ends: [SocketAddr; 2], weather: Weather) -> Result<Self> {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no UDP port is free");
        let sockets = [Arc::new(bind()?), Arc::new(bind()?)];
        let addresses = [sockets[0].local_addr()?, sockets[1].local_addr()?];
        let shared = Arc::new(Shared {
            over: AtomicBool::new(false),
            ways: [Way::default(), Way::default()],
        });
        let mut threads = Vec::new();
        for from in [0, 1] {
            let to = 1 - from;
            sockets[from].set_read_timeout(Some(LOOK))?;
            let (socket, state) = (Arc::clone(&sockets[from]), Arc::clone(&shared));
            let seed = from as u64 + 1;
            threads.push(thread::spawn(move || {
                take_in(&socket, &state, from, weather, seed);
            }));
            let (socket, state) = (Arc::clone(&sockets[to]), Arc::clone(&shared));
            threads.push(thread::spawn(move || {
                give_out(&socket, &state, from, ends[to]);
            }));
        }
        Ok(Self {
            addresses,
            shared,
            threads,
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

fn take_in(socket: &UdpSocket, shared: &Shared, from: usize, weather: Weather, seed: u64) {
    let way = &shared.ways[from];
    let mut random = Random(seed);
    let mut buffer = vec![0; 65_536];
    while !shared.over.load(Ordering::Relaxed) {
        // A timeout, or an end that is not there yet.
        let Ok(bytes) = socket.recv(&mut buffer) else {
            continue;
        };
        let now = Instant::now();
        if bytes > PAYLOAD_BYTES_MAX || random.chance(weather.loss_per_mille) {
            continue;
        }
        let mut delay = weather.round_trip / 2;
        if weather.reorders && random.chance(LATE_PER_MILLE) {
            delay += (weather.round_trip / 2).mul_f64(random.share());
        }
        let mut lane = way.lane.lock().unwrap_or_else(PoisonError::into_inner);
        if lane.accept(now, delay, &buffer[..bytes], weather.bits_per_second) {
            way.changed.notify_one();
        }
    }
}

impl Lane {
    /// Takes a packet, if there is room; whether there was.
    fn accept(&mut self, now: Instant, delay: Duration, packet: &[u8], rate: Option<u64>) -> bool {
        let mut leaves = now;
        if let Some(rate) = rate {
            let takes = |bytes: usize| Duration::from_nanos(bytes as u64 * 8_000_000_000 / rate);
            let begins = self.busy_until.map_or(now, |until| until.max(now));
            if begins - now > takes(QUEUE_BYTES_MAX) {
                return false;
            }
            leaves = begins + takes(packet.len() + HEADER_BYTES);
            self.busy_until = Some(leaves);
        }
        if self.bytes + packet.len() > FLIGHT_BYTES_MAX {
            return false;
        }
        self.bytes += packet.len();
        self.count += 1;
        (self.packets).push(Reverse((leaves + delay, self.count, packet.to_vec())));
        true
    }
}

fn give_out(socket: &UdpSocket, shared: &Shared, from: usize, to: SocketAddr) {
    let way = &shared.ways[from];
    let mut due = Vec::new();
    while !shared.over.load(Ordering::Relaxed) {
        let mut lane = way.lane.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while lane
            .packets
            .peek()
            .is_some_and(|Reverse((at, ..))| *at <= now)
        {
            let Some(Reverse((.., packet))) = lane.packets.pop() else {
                break;
            };
            lane.bytes -= packet.len();
            due.push(packet);
        }
        if due.is_empty() {
            let next = lane.packets.peek().map(|Reverse((at, ..))| *at - now);
            let pause = next.unwrap_or(LOOK).min(LOOK);
            drop(way.changed.wait_timeout(lane, pause));
            continue;
        }
        drop(lane);
        for packet in due.drain(..) {
            // An end that is not there hears nothing.
            let _ = socket.send_to(&packet, to);
        }
    }
}

/// SplitMix64: the same link loses the same packets in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weather() -> Weather {
        Weather {
            round_trip: Duration::from_millis(4),
            loss_per_mille: 0,
            reorders: false,
            bits_per_second: None,
        }
    }

    fn end() -> UdpSocket {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        socket
    }

    #[test]
    fn packets_pass_in_order_and_no_sooner_than_the_link_allows() {
        let (one, other) = (end(), end());
        let ends = [one.local_addr().unwrap(), other.local_addr().unwrap()];
        let relay = Relay::start(ends, weather()).unwrap();
        let begin = Instant::now();
        for number in 0..50u8 {
            one.send_to(&[number], relay.addresses[0]).unwrap();
        }
        one.send_to(&[0; PAYLOAD_BYTES_MAX + 1], relay.addresses[0])
            .unwrap();
        one.send_to(&[50], relay.addresses[0]).unwrap();
        let mut buffer = [0; 16];
        for number in 0..=50 {
            assert_eq!(other.recv(&mut buffer).unwrap(), 1);
            assert_eq!(buffer[0], number);
        }
        assert!(begin.elapsed() >= Duration::from_millis(2));
    }

    #[test]
    fn a_slow_link_drops_what_its_queue_cannot_take() {
        let mut lane = Lane::default();
        let now = Instant::now();
        let packet = [0; 1_000];
        let taken =
            (0..1_000).filter(|_| lane.accept(now, Duration::ZERO, &packet, Some(10_000_000)));
        let taken = taken.count();
        let most = QUEUE_BYTES_MAX / (packet.len() + HEADER_BYTES) + 2;
        assert!(taken <= most && taken + 2 > most, "{taken} of {most}");
    }
}
