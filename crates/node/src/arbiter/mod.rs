//! The arbiter: one small record per machine that says who is the machine, changed only by atomic and durable
//! compare-and-swap. The protocol around it is in `replication`; here are the stores and the thread that asks them.

mod directory;
mod record;
mod worker;

pub use directory::DirectoryArbiter;
pub use record::{RecordError, parse_record, render_record};
pub use worker::{ArbiterAnswer, ArbiterWorker};

use replication::Record;

/// What a store answered to a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapResult {
    /// The new record is in force, on stable storage.
    Done,
    /// The record is this, and not what was expected.
    Refused(Option<Record>),
}

/// A store of one machine's record. Calls block; an error says that nothing is known, not that nothing happened.
pub trait ArbiterStore: Send {
    /// The record as it is now.
    ///
    /// # Errors
    /// The store cannot be reached or what it holds cannot be trusted.
    fn read(&mut self) -> anyhow::Result<Option<Record>>;

    /// Replaces `expected` (none: no record yet) by `new`, whose epoch is the next one.
    ///
    /// # Errors
    /// The store cannot be reached; the swap may have taken effect all the same.
    fn swap(&mut self, expected: Option<Record>, new: Record) -> anyhow::Result<SwapResult>;
}
