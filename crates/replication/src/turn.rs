//! What a role becomes after an event, as plain data: [`Core`](crate::Core) makes the next role of it, so that no role knows
//! another.

use crate::action::HaltReason;
use crate::arbitration::Won;
use crate::types::{Epoch, LogIndex, NodeId, Record, TakeoverTimes, TransferId};

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Stay,
    /// No part of the machine any more, as if it had never asked.
    StandAside,
    /// Asks the arbiter whether it may start the machine.
    Start,
    /// The first owner, or the first after a power-off.
    Lead(Box<Won>),
    /// A primary is about to send its state.
    Follow(Following),
    /// Asks to join.
    Join,
    /// Asks to join anew, after so many attempts that came to nothing.
    JoinAgain {
        attempts: u64,
    },
    /// Asks the arbiter for the machine.
    TakeOver(Box<Attempt>),
    /// The arbiter has made it the owner.
    Succeed(Box<Succession>),
    Halt(HaltReason),
}

/// The stream that a backup begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Following {
    pub(crate) primary: NodeId,
    pub(crate) transfer: TransferId,
    pub(crate) epoch: Epoch,
    /// The `Join` that it answers.
    pub(crate) attempt: u64,
    /// Index of the first entry after the state.
    pub(crate) first: LogIndex,
}

/// What a backup tries to take over, and what it holds.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The record that names it as the backup.
    pub(crate) record: Record,
    /// The node that was the primary, and the stream that came from it.
    pub(crate) former: NodeId,
    pub(crate) transfer: TransferId,
    /// Last entry held, hence the last that can have been acknowledged.
    pub(crate) held: LogIndex,
    pub(crate) replayed: LogIndex,
    pub(crate) powered_off: bool,
    /// Until it is asked for.
    pub(crate) times: TakeoverTimes,
}

/// What a backup that has taken over brings with it.
#[derive(Debug)]
pub(crate) struct Succession {
    pub(crate) won: Won,
    /// Last entry held, and replayed.
    pub(crate) held: LogIndex,
    pub(crate) powered_off: bool,
    pub(crate) times: TakeoverTimes,
}
