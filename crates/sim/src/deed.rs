//! What a process does, as the cluster carries it and the judge sees it.

use crate::fingerprint::Fingerprint;
use bytes::Bytes;
use machine::{Output, Request};
use replication::{
    ArbiterOperation, Epoch, HaltReason, LogIndex, Message, NodeId, Refusal, RequestId, TransferId,
};

/// What the cluster must carry or show to the judge after a process acted.
#[derive(Debug)]
pub(crate) enum Deed {
    /// It sends a message.
    Sends { to: NodeId, message: Message },
    /// It asks the arbiter.
    Asks {
        request: RequestId,
        operation: ArbiterOperation,
    },
    /// It starts the machine.
    Runs { epoch: Epoch },
    /// It goes live after having been a backup, its next entry being `next`.
    GoesLive {
        epoch: Epoch,
        next: LogIndex,
        fingerprint: Fingerprint,
    },
    /// It tells the switch that it is the machine now.
    Announces { epoch: Epoch },
    /// Outputs leave under the owner's epoch, each with the log index of its mark.
    Leaves {
        epoch: Epoch,
        outputs: Vec<(Option<LogIndex>, Output)>,
    },
    /// Its host is asked to do this for the machine.
    CarriesOut { request: Request },
    /// The machine is another node.
    StandsAside,
    /// It asks its executor for a snapshot.
    AsksSnapshot { transfer: TransferId },
    /// Its executor took a snapshot for this transfer.
    TookSnapshot { transfer: TransferId },
    /// The bytes of a transfer are to be carried.
    SendsState {
        to: NodeId,
        transfer: TransferId,
        state: Bytes,
    },
    /// It waits for the bytes of a transfer, and will apply this entry first.
    AwaitsState {
        from: NodeId,
        transfer: TransferId,
        next: LogIndex,
    },
    /// It slows its guest.
    Throttles { per_mille: u16 },
    /// It refuses a node that asks to join.
    Refuses { peer: NodeId, why: Refusal },
    /// Its machine appended entries as the owner.
    Appended { fingerprint: Fingerprint },
    /// Its machine replayed entries as a backup.
    Replayed { fingerprint: Fingerprint },
    /// Its machine agreed with a digest for the first time since it was restored.
    Verified,
    /// Its machine found that it differs from the owner's.
    Diverges,
    /// Its host kills it.
    Dies,
    /// It ends itself.
    Halts { reason: HaltReason },
}

impl Deed {
    /// Whether its executor did it, or its host, whatever its replica has decided meanwhile.
    pub(crate) fn is_unasked(&self) -> bool {
        matches!(
            self,
            Self::TookSnapshot { .. }
                | Self::Appended { .. }
                | Self::Replayed { .. }
                | Self::Verified
                | Self::Diverges
                | Self::Dies
        )
    }
}
