//! What was last said to a guest and may not have reached its log: its next owner is told that again.
//!
//! An owner that dies takes with it what it had received and not logged yet. A frame may come twice on any network,
//! while one that is lost costs its sender a timeout (passt's is 2 s). Yet each repetition costs the guest an answer in the
//! very moment in which everybody waits for it. Of TCP, the switch therefore says again only what is still open: a
//! segment that the guest has acknowledged is in the log of whoever comes next, since the acknowledgement would not have
//! left before (the output rule), and a bare acknowledgement is overtaken by any later segment of its connection.

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Frames remembered at most,
const FRAMES_MAX: usize = 512;
/// their bytes,
const BYTES_MAX: usize = 1 << 20;
/// and their age: by then whoever misses an answer has asked again.
const AGE_MAX: Duration = Duration::from_secs(2);

const ETHERNET_BYTES: usize = 14;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const PROTOCOL_TCP: u8 = 6;
const FIN: u8 = 1;
const SYN: u8 = 1 << 1;
const RST: u8 = 1 << 2;
const ACK: u8 = 1 << 4;

/// The last frames for one guest that are still open, oldest first. Whatever a frame says, the work for it does not grow
/// with what is remembered: of a connection, only the oldest segments and the one bare acknowledgement are looked at.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// By when they came: the number counts frames.
    frames: BTreeMap<u64, Said>,
    flows: HashMap<Flow, Open>,
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    flow: Option<Flow>,
    frame: Bytes,
}

/// What is remembered of one direction of a connection, by the frames' numbers.
#[derive(Debug, Default)]
struct Open {
    /// Segments that occupy sequence numbers, in the order in which they came, with the number after each.
    segments: VecDeque<(u64, u32)>,
    /// The newest one that only acknowledges, if nothing came after it.
    bare: Option<u64>,
}

impl Recent {
    /// A frame for the guest came by. It is copied: what it came in with is much larger.
    pub(super) fn remember(&mut self, now: Instant, frame: &[u8]) {
        let segment = Segment::of_frame(frame);
        let number = self.next;
        self.next += 1;
        if let Some(new) = segment {
            let open = self.flows.entry(new.flow).or_default();
            let overtaken = open.bare.take();
            if new.is_bare() {
                open.bare = Some(number);
            } else {
                open.segments.push_back((number, new.end));
            }
            if let Some(overtaken) = overtaken {
                self.forget(overtaken);
            }
        }
        self.bytes += frame.len();
        let said = Said {
            at: now,
            flow: segment.map(|segment| segment.flow),
            frame: Bytes::copy_from_slice(frame),
        };
        self.frames.insert(number, said);
        while self.frames.len() > FRAMES_MAX || self.bytes > BYTES_MAX || self.is_aged(now) {
            self.forget_oldest();
        }
    }

    /// A frame of the guest came by.
    pub(super) fn answered(&mut self, frame: &[u8]) {
        let Some(answer) = Segment::of_frame(frame) else {
            return;
        };
        let (flow, Some(acknowledged)) = (answer.flow.reversed(), answer.acknowledged) else {
            return;
        };
        let Some(open) = self.flows.get_mut(&flow) else {
            return;
        };
        // One that came out of order is said again once too often at worst.
        let mut over = 0;
        while let Some(&(number, end)) = open.segments.front()
            && !is_after(end, acknowledged)
        {
            open.segments.pop_front();
            if let Some(said) = self.frames.remove(&number) {
                over += said.frame.len();
            }
        }
        self.bytes -= over;
        if open.segments.is_empty() && open.bare.is_none() {
            self.flows.remove(&flow);
        }
    }

    /// What is still open, oldest first. It stays open: whoever hears it may die, too.
    pub(super) fn open(&self, now: Instant) -> impl Iterator<Item = &Bytes> {
        let open = move |said: &&Said| now.duration_since(said.at) < AGE_MAX;
        self.frames.values().filter(open).map(|said| &said.frame)
    }

    fn is_aged(&self, now: Instant) -> bool {
        let oldest = self.frames.first_key_value();
        oldest.is_some_and(|(_, said)| now.duration_since(said.at) >= AGE_MAX)
    }

    fn forget(&mut self, number: u64) {
        if let Some(said) = self.frames.remove(&number) {
            self.bytes -= said.frame.len();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((number, said)) = self.frames.pop_first() else {
            return;
        };
        self.bytes -= said.frame.len();
        let Some(flow) = said.flow else {
            return;
        };
        // The oldest of all is the oldest of its flow, too.
        if let Some(open) = self.flows.get_mut(&flow) {
            if open.bare == Some(number) {
                open.bare = None;
            }
            open.segments.pop_front_if(|(oldest, _)| *oldest == number);
            if open.segments.is_empty() && open.bare.is_none() {
                self.flows.remove(&flow);
            }
        }
    }
}

/// One direction of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
}

impl Flow {
    fn reversed(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }
}

/// What a TCP segment (RFC 9293) says about sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    flow: Flow,
    start: u32,
    /// The sequence number after it.
    end: u32,
    acknowledged: Option<u32>,
    resets: bool,
}

impl Segment {
    /// The segment in an Ethernet frame; none in fragments, behind IPv6 extension headers, and in anything else.
    fn of_frame(frame: &[u8]) -> Option<Self> {
        let (header, packet) = frame.split_at_checked(ETHERNET_BYTES)?;
        let (from, to, segment) = match [header[12], header[13]] {
            ETHERTYPE_IPV4 => of_ipv4(packet)?,
            ETHERTYPE_IPV6 => of_ipv6(packet)?,
            _ => return None,
        };
        let (ports, rest) = segment.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<4>()?;
        let (acknowledged, rest) = rest.split_first_chunk::<4>()?;
        let (&[offset, flags], _) = rest.split_first_chunk::<2>()?;
        let data = segment.len().checked_sub(usize::from(offset >> 4) * 4)?;
        let occupies =
            u32::try_from(data).ok()? + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        let start = u32::from_be_bytes(*sequence);
        let [a, b, c, d] = *ports;
        Some(Self {
            flow: Flow {
                from: (from, u16::from_be_bytes([a, b])),
                to: (to, u16::from_be_bytes([c, d])),
            },
            start,
            end: start.wrapping_add(occupies),
            acknowledged: (flags & ACK != 0).then(|| u32::from_be_bytes(*acknowledged)),
            resets: flags & RST != 0,
        })
    }

    /// Only acknowledges.
    fn is_bare(&self) -> bool {
        self.start == self.end && !self.resets
    }
}

/// Whether sequence number `a` comes after `b`.
fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).wrapping_sub(1) < 1 << 31
}

/// Source, destination and TCP segment.
type Carried<'a> = (IpAddr, IpAddr, &'a [u8]);

fn of_ipv4(packet: &[u8]) -> Option<Carried<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    // Neither more fragments to come, nor an offset.
    let whole = u16::from_be_bytes([header[6], header[7]]) & 0x3fff == 0;
    if header[0] >> 4 != 4 || !whole || header[9] != PROTOCOL_TCP {
        return None;
    }
    let segment = packet.get(usize::from(header[0] & 15) * 4..length)?;
    let address = |at: usize| {
        let octets: &[u8; 4] = header[at..].first_chunk()?;
        Some(IpAddr::from(Ipv4Addr::from(*octets)))
    };
    Some((address(12)?, address(16)?, segment))
}

fn of_ipv6(packet: &[u8]) -> Option<Carried<'_>> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || header[6] != PROTOCOL_TCP {
        return None;
    }
    let address = |at: usize| {
        let octets: &[u8; 16] = header[at..].first_chunk()?;
        Some(IpAddr::from(Ipv6Addr::from(*octets)))
    };
    Some((address(8)?, address(24)?, rest.get(..length)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Stations `from` and `to` have a connection each with every other, by IPv4 or IPv6.
    fn segment(v6: bool, (from, to): (u8, u8), (sequence, data): (u32, u16), ack: u32) -> Bytes {
        let mut frame = vec![0; 12];
        let length = 20 + data;
        if v6 {
            frame.extend(ETHERTYPE_IPV6);
            frame.extend([0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([PROTOCOL_TCP, 64]);
            frame.extend([from; 16]);
            frame.extend([to; 16]);
        } else {
            frame.extend(ETHERTYPE_IPV4);
            frame.extend([0x45, 0]);
            frame.extend((20 + length).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, PROTOCOL_TCP, 0, 0]);
            frame.extend([from; 4]);
            frame.extend([to; 4]);
        }
        frame.extend([0, from, 0, to]);
        frame.extend(sequence.to_be_bytes());
        frame.extend(ack.to_be_bytes());
        frame.extend([0x50, ACK, 0, 0, 0, 0, 0, 0]);
        frame.resize(frame.len() + usize::from(data), 7);
        // Ethernet's padding is no data.
        frame.resize(frame.len().max(60), 0);
        Bytes::from(frame)
    }

    const GUEST: u8 = 1;

    fn is_open(recent: &Recent, now: Instant, wanted: &[&Bytes]) -> bool {
        let bytes: usize = recent.frames.values().map(|said| said.frame.len()).sum();
        let segments: usize = (recent.flows.values())
            .map(|open| open.segments.len() + usize::from(open.bare.is_some()))
            .sum();
        let counted = (recent.frames.values())
            .filter(|said| said.flow.is_some())
            .count();
        recent.bytes == bytes && segments == counted && recent.open(now).eq(wanted.iter().copied())
    }

    #[test]
    fn only_what_the_guest_has_not_acknowledged_is_said_again() {
        for v6 in [false, true] {
            let now = Instant::now();
            let mut recent = Recent::default();
            // The sequence numbers wrap.
            let to_guest = |sequence: u32, data, ack| {
                segment(v6, (2, GUEST), (sequence.wrapping_sub(20), data), ack)
            };
            let other = segment(v6, (3, GUEST), (10, 5), 1);
            let (first, second) = (to_guest(0, 13, 100), to_guest(13, 13, 107));
            for frame in [&first, &other, &second] {
                recent.remember(now, frame);
            }
            assert!(is_open(&recent, now, &[&first, &other, &second]));
            let answer = |ack: u32| segment(v6, (GUEST, 2), (107, 7), ack.wrapping_sub(20));
            recent.answered(&answer(12));
            assert!(is_open(&recent, now, &[&first, &other, &second]));
            recent.answered(&answer(13));
            assert!(is_open(&recent, now, &[&other, &second]));
            recent.answered(&answer(26));
            assert!(is_open(&recent, now, &[&other]));
            assert!(is_open(&recent, now, &[&other]), "whoever heard it may die");
        }
    }

    #[test]
    fn of_bare_acknowledgements_the_newest_is_said_again() {
        let now = Instant::now();
        let mut recent = Recent::default();
        let bare = |ack| segment(false, (2, GUEST), (50, 0), ack);
        let other = segment(false, (3, GUEST), (50, 0), 1);
        for frame in [&bare(1), &other, &bare(2), &bare(3)] {
            recent.remember(now, frame);
        }
        assert!(is_open(&recent, now, &[&other, &bare(3)]));
        recent.answered(&segment(false, (GUEST, 2), (9, 7), 50));
        assert!(is_open(&recent, now, &[&other, &bare(3)]));
        let data = segment(false, (2, GUEST), (50, 4), 3);
        recent.remember(now, &data);
        assert!(is_open(&recent, now, &[&other, &data]));
    }

    #[test]
    fn it_is_bounded_in_number_bytes_and_age() {
        let mut now = Instant::now();
        let mut recent = Recent::default();
        let datagram = |length| Bytes::from(vec![0u8; length]);
        for _ in 0..FRAMES_MAX + 9 {
            recent.remember(now, &datagram(60));
        }
        assert_eq!(recent.open(now).count(), FRAMES_MAX);
        for _ in 0..99 {
            recent.remember(now, &datagram(60_000));
        }
        assert_eq!(recent.open(now).count(), BYTES_MAX / 60_000);
        now += AGE_MAX;
        assert_eq!(recent.open(now).count(), 0);
        recent.remember(now, &datagram(60));
        assert_eq!((recent.frames.len(), recent.bytes), (1, 60));
    }

    #[test]
    fn many_connections_leave_nothing_behind() {
        let now = Instant::now();
        let mut recent = Recent::default();
        for from in 2..=u8::MAX {
            for to in 0..40 {
                recent.remember(now, &segment(false, (from, to), (0, u16::from(to % 2)), 1));
            }
        }
        assert_eq!(recent.frames.len(), FRAMES_MAX);
        assert!(recent.flows.len() <= FRAMES_MAX);
        recent.remember(now + AGE_MAX, &[0; 60]);
        assert_eq!((recent.frames.len(), recent.flows.len()), (1, 0));
    }

    proptest! {
        #[test]
        fn no_frame_is_too_strange(
            v6 in any::<bool>(),
            data in 0u16..40,
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            length in any::<prop::sample::Index>(),
        ) {
            let mut frame = segment(v6, (2, GUEST), (5, data), 6).to_vec();
            for (at, byte) in damage {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            frame.truncate(length.index(frame.len()) + 1);
            let mut recent = Recent::default();
            recent.remember(Instant::now(), &frame);
            recent.answered(&frame);
        }
    }
}
