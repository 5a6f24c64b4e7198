//! What the core is told by its own node (`Local`), and what it asks its node to do (`Action`).

use crate::message::Message;
use crate::pacing::Refusal;
use crate::types::{Epoch, HostId, LogIndex, NodeId, Record, TransferId};
use bytes::Bytes;

/// Names one request to the arbiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request to the arbiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArbiterOperation {
    /// Read the record.
    Read,
    /// Replace `expected` (none: no record yet) by `new`, atomically and durably.
    Swap {
        /// What the record must be.
        expected: Option<Record>,
        /// What it becomes.
        new: Record,
    },
    /// Keep `new` at hand, durably: a swap to it may follow. Changes nothing, and needs no answer.
    Prepare {
        /// What the record may become.
        new: Record,
    },
}

/// What the arbiter answered. A swap may have happened although it is answered by `Unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArbiterReply {
    /// The record as it is now (none: no record yet), after a read or a swap that took effect.
    Current(Option<Record>),
    /// The swap did not take effect, because the record is this.
    Refused(Option<Record>),
    /// No answer, or an error: nothing is known.
    Unavailable,
}

/// An event on the core's own node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// This node has the machine's initial state and may start it if no record exists, or the record is `Down`.
    Start,
    /// This node has no state and offers itself as a backup to every node it is connected to.
    Join,
    /// How much memory this node has for a state that comes in. Said anew when it has changed; before the first
    /// time, any state fits.
    Room {
        /// In bytes.
        bytes: u64,
    },
    /// How much memory a node needs to take in this node's state, and to become its replica. Said anew when it has
    /// changed; before the first time, none.
    Needs {
        /// In bytes.
        bytes: u64,
    },
    /// The operator takes this node out. It halts when the machine goes on without it: a backup once its primary has said so,
    /// a primary if the record names a backup that nobody doubts. The last one with the machine's state stays.
    Leave,
    /// The operator ends this owner as it is. If nobody protects the machine, or as soon as that is certain, the machine is off;
    /// an owner that turns out to be protected leaves it to its backup. Others ignore it.
    GiveUp,
    /// A channel to `peer` is open. What was sent on an earlier one may be lost.
    Connected {
        /// The other node.
        peer: NodeId,
        /// Its host, as the channel proves it.
        host: HostId,
    },
    /// The channel to `peer` is gone. A hint: it may be suspected at once, but suspicion proves nothing.
    Disconnected {
        /// The other node.
        peer: NodeId,
    },
    /// The hart produced log entries; their indexes follow the last one. Those whose number (from 0) is in
    /// `marks` are output marks: the node holds the outputs of each until `Action::Release` reaches it.
    Appended {
        /// The entries, in order.
        entries: Vec<Bytes>,
        /// Which of them are output marks.
        marks: Vec<u32>,
    },
    /// The snapshot asked for is taken; the next entry that the hart appends has index `from`.
    SnapshotTaken {
        /// The transfer that it is for.
        transfer: TransferId,
        /// First log index after the snapshot.
        from: LogIndex,
    },
    /// So much of the state of a transfer has been sent.
    TransferProgress {
        /// The transfer.
        transfer: TransferId,
        /// In bytes.
        bytes: u64,
        /// How much it is in all.
        total: u64,
    },
    /// The state of a transfer has come in whole and was restored (`intact`), or not: also when the bulk channel
    /// broke.
    StateRestored {
        /// The transfer.
        transfer: TransferId,
        /// Whether it can be used.
        intact: bool,
    },
    /// For the first time since the state was restored, a digest in the log agreed with it.
    Verified,
    /// The backup's hart has applied every entry up to here.
    Replayed {
        /// Last entry applied.
        index: LogIndex,
    },
    /// The backup's hart found a digest that differs, or an entry that cannot be applied.
    Diverged,
    /// The arbiter answered.
    Arbiter {
        /// The request.
        request: RequestId,
        /// The answer.
        reply: ArbiterReply,
    },
    /// The guest switched itself off, as of the last appended (on a backup: replayed) entry.
    PoweredOff,
}

/// Why a node stops being part of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaltReason {
    /// Another node is the machine now.
    Lost {
        /// The record that says so.
        record: Record,
    },
    /// The machine is switched off.
    PoweredOff,
    /// This backup's state differs from its primary's.
    Diverged,
    /// This backup is needed no more: the record names another, or none.
    Dismissed,
    /// The node was told to leave, or to give the machine up, and the machine goes on without it.
    Left,
    /// The node that it asked to join is a replica of another machine.
    OtherMachine,
    /// A peer has seen a record that this node's store has never shown: they read two stores, or copies of one.
    OtherStore {
        /// The newest record that the store shows.
        shown: Option<Record>,
        /// What the peer has seen.
        claimed: Record,
    },
}

impl HaltReason {
    /// Why a node ends that finds the machine down, whose owner was `owner`: its guest was switched off, or an operator has ended it.
    pub(crate) fn of_down(record: Record, owner: NodeId) -> Self {
        match record.owner == owner {
            true => Self::PoweredOff,
            false => Self::Lost { record },
        }
    }
}

/// Something the node must do. Actions are performed in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// For the node's log only: why the core does what follows, in the words of its decision tables.
    Explain {
        /// The row taken.
        why: &'static str,
    },
    /// For the node's log only: a node that asks to join is refused, for another reason than before.
    Refuse {
        /// The node.
        peer: NodeId,
        /// Why.
        why: Refusal,
    },
    /// Send a message.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// Ask the arbiter; answer by `Local::Arbiter`.
    Arbiter {
        /// Comes back with the answer.
        request: RequestId,
        /// What to ask.
        operation: ArbiterOperation,
    },
    /// Start executing as the machine (first start): outputs are held by their marks.
    Run {
        /// The epoch that this node owns.
        epoch: Epoch,
    },
    /// `Local::Start` is refused: the machine is, or was last, another node. This node is no part of it, and may
    /// ask to `Local::Join`.
    StandAside {
        /// The record that says so.
        record: Record,
    },
    /// Outputs of every mark up to here may leave, stamped with this epoch. They must be on their way before any
    /// later `Send` is performed: that message may tell the backup that they have left.
    Release {
        /// The last mark that is free.
        up_to: LogIndex,
        /// The owner's epoch.
        epoch: Epoch,
    },
    /// Take a snapshot at the next position possible; answer by `Local::SnapshotTaken`.
    TakeSnapshot {
        /// The transfer that it is for.
        transfer: TransferId,
    },
    /// Send the snapshot's bytes to `to` (bulk, beside the messages).
    SendState {
        /// The new backup.
        to: NodeId,
        /// The transfer.
        transfer: TransferId,
    },
    /// Stop sending, and forget the snapshot or the partly received state.
    AbandonTransfer {
        /// The transfer.
        transfer: TransferId,
    },
    /// Receive the bytes of this transfer and restore them; answer by `Local::StateRestored`. They may have begun to
    /// arrive before this.
    ReceiveState {
        /// Who sends.
        from: NodeId,
        /// The transfer.
        transfer: TransferId,
        /// Index of the first entry to apply to that state.
        next: LogIndex,
    },
    /// Give these entries to the replaying hart.
    Replay {
        /// Index of the first.
        first: LogIndex,
        /// The entries.
        entries: Vec<Bytes>,
    },
    /// Forget the backup's copies of outputs whose marks are at or below this index, at once or as soon as replay
    /// produces them: they have left.
    Forget {
        /// The last mark that has left.
        up_to: LogIndex,
    },
    /// The arbiter made this node the machine. The hart has replayed everything acknowledged: it goes live, says
    /// again every output not forgotten, and appends its next entry at `next`.
    GoLive {
        /// The epoch that this node owns.
        epoch: Epoch,
        /// Index of the next entry.
        next: LogIndex,
    },
    /// How hard the primary's hart must brake for the backup to keep up: 0 runs freely, 1000 stands still.
    Throttle {
        /// In thousandths.
        brake: u16,
    },
    /// Stop at once and for good; nothing more may leave this node.
    Halt {
        /// Why.
        reason: HaltReason,
    },
}
