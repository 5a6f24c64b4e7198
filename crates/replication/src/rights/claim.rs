//! What is said at a port, and what may come of it.

use crate::types::{Epoch, MachineId, NodeId};

/// Names a port for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u64);

/// A station's address on Ethernet.
pub type Address = [u8; 6];

/// What a node says at its port: it speaks for the machine in the epoch, from the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The machine.
    pub machine: MachineId,
    /// The epoch.
    pub epoch: Epoch,
    /// The guest's address.
    pub address: Address,
    /// The node itself: no other process ever has its name.
    pub node: NodeId,
}

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The port speaks for the machine from now on.
    Admitted,
    /// The proof is not made with the machine's key and this port's nonce, or the port is another machine's.
    WrongKey,
    /// A newer epoch of the machine has spoken already.
    OlderEpoch,
    /// Another node speaks for the machine in this epoch, on a port that is open: one of the two is not the machine.
    EpochTaken,
    /// The address is another machine's.
    AddressTaken,
    /// The switch knows as many machines as it can.
    NoRoom,
}
