//! Why bytes are no snapshot.

use crate::board::RestoreError;
use crate::config::BoardError;
use crate::hart::BadRegister;

/// Version of the format where the machine has no requests: as it was before there were any.
pub(super) const VERSION: u16 = 2;
/// Version with the state of requests behind the rest of the state.
pub(super) const VERSION_WITH_REQUESTS: u16 = 3;

/// Why bytes are no snapshot that this program can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not a snapshot at all.
    #[error("this is not a snapshot")]
    Magic,
    /// From another version.
    #[error(
        "the snapshot has version {0}, and this program understands versions {VERSION} and {VERSION_WITH_REQUESTS}"
    )]
    Version(u16),
    /// Ends too early, or is too long.
    #[error("the snapshot is cut off or has bytes too many")]
    Length,
    /// Damaged.
    #[error("the snapshot is damaged: its checksum is wrong")]
    Checksum,
    /// The state cannot be decoded.
    #[error("the state in the snapshot cannot be decoded")]
    State,
    /// The memory cannot be decoded.
    #[error("the memory in the snapshot cannot be decoded")]
    Memory,
    /// The clock was set in the future.
    #[error("the guest clock in the snapshot was set after the snapshot was taken")]
    Clock,
    /// The board is impossible.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// A register is impossible.
    #[error(transparent)]
    Register(#[from] BadRegister),
    /// A device is impossible.
    #[error(transparent)]
    Devices(#[from] RestoreError),
}
