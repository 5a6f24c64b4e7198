//! The machines that have proven themselves: in which epoch, on which port, with which address, and what was last said
//! to their guests.

use super::super::recent::Recent;
use super::super::word::Verdict;
use super::PortId;
use super::addresses::ADDRESS_AGE_MAX;
use crate::config::MacAddress;
use replication::{Epoch, Fence, MachineId};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Machines known at once; each costs up to 1 MiB of frames that may have to be said again. Known ones are kept, further
/// ones refused: to forget a machine is to forget its fence.
pub(super) const MACHINES_MAX: usize = 64;
/// A machine that had no port for so long makes room for another.
pub(super) const MACHINE_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What is known of one.
#[derive(Debug)]
pub(super) struct Machine {
    fence: Fence,
    /// The guest's address, unless another machine took it while this one was silent.
    pub(super) mac: MacAddress,
    /// The port that was admitted last. It may be closed since.
    pub(super) spoken_by: PortId,
    /// Ports that are its own, fenced ones among them.
    ports: usize,
    heard: Instant,
    pub(super) recent: Recent,
}

impl Machine {
    /// Whether whoever speaks in `epoch` has been succeeded.
    pub(super) fn is_over(&self, epoch: Epoch) -> bool {
        epoch < self.fence.newest()
    }

    /// Whether it has had no port for so long.
    fn is_silent(&self, now: Instant, age: Duration) -> bool {
        self.ports == 0 && now.duration_since(self.heard) >= age
    }
}

/// The table. Its hash is seeded anew in each process.
#[derive(Debug, Default)]
pub(super) struct Machines {
    known: HashMap<MachineId, Machine>,
    by_address: HashMap<MacAddress, MachineId>,
}

/// A proven claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimed {
    pub(super) machine: MachineId,
    pub(super) epoch: Epoch,
    pub(super) mac: MacAddress,
    pub(super) port: PortId,
}

impl Machines {
    pub(super) fn get(&self, machine: MachineId) -> Option<&Machine> {
        self.known.get(&machine)
    }

    pub(super) fn get_mut(&mut self, machine: MachineId) -> Option<&mut Machine> {
        self.known.get_mut(&machine)
    }

    /// Whose address it is.
    pub(super) fn with_address(&mut self, mac: MacAddress) -> Option<&mut Machine> {
        let machine = self.by_address.get(&mac)?;
        self.known.get_mut(machine)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Machine> {
        self.known.values()
    }

    /// Lets a port speak for a machine, or not; and whether the speaker is another one in a newer epoch.
    pub(super) fn admit(&mut self, now: Instant, claimed: Claimed) -> (Verdict, bool) {
        let Claimed {
            machine,
            epoch,
            mac,
            port,
        } = claimed;
        if let Some(owner) = self.by_address.get(&mac)
            && *owner != machine
            && self
                .known
                .get(owner)
                .is_some_and(|owner| !owner.is_silent(now, ADDRESS_AGE_MAX))
        {
            return (Verdict::AddressTaken, false);
        }
        let Some(known) = self.known.get_mut(&machine) else {
            if self.known.len() >= MACHINES_MAX && !self.make_room(now) {
                return (Verdict::NoRoom, false);
            }
            let mut fence = Fence::default();
            fence.admit(epoch);
            let known = Machine {
                fence,
                mac,
                spoken_by: port,
                ports: 0,
                heard: now,
                recent: Recent::default(),
            };
            self.known.insert(machine, known);
            self.by_address.insert(mac, machine);
            return (Verdict::Admitted, false);
        };
        known.heard = now;
        let before = known.fence.newest();
        if !known.fence.admit(epoch) {
            return (Verdict::OlderEpoch, false);
        }
        let moved = known.spoken_by != port;
        known.spoken_by = port;
        let old = std::mem::replace(&mut known.mac, mac);
        self.forget_address(old, machine);
        self.by_address.insert(mac, machine);
        (Verdict::Admitted, moved && epoch > before)
    }

    /// A port has become this machine's.
    pub(super) fn opened(&mut self, machine: MachineId) {
        if let Some(known) = self.known.get_mut(&machine) {
            known.ports += 1;
        }
    }

    /// One of this machine's ports was closed.
    pub(super) fn closed(&mut self, now: Instant, machine: MachineId) {
        if let Some(known) = self.known.get_mut(&machine) {
            known.ports -= 1;
            known.heard = now;
        }
    }

    /// Forgets the machine that was silent longest, if one was long enough.
    fn make_room(&mut self, now: Instant) -> bool {
        let silent = (self.known.iter()).filter(|(_, known)| known.is_silent(now, MACHINE_AGE_MAX));
        let oldest = silent.min_by_key(|(_, known)| known.heard);
        let Some((&machine, known)) = oldest else {
            return false;
        };
        self.forget_address(known.mac, machine);
        self.known.remove(&machine);
        true
    }

    /// The address is not this machine's any more, if it was.
    fn forget_address(&mut self, mac: MacAddress, machine: MachineId) {
        if self.by_address.get(&mac) == Some(&machine) {
            self.by_address.remove(&mac);
        }
    }
}
