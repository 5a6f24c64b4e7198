//! The one owner of a state on its way: a snapshot from the executor to whoever sends it, and one that comes in from
//! its first byte's peer to the executor.

use bytes::Bytes;
use replication::{LogIndex, NodeId, TransferId};

/// A state that is whole, and the first entry to apply to it.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) transfer: TransferId,
    pub(crate) next: LogIndex,
    pub(crate) state: Bytes,
}

/// What the protocol waits for.
#[derive(Debug)]
struct Awaited {
    from: NodeId,
    transfer: TransferId,
    next: LogIndex,
}

/// States between their nodes' two halves.
#[derive(Debug, Default)]
pub(crate) struct Transit {
    /// Taken for a transfer that is not over, and not handed over yet.
    taken: Option<(TransferId, Bytes)>,
    awaited: Option<Awaited>,
    /// What came before the protocol asked for it: the newest only.
    early: Option<(NodeId, TransferId, Bytes)>,
    /// The executor is to become the replica of this transfer's state: what it reports before that is of a former life.
    restoring: Option<TransferId>,
}

impl Transit {
    /// The executor has taken a snapshot.
    pub(crate) fn taken(&mut self, transfer: TransferId, state: Bytes) {
        self.taken = Some((transfer, state));
    }

    /// The snapshot of this transfer, if there is one; it is handed over once.
    pub(crate) fn hand_over(&mut self, transfer: TransferId) -> Option<Bytes> {
        let (_, state) = self.taken.take_if(|(taken, _)| *taken == transfer)?;
        Some(state)
    }

    /// A state is to come in. It may be there.
    pub(crate) fn expect(
        &mut self,
        from: NodeId,
        transfer: TransferId,
        next: LogIndex,
    ) -> Option<Arrived> {
        self.restoring = Some(transfer);
        self.awaited = Some(Awaited {
            from,
            transfer,
            next,
        });
        let (_, _, state) = self
            .early
            .take_if(|(sender, early, _)| (*sender, *early) == (from, transfer))?;
        self.arrive(from, transfer, state)
    }

    /// A state has come in.
    pub(crate) fn arrive(
        &mut self,
        from: NodeId,
        transfer: TransferId,
        state: Bytes,
    ) -> Option<Arrived> {
        let is_it = |awaited: &mut Awaited| (awaited.from, awaited.transfer) == (from, transfer);
        match self.awaited.take_if(is_it) {
            Some(Awaited { next, .. }) => Some(Arrived {
                transfer,
                next,
                state,
            }),
            None => {
                self.early = Some((from, transfer, state));
                None
            }
        }
    }

    /// The channel to `peer` is gone: the transfer whose state will not come in from it.
    pub(crate) fn lost(&mut self, peer: NodeId) -> Option<TransferId> {
        self.early.take_if(|(from, ..)| *from == peer);
        let lost = self.awaited.take_if(|awaited| awaited.from == peer)?;
        Some(lost.transfer)
    }

    /// The transfer is given up.
    pub(crate) fn abandon(&mut self, transfer: TransferId) {
        self.taken.take_if(|(taken, _)| *taken == transfer);
        self.awaited.take_if(|awaited| awaited.transfer == transfer);
        self.early.take_if(|(_, early, _)| *early == transfer);
    }

    /// The executor has restored the state of this transfer, or could not.
    pub(crate) fn restored(&mut self, transfer: TransferId) {
        self.restoring.take_if(|restoring| *restoring == transfer);
    }

    /// Whether what the executor reports is of a life that has ended.
    pub(crate) fn is_of_former_life(&self) -> bool {
        self.restoring.is_some()
    }

    /// Everything is over.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
