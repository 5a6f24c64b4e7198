//! Shared storage with the one record, and the ways in which it fails: no answer, a lost answer, an effect
//! that comes late, after the caller was told "unavailable"; too slow, full, without power between a swap's link and its sync;
//! stale, restored from an older copy, or another store altogether. What a host remembers of it (`node::arbiter`'s
//! guard) is modelled here, too.

use crate::random::Random;
use replication::{ArbiterOperation, ArbiterReply, Epoch, Mode, NodeId, Nonce, Record};
use std::collections::{BTreeMap, BTreeSet};

/// The name under which an operator changes the record.
pub(crate) const OPERATOR: NodeId = NodeId(0x6f70_6572_6174_6f72);
/// A slow store takes so long for each way, in microseconds: there and back is longer than anyone waits.
const SLOW_WAY: (u64, u64) = (1_050_000, 1_600_000);
/// How many records a stale read, or an older copy, may be behind.
const RECORDS_BEHIND_MAX: u64 = 4;

/// What one request meets on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Takes effect and is answered.
    Served,
    /// Takes effect, but the answer is lost: the caller hears "unavailable".
    AnswerLost,
    /// The caller hears "unavailable" and the effect comes later all the same.
    EffectLate,
    /// Fails between link and sync: the caller hears "unavailable", and the effect lasts if somebody syncs before the
    /// store loses its power.
    Unsynced,
    /// Nothing happens; the caller hears "unavailable".
    Refused,
}

/// What is found where the store should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The store.
    Itself,
    /// An older copy of it, with what was changed there since.
    Older(Vec<Record>),
    /// Another: a directory that is not mounted, or a new store.
    Another(Vec<Record>),
}

/// Ways to break what surrounds the protocol, to show that the judge sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMutation {
    /// Hosts forget which store they have seen, and how far it was.
    pub forgetful_hosts: bool,
    /// What is read was not made durable first.
    pub unsynced_reads: bool,
}

/// The store. Each change of the record is kept, for the checkers.
#[derive(Debug)]
pub(crate) struct Arbiter {
    random: Random,
    /// Whether anybody can reach it now.
    pub(crate) reachable: bool,
    /// Chance in thousandths that a request meets something else than service.
    pub(crate) trouble: u64,
    /// Chance in thousandths that a read shows what was.
    pub(crate) stale: u64,
    pub(crate) slow: bool,
    /// It is slow even when all is well.
    pub(crate) always_slow: bool,
    /// Nothing new can be written to it.
    pub(crate) full: bool,
    pub(crate) found: Found,
    pub(crate) mutation: StoreMutation,
    /// Longest ordinary way to it, or back, in microseconds.
    way_max: u64,
    /// Every record there has been, oldest first.
    history: Vec<Record>,
    /// Those that were in force until the store was set back.
    undone: Vec<Record>,
    /// Hosts that have a copy of their own, and what is in it.
    copy: Option<(BTreeSet<usize>, Vec<Record>)>,
    /// A swap whose sync did not come.
    unsynced: Option<Record>,
    /// What was written in advance.
    prepared: BTreeSet<Nonce>,
    /// The newest epoch that each host has seen.
    seen: BTreeMap<usize, Epoch>,
}

impl Arbiter {
    /// An empty store in good health.
    pub(crate) fn new(mut random: Random) -> Self {
        Self {
            way_max: *random.choose(&[1_000, 3_000, 300_000]),
            always_slow: random.chance(50),
            random,
            reachable: true,
            trouble: 0,
            stale: 0,
            slow: false,
            full: false,
            found: Found::Itself,
            mutation: StoreMutation::default(),
            history: Vec::new(),
            undone: Vec::new(),
            copy: None,
            unsynced: None,
            prepared: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Ends all faults; what a store is by nature stays.
    pub(crate) fn mend(&mut self) {
        self.reachable = true;
        self.trouble = 0;
        self.stale = 0;
        self.slow = false;
        self.full = false;
        self.found = Found::Itself;
    }

    /// Whether it takes longer for an answer than anyone waits.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether whoever asks it is answered, and in time.
    pub(crate) fn is_well(&self) -> bool {
        let serves = self.reachable && self.trouble == 0 && self.found == Found::Itself;
        serves && !self.slow && !self.full
    }

    /// Whether a swap may take effect that was answered by "unavailable".
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.unsynced.is_some()
    }

    /// From now on it is as it is by nature.
    pub(crate) fn settle_down(&mut self) {
        self.mend();
        self.slow = self.always_slow;
    }

    /// The record as it is, or none.
    pub(crate) fn record(&self) -> Option<Record> {
        self.history.last().copied()
    }

    /// Every record that was ever in force.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Record> {
        self.history.iter().chain(&self.undone)
    }

    /// What a request that arrives now meets.
    pub(crate) fn fate(&mut self, operation: &ArbiterOperation) -> Fate {
        let new = match operation {
            ArbiterOperation::Read => None,
            ArbiterOperation::Prepare { new } | ArbiterOperation::Swap { new, .. } => Some(new),
        };
        let no_room = self.full && new.is_some_and(|new| !self.prepared.contains(&new.nonce));
        if !self.reachable || no_room {
            return Fate::Refused;
        }
        if self.random.chance(self.trouble) {
            return *self.random.choose(&[
                Fate::AnswerLost,
                Fate::EffectLate,
                Fate::Unsynced,
                Fate::Refused,
            ]);
        }
        Fate::Served
    }

    /// How long a request, or its answer, is under way, in microseconds.
    pub(crate) fn way(&mut self) -> u64 {
        if self.slow {
            return self.random.between(SLOW_WAY.0, SLOW_WAY.1);
        }
        self.random.between(200, self.way_max)
    }

    /// How long a delayed effect or answer takes, in microseconds.
    pub(crate) fn delay(&mut self) -> u64 {
        self.random.between(500, 400_000)
    }

    /// An older copy of the store, if there is an older state.
    pub(crate) fn older_copy(&mut self) -> Option<Vec<Record>> {
        let behind = self.random.between(1, RECORDS_BEHIND_MAX) as usize;
        let left = self.history.len().checked_sub(behind)?;
        (left > 0).then(|| self.history[..left].to_vec())
    }

    /// Whether this host knows how far the store is.
    pub(crate) fn is_up_to_date(&self, host: usize) -> bool {
        let newest = self.record().map(|record| record.epoch);
        self.seen.get(&host).copied() == newest
    }

    /// Puts another, empty store in its place.
    pub(crate) fn replace(&mut self) {
        self.found = Found::Another(Vec::new());
    }

    /// The store loses its power: what was not synced is gone.
    pub(crate) fn lose_power(&mut self) {
        self.unsynced = None;
        self.reachable = false;
    }

    /// What was linked and not synced is synced by whoever comes next; returns it if it is in force now.
    pub(crate) fn sync(&mut self) -> Option<Record> {
        if self.mutation.unsynced_reads || self.found != Found::Itself {
            return None;
        }
        let record = self.unsynced.take()?;
        self.history.push(record);
        Some(record)
    }

    /// A swap that links its record, if it may, and fails before it is synced.
    pub(crate) fn perform_unsynced(&mut self, operation: ArbiterOperation) {
        if let ArbiterOperation::Swap { expected, new } = operation
            && self.found == Found::Itself
            && self.unsynced.is_none()
            && expected == self.record()
        {
            self.unsynced = Some(new);
        }
    }

    /// From now on these hosts have a copy of their own, and do not know that.
    pub(crate) fn copy_for(&mut self, hosts: BTreeSet<usize>) {
        self.copy = Some((hosts, self.history.clone()));
    }

    /// Whether there are two of it.
    pub(crate) fn is_copied(&self) -> bool {
        self.copy.is_some()
    }

    /// Carries out a request of this host, atomically.
    pub(crate) fn perform(&mut self, host: usize, operation: ArbiterOperation) -> ArbiterReply {
        if let Some((_, records)) = self
            .copy
            .as_mut()
            .filter(|(hosts, _)| hosts.contains(&host))
        {
            let shown = records.last().copied();
            return match operation {
                ArbiterOperation::Swap { expected, new } if expected == shown => {
                    records.push(new);
                    ArbiterReply::Current(Some(new))
                }
                ArbiterOperation::Swap { .. } => ArbiterReply::Refused(shown),
                ArbiterOperation::Read | ArbiterOperation::Prepare { .. } => {
                    ArbiterReply::Current(shown)
                }
            };
        }
        if matches!(self.found, Found::Another(_)) && !self.mutation.forgetful_hosts {
            // Its identity is looked at in the same call.
            return ArbiterReply::Unavailable;
        }
        let shown = match &self.found {
            Found::Itself => self.unsynced.or(self.record()),
            Found::Older(records) | Found::Another(records) => records.last().copied(),
        };
        match operation {
            ArbiterOperation::Read => ArbiterReply::Current(self.stale_or(shown)),
            ArbiterOperation::Swap { expected, new } if expected == shown => {
                match &mut self.found {
                    Found::Itself => &mut self.history,
                    Found::Older(records) | Found::Another(records) => records,
                }
                .push(new);
                ArbiterReply::Current(Some(new))
            }
            ArbiterOperation::Swap { .. } => ArbiterReply::Refused(shown),
            ArbiterOperation::Prepare { new } => {
                self.prepared.insert(new.nonce);
                ArbiterReply::Current(shown)
            }
        }
    }

    fn stale_or(&mut self, shown: Option<Record>) -> Option<Record> {
        if !self.random.chance(self.stale) {
            return shown;
        }
        let behind = self.random.between(1, RECORDS_BEHIND_MAX) as usize;
        let left = self.history.len().saturating_sub(behind);
        self.history[..left].last().copied().or(shown)
    }

    /// The answer as it gets past what the host has seen before.
    pub(crate) fn guard(&mut self, host: usize, reply: ArbiterReply) -> ArbiterReply {
        if self.mutation.forgetful_hosts {
            return reply;
        }
        let record = match reply {
            ArbiterReply::Current(record) | ArbiterReply::Refused(record) => record,
            ArbiterReply::Unavailable => return reply,
        };
        let shown = record.map_or(Epoch(0), |record| record.epoch);
        let seen = self.seen.entry(host).or_default();
        if shown < *seen {
            return ArbiterReply::Unavailable;
        }
        *seen = shown;
        reply
    }

    /// An operator puts an older copy in the store's place, for good; says whether there is one.
    pub(crate) fn set_back(&mut self) -> bool {
        let Some(older) = self.older_copy() else {
            return false;
        };
        let undone = self.history.split_off(older.len());
        self.undone.extend(undone);
        self.unsynced = None;
        true
    }

    /// An operator ends what the record says (`futago arbiter recover`).
    pub(crate) fn recover(&mut self) -> Option<Record> {
        let before = self.record()?;
        let new = Record {
            epoch: before.epoch.next(),
            mode: Mode::Down,
            owner: OPERATOR,
            nonce: Nonce(u128::from(self.random.bits())),
            ..before
        };
        self.unsynced = None;
        self.history.push(new);
        Some(new)
    }
}
