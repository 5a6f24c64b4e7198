//! What the I/O side asks of the hart side, and what the hart side reports. Both travel as values over
//! bounded channels in `node`, and over plain queues in `sim`.

use bytes::Bytes;
use eventlog::Divergence;
use machine::{Input, Output};
use replication::{LogIndex, TransferId};

/// Asked of the hart.
#[derive(Clone, Debug)]
pub enum HartCommand {
    /// Start executing and recording: the next entry has index `next`.
    Run {
        /// Index of the first entry to append.
        next: LogIndex,
    },
    /// Something arrived from outside (primary only; a backup ignores it).
    Input(Input),
    /// Take a snapshot after a `Synchronize` entry.
    TakeSnapshot {
        /// The transfer that it is for.
        transfer: TransferId,
    },
    /// Become the replica of this snapshot (its bytes) and replay from `next` on.
    Restore {
        /// The transfer that it came by.
        transfer: TransferId,
        /// Index of the first entry to apply.
        next: LogIndex,
        /// The snapshot.
        state: Bytes,
    },
    /// Replay these entries.
    Replay {
        /// Index of the first.
        first: LogIndex,
        /// The entries.
        entries: Vec<Bytes>,
    },
    /// Stop replaying: everything given has been applied; record from `next` on.
    GoLive {
        /// Index of the next entry to append.
        next: LogIndex,
    },
    /// Brake, in thousandths (0 runs freely, 1000 stands still).
    Throttle {
        /// In thousandths.
        brake: u16,
    },
    /// Stop for good.
    Halt,
}

/// Reported by the hart.
#[derive(Clone, Debug)]
pub enum HartReport {
    /// The primary's new log entries, with the outputs that each output mark covers.
    Appended {
        /// The entries, encoded.
        entries: Vec<Bytes>,
        /// For each output mark: its number among `entries` (from 0), and its outputs.
        outputs: Vec<(u32, Vec<Output>)>,
    },
    /// The backup applied entries up to here.
    Replayed {
        /// The last entry applied.
        index: LogIndex,
        /// Outputs that the backup produced, each with the index of its mark.
        outputs: Vec<(LogIndex, Vec<Output>)>,
    },
    /// The snapshot is taken.
    SnapshotTaken {
        /// The transfer that it is for.
        transfer: TransferId,
        /// First log index after it.
        from: LogIndex,
        /// Its bytes.
        state: Bytes,
    },
    /// A snapshot was restored (`Ok`) or cannot be used.
    Restored {
        /// The transfer that it came by.
        transfer: TransferId,
        /// What is wrong with it, as a sentence.
        result: Result<(), String>,
    },
    /// For the first time since the restore, a digest agreed with the primary's.
    Verified,
    /// The backup differs from the primary, or was given an entry that cannot be applied.
    Diverged(Divergence),
    /// The guest switched itself off; the entry that says so has been appended (on a backup: replayed).
    PoweredOff,
    /// The guest asked for a reset, which is not supported yet: it stands still, as if switched off. The entry that
    /// says so has been appended (on a backup: replayed).
    ResetAsked,
}
