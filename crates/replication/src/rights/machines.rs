//! The machines that have proven themselves: in which epoch, on which port, with which address.

use super::claim::{Address, Claim, PortId, Verdict};
use crate::fence::Fence;
use crate::time::{Duration, Instant};
use crate::types::{Epoch, MachineId, NodeId};
use std::collections::BTreeMap;

/// Machines known at once. Known ones are kept, further ones refused: to forget a machine is to forget its fence.
pub const MACHINES_MAX: usize = 64;
/// A machine that had no port for so long makes room for another.
pub const MACHINE_AGE_MAX: Duration = Duration::from_s(24 * 3_600);
/// An address of which nothing was heard for so long may be another's.
pub const ADDRESS_AGE_MAX: Duration = Duration::from_s(300);

/// What is known of one machine, and what the switch keeps with it.
#[derive(Debug)]
pub struct SpokenFor<T> {
    fence: Fence,
    /// The guest's address, unless another machine took it while this one was silent.
    pub address: Address,
    /// The port that was admitted last. It may be closed since.
    pub spoken_by: PortId,
    /// The node that was admitted there.
    pub node: NodeId,
    /// Ports that are its own, fenced ones among them.
    ports: usize,
    heard: Instant,
    /// The switch's own.
    pub with: T,
}

impl<T> SpokenFor<T> {
    /// The newest epoch that was claimed.
    pub fn newest_epoch(&self) -> Epoch {
        self.fence.newest()
    }

    /// Whether it has had no port for so long.
    pub(super) fn is_silent(&self, now: Instant, age: Duration) -> bool {
        self.ports == 0 && now.since(self.heard) >= age
    }
}

#[derive(Debug)]
pub(super) struct Machines<T> {
    known: BTreeMap<MachineId, SpokenFor<T>>,
    by_address: BTreeMap<Address, MachineId>,
}

impl<T> Default for Machines<T> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            by_address: BTreeMap::new(),
        }
    }
}

impl<T: Default> Machines<T> {
    pub(super) fn get(&self, machine: MachineId) -> Option<&SpokenFor<T>> {
        self.known.get(&machine)
    }

    pub(super) fn get_mut(&mut self, machine: MachineId) -> Option<&mut SpokenFor<T>> {
        self.known.get_mut(&machine)
    }

    /// Whose address it is.
    pub(super) fn at(&self, address: Address) -> Option<MachineId> {
        self.by_address.get(&address).copied()
    }

    /// What is known of the machine whose address it is.
    pub(super) fn with_address(&mut self, address: Address) -> Option<&mut SpokenFor<T>> {
        let machine = self.at(address)?;
        self.known.get_mut(&machine)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SpokenFor<T>> {
        self.known.values()
    }

    /// Whether the address that is claimed is another machine's, which may still come back.
    pub(super) fn is_taken(&self, now: Instant, claim: &Claim) -> bool {
        let owner = self.at(claim.address);
        let owner = owner.filter(|owner| *owner != claim.machine);
        owner
            .and_then(|owner| self.known.get(&owner))
            .is_some_and(|owner| !owner.is_silent(now, ADDRESS_AGE_MAX))
    }

    /// Lets a port speak for a machine, or not; and whether the speaker is another one in a newer epoch. `unfenced`, it is let
    /// in any epoch.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        claim: &Claim,
        port: PortId,
        unfenced: bool,
    ) -> (Verdict, bool) {
        let &Claim {
            machine,
            epoch,
            address,
            node,
        } = claim;
        let Some(known) = self.known.get_mut(&machine) else {
            if self.known.len() >= MACHINES_MAX && !self.make_room(now) {
                return (Verdict::NoRoom, false);
            }
            let mut fence = Fence::default();
            fence.admit(epoch);
            let known = SpokenFor {
                fence,
                address,
                spoken_by: port,
                node,
                ports: 0,
                heard: now,
                with: T::default(),
            };
            self.known.insert(machine, known);
            self.by_address.insert(address, machine);
            return (Verdict::Admitted, false);
        };
        known.heard = now;
        let before = known.fence.newest();
        if !known.fence.admit(epoch) && !unfenced {
            return (Verdict::OlderEpoch, false);
        }
        let moved = known.spoken_by != port;
        (known.spoken_by, known.node) = (port, node);
        let old = std::mem::replace(&mut known.address, address);
        self.forget_address(old, machine);
        self.by_address.insert(address, machine);
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
        let mut silent = Vec::new();
        for (machine, known) in &self.known {
            if known.is_silent(now, MACHINE_AGE_MAX) {
                silent.push((known.heard, *machine, known.address));
            }
        }
        let Some((_, machine, address)) = silent.into_iter().min() else {
            return false;
        };
        self.forget_address(address, machine);
        self.known.remove(&machine);
        true
    }

    /// The address is not this machine's any more, if it was.
    fn forget_address(&mut self, address: Address, machine: MachineId) {
        if self.at(address) == Some(machine) {
            self.by_address.remove(&address);
        }
    }
}
