//! How an executor is doing, and when it wants to go on.

use machine::Position;

/// When to call [`Executor::step`](crate::Executor::step) again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// At once.
    Again,
    /// At this host time (in ticks), where given, or after the next command, whichever is first.
    Wait {
        /// In host ticks.
        until: Option<u64>,
    },
}

/// How an executor is doing, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecutorStatus {
    /// Where the machine is.
    pub position: Position,
    /// As far as the log allows to run; the position itself while recording.
    pub horizon: Position,
    /// Bytes of memory that the guest has ever written.
    pub touched_bytes: u64,
    /// The last position at which a digest agreed while replaying, or where that began.
    pub agreed: Position,
    /// Digests that agreed, since this executor began.
    pub digests_compared: u64,
    /// Typed bytes that this executor was ever given, and those of them that the guest has yet to read.
    pub typed: u64,
    /// See `typed`.
    pub typed_waiting: u64,
    /// Inputs that wait for their turn, or for room in the machine.
    pub inputs_waiting: usize,
    /// Inputs dropped for want of room, since this executor began to record.
    pub inputs_dropped: u64,
    /// Panics that were contained since this machine was made here.
    pub engine_faults: u64,
}
