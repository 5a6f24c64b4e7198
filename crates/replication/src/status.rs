//! What `futago status` shows of the protocol.

use crate::action::HaltReason;
use crate::backup::Backup;
use crate::core::{Core, Role};
use crate::message::Room;
use crate::output::Rule;
use crate::pacing::Refused;
use crate::primary::Primary;
use crate::protection::Protection;
use crate::testimony::DOUBT;
use crate::time::Duration;
use crate::types::{Epoch, LogIndex, NodeId, Record, TakeoverTimes, TransferId};

/// A node's view of itself at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What the node is.
    pub role: RoleStatus,
    /// The newest epoch that the node knows of; 0 before it knows any.
    pub epoch: Epoch,
    /// The memo's flag as this node knows it. It proves nothing: only the arbiter's record does.
    pub flag: Flag,
    /// The record that this node wrote last, if it did.
    pub record: Option<Record>,
    /// The other replica.
    pub peer: Option<NodeId>,
    /// Last entry of the log that this node knows of.
    pub last: LogIndex,
    /// Last entry that this node holds itself; on a primary the same as `last`.
    pub held: LogIndex,
    /// Last entry that the backup has acknowledged.
    pub acknowledged: LogIndex,
    /// Last entry that the backup has replayed.
    pub replayed: LogIndex,
    /// Last mark whose outputs have left.
    pub released: LogIndex,
    /// Output marks that wait to leave.
    pub outputs_held: usize,
    /// Whether outputs leave only when acknowledged.
    pub outputs_gated: bool,
    /// How long the oldest entry that is not replayed has waited (primary only).
    pub lag: Duration,
    /// The log on its way to the backup.
    pub flow: FlowStatus,
    /// How hard the hart brakes, in thousandths.
    pub brake: u16,
    /// Whether the backup has long been too slow for its primary (primary only).
    pub backup_slow: bool,
    /// Where a state transfer stands.
    pub transfer: TransferStatus,
    /// Who was refused last, for as long as it has not become the backup.
    pub join_refused: Option<Refused>,
    /// Whether the arbiter answered the last request.
    pub arbiter_reachable: bool,
    /// The newest record that this node's store has shown.
    pub known: Option<Record>,
    /// A record that proves that a peer reads another store.
    pub beside: Option<Record>,
    /// Whether the peer is suspected.
    pub suspects: bool,
    /// How long each part took of the takeover by which this node became the primary, if it did so that way.
    pub takeover: Option<TakeoverTimes>,
}

/// The log on its way from a primary to its backup, as either sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStatus {
    /// Round trip of the log, smoothed.
    pub round_trip: Duration,
    /// Whether the link loses so much that things are said twice.
    pub lossy: bool,
    /// Bytes that wait for an acknowledgement, sent or not.
    pub waiting_bytes: u64,
    /// Bytes that the backup holds and has not replayed, or that wait beyond a gap (backup only).
    pub buffered_bytes: u64,
    /// Bytes that are under way.
    pub flying_bytes: u64,
    /// Entries that were sent again because they were lost.
    pub resent: u64,
    /// What the backup can take, as it said last.
    pub room: Room,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleStatus {
    /// No part of the machine.
    Out,
    /// It asks to start the machine.
    Starting,
    /// It asks to join.
    Joining,
    /// It replays.
    Backup,
    /// It has asked the arbiter for the machine.
    TakingOver,
    /// It is the machine.
    Primary,
    /// It has stopped.
    Halted(HaltReason),
}

/// The memo's flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// 0: protected.
    Pair,
    /// 1: alone.
    Solo,
    /// A change was sent to the arbiter and its outcome is not known yet, or nothing is known.
    Unknown,
}

/// Where a state transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferStatus {
    /// None is under way.
    Idle,
    /// The snapshot is being taken.
    Snapshotting(TransferId),
    /// State and log are on their way.
    Copying(TransferId),
    /// The state is there; outputs are held until the backup has caught up.
    Closing(TransferId),
    /// The arbiter has been asked for `Pair`.
    Arming(TransferId),
    /// The backup is complete.
    Complete(TransferId),
}

impl Core {
    /// The node's view of itself.
    pub fn status(&self) -> Status {
        let proven = self.shared.testimony.proofs(self.shared.now, DOUBT).next();
        let mut status = Status {
            role: RoleStatus::Out,
            epoch: Epoch(0),
            flag: Flag::Unknown,
            record: None,
            peer: None,
            last: LogIndex(0),
            held: LogIndex(0),
            acknowledged: LogIndex(0),
            replayed: LogIndex(0),
            released: LogIndex(0),
            outputs_held: 0,
            outputs_gated: false,
            lag: Duration::ZERO,
            flow: FlowStatus::default(),
            brake: 0,
            backup_slow: false,
            transfer: TransferStatus::Idle,
            join_refused: None,
            arbiter_reachable: self.shared.arbiter_reachable,
            known: self.shared.testimony.shown(),
            beside: proven.map(|(_, record)| record),
            suspects: false,
            takeover: None,
        };
        match &self.role {
            Role::Out => {}
            Role::Starting(_) => status.role = RoleStatus::Starting,
            Role::Joining(joining) => {
                status.role = RoleStatus::Joining;
                status.join_refused = joining.refused;
            }
            Role::Backup(backup) => of_backup(&mut status, backup, self),
            Role::TakingOver(takeover) => {
                status.role = RoleStatus::TakingOver;
                status.epoch = takeover.target().epoch;
                status.peer = Some(takeover.former);
                status.last = takeover.held;
                status.held = takeover.held;
                status.acknowledged = takeover.held;
                status.replayed = takeover.replayed;
                status.suspects = true;
            }
            Role::Primary(primary) => of_primary(&mut status, primary, self),
            Role::Halted(reason) => status.role = RoleStatus::Halted(reason.clone()),
        }
        status
    }
}

fn of_backup(status: &mut Status, backup: &Backup, core: &Core) {
    status.role = RoleStatus::Backup;
    status.epoch = backup.epoch;
    status.flag = if backup.paired {
        Flag::Pair
    } else {
        Flag::Solo
    };
    status.peer = Some(backup.primary);
    status.last = backup.announced;
    status.held = backup.held;
    status.acknowledged = backup.held;
    status.replayed = backup.replayed;
    status.released = backup.released;
    status.flow.buffered_bytes = backup.buffered_bytes();
    status.suspects = backup.is_suspicious(&core.shared);
    status.transfer = if backup.is_ready() {
        TransferStatus::Complete(backup.transfer)
    } else {
        TransferStatus::Copying(backup.transfer)
    };
}

fn of_primary(status: &mut Status, primary: &Primary, core: &Core) {
    status.role = RoleStatus::Primary;
    status.epoch = primary.record.epoch;
    status.record = Some(primary.record);
    status.last = primary.last;
    status.held = primary.last;
    status.released = primary.outputs.released();
    status.outputs_held = primary.outputs.held();
    status.outputs_gated = matches!(primary.outputs.rule(), Rule::Acknowledged { .. });
    status.brake = primary.brake;
    status.join_refused = primary.refused;
    status.takeover = primary.takeover;
    let paired = primary.owner().paired;
    status.flag = match (&primary.protection, paired) {
        (protection, _) if protection.in_doubt() => Flag::Unknown,
        (_, true) => Flag::Pair,
        (_, false) => Flag::Solo,
    };
    if let Some(stream) = primary.protection.stream() {
        status.peer = Some(stream.peer);
        status.acknowledged = stream.window.acknowledged();
        status.replayed = stream.window.replayed();
        status.lag = stream.window.lag(core.shared.now);
        status.flow = FlowStatus {
            round_trip: stream.flight.path().round_trip(),
            lossy: stream.flight.path().is_lossy(),
            waiting_bytes: stream.window.bytes(),
            buffered_bytes: 0,
            flying_bytes: stream.flight.flying_bytes(),
            resent: stream.flight.resent(),
            room: stream.flight.room(),
        };
        status.backup_slow = stream.pace.is_slow();
    }
    status.transfer = match &primary.protection {
        Protection::Alone => TransferStatus::Idle,
        Protection::Snapshotting(snapshotting) => {
            status.peer = Some(snapshotting.peer);
            TransferStatus::Snapshotting(snapshotting.transfer)
        }
        Protection::Copying(stream) => TransferStatus::Copying(stream.transfer),
        Protection::Closing { stream, .. } => TransferStatus::Closing(stream.transfer),
        Protection::Arming { stream, .. } => TransferStatus::Arming(stream.transfer),
        Protection::Paired { stream, suspicion } => {
            status.suspects = suspicion.is_some();
            TransferStatus::Complete(stream.transfer)
        }
        Protection::Disarming { stream, .. } => {
            status.suspects = true;
            TransferStatus::Complete(stream.transfer)
        }
        Protection::Stopping { .. } => TransferStatus::Idle,
    };
}
