//! The network between nodes. A *channel* is what QUIC gives: ordered and reliable while it lives, late at
//! times, and gone with its last messages when a partition outlasts it. *Datagrams* get lost, doubled,
//! delayed and reordered.

use crate::link::Link;
use crate::random::Random;
use replication::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Hosts of a cluster: the pair and one standby.
pub(crate) const HOSTS: usize = 3;

/// Index of a process in the cluster, in order of birth.
pub(crate) type ProcessIndex = usize;

/// How bad the network is. Times in microseconds, chances in thousandths.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Shortest delay of a packet.
    pub(crate) delay_min: u64,
    /// Longest ordinary delay.
    pub(crate) delay_max: u64,
    /// Chance that a packet is lost (a channel resends it after `resend`).
    pub(crate) loss: u64,
    /// Chance that a datagram is doubled.
    pub(crate) double: u64,
    /// How long a channel takes to resend.
    pub(crate) resend: u64,
    /// A channel that has been cut for this long is torn down.
    pub(crate) channel_patience: u64,
    /// Bytes a second that a direction carries; 0: as many as wanted.
    pub(crate) bandwidth: u64,
}

/// A datagram that would wait for longer than this before it leaves is dropped, in microseconds.
const QUEUE_US_MAX: u64 = 150_000;
/// Bytes of all headers around a message.
const HEADER_BYTES: u64 = 90;

/// Bytes that a message takes on the wire.
pub(crate) fn wire_bytes(message: &Message) -> u64 {
    HEADER_BYTES + message.entry_bytes()
}

impl Weather {
    /// A quiet local network.
    pub(crate) fn fair() -> Self {
        Self {
            delay_min: 30,
            delay_max: 200,
            loss: 0,
            double: 0,
            resend: 3_000,
            channel_patience: 1_500_000,
            bandwidth: 0,
        }
    }

    /// That of one link, for all of the time.
    pub(crate) fn over(link: Link) -> Self {
        let one_way = link.round_trip_us / 2;
        let late = if link.reorders { one_way } else { 0 };
        Self {
            delay_min: one_way,
            delay_max: one_way + late,
            loss: link.loss_per_mille,
            double: 0,
            resend: link.round_trip_us * 2,
            channel_patience: 1_500_000,
            bandwidth: link.bytes_per_second,
        }
    }

    /// Some storm, chosen by `random`.
    pub(crate) fn storm(random: &mut Random) -> Self {
        Self {
            delay_min: 30,
            delay_max: *random.choose(&[200, 2_000, 20_000, 80_000]),
            loss: *random.choose(&[0, 5, 50, 200]),
            double: *random.choose(&[0, 20, 200]),
            resend: *random.choose(&[3_000, 26_000]),
            channel_patience: *random.choose(&[300_000, 1_500_000]),
            bandwidth: *random.choose(&[0, 0, 1_250_000, 125_000]),
        }
    }
}

/// A network that breaks even the promises of a channel, as the protocol claims to stand it: chances in thousandths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rough {
    /// A message is lost.
    loss: u64,
    /// It comes twice.
    double: u64,
    /// It comes late, after others.
    late: u64,
    /// How late at most, in microseconds.
    late_by_max: u64,
}

/// A direction between two processes.
type Direction = (ProcessIndex, ProcessIndex);

/// The state of all links.
#[derive(Debug)]
pub(crate) struct Network {
    random: Random,
    /// How bad it is now.
    pub(crate) weather: Weather,
    /// Whether channels break their promises.
    pub(crate) rough: Option<Rough>,
    /// Whether some state transfers arrive damaged.
    pub(crate) damages_states: bool,
    cut: BTreeSet<Direction>,
    /// When the newest message of a channel's direction arrives: the next may not overtake it.
    newest_arrival: BTreeMap<Direction, u64>,
    /// Until when what was sent keeps a direction busy.
    busy_until: BTreeMap<Direction, u64>,
}

impl Network {
    /// A network with fair weather, rough in some simulations.
    pub(crate) fn new(mut random: Random) -> Self {
        let rough = random.chance(300).then(|| Rough {
            loss: *random.choose(&[0, 10, 100, 300]),
            double: *random.choose(&[0, 50, 300]),
            late: *random.choose(&[0, 10, 100]),
            late_by_max: *random.choose(&[5_000, 100_000, 1_500_000]),
        });
        Self {
            random,
            rough,
            damages_states: false,
            weather: Weather::fair(),
            cut: BTreeSet::new(),
            newest_arrival: BTreeMap::new(),
            busy_until: BTreeMap::new(),
        }
    }

    /// Cuts one direction.
    pub(crate) fn cut(&mut self, from: ProcessIndex, to: ProcessIndex) {
        self.cut.insert((from, to));
    }

    /// Heals one direction.
    pub(crate) fn heal(&mut self, from: ProcessIndex, to: ProcessIndex) {
        self.cut.remove(&(from, to));
    }

    /// Heals every link and calms the weather.
    pub(crate) fn heal_all(&mut self) {
        self.cut.clear();
        self.weather = Weather::fair();
        self.rough = None;
        self.damages_states = false;
    }

    /// Whether the state that is sent now arrives damaged.
    pub(crate) fn damages_state(&mut self) -> bool {
        self.damages_states && self.random.chance(300)
    }

    /// Whether packets of this direction are dropped now.
    pub(crate) fn is_cut(&self, from: ProcessIndex, to: ProcessIndex) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Whether a channel between the two could work now: it needs both directions.
    pub(crate) fn connects(&self, one: ProcessIndex, other: ProcessIndex) -> bool {
        !self.is_cut(one, other) && !self.is_cut(other, one)
    }

    /// When the last of so many bytes, given to a direction now, has left.
    fn leaves(&mut self, now: u64, link: Direction, bytes: u64) -> u64 {
        let Some(takes) = (bytes * 1_000_000).checked_div(self.weather.bandwidth) else {
            return now;
        };
        let busy_until = self.busy_until.entry(link).or_default();
        *busy_until = now.max(*busy_until) + takes;
        *busy_until
    }

    /// Whether what is given to a direction now would wait too long.
    fn is_full(&self, now: u64, link: Direction) -> bool {
        let busy_until = self.busy_until.get(&link).copied().unwrap_or_default();
        self.weather.bandwidth > 0 && busy_until > now + QUEUE_US_MAX
    }

    fn delay(&mut self) -> u64 {
        self.random
            .between(self.weather.delay_min, self.weather.delay_max + 1)
    }

    /// When a message of so many bytes sent now on the channel `from → to` arrives, in order, or `None` while the link is cut
    /// (the sender must try again).
    pub(crate) fn channel_arrival(
        &mut self,
        now: u64,
        from: ProcessIndex,
        to: ProcessIndex,
        bytes: u64,
    ) -> Option<u64> {
        if !self.connects(from, to) {
            return None;
        }
        let mut arrival = self.leaves(now, (from, to), bytes) + self.delay();
        while self.random.chance(self.weather.loss) {
            arrival += self.weather.resend;
        }
        let newest = self.newest_arrival.entry((from, to)).or_default();
        *newest = arrival.max(*newest);
        Some(*newest)
    }

    /// When the copies of a datagram of so many bytes sent now arrive: none, one or two, in any order with others.
    pub(crate) fn datagram_arrivals(
        &mut self,
        now: u64,
        from: ProcessIndex,
        to: ProcessIndex,
        bytes: u64,
    ) -> Vec<u64> {
        if self.is_cut(from, to) || self.is_full(now, (from, to)) {
            return Vec::new();
        }
        let leaves = self.leaves(now, (from, to), bytes);
        if self.random.chance(self.weather.loss) {
            return Vec::new();
        }
        let mut arrivals = vec![leaves + self.delay()];
        if self.random.chance(self.weather.double) {
            arrivals.push(leaves + self.delay());
        }
        arrivals
    }

    /// When the copies of a channel's message arrive on a rough network, and whether they outlive the channel.
    pub(crate) fn rough_arrivals(
        &mut self,
        now: u64,
        rough: Rough,
        from: ProcessIndex,
        to: ProcessIndex,
    ) -> Vec<(u64, bool)> {
        let mut arrivals = Vec::new();
        let copies = 1 + u64::from(self.random.chance(rough.double));
        for _ in 0..copies {
            let late = self.random.chance(rough.late);
            if self.is_cut(from, to) || self.random.chance(rough.loss) {
                continue;
            }
            let delay = match late {
                true => self.random.between(0, rough.late_by_max),
                false => self.delay(),
            };
            arrivals.push((now + delay, late));
        }
        arrivals
    }
}
