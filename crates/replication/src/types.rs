//! Units and identities of the protocol.

use crate::time::Duration;
use serde::{Deserialize, Serialize};

/// Names one node (host or process) among those that may run a machine. Never used again by another
/// process: a node that restarts takes a new one, so that a zombie is told from its successor.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NodeId(pub u128);

/// Names one replicated machine.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct MachineId(pub u128);

/// Names a host by what stays the same when its process restarts: the name that its channel proves.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct HostId(pub u128);

/// The generation of the arbiter's record; each change raises it by one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// Place of an entry in the log. The first entry has index 1; 0 means "none yet".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LogIndex(pub u64);

/// Random, unique to one attempt to change the arbiter's record.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Nonce(pub u128);

/// Names one state transfer. Later ones are greater (the upper half counts), and nobody can guess the name of one that he was not
/// told (the lower half).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct TransferId(pub u128);

/// Who is the machine (the memo's flag: `Pair` is 0, `Solo` is 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// The owner runs alone and may speak without acknowledgement.
    Solo,
    /// The owner is protected by the backup.
    Pair {
        /// The node that may take over.
        backup: NodeId,
    },
    /// The machine is switched off.
    Down,
}

/// The arbiter's record of one machine, changed only by compare-and-swap on the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The machine.
    pub machine: MachineId,
    /// Raised by one with each change.
    pub epoch: Epoch,
    /// Solo, pair or down.
    pub mode: Mode,
    /// The node that is the machine.
    pub owner: NodeId,
    /// Of the attempt that wrote this record.
    pub nonce: Nonce,
}

impl Epoch {
    /// The epoch after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl LogIndex {
    /// Whether a log can have an entry there: none has index 0, and none comes so far in the life of a machine.
    pub fn is_possible(self) -> bool {
        (1..=u64::MAX / 2).contains(&self.0)
    }

    /// The index of the entry after this one.
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// The index of the entry before this one; that of "none" stays.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The index this many entries later.
    pub fn plus(self, entries: u64) -> Self {
        Self(self.0.saturating_add(entries))
    }

    /// How many entries lie after `earlier` up to and including this one.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Record {
    /// The node that may take over, if any.
    pub fn backup(&self) -> Option<NodeId> {
        match self.mode {
            Mode::Pair { backup } => Some(backup),
            Mode::Solo | Mode::Down => None,
        }
    }
}

/// The parts of a takeover that the protocol knows of, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakeoverTimes {
    /// From the last that was heard of the primary until it was suspected.
    pub detected: Duration,
    /// From then until the record was read and everything acknowledged was replayed.
    pub drained: Duration,
    /// From then until the record named this node.
    pub swapped: Duration,
}
