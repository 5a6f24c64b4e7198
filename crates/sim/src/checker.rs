//! The judge. It sees everything from outside, knows nothing of the protocol's reasoning, and holds the
//! invariants I1 to I9 of ARCHITECTURE.md against what the nodes do.

use crate::arbiter::{Arbiter, OPERATOR};
use crate::deed::Deed;
use crate::fingerprint::Fingerprint;
use crate::network::ProcessIndex;
use replication::{
    ArbiterOperation, ArbiterReply, Epoch, HaltReason, LogIndex, Message, Mode, NodeId, Record,
    TransferId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A broken invariant: which, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `I1` to `I9`; `outside` for what a client saw; `liveness`; `determinism`; `pauses`; `slow`; `ends`; `copies`; `credit`, `bandwidth` and
    /// `memory` for the log's flow; `who` and `switch` for those who should not be heard; `assertion` for a panic.
    pub invariant: &'static str,
    /// What happened.
    pub what: String,
    /// The simulation that it happened in.
    pub seed: u64,
}

/// A violation, before it is known of which simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

impl Broken {
    /// Says in which simulation.
    pub(crate) fn of_seed(self, seed: u64) -> Violation {
        Violation {
            invariant: self.invariant,
            what: self.what,
            seed,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {}: {} (repeat it: cargo xtask sim --seed {})",
            self.seed, self.invariant, self.what, self.seed
        )
    }
}

impl std::error::Error for Violation {}

fn broken(invariant: &'static str, what: String) -> Result<(), Broken> {
    Err(Broken { invariant, what })
}

/// What the judge knows of one process.
#[derive(Debug, Default)]
struct Witness {
    node: NodeId,
    /// Last entry that reached it in its present life as a backup, without a gap.
    delivered: LogIndex,
    /// Entries that reached it beyond a gap: first to last.
    beyond: BTreeMap<LogIndex, LogIndex>,
    /// Highest entry that it acknowledged in its present life as a backup.
    acknowledged: LogIndex,
    /// The newest epoch in which it acknowledged anything.
    acknowledged_in: Epoch,
    /// It asked the arbiter to make it the owner, as of this epoch.
    tried_takeover: Option<Epoch>,
    /// It was answered that another node is the owner.
    told_lost: bool,
    halted: bool,
    /// The newest record that the arbiter told it and that names it as owner.
    told_owner_of: Option<Record>,
    /// The epoch since which it speaks as the owner.
    speaks_since: Epoch,
    /// Highest output mark that left from it.
    released: LogIndex,
    /// Process whose state it received, by which transfer.
    copied_from: Option<(ProcessIndex, TransferId)>,
    /// Its machine agreed with a digest in its present life as a backup.
    verified: bool,
    /// Its machine reported that it differs.
    diverged: bool,
    /// Its state after each log index, while it was the owner: position and digest.
    states: BTreeMap<LogIndex, (u64, u64)>,
}

/// The judge of one simulation.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    witnesses: Vec<Witness>,
    takeovers: u64,
    pairings: u64,
    divergences: u64,
    states_compared: u64,
    /// The newest epoch that a person has ended, and nodes whose records a person has taken back.
    given_up: Epoch,
    ended: BTreeSet<NodeId>,
}

impl Checker {
    /// A person has ended the machine in this epoch: what earlier owners say until they hear of it is fenced off, not
    /// forbidden.
    pub(crate) fn given_up(&mut self, epoch: Epoch) {
        self.given_up = epoch;
    }

    /// A person has set the store back to before these nodes had their parts: as above.
    pub(crate) fn ended(&mut self, nodes: &BTreeSet<NodeId>) {
        self.ended.clone_from(nodes);
    }

    /// A process is born.
    pub(crate) fn born(&mut self, process: ProcessIndex, node: NodeId) {
        assert_eq!(
            process,
            self.witnesses.len(),
            "processes are numbered in order of birth"
        );
        self.witnesses.push(Witness {
            node,
            ..Witness::default()
        });
    }

    /// How often a backup went live.
    pub(crate) fn takeovers(&self) -> u64 {
        self.takeovers
    }

    /// How often a pair was formed.
    pub(crate) fn pairings(&self) -> u64 {
        self.pairings
    }

    /// How often a backup found that it differs.
    pub(crate) fn divergences(&self) -> u64 {
        self.divergences
    }

    /// How many states of backups were compared with their owner's.
    pub(crate) fn states_compared(&self) -> u64 {
        self.states_compared
    }

    fn process_of(&self, node: NodeId) -> Option<ProcessIndex> {
        self.witnesses
            .iter()
            .position(|witness| witness.node == node)
    }

    fn acknowledged_by(&self, node: NodeId) -> LogIndex {
        self.process_of(node)
            .map_or(LogIndex(0), |process| self.witnesses[process].acknowledged)
    }

    /// A message reaches a process.
    pub(crate) fn hears(&mut self, process: ProcessIndex, from: NodeId, message: &Message) {
        let Message::Append {
            transfer,
            first,
            entries,
            ..
        } = message
        else {
            return;
        };
        let source = self.process_of(from).map(|from| (from, *transfer));
        let witness = &mut self.witnesses[process];
        if source.is_some() && witness.copied_from == source && !entries.is_empty() {
            let last = LogIndex(first.0 + entries.len() as u64 - 1);
            let end = witness.beyond.entry(*first).or_default();
            *end = last.max(*end);
            while let Some(range) = witness.beyond.first_entry()
                && range.key().0 <= witness.delivered.0 + 1
            {
                witness.delivered = witness.delivered.max(range.remove());
            }
        }
    }

    /// The owner's state after it appended entries.
    pub(crate) fn appended(&mut self, process: ProcessIndex, state: Fingerprint) {
        let states = &mut self.witnesses[process].states;
        states.insert(state.last, (state.position, state.digest));
    }

    /// The state of a backup after it replayed entries.
    pub(crate) fn replayed(
        &mut self,
        process: ProcessIndex,
        state: Fingerprint,
        corrupted: bool,
    ) -> Result<(), Broken> {
        let source = self.witnesses[process].copied_from;
        let states = source.map(|(source, _)| &self.witnesses[source].states);
        if let Some(&(position, digest)) = states.and_then(|states| states.get(&state.last))
            && position == state.position
        {
            self.states_compared += 1;
            if digest != state.digest && !corrupted {
                return broken(
                    "I7",
                    format!(
                        "the state of process {process} differs from its owner's after entry {}",
                        state.last.0
                    ),
                );
            }
        }
        Ok(())
    }

    /// The machine of a backup agrees with a digest of its owner's.
    pub(crate) fn verified(&mut self, process: ProcessIndex) {
        self.witnesses[process].verified = true;
    }

    /// The machine of a process reports that it differs from the owner's.
    pub(crate) fn diverges(
        &mut self,
        process: ProcessIndex,
        corrupted: bool,
    ) -> Result<(), Broken> {
        self.divergences += 1;
        self.witnesses[process].diverged = true;
        if corrupted {
            return Ok(());
        }
        broken(
            "determinism",
            format!("process {process} diverges, although nothing was damaged"),
        )
    }

    /// The arbiter's record changed.
    pub(crate) fn record_changed(
        &mut self,
        old: Option<Record>,
        new: Record,
    ) -> Result<(), Broken> {
        let expected = old.map_or(1, |old| old.epoch.0 + 1);
        if new.epoch.0 != expected {
            return broken(
                "I1",
                format!("epoch {} follows {}", new.epoch.0, expected - 1),
            );
        }
        if let Some(old) = old
            && new.owner != old.owner
            && !matches!(old.mode, Mode::Pair { backup } if backup == new.owner)
            && old.mode != Mode::Down
            && new.owner != OPERATOR
        {
            return broken(
                "I6",
                format!("the machine goes to {:?} from {old:?}", new.owner),
            );
        }
        if let (Mode::Down, Some(Mode::Pair { backup })) = (new.mode, old.map(|old| old.mode)) {
            let owner = self
                .process_of(new.owner)
                .map(|owner| &self.witnesses[owner]);
            let last = owner.and_then(|owner| owner.states.last_key_value());
            let acknowledged = self.acknowledged_by(backup);
            if let Some((&last, _)) = last.filter(|(last, _)| **last > acknowledged) {
                return broken(
                    "I2",
                    format!(
                        "switched off with entry {} written and {} acknowledged",
                        last.0, acknowledged.0
                    ),
                );
            }
        }
        if let Mode::Pair { backup } = new.mode {
            self.pairings += 1;
            let verified = |process: ProcessIndex| self.witnesses[process].verified;
            if !self.process_of(backup).is_some_and(verified) {
                return broken(
                    "I7",
                    format!("paired with {backup:?}, whose state was compared with no digest yet"),
                );
            }
            let owner = self
                .process_of(new.owner)
                .expect("only processes own the machine");
            let released = self.witnesses[owner].released;
            let acknowledged = self.acknowledged_by(backup);
            if released > acknowledged {
                return broken(
                    "I6",
                    format!(
                        "paired with output {} released, but only {} acknowledged",
                        released.0, acknowledged.0
                    ),
                );
            }
        }
        Ok(())
    }

    /// The arbiter's answer reaches a process.
    pub(crate) fn answered(&mut self, process: ProcessIndex, reply: &ArbiterReply) {
        let witness = &mut self.witnesses[process];
        if let ArbiterReply::Current(Some(record)) | ArbiterReply::Refused(Some(record)) = reply {
            if record.owner == witness.node {
                witness.told_owner_of = Some(*record);
            } else {
                let owned = witness.told_owner_of.map(|owned| owned.epoch);
                let claimed = witness.tried_takeover.max(owned);
                witness.told_lost |= claimed.is_some_and(|claimed| record.epoch >= claimed);
            }
        }
    }

    /// A process acts.
    pub(crate) fn acts(
        &mut self,
        process: ProcessIndex,
        deed: &Deed,
        arbiter: &Arbiter,
    ) -> Result<(), Broken> {
        let witness = &mut self.witnesses[process];
        if witness.halted && !deed.is_unasked() {
            return broken(
                "I9",
                format!("process {process} acts after it halted: {deed:?}"),
            );
        }
        match deed {
            Deed::Sends {
                message: Message::Acknowledge { held, epoch, .. },
                ..
            } => {
                if witness.diverged {
                    return broken(
                        "I7",
                        format!("process {process} acknowledges after it diverged"),
                    );
                }
                // What an intruder sent to a joiner that it caught is no part of any log.
                if *held > witness.delivered && witness.copied_from.is_some() {
                    return broken(
                        "I4",
                        format!(
                            "process {process} acknowledges {}, but only {} reached it",
                            held.0, witness.delivered.0
                        ),
                    );
                }
                if witness.tried_takeover.is_some() {
                    return broken(
                        "I4",
                        format!(
                            "process {process} acknowledges {} after its takeover attempt",
                            held.0
                        ),
                    );
                }
                witness.acknowledged = witness.acknowledged.max(*held);
                witness.acknowledged_in = witness.acknowledged_in.max(*epoch);
            }
            Deed::Asks {
                operation:
                    ArbiterOperation::Swap {
                        expected: Some(expected),
                        new,
                    },
                ..
            } if new.owner == witness.node
                && expected.owner != witness.node
                && expected.mode != Mode::Down =>
            {
                witness.tried_takeover = Some(new.epoch);
            }
            Deed::AwaitsState {
                from,
                transfer,
                next,
            } => {
                let source = self.process_of(*from).map(|from| (from, *transfer));
                let witness = &mut self.witnesses[process];
                witness.copied_from = source;
                witness.acknowledged = LogIndex(0);
                witness.delivered = LogIndex(next.0 - 1);
                witness.beyond.clear();
                witness.diverged = false;
                witness.verified = false;
            }
            Deed::Runs { epoch } | Deed::GoesLive { epoch, .. } => {
                let owned = arbiter
                    .all()
                    .any(|record| record.epoch == *epoch && record.owner == witness.node);
                if !owned
                    || witness
                        .told_owner_of
                        .is_none_or(|record| record.epoch != *epoch)
                {
                    return broken(
                        "I8",
                        format!(
                            "process {process} speaks as the owner of epoch {}, which the arbiter never gave it",
                            epoch.0
                        ),
                    );
                }
            }
            Deed::Halts { reason } => {
                witness.halted = true;
                if *reason == HaltReason::Left
                    && let Some(record) = arbiter.record()
                    && match record.mode {
                        Mode::Pair { backup } if record.owner == witness.node => {
                            let backup =
                                self.process_of(backup).map(|index| &self.witnesses[index]);
                            backup.is_none_or(|backup| backup.acknowledged_in < record.epoch)
                        }
                        Mode::Pair { backup } => backup == witness.node,
                        Mode::Solo => record.owner == witness.node,
                        Mode::Down => false,
                    }
                {
                    return broken(
                        "leave",
                        format!("process {process} leaves, but the machine needs it: {record:?}"),
                    );
                }
                if let HaltReason::OtherStore { claimed, .. } = reason
                    && !arbiter.all().any(|record| record == claimed)
                {
                    return broken(
                        "who",
                        format!("process {process} ends for a record that never was: {claimed:?}"),
                    );
                }
            }
            _ => {}
        }
        let witness = &mut self.witnesses[process];
        match deed {
            Deed::Runs { epoch } | Deed::GoesLive { epoch, .. } => witness.speaks_since = *epoch,
            _ => {}
        }
        Ok(())
    }

    /// A process that was a backup goes live with its next entry at `next`; its machine has applied everything up
    /// to `applied` and has this digest.
    pub(crate) fn goes_live(
        &mut self,
        process: ProcessIndex,
        next: LogIndex,
        state: Fingerprint,
        corrupted: bool,
    ) -> Result<(), Broken> {
        self.takeovers += 1;
        let witness = &self.witnesses[process];
        let applied = state.last;
        if applied.next() != next || applied < witness.acknowledged {
            return broken(
                "I3",
                format!(
                    "process {process} goes live at {} with {} applied and {} acknowledged",
                    next.0, applied.0, witness.acknowledged.0
                ),
            );
        }
        if witness.diverged {
            return broken(
                "I7",
                format!("process {process} goes live although it reported a divergence"),
            );
        }
        self.replayed(process, state, corrupted)
    }

    /// An output leaves a process, stamped with `epoch`; the machine produced it with mark `mark`.
    pub(crate) fn released(
        &mut self,
        process: ProcessIndex,
        mark: Option<LogIndex>,
        epoch: Epoch,
        arbiter: &Arbiter,
    ) -> Result<(), Broken> {
        let Some(mark) = mark else {
            return broken(
                "outside",
                format!("process {process} says what its machine did not, or says it twice"),
            );
        };
        let record = arbiter.record();
        let witness = &self.witnesses[process];
        let node = witness.node;
        if epoch < witness.speaks_since {
            return broken(
                "I5",
                format!(
                    "process {process}, the owner since epoch {}, stamps an output with epoch {}",
                    witness.speaks_since.0, epoch.0
                ),
            );
        }
        let owned = |record: &Record| record.epoch == epoch && record.owner == node;
        if !arbiter.all().any(owned) {
            return broken(
                "I8",
                format!(
                    "process {process} stamps an output with epoch {}, which the arbiter never gave it",
                    epoch.0
                ),
            );
        }
        if self.witnesses[process].told_lost {
            return broken(
                "I9",
                format!(
                    "process {process} lets output {} leave, knowing that it lost",
                    mark.0
                ),
            );
        }
        let covered = match record {
            _ if epoch < self.given_up || self.ended.contains(&node) => true,
            Some(record) if record.owner == node => match record.mode {
                Mode::Solo => true,
                Mode::Pair { backup } => mark <= self.acknowledged_by(backup),
                Mode::Down => false,
            },
            Some(record) => mark <= self.acknowledged_by(record.owner),
            None => false,
        };
        if !covered {
            return broken(
                "I2",
                format!(
                    "output {} leaves process {process} unacknowledged under {record:?}",
                    mark.0
                ),
            );
        }
        let witness = &mut self.witnesses[process];
        witness.released = witness.released.max(mark);
        Ok(())
    }
}
