//! The switch in front of the machine: [`replication::Rights`], as `node`'s switch asks them. In some simulations there are
//! neighbours at it: another machine, and somebody hostile, who has the key of a third machine and overhears every claim.

use crate::checker::Broken;
use crate::network::ProcessIndex;
use crate::random::Random;
use crate::toy::MACHINE_ADDRESS;
use replication::{
    Address, Claim, Config, Epoch, Instant, MachineId, MachineKey, NodeId, Outcome, PortId,
    PortNonce, Proof, Rights, Verdict, Voice,
};
use std::collections::BTreeMap;

/// Who has an address at the switch.
#[derive(Clone, Copy, Debug)]
struct Station {
    machine: MachineId,
    address: Address,
}

const OURS: Station = Station {
    machine: MachineId(1),
    address: MACHINE_ADDRESS,
};
const OTHER: Station = Station {
    machine: MachineId(2),
    address: [0x52, 0x54, 0, 0, 0, 2],
};
const HOSTILE: Station = Station {
    machine: MachineId(3),
    address: [0x52, 0x54, 0, 0, 0, 3],
};
/// The ports of the other machine's two hosts.
pub(crate) const OTHER_PORTS: [PortId; 2] = [PortId(1 << 32), PortId((1 << 32) + 1)];
/// The first of the hostile one's ports.
const HOSTILE_PORTS: u64 = 1 << 33;
/// The last claims that are remembered, to be said again by others.
const OVERHEARD_MAX: usize = 8;

/// The switch, and who is at it beside the machine.
#[derive(Debug)]
pub(crate) struct Switch {
    pub(crate) random: Random,
    secret: [u8; 32],
    rights: Rights<()>,
    nonces: BTreeMap<PortId, PortNonce>,
    overheard: Vec<(Claim, Proof)>,
    /// The other machine's epoch. Which of its two ports speaks follows from it: they take turns.
    other_epoch: Epoch,
    pub(crate) hostile_port: PortId,
}

pub(crate) fn port_of(process: ProcessIndex) -> PortId {
    PortId(process as u64)
}

pub(crate) fn broken(what: String) -> Result<(), Broken> {
    let invariant = "switch";
    Err(Broken { invariant, what })
}

impl Switch {
    /// One at which nobody is yet.
    pub(crate) fn new(mut random: Random, config: &Config) -> Self {
        let secret = std::array::from_fn(|_| random.bits() as u8);
        #[cfg_attr(not(feature = "mutations"), expect(unused_mut))]
        let mut rights = Rights::new(secret);
        #[cfg(feature = "mutations")]
        {
            rights.mutation = config.mutation;
        }
        let _ = config;
        Self {
            random,
            secret,
            rights,
            nonces: BTreeMap::new(),
            overheard: Vec::new(),
            other_epoch: Epoch(0),
            hostile_port: PortId(HOSTILE_PORTS),
        }
    }

    /// A process connects.
    pub(crate) fn connect(&mut self, process: ProcessIndex) {
        self.open(port_of(process));
    }

    /// The connection of a process that has ended is closed.
    pub(crate) fn close(&mut self, now: u64, process: ProcessIndex) {
        self.rights.close(Instant(now), port_of(process));
    }

    pub(crate) fn open(&mut self, port: PortId) {
        let nonce = std::array::from_fn(|_| self.random.bits() as u8);
        self.nonces.insert(port, nonce);
        self.rights.open(port, Some(nonce));
    }

    /// A claim by who has the key.
    fn claim(&mut self, now: u64, port: PortId, station: Station, epoch: Epoch) -> Outcome {
        let claim = Claim {
            node: node_at(port),
            ..claim(station, epoch)
        };
        let key = MachineKey::of_machine(&self.secret, station.machine);
        let proof = key.prove(&self.nonces[&port], &claim);
        if self.overheard.len() >= OVERHEARD_MAX {
            self.overheard.remove(0);
        }
        self.overheard.push((claim, proof));
        self.rights.claim(Instant(now), port, &claim, &proof)
    }

    /// A process says that it is the machine in this epoch; whether the switch lets it.
    pub(crate) fn announce(&mut self, now: u64, from: ProcessIndex, epoch: Epoch) -> bool {
        let port = port_of(from);
        let claimed = self.rights.speaks_for(port);
        // What was said before a newer claim of the same process, and comes after it, is over.
        if !self.rights.is_open(port) || claimed.is_some_and(|(_, claimed)| claimed > epoch) {
            return false;
        }
        self.claim(now, port, OURS, epoch).verdict == Verdict::Admitted
    }

    /// A process says a frame in this epoch; whether it is taken.
    pub(crate) fn takes(
        &mut self,
        now: u64,
        from: ProcessIndex,
        epoch: Epoch,
        source: Address,
    ) -> bool {
        let port = port_of(from);
        match self.rights.speaks_for(port) {
            Some((_, claimed)) if claimed == epoch => {}
            _ => {
                self.announce(now, from, epoch);
            }
        }
        let speaks = self.rights.speaks_for(port) == Some((OURS.machine, epoch));
        speaks && self.rights.may_say(port, source) == Voice::Machine(OURS.machine)
    }

    /// The newest epoch of the machine.
    pub(crate) fn newest(&mut self) -> Epoch {
        let known = self.rights.machine(OURS.machine);
        known.map_or(Epoch(0), |known| known.newest_epoch())
    }

    /// Where frames to the machine go.
    pub(crate) fn speaker(&mut self) -> Option<PortId> {
        let port = self.rights.machine_at(OURS.address)?.spoken_by;
        self.rights.is_open(port).then_some(port)
    }

    /// What nobody but the machine itself may change.
    fn standing(&mut self, station: Station) -> Option<(Epoch, Option<PortId>)> {
        let known = self.rights.machine(station.machine)?;
        let newest = known.newest_epoch();
        let at = self.rights.machine_at(station.address);
        Some((newest, at.map(|known| known.spoken_by)))
    }

    fn other_ports(&self) -> (PortId, PortId) {
        let speaks = usize::from(!self.other_epoch.0.is_multiple_of(2));
        (OTHER_PORTS[speaks], OTHER_PORTS[1 - speaks])
    }

    /// Something that the other machine does, or that is said to it. It must be as if it were alone.
    pub(crate) fn other_acts(&mut self, now: u64) -> Result<(), Broken> {
        let act = self.random.between(0, 5);
        if act == 0 || self.other_epoch == Epoch(0) {
            self.other_epoch = self.other_epoch.next();
            let port = self.other_ports().0;
            let verdict = self.claim(now, port, OTHER, self.other_epoch).verdict;
            if verdict != Verdict::Admitted {
                return broken(format!("the other machine's takeover fails: {verdict:?}"));
            }
        }
        let (speaks, zombie) = self.other_ports();
        if act == 2 {
            let verdict = self.claim(now, zombie, OTHER, self.other_epoch).verdict;
            if verdict != Verdict::EpochTaken {
                return broken(format!(
                    "the other machine has two nodes in one epoch: {verdict:?}"
                ));
            }
        }
        if act == 1 && self.other_epoch > Epoch(1) {
            let older = Epoch(self.other_epoch.0 - 1);
            self.claim(now, zombie, OTHER, older);
            if self.rights.may_say(zombie, OTHER.address) != Voice::Fenced {
                return Err(Broken {
                    invariant: "I5",
                    what: format!("the other machine's zombie speaks in {older:?}"),
                });
            }
        }
        let voice = self.rights.may_say(speaks, OTHER.address);
        if voice != Voice::Machine(OTHER.machine) {
            return broken(format!(
                "what the other machine says is not taken: {voice:?}"
            ));
        }
        match self.standing(OTHER) {
            Some((epoch, Some(port))) if epoch == self.other_epoch && port == speaks => Ok(()),
            standing => broken(format!("the other machine does not hear: {standing:?}")),
        }
    }

    /// Something that the hostile one tries. It must change nothing for others.
    pub(crate) fn hostile_acts(&mut self, now: u64) -> Result<(), Broken> {
        let stations = [OURS, OTHER];
        let before = stations.map(|station| self.standing(station));
        let which = usize::from(self.random.chance(500));
        let (victim, Some((newest, _))) = (stations[which], before[which]) else {
            // Who comes first to an address has it: not before its machine is known.
            return Ok(());
        };
        let port = self.hostile_port;
        let own = MachineKey::of_machine(&self.secret, HOSTILE.machine);
        let nonce = self.nonces[&port];
        let epoch = Epoch(newest.0 + self.random.between(0, 3));
        let act = self.random.between(0, 6);
        match act {
            0 => {
                let claim = claim(victim, epoch);
                let proof = own.prove(&nonce, &claim);
                self.rights.claim(Instant(now), port, &claim, &proof);
            }
            1 if !self.overheard.is_empty() => {
                let (claim, proof) = *self.random.choose(&self.overheard);
                self.rights.claim(Instant(now), port, &claim, &proof);
            }
            2 => {
                let claim = Claim {
                    address: victim.address,
                    ..claim(HOSTILE, epoch)
                };
                let proof = own.prove(&nonce, &claim);
                self.rights.claim(Instant(now), port, &claim, &proof);
            }
            3 => {
                self.claim(now, port, HOSTILE, epoch);
            }
            4 => {
                let voice = self.rights.may_say(port, victim.address);
                if matches!(voice, Voice::Machine(_) | Voice::Plain) {
                    return broken(format!("somebody speaks from the address of {victim:?}"));
                }
            }
            _ => {
                self.rights.close(Instant(now), port);
                self.hostile_port = PortId(port.0 + 1);
                self.open(self.hostile_port);
            }
        }
        let after = stations.map(|station| self.standing(station));
        if before != after {
            return broken(format!("act {act}: {before:?} becomes {after:?}"));
        }
        Ok(())
    }
}

fn claim(station: Station, epoch: Epoch) -> Claim {
    Claim {
        machine: station.machine,
        epoch,
        address: station.address,
        node: NodeId(0),
    }
}

/// Each port is another node's.
fn node_at(port: PortId) -> NodeId {
    NodeId(u128::from(port.0) + 1)
}
