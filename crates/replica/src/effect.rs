//! What a replica wants done.

use crate::command::Command;
use bytes::Bytes;
use eventlog::Divergence;
use machine::{Output, Request, SnapshotError};
use replication::{
    ArbiterOperation, Epoch, HaltReason, LogIndex, Message, NodeId, Record, Refusal, RequestId,
    TransferId,
};

/// Something that a replica wants done. Effects are carried out in order: above all, outputs must be on their way
/// before a later message, which may tell the backup that they have left.
#[derive(Debug)]
pub enum Effect {
    /// Tell the executor.
    Command(Command),
    /// Send a message to a peer.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// Ask the arbiter; answer by [`Event::Arbiter`](crate::Event::Arbiter).
    AskArbiter {
        /// Comes back with the answer.
        request: RequestId,
        /// What to ask.
        operation: ArbiterOperation,
    },
    /// This node is the machine from here on: announce it.
    Announce {
        /// The epoch that it owns.
        epoch: Epoch,
        /// The next entry's index, if it was the backup; else the machine starts.
        live_from: Option<LogIndex>,
    },
    /// These outputs leave the machine.
    Speak {
        /// The owner's epoch, with which they are stamped.
        epoch: Epoch,
        /// In order.
        outputs: Vec<Output>,
    },
    /// Do this for the machine, at once, and tell the executor by [`Input::Completion`](machine::Input::Completion) how it
    /// ended.
    CarryOut(Request),
    /// The machine is, or was last, another node: this one is no part of it, and may ask to join.
    StandAside {
        /// The record that says so.
        record: Record,
    },
    /// Send a state to a peer, beside the messages.
    SendState {
        /// The new backup.
        to: NodeId,
        /// The transfer.
        transfer: TransferId,
        /// The bytes.
        state: Bytes,
    },
    /// Receive a state; answer by [`Event::StateArrived`](crate::Event::StateArrived).
    ReceiveState {
        /// Who sends it.
        from: NodeId,
        /// By which transfer.
        transfer: TransferId,
        /// Index of the first entry that will be applied to it.
        next: LogIndex,
    },
    /// Stop sending or receiving a state.
    AbandonState {
        /// The transfer.
        transfer: TransferId,
    },
    /// Tell people.
    Tell(Notice),
    /// Nothing more leaves this node, for good.
    Halt {
        /// Why.
        reason: HaltReason,
    },
}

/// Something that people may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Why the protocol does what follows, in the words of its decision tables.
    Explains {
        /// The row taken.
        why: &'static str,
    },
    /// A node that asks to join is refused, for another reason than before.
    Refuses {
        /// The node.
        peer: NodeId,
        /// Why.
        why: Refusal,
    },
    /// A snapshot was taken, while the guest stood still.
    SnapshotTaken {
        /// Its size.
        bytes: usize,
    },
    /// The state that came in was restored.
    Restored,
    /// The state that came in cannot be used.
    NotRestored(SnapshotError),
    /// The restored state agrees with the primary's digest.
    Verified,
    /// This backup differs from its primary.
    Diverged(Divergence),
    /// The guest did the first thing of its own since this node went live.
    GoesOn,
    /// The guest switched itself off.
    PoweredOff,
    /// The guest asked for a reset, which is not supported yet.
    ResetAsked,
    /// Told to leave, this node goes unless it has just started the machine, which the arbiter has yet to say.
    LeavesIfNotStarted,
    /// Told to leave, this backup goes once its primary has gone on alone.
    LeavesLater,
    /// Told to leave, this node stays: it has the machine's only state.
    Stays,
    /// This backup was to leave, and stays: its primary is gone, and it is the machine now.
    StaysAfterAll,
}
