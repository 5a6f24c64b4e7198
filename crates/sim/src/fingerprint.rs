//! What a machine is known by.

use replication::LogIndex;

/// A machine's state, as the judge sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// The last log entry in it.
    pub(crate) last: LogIndex,
    /// Instructions attempted, where the machine counts them: states after the same entry can be compared only
    /// at the same position.
    pub(crate) position: u64,
    /// Hash of the state.
    pub(crate) digest: u64,
}
