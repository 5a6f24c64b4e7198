//! The switch's decisions, without I/O: which port is whose, where an address was last seen, where a frame goes.

use super::hello::{HelloError, SwitchHello};
use super::recent::Recent;
use crate::config::MacAddress;
use bytes::Bytes;
use replication::{Epoch, Fence, MachineId};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// An address that was not heard for so long is forgotten.
const ADDRESS_AGE_MAX: Duration = Duration::from_secs(300);
/// Addresses remembered at most; beyond, the oldest is forgotten.
const ADDRESSES_MAX: usize = 4096;

/// Names a port for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u64);

/// What the switch counts, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Frames forwarded, to one port or several.
    pub forwarded: u64,
    /// Frames from fenced ports.
    pub fenced: u64,
    /// Frames that found a port's queue full.
    pub overflowed: u64,
    /// Hellos that were malformed, of another version or of an older epoch.
    pub hellos_refused: u64,
}

/// Whose port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// A plain peer.
    Plain,
    /// A node that speaks for a machine.
    Machine(MachineId, Epoch),
}

/// What is known of a machine: who may speak for it, and what was last said to it.
#[derive(Debug, Default)]
struct Machine {
    fence: Fence,
    /// The port that said hello last, and the guest's address.
    spoken_by: Option<(PortId, MacAddress)>,
    recent: Recent,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    port: PortId,
    at: Instant,
}

/// Ports, addresses and fences.
#[derive(Debug, Default)]
pub struct Table {
    ports: BTreeMap<PortId, Owner>,
    addresses: HashMap<MacAddress, Seen>,
    machines: BTreeMap<MachineId, Machine>,
    /// What happened so far.
    pub counters: SwitchCounters,
}

impl Table {
    /// A port was opened.
    pub fn open(&mut self, port: PortId) {
        self.ports.insert(port, Owner::Plain);
    }

    /// A port was closed.
    pub fn close(&mut self, port: PortId) {
        self.ports.remove(&port);
        self.addresses.retain(|_, seen| seen.port != port);
    }

    /// Every address that is known.
    pub fn addresses(&self) -> impl Iterator<Item = MacAddress> {
        self.addresses.keys().copied()
    }

    /// A frame came in on `port`. Calls `send` with each port that it goes to; after a hello, with what is told again.
    ///
    /// # Errors
    /// A hello that is malformed, or of another version.
    pub fn receive(
        &mut self,
        now: Instant,
        port: PortId,
        frame: &Bytes,
        mut send: impl FnMut(PortId, &Bytes),
    ) -> Result<(), HelloError> {
        match SwitchHello::from_frame(frame) {
            Ok(None) => {}
            Ok(Some(hello)) => {
                self.take_hello(now, port, hello, send);
                return Ok(());
            }
            Err(error) => {
                self.counters.hellos_refused += 1;
                return Err(error);
            }
        }
        if self.is_fenced(port) {
            self.counters.fenced += 1;
            return Ok(());
        }
        let (Some(destination), Some(source)) = (address_at(frame, 0), address_at(frame, 6)) else {
            return Ok(());
        };
        if !is_group(source) {
            self.learn(now, source, port);
        }
        self.remember(now, destination, frame);
        if let Some(Owner::Machine(machine, _)) = self.ports.get(&port)
            && let Some(machine) = self.machines.get_mut(machine)
        {
            machine.recent.answered(frame);
        }
        let known = match self.addresses.get(&destination) {
            Some(seen)
                if !is_group(destination) && now.duration_since(seen.at) < ADDRESS_AGE_MAX =>
            {
                Some(seen.port)
            }
            _ => None,
        };
        match known {
            Some(target) => {
                if target != port && !self.is_fenced(target) {
                    self.counters.forwarded += 1;
                    send(target, frame);
                }
            }
            None => {
                self.counters.forwarded += 1;
                for &target in self.ports.keys() {
                    if target != port && !self.is_fenced(target) {
                        send(target, frame);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the port speaks for a machine in an epoch that is over.
    pub fn is_fenced(&self, port: PortId) -> bool {
        match self.ports.get(&port) {
            Some(&Owner::Machine(machine, epoch)) => self
                .machines
                .get(&machine)
                .is_some_and(|known| epoch < known.fence.newest()),
            Some(Owner::Plain) => false,
            None => true,
        }
    }

    fn take_hello(
        &mut self,
        now: Instant,
        port: PortId,
        hello: SwitchHello,
        mut send: impl FnMut(PortId, &Bytes),
    ) {
        let Some(owner) = self.ports.get_mut(&port) else {
            return;
        };
        *owner = Owner::Machine(hello.machine, hello.epoch);
        let machine = self.machines.entry(hello.machine).or_default();
        let before = machine.fence.newest();
        if !machine.fence.admit(hello.epoch) {
            self.counters.hellos_refused += 1;
            return;
        }
        let moved = machine
            .spoken_by
            .is_some_and(|(speaker, _)| speaker != port);
        machine.spoken_by = Some((port, hello.mac));
        if moved && hello.epoch > before {
            machine.recent.open(now).for_each(|frame| send(port, frame));
        }
        self.learn(now, hello.mac, port);
    }

    /// Keeps a frame for a machine's next owner, whether or not there is one now to take it.
    fn remember(&mut self, now: Instant, destination: MacAddress, frame: &Bytes) {
        for machine in self.machines.values_mut() {
            if machine.spoken_by.is_some_and(|(_, mac)| mac == destination) {
                machine.recent.remember(now, frame);
            }
        }
    }

    fn learn(&mut self, now: Instant, address: MacAddress, port: PortId) {
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            self.addresses
                .retain(|_, seen| now.duration_since(seen.at) < ADDRESS_AGE_MAX);
            let oldest = self
                .addresses
                .iter()
                .min_by_key(|(_, seen)| seen.at)
                .map(|(&address, _)| address);
            if let Some(oldest) = oldest
                && self.addresses.len() >= ADDRESSES_MAX
            {
                self.addresses.remove(&oldest);
            }
        }
        self.addresses.insert(address, Seen { port, at: now });
    }
}

fn address_at(frame: &[u8], at: usize) -> Option<MacAddress> {
    let bytes = frame.get(at..at + 6)?;
    Some(MacAddress(bytes.try_into().ok()?))
}

/// Broadcast and multicast.
fn is_group(address: MacAddress) -> bool {
    address.0[0] & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: MachineId = MachineId(5);
    const GUEST: u8 = 0x10;
    const CLIENT: u8 = 0x20;

    struct Bench {
        table: Table,
        now: Instant,
    }

    impl Bench {
        fn new(ports: u64) -> Self {
            let mut table = Table::default();
            (1..=ports).for_each(|port| table.open(PortId(port)));
            Self {
                table,
                now: Instant::now(),
            }
        }

        /// Where a frame from station `source` on `port` to station `destination` goes.
        fn send(&mut self, port: u64, source: u8, destination: u8) -> Vec<u64> {
            let mut frame = [0u8; 60];
            frame[..6].fill(destination);
            frame[6..12].fill(source);
            let mut targets = Vec::new();
            self.table
                .receive(
                    self.now,
                    PortId(port),
                    &Bytes::copy_from_slice(&frame),
                    |target, _| targets.push(target.0),
                )
                .unwrap();
            targets
        }

        /// What is told again to whoever says hello: the port, and from which station.
        fn hello(&mut self, port: u64, epoch: u64) -> Vec<(u64, u8)> {
            let mut again = Vec::new();
            let hello = SwitchHello {
                machine: MACHINE,
                epoch: Epoch(epoch),
                mac: MacAddress([GUEST; 6]),
            };
            self.table
                .receive(
                    self.now,
                    PortId(port),
                    &Bytes::from(hello.to_frame()),
                    |target, frame| again.push((target.0, frame[6])),
                )
                .unwrap();
            again
        }
    }

    #[test]
    fn addresses_are_learned_and_forgotten() {
        let mut bench = Bench::new(3);
        assert_eq!(bench.send(1, GUEST, CLIENT), [2, 3], "unknown: everywhere");
        assert_eq!(bench.send(2, CLIENT, GUEST), [1], "known: to its port");
        assert_eq!(bench.send(1, GUEST, 0xff), [2, 3], "broadcast: everywhere");
        bench.now += ADDRESS_AGE_MAX;
        assert_eq!(bench.send(1, GUEST, CLIENT), [2, 3], "aged");
        bench.send(2, CLIENT, GUEST);
        bench.table.close(PortId(2));
        assert_eq!(bench.send(1, GUEST, CLIENT), [3], "gone");
        assert_eq!(
            bench.send(2, CLIENT, GUEST),
            [] as [u64; 0],
            "a closed port says nothing"
        );
    }

    #[test]
    fn a_newer_epoch_fences_the_older_port_at_once() {
        let mut bench = Bench::new(3);
        bench.hello(1, 4);
        assert_eq!(bench.send(3, CLIENT, GUEST), [1]);
        assert_eq!(bench.send(1, GUEST, CLIENT), [3]);
        bench.hello(2, 5);
        assert_eq!(bench.send(3, CLIENT, GUEST), [2], "the address has moved");
        assert_eq!(
            bench.send(1, GUEST, CLIENT),
            [] as [u64; 0],
            "the zombie is fenced"
        );
        assert_eq!(bench.send(3, CLIENT, 0xff), [2], "and hears nothing");
        assert_eq!(
            bench.send(3, CLIENT, GUEST),
            [2],
            "nor has it moved the address back"
        );
        bench.hello(1, 4);
        assert_eq!(
            bench.send(1, GUEST, CLIENT),
            [] as [u64; 0],
            "saying hello again does not help"
        );
        assert_eq!(bench.send(3, CLIENT, GUEST), [2]);
        bench.hello(1, 6);
        assert_eq!(bench.send(1, GUEST, CLIENT), [3], "a new epoch does");
        assert_eq!(
            (
                bench.table.counters.fenced,
                bench.table.counters.hellos_refused
            ),
            (2, 1)
        );
    }

    #[test]
    fn the_successor_is_told_again_what_its_predecessor_took_with_it() {
        let mut bench = Bench::new(3);
        assert_eq!(bench.hello(1, 4), []);
        bench.send(3, 0x30, GUEST);
        bench.now += Duration::from_secs(2);
        bench.send(3, CLIENT, GUEST);
        bench.send(3, CLIENT, 0xff);
        assert_eq!(bench.hello(1, 5), [], "the same port has heard it");
        bench.table.close(PortId(1));
        bench.send(3, 0x22, GUEST);
        assert_eq!(bench.hello(2, 4), [], "an older epoch hears nothing");
        assert_eq!(
            bench.hello(2, 6),
            [(2, CLIENT), (2, 0x22)],
            "what is recent, in order"
        );
        bench.table.open(PortId(4));
        assert_eq!(
            bench.hello(4, 7),
            [(4, CLIENT), (4, 0x22)],
            "the next one, too: nobody has answered"
        );
    }

    #[test]
    fn many_addresses_do_not_grow_the_table() {
        let mut bench = Bench::new(2);
        for station in 0..10_000u32 {
            bench.now += Duration::from_millis(1);
            let mut frame = [0u8; 60];
            frame[8..12].copy_from_slice(&station.to_be_bytes());
            bench
                .table
                .receive(
                    bench.now,
                    PortId(1),
                    &Bytes::copy_from_slice(&frame),
                    |_, _| (),
                )
                .unwrap();
        }
        assert!(bench.table.addresses.len() <= ADDRESSES_MAX);
    }
}
