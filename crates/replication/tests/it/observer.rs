//! Judges from outside: whoever was told something is never told anything that contradicts it.

use replication::{
    Action, ArbiterOperation, Epoch, HaltReason, LogIndex, Message, Mode, NodeId, Record,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a chaotic cluster allows joiners: so long may guests stand still in so much time, in microseconds.
pub(crate) const PAUSES_MAX: u64 = 8_000;
pub(crate) const PAUSES_WINDOW: u64 = 1_000_000;

/// What the world has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    /// The machine's history as far as an output depends on it: entry n has index n + 1.
    told: Vec<u64>,
    records: BTreeMap<Epoch, Record>,
    /// Epochs in which a node began to run.
    begun: BTreeMap<Epoch, NodeId>,
    /// Nodes that tried to take over.
    attempted: BTreeSet<NodeId>,
    /// Backups whose hart found that it differs.
    diverged: BTreeSet<NodeId>,
    /// When each guest was stopped for a snapshot.
    pauses: BTreeMap<NodeId, Vec<u64>>,
    pub(crate) releases: u64,
    pub(crate) takeovers: u64,
}

impl Observer {
    /// The arbiter's record has changed.
    pub(crate) fn record(&mut self, record: Record) {
        let newest = self.records.last_key_value().map_or(0, |(e, _)| e.0);
        assert_eq!(record.epoch.0, newest + 1, "I1: epochs rise by one");
        self.records.insert(record.epoch, record);
    }

    /// A guest is stopped for a snapshot.
    pub(crate) fn pause(&mut self, id: NodeId, now: u64, us: u64) {
        let pauses = self.pauses.entry(id).or_default();
        pauses.push(now);
        let recent = pauses.iter().filter(|at| now - **at < PAUSES_WINDOW);
        let sum = recent.count() as u64 * us;
        assert!(
            sum <= PAUSES_MAX + us,
            "pauses: {id:?} stood still for {sum} us"
        );
    }

    /// A node acts; `history` is what its hart has applied, `held` what the backup in the record holds.
    pub(crate) fn action(
        &mut self,
        id: NodeId,
        action: &Action,
        history: &[u64],
        held: Option<LogIndex>,
    ) {
        match action {
            Action::Release { up_to, epoch } => {
                if let Some(held) = held {
                    assert!(
                        *up_to <= held,
                        "I2: {up_to:?} left, the backup holds {held:?}"
                    );
                }
                let owner = self.records.get(epoch).map(|record| record.owner);
                assert_eq!(owner, Some(id), "I5: the epoch of another, or none");
                self.tell(&history[..up_to.0 as usize]);
                self.releases += 1;
            }
            Action::Run { epoch } => self.begin(id, *epoch),
            Action::GoLive { epoch, next } => {
                self.begin(id, *epoch);
                self.takeovers += 1;
                assert!(!self.diverged.contains(&id), "I7: {id:?} has diverged");
                assert_eq!(history.len() as u64 + 1, next.0, "I3: all is replayed");
                assert!(
                    history.starts_with(&self.told),
                    "I3, I7: what was told is lost"
                );
            }
            Action::Arbiter {
                operation: ArbiterOperation::Swap { expected, new },
                ..
            } => {
                let pair = Mode::Pair { backup: id };
                if expected.is_some_and(|before| before.mode == pair) && new.owner == id {
                    self.attempted.insert(id);
                }
            }
            Action::Send {
                message: Message::Acknowledge { .. },
                ..
            } => assert!(!self.attempted.contains(&id), "I4: {id:?} acknowledges"),
            Action::Halt {
                reason: HaltReason::Lost { .. },
            } => {
                let owner = self.records.last_key_value().map(|(_, r)| r.owner);
                assert_ne!(owner, Some(id), "the owner kills itself");
            }
            _ => {}
        }
    }

    /// The hart of a backup finds that it differs.
    pub(crate) fn diverges(&mut self, id: NodeId) {
        self.diverged.insert(id);
    }

    fn begin(&mut self, id: NodeId, epoch: Epoch) {
        let record = self.records.get(&epoch);
        assert!(
            record.is_some_and(|record| record.owner == id && record.mode == Mode::Solo),
            "I8: {id:?} is no owner in {epoch:?}"
        );
        let before = self.begun.insert(epoch, id);
        assert_eq!(before, None, "I1: one owner an epoch");
    }

    fn tell(&mut self, history: &[u64]) {
        let common = self.told.len().min(history.len());
        assert_eq!(
            self.told[..common],
            history[..common],
            "the outside was told something else"
        );
        self.told.extend(&history[common..]);
    }
}
