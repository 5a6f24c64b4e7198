//! What an executor tells.

use bytes::Bytes;
use eventlog::Divergence;
use machine::{Output, Request, SnapshotError};
use replication::{LogIndex, TransferId};

/// Told by an executor. Log indexes are counted there, and nowhere else in a replica.
#[derive(Clone, Debug)]
pub enum Report {
    /// New log entries, with the outputs that each output mark covers.
    Appended {
        /// Index of the first of them.
        first: LogIndex,
        /// The entries, encoded.
        entries: Vec<Bytes>,
        /// For each output mark among them: its index, and its outputs.
        outputs: Vec<(LogIndex, Vec<Output>)>,
    },
    /// Entries were replayed up to here.
    Replayed {
        /// The last entry applied.
        index: LogIndex,
        /// Outputs that the machine produced, each with the index of its mark.
        outputs: Vec<(LogIndex, Vec<Output>)>,
    },
    /// The machine asks its host to do this. Nobody holds it back, and no entry is waited for. How each ends is an input. First
    /// after going live are those that were pending, whoever was asked before.
    Requested {
        /// In order.
        requests: Vec<Request>,
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
        /// What is wrong with it.
        result: Result<(), SnapshotError>,
    },
    /// For the first time since the restore, a digest agreed with the primary's.
    Verified,
    /// The machine differs from the primary's, or was given an entry that cannot be applied.
    Diverged(Divergence),
    /// The guest switched itself off; the entry that says so has been appended (or replayed).
    PoweredOff,
    /// The guest asked for a reset, which is not supported yet: it stands still, as if switched off. The entry that
    /// says so has been appended (or replayed).
    ResetAsked,
}
