//! Shared storage with the one record, and the ways in which it fails: no answer, a lost answer, an effect
//! that comes late, after the caller was told "unavailable".

use crate::random::Random;
use replication::{ArbiterOperation, ArbiterReply, Record};

/// What one request meets on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Takes effect and is answered.
    Served,
    /// Takes effect, but the answer is lost: the caller hears "unavailable".
    AnswerLost,
    /// The caller hears "unavailable" and the effect comes later all the same.
    EffectLate,
    /// Nothing happens; the caller hears "unavailable".
    Refused,
}

/// The store. Each change of the record is kept, for the checkers.
#[derive(Debug)]
pub(crate) struct Arbiter {
    random: Random,
    /// Whether anybody can reach it now.
    pub(crate) reachable: bool,
    /// Chance in thousandths that a request meets something else than service.
    pub(crate) trouble: u64,
    /// Longest ordinary way to it, or back, in microseconds.
    way_max: u64,
    history: Vec<Record>,
}

impl Arbiter {
    /// An empty store in good health.
    pub(crate) fn new(mut random: Random) -> Self {
        Self {
            way_max: *random.choose(&[1_000, 3_000, 300_000]),
            random,
            reachable: true,
            trouble: 0,
            history: Vec::new(),
        }
    }

    /// The record as it is, or none.
    pub(crate) fn record(&self) -> Option<Record> {
        self.history.last().copied()
    }

    /// Every record there has been, oldest first.
    pub(crate) fn history(&self) -> &[Record] {
        &self.history
    }

    /// What a request that arrives now meets.
    pub(crate) fn fate(&mut self) -> Fate {
        if !self.reachable {
            return Fate::Refused;
        }
        if self.random.chance(self.trouble) {
            return *self
                .random
                .choose(&[Fate::AnswerLost, Fate::EffectLate, Fate::Refused]);
        }
        Fate::Served
    }

    /// How long a request, or its answer, is under way, in microseconds.
    pub(crate) fn way(&mut self) -> u64 {
        self.random.between(200, self.way_max)
    }

    /// How long a delayed effect or answer takes, in microseconds.
    pub(crate) fn delay(&mut self) -> u64 {
        self.random.between(500, 400_000)
    }

    /// Carries out a request, atomically.
    pub(crate) fn perform(&mut self, operation: ArbiterOperation) -> ArbiterReply {
        match operation {
            ArbiterOperation::Read => ArbiterReply::Current(self.record()),
            ArbiterOperation::Swap { expected, new } if expected == self.record() => {
                self.history.push(new);
                ArbiterReply::Current(Some(new))
            }
            ArbiterOperation::Swap { .. } => ArbiterReply::Refused(self.record()),
        }
    }
}
