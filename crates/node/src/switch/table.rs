//! What the switch does with a frame, without I/O: where it goes, whom it is answered by, and what is kept of it. Who may say what is
//! [`replication::Rights`]' to decide.

mod addresses;
#[cfg(test)]
mod tests;
mod way_out;

use super::recent::Recent;
use super::secret::SwitchSecret;
use super::word::{Nonce, Word, is_reserved};
use crate::bucket::Bucket;
use crate::config::MacAddress;
pub(super) use addresses::ADDRESSES_PER_PORT_MAX;
use addresses::{Addresses, Heard};
use bytes::Bytes;
use replication::{Epoch, MachineId, PortId, Rights, Verdict, Voice, is_group};
use std::collections::BTreeMap;
use std::time::Instant;
use way_out::{Station, WayOut};

/// Frames that a port may say to all others in a second, or at once after a silence. A network of guests needs some; whoever says
/// more makes guests deaf, each of which must look at all of them.
pub(super) const STORM_FRAMES: u64 = 1_000;

/// What the switch counts, since its start. All but the first are frames or connections that went nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Frames forwarded, to one port or several.
    pub forwarded: u64,
    /// Frames from fenced ports.
    pub fenced: u64,
    /// Frames that found a port's queue full.
    pub overflowed: u64,
    /// Frames to all, beyond what a port may say to all.
    pub stormed: u64,
    /// Frames that the uplink did not hear, because it serves another machine or port.
    pub uplink_taken: u64,
    /// Frames from an address that is not the port's.
    pub foreign: u64,
    /// Frames of the type of claims that were none, or whose proof was wrong.
    pub forged: u64,
    /// Proven claims that were refused: of an older epoch or of one that another node has, to another machine's address, or beyond the bound.
    pub claims_refused: u64,
    /// Frames for a machine that nobody spoke for just then; its next owner may be told the last of them.
    pub unheard: u64,
    /// Addresses of a port that made room for others of that port.
    pub addresses_displaced: u64,
    /// Connections beyond the number of ports.
    pub turned_away: u64,
    /// Times that a connection could not be accepted.
    pub accept_failures: u64,
}

/// What a port is opened as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whoever connects: plain, and a machine's once a claim over the nonce is proven.
    Station(Nonce),
    /// The way to the host's network, which the switch has opened itself: it may take addresses from plain ports.
    Uplink,
}

/// Ports, addresses and machines; with each machine, what was last said to its guest: up to 1 MiB of frames that may have to be
/// said again.
#[derive(Debug)]
pub(super) struct Table {
    /// Its time is counted from here.
    made: Instant,
    rights: Rights<Recent>,
    way_out: WayOut,
    addresses: Addresses,
    /// What ports may still say to all.
    storms: BTreeMap<PortId, Bucket>,
    /// What happened so far.
    pub(super) counters: SwitchCounters,
}

impl Table {
    pub(super) fn new(secret: &SwitchSecret) -> Self {
        Self {
            made: Instant::now(),
            rights: secret.rights(),
            way_out: WayOut::default(),
            addresses: Addresses::default(),
            storms: BTreeMap::new(),
            counters: SwitchCounters::default(),
        }
    }

    fn time_of(&self, now: Instant) -> replication::Instant {
        let since = now.duration_since(self.made).as_micros();
        replication::Instant(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// A port was opened.
    pub(super) fn open(&mut self, port: PortId, kind: Kind) {
        match kind {
            Kind::Station(nonce) => self.rights.open(port, Some(nonce)),
            Kind::Uplink => {
                self.rights.open(port, None);
                self.way_out.open(port);
            }
        }
    }

    /// A port was closed.
    pub(super) fn close(&mut self, now: Instant, port: PortId) {
        self.rights.close(self.time_of(now), port);
        self.way_out.close(port);
        self.storms.remove(&port);
        self.addresses.close(port);
    }

    /// Every address that is known.
    pub(super) fn addresses(&self) -> impl Iterator<Item = MacAddress> {
        let machines = self.rights.machines();
        let spoken = machines.filter(|machine| self.rights.is_open(machine.spoken_by));
        (self.addresses.iter()).chain(spoken.map(|machine| MacAddress(machine.address)))
    }

    /// The addresses that the uplink serves.
    pub(super) fn served(&self) -> impl Iterator<Item = MacAddress> {
        let (machine, port) = match self.way_out.served() {
            Some(Station::Machine(machine)) => (self.rights.known(machine), None),
            Some(Station::Port(port)) => (None, Some(port)),
            None => (None, None),
        };
        let plain = port.map(|port| self.addresses.of(port));
        let machines = machine.map(|machine| MacAddress(machine.address));
        machines.into_iter().chain(plain.into_iter().flatten())
    }

    /// A frame came in on `port`. Calls `send` with each port that it goes to; after a claim, with the answer and what is
    /// told again.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        port: PortId,
        frame: &Bytes,
        send: impl FnMut(PortId, &Bytes),
    ) {
        if is_reserved(frame) {
            self.hear_word(now, port, frame, send);
            return;
        }
        let (Some(destination), Some(source)) = (address_at(frame, 0), address_at(frame, 6)) else {
            return;
        };
        match self.rights.may_say(port, source.0) {
            Voice::Fenced => {
                self.counters.fenced += 1;
                return;
            }
            Voice::Machine(machine) => {
                if let Some(machine) = self.rights.machine(machine) {
                    machine.with.answered(frame);
                }
            }
            Voice::Plain if self.is_own(now, port, source) => {}
            Voice::Plain | Voice::Foreign => {
                self.counters.foreign += 1;
                return;
            }
        }
        self.forward(now, port, destination, frame, send);
    }

    /// Whether a plain port may have the address: none of another plain port, unless the port is the way out.
    fn is_own(&mut self, now: Instant, port: PortId, source: MacAddress) -> bool {
        let may_take = self.way_out.is_uplink(port);
        match self.addresses.hear(now, source, port, may_take) {
            Heard::Own => true,
            Heard::Displaced => {
                self.counters.addresses_displaced += 1;
                true
            }
            Heard::Foreign => false,
        }
    }

    fn forward(
        &mut self,
        now: Instant,
        port: PortId,
        destination: MacAddress,
        frame: &Bytes,
        mut send: impl FnMut(PortId, &Bytes),
    ) {
        if let Some(machine) = self.rights.machine_at(destination.0) {
            // Kept for a machine's next owner, whether or not there is one now to take it.
            machine.with.remember(now, frame);
            let target = machine.spoken_by;
            if !self.rights.is_open(target) {
                self.counters.unheard += 1;
            } else if target != port {
                self.counters.forwarded += 1;
                send(target, frame);
            }
            return;
        }
        let time = self.time_of(now);
        let to_all = is_group(destination.0);
        if !to_all && let Some(target) = self.addresses.find(now, destination) {
            if target == port {
                return;
            }
            if self.way_out.passes(time, port, target, &self.rights) {
                self.counters.forwarded += 1;
                send(target, frame);
            } else {
                self.counters.uplink_taken += 1;
            }
            return;
        }
        let full = || Bucket::new(now, STORM_FRAMES);
        let storm = self.storms.entry(port).or_insert_with(full);
        if !storm.take(now, 1) {
            self.counters.stormed += 1;
            return;
        }
        self.counters.forwarded += 1;
        for (target, is_machines) in self.rights.ports() {
            // What is for one station that is not known yet is for no machine: all of those are known.
            let is_for = !is_machines || (to_all && !self.rights.is_fenced(target));
            if target == port || !is_for {
                continue;
            }
            if self.way_out.passes(time, port, target, &self.rights) {
                send(target, frame);
            } else {
                self.counters.uplink_taken += 1;
            }
        }
    }

    /// Ports that speak for an epoch of the machine that is over, and which.
    fn fenced(&self, machine: MachineId) -> Vec<(PortId, Epoch)> {
        let spoken = |port| Some((port, self.rights.speaks_for(port)?));
        let ports = self.rights.ports().filter_map(|(port, _)| spoken(port));
        ports
            .filter(|(port, (of, _))| *of == machine && self.rights.is_fenced(*port))
            .map(|(port, (_, epoch))| (port, epoch))
            .collect()
    }

    /// A frame of the reserved type. It changes something only if it proves that whoever sent it knows the key of the
    /// machine that it names: a guest may send such frames, too.
    fn hear_word(
        &mut self,
        now: Instant,
        port: PortId,
        frame: &[u8],
        mut send: impl FnMut(PortId, &Bytes),
    ) {
        let Ok(Word::Claim { claim, proof }) = Word::from_frame(frame) else {
            self.counters.forged += 1;
            return;
        };
        let time = self.time_of(now);
        let outcome = self.rights.claim(time, port, &claim, &proof);
        let verdict = outcome.verdict;
        match verdict {
            Verdict::Admitted => {
                self.addresses.forget(MacAddress(claim.address));
                let station = Station::Machine(claim.machine);
                // Whether there is an uplink just now or not.
                self.way_out.serves(time, station, &self.rights);
            }
            Verdict::WrongKey => self.counters.forged += 1,
            Verdict::OlderEpoch | Verdict::EpochTaken | Verdict::AddressTaken | Verdict::NoRoom => {
                self.counters.claims_refused += 1;
            }
        }
        if outcome.is_first {
            self.addresses.close(port);
        }
        let answer = |epoch, verdict| Bytes::from(Word::Answer { epoch, verdict }.to_frame());
        send(port, &answer(claim.epoch, verdict));
        if verdict == Verdict::Admitted {
            for (fenced, epoch) in self.fenced(claim.machine) {
                send(fenced, &answer(epoch, Verdict::OlderEpoch));
            }
        }
        if outcome.moved
            && let Some(machine) = self.rights.machine(claim.machine)
        {
            machine.with.open(now).for_each(|frame| send(port, frame));
        }
    }
}

fn address_at(frame: &[u8], at: usize) -> Option<MacAddress> {
    let bytes = frame.get(at..at + 6)?;
    Some(MacAddress(bytes.try_into().ok()?))
}
