//! The arbiter: one small record per machine that says who is the machine, changed only by atomic and durable
//! compare-and-swap. The protocol around it is in `replication`; here are the stores, what a node remembers of
//! its own, and the thread that asks them.

mod directory;
mod files;
mod guard;
mod identity;
mod lines;
mod naming;
mod operator;
mod record;
mod seen;
mod worker;

pub use directory::DirectoryArbiter;
pub use files::{DIRECTORY_FILES_MAX, Files, HostFiles};
pub use guard::GuardedStore;
pub use identity::{StoreId, init_store};
pub use lines::LinesError;
pub use operator::{EPOCHS_SKIPPED_MAX, Listed, RecordView, list, recover, show, what_is_given_up};
pub use record::{parse_record, render_record};
pub use seen::{Seen, SeenFile, SeenRole, check_age};
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

    /// Has `new` at hand, durably, for a swap that may follow. Changes nothing.
    ///
    /// # Errors
    /// The store cannot be reached, or is full. The swap is possible all the same, if it then has room.
    fn prepare(&mut self, new: Record) -> anyhow::Result<()>;

    /// Whether a swap could be written now, as far as looking shows it.
    ///
    /// # Errors
    /// The store can be read only.
    fn look_whether_writable(&mut self) -> anyhow::Result<()>;

    /// Does what nobody waits for: called after each answer.
    fn catch_up(&mut self);
}
