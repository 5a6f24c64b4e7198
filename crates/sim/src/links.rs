//! The channels between the processes of a cluster, and what travels on them.

use crate::channel::Channel;
use crate::cluster::Cluster;
use crate::happening::Happening;
use crate::network::{ProcessIndex, wire_bytes};
use crate::people::{COMES_AGAIN_AFTER, Introduction, NAMES};
use crate::process::{Arrival, Life};
use replica::Event;
use replication::{HostId, Message, NodeId};

pub(crate) const CHANNEL_TICK: u64 = 10_000;

impl Cluster {
    pub(crate) fn send(&mut self, from: ProcessIndex, to: ProcessIndex, message: Message) {
        let now = self.queue.now();
        let bytes = wire_bytes(&message);
        let is_datagram = message.is_datagram(self.config.bounds.datagram_bytes_max);
        let arrival = Arrival::Event(Event::Message {
            from: self.processes[from].node,
            message,
        });
        if is_datagram {
            for at in self.network.datagram_arrivals(now, from, to, bytes) {
                self.queue.at(
                    at,
                    Happening::Arrives {
                        to,
                        channel: None,
                        from,
                        arrival: arrival.clone(),
                    },
                );
            }
            return;
        }
        let channel = self.channel(from, to);
        if !channel.up {
            return;
        }
        let generation = channel.generation;
        if let Some(rough) = self.network.rough {
            for (at, outlives) in self.network.rough_arrivals(now, rough, from, to) {
                self.queue.at(
                    at,
                    Happening::Arrives {
                        to,
                        channel: (!outlives).then_some(generation),
                        from,
                        arrival: arrival.clone(),
                    },
                );
            }
            return;
        }
        let channel = self.channel(from, to);
        let direction = usize::from(from < to);
        if !channel.backlog[direction].is_empty() {
            channel.backlog[direction].push_back(arrival);
            return;
        }
        match self.network.channel_arrival(now, from, to, bytes) {
            Some(at) => self.queue.at(
                at,
                Happening::Arrives {
                    to,
                    channel: Some(generation),
                    from,
                    arrival,
                },
            ),
            None => self.channel(from, to).backlog[direction].push_back(arrival),
        }
    }

    /// Whether what was sent by a channel, or as a datagram, still comes in.
    pub(crate) fn is_carried(
        &mut self,
        from: ProcessIndex,
        to: ProcessIndex,
        channel: Option<u64>,
    ) -> bool {
        let now = self.channel(from, to);
        match channel {
            Some(generation) => now.generation == generation,
            None => from == to || now.introduction.is_some(),
        }
    }

    /// Brings channels up, flushes what waited behind a cut, and tears down those that were cut for too long or
    /// whose other end is gone.
    pub(crate) fn tick_channels(&mut self) {
        let now = self.queue.now();
        let patience = self.network.weather.channel_patience;
        for higher in 1..self.processes.len() {
            for lower in 0..higher {
                let alive = [lower, higher].map(|index| self.processes[index].is_alive());
                if alive == [false, false] {
                    continue;
                }
                let works = alive == [true, true] && self.network.connects(lower, higher);
                let paused = [lower, higher]
                    .iter()
                    .any(|&index| self.processes[index].life == Life::Paused);
                let channel = self.channel(lower, higher);
                if works && (channel.up || !paused) {
                    channel.cut_since = None;
                    if !channel.up {
                        self.connect(lower, higher);
                    }
                    self.flush(lower, higher);
                } else if channel.up {
                    let since = *channel.cut_since.get_or_insert(now);
                    if now - since > patience {
                        self.disconnect(lower, higher);
                    }
                }
            }
        }
        self.queue.after(CHANNEL_TICK, Happening::Channels);
    }

    fn connect(&mut self, lower: ProcessIndex, higher: ProcessIndex) {
        let now = self.now();
        if self.channel(lower, higher).again_at > now {
            return;
        }
        let introduction = self.introduce(lower, higher);
        if introduction.is_none() {
            self.channel(lower, higher).again_at = now + COMES_AGAIN_AFTER;
            return;
        }
        self.generations += 1;
        let generation = self.generations;
        let channel = self.channel(lower, higher);
        *channel = Channel {
            generation,
            up: true,
            introduction,
            ..Channel::default()
        };
        let hosts = [lower, higher].map(|index| {
            let process = &self.processes[index];
            (process.node, HostId::of_name(NAMES[process.host]))
        });
        self.tell_both(lower, higher, |peer| {
            let (_, host) = hosts[usize::from(peer == hosts[1].0)];
            Event::Connected { peer, host }
        });
    }

    /// Tears a channel down at once: what was on its way is lost.
    pub(crate) fn disconnect(&mut self, one: ProcessIndex, other: ProcessIndex) {
        let channel = self.channel(one, other);
        *channel = Channel {
            introduction: channel.introduction,
            ..Channel::default()
        };
        self.tell_both(one, other, |peer| Event::Disconnected { peer });
    }

    fn tell_both(
        &mut self,
        one: ProcessIndex,
        other: ProcessIndex,
        event: impl Fn(NodeId) -> Event,
    ) {
        for (to, peer) in [(one, other), (other, one)] {
            let event = event(self.processes[peer].node);
            self.schedule_event(to, self.queue.now(), event);
        }
    }

    fn flush(&mut self, lower: ProcessIndex, higher: ProcessIndex) {
        let now = self.queue.now();
        for (from, to) in [(lower, higher), (higher, lower)] {
            let direction = usize::from(from < to);
            let generation = self.channel(from, to).generation;
            let waiting = std::mem::take(&mut self.channel(from, to).backlog[direction]);
            for arrival in waiting {
                let bytes = match &arrival {
                    Arrival::Event(Event::Message { message, .. }) => wire_bytes(message),
                    _ => 0,
                };
                let at = self
                    .network
                    .channel_arrival(now, from, to, bytes)
                    .expect("the link works");
                self.queue.at(
                    at,
                    Happening::Arrives {
                        to,
                        channel: Some(generation),
                        from,
                        arrival,
                    },
                );
            }
        }
    }

    /// Two processes meet; none if one of them does not want the other.
    pub(crate) fn introduce(
        &mut self,
        lower: ProcessIndex,
        higher: ProcessIndex,
    ) -> Option<Introduction> {
        let now = self.now();
        let hosts = [lower, higher].map(|index| self.processes[index].host);
        let ask = |listener: ProcessIndex, at: usize, peer: ProcessIndex| {
            let shown = self.people.certificate(hosts[1 - at]);
            let hello = self.people.hello(peer);
            self.people.ask(now, (listener, hosts[at]), shown, hello)
        };
        match ask(lower, 0, higher).and_then(|()| ask(higher, 1, lower)) {
            Ok(()) => Some(self.people.introduction(now, hosts)),
            Err(why) => {
                self.counts.turned_away += 1;
                self.note(|| format!("{lower} and {higher} do not become peers: {why:?}"));
                None
            }
        }
    }
}
