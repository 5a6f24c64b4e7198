//! The switch's decisions, without I/O: which port is whose, who may say what, and where a frame goes.

mod addresses;
mod machines;
#[cfg(test)]
mod tests;

use super::secret::SwitchSecret;
use super::word::{Nonce, Proof, Verdict, Word, is_reserved};
use crate::config::MacAddress;
use addresses::{Addresses, Heard};
use bytes::Bytes;
use machines::{Claimed, Machines};
use replication::{Epoch, MachineId};
use std::collections::BTreeMap;
use std::time::Instant;

/// Names a port for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PortId(pub(super) u64);

/// What the switch counts, since its start. All but the first are frames or connections that went nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Frames forwarded, to one port or several.
    pub forwarded: u64,
    /// Frames from fenced ports.
    pub fenced: u64,
    /// Frames that found a port's queue full.
    pub overflowed: u64,
    /// Frames from an address that is not the port's.
    pub foreign: u64,
    /// Frames of the type of claims that were none, or whose proof was wrong.
    pub forged: u64,
    /// Proven claims that were refused: of an older epoch, to another machine's address, or beyond the bound.
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

/// Whose port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// A plain peer, or a node that has proven nothing yet.
    Plain(Nonce),
    Uplink,
    /// A node that speaks for a machine.
    Machine(Nonce, MachineId, Epoch),
}

/// Ports, addresses and machines.
#[derive(Debug)]
pub(super) struct Table {
    secret: SwitchSecret,
    ports: BTreeMap<PortId, Owner>,
    addresses: Addresses,
    machines: Machines,
    /// What happened so far.
    pub(super) counters: SwitchCounters,
}

impl Table {
    pub(super) fn new(secret: SwitchSecret) -> Self {
        Self {
            secret,
            ports: BTreeMap::new(),
            addresses: Addresses::default(),
            machines: Machines::default(),
            counters: SwitchCounters::default(),
        }
    }

    /// A port was opened.
    pub(super) fn open(&mut self, port: PortId, kind: Kind) {
        let owner = match kind {
            Kind::Station(nonce) => Owner::Plain(nonce),
            Kind::Uplink => Owner::Uplink,
        };
        self.ports.insert(port, owner);
    }

    /// A port was closed.
    pub(super) fn close(&mut self, now: Instant, port: PortId) {
        if let Some(Owner::Machine(_, machine, _)) = self.ports.remove(&port) {
            self.machines.closed(now, machine);
        }
        self.addresses.close(port);
    }

    /// Every address that is known.
    pub(super) fn addresses(&self) -> impl Iterator<Item = MacAddress> {
        let spoken = |machine: &&machines::Machine| self.ports.contains_key(&machine.spoken_by);
        let machines = self.machines.iter().filter(spoken);
        (self.addresses.iter()).chain(machines.map(|machine| machine.mac))
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
        } else if self.is_fenced(port) {
            self.counters.fenced += 1;
        } else if let (Some(destination), Some(source)) =
            (address_at(frame, 0), address_at(frame, 6))
        {
            if !self.is_own(now, port, source) {
                self.counters.foreign += 1;
                return;
            }
            if let Some(Owner::Machine(_, machine, _)) = self.ports.get(&port)
                && let Some(machine) = self.machines.get_mut(*machine)
            {
                machine.recent.answered(frame);
            }
            self.forward(now, port, destination, frame, send);
        }
    }

    /// Whether the port speaks for a machine in an epoch that is over.
    fn is_fenced(&self, port: PortId) -> bool {
        match self.ports.get(&port) {
            Some(&Owner::Machine(_, machine, epoch)) => self
                .machines
                .get(machine)
                .is_none_or(|known| known.is_over(epoch)),
            Some(Owner::Plain(_) | Owner::Uplink) => false,
            None => true,
        }
    }

    /// Whether the port may say frames from this address: a machine's from the machine's alone, others from what is no
    /// machine's and was not heard on another port first.
    fn is_own(&mut self, now: Instant, port: PortId, source: MacAddress) -> bool {
        let may_take = match self.ports.get(&port) {
            Some(&Owner::Machine(_, machine, _)) => {
                return self
                    .machines
                    .get(machine)
                    .is_some_and(|known| known.mac == source);
            }
            Some(Owner::Plain(_)) => false,
            Some(Owner::Uplink) => true,
            None => return false,
        };
        if is_group(source) || self.machines.with_address(source).is_some() {
            return false;
        }
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
        if let Some(machine) = self.machines.with_address(destination) {
            // Kept for a machine's next owner, whether or not there is one now to take it.
            machine.recent.remember(now, frame);
            let target = machine.spoken_by;
            if !self.ports.contains_key(&target) {
                self.counters.unheard += 1;
            } else if target != port {
                self.counters.forwarded += 1;
                send(target, frame);
            }
            return;
        }
        if !is_group(destination)
            && let Some(target) = self.addresses.find(now, destination)
        {
            if target != port {
                self.counters.forwarded += 1;
                send(target, frame);
            }
            return;
        }
        self.counters.forwarded += 1;
        for (&target, owner) in &self.ports {
            // What is for one station that is not known yet is for no machine: all of those are known.
            let is_for = match owner {
                Owner::Machine(..) => is_group(destination) && !self.is_fenced(target),
                Owner::Plain(_) | Owner::Uplink => true,
            };
            if target != port && is_for {
                send(target, frame);
            }
        }
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
        let Ok(Word::Claim {
            machine,
            epoch,
            mac,
            proof,
        }) = Word::from_frame(frame)
        else {
            self.counters.forged += 1;
            return;
        };
        let claimed = Claimed {
            machine,
            epoch,
            mac,
            port,
        };
        let (verdict, moved) = self.judge(now, claimed, &proof);
        match verdict {
            Verdict::Admitted => {}
            Verdict::WrongKey => self.counters.forged += 1,
            Verdict::OlderEpoch | Verdict::AddressTaken | Verdict::NoRoom => {
                self.counters.claims_refused += 1;
            }
        }
        let answer = Word::Answer { epoch, verdict };
        send(port, &Bytes::from(answer.to_frame()));
        if moved && let Some(machine) = self.machines.get(machine) {
            machine.recent.open(now).for_each(|frame| send(port, frame));
        }
    }

    fn judge(&mut self, now: Instant, claimed: Claimed, proof: &Proof) -> (Verdict, bool) {
        let Claimed {
            machine,
            epoch,
            mac,
            port,
        } = claimed;
        let (nonce, before) = match self.ports.get(&port) {
            Some(&Owner::Plain(nonce)) => (nonce, None),
            Some(&Owner::Machine(nonce, before, _)) => (nonce, Some(before)),
            Some(Owner::Uplink) | None => return (Verdict::WrongKey, false),
        };
        let key = self.secret.machine_key(machine);
        if before.is_some_and(|before| before != machine)
            || !key.is_proof(proof, &nonce, machine, epoch, mac)
        {
            return (Verdict::WrongKey, false);
        }
        let (verdict, moved) = self.machines.admit(now, claimed);
        // A zombie's port is its machine's, too: fenced from the start.
        if matches!(verdict, Verdict::Admitted | Verdict::OlderEpoch) {
            self.ports
                .insert(port, Owner::Machine(nonce, machine, epoch));
            if before.is_none() {
                self.machines.opened(machine);
                self.addresses.close(port);
            }
        }
        if verdict == Verdict::Admitted {
            self.addresses.forget(mac);
        }
        (verdict, moved)
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
