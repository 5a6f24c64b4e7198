//! What an executor is told.

use bytes::Bytes;
use machine::Input;
use replication::{LogIndex, TransferId};

/// Told to an executor. Commands travel as values, over a bounded channel or a plain queue.
#[derive(Clone, Debug)]
pub enum Command {
    /// Start executing and recording: the log begins here.
    Run,
    /// Replay, from the machine that is there, the log from `next` on.
    Follow {
        /// Index of the first entry to apply.
        next: LogIndex,
    },
    /// Something arrived from outside (while recording only; whoever replays ignores it).
    Input(Input),
    /// Take a snapshot after a `Synchronize` entry.
    TakeSnapshot {
        /// The transfer that it is for.
        transfer: TransferId,
    },
    /// Write a digest of the state as it is (while recording only), and report all: where a record ends.
    Digest,
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
    /// Slow the guest while recording.
    Throttle {
        /// Thousandths of the time in which the guest stands still: 0 runs freely, 1000 not at all.
        per_mille: u16,
    },
    /// Stop for good.
    Halt,
}
