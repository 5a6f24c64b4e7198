//! Who may speak at an Ethernet switch, and from which address: decided, without I/O, from what each port has proven. A frame's
//! content gives nobody rights. Frames themselves, and the addresses of plain stations, are the switch's own.

mod claim;
mod key;
mod machines;

pub use claim::{Address, Claim, PortId, Verdict};
pub use key::{MachineKey, PortNonce, Proof};
pub use machines::{ADDRESS_AGE_MAX, MACHINE_AGE_MAX, MACHINES_MAX, SpokenFor};

use crate::config::Mutation;
use crate::time::Instant;
use crate::types::{Epoch, MachineId};
use machines::Machines;
use std::collections::BTreeMap;

/// What a claim changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What came of it.
    pub verdict: Verdict,
    /// The port was a plain one, and is the machine's now: to speak for it, or fenced from the start, as a zombie's.
    pub is_first: bool,
    /// Another port spoke for the machine before, in an older epoch.
    pub moved: bool,
}

/// Whether a port may say something from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// It is the address of the machine that the port speaks for.
    Machine(MachineId),
    /// The port is a plain one, and the address no machine's: the switch must know where it was heard before.
    Plain,
    /// The port speaks for an epoch that is over, or is closed.
    Fenced,
    /// The address is not the port's.
    Foreign,
}

#[derive(Clone, Copy, Debug)]
struct Port {
    /// What claims are made over. None: nobody can make one.
    nonce: Option<PortNonce>,
    speaks_for: Option<(MachineId, Epoch)>,
}

/// All ports and machines of a switch. With each machine it keeps a `T`.
#[derive(Debug)]
pub struct Rights<T> {
    secret: [u8; 32],
    ports: BTreeMap<PortId, Port>,
    machines: Machines<T>,
    /// Leaves out one question on purpose.
    #[cfg(feature = "mutations")]
    pub mutation: Option<Mutation>,
}

impl<T: Default> Rights<T> {
    /// Those at a switch with this secret.
    pub fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            ports: BTreeMap::new(),
            machines: Machines::default(),
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }

    /// A port was opened, as a plain one. Claims on it are made over `nonce`, which no other port ever had; without one, it stays
    /// plain.
    pub fn open(&mut self, port: PortId, nonce: Option<PortNonce>) {
        let speaks_for = None;
        self.ports.insert(port, Port { nonce, speaks_for });
    }

    /// A port was closed.
    pub fn close(&mut self, now: Instant, port: PortId) {
        let closed = self.ports.remove(&port);
        if let Some((machine, _)) = closed.and_then(|port| port.speaks_for) {
            self.machines.closed(now, machine);
        }
    }

    /// Whether the port is open.
    pub fn is_open(&self, port: PortId) -> bool {
        self.ports.contains_key(&port)
    }

    /// The open ports, and whether each is a machine's.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, bool)> {
        self.ports
            .iter()
            .map(|(id, port)| (*id, port.speaks_for.is_some()))
    }

    /// The machine that a port speaks for, and the newest epoch that it has claimed.
    pub fn speaks_for(&self, port: PortId) -> Option<(MachineId, Epoch)> {
        self.ports.get(&port)?.speaks_for
    }

    /// The machines that are known.
    pub fn machines(&self) -> impl Iterator<Item = &SpokenFor<T>> {
        self.machines.iter()
    }

    /// What is known of a machine.
    pub fn known(&self, machine: MachineId) -> Option<&SpokenFor<T>> {
        self.machines.get(machine)
    }

    /// Whether a machine has had no port for so long that what is its own may be another's.
    pub fn is_gone(&self, now: Instant, machine: MachineId) -> bool {
        let known = self.machines.get(machine);
        known.is_none_or(|known| known.is_silent(now, ADDRESS_AGE_MAX))
    }

    /// What is known of a machine, and may change.
    pub fn machine(&mut self, machine: MachineId) -> Option<&mut SpokenFor<T>> {
        self.machines.get_mut(machine)
    }

    /// Whose address it is.
    pub fn machine_at(&mut self, address: Address) -> Option<&mut SpokenFor<T>> {
        self.machines.with_address(address)
    }

    /// Whether the port speaks for a machine in an epoch that is over, or is none.
    pub fn is_fenced(&self, port: PortId) -> bool {
        match self.ports.get(&port).map(|port| port.speaks_for) {
            Some(Some((machine, epoch))) => {
                let known = self.machines.get(machine);
                known.is_none_or(|known| epoch < known.newest_epoch())
                    && !self.mutated(Mutation::Unfenced)
            }
            Some(None) => false,
            None => true,
        }
    }

    /// Whether the port may say something from this address: from a machine's the machine alone, and a machine from no other.
    pub fn may_say(&self, port: PortId, source: Address) -> Voice {
        if self.is_fenced(port) {
            return Voice::Fenced;
        }
        let owner = self.machines.at(source);
        match self.speaks_for(port) {
            Some((machine, _)) if owner == Some(machine) => Voice::Machine(machine),
            Some((machine, _)) if self.mutated(Mutation::SpeakFromAnyAddress) => {
                Voice::Machine(machine)
            }
            None if owner.is_none() && !is_group(source) => Voice::Plain,
            None if self.mutated(Mutation::SpeakFromAnyAddress) => Voice::Plain,
            _ => Voice::Foreign,
        }
    }

    /// A claim was made at a port. It changes something only if the proof shows that whoever made it knows the machine's key.
    pub fn claim(&mut self, now: Instant, id: PortId, claim: &Claim, proof: &Proof) -> Outcome {
        let nothing = |verdict| Outcome {
            verdict,
            is_first: false,
            moved: false,
        };
        let Some(&Port { nonce, speaks_for }) = self.ports.get(&id) else {
            return nothing(Verdict::WrongKey);
        };
        let is_others = speaks_for.is_some_and(|(before, _)| before != claim.machine);
        if is_others || !self.is_proven(nonce, claim, proof) {
            return nothing(Verdict::WrongKey);
        }
        let takes = self.mutated(Mutation::TakeAnyAddress);
        if !takes && self.machines.is_taken(now, claim) {
            return nothing(Verdict::AddressTaken);
        }
        if self.is_held(id, claim) && !self.mutated(Mutation::ShareEpoch) {
            return nothing(Verdict::EpochTaken);
        }
        let unfenced = self.mutated(Mutation::Unfenced);
        let (verdict, moved) = self.machines.admit(now, claim, id, unfenced);
        // A zombie's port is its machine's, too: fenced from the start.
        let joins = matches!(verdict, Verdict::Admitted | Verdict::OlderEpoch);
        if joins {
            // What it has proven before stays proven: an older claim, said again, takes nothing from it.
            let before = speaks_for.map_or(claim.epoch, |(_, epoch)| epoch);
            let speaks_for = Some((claim.machine, claim.epoch.max(before)));
            self.ports.insert(id, Port { nonce, speaks_for });
        }
        let is_first = joins && speaks_for.is_none();
        if is_first {
            self.machines.opened(claim.machine);
        }
        Outcome {
            verdict,
            is_first,
            moved,
        }
    }

    /// Whether another node speaks for the machine in the epoch that is claimed. The same node may come back on another port
    /// before its first is missed.
    fn is_held(&self, id: PortId, claim: &Claim) -> bool {
        let known = self.machines.get(claim.machine);
        known.is_some_and(|known| {
            known.newest_epoch() == claim.epoch
                && known.node != claim.node
                && known.spoken_by != id
                && self.is_open(known.spoken_by)
        })
    }

    fn is_proven(&self, nonce: Option<PortNonce>, claim: &Claim, proof: &Proof) -> bool {
        if self.mutated(Mutation::ClaimWithoutProof) {
            return true;
        }
        let key = MachineKey::of_machine(&self.secret, claim.machine);
        if self.mutated(Mutation::ClaimOverAnyNonce) {
            let mut nonces = self.ports.values().filter_map(|port| port.nonce);
            return nonces.any(|nonce| key.is_proof(proof, &nonce, claim));
        }
        nonce.is_some_and(|nonce| key.is_proof(proof, &nonce, claim))
    }

    fn mutated(&self, mutation: Mutation) -> bool {
        mutated!(self, mutation)
    }
}

/// Broadcast and multicast.
pub fn is_group(address: Address) -> bool {
    address[0] & 1 != 0
}
